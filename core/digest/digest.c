// SPDX-License-Identifier: Apache-2.0
/* digest: see the header. */
#include "digest.h"

#include "array.h"
#include "bytes.h"
#include "map64.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "sha256.h"
#include "tree_walk.h"
#include "vfs.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define MAGIC "tallyfs digest 1\n"
#define PIECE ((size_t)1 << 20)    /* bytes of a file that are read at once */
#define XATTRS_MAX ((size_t)65536) /* bytes of all names and values of an inode */

struct digesting {
    struct state *p;
    struct sha256 *all, *file; /* of the tree, and of one file */
    struct digest *d;          /* what was read so far */
    struct map64 seen;         /* inodes with several names, and the index of the first of these */
    char **firsts;
    size_t count, room;
    uint8_t *piece; /* PIECE bytes */
    char *names;    /* XATTRS_MAX bytes */
    digest_progress_fn *progress;
    void *ctx;
};

/* ---- what enters ---- */

static void add_le32(struct digesting *g, uint32_t v)
{
    uint8_t b[4];

    put_le32(b, v);
    sha256_add(g->all, b, sizeof b);
}

static void add_le64(struct digesting *g, uint64_t v)
{
    uint8_t b[8];

    put_le64(b, v);
    sha256_add(g->all, b, sizeof b);
}

static void add_bytes(struct digesting *g, const void *bytes, size_t len)
{
    add_le32(g, (uint32_t)len);
    sha256_add(g->all, bytes, len);
}

static void add_tag(struct digesting *g, char tag)
{
    sha256_add(g->all, &tag, 1);
}

static void add_stat(struct digesting *g, const struct vfs_attr *a)
{
    add_le32(g, a->mode);
    add_le32(g, a->uid);
    add_le32(g, a->gid);
    add_le64(g, (uint64_t)a->mtime);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_xattr(struct digesting *g, uint64_t node, const char *name)
{
    ssize_t n = vfs_getxattr(g->p, node, name, g->piece, PIECE);

    if (n < 0)
        return (int)n;
    add_bytes(g, name, strlen(name));
    add_bytes(g, g->piece, (size_t)n);
    return 0;
}

static int add_xattrs(struct digesting *g, uint64_t node)
{
    ssize_t len = vfs_listxattr(g->p, node, g->names, XATTRS_MAX, true);
    char **v = NULL;
    size_t count = 0, room = 0;
    int err = len < 0 ? (int)len : 0;

    for (char *name = g->names; err == 0 && name < g->names + len; name += strlen(name) + 1) {
        err = ARRAY_RESERVE(v, room, count + 1);
        if (err == 0)
            v[count++] = name;
    }
    if (count)
        qsort(v, count, sizeof *v, compare_texts);
    add_le32(g, (uint32_t)count);
    for (size_t i = 0; i < count && err == 0; i++)
        err = add_xattr(g, node, v[i]);
    free(v);
    return err;
}

/* ---- bodies ---- */

static int report_progress(struct digesting *g)
{
    return g->progress ? g->progress(g->d, g->ctx) : 0;
}

/* Reads all of a file, of which the digest so far is told after each piece. */
static int hash_file(struct digesting *g, struct vfs_file *f, uint64_t size)
{
    uint64_t at = 0;
    int err = 0;

    while (err == 0 && at < size) {
        size_t want = size - at < PIECE ? (size_t)(size - at) : PIECE;
        ssize_t n = vfs_read(f, g->piece, want, at);

        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        sha256_add(g->file, g->piece, (size_t)n);
        at += (uint64_t)n;
        g->d->bytes += (uint64_t)n;
        err = report_progress(g);
    }
    return err;
}

static int add_file(struct digesting *g, const struct vfs_attr *a)
{
    uint8_t sum[SHA256_LEN];
    struct vfs_file *f;
    int end, err = vfs_open(g->p, a->nodeid, VFS_NOATIME, &f);

    if (err < 0)
        return err;
    err = hash_file(g, f, a->size);
    (void)vfs_release(f); /* a worker may wait, and that is its only error */
    end = sha256_end(g->file, sum);
    if (err == 0)
        err = end;
    if (err != 0)
        return err;
    add_tag(g, 'F');
    add_le64(g, a->size);
    sha256_add(g->all, sum, sizeof sum);
    return 0;
}

static int add_symlink(struct digesting *g, const struct vfs_attr *a)
{
    char target[PATH_MAX];
    int err = vfs_readlink(g->p, a->nodeid, target, sizeof target);

    if (err < 0)
        return err;
    add_tag(g, 'L');
    add_bytes(g, target, strlen(target));
    return 0;
}

static void add_device(struct digesting *g, const struct vfs_attr *a)
{
    add_tag(g, 'D');
    add_le32(g, major(a->rdev));
    add_le32(g, minor(a->rdev));
}

/* Notes the first name of an inode that has several. */
static int note_first(struct digesting *g, uint64_t node, const char *path)
{
    char *copy = strdup(path);
    int err = copy ? ARRAY_RESERVE(g->firsts, g->room, g->count + 1) : -ENOMEM;

    if (err == 0)
        err = map64_put(&g->seen, node, g->count);
    if (err < 0) {
        free(copy);
        return err;
    }
    g->firsts[g->count++] = copy;
    return 0;
}

static int add_body(struct digesting *g, const char *path, const struct vfs_attr *a)
{
    uint64_t first;
    int err = 0;

    if (!S_ISDIR(a->mode) && map64_get(&g->seen, a->nodeid, &first)) {
        add_tag(g, 'H');
        add_bytes(g, g->firsts[first], strlen(g->firsts[first]));
        return 0;
    }
    if (!S_ISDIR(a->mode) && a->nlink > 1)
        err = note_first(g, a->nodeid, path);
    g->d->inodes++;
    if (err < 0)
        return err;
    if (S_ISREG(a->mode))
        return add_file(g, a);
    if (S_ISLNK(a->mode))
        return add_symlink(g, a);
    if (S_ISCHR(a->mode) || S_ISBLK(a->mode))
        add_device(g, a);
    return 0;
}

static int add_node(const char *path, const struct vfs_attr *a, void *ctx)
{
    struct digesting *g = ctx;
    int err;

    add_bytes(g, path, strlen(path));
    add_stat(g, a);
    err = add_xattrs(g, a->nodeid);
    if (err == 0)
        err = add_body(g, path, a);
    return err == 0 ? report_progress(g) : err;
}

/* ---- one tree ---- */

static void digesting_release(struct digesting *g)
{
    for (size_t i = 0; i < g->count; i++)
        free(g->firsts[i]);
    free(g->firsts);
    map64_release(&g->seen);
    free(g->piece);
    free(g->names);
    sha256_free(g->all);
    sha256_free(g->file);
}

/* Makes what is needed for one digest. -ENOMEM; the caller releases it also then. */
static int digesting_init(struct digesting *g)
{
    int err = sha256_new(&g->all);

    if (err == 0)
        err = sha256_new(&g->file);
    if (err < 0)
        return err;
    g->piece = malloc(PIECE);
    g->names = malloc(XATTRS_MAX);
    return g->piece && g->names ? 0 : -ENOMEM;
}

/* Of a namespace that does not change. */
static int digest_still(struct digesting *g, const struct ns *ns, const char *path)
{
    uint64_t node;
    int err = digest_find(g->p, ns, path, &node);

    if (err < 0)
        return err;
    sha256_add(g->all, MAGIC, strlen(MAGIC));
    err = tree_walk_from(g->p, node, add_node, g);
    return err == 0 ? sha256_end(g->all, g->d->sum) : err;
}

/* Is it kept as it is, so that nothing changes it meanwhile? What is in the trash can come back. A
 * draft is changed by who asks, and by nobody else. */
static bool is_still(struct state *p, struct ns *ns)
{
    /* of a draft of it the mode is the whole one, as of any copy */
    if (ns_gives_no_rights(p, ns->number))
        return false;
    READ_GUARD(&p->names.lock);

    return ns->hidden.kind == NS_SNAPSHOT || ns->hidden.kind == NS_ORIGIN ||
           ns->hidden.kind == NS_DRAFT || atomic_load(&p->readonly);
}

int digest_tree(struct state *p, struct ns *ns, const char *path, digest_progress_fn *progress,
                void *ctx, struct digest *ret)
{
    struct digest d = {.inodes = 0};
    struct digesting g = {.p = p, .d = &d, .progress = progress, .ctx = ctx};
    struct ns *still = NULL;
    uint32_t open;
    int err = digesting_init(&g);

    if (err == 0 && !is_still(p, ns))
        err = ns_draft_of(p, ns, &still);
    if (err == 0)
        err = digest_still(&g, still ? still : ns, path);
    if (still) {
        (void)ns_remove(p, still, NS_DRAFT, false, &open); /* if it fails, it goes as drafts do */
        ns_put(p, still);
    }
    digesting_release(&g);
    if (err == 0)
        *ret = d;
    return err;
}

int digest_find(struct state *p, const struct ns *ns, const char *path, uint64_t *ret_node)
{
    uint64_t node = vfs_node(ns->number, NS_ROOT_INO);
    char name[VFS_NAME_MAX + 1];
    struct vfs_attr a;

    while (*path) {
        size_t len = strcspn(path, "/");
        int err;

        if (len > VFS_NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(name, path, len);
        name[len] = '\0';
        path += len + (path[len] == '/');
        if (len == 0 || !strcmp(name, "."))
            continue;
        err = vfs_lookup(p, node, name, &a);
        if (err < 0)
            return err;
        vfs_forget(p, a.nodeid, 1);
        node = a.nodeid;
    }
    *ret_node = node;
    return 0;
}
