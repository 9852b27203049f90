// SPDX-License-Identifier: Apache-2.0
/*
 * delta: what differs between two trees, as inodes and names, without paths. It is built on
 * tree_diff, so its cost is that of the difference, whatever the size of the trees.
 *
 *     struct delta d = DELTA_INIT(&room);
 *     err = delta_gather(&a->tree, &b->tree, a_branch_own_ino, &interrupted, &d);
 *     for (size_t i = 0; i < d.count; i++)         in the order of inode numbers
 *         use(&d.inodes[i]);
 *     delta_release(&d);
 *
 * Side A is the tree `a`, side B the tree `b`. An item that differs only in the number of an object
 * of which one is an alias of the other is no difference; nor are counters of names.
 *
 * Identity. A number in both trees stands for one file if it is below `own`, or if the inodes there
 * have one type and one time of birth (in ns). `own` is ns.own_ino of the branch, if one of the two
 * is a branch of the other: inode numbers are given once in a store, but for namespaces of stores
 * from before that was so (DESIGN 4.4). 0: nothing is known. The root is always one file.
 *
 * Memory: some 250 bytes for an inode, 64 and its bytes for a name, 8 for a block of 128 KiB that
 * may differ. All of it is taken from a budget (struct diff_room), which other modules of this room
 * share.
 *
 * Errors: 0 or -errno: -E2BIG the budget is used up, -ENOMEM, -EINTR `interrupted` was set,
 * -EUCLEAN, -EIO. After an error there is nothing in the delta.
 * Threads: any; the caller holds the locks of both trees, for reading at least.
 */
#pragma once

#include "tree.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes that one comparison may still take. */
struct diff_room {
    size_t left;
};
/* Takes bytes from the budget. -E2BIG */
static inline int diff_room_take(struct diff_room *r, size_t bytes)
{
    if (bytes > r->left)
        return -E2BIG;
    r->left -= bytes;
    return 0;
}

enum delta_side { DELTA_A, DELTA_B, DELTA_SIDES };

/* Kinds of items of an inode, beside that of its attributes, of which some differ. */
enum delta_items {
    DELTA_DATA = 1 << 0, /* extents, subblock extents */
    DELTA_XATTRS = 1 << 1,
    DELTA_TARGET = 1 << 2,  /* of a symlink */
    DELTA_ENTRIES = 1 << 3, /* of a directory */
};

struct delta_inode {
    uint64_t ino;
    bool in[DELTA_SIDES];         /* is it in that tree? */
    bool same;                    /* it is in both, as one file */
    unsigned items;               /* of enum delta_items */
    struct inode at[DELTA_SIDES]; /* valid where `in` is set */
    /* Offsets in the file, multiples of EXTENT_BLOCK, of blocks of which items differ; some may be
     * there twice. They are delta.blocks[first_block] and those behind it. */
    size_t first_block, blocks;
};

/* A name that leads to different files, or is on one side only. */
struct delta_name {
    uint64_t parent;
    uint64_t ino[DELTA_SIDES];  /* 0: the side does not have the name */
    struct key at[DELTA_SIDES]; /* of the directory entry, where `ino` is set */
    size_t text;                /* where the name begins in delta.text */
    size_t len;                 /* 1 to ITEM_NAME_MAX bytes; no NUL is behind them */
};

struct delta {
    struct diff_room *room;     /* borrowed */
    struct delta_inode *inodes; /* by number */
    size_t count, inodes_room;
    struct delta_name *names; /* by parent and name, bytewise */
    size_t name_count, names_room;
    uint64_t *blocks;
    size_t block_count, blocks_room;
    char *text;
    size_t text_len, text_room;
};
#define DELTA_INIT(budget)                                                                         \
    {                                                                                              \
        .room = (budget)                                                                           \
    }

/* Fills *ret, which is initialised. `interrupted` may be NULL. */
int delta_gather(const struct tree *a, const struct tree *b, uint64_t own,
                 const _Atomic bool *interrupted, struct delta *ret);
void delta_release(struct delta *d); /* frees, and gives nothing back to the budget */
/* The inode of that number; NULL: nothing of it differs. */
const struct delta_inode *delta_find(const struct delta *d, uint64_t ino);
static inline const char *delta_text(const struct delta *d, const struct delta_name *n)
{
    return d->text + n->text;
}
