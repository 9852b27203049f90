// SPDX-License-Identifier: Apache-2.0
/*
 * xattr_list: the extended attributes of one inode of a tree, by name.
 *
 *     struct xattr_list l = {0};
 *     err = xattr_list_load(tree, ino, &in, &l);
 *     xattr_list_release(&l);                      also after an error
 *
 * Errors: -ENOMEM, -EUCLEAN, -EIO. The caller holds the lock of the tree. Memory: 8 KiB each.
 */
#pragma once

#include "item.h"
#include "tree.h"

struct xattr_copy {
    char name[XATTR_NAME_MAX + 1];
    struct xattr_item x;           /* without `name` and `value` */
    uint8_t value[PAGE_VALUE_MAX]; /* if it is inline */
};
struct xattr_list {
    struct xattr_copy *v; /* in the order of strcmp of their names */
    size_t count, room;
};

/* `in` is the inode. */
int xattr_list_load(const struct tree *t, uint64_t ino, const struct inode *in,
                    struct xattr_list *ret);
void xattr_list_release(struct xattr_list *l);
/* Are both values inline, or neither, of equal length, and if they are inline equal? Of others the
 * objects still have to be compared. */
bool xattr_copies_may_be_same(const struct xattr_copy *a, const struct xattr_copy *b);
