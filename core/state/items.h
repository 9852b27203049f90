// SPDX-License-Identifier: Apache-2.0
/*
 * items: any number of items of one inode. The lock of the tree is held for writing. Each call is
 * one operation for the log. `p` replays if the trees have no observers.
 */
#pragma once

#include "item.h"
#include "tree.h"
#include <stdbool.h>
#include <stdint.h>

struct state;

struct key_range {
    struct key from, to; /* from ≤ k < to; of the same inode */
};
static inline struct key_range range_of_inode(uint64_t ino)
{
    return (struct key_range){{ino << 6, 0}, {ino << 6 | 63, UINT64_MAX}};
}
/* Its items of one type from `rest` on. */
static inline struct key_range range_of_items(uint64_t ino, enum item_type type, uint64_t rest)
{
    return (struct key_range){key_make(ino, type, rest), key_make(ino, type, UINT64_MAX)};
}
/* Delete them. What the first thousand name loses its references at once, the rest once the drop
 * queue is worked off. After a failure those that are left are the last ones. */
int items_cut(struct state *p, struct tree *t, struct key_range r);
/* Copy them to inode `ino`, which has none of the kind, of the same tree or another: what they name
 * gets one reference more. All or none. */
int items_copy(struct state *p, const struct tree *from, struct key_range r, struct tree *to,
               uint64_t ino);
bool items_any(const struct tree *t, struct key_range r);
/* Delete the few items of an inode that is not complete. */
int items_delete(struct tree *t, uint64_t ino);
