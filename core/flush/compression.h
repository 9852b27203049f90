// SPDX-License-Identifier: Apache-2.0
/*
 * compression: which contents are compressed when they are sealed, moved or at rest. The setting
 * `compression` of the store says it, and for contents that are sealed from then on that of the
 * namespace of the file that wrote them first.
 *
 * Nothing is compressed before the store has the feature compressed-records, which it gets when one
 * of these settings first becomes other than off. A store in a pool never has it, since records
 * there are read by members of any version.
 *
 * Threads: any. Errors: 0 or -errno.
 */
#pragma once

#include "state.h"

#define COMPRESSION_SETTING "compression"

/* May records be compressed? While this is false, asking for nothing else here costs anything. */
bool compression_is_allowed(struct state *p);
/* Gives the store the feature, durably. -EOPNOTSUPP: it cannot have it; or the error of writing. */
int compression_allow(struct state *p);
/* The setting of a namespace, an enum compression; -ENOENT: it has none. */
int compression_of(struct state *p, const struct ns *ns);
/* Changes it; a negative `how` removes it. Errors of compression_allow and ns_setting_set. */
int compression_set(struct state *p, struct ns *ns, int how);

/* How a content is stored that the file `owner` (a nodeid; 0: nobody knows) wrote first. */
enum compress_how compression_to_seal(struct state *p, uint64_t owner);
/* How the copy of a record is stored that is made anyway, as by a compaction. */
enum compress_how compression_to_copy(struct state *p, const struct entry *from);
/* Is that a record at home which is to be compressed once the store is idle? */
bool compression_is_due(struct state *p, const struct entry *e);
/* Can there be such records? */
bool compression_at_rest(struct state *p);
/* A number, not 0, that is another one if there may be more such records than when it was last
 * asked for. Who changes a setting asks again anyway. */
uint64_t compression_mark(struct state *p);
