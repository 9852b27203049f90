// SPDX-License-Identifier: Apache-2.0
/*
 * property_diff: random changes of two branches, and what diff says of them, against a naive model.
 *
 *     property_diff [--seed S] [--rounds N]
 *
 * In each round files, directories and symlinks of both branches are made, written, renamed,
 * linked, replaced and removed; at times everything is sealed, the store is started again, or the
 * branch is made anew. Then both trees are walked and all of them is read, without the room diff,
 * and its list is checked in two ways. All that differs is listed: the first tree, with the
 * deletions, renames and new paths of the list made, has the paths of the second one, and what is
 * under a path that is not listed is equal. All that is listed differs, just as it says. Prints its
 * seed; the same seed does the same.
 */
#include "clock_manual.h"
#include "diff.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "disk_mem.h"
#include "durability.h"
#include "kv_mem.h"
#include "store.h"
#include "vfs.h"
#include <errno.h>
#include <getopt.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define NODES 4000   /* of a tree */
#define PATH 4096    /* bytes of a path */
#define NAMES 12     /* different names */
#define BYTES 500000 /* of a file, at most */
#define SIDES 2

struct node {
    char path[PATH];
    uint64_t ino, hash, xattrs; /* hashes of the content, and of the extended attributes */
    uint32_t mode, uid, gid;
    uint64_t size;
    int64_t mtime;
};
struct tree_model {
    struct node v[NODES];
    size_t count;
};

static struct {
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct clock_manual clock;
    struct state *p;
    struct tree_model side[SIDES];
    uint64_t rng, round;
    const struct changes *list; /* that is being checked; NULL: none */
} w;

/* Ends the run: shows what is false, and the list that is being checked. */
static void failed(int line, const char *what)
{
    fprintf(stderr, "property_diff.c:%d: round %llu: %s\n", line, (unsigned long long)w.round,
            what);
    for (size_t i = 0; w.list && i < w.list->count; i++) {
        const struct change *x = &w.list->v[i];
        fprintf(stderr, "%c %s%s%s %x\n", x->status, x->from ? x->from : "", x->from ? " > " : "",
                x->path, x->attrs);
    }
    abort();
}

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            failed(__LINE__, #cond);                                                               \
    } while (0)

static const struct vfs_cred root = {0};
static const char *const spaces[SIDES] = {"main", "dev"};
static uint8_t bytes[BYTES], got[BYTES];

static uint64_t pick(uint64_t n)
{
    return fault_random(&w.rng) % n;
}

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *at = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Few hashes of names, so that many collide. */
static uint64_t few(uint64_t hash, unsigned level)
{
    return level == 0 ? (hash & ~UINT64_C(127)) % (4 * NAME_PLACES) : hash;
}

static void open_store(void)
{
    struct state_config c = {.disk = w.disk, .clock = &w.clock.base, .threads = 2};

    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    c.kv = w.kv;
    CHECK(store_open(&c, &w.p) == 0);
    w.p->name_key.fold = few;
}

/* ---- walking a tree ---- */

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

static uint64_t hash_file(uint64_t nodeid)
{
    struct vfs_file *f;
    ssize_t n;

    CHECK(vfs_open(w.p, nodeid, VFS_NOATIME, &f) == 0);
    n = vfs_read(f, got, sizeof got, 0);
    CHECK(n >= 0);
    vfs_release(f);
    return mix(1, got, (size_t)n);
}

static uint64_t hash_xattrs(uint64_t nodeid)
{
    char names[4096];
    uint64_t hash = 0;
    ssize_t len = vfs_listxattr(w.p, nodeid, names, sizeof names, true);

    CHECK(len >= 0);
    for (const char *n = names; n < names + len; n += strlen(n) + 1) { /* in any order */
        ssize_t size = vfs_getxattr(w.p, nodeid, n, got, sizeof got);
        CHECK(size >= 0);
        hash += mix(mix(1, n, strlen(n)), got, (size_t)size);
    }
    return hash;
}

static void note(struct tree_model *t, const char *path, const struct vfs_attr *a)
{
    struct node *n = &t->v[t->count];
    char target[PATH_MAX];

    CHECK(t->count++ < NODES);
    *n = (struct node){.ino = vfs_node_ino(a->nodeid),
                       .mode = a->mode,
                       .uid = a->uid,
                       .gid = a->gid,
                       .size = S_ISREG(a->mode) ? a->size : 0,
                       .mtime = a->mtime,
                       .xattrs = hash_xattrs(a->nodeid)};
    snprintf(n->path, sizeof n->path, "%s", path);
    if (S_ISREG(a->mode))
        n->hash = hash_file(a->nodeid);
    if (S_ISLNK(a->mode)) {
        CHECK(vfs_readlink(w.p, a->nodeid, target, sizeof target) == 0);
        n->hash = mix(1, target, strlen(target));
    }
}

static void walk(struct tree_model *t, uint64_t dir, const char *path)
{
    struct listing *l = calloc(1, sizeof *l);

    CHECK(l && vfs_readdir(w.p, dir, 0, true, take_entry, l) == 0);
    for (size_t i = 0; i < l->count; i++) {
        char below[PATH];
        vfs_forget(w.p, l->attr[i].nodeid, 1);
        CHECK(snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", l->name[i]) < PATH);
        note(t, below, &l->attr[i]);
        if (S_ISDIR(l->attr[i].mode))
            walk(t, l->attr[i].nodeid, below);
    }
    free(l);
}

static uint64_t space_node(int side)
{
    struct vfs_attr a;

    CHECK(vfs_lookup(w.p, VFS_ROOT, spaces[side], &a) == 0);
    vfs_forget(w.p, a.nodeid, 1);
    return a.nodeid;
}

static int compare_nodes(const void *x, const void *y)
{
    return strcmp(((const struct node *)x)->path, ((const struct node *)y)->path);
}

static void model_side(int side)
{
    struct tree_model *t = &w.side[side];
    struct vfs_attr a;

    t->count = 0;
    CHECK(vfs_getattr(w.p, space_node(side), &a) == 0);
    note(t, ".", &a);
    walk(t, a.nodeid, "");
    qsort(t->v, t->count, sizeof *t->v, compare_nodes);
}

static struct node *find(int side, const char *path)
{
    struct tree_model *t = &w.side[side];
    struct node key;

    snprintf(key.path, sizeof key.path, "%s", path);
    return bsearch(&key, t->v, t->count, sizeof *t->v, compare_nodes);
}

/* ---- checking a list ---- */

static const struct change *listed(const struct changes *c, const char *status, const char *path,
                                   bool from)
{
    for (size_t i = 0; i < c->count; i++) {
        const char *at = from ? c->v[i].from : c->v[i].path;
        if (at && strchr(status, c->v[i].status) && !strcmp(at, path))
            return &c->v[i];
    }
    return NULL;
}

/* Where a path of the first tree is in the second one, by the renames of the list. */
static void image_of(const struct changes *c, const char *path, char out[PATH])
{
    const struct change *r = listed(c, "R", path, true);
    const char *slash = strrchr(path, '/');
    char dir[PATH], above[PATH];

    if (r || !slash) {
        snprintf(out, PATH, "%s", r ? r->path : path);
        return;
    }
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    image_of(c, dir, above);
    CHECK(snprintf(out, PATH, "%s%s", above, slash) < PATH);
}

/* Which attributes differ. The time of a directory is not known here (2), as it may follow. */
static unsigned attrs_of(const struct node *a, const struct node *b, bool modified)
{
    return (a->mode != b->mode ? DIFF_MODE : 0) |
           (a->uid != b->uid || a->gid != b->gid ? DIFF_OWNER : 0) |
           (a->mtime != b->mtime && !modified && !S_ISDIR(a->mode) ? DIFF_TIMES : 0) |
           (a->xattrs != b->xattrs ? DIFF_XATTR : 0);
}

/* Checks what the list says of a file that is at `a` and at `b`. */
static void check_pair(const struct changes *c, const struct node *a, const struct node *b)
{
    const struct change *x = listed(c, "AMTRa", b->path, false);
    bool modified = a->size != b->size || a->hash != b->hash, type = (a->mode ^ b->mode) & S_IFMT;
    unsigned attrs = attrs_of(a, b, modified);

    if (type) {
        CHECK(x && x->status == 'T');
        return;
    }
    if (!x) {
        CHECK(!modified && !attrs);
        return;
    }
    CHECK(x->status == 'R' || x->status == (modified ? 'M' : 'a'));
    CHECK(x->modified == modified && !x->unread);
    CHECK((x->attrs & ~(S_ISDIR(a->mode) ? DIFF_TIMES : 0u)) == attrs);
    CHECK(x->status != 'a' || x->attrs);
    if (x->status == 'R')
        CHECK(a->ino == b->ino || (modified == false && S_ISREG(a->mode) && a->size));
}

/* Each path of the first tree is deleted or has an image; each of the second one is new or is an
 * image, and of one path only. */
static void check_paths(const struct changes *c)
{
    bool *taken = calloc(NODES, sizeof *taken);

    CHECK(taken);
    for (size_t i = 0; i < w.side[0].count; i++) {
        const struct node *a = &w.side[0].v[i];
        char image[PATH];
        if (listed(c, "D", a->path, false))
            continue;
        image_of(c, a->path, image);
        const struct node *b = find(1, image);
        CHECK(b && !taken[b - w.side[1].v]);
        taken[b - w.side[1].v] = true;
        CHECK(!listed(c, "A", image, false));
        check_pair(c, a, b);
    }
    for (size_t i = 0; i < w.side[1].count; i++)
        CHECK(taken[i] == !listed(c, "A", w.side[1].v[i].path, false));
    free(taken);
}

/* Of one file, or where one path would be, not one name is deleted and another one new. */
static void check_identity(const struct changes *c)
{
    for (size_t i = 0; i < c->count; i++)
        for (size_t j = 0; j < c->count && c->v[i].status == 'D'; j++) {
            const struct node *a = find(0, c->v[i].path), *b = find(1, c->v[j].path);
            char image[PATH];
            if (c->v[j].status != 'A')
                continue;
            image_of(c, a->path, image);
            CHECK(a->ino != b->ino && strcmp(image, b->path));
        }
}

static int rank(const struct change *x)
{
    return x->status == 'D' ? 0 : x->status == 'a' ? 2 : 1;
}

static void check_list(const struct changes *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct change *x = &c->v[i];
        CHECK(find(x->status != 'D', x->path));
        CHECK(!x->from == (x->status != 'R') && (!x->from || find(0, x->from)));
        CHECK(x->mode == find(x->status != 'D', x->path)->mode);
        if (i > 0) {
            int order = rank(&c->v[i - 1]) - rank(x);
            CHECK(order < 0 || (order == 0 && strcmp(c->v[i - 1].path, x->path) < 0));
        }
    }
    check_paths(c);
    check_identity(c);
}

static void compare(void)
{
    struct diff d = DIFF_INIT;
    struct ns *ns[SIDES];

    for (int s = 0; s < SIDES; s++) {
        CHECK(ns_get_by_name(w.p, spaces[s], &ns[s]) == 0);
        model_side(s);
    }
    CHECK(diff_namespaces(w.p, ns[0], ns[1], NULL, &d) == 0);
    w.list = &d.changes;
    check_list(&d.changes);
    w.list = NULL;
    diff_end(&d);
    ns_put(w.p, ns[0]);
    ns_put(w.p, ns[1]);
}

/* ---- changing them ---- */

struct place {
    uint64_t dir;
    char name[16];
    uint64_t nodeid; /* of what has the name; 0: nothing */
    uint32_t mode;
};

/* Some name, at some depth. */
static struct place some_place(int side)
{
    struct place at = {.dir = space_node(side)};
    struct vfs_attr a;

    for (;;) {
        snprintf(at.name, sizeof at.name, "n%llu", (unsigned long long)pick(NAMES));
        at.nodeid = 0;
        if (vfs_lookup(w.p, at.dir, at.name, &a) == 0) {
            vfs_forget(w.p, a.nodeid, 1);
            at.nodeid = a.nodeid;
            at.mode = a.mode;
        }
        if (!at.nodeid || !S_ISDIR(at.mode) || pick(3) == 0)
            return at;
        at.dir = at.nodeid;
    }
}

/* Writes some of a few different bytes. */
static void write_some(struct vfs_file *f)
{
    bool large = pick(6) == 0;
    uint64_t off = pick(4) * (large ? 100000 : 700), len = large ? pick(100000) : pick(5);

    CHECK(vfs_write(f, bytes + pick(3) * 1000 + off % 7, len, off) == (ssize_t)len);
}

static void make_file(const struct place *at)
{
    struct vfs_file *f;
    struct vfs_attr a;
    int err = vfs_create(w.p, at->dir, at->name, 0644, &root, VFS_WRITE | VFS_TRUNC, &a, &f);

    if (err < 0)
        return;
    write_some(f);
    vfs_release(f);
    vfs_forget(w.p, a.nodeid, 1);
}

static void change_file(const struct place *at)
{
    const struct vfs_attr size = {.size = pick(5) * 30001};
    struct vfs_file *f;
    struct vfs_attr a;

    if (!at->nodeid || !S_ISREG(at->mode))
        return;
    CHECK(vfs_open(w.p, at->nodeid, VFS_WRITE, &f) == 0);
    switch (pick(4)) {
    case 0:
        CHECK(vfs_setattr(w.p, at->nodeid, VFS_SET_SIZE, &size, &a) == 0);
        break;
    case 1:
        CHECK(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pick(200) * 1000,
                            1 + pick(150000)) == 0);
        break;
    default:
        write_some(f);
    }
    vfs_release(f);
}

static void make_other(const struct place *at)
{
    struct vfs_attr a;
    int err = pick(3) ? vfs_mknod(w.p, at->dir, at->name, S_IFDIR | 0755, 0, &root, &a)
                      : vfs_symlink(w.p, at->dir, at->name, pick(2) ? "one" : "two", &root, &a);

    if (err == 0)
        vfs_forget(w.p, a.nodeid, 1);
}

static void remove_some(const struct place *at)
{
    if (at->nodeid)
        (void)(S_ISDIR(at->mode) ? vfs_rmdir(w.p, at->dir, at->name)
                                 : vfs_unlink(w.p, at->dir, at->name));
}

static void rename_some(int side, const struct place *at)
{
    struct place to = some_place(side);

    if (at->nodeid)
        (void)vfs_rename(w.p, at->dir, at->name, to.dir, to.name, pick(4) ? 0 : RENAME_EXCHANGE,
                         NULL);
}

/* A further name in the same namespace, or a file of its own in the other one. */
static void link_some(int side, const struct place *at)
{
    struct place to = some_place(pick(3) ? side : !side);
    struct vfs_attr a;

    if (at->nodeid && vfs_link(w.p, at->nodeid, to.dir, to.name, &a) == 0)
        vfs_forget(w.p, a.nodeid, 1);
}

static void set_some(const struct place *at)
{
    const struct vfs_attr in = {.mode = pick(2) ? 0600 : 0755,
                                .uid = (uint32_t)pick(2),
                                .mtime = (int64_t)pick(3) * NSEC_PER_SEC};
    static const unsigned sets[] = {VFS_SET_MODE, VFS_SET_UID, VFS_SET_MTIME};
    const char *name = pick(2) ? "user.a" : "user.b";
    struct vfs_attr a;

    if (!at->nodeid || S_ISLNK(at->mode))
        return;
    if (pick(2))
        CHECK(vfs_setattr(w.p, at->nodeid, sets[pick(3)], &in, &a) == 0);
    else if (pick(3))
        CHECK(vfs_setxattr(w.p, at->nodeid, name, bytes + pick(2), pick(3) ? pick(4) : 3000, 0) ==
              0);
    else
        (void)vfs_removexattr(w.p, at->nodeid, name);
}

static void drain(void)
{
    CHECK(flush_drain(w.p, true, -1, NULL) == 0);
}

static void restart(void)
{
    CHECK(store_close(w.p) == 0);
    kv_close(w.kv);
    open_store();
}

static void branch_anew(void)
{
    uint64_t seq;
    uint32_t number, open;
    int from = pick(2) ? 0 : 1;

    CHECK(ns_drop(w.p, spaces[!from], false, false, false, &open) == 0);
    CHECK(ns_branch(w.p, spaces[from], spaces[!from], &seq, &number) == 0);
}

static void step(void)
{
    int side = pick(4) == 0 ? 0 : 1;
    struct place at = some_place(side);

    clock_manual_advance(&w.clock, (int64_t)pick(2) * NSEC_PER_MSEC);
    switch (pick(12)) {
    case 0:
    case 1:
    case 2:
        make_file(&at);
        break;
    case 3:
    case 4:
        change_file(&at);
        break;
    case 5:
        make_other(&at);
        break;
    case 6:
        remove_some(&at);
        break;
    case 7:
    case 8:
        rename_some(side, &at);
        break;
    case 9:
        link_some(side, &at);
        break;
    default:
        set_some(&at);
    }
}

static void play(uint64_t rounds)
{
    uint64_t seq;
    uint32_t number;

    CHECK(ns_branch(w.p, "main", "dev", &seq, &number) == 0);
    for (w.round = 0; w.round < rounds; w.round++) {
        for (uint64_t left = 1 + pick(20); left > 0; left--)
            step();
        if (pick(3) == 0)
            drain();
        if (pick(40) == 0)
            restart();
        compare();
        if (pick(12) == 0)
            branch_anew();
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", 1, NULL, 's'}, {"rounds", 1, NULL, 'n'}, {0}};
    uint64_t rounds = 1000, state = 1;
    int o;

    w.rng = 1;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 's')
            w.rng = strtoull(optarg, NULL, 0);
        else if (o == 'n')
            rounds = strtoull(optarg, NULL, 0);
        else
            return 2;
    }
    w.rng = w.rng ? w.rng : 1;
    printf("property_diff --seed %llu --rounds %llu\n", (unsigned long long)w.rng,
           (unsigned long long)rounds);
    fflush(stdout);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)fault_random(&state);
    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    CHECK(kv_mem_create(NULL, &w.mem) == 0 && disk_mem_create(NULL, 0, &w.disk) == 0);
    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    CHECK(store_format(w.disk, w.kv, &w.clock.base, "o/p", 0, 0, NULL) == 0);
    kv_close(w.kv);
    open_store();
    play(rounds);
    CHECK(store_close(w.p) == 0);
    kv_close(w.kv);
    disk_close(w.disk);
    kv_mem_destroy(w.mem);
    return 0;
}
