// SPDX-License-Identifier: Apache-2.0
/*
 * load_target: the directory of a draft that a stream is put at. It is found in the tree, name by
 * name, and no symlink is followed: so it is in the namespace.
 */
#include "load_impl.h"
#include "vfs_dir.h"
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

/* The next name behind *at, without "." and empty ones. Returns its length; 0: there is none. */
static size_t next_name(const char **at, const char **ret)
{
    size_t len;

    do {
        *at += strspn(*at, "/");
        *ret = *at;
        len = strcspn(*at, "/");
        *at += len;
    } while (len == 1 && **ret == '.');
    return len;
}

/* Makes a directory. Its attributes become those of the stream's root. */
static int make_directory(struct load *l, uint64_t parent, struct key k, const char *name)
{
    struct tree *t = &l->ns->tree;
    struct inode dir, in = {.mode = S_IFDIR | 0755, .nlink = 2, .parent = parent};
    int err = inode_load(t, parent, &dir);

    if (err == 0)
        err = ns_need_ino(l->p, l->ns);
    if (err < 0)
        return err;
    l->root = ns_give_ino(l->ns);
    in.atime = in.mtime = in.ctime = in.btime = now(l->p);
    err = inode_store(t, l->root, &in);
    if (err == 0)
        err = dirent_put(l->p, t, k, l->root, in.mode, name);
    return err == 0 ? dir_touch(l->p, t, parent, &dir, 1, 1) : err;
}

/* Goes to a name of the directory l->root, or makes it. */
static int enter(struct load *l, const char *path, size_t upto, const char *name, bool last)
{
    struct key k;
    uint64_t ino;
    unsigned type;
    int err = dirent_find(l->p, &l->ns->tree, l->root, name, &k, &ino, &type);

    if (l->root == NS_ROOT_INO && !strcmp(name, ".tally"))
        return load_fail(l, -EINVAL, "'.tally' is a name of tallyfs at the top of a namespace");
    if (err == -ENOENT && last)
        return make_directory(l, l->root, k, name);
    if (err == -ENOENT)
        return load_fail(l, err, "%.*s is not there: make it first", (int)upto, path);
    if (err == 0 && type != DT_DIR)
        return load_fail(l, -ENOTDIR, "%.*s is %s", (int)upto, path,
                         type == DT_LNK ? "a symlink, and none is followed" : "no directory");
    l->root = err == 0 ? ino : l->root;
    return err;
}

int load_find_target(struct load *l, const char *path)
{
    const char *at = path, *name, *after, *ignored;
    char text[ITEM_NAME_MAX + 1];
    size_t len;
    int err = 0;

    while (err == 0 && (len = next_name(&at, &name)) > 0) {
        if (len > ITEM_NAME_MAX)
            return load_fail(l, -ENAMETOOLONG, "a name has at most 255 bytes");
        memcpy(text, name, len);
        text[len] = 0;
        if (strcmp(text, "..") == 0)
            return load_fail(l, -EINVAL, "%s: a name with '..' is not taken", path);
        after = at;
        err = enter(l, path, (size_t)(at - path), text, next_name(&after, &ignored) == 0);
    }
    return err;
}
