// SPDX-License-Identifier: Apache-2.0
/* merge_sides: the three trees of a merge, and their locks. */
#pragma once

#include "state.h"

/* They are three different namespaces. */
struct merge_sides {
    struct ns *base, *theirs, *ours; /* the caller has their locks, of `ours` for writing */
    uint64_t own;                    /* as that of delta_gather */
    /* What was open in the namespace of which `ours` is a draft (vnodes_known), by inode; NULL:
     * what is open in `ours` itself counts. */
    const struct vnode_known *known;
    size_t known_count;
};

/* Takes the locks of all three, the lower number first: of `ours` for writing by this change, or of
 * all for reading (NULL). */
void merge_sides_lock(struct txn *t, const struct merge_sides *s);
void merge_sides_unlock(struct txn *t, const struct merge_sides *s);
