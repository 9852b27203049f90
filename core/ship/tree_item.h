// SPDX-License-Identifier: Apache-2.0
/*
 * tree_item: an item of a tree as an archive has it: with what its object is instead of its number
 * (segment.h), and the sum over a whole tree of such items.
 *
 * Threads: the caller holds the lock of the tree. Errors: 0 or -errno: -EUCLEAN, -EIO.
 */
#pragma once

#include "segment.h"
#include "tree.h"

struct state;

struct tree_item {
    struct segment_item item; /* it borrows from `val` */
    uint8_t val[PAGE_VALUE_MAX];
    uint64_t object; /* its object, no alias; 0: none */
    bool
        made_up; /* the object has no id, since it is not sealed or its entry is lost: it got one */
    struct entry entry; /* of that */
};

/* Makes the item. Of its content id and size are set, and no place. An object that has no bytes
 * here (ENTRY_ABSENT) has an id, too (entry_absent.h). Counters are no items of an archive
 * (item_is_counter). */
int tree_item_make(struct state *p, struct key k, const void *val, size_t len,
                   struct tree_item *ret);
/* The sum over all items of a tree, and how many of them name an object without bytes. */
int tree_item_sum(struct state *p, const struct tree *t, uint8_t ret[SEGMENT_STATE_LEN],
                  uint64_t *ret_absent);
