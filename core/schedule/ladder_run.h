// SPDX-License-Identifier: Apache-2.0
/*
 * ladder_run: snapshots of a namespace that make themselves, as its setting `snapshots` says
 * (ladder.h). They are those whose names ns_is_automatic (ns_branch.h) knows.
 *
 * Those that are held, or in which a file is open, stay until they are not. When the setting is
 * taken away, all that were made stay.
 *
 * Threads: any; the caller holds no lock.
 */
#pragma once

#include "ladder.h"
#include "state.h"

#define LADDER_SETTING "snapshots"

/* Changes the setting: a text that ladder_parse accepts, or NULL for none. Errors of
 * ns_setting_set. */
int ladder_set(struct state *p, struct ns *ns, const char *text);
/* Copies the text of the setting. -ENOENT: the namespace has none that this version understands. */
int ladder_get(struct state *p, const struct ns *ns, char text[LADDER_TEXT_MAX + 1]);
/* Is there anything that ladder_run would do for the namespace? */
bool ladder_wants(struct state *p, struct ns *ns);
/* Makes the snapshot that is due, and removes those that are not needed. -EINTR: the store is being
 * closed; errors of ns_snapshot_automatic. What could not be done is tried again by the next
 * call. */
int ladder_run(struct state *p, struct ns *ns);
