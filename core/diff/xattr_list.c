// SPDX-License-Identifier: Apache-2.0
/* xattr_list: see the header. */
#include "xattr_list.h"
#include "array.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_xattrs(const void *x, const void *y)
{
    return strcmp(((const struct xattr_copy *)x)->name, ((const struct xattr_copy *)y)->name);
}

static int add_xattr(struct xattr_list *l, const void *val, size_t len)
{
    struct xattr_copy *c;
    struct xattr_item x;
    int err = xattr_decode(val, len, &x);

    if (err == 0)
        err = ARRAY_RESERVE(l->v, l->room, l->count + 1);
    if (err < 0)
        return err;
    c = &l->v[l->count++];
    memset(c->name, 0, sizeof c->name);
    memcpy(c->name, x.name, x.name_len);
    if (!x.object)
        memcpy(c->value, x.value, x.len);
    c->x = x;
    return 0;
}

int xattr_list_load(const struct tree *t, uint64_t ino, const struct inode *in,
                    struct xattr_list *ret)
{
    const struct key from = key_make(ino, ITEM_XATTR, 0);
    struct tree_cursor c;
    int err = in->flags & INODE_XATTRS ? 0 : -ENOENT;

    if (err == 0)
        err = tree_seek(t, from, &c);
    while (err == 0) {
        struct key k = tree_cursor_key(&c);
        size_t len;
        const void *val = tree_cursor_value(&c, &len);
        if (k.hi != from.hi) {
            tree_cursor_end(&c);
            break;
        }
        err = item_is_counter(k) ? 0 : add_xattr(ret, val, len);
        if (err < 0)
            tree_cursor_end(&c);
        else
            err = tree_next(&c);
    }
    if (ret->count)
        qsort(ret->v, ret->count, sizeof *ret->v, compare_xattrs);
    return err == -ENOENT ? 0 : err;
}

void xattr_list_release(struct xattr_list *l)
{
    free(l->v);
    *l = (struct xattr_list){0};
}

bool xattr_copies_may_be_same(const struct xattr_copy *a, const struct xattr_copy *b)
{
    return a->x.len == b->x.len && !a->x.object == !b->x.object &&
           (a->x.object || !memcmp(a->value, b->value, a->x.len));
}
