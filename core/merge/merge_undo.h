// SPDX-License-Identifier: Apache-2.0
/*
 * merge_undo: takes back a merge, or does again what was taken back.
 *
 * A merge keeps what `ours` was before and what it became (merge.h). The undo is a merge itself: it
 * merges the former into `ours`, with the latter as the base, so what was changed later stays, and
 * what depends on the merge is a conflict. The base of the branch goes back as well, so that the
 * branch can be committed again. An undo keeps a pair of its own, by which a redo takes it back.
 * Two snapshots are a pair if they began to be kept at the same moment. One without the other, as
 * after a crash in between, is left alone.
 *
 * Threads: any; the caller holds no lock, and a reference on `ours`.
 */
#pragma once

#include "merge.h"

/* Takes back the merge into `ours` that was the change `seq`, or (0) the newest one that left
 * snapshots and is no undo; or (`redo`) such an undo. The snapshots of what is taken back are
 * dropped, and the undo keeps a pair of its own. -ENOENT: there is none; else as merge_run. */
int merge_undo(struct state *p, struct ns *ours, uint64_t seq, bool redo, enum merge_rule rule,
               const _Atomic bool *interrupted, struct merge_result *ret);
/* Are the snapshots still kept that merge_undo needs for that? */
bool merge_can_undo(struct state *p, const struct ns *ours, uint64_t seq, bool redo);
