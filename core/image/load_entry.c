// SPDX-License-Identifier: Apache-2.0
/*
 * load_entry: the names of an image. A directory can have entries once it has a name, so each entry
 * is below the root; and a directory has one name, so there are no cycles.
 *
 * What a record removes may be a whole tree. It is worked off from its leaves, a few names at a
 * time, with no lock in between.
 */
#include "load_impl.h"
#include "vfs_dir.h"
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#define LINKS_MAX 65000   /* names of one file (vfs_name.c) */
#define REMOVE_AT_ONCE 64 /* names */
#define DEPTH_MAX 8192    /* directories above one that is moved */

/* The name of a record as a string. */
static struct load_name name_of(const struct image_record *r)
{
    struct load_name n;

    memcpy(n.s, r->name, r->name_len);
    n.s[r->name_len] = 0;
    return n;
}

/* ---- removing ---- */

/* One name less for an inode that the tree has; with the last one it goes. */
static int drop_link(struct load *l, uint64_t ino)
{
    struct tree *t = &l->ns->tree;
    struct inode in;
    int err = inode_load(t, ino, &in);

    if (err < 0)
        return err;
    if (S_ISDIR(in.mode) || in.nlink <= 1)
        return items_cut(l->p, t, range_of_inode(ino));
    in.nlink--;
    in.ctime = now(l->p);
    return inode_store(t, ino, &in);
}

/* A directory has lost an entry. The mtime of one of the stream is what the stream says. */
static int count_out(struct load *l, uint64_t dir_ino, bool subdir)
{
    struct inode dir;
    int err = inode_load(&l->ns->tree, dir_ino, &dir);

    if (err < 0)
        return err;
    dir.size--;
    dir.nlink -= subdir;
    load_touch(l, dir_ino, &dir);
    return inode_store(&l->ns->tree, dir_ino, &dir);
}

/* Removes an entry, which leads to no directory that has entries. */
static int remove_entry(struct load *l, uint64_t dir_ino, const struct load_name *name)
{
    int err = name_del(l->p, &l->ns->tree, name->key, name->s);

    if (err == 0)
        err = drop_link(l, name->ino);
    return err == 0 ? count_out(l, dir_ino, name->type == DT_DIR) : err;
}

/* Finds where a name leads, whose text is there. */
static int find_name(struct load *l, uint64_t dir_ino, struct load_name *name)
{
    return dirent_find(l->p, &l->ns->tree, dir_ino, name->s, &name->key, &name->ino, &name->type);
}

int load_first_entry(struct load *l, uint64_t dir_ino, struct key from, struct load_name *ret)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct dirent_item d;
    const void *val;
    size_t len;
    int err = tree_seek(&l->ns->tree, from, &c);

    while (err == 0 && item_is_counter(tree_cursor_key(&c)))
        err = tree_next(&c);
    if (err < 0)
        return err;
    ret->key = tree_cursor_key(&c);
    val = tree_cursor_value(&c, &len);
    err = key_ino(ret->key) != dir_ino || key_type(ret->key) != ITEM_DIRENT
              ? -ENOENT
              : dirent_decode(val, len, &d);
    if (err == 0) {
        memcpy(ret->s, d.name, d.name_len);
        ret->s[d.name_len] = 0;
        ret->ino = d.ino;
        ret->type = d.type;
    }
    tree_cursor_end(&c);
    return err;
}

/* Makes one step of removing what is in `top`: the first entry of *at goes, or if it is a directory
 * *at moves into it; out of an empty one it moves up. -ENOENT: `top` is empty. */
static int step(struct load *l, uint64_t top, uint64_t *at)
{
    struct inode dir;
    struct load_name name;
    int err = load_first_entry(l, *at, key_make(*at, ITEM_DIRENT, 0), &name);

    if (err == -ENOENT && *at != top) {
        err = inode_load(&l->ns->tree, *at, &dir);
        if (err == 0)
            *at = dir.parent; /* whose first entry is this directory, which is empty now */
        if (err == 0)
            err = load_first_entry(l, *at, key_make(*at, ITEM_DIRENT, 0), &name);
        return err == 0 ? remove_entry(l, *at, &name) : err;
    }
    if (err == 0 && name.type == DT_DIR) {
        *at = name.ino;
        return 0;
    }
    return err == 0 ? remove_entry(l, *at, &name) : err;
}

/* Removes all that is in a directory. The caller holds no lock. */
static int empty_directory(struct load *l, uint64_t top)
{
    uint64_t at = top;
    int err = 0;

    while (err == 0) {
        err = load_wait(l);
        LOAD_GUARD(l);
        for (unsigned i = 0; err == 0 && i < REMOVE_AT_ONCE; i++)
            err = step(l, top, &at);
    }
    return err == -ENOENT ? 0 : err;
}

int load_remove_below(struct load *l, uint64_t dir_ino, const struct load_name *name)
{
    int err = name->type == DT_DIR ? empty_directory(l, name->ino) : 0;

    if (err < 0)
        return err;
    LOAD_GUARD(l);
    return remove_entry(l, dir_ino, name);
}

/* Finds the entry of a record in the tree, which has all of the cache afterwards. *ret_dir is the
 * inode of the directory. -ENOENT: there is none, and the cache stays. */
static int look(struct load *l, const struct image_record *r, uint64_t *ret_dir,
                struct load_name *name)
{
    struct load_inode *dir;
    int err = load_inode_get(l, r->parent, &dir);

    if (err < 0)
        return err;
    *ret_dir = dir->ino;
    err = find_name(l, *ret_dir, name);
    return err < 0 ? err : load_inodes_forget(l);
}

int load_remove_take(struct load *l, const struct image_record *r)
{
    struct load_name name = name_of(r);
    uint64_t dir = 0;
    int err;

    {
        LOAD_GUARD(l);
        err = look(l, r, &dir, &name);
    }
    if (err < 0)
        return err == -ENOENT ? 0 : err;
    return load_remove_below(l, dir, &name);
}

/* An inode of the base loses a name, and is not removed if that was the last one: it waits for
 * another. */
static int unlink_base(struct load *l, const struct image_record *r, struct load_name *name)
{
    struct inode in;
    uint64_t dir;
    int err = look(l, r, &dir, name);

    if (err == -ENOENT || (err == 0 && name->ino != load_ino_of(l, r->number)))
        return load_fail(l, -EINVAL, "inode %llu of the base does not have that name",
                         (unsigned long long)r->number);
    if (err == 0)
        err = inode_load(&l->ns->tree, name->ino, &in);
    if (err == 0)
        err = name_del(l->p, &l->ns->tree, name->key, name->s);
    if (err < 0)
        return err;
    if (S_ISDIR(in.mode))
        in.parent = 0;
    else
        in.nlink--;
    in.ctime = now(l->p);
    l->unnamed += S_ISDIR(in.mode) || in.nlink == 0;
    err = inode_store(&l->ns->tree, name->ino, &in);
    return err == 0 ? count_out(l, dir, S_ISDIR(in.mode)) : err;
}

int load_unlink_take(struct load *l, const struct image_record *r)
{
    struct load_name name = name_of(r);
    LOAD_GUARD(l);

    return unlink_base(l, r, &name);
}

/* ---- adding ---- */

/* The name of the way to the control file, at the top of a namespace that is mounted by itself. */
static bool is_reserved(const char *name, size_t len)
{
    return len == strlen(".tally") && !memcmp(name, ".tally", len);
}

/* May the entry stand there? */
static int check(struct load *l, const struct image_record *r, const struct load_inode *dir,
                 const struct load_inode *i)
{
    if (!S_ISDIR(dir->in.mode) || dir->in.parent == 0)
        return load_fail(l, -EINVAL, "inode %llu has an entry, and is no directory with a name",
                         (unsigned long long)r->parent);
    if (load_ino_of(l, r->parent) == NS_ROOT_INO && is_reserved(r->name, r->name_len))
        return load_fail(l, -EINVAL, "'.tally' is a name of tallyfs at the top of a namespace");
    if (S_ISDIR(i->in.mode) && i->in.parent)
        return load_fail(l, -EINVAL, "directory %llu has two names", (unsigned long long)r->number);
    if (!S_ISDIR(i->in.mode) && i->in.nlink >= LINKS_MAX)
        return load_fail(l, -EMLINK, "a file has more than %d names", LINKS_MAX);
    return 0;
}

/* Is there a way from the root to the directory that gets an entry, not through the directory of
 * the base that the entry leads to? A new directory cannot be on the way: it has no name yet. */
static int check_way(struct load *l, const struct image_record *r)
{
    const uint64_t self = load_ino_of(l, r->number);
    uint64_t at = load_ino_of(l, r->parent);
    struct inode in;
    int err = load_inodes_forget(l);

    for (unsigned depth = 0; err == 0 && at != NS_ROOT_INO; depth++) {
        if (at == self || at == 0 || depth > DEPTH_MAX)
            return load_fail(l, -EINVAL, "directory %llu would not be below the root",
                             (unsigned long long)r->number);
        err = inode_load(&l->ns->tree, at, &in);
        at = err == 0 ? in.parent : at;
    }
    return err;
}

/* May the inode of the record take the place of what has the name? */
static int check_taken(struct load *l, const struct image_record *r, bool is_dir,
                       const struct load_name *name)
{
    bool old = load_is_old(l, name->ino) && !load_is_met(l, name->ino), is_there;
    uint64_t implied;

    is_there = name->type == DT_DIR;
    if (!is_dir && !is_there)
        return 0;
    if (!old)
        return load_fail(l, -EEXIST, "a directory and another entry of the stream have one name");
    if (!is_dir)
        return load_fail(l, -EISDIR, "'%s' is a directory there, and a file in the source",
                         name->s);
    if (!map64_get(&l->implied, r->number, &implied))
        return 0;
    return load_fail(l, -ENOTDIR, "'%s' is no directory there, and has files in the source",
                     name->s);
}

/* The name is taken: what has it goes, unless one of the two is a directory. 1: it leads to that
 * inode already, or to a directory that this one becomes. */
static int replace(struct load *l, const struct image_record *r, struct load_name *name)
{
    uint64_t dir = 0, ours = 0;
    struct load_inode *i;
    bool is_dir = false;
    int err = load_inode_get(l, r->number, &i);

    if (err == 0) {
        is_dir = S_ISDIR(i->in.mode);
        ours = i->ino;
    }
    if (err == 0)
        err = look(l, r, &dir, name);
    if (err < 0 || name->ino == ours)
        return err < 0 ? err : 1;
    if (is_dir && name->type == DT_DIR && load_is_old(l, name->ino) && !load_is_met(l, name->ino)) {
        err = load_meet(l, r->number, name->ino);
        return err < 0 ? err : 1;
    }
    err = check_taken(l, r, is_dir, name);
    return err < 0 ? err : remove_entry(l, dir, name);
}

static void count_name(struct load *l, struct load_inode *dir, struct load_inode *i)
{
    const bool is_dir = S_ISDIR(i->in.mode), first = is_dir || i->in.nlink == 0;

    dir->in.size++;
    dir->in.nlink += is_dir;
    load_touch(l, dir->ino, &dir->in);
    dir->dirty = i->dirty = true;
    if (is_dir)
        i->in.parent = dir->ino;
    else
        i->in.nlink++;
    if (!first)
        return;
    l->unnamed--;
    l->result.inodes++;
    l->result.files += S_ISREG(i->in.mode);
}

/* Puts the entry. -EEXIST: the name is taken. */
static int put_entry(struct load *l, const struct image_record *r, struct load_name *name)
{
    struct load_inode *dir, *i;
    int err = load_inode_get(l, r->number, &i);

    if (err == 0 && S_ISDIR(i->in.mode) && load_is_of_base(l, r->number))
        err = check_way(l, r);
    if (err == 0)
        err = load_inode_get(l, r->parent, &dir);
    if (err == 0)
        err = load_inode_get(l, r->number, &i);
    if (err == 0)
        err = check(l, r, dir, i);
    if (err == 0)
        err = find_name(l, dir->ino, name);
    if (err != -ENOENT)
        return err == 0 ? -EEXIST : err;
    err = dirent_put(l->p, &l->ns->tree, name->key, i->ino, i->in.mode, name->s);
    if (err == 0)
        count_name(l, dir, i);
    return err;
}

int load_entry_take(struct load *l, const struct image_record *r)
{
    struct load_name name = name_of(r);
    int err;
    LOAD_GUARD(l);

    err = put_entry(l, r, &name);
    if (err == -EEXIST) {
        err = replace(l, r, &name);
        if (err == 0)
            err = put_entry(l, r, &name);
    }
    return err < 0 ? err : 0;
}
