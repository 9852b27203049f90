// SPDX-License-Identifier: Apache-2.0
/*
 * merge_take: a namespace that nobody changes takes the tree of a draft that was made of it: a
 * merge in which ours did nothing.
 *
 *     merge_take_begin(p, ns, draft, &k)     what differs; the draft is in a commit afterwards
 *     txn_begin_alone(p, room, &t)
 *     merge_take_room(&t, &k, &needs)        bytes of operations that merge_take_put makes
 *     merge_take_put(&t, &k)                 it notes operations, and makes no frame
 *     state_changed(&t, ...)
 *     merge_take_tell(p, &k)                 what the kernel has to forget
 *     merge_take_end(p, &k)                  also after an error
 *
 * Several namespaces may take their drafts in one change. Those who have a file open that goes or
 * gets another content go on with what it was (merge_aside.h).
 *
 * Errors: 0 or -errno: -E2BIG what differs is more than fits into memory; -EBUSY a file of it is
 * open for writing; those of merge_plan.h. Threads: any; of begin, tell and end the caller holds no
 * lock.
 */
#pragma once

#include "merge_aside.h"

struct merge_take {
    struct merge_aside a;
    struct merge_plan plan;
};

int merge_take_begin(struct state *p, struct ns *ns, struct ns *draft, struct merge_take *ret);
int merge_take_room(struct txn *t, struct merge_take *k, size_t *ret_needs);
/* After an error the namespace is as it was, or the store is read-only. */
int merge_take_put(struct txn *t, struct merge_take *k);
void merge_take_tell(struct state *p, const struct merge_take *k);
void merge_take_end(struct state *p, struct merge_take *k);
