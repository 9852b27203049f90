// SPDX-License-Identifier: Apache-2.0
/*
 * plant: damage to the structure of a namespace, done to its tree behind the back of vfs, with
 * counts that stay right. `plant_setup` makes the tree that the damages are done to:
 *
 *   main/file (and main/dir/link, the same inode), main/dir/sub/deep, main/symlink
 */
#pragma once

#include "check_fixture.h"
#include "vfs_impl.h"
#include <dirent.h>

static inline void make_dir(struct fixture *x, const char *path)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(x, path, &name);

    cr_assert_eq(vfs_mknod(x->p, dir, name, S_IFDIR | 0755, 0, &fixture_cred, &a), 0, "%s", path);
    vfs_forget(x->p, a.nodeid, 1);
}

static inline void plant_setup(struct fixture *x)
{
    struct vfs_attr a;

    fixture_setup(x);
    put_file(x, "main/file", "some content");
    make_dir(x, "main/dir");
    make_dir(x, "main/dir/sub");
    put_file(x, "main/dir/sub/deep", "further below");
    put_file(x, "main/dir/other", "another content");
    cr_assert_eq(vfs_symlink(x->p, node_of(x, "main"), "symlink", "dir/sub", &fixture_cred, &a), 0);
    vfs_forget(x->p, a.nodeid, 1);
    cr_assert_eq(vfs_link(x->p, node_of(x, "main/file"), node_of(x, "main/dir"), "link", &a), 0);
    vfs_forget(x->p, a.nodeid, 1);
}

static inline uint64_t ino_of(struct fixture *x, const char *path)
{
    uint64_t node = node_of(x, path);

    cr_assert(node, "no %s", path);
    return vfs_node_ino(node);
}

/* The namespace "main", to be changed. */
static inline struct ns *planted(struct fixture *x)
{
    struct ns *ns;

    cr_assert_eq(ns_get_by_name(x->p, "main", &ns), 0);
    ns->tree.tap = NULL; /* the log is not told either */
    ns->dirty = true;
    ns_put(x->p, ns); /* the table holds one */
    return ns;
}

static inline struct inode inode_of(struct fixture *x, const char *path)
{
    struct inode in;

    cr_assert_eq(inode_load(&planted(x)->tree, ino_of(x, path), &in), 0);
    return in;
}

static inline void put_inode(struct fixture *x, uint64_t ino, const struct inode *in)
{
    cr_assert_eq(inode_store(&planted(x)->tree, ino, in), 0);
}

/* Where the entry of a path is, or would be. */
static inline struct key entry_key(struct fixture *x, const char *path)
{
    const char *name;
    struct key k;
    uint64_t ino, dir = vfs_node_ino(parent_of(x, path, &name));
    unsigned type;
    int err = dirent_find(x->p, &planted(x)->tree, dir, name, &k, &ino, &type);

    cr_assert(err == 0 || err == -ENOENT);
    return k;
}

static inline void put_entry_at(struct fixture *x, struct key k, const char *name, uint64_t ino,
                                unsigned type)
{
    uint8_t buf[DIRENT_ITEM_MAX];
    size_t len = dirent_encode(ino, type, name, strlen(name), buf);

    cr_assert_eq(tree_put(&planted(x)->tree, k, buf, len), 0);
}

static inline void put_entry(struct fixture *x, const char *path, uint64_t ino, unsigned type)
{
    const char *slash = strrchr(path, '/');

    put_entry_at(x, entry_key(x, path), slash + 1, ino, type);
}

static inline void del_entry(struct fixture *x, const char *path)
{
    cr_assert_eq(tree_del(&planted(x)->tree, entry_key(x, path)), 0);
}

/* What a directory says of itself, so that only the damage meant is found. */
static inline void adjust_dir(struct fixture *x, const char *path, int entries, int subdirs)
{
    struct inode in = inode_of(x, path);

    in.size += (uint64_t)(int64_t)entries;
    in.nlink += (uint32_t)subdirs;
    put_inode(x, ino_of(x, path), &in);
}

/* ---- the damages ---- */

static inline void plant_file_links(struct fixture *x)
{
    struct inode in = inode_of(x, "main/file");

    in.nlink = 7;
    put_inode(x, ino_of(x, "main/file"), &in);
}

static inline void plant_dir_links(struct fixture *x)
{
    adjust_dir(x, "main/dir", 0, 3);
}

static inline void plant_dir_size(struct fixture *x)
{
    adjust_dir(x, "main/dir", -2, 0);
}

static inline void plant_parent(struct fixture *x)
{
    struct inode in = inode_of(x, "main/dir/sub");

    in.parent = NS_ROOT_INO;
    put_inode(x, ino_of(x, "main/dir/sub"), &in);
}

static inline void plant_dangling(struct fixture *x)
{
    put_entry(x, "main/dir/nowhere", 4711, DT_REG);
    adjust_dir(x, "main/dir", 1, 0);
}

static inline void plant_nameless_file(struct fixture *x)
{
    del_entry(x, "main/dir/other");
    adjust_dir(x, "main/dir", -1, 0);
}

static inline void plant_nameless_dir(struct fixture *x)
{
    del_entry(x, "main/dir/sub");
    adjust_dir(x, "main/dir", -1, -1);
}

/* main/dir hangs in main/dir/sub. */
static inline void plant_circle(struct fixture *x)
{
    struct inode in = inode_of(x, "main/dir");
    uint64_t dir = ino_of(x, "main/dir"), sub = ino_of(x, "main/dir/sub");

    put_entry(x, "main/dir/sub/dir", dir, DT_DIR);
    adjust_dir(x, "main/dir/sub", 1, 1);
    in.parent = sub;
    put_inode(x, dir, &in);
    del_entry(x, "main/dir");
    adjust_dir(x, "main", -1, -1);
}

static inline void plant_type(struct fixture *x)
{
    put_entry(x, "main/dir/other", ino_of(x, "main/dir/other"), DT_FIFO);
}

static inline void plant_second_dir_name(struct fixture *x)
{
    put_entry(x, "main/zweit", ino_of(x, "main/dir/sub"), DT_DIR);
    adjust_dir(x, "main", 1, 1);
}

static inline void plant_hash(struct fixture *x)
{
    struct key k = entry_key(x, "main/dir/other");
    uint64_t ino = ino_of(x, "main/dir/other");

    del_entry(x, "main/dir/other");
    k.lo ^= UINT64_C(1) << 40;
    put_entry_at(x, k, "other", ino, DT_REG);
}

static inline void plant_twice(struct fixture *x)
{
    struct key k = entry_key(x, "main/dir/other");
    uint64_t ino = ino_of(x, "main/dir/other");

    k.lo += 5;
    put_entry_at(x, k, "other", ino, DT_REG);
    adjust_dir(x, "main/dir", 1, 0);
    struct inode in = inode_of(x, "main/dir/other");
    in.nlink = 2;
    put_inode(x, ino, &in);
}

static inline void plant_dots(struct fixture *x)
{
    put_entry(x, "main/dir/..", ino_of(x, "main/dir/other"), DT_REG);
    adjust_dir(x, "main/dir", 1, 0);
    struct inode in = inode_of(x, "main/dir/other");
    in.nlink = 2;
    put_inode(x, ino_of(x, "main/dir/other"), &in);
}

static inline void plant_next_ino(struct fixture *x)
{
    planted(x)->next_ino = 3;
}

static inline void plant_no_inode(struct fixture *x)
{
    uint64_t object = inode_of(x, "main/file").object;
    uint8_t buf[EXTENT_ITEM_LEN];

    extent_encode(&(struct extent){object, 100}, buf);
    cr_assert_eq(tree_put(&planted(x)->tree, key_make(99, ITEM_EXTENT, 0), buf, sizeof buf), 0);
    planted(x)->next_ino = 100;
}

static inline void plant_no_root(struct fixture *x)
{
    cr_assert_eq(tree_del(&planted(x)->tree, key_make(NS_ROOT_INO, ITEM_INODE, 0)), 0);
}

static inline void plant_xattr_unmarked(struct fixture *x)
{
    struct inode in;

    cr_assert_eq(vfs_setxattr(x->p, node_of(x, "main/file"), "user.a", "1", 1, 0), 0);
    in = inode_of(x, "main/file");
    in.flags = 0;
    put_inode(x, ino_of(x, "main/file"), &in);
}

static inline void plant_xattr_hash(struct fixture *x)
{
    struct xattr_item attr = {.name = "user.b", .name_len = 6};
    uint8_t val[XATTR_ITEM_MAX];
    uint64_t hash = name_hash(&x->p->name_key, "user.a", 6, 0);
    struct key k = key_make(ino_of(x, "main/dir"), ITEM_XATTR, hash);

    cr_assert_eq(vfs_setxattr(x->p, node_of(x, "main/dir"), "user.a", "1", 1, 0), 0);
    cr_assert_eq(tree_put(&planted(x)->tree, k, val, xattr_encode(&attr, val)), 0);
}

static inline void plant_extents(struct fixture *x)
{
    struct inode in = inode_of(x, "main/file");
    uint8_t buf[EXTENT_ITEM_LEN];

    extent_encode(&(struct extent){in.object, 100}, buf);
    cr_assert_eq(tree_put(&planted(x)->tree, key_make(ino_of(x, "main/file"), ITEM_EXTENT, 0), buf,
                          sizeof buf),
                 0);
}

static inline void plant_stored(struct fixture *x)
{
    struct inode in = inode_of(x, "main/dir/other");

    in.flags |= INODE_EXTENTS;
    in.stored = 4;
    put_inode(x, ino_of(x, "main/dir/other"), &in);
}

/* A file of two grains with a patch of so many bytes; then others are put beside it. */
#define PATCHED_SIZE ((uint64_t)EXTENT_GRAIN + 100 * 1000)
static inline void plant_patch(struct fixture *x, uint64_t off, uint32_t len)
{
    struct inode in = inode_of(x, "main/patched");
    uint8_t buf[EXTENT_ITEM_LEN];

    extent_encode(&(struct extent){in.object, len}, buf);
    cr_assert_eq(tree_put(&planted(x)->tree,
                          key_make(ino_of(x, "main/patched"), ITEM_PATCH, off), buf, sizeof buf),
                 0);
}
static inline void plant_patched(struct fixture *x)
{
    char *text = calloc(1, PATCHED_SIZE + 1);
    struct inode in;

    memset(text, 'p', PATCHED_SIZE);
    put_file(x, "main/patched", text);
    free(text);
    in = inode_of(x, "main/patched");
    in.flags |= INODE_EXTENTS | INODE_PATCHES;
    in.stored = in.valid;
    put_inode(x, ino_of(x, "main/patched"), &in);
    plant_patch(x, 2 * PATCH_PAGE, 2 * PATCH_PAGE);
}
static inline void plant_patch_unmarked(struct fixture *x)
{
    plant_patched(x);
    struct inode in = inode_of(x, "main/patched");
    in.flags &= ~(uint32_t)INODE_PATCHES;
    put_inode(x, ino_of(x, "main/patched"), &in);
}
static inline void plant_patch_of_no_overlay(struct fixture *x)
{
    plant_patched(x);
    struct inode in = inode_of(x, "main/patched");
    in.flags = 0;
    put_inode(x, ino_of(x, "main/patched"), &in);
}
static inline void plant_patches_overlap(struct fixture *x)
{
    plant_patched(x);
    plant_patch(x, 3 * PATCH_PAGE, PATCH_PAGE);
}
static inline void plant_patch_beyond(struct fixture *x)
{
    plant_patched(x);
    plant_patch(x, EXTENT_GRAIN + 24 * PATCH_PAGE, PATCH_PAGE);
}
static inline void plant_patch_upon_a_hole(struct fixture *x)
{
    uint8_t buf[EXTENT_ITEM_LEN];

    plant_patched(x);
    struct inode in = inode_of(x, "main/patched");
    in.stored -= EXTENT_GRAIN;
    put_inode(x, ino_of(x, "main/patched"), &in);
    extent_encode(&(struct extent){0, 0}, buf);
    cr_assert_eq(tree_put(&planted(x)->tree,
                          key_make(ino_of(x, "main/patched"), ITEM_EXTENT, 0), buf, sizeof buf),
                 0);
}
static inline void plant_many_patches(struct fixture *x)
{
    plant_patched(x);
    for (unsigned i = 2; i < 10; i++)
        plant_patch(x, 2 * i * PATCH_PAGE, PATCH_PAGE);
}

static inline void plant_symlink(struct fixture *x)
{
    struct inode in = inode_of(x, "main/symlink");

    in.size += 5;
    put_inode(x, ino_of(x, "main/symlink"), &in);
}

static inline void plant_entry_in_file(struct fixture *x)
{
    struct key k = key_make(ino_of(x, "main/symlink"), ITEM_DIRENT, 128 * 77);

    put_entry_at(x, k, "child", ino_of(x, "main/file"), DT_REG);
}
