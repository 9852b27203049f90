// SPDX-License-Identifier: Apache-2.0
/*
 * load_met: a stream that is loaded into a tree that is there. A directory of the stream is an
 * inode of its own until its first name comes; if that leads to a directory that was there, the
 * stream's one becomes that, and is forgotten. So inodes that were there are changed only if the
 * stream has met them: each of them is a directory, and is reached from the one that the stream is
 * put at by names that the stream has.
 */
#include "load_impl.h"
#include "array.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

bool load_is_met(const struct load *l, uint64_t ino)
{
    uint64_t described;

    return map64_get(&l->described, ino, &described);
}

int load_note_implied(struct load *l, const struct image_record *r)
{
    if (!l->first || !S_ISDIR(r->mode))
        return 0;
    if (r->implied)
        return map64_put(&l->implied, r->number, true);
    (void)map64_del(&l->implied, r->number);
    return 0;
}

void load_touch(struct load *l, uint64_t ino, struct inode *in)
{
    uint64_t described = false;

    if (!load_is_old(l, ino))
        return;
    in->ctime = now(l->p);
    if (!map64_get(&l->described, ino, &described) || !described)
        in->mtime = in->ctime;
}

/* The directory loses its extended attributes, since the stream says which it has. */
static int cut_xattrs(struct load *l, uint64_t ino, struct inode *in)
{
    in->flags &= ~(uint32_t)INODE_XATTRS;
    return items_cut(l->p, &l->ns->tree, range_of_items(ino, ITEM_XATTR, 0));
}

int load_describe(struct load *l, const struct image_record *r, struct load_inode *i)
{
    uint64_t described = false;
    int err = 0;

    if (r->implied)
        return 0;
    if (!map64_get(&l->described, i->ino, &described) || !described)
        err = cut_xattrs(l, i->ino, &i->in);
    if (err == 0)
        err = map64_put(&l->described, i->ino, true);
    load_set_attributes(l, r, &i->in);
    i->dirty = true;
    return err;
}

/* Gives the directory `ino` the attributes of `from`, an inode of the stream. */
static int take_attributes(struct load *l, uint64_t from, const struct inode *in, uint64_t ino)
{
    struct tree *t = &l->ns->tree;
    struct inode old;
    int err = inode_load(t, ino, &old);

    if (err == 0)
        err = cut_xattrs(l, ino, &old);
    if (err == 0 && in->flags & INODE_XATTRS)
        err = items_copy(l->p, t, range_of_items(from, ITEM_XATTR, 0), t, ino);
    if (err < 0)
        return err;
    old.flags |= in->flags & INODE_XATTRS;
    old.mode = in->mode;
    old.uid = in->uid;
    old.gid = in->gid;
    old.mtime = in->mtime;
    old.ctime = now(l->p);
    return inode_store(t, ino, &old);
}

int load_meet(struct load *l, uint64_t number, uint64_t ino)
{
    uint64_t value, own;
    bool implied = map64_get(&l->implied, number, &value);
    struct load_inode *i;
    struct inode in;
    int err = load_inode_get(l, number, &i);

    if (err < 0)
        return err;
    in = i->in;
    own = i->ino;
    err = load_inodes_forget(l);
    if (err == 0 && !implied)
        err = take_attributes(l, own, &in, ino);
    if (err == 0)
        err = items_cut(l->p, &l->ns->tree, range_of_inode(own));
    if (err == 0)
        err = map64_put(&l->met, number, ino);
    if (err == 0)
        err = map64_put(&l->described, ino, !implied);
    l->unnamed--;
    l->result.inodes++;
    return err;
}

/* ---- opaque directories ---- */

/* Directories that were there and of which the old content goes. */
struct dirs {
    uint64_t *ino;
    size_t count, room;
};

static int push(struct dirs *d, uint64_t ino)
{
    if (ARRAY_RESERVE(d->ino, d->room, d->count + 1) < 0)
        return -ENOMEM;
    d->ino[d->count++] = ino;
    return 0;
}

/* Finds the next entry of a directory, from *from on, that is to go. Directories that stay are
 * pushed: what was there below them goes, too. -ENOENT: there is none. */
static int next_old(struct load *l, uint64_t dir, struct key *from, struct dirs *d,
                    struct load_name *ret)
{
    int err;
    LOAD_GUARD(l);

    err = load_inodes_forget(l);
    while (err == 0) {
        err = load_first_entry(l, dir, *from, ret);
        if (err < 0)
            return err;
        *from = (struct key){ret->key.hi, ret->key.lo + 1};
        if (!load_is_old(l, ret->ino))
            continue;
        if (!load_is_met(l, ret->ino))
            return 0;
        err = push(d, ret->ino);
    }
    return err;
}

static int clear_old(struct load *l, uint64_t dir, struct dirs *d)
{
    struct key from = key_make(dir, ITEM_DIRENT, 0);
    struct load_name name;
    int err = 0;

    while (err == 0) {
        err = load_wait(l);
        if (err == 0)
            err = next_old(l, dir, &from, d, &name);
        if (err == 0)
            err = load_remove_below(l, dir, &name);
    }
    return err == -ENOENT ? 0 : err;
}

/* Finds the directory of the record. */
static int find_directory(struct load *l, const struct image_record *r, uint64_t *ret_ino)
{
    struct load_inode *i;
    int err;
    LOAD_GUARD(l);

    err = load_inode_get(l, r->number, &i);
    if (err < 0)
        return err;
    *ret_ino = i->ino;
    return S_ISDIR(i->in.mode) ? 0
                               : load_fail(l, -EINVAL, "inode %llu is opaque, and no directory",
                                           (unsigned long long)r->number);
}

int load_opaque_take(struct load *l, const struct image_record *r)
{
    struct dirs d = {0};
    uint64_t ino;
    int err = find_directory(l, r, &ino);

    if (err == 0 && load_is_old(l, ino))
        err = push(&d, ino);
    while (err == 0 && d.count > 0)
        err = clear_old(l, d.ino[--d.count], &d);
    free(d.ino);
    return err;
}
