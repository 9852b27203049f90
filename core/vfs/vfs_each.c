// SPDX-License-Identifier: Apache-2.0
/* vfs_each: see vfs_impl.h. */
#include "vfs_impl.h"

bool each_next(struct each *e)
{
    if (e->err == 0)
        e->err = e->begun ? tree_next(&e->c) : tree_seek(e->tree, e->key, &e->c);
    if (e->err == 0 && tree_cursor_key(&e->c).hi != e->key.hi)
        e->err = -ENOENT;
    if (e->err < 0)
        return false;
    e->begun = true;
    e->key = tree_cursor_key(&e->c);
    e->val = tree_cursor_value(&e->c, &e->len);
    return true;
}

int each_end(struct each *e)
{
    tree_cursor_end(&e->c);
    return e->err == -ENOENT ? 0 : e->err;
}
