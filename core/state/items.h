// SPDX-License-Identifier: Apache-2.0
/*
 * items: any number of items of one inode. Each call is one operation of the log. If the trees have
 * no observers, `p` is being replayed. The caller holds the lock of the tree for writing.
 */
#pragma once

#include "item.h"
#include "tree.h"
#include <stdbool.h>
#include <stdint.h>

struct state;

struct key_range {
    struct key from, to; /* from ≤ k < to; all of one inode */
};
static inline struct key_range range_of_inode(uint64_t ino)
{
    return (struct key_range){{ino << 6, 0}, {ino << 6 | 63, UINT64_MAX}};
}
/* The items of one type, from `rest` on. */
static inline struct key_range range_of_items(uint64_t ino, enum item_type type, uint64_t rest)
{
    return (struct key_range){key_make(ino, type, rest), key_make(ino, type, UINT64_MAX)};
}
/* Deletes the items of a range. The references of the first thousand are given back at once, those
 * of the rest when the drop queue is worked off. After a failure the items that are left are the
 * last ones of the range. */
int items_cut(struct state *p, struct tree *t, struct key_range r);
/* Copies the items of a range to inode `ino` of the same tree or another one. That inode has no
 * items of the kind. What the items name gets one more reference. After an error no item is
 * copied. */
int items_copy(struct state *p, const struct tree *from, struct key_range r, struct tree *to,
               uint64_t ino);
/* Has the range any item? */
bool items_any(const struct tree *t, struct key_range r);
/* Deletes the few items of an inode that was not completed. */
int items_delete(struct tree *t, uint64_t ino);
