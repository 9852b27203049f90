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

/* The name as a string. */
struct name {
    char s[ITEM_NAME_MAX + 1];
};

static struct name name_of(const struct image_record *r)
{
    struct name n;

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

/* A directory has lost an entry. Its mtime is what the stream says. */
static int count_out(struct load *l, uint64_t dir_ino, bool subdir)
{
    struct inode dir;
    int err = inode_load(&l->ns->tree, dir_ino, &dir);

    if (err < 0)
        return err;
    dir.size--;
    dir.nlink -= subdir;
    return inode_store(&l->ns->tree, dir_ino, &dir);
}

/* Removes an entry, which leads to no directory that has entries. */
static int remove_entry(struct load *l, uint64_t dir_ino, struct key k, const char *name,
                        uint64_t ino, unsigned type)
{
    int err = name_del(l->p, &l->ns->tree, k, name);

    if (err == 0)
        err = drop_link(l, ino);
    return err == 0 ? count_out(l, dir_ino, type == DT_DIR) : err;
}

/* The first entry of a directory. -ENOENT: it has none. */
static int first_entry(struct load *l, uint64_t dir_ino, struct key *ret_key, struct name *ret_name,
                       uint64_t *ret_ino, unsigned *ret_type)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct dirent_item d;
    const void *val;
    size_t len;
    int err = tree_seek(&l->ns->tree, key_make(dir_ino, ITEM_DIRENT, 0), &c);

    while (err == 0 && item_is_counter(tree_cursor_key(&c)))
        err = tree_next(&c);
    if (err < 0)
        return err;
    *ret_key = tree_cursor_key(&c);
    val = tree_cursor_value(&c, &len);
    err = key_ino(*ret_key) != dir_ino || key_type(*ret_key) != ITEM_DIRENT
              ? -ENOENT
              : dirent_decode(val, len, &d);
    if (err == 0) {
        memcpy(ret_name->s, d.name, d.name_len);
        ret_name->s[d.name_len] = 0;
        *ret_ino = d.ino;
        *ret_type = d.type;
    }
    tree_cursor_end(&c);
    return err;
}

/* Makes one step of removing what is in `top`: the first entry of *at goes, or if it is a directory
 * *at moves into it; out of an empty one it moves up. -ENOENT: `top` is empty. */
static int step(struct load *l, uint64_t top, uint64_t *at)
{
    struct inode dir;
    struct name name;
    struct key k;
    uint64_t ino;
    unsigned type;
    int err = first_entry(l, *at, &k, &name, &ino, &type);

    if (err == -ENOENT && *at != top) {
        err = inode_load(&l->ns->tree, *at, &dir);
        if (err == 0)
            *at = dir.parent; /* whose first entry is this directory, which is empty now */
        if (err == 0)
            err = first_entry(l, *at, &k, &name, &ino, &type);
        return err == 0 ? remove_entry(l, *at, k, name.s, ino, type) : err;
    }
    if (err == 0 && type == DT_DIR) {
        *at = ino;
        return 0;
    }
    return err == 0 ? remove_entry(l, *at, k, name.s, ino, type) : err;
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

/* Finds the entry of a record in the tree, which has all of the cache afterwards. *ret_dir is the
 * inode of the directory. -ENOENT: there is none. */
static int look(struct load *l, const struct image_record *r, const char *name, uint64_t *ret_dir,
                struct key *ret_key, uint64_t *ret_ino, unsigned *ret_type)
{
    struct load_inode *dir;
    int err = load_inode_get(l, r->parent, &dir);

    if (err < 0)
        return err;
    *ret_dir = dir->ino;
    err = load_inodes_forget(l);
    return err < 0 ? err
                   : dirent_find(l->p, &l->ns->tree, *ret_dir, name, ret_key, ret_ino, ret_type);
}

int load_remove_take(struct load *l, const struct image_record *r)
{
    struct name name = name_of(r);
    struct key k;
    uint64_t dir = 0, ino = 0;
    unsigned type = 0;
    int err;

    {
        LOAD_GUARD(l);
        err = look(l, r, name.s, &dir, &k, &ino, &type);
    }
    if (err == 0 && type == DT_DIR)
        err = empty_directory(l, ino);
    if (err < 0)
        return err == -ENOENT ? 0 : err;
    LOAD_GUARD(l);
    err = dirent_find(l->p, &l->ns->tree, dir, name.s, &k, &ino, &type);
    return err == 0 ? remove_entry(l, dir, k, name.s, ino, type) : err;
}

/* ---- adding ---- */

/* May the entry stand there? */
static int check(struct load *l, const struct image_record *r, const struct load_inode *dir,
                 const struct load_inode *i)
{
    if (!S_ISDIR(dir->in.mode) || dir->in.parent == 0)
        return load_fail(l, -EINVAL, "inode %llu has an entry, and is no directory with a name",
                         (unsigned long long)r->parent);
    if (S_ISDIR(i->in.mode) && i->in.parent)
        return load_fail(l, -EINVAL, "directory %llu has two names", (unsigned long long)r->number);
    if (!S_ISDIR(i->in.mode) && i->in.nlink >= LINKS_MAX)
        return load_fail(l, -EMLINK, "a file has more than %d names", LINKS_MAX);
    return 0;
}

/* The name is taken: what has it goes, unless one of the two is a directory. 1: it leads to that
 * inode already. */
static int replace(struct load *l, const struct image_record *r, const char *name)
{
    struct key k;
    uint64_t dir, ino, ours = 0;
    unsigned type;
    struct load_inode *i;
    bool is_dir = false;
    int err = load_inode_get(l, r->number, &i);

    if (err == 0) {
        is_dir = S_ISDIR(i->in.mode);
        ours = i->ino;
    }
    if (err == 0)
        err = look(l, r, name, &dir, &k, &ino, &type);
    if (err < 0 || ino == ours)
        return err < 0 ? err : 1;
    if (type == DT_DIR || is_dir)
        return load_fail(l, -EEXIST, "a directory and another entry of the stream have one name");
    return remove_entry(l, dir, k, name, ino, type);
}

static void count_name(struct load *l, struct load_inode *dir, struct load_inode *i)
{
    const bool is_dir = S_ISDIR(i->in.mode), first = is_dir || i->in.nlink == 0;

    dir->in.size++;
    dir->in.nlink += is_dir;
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
static int put_entry(struct load *l, const struct image_record *r, const char *name)
{
    struct load_inode *dir, *i;
    struct key k;
    uint64_t ino;
    unsigned type;
    int err = load_inode_get(l, r->parent, &dir);

    if (err == 0)
        err = load_inode_get(l, r->number, &i);
    if (err == 0)
        err = check(l, r, dir, i);
    if (err == 0)
        err = dirent_find(l->p, &l->ns->tree, dir->ino, name, &k, &ino, &type);
    if (err != -ENOENT)
        return err == 0 ? -EEXIST : err;
    err = dirent_put(l->p, &l->ns->tree, k, i->ino, i->in.mode, name);
    if (err == 0)
        count_name(l, dir, i);
    return err;
}

int load_entry_take(struct load *l, const struct image_record *r)
{
    struct name name = name_of(r);
    int err;
    LOAD_GUARD(l);

    err = put_entry(l, r, name.s);
    if (err == -EEXIST) {
        err = replace(l, r, name.s);
        if (err == 0)
            err = put_entry(l, r, name.s);
    }
    return err < 0 ? err : 0;
}
