// SPDX-License-Identifier: Apache-2.0
/*
 * merge_apply: see the header. The tree that is changed is a branch of the one that was there,
 * which is held until all has succeeded. Inodes that go come last: some are open, and move to the
 * orphans, which cannot be taken back.
 */
#include "merge_apply.h"
#include "merge_twins.h"
#include "drop.h"
#include "vfs_dir.h"
#include <dirent.h>
#include <sys/stat.h>

struct applying {
    struct state *p;
    struct txn *t;
    const struct merge_sides *s;
    const struct merge_plan *m;
    struct tree *tree; /* of ours */
};

/* ---- inodes ---- */

/* Flags of an inode that say what is in its other items, and belong to its content. */
#define CONTENT_FLAGS ((uint32_t)(INODE_EXTENTS | INODE_SUBBLOCKS | INODE_HOLES))

/* The number that an inode of ours has in theirs. */
static uint64_t in_theirs(const struct applying *a, uint64_t ino)
{
    return merge_twins_in_theirs(a->m, ino);
}

/* Copies the items of one type from theirs. */
static int copy_type(struct applying *a, uint64_t ino, enum item_type type)
{
    return items_copy(a->p, &a->s->theirs->tree, range_of_items(in_theirs(a, ino), type, 0),
                      a->tree, ino);
}

static int cut_type(struct applying *a, uint64_t ino, enum item_type type)
{
    return items_cut(a->p, a->tree, range_of_items(ino, type, 0));
}

/* Copies what belongs to the content of `in`, an inode of theirs, beside the inode itself. */
static int copy_content(struct applying *a, uint64_t ino, const struct inode *in)
{
    int err = S_ISLNK(in->mode) ? copy_type(a, ino, ITEM_SYMLINK) : 0;

    if (err == 0 && in->flags & INODE_EXTENTS)
        err = copy_type(a, ino, ITEM_EXTENT);
    if (err == 0 && in->flags & INODE_SUBBLOCKS)
        err = copy_type(a, ino, ITEM_SUBBLOCK);
    if (err == 0 && in->flags & INODE_HOLES)
        err = copy_type(a, ino, ITEM_HOLES);
    return err;
}

static int cut_content(struct applying *a, uint64_t ino, const struct inode *in)
{
    int err = S_ISLNK(in->mode) ? cut_type(a, ino, ITEM_SYMLINK) : 0;

    if (err == 0 && in->flags & INODE_EXTENTS)
        err = cut_type(a, ino, ITEM_EXTENT);
    if (err == 0 && in->flags & INODE_SUBBLOCKS)
        err = cut_type(a, ino, ITEM_SUBBLOCK);
    if (err == 0 && in->flags & INODE_HOLES)
        err = cut_type(a, ino, ITEM_HOLES);
    return err;
}

/* A new inode: all that theirs has of it. Its names are counted afterwards. */
static int add_inode(struct applying *a, uint64_t ino)
{
    struct inode in;
    int err = inode_load(&a->s->theirs->tree, ino, &in);

    if (err < 0)
        return err;
    in.nlink = S_ISDIR(in.mode) ? 2 : 0;
    if (S_ISDIR(in.mode))
        in.size = 0;
    in.ctime = now(a->p);
    err = inode_store(a->tree, ino, &in);
    if (err == 0)
        err = copy_content(a, ino, &in);
    if (err == 0 && in.flags & INODE_XATTRS)
        err = copy_type(a, ino, ITEM_XATTR);
    if (err == 0)
        ns_saw_ino(a->p, a->s->ours, ino);
    return err;
}

/* Replaces the content of an inode by that of theirs. */
static int take_content(struct applying *a, uint64_t ino, struct inode *in,
                        const struct inode *theirs)
{
    int err = cut_content(a, ino, in);

    if (err < 0)
        return err;
    in->mode = (in->mode & 07777) | (theirs->mode & S_IFMT);
    in->rdev = theirs->rdev;
    in->size = theirs->size;
    in->object = theirs->object;
    in->valid = theirs->valid;
    in->stored = theirs->stored;
    in->flags = (in->flags & ~CONTENT_FLAGS) | (theirs->flags & CONTENT_FLAGS);
    in->mtime = theirs->mtime;
    return copy_content(a, ino, theirs);
}

static int take_xattrs(struct applying *a, uint64_t ino, struct inode *in,
                       const struct inode *theirs)
{
    int err = in->flags & INODE_XATTRS ? cut_type(a, ino, ITEM_XATTR) : 0;

    in->flags = (in->flags & ~(uint32_t)INODE_XATTRS) | (theirs->flags & INODE_XATTRS);
    return err == 0 && theirs->flags & INODE_XATTRS ? copy_type(a, ino, ITEM_XATTR) : err;
}

/* Copies the item of an attribute of theirs. *ret_len is 0 if it has none. */
static int load_xattr(struct applying *a, uint64_t ino, const char *name, uint8_t *buf,
                      size_t *ret_len)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct key k;
    const void *val;
    int err = name_find(a->p, &a->s->theirs->tree, in_theirs(a, ino), ITEM_XATTR, name, &k, &c);

    *ret_len = 0;
    if (err < 0)
        return err == -ENOENT ? 0 : err;
    val = tree_cursor_value(&c, ret_len);
    memcpy(buf, val, *ret_len);
    tree_cursor_end(&c);
    return 0;
}

/* One attribute becomes as theirs has it. */
static int take_xattr(struct applying *a, uint64_t ino, const char *name)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    uint8_t buf[XATTR_ITEM_MAX];
    struct key k;
    size_t len;
    int err = load_xattr(a, ino, name, buf, &len), found;

    if (err < 0)
        return err;
    found = name_find(a->p, a->tree, ino, ITEM_XATTR, name, &k, &c);
    tree_cursor_end(&c);
    if (found < 0 && found != -ENOENT)
        return found;
    if (len)
        return name_put(a->p, a->tree, k, name, buf, len);
    return found == 0 ? name_del(a->p, a->tree, k, name) : 0;
}

/* Some attributes become as theirs has them. */
static int take_some_xattrs(struct applying *a, const struct merge_inode *i, struct inode *in)
{
    int err = 0;

    for (size_t n = 0; n < i->xattr_count && err == 0; n++)
        err = take_xattr(a, i->ino, a->m->xattrs[i->first_xattr + n].name);
    in->flags &= ~(uint32_t)INODE_XATTRS;
    if (items_any(a->tree, range_of_items(i->ino, ITEM_XATTR, 0)))
        in->flags |= INODE_XATTRS;
    return err;
}

/* Has one side that set-id bit for the content and the owner, or group, that the file gets? */
static bool gives_right(const struct merge_inode *i, uint32_t bit, const struct inode *ours,
                        const struct inode *theirs, bool same_as_ours, bool same_as_theirs)
{
    return (!i->content && ours->mode & bit && same_as_ours) ||
           (!i->own && theirs->mode & bit && same_as_theirs);
}

/* The mode that the inode gets, with the owner and the group that it gets. A file has no set-id bit
 * that not one of the sides has together with both its content and its owner, or group: so no merge
 * makes a program with somebody's rights of the bytes of another one, nor one with the rights of
 * another one of what its owner has marked. */
static uint32_t merged_mode(const struct merge_inode *i, const struct inode *ours,
                            const struct inode *theirs, uint32_t uid, uint32_t gid)
{
    uint32_t mode = i->mode ? (ours->mode & S_IFMT) | (theirs->mode & 07777) : ours->mode;

    if (!S_ISREG(ours->mode))
        return mode;
    if (!gives_right(i, S_ISUID, ours, theirs, ours->uid == uid, theirs->uid == uid))
        mode &= ~(uint32_t)S_ISUID;
    if (!gives_right(i, S_ISGID, ours, theirs, ours->gid == gid, theirs->gid == gid))
        mode &= ~(uint32_t)S_ISGID;
    return mode;
}

static int change_inode(struct applying *a, const struct merge_inode *i)
{
    struct inode in, theirs;
    int err = inode_load(a->tree, i->ino, &in);

    if (err == 0)
        err = inode_load(&a->s->theirs->tree, in_theirs(a, i->ino), &theirs);
    if (err < 0)
        return err;
    const uint32_t uid = i->uid ? theirs.uid : in.uid, gid = i->gid ? theirs.gid : in.gid;

    in.mode = merged_mode(i, &in, &theirs, uid, gid);
    in.uid = uid;
    in.gid = gid;
    if (i->mtime)
        in.mtime = theirs.mtime;
    if (i->content)
        err = take_content(a, i->ino, &in, &theirs);
    if (err == 0 && i->xattrs)
        err = take_xattrs(a, i->ino, &in, &theirs);
    if (err == 0 && i->xattr_count)
        err = take_some_xattrs(a, i, &in);
    in.ctime = now(a->p);
    return err < 0 ? err : inode_store(a->tree, i->ino, &in);
}

/* ---- names ---- */

static int change_name(struct applying *a, const struct merge_name *n)
{
    struct inode in;
    struct key k;
    uint64_t ino;
    unsigned type;
    int err;

    if (!n->was && !n->becomes)
        return 0;
    err = dirent_find(a->p, a->tree, n->parent, n->name, &k, &ino, &type);
    if (err < 0 && !(err == -ENOENT && !n->was))
        return err;
    if (!n->becomes)
        return name_del(a->p, a->tree, k, n->name);
    err = inode_load(a->tree, n->becomes, &in);
    return err < 0 ? err : dirent_put(a->p, a->tree, k, n->becomes, in.mode, n->name);
}

static int change_dir(struct applying *a, const struct merge_dir *d)
{
    struct inode in;
    int err = inode_load(a->tree, d->ino, &in);

    if (err < 0 || (d->entries == 0 && d->subdirs == 0))
        return err == -ESTALE ? 0 : err;      /* one that ours does not get */
    in.size += (uint64_t)(int64_t)d->entries; /* when it was modified the plan has decided */
    in.nlink += (uint32_t)d->subdirs;
    in.ctime = now(a->p);
    return inode_store(a->tree, d->ino, &in);
}

/* Counts the names of an inode anew, if it keeps any. */
static int change_links(struct applying *a, const struct merge_links *l)
{
    struct inode in;
    int err = l->plus || l->minus ? inode_load(a->tree, l->ino, &in) : -ESTALE;

    if (err < 0)
        return err == -ESTALE ? 0 : err;
    if (l->dir && l->plus)
        in.parent = l->parent;
    if (!l->dir)
        in.nlink = in.nlink + l->plus - l->minus;
    else if (l->minus > l->plus)
        in.nlink = 0;
    in.ctime = now(a->p);
    return inode_store(a->tree, l->ino, &in);
}

/* Removes the inode if it has no name any more. */
static int remove_inode(struct applying *a, const struct merge_links *l)
{
    struct inode in;
    bool moved = false;
    int err = l->minus ? inode_load(a->tree, l->ino, &in) : -ESTALE;

    if (err < 0 || in.nlink)
        return err == -ESTALE ? 0 : err;
    err = orphan_adopt(a->p, a->s->ours, l->ino, &moved);
    return err < 0 || moved ? err : items_cut(a->p, a->tree, range_of_inode(l->ino));
}

/* ---- all of it ---- */

/* How many steps can be taken back: those before inodes go. */
static size_t steps_back(const struct merge_plan *m)
{
    return m->inode_count + m->name_count + m->dir_count + m->link_count;
}

size_t merge_apply_steps(const struct merge_plan *m)
{
    return steps_back(m) + m->link_count;
}

/* Does step number `i`: first all inodes, then all names, and so on. */
static int do_step(struct applying *a, size_t i)
{
    const struct merge_plan *m = a->m;

    if (i < m->inode_count)
        return m->inodes[i].is_new ? add_inode(a, m->inodes[i].ino)
                                   : change_inode(a, &m->inodes[i]);
    i -= m->inode_count;
    if (i < m->name_count)
        return change_name(a, &m->names[i]);
    i -= m->name_count;
    if (i < m->dir_count)
        return change_dir(a, &m->dirs[i]);
    i -= m->dir_count;
    return i < m->link_count ? change_links(a, &m->links[i])
                             : remove_inode(a, &m->links[i - m->link_count]);
}

static int do_steps(struct applying *a, size_t from, size_t to)
{
    int err = 0;

    for (size_t i = from; i < to && err == 0; i++)
        err = do_step(a, i);
    return err;
}

int merge_apply_some(struct txn *t, const struct merge_sides *s, const struct merge_plan *m,
                     size_t from, size_t to)
{
    struct applying a = {t->p, t, s, m, &s->ours->tree};

    return do_steps(&a, from, to);
}

void merge_leave_undo(struct state *p, struct ns *ours, const struct merge_plan *m)
{
    for (size_t i = 0; i < m->inode_count; i++)
        if (m->inodes[i].left)
            inode_renew_undo(p, ours, m->inodes[i].ino, m->inodes[i].left);
}

int merge_leave(struct txn *t, struct ns *ours, const struct merge_plan *m)
{
    int err = 0;

    for (size_t i = 0; i < m->inode_count && err == 0; i++)
        err = m->inodes[i].left ? inode_renew(t->p, ours, m->inodes[i].ino) : 0;
    if (err < 0)
        merge_leave_undo(t->p, ours, m);
    return err;
}

int merge_apply(struct txn *t, const struct merge_sides *s, const struct merge_plan *m)
{
    struct applying a = {t->p, t, s, m, &s->ours->tree};
    struct tree before = {.pages = a.tree->pages, .refs = a.tree->refs};
    int err = tree_branch(a.tree, &before);

    if (err < 0)
        return err;
    err = merge_leave(t, s->ours, m);
    if (err == 0)
        err = do_steps(&a, 0, steps_back(m));
    if (err < 0) {
        (void)drops_push(a.p->drops, a.tree->root);
        a.tree->root = before.root;
        a.tree->usage = before.usage;
        merge_leave_undo(a.p, s->ours, m);
        capture_forget(t);
        return err;
    }
    err = do_steps(&a, steps_back(m), merge_apply_steps(m));
    if (err < 0)
        state_turn_readonly(a.p, "a merge", err);
    (void)drops_push(a.p->drops, before.root);
    return err;
}
