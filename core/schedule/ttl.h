// SPDX-License-Identifier: Apache-2.0
/*
 * ttl: when a namespace ends by itself, its setting `ttl`: 8 bytes, ns since the epoch. It then
 * goes as `drop` would: into the trash, or if that keeps nothing, or the namespace is empty, at
 * once. While a file is open in it, it stays.
 *
 * Threads: any; the caller holds no lock.
 */
#pragma once

#include "state.h"

#define TTL_SETTING "ttl"

/* It ends at that time, ns since the epoch, above 0; 0: it does not end by itself. Errors of
 * ns_setting_set. */
int ttl_set(struct state *p, struct ns *ns, int64_t until);
/* When it ends; 0: it does not. */
int64_t ttl_get(struct state *p, const struct ns *ns);
/* Takes a setting away whose time has come: whoever takes the namespace back wants to have it. */
int ttl_forgive(struct state *p, struct ns *ns);
/* Has its time come, and may it go? */
bool ttl_wants(struct state *p, struct ns *ns);
/* Ends it, if its time has come. 0 also if it is in use; errors of ns_trash and ns_remove. */
int ttl_run(struct state *p, struct ns *ns);
