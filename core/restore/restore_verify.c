// SPDX-License-Identifier: Apache-2.0
/*
 * restore_verify: see the header. Items are walked twice, in the order of their keys. The first
 * walk collects all inodes, and the second one compares every item with them. The items of one
 * inode follow each other, its attributes first.
 */
#include "restore_verify.h"

#include "array.h"
#include "state.h"
#include "vfs_block.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Of a directory, during `climb`: passed on the present way up; known to end at the root. */
enum mark { MARK_NONE, MARK_PASSED, MARK_KNOWN };

/* An inode that the first walk found. */
struct node {
    uint64_t ino : VFS_INO_BITS, type : 4, mark : 2;
    uint64_t parent; /* of a directory: what its inode says */
    uint32_t nlink;  /* what the inode says */
    uint32_t names;  /* entries that lead to it, found so far */
};

/* What the second walk has seen of the items of one inode. */
struct group {
    uint64_t ino; /* 0: of none yet */
    struct inode in;
    uint64_t entries, subdirs;
    uint64_t pieces, target;  /* of a symlink: items and bytes */
    uint64_t stored;          /* of a file: bytes of the base and of extents, without holes */
    uint64_t block, in_block; /* the block of the last subblock extent, and how many it has */
    uint64_t end;             /* of the pages of the last subblock extent */
};

struct verifying {
    struct state *p;
    const struct tree *tree;
    struct strbuf *why;
    struct node *node; /* by number */
    size_t count, room;
    uint64_t last; /* the highest inode number of an item */
    struct group g;
};

/* Says what is wrong with an inode. */
__attribute__((format(printf, 3, 4))) static int refuse(struct verifying *v, uint64_t ino,
                                                        const char *fmt, ...)
{
    va_list ap;

    strbuf_addf(v->why, "inode %" PRIu64 " ", ino);
    va_start(ap, fmt);
    strbuf_vaddf(v->why, fmt, ap);
    va_end(ap);
    return -EUCLEAN;
}

/* ---- walking ---- */

typedef int item_fn(struct verifying *v, struct key k, const void *val, size_t len);

static int take(struct verifying *v, const struct tree_cursor *c, item_fn *fn)
{
    const struct key k = tree_cursor_key(c);
    size_t len;
    const void *val = tree_cursor_value(c, &len);

    if (state_is_ending(v->p))
        return -ESHUTDOWN;
    if (item_check(k, val, len) < 0)
        return refuse(v, key_ino(k), "has a damaged item");
    return item_is_counter(k) ? 0 : fn(v, k, val, len);
}

static int walk(struct verifying *v, item_fn *fn)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    int err = tree_seek(v->tree, key_make(0, 0, 0), &c);

    while (err == 0) {
        err = take(v, &c, fn);
        if (err == 0)
            err = tree_next(&c);
    }
    tree_cursor_end(&c);
    return err == -ENOENT ? 0 : err;
}

/* ---- the first walk ---- */

static bool is_known_type(uint32_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) ||
           S_ISFIFO(mode) || S_ISSOCK(mode);
}

/* Does the inode alone say what one of its type may say? */
static int check_inode(struct verifying *v, uint64_t ino, const struct inode *in)
{
    if (!is_known_type(in->mode))
        return refuse(v, ino, "has a type that no file has");
    if (in->object && !S_ISREG(in->mode))
        return refuse(v, ino, "is no regular file, and has contents");
    if (S_ISLNK(in->mode) && (in->size == 0 || in->size >= PATH_MAX))
        return refuse(v, ino, "is a symbolic link whose target has a length that none may have");
    return in->size > INT64_MAX ? refuse(v, ino, "is longer than a file may be") : 0;
}

static int collect(struct verifying *v, struct key k, const void *val, size_t len)
{
    struct inode in;
    int err;

    v->last = key_ino(k);
    if (key_type(k) != ITEM_INODE)
        return 0;
    err = inode_decode(val, len, &in);
    if (err == 0)
        err = check_inode(v, key_ino(k), &in);
    if (err < 0)
        return err;
    if (ARRAY_RESERVE(v->node, v->room, v->count + 1) < 0)
        return -ENOMEM;
    v->node[v->count++] = (struct node){.ino = key_ino(k) & KEY_INO_MAX,
                                        .type = IFTODT(in.mode) & 15,
                                        .parent = in.parent,
                                        .nlink = in.nlink};
    return 0;
}

/* Finds an inode. NULL: it is not there. */
static struct node *node_find(struct verifying *v, uint64_t ino)
{
    size_t low = 0, high = v->count;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;

        if (v->node[mid].ino < ino)
            low = mid + 1;
        else
            high = mid;
    }
    return low < v->count && v->node[low].ino == ino ? &v->node[low] : NULL;
}

static int check_root(struct verifying *v)
{
    const struct node *n = node_find(v, NS_ROOT_INO);

    if (!n)
        return refuse(v, NS_ROOT_INO, "is not there, and should be the root directory");
    if (n->type != DT_DIR)
        return refuse(v, NS_ROOT_INO, "should be the root directory, and is none");
    return n->parent == NS_ROOT_INO
               ? 0
               : refuse(v, NS_ROOT_INO, "is the root directory, and has another parent");
}

/* ---- the second walk: directories and symlinks ---- */

/* An entry of a directory that leads to a directory. */
static int count_subdir(struct verifying *v, uint64_t dir, struct node *n)
{
    if (n->names > 0)
        return refuse(v, n->ino, "is a directory that has two entries");
    if (n->parent != dir)
        return refuse(v, n->ino,
                      "is a directory with the parent %" PRIu64 ", and has its entry in %" PRIu64,
                      n->parent, dir);
    n->names = 1;
    v->g.subdirs++;
    return 0;
}

static int check_entry(struct verifying *v, uint64_t dir, const struct dirent_item *d)
{
    struct node *n = node_find(v, d->ino);

    if (!n)
        return refuse(v, dir, "has an entry that leads to inode %" PRIu64 ", which is not there",
                      d->ino);
    if (d->ino == NS_ROOT_INO)
        return refuse(v, dir, "has an entry that leads to the root directory");
    if (d->type != n->type)
        return refuse(v, dir, "has an entry with another type than its inode, %" PRIu64, d->ino);
    if (n->type == DT_DIR)
        return count_subdir(v, dir, n);
    if (n->names == n->nlink)
        return refuse(v, d->ino, "has more entries than its link count, %" PRIu32, n->nlink);
    n->names++;
    return 0;
}

static bool is_dots(const struct dirent_item *d)
{
    return d->name[0] == '.' && (d->name_len == 1 || (d->name_len == 2 && d->name[1] == '.'));
}

static int take_entry(struct verifying *v, const void *val, size_t len)
{
    struct group *g = &v->g;
    struct dirent_item d;
    int err;

    if (!S_ISDIR(g->in.mode))
        return refuse(v, g->ino, "is no directory, and has entries");
    err = dirent_decode(val, len, &d);
    if (err < 0)
        return err;
    if (is_dots(&d))
        return refuse(v, g->ino, "has an entry with a name that no entry may have");
    g->entries++;
    return check_entry(v, g->ino, &d);
}

/* All pieces but the last one have full length. */
static int take_piece(struct verifying *v, struct key k, const void *val, size_t len)
{
    struct group *g = &v->g;

    if (!S_ISLNK(g->in.mode))
        return refuse(v, g->ino, "is no symbolic link, and has a target");
    if (k.lo != g->pieces || g->target % ITEM_SYMLINK_PIECE)
        return refuse(v, g->ino, "is a symbolic link, and pieces of its target are missing");
    if (memchr(val, 0, len))
        return refuse(v, g->ino, "is a symbolic link with a NUL in its target");
    g->pieces++;
    g->target += len;
    return 0;
}

/* ---- the second walk: contents of files ---- */

/* Is it a regular file that is marked as one that has such items? */
static int check_marked(struct verifying *v, uint32_t flags, const char *what)
{
    const struct inode *in = &v->g.in;

    if (!S_ISREG(in->mode))
        return refuse(v, v->g.ino, "is no regular file, and has %s", what);
    return (in->flags & flags) == flags
               ? 0
               : refuse(v, v->g.ino, "has %s, and is not marked as a file that has", what);
}

static int take_extent(struct verifying *v, struct key k, const void *val, size_t len)
{
    struct group *g = &v->g;
    struct extent e;
    int err = check_marked(v, INODE_EXTENTS, "extents");

    if (err == 0)
        err = extent_decode(val, len, &e);
    if (err < 0)
        return err;
    if (k.lo >= g->in.size)
        return refuse(v, g->ino, "has extents behind its end");
    g->stored += e.valid - base_bytes(&g->in, k.lo);
    return 0;
}

/* The number of bytes that are stored in the block at `at`. */
static int stored_at(struct verifying *v, uint64_t at, uint64_t *ret)
{
    const struct inode *in = &v->g.in;
    const struct key k = key_make(v->g.ino, ITEM_EXTENT, at);
    uint8_t buf[EXTENT_ITEM_LEN];
    struct extent e;
    size_t len;
    int err = -ENOENT;

    if (in->flags & INODE_EXTENTS)
        err = tree_get(v->tree, k, buf, sizeof buf, &len);
    if (err == 0)
        err = extent_decode(buf, len, &e);
    if (err == 0)
        *ret = e.valid;
    if (err == -ENOENT)
        *ret = base_bytes(in, at);
    return err == -ENOENT ? 0 : err;
}

static int check_subblock(struct verifying *v, uint64_t at, const struct extent *e)
{
    struct group *g = &v->g;
    uint64_t stored = 0;
    int err = stored_at(v, block_start(at), &stored);

    if (err < 0)
        return err;
    if (at < g->end)
        return refuse(v, g->ino, "has subblock extents that overlap");
    if (at - block_start(at) + e->valid > stored)
        return refuse(v, g->ino, "has a subblock extent upon what is not stored");
    if (block_start(at) != g->block)
        g->in_block = 0;
    if (++g->in_block > SUBBLOCKS_MAX)
        return refuse(v, g->ino, "has more subblock extents in a block than there may be");
    g->block = block_start(at);
    g->end = pages_around(at, e->valid).end;
    return 0;
}

static int take_subblock(struct verifying *v, struct key k, const void *val, size_t len)
{
    struct extent e;
    int err = check_marked(v, INODE_EXTENTS | INODE_SUBBLOCKS, "subblock extents");

    if (err == 0)
        err = subblock_decode(k, val, len, &e);
    return err < 0 ? err : check_subblock(v, k.lo, &e);
}

static int take_holes(struct verifying *v, struct key k, const void *val, size_t len)
{
    struct group *g = &v->g;
    uint64_t stored = 0;
    uint32_t map;
    int err = check_marked(v, INODE_HOLES, "maps of holes");

    if (err == 0)
        err = holes_decode(k, val, len, &map);
    if (err == 0)
        err = stored_at(v, k.lo, &stored);
    if (err < 0)
        return err;
    if (stored < EXTENT_BLOCK && map >> (stored / FILE_PAGE))
        return refuse(v, g->ino, "has a hole within what is not stored");
    g->stored -= (uint64_t)__builtin_popcount(map) * FILE_PAGE;
    return 0;
}

/* ---- the second walk: all items of an inode ---- */

static int end_directory(struct verifying *v, const struct group *g)
{
    if (g->in.size != g->entries)
        return refuse(v, g->ino, "is a directory of %" PRIu64 " entries, and has %" PRIu64,
                      g->in.size, g->entries);
    return g->in.nlink == 2 + g->subdirs
               ? 0
               : refuse(v, g->ino,
                        "is a directory with the link count %" PRIu32 ", which should be %" PRIu64,
                        g->in.nlink, 2 + g->subdirs);
}

/* All items of an inode were seen. */
static int end_group(struct verifying *v)
{
    const struct group *g = &v->g;

    if (g->ino == 0)
        return 0;
    if (S_ISDIR(g->in.mode))
        return end_directory(v, g);
    if (S_ISLNK(g->in.mode) && g->target != g->in.size)
        return refuse(v, g->ino, "is a symbolic link whose target is not as long as its size says");
    if (S_ISREG(g->in.mode) && g->in.flags & (INODE_EXTENTS | INODE_HOLES) &&
        g->in.stored != g->stored)
        return refuse(v, g->ino, "is said to store %" PRIu64 " bytes, and stores %" PRIu64,
                      g->in.stored, g->stored);
    return 0;
}

/* The first item of an inode, which has its attributes. */
static int begin_group(struct verifying *v, struct key k, const void *val, size_t len)
{
    struct group *g = &v->g;
    int err = end_group(v);

    if (err < 0)
        return err;
    if (key_type(k) != ITEM_INODE)
        return refuse(v, key_ino(k), "has items, and is not there");
    *g = (struct group){.ino = key_ino(k)};
    err = inode_decode(val, len, &g->in);
    g->stored = g->in.valid;
    return err;
}

static int compare(struct verifying *v, struct key k, const void *val, size_t len)
{
    if (key_ino(k) != v->g.ino)
        return begin_group(v, k, val, len);
    switch (key_type(k)) {
    case ITEM_SYMLINK:
        return take_piece(v, k, val, len);
    case ITEM_DIRENT:
        return take_entry(v, val, len);
    case ITEM_EXTENT:
        return take_extent(v, k, val, len);
    case ITEM_SUBBLOCK:
        return take_subblock(v, k, val, len);
    case ITEM_HOLES:
        return take_holes(v, k, val, len);
    default:
        return 0;
    }
}

/* ---- after both: what every inode must have ---- */

static int check_links(struct verifying *v, const struct node *n)
{
    if (n->ino == NS_ROOT_INO)
        return 0;
    if (n->names == 0)
        return refuse(v, n->ino, "has no entry that leads to it");
    return n->type == DT_DIR || n->names == n->nlink
               ? 0
               : refuse(v, n->ino, "has fewer entries than its link count, %" PRIu32, n->nlink);
}

/* Goes up from a directory to one that is known to be below the root; those on the way are known
 * afterwards. Each has its one entry in its parent, so the way ends there, or is a circle. */
static int climb(struct verifying *v, struct node *from)
{
    struct node *n = from;

    while (n->mark == MARK_NONE && n->ino != NS_ROOT_INO) {
        n->mark = MARK_PASSED;
        n = node_find(v, n->parent);
    }
    if (n->mark == MARK_PASSED)
        return refuse(v, n->ino, "is a directory that is below itself");
    for (n = from; n->mark == MARK_PASSED; n = node_find(v, n->parent))
        n->mark = MARK_KNOWN;
    return 0;
}

static int check_nodes(struct verifying *v)
{
    int err = 0;

    for (size_t i = 0; i < v->count && err == 0; i++)
        err = check_links(v, &v->node[i]);
    for (size_t i = 0; i < v->count && err == 0; i++)
        if (v->node[i].type == DT_DIR)
            err = climb(v, &v->node[i]);
    return err;
}

static int verify(struct verifying *v)
{
    int err = walk(v, collect);

    if (err == 0)
        err = check_root(v);
    if (err == 0)
        err = walk(v, compare);
    if (err == 0)
        err = end_group(v);
    return err < 0 ? err : check_nodes(v);
}

int restore_verify(struct state *p, struct ns *draft, uint64_t *ret_last_ino, struct strbuf *why)
{
    struct verifying v = {.p = p, .tree = &draft->tree, .why = why};
    int err;
    READ_GUARD(&draft->lock);

    err = verify(&v);
    free(v.node);
    if (err == 0)
        *ret_last_ino = v.last;
    return err;
}

/* ---- one inode ---- */

/* Moves to the next item that is looked at: the entries of a directory are passed over. -ENOENT:
 * there is none. */
static int next_of_inode(const struct verifying *v, const struct inode *in, struct tree_cursor *c)
{
    int err = tree_next(c);

    if (err < 0 || !S_ISDIR(in->mode) || key_ino(tree_cursor_key(c)) != v->g.ino ||
        key_type(tree_cursor_key(c)) != ITEM_DIRENT)
        return err;
    tree_cursor_end(c);
    return tree_seek(v->tree, key_make(v->g.ino, ITEM_EXTENT, 0), c);
}

int restore_verify_inode(struct state *p, const struct tree *t, uint64_t ino, struct strbuf *why)
{
    struct verifying v = {.p = p, .tree = t, .why = why};
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct inode in;
    int err = inode_load(t, ino, &in);

    if (err == -ESTALE)
        return refuse(&v, ino, "has items, and is not there");
    if (err == 0)
        err = check_inode(&v, ino, &in);
    if (err == 0)
        err = tree_seek(t, key_make(ino, ITEM_INODE, 0), &c);
    while (err == 0 && key_ino(tree_cursor_key(&c)) == ino) {
        err = take(&v, &c, compare);
        if (err == 0)
            err = next_of_inode(&v, &in, &c);
    }
    tree_cursor_end(&c);
    if (err < 0 && err != -ENOENT)
        return err;
    return S_ISDIR(in.mode) ? 0 : end_group(&v);
}
