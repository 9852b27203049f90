// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_patches: small writes upon grains that may not change in place.
 *
 *     grain      |----------------128K----------------|
 *     stored     ###########################..........   (the base's, or an extent's)
 *     patches       [##]      [#####]  [##]
 *
 * A patch has only the pages that the write touches. The other bytes of the grain are not read,
 * logged and sealed again for it. The whole grain becomes an extent if it already has PATCHES_MAX
 * patches, if a write lies across the edge of a patch, or if much is written at once (patch_fits).
 */
#include "vfs_file_impl.h"
#include <errno.h>

#define PATCH_PART 4 /* a write of more than this part (1/4) of the stored bytes of its grain is no
                      * patch */

struct pages_of pages_around(uint64_t off, size_t len)
{
    uint64_t end = off + len + PATCH_PAGE - 1;

    return (struct pages_of){off - off % PATCH_PAGE, end - end % PATCH_PAGE};
}

/* The patch at the cursor. `err` is the result of having moved the cursor. -ENOENT: `ino` has no
 * more patches. */
static int cursor_patch(const struct tree_cursor *c, int err, uint64_t ino, struct patch *ret)
{
    struct key k;
    const void *val;
    size_t len;

    if (err < 0)
        return err;
    k = tree_cursor_key(c);
    if (k.hi != key_make(ino, ITEM_PATCH, 0).hi)
        return -ENOENT;
    val = tree_cursor_value(c, &len);
    ret->at = k.lo;
    return patch_decode(k, val, len, &ret->e);
}

/* The end of the last page that the patch touches. */
static uint64_t pages_end(const struct patch *u)
{
    return pages_around(u->at, u->e.valid).end;
}

/* The key from which a search for a patch over `off` begins. The patch may begin up to PATCH_MAX
 * bytes before `off`, but not before the grain. */
static struct key first_key(const struct items *it, uint64_t off)
{
    uint64_t at = grain_start(off), page = pages_around(off, 0).from;

    if (page - at >= PATCH_MAX)
        at = page - PATCH_MAX + PATCH_PAGE;
    return key_make(it->ino, ITEM_PATCH, at);
}

int patch_next(const struct items *it, const struct inode *in, uint64_t off, uint64_t end,
               struct patch *ret)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    int err = in->flags & INODE_PATCHES ? tree_seek(it->tree, first_key(it, off), &c) : -ENOENT;

    while ((err = cursor_patch(&c, err, it->ino, ret)) == 0 && pages_end(ret) <= off)
        err = tree_next(&c);
    tree_cursor_end(&c);
    return err == 0 && ret->at >= end ? -ENOENT : err;
}

int patch_meet(const struct items *it, const struct inode *in, const struct grain *g, uint64_t off,
               uint64_t end, struct patch *ret, unsigned *ret_count)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct patch u;
    int met = -ENOENT, err = -ENOENT;

    *ret_count = 0;
    if (in->flags & INODE_PATCHES)
        err = tree_seek(it->tree, key_make(it->ino, ITEM_PATCH, g->at), &c);
    while ((err = cursor_patch(&c, err, it->ino, &u)) == 0 && u.at < g->at + EXTENT_GRAIN) {
        if (met < 0 && u.at < end && pages_end(&u) > off) {
            met = 0;
            *ret = u;
        }
        ++*ret_count;
        err = tree_next(&c);
    }
    tree_cursor_end(&c);
    return err < 0 && err != -ENOENT ? err : met;
}

bool patch_fits(const struct grain *g, struct pages_of u, unsigned count)
{
    uint64_t len = u.end - u.from;

    return len <= PATCH_MAX && len * PATCH_PART <= g->bytes && u.end <= g->at + g->bytes &&
           count < PATCHES_MAX;
}

/* Store the item of a patch. */
static int put(const struct items *it, uint64_t at, const struct extent *e)
{
    uint8_t buf[EXTENT_ITEM_LEN];

    extent_encode(e, buf);
    return tree_put(it->tree, key_make(it->ino, ITEM_PATCH, at), buf, sizeof buf);
}

int patch_set(const struct items *it, const struct inode *was, struct inode *in, uint64_t at,
              const struct extent *e)
{
    int err;

    inode_use_extents(in);
    in->flags |= INODE_PATCHES;
    err = inode_store(it->tree, it->ino, in);
    if (err == 0)
        err = put(it, at, e);
    if (err < 0)
        (void)inode_store(it->tree, it->ino, was); /* this cannot fail: the first store has made
                                                    * the page this tree's own */
    return err;
}

/* 1: the grain at `at` has no extent, so its patches override the base; 0: it has one; or
 * -errno. */
static int is_upon_base(const struct items *it, const struct inode *in, uint64_t at)
{
    struct grain g;
    int err = grain_load(it, in, at, &g);

    return err < 0 ? err : !g.own;
}

/* Remove one patch from `from` on; its bytes before `from` stay. */
static int cut_one(const struct items *it, const struct patch *u, uint64_t from)
{
    struct extent e = u->e;

    if (u->at >= from)
        return tree_del(it->tree, key_make(it->ino, ITEM_PATCH, u->at));
    if (u->at + e.valid <= from)
        return 0;
    e.valid = (uint32_t)(from - u->at);
    return put(it, u->at, &e);
}

int patches_punch(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                  bool base)
{
    uint64_t pos = from;
    struct patch u;
    int err;

    while ((err = patch_next(it, in, pos, end, &u)) == 0) {
        int r = base ? is_upon_base(it, in, u.at) : 1;
        if (r > 0)
            r = cut_one(it, &u, from);
        if (r < 0)
            return r;
        pos = pages_end(&u);
    }
    return err == -ENOENT ? 0 : err;
}

int patches_cut(struct state *p, const struct items *it, const struct inode *in, uint64_t from)
{
    struct key_range r = range_of_items(it->ino, ITEM_PATCH, pages_around(from, 0).end);
    int err = patches_punch(it, in, from, from, false);

    if (err < 0 || !(in->flags & INODE_PATCHES))
        return err;
    return items_cut(p, it->tree, r);
}
