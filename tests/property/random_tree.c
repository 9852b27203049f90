// SPDX-License-Identifier: Apache-2.0
/* random_tree: see the header. */
#include "random_tree.h"

#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAMES 9      /* different names */
#define BYTES 700000 /* of a file, at most */

uint64_t random_round;
uint8_t random_tree_bits = 0xff;

void random_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: round %llu: %s\n", file, line, (unsigned long long)random_round, what);
    abort();
}

static const struct vfs_cred root = {0};
static uint8_t bytes[BYTES], got[BYTES + 1];

static uint64_t pick(struct random_tree *t, uint64_t n)
{
    return fault_random(t->rng) % n;
}

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *at = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

void random_tree_begin(void)
{
    uint64_t state = 1;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)fault_random(&state) & random_tree_bits;
}

/* ---- the naive list of a tree ---- */

struct listing {
    struct vfs_attr attr[64];
    char name[64][VFS_NAME_MAX + 1];
    size_t count;
};

static bool take_entry(const struct vfs_dirent *d, void *ctx)
{
    struct listing *l = ctx;

    if (!strcmp(d->name, ".") || !strcmp(d->name, ".."))
        return true;
    CHECK(l->count < 64);
    l->attr[l->count] = d->attr;
    snprintf(l->name[l->count++], sizeof *l->name, "%s", d->name);
    return true;
}

/* What cannot be read is counted, if the list may lack something. */
static uint64_t unreadable(struct tree_lines *l, ssize_t err)
{
    CHECK(l->lenient &&
          (err == -EIO || err == -EHOSTUNREACH || err == -EUCLEAN || err == -EREMOTE));
    l->unreadable++;
    return TREE_UNREADABLE;
}

static uint64_t hash_target(struct state *p, struct tree_lines *l, uint64_t nodeid)
{
    char target[PATH_MAX];
    int err = vfs_readlink(p, nodeid, target, sizeof target);

    return err < 0 ? unreadable(l, err) : mix(1, target, strlen(target));
}

static uint64_t hash_content(struct state *p, struct tree_lines *l, const struct vfs_attr *a)
{
    struct vfs_file *f;
    ssize_t n;

    if (S_ISLNK(a->mode))
        return hash_target(p, l, a->nodeid);
    if (!S_ISREG(a->mode))
        return 0;
    n = vfs_open(p, a->nodeid, VFS_NOATIME, &f);
    if (n < 0)
        return unreadable(l, n);
    n = vfs_read(f, got, sizeof got, 0);
    vfs_release(f);
    if (n < 0)
        return unreadable(l, n);
    CHECK((uint64_t)n == a->size);
    return mix((uint64_t)n, got, (size_t)n);
}

static uint64_t hash_xattrs(struct state *p, struct tree_lines *l, uint64_t nodeid)
{
    char names[4096];
    uint64_t hash = 0;
    ssize_t len = vfs_listxattr(p, nodeid, names, sizeof names, true);

    if (len < 0)
        return unreadable(l, len);
    for (const char *n = names; n < names + len; n += strlen(n) + 1) { /* in any order */
        ssize_t size = vfs_getxattr(p, nodeid, n, got, sizeof got);
        if (size < 0)
            return unreadable(l, size);
        hash += mix(mix(1, n, strlen(n)), got, (size_t)size);
    }
    return hash;
}

static void add_line(struct state *p, struct tree_lines *l, const char *path,
                     const struct vfs_attr *a)
{
    struct tree_line *n = &l->v[l->count];

    CHECK(l->count < TREE_LINES);
    snprintf(n->path, sizeof n->path, "%s", path);
    n->attr = *a;
    n->hash = hash_content(p, l, a);
    n->xattrs = hash_xattrs(p, l, a->nodeid);
    l->count++;
}

static void read_dir(struct state *p, struct tree_lines *l, uint64_t dir, const char *path)
{
    struct listing *e = calloc(1, sizeof *e);
    char below[400];

    CHECK(e && vfs_readdir(p, dir, 0, true, take_entry, e) == 0);
    for (size_t i = 0; i < e->count; i++) {
        vfs_forget(p, e->attr[i].nodeid, 1);
        CHECK(snprintf(below, sizeof below, "%s/%s", path, e->name[i]) < (int)sizeof below);
        add_line(p, l, below, &e->attr[i]);
        if (S_ISDIR(e->attr[i].mode))
            read_dir(p, l, e->attr[i].nodeid, below);
    }
    free(e);
}

static int compare_lines(const void *x, const void *y)
{
    return strcmp(((const struct tree_line *)x)->path, ((const struct tree_line *)y)->path);
}

static void find_firsts(struct tree_lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        for (l->v[i].first = 0; l->v[l->v[i].first].attr.nodeid != l->v[i].attr.nodeid;)
            l->v[i].first++;
}

void tree_lines_read(struct state *p, uint64_t top, struct tree_lines *l)
{
    struct vfs_attr a;

    l->count = l->unreadable = 0;
    CHECK(vfs_getattr(p, top, &a) == 0);
    add_line(p, l, "", &a);
    read_dir(p, l, a.nodeid, "");
    qsort(l->v, l->count, sizeof *l->v, compare_lines);
    find_firsts(l);
}

static bool is_same(const struct tree_line *x, const struct tree_line *y)
{
    const struct vfs_attr *a = &x->attr, *b = &y->attr;

    return !strcmp(x->path, y->path) && a->mode == b->mode && a->uid == b->uid &&
           a->gid == b->gid && a->mtime == b->mtime && a->size == b->size && a->rdev == b->rdev &&
           a->nlink == b->nlink && x->hash == y->hash && x->xattrs == y->xattrs &&
           x->first == y->first;
}

bool tree_lines_same(const struct tree_lines *x, const struct tree_lines *y)
{
    for (size_t i = 0; i < x->count || i < y->count; i++)
        if (i >= x->count || i >= y->count || !is_same(&x->v[i], &y->v[i])) {
            fprintf(stderr, "'%s' is not '%s'\n", i < x->count ? x->v[i].path : "-",
                    i < y->count ? y->v[i].path : "-");
            return false;
        }
    return true;
}

/* ---- changes ---- */

struct place {
    uint64_t dir;
    char name[16];
    uint64_t nodeid; /* of what has the name; 0: nothing */
    uint32_t mode;
};

/* Some name, at some depth. */
static struct place some_place(struct random_tree *t)
{
    struct place at = {.dir = t->top};
    struct vfs_attr a;

    for (;;) {
        snprintf(at.name, sizeof at.name, "n%llu", (unsigned long long)pick(t, NAMES));
        at.nodeid = 0;
        if (vfs_lookup(t->p, at.dir, at.name, &a) == 0) {
            vfs_forget(t->p, a.nodeid, 1);
            at.nodeid = a.nodeid;
            at.mode = a.mode;
        }
        if (!at.nodeid || !S_ISDIR(at.mode) || pick(t, 3) == 0)
            return at;
        at.dir = at.nodeid;
    }
}

static struct place some_file(struct random_tree *t)
{
    struct place at = some_place(t);

    for (unsigned i = 0; i < 20 && !(at.nodeid && S_ISREG(at.mode)); i++)
        at = some_place(t);
    return at;
}

/* Writes some of a few different bytes. */
static void write_some(struct random_tree *t, struct vfs_file *f)
{
    bool large = pick(t, 4) == 0;
    uint64_t off = pick(t, 5) * (large ? 100000 : 700),
             len = large ? pick(t, 250000) : pick(t, 9000);

    CHECK(vfs_write(f, bytes + pick(t, 3) * 1000 + off % 7, len, off) == (ssize_t)len);
}

static void make_file(struct random_tree *t, const struct place *at)
{
    struct vfs_file *f;
    struct vfs_attr a;

    if (vfs_create(t->p, at->dir, at->name, 0644, &root, VFS_WRITE | VFS_TRUNC, &a, &f) < 0)
        return;
    write_some(t, f);
    vfs_release(f);
    vfs_forget(t->p, a.nodeid, 1);
}

static void change_file(struct random_tree *t)
{
    struct place at = some_file(t);
    const struct vfs_attr size = {.size = pick(t, 7) * 80001};
    struct vfs_file *f;
    struct vfs_attr a;

    if (!at.nodeid || !S_ISREG(at.mode))
        return;
    CHECK(vfs_open(t->p, at.nodeid, VFS_WRITE, &f) == 0);
    switch (pick(t, 5)) {
    case 0:
        CHECK(vfs_setattr(t->p, at.nodeid, VFS_SET_SIZE, &size, &a) == 0);
        break;
    case 1:
        CHECK(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pick(t, 500) * 1000,
                            1 + pick(t, 250000)) == 0);
        break;
    default:
        write_some(t, f);
    }
    vfs_release(f);
}

/* Another file gets the bytes of one, without copying them. */
static void copy_file(struct random_tree *t, const struct place *to)
{
    struct place at = some_file(t);
    struct vfs_file *in, *out;
    struct vfs_attr a;

    if (!at.nodeid || !S_ISREG(at.mode) || to->nodeid)
        return;
    CHECK(vfs_open(t->p, at.nodeid, VFS_NOATIME, &in) == 0);
    if (vfs_create(t->p, to->dir, to->name, 0600, &root, VFS_WRITE, &a, &out) == 0) {
        CHECK(vfs_share_range(in, 0, out, 0, BYTES) >= -EOPNOTSUPP);
        vfs_release(out);
        vfs_forget(t->p, a.nodeid, 1);
    }
    vfs_release(in);
}

static void make_other(struct random_tree *t, const struct place *at)
{
    static const uint32_t types[] = {S_IFDIR | 0755, S_IFDIR | 01770, S_IFIFO | 0600,
                                     S_IFCHR | 0620};
    char target[3000];
    struct vfs_attr a;
    int err;

    memset(target, 't', sizeof target);
    target[pick(t, 10) ? 1 + pick(t, 20) : sizeof target - 1] = 0;
    err = pick(t, 4) ? vfs_mknod(t->p, at->dir, at->name, types[pick(t, pick(t, 2) ? 2 : 4)], 0x103,
                                 &root, &a)
                     : vfs_symlink(t->p, at->dir, at->name, target, &root, &a);
    if (err == 0)
        vfs_forget(t->p, a.nodeid, 1);
}

static void remove_one(struct random_tree *t, uint64_t dir, const char *name, uint64_t nodeid,
                       uint32_t mode)
{
    struct listing *l = S_ISDIR(mode) ? calloc(1, sizeof *l) : NULL;

    CHECK(l || !S_ISDIR(mode));
    if (l)
        CHECK(vfs_readdir(t->p, nodeid, 0, true, take_entry, l) == 0);
    for (size_t i = 0; l && i < l->count; i++) {
        vfs_forget(t->p, l->attr[i].nodeid, 1);
        remove_one(t, nodeid, l->name[i], l->attr[i].nodeid, l->attr[i].mode);
    }
    free(l);
    CHECK((S_ISDIR(mode) ? vfs_rmdir(t->p, dir, name) : vfs_unlink(t->p, dir, name)) == 0);
}

/* Removes a file, or all of a directory, and at times puts something else there. */
static void remove_some(struct random_tree *t, const struct place *at)
{
    if (!at->nodeid)
        return;
    remove_one(t, at->dir, at->name, at->nodeid, at->mode);
    if (pick(t, 3) == 0)
        make_other(t, at);
    else if (pick(t, 3) == 0)
        make_file(t, at);
}

static void rename_some(struct random_tree *t, const struct place *at)
{
    struct place to = some_place(t);

    if (at->nodeid)
        (void)vfs_rename(t->p, at->dir, at->name, to.dir, to.name, pick(t, 4) ? 0 : RENAME_EXCHANGE,
                         NULL);
}

static void link_some(struct random_tree *t, const struct place *at)
{
    struct place to = some_place(t);
    struct vfs_attr a;

    if (at->nodeid && !S_ISDIR(at->mode) && vfs_link(t->p, at->nodeid, to.dir, to.name, &a) == 0)
        vfs_forget(t->p, a.nodeid, 1);
}

static void set_xattr(struct random_tree *t, const struct place *at)
{
    static const char *const names[] = {"user.a", "user.b", "security.c", "trusted.d"};
    const char *name = names[pick(t, 4)];

    if (S_ISFIFO(at->mode) || S_ISCHR(at->mode))
        return;
    if (pick(t, 3))
        CHECK(vfs_setxattr(t->p, at->nodeid, name, bytes + pick(t, 9),
                           pick(t, 3) ? pick(t, 9) : 3000, 0) == 0);
    else
        (void)vfs_removexattr(t->p, at->nodeid, name);
}

/* An access ACL: a user may read more than the group. */
static void set_acl(struct random_tree *t, const struct place *at)
{
    static const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                                  0, 5, 0,   0,   0,   4,   0,  0, 0,   255, 255, 255, 255, 16, 0,
                                  4, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};
    const char *name =
        S_ISDIR(at->mode) && pick(t, 2) ? "system.posix_acl_default" : "system.posix_acl_access";

    if (pick(t, 3))
        CHECK(vfs_setxattr(t->p, at->nodeid, name, acl, sizeof acl, 0) == 0);
    else
        (void)vfs_removexattr(t->p, at->nodeid, name);
}

static void set_some(struct random_tree *t, const struct place *at)
{
    const struct vfs_attr in = {.mode = pick(t, 2) ? 0600 : 04755,
                                .uid = (uint32_t)pick(t, 3),
                                .gid = (uint32_t)pick(t, 3),
                                .mtime = (int64_t)pick(t, 3) * NSEC_PER_SEC - 1};
    static const unsigned sets[] = {VFS_SET_MODE, VFS_SET_UID, VFS_SET_GID, VFS_SET_MTIME};
    struct vfs_attr a;

    if (!at->nodeid || S_ISLNK(at->mode))
        return;
    if (pick(t, 3))
        CHECK(vfs_setattr(t->p, at->nodeid, sets[pick(t, 4)], &in, &a) == 0);
    else if (pick(t, 3))
        set_xattr(t, at);
    else
        set_acl(t, at);
}

void random_tree_step(struct random_tree *t)
{
    struct place at = some_place(t);

    clock_manual_advance(t->clock, (int64_t)pick(t, 2) * NSEC_PER_MSEC);
    switch (pick(t, 15)) {
    case 0:
    case 1:
    case 2:
        make_file(t, &at);
        break;
    case 3:
    case 4:
    case 5:
        change_file(t);
        break;
    case 6:
    case 7:
        make_other(t, &at);
        break;
    case 8:
        remove_some(t, &at);
        break;
    case 9:
    case 10:
        rename_some(t, &at);
        break;
    case 11:
        link_some(t, &at);
        break;
    case 12:
        copy_file(t, &at);
        break;
    default:
        set_some(t, &at);
    }
}
