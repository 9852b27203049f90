// SPDX-License-Identifier: Apache-2.0
/*
 * load_base: what an image changes of inodes that were in the draft before it: they are found by
 * their names, and get other bytes.
 *
 * A block of which parts are replaced is made in memory, becomes an object, and overrides what the
 * file had there. So what the base has stays as it is, and is shared with the base.
 */
#include "load_impl.h"
#include "file_image.h"
#include "vfs_block.h"
#include "vfs_dir.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- finding ---- */

static int find_in_base(struct load *l, const struct image_record *r, const char *name)
{
    struct load_inode *dir;
    struct key k;
    uint64_t ino, other;
    unsigned type;
    int err = load_inode_get(l, r->parent, &dir);

    if (err == 0 && !S_ISDIR(dir->in.mode))
        err = -ENOENT;
    if (err == 0)
        err = dirent_find(l->p, &l->ns->tree, dir->ino, name, &k, &ino, &type);
    if (err == -ENOENT)
        return load_fail(l, -EINVAL, "the base has no file for inode %llu",
                         (unsigned long long)r->number);
    if (err == 0 && map64_get(&l->found, ino, &other))
        return load_fail(l, -EINVAL, "inode %llu has two numbers", (unsigned long long)r->number);
    if (err == 0)
        err = map64_put(&l->found, ino, r->number);
    return err == 0 ? load_add_inode(l, ino) : err;
}

int load_find_take(struct load *l, const struct image_record *r)
{
    char name[ITEM_NAME_MAX + 1];
    LOAD_GUARD(l);

    memcpy(name, r->name, r->name_len);
    name[r->name_len] = 0;
    return find_in_base(l, r, name);
}

int load_clear_take(struct load *l, const struct image_record *r)
{
    struct load_inode *i;
    int err;
    LOAD_GUARD(l);

    err = load_inode_get(l, r->number, &i);
    if (err < 0 || !(i->in.flags & INODE_XATTRS))
        return err;
    i->in.flags &= ~(uint32_t)INODE_XATTRS;
    i->dirty = true;
    return items_cut(l->p, &l->ns->tree, range_of_items(i->ino, ITEM_XATTR, 0));
}

/* ---- other bytes ---- */

/* Cuts what overrides the base of a file. */
static int cut_items(struct load *l, const struct load_inode *i)
{
    static const struct {
        enum item_type type;
        uint32_t flag;
    } kinds[] = {
        {ITEM_EXTENT, INODE_EXTENTS}, {ITEM_SUBBLOCK, INODE_SUBBLOCKS}, {ITEM_HOLES, INODE_HOLES}};
    int err = 0;

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds && err == 0; k++)
        if (i->in.flags & kinds[k].flag)
            err = items_cut(l->p, &l->ns->tree, range_of_items(i->ino, kinds[k].type, 0));
    return err;
}

static int make_empty(struct load *l, struct load_inode *i)
{
    int err = cut_items(l, i);

    if (err < 0)
        return err;
    if (i->held)
        refs_unhold(l->p->refs, i->held);
    i->held = i->in.object = i->in.valid = i->in.stored = i->in.size = 0;
    i->in.flags &= ~(uint32_t)(INODE_EXTENTS | INODE_SUBBLOCKS | INODE_HOLES);
    return 0;
}

int load_change_base(struct load *l, const struct image_record *r, struct load_inode *i)
{
    int err = 0;

    if (S_ISLNK(r->mode)) {
        i->in.size = r->size;
        err = items_cut(l->p, &l->ns->tree, range_of_items(i->ino, ITEM_SYMLINK, 0));
        return err == 0 ? load_put_target(l, i->ino, r) : err;
    }
    if (!S_ISREG(r->mode) || (r->content == 0 && r->size == i->in.size))
        return 0;
    if (!r->content && r->size > 0 && r->size < i->in.size)
        return load_fail(l, -EINVAL, "inode %llu would be cut", (unsigned long long)r->number);
    if (r->content || r->size == 0)
        err = make_empty(l, i);
    i->in.size = r->size;
    return err == 0 && r->content ? load_content_give(l, r->content, i) : err;
}

/* ---- the bytes of another file ---- */

/* Gives the file the items of another one, of the same tree. */
static int copy_items(struct load *l, const struct load_inode *from, const struct load_inode *to)
{
    static const enum item_type types[] = {ITEM_EXTENT, ITEM_SUBBLOCK, ITEM_HOLES};
    struct tree *t = &l->ns->tree;
    int err = 0;

    for (size_t k = 0; k < sizeof types / sizeof *types && err == 0; k++)
        err = items_copy(l->p, t, range_of_items(from->ino, types[k], 0), t, to->ino);
    return err;
}

static int share(struct load *l, struct load_inode *from, struct load_inode *to)
{
    const uint32_t items = from->in.flags & (INODE_EXTENTS | INODE_SUBBLOCKS | INODE_HOLES);
    int err = from->in.object ? refs_hold(l->p->refs, from->in.object) : 0;

    if (err < 0)
        return err;
    to->held = to->in.object = from->in.object;
    to->in.valid = from->in.valid;
    to->in.size = from->in.size;
    to->in.stored = from->in.stored;
    to->in.flags |= items;
    to->dirty = true;
    return items ? copy_items(l, from, to) : 0;
}

int load_share_take(struct load *l, const struct image_record *r)
{
    struct load_inode *from, *to;
    int err;
    LOAD_GUARD(l);

    err = load_inode_get(l, r->number, &to);
    if (err == 0)
        err = load_inode_get(l, r->content, &from);
    if (err == 0)
        err = load_inode_get(l, r->number, &to);
    if (err < 0)
        return err;
    if (!S_ISREG(from->in.mode) || !S_ISREG(to->in.mode) || to->in.size > 0 || from->ino == to->ino)
        return load_fail(l, -EINVAL, "inode %llu cannot have the bytes of inode %llu",
                         (unsigned long long)r->number, (unsigned long long)r->content);
    return share(l, from, to);
}

/* ---- patches ---- */

/* Loads what makes up the block, with holds. */
static int load_block(struct load *l, uint64_t number, uint64_t at, struct file_image *ret)
{
    struct diff_room room = {SIZE_MAX}; /* a block has few parts */
    struct load_inode *i;
    int err;
    LOAD_GUARD(l);

    err = load_inode_get(l, number, &i);
    if (err == 0 && (!S_ISREG(i->in.mode) || at >= i->in.size))
        return load_fail(l, -EINVAL, "inode %llu is patched behind its end",
                         (unsigned long long)number);
    return err == 0 ? file_image_load(&l->ns->tree, i->ino, &i->in, &at, 1, &room, ret) : err;
}

/* Makes the block the one to which pieces are applied. */
static int begin_patch(struct load *l, uint64_t number, uint64_t at)
{
    struct load_patch *c = &l->patch;
    struct file_image f = {0};
    int err = 0;

    if (!c->buf)
        c->buf = malloc(EXTENT_BLOCK);
    err = c->buf ? load_block(l, number, at, &f) : -ENOMEM;
    if (err == 0) {
        c->len = f.size - at < EXTENT_BLOCK ? (size_t)(f.size - at) : EXTENT_BLOCK;
        err = file_image_block(l->p, &f, at, c->buf, c->len);
    }
    file_image_release(l->p->refs, &f);
    if (err < 0)
        return err;
    c->number = number;
    c->at = at;
    return 0;
}

/* The bytes of the block that were stored, and the pages of it that were holes. */
static int old_stored(struct load *l, const struct load_inode *i, uint64_t at, uint64_t *ret)
{
    uint8_t buf[EXTENT_ITEM_LEN];
    struct extent e;
    uint32_t map = 0;
    size_t len;
    struct key k = key_make(i->ino, ITEM_EXTENT, at);
    int err =
        i->in.flags & INODE_EXTENTS ? tree_get(&l->ns->tree, k, buf, sizeof buf, &len) : -ENOENT;

    *ret = base_bytes(&i->in, at);
    if (err == 0)
        err = extent_decode(buf, len, &e);
    if (err == 0)
        *ret = e.valid;
    if (err < 0 && err != -ENOENT)
        return err;
    k = key_make(i->ino, ITEM_HOLES, at);
    err =
        i->in.flags & INODE_HOLES ? tree_get(&l->ns->tree, k, buf, HOLES_ITEM_LEN, &len) : -ENOENT;
    if (err == 0)
        err = holes_decode(k, buf, len, &map);
    *ret -= (uint64_t)__builtin_popcount(map) * FILE_PAGE;
    return err == -ENOENT ? 0 : err;
}

/* Lets an object override the block. The caller has a hold on it. */
static int put_block(struct load *l, uint64_t object)
{
    const struct load_patch *c = &l->patch;
    const struct extent e = {object, (uint32_t)c->len};
    const struct key from = {0};
    struct tree *t = &l->ns->tree;
    uint8_t item[EXTENT_ITEM_LEN];
    struct load_inode *i;
    struct key_range r = {from, from};
    uint64_t old = 0;
    int err;
    LOAD_GUARD(l);

    err = load_inode_get(l, c->number, &i);
    if (err == 0)
        err = old_stored(l, i, c->at, &old);
    if (err < 0)
        return err;
    extent_encode(&e, item);
    err = tree_put(t, key_make(i->ino, ITEM_EXTENT, c->at), item, sizeof item);
    for (unsigned k = 0; k < 2 && err == 0; k++) {
        const enum item_type type = k ? ITEM_HOLES : ITEM_SUBBLOCK;

        r.from = key_make(i->ino, type, c->at);
        r.to = key_make(i->ino, type, c->at + EXTENT_BLOCK);
        if (i->in.flags & (k ? INODE_HOLES : INODE_SUBBLOCKS))
            err = items_cut(l->p, t, r);
    }
    i->in.stored = inode_stored(&i->in) + c->len - old;
    i->in.flags |= INODE_EXTENTS;
    i->dirty = true;
    return err;
}

int load_patch_end(struct load *l)
{
    uint64_t object;
    int err;

    if (!l->patch.number)
        return 0;
    err = load_keep(l, l->patch.buf, l->patch.len, &object);
    if (err == 0) {
        err = put_block(l, object);
        refs_unhold(l->p->refs, object);
    }
    l->patch.number = 0;
    return err;
}

int load_patch_take(struct load *l, const struct image_record *r)
{
    struct load_patch *c = &l->patch;
    uint64_t at = block_start(r->offset);
    size_t from = (size_t)(r->offset - at);
    int err = 0;

    if (c->number && c->at != at)
        err = load_patch_end(l);
    if (err == 0 && !c->number)
        err = begin_patch(l, r->number, at);
    if (err < 0)
        return err;
    if (from + r->len > c->len)
        return load_fail(l, -EINVAL, "inode %llu is patched over the end of a block",
                         (unsigned long long)r->number);
    memcpy(c->buf + from, r->data, r->len);
    return 0;
}
