// SPDX-License-Identifier: Apache-2.0
/*
 * property_send: random trees of one store, sent to another one, whole and as differences.
 *
 *     property_send [--seed S] [--rounds N]
 *
 * In each round files are made, written, renamed, exchanged, linked, copied, replaced and removed,
 * and a snapshot is made. It is sent whole, or as the difference to an earlier snapshot, in pieces
 * of any size. Both trees are then walked, all is read, and the two lists of what was found are
 * compared, without the rooms diff, digest and image. At times a stream is damaged: then nothing
 * must be there; or it is interrupted, and only the rest is written afterwards. At times a store is drained, checked offline, or abandoned and started
 * again from its log. Prints its seed; the same seed does the same.
 */
#include "clock_manual.h"
#include "check.h"
#include "disk_mem.h"
#include "drain.h"
#include "durability.h"
#include "export.h"
#include "import.h"
#include "kv_mem.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_find.h"
#include "store.h"
#include "vfs.h"
#include <errno.h>
#include <getopt.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define NAMES 9      /* different names */
#define BYTES 700000 /* of a file, at most */
#define LINES 4096
#define KEPT 4 /* snapshots that the sender has */
#define DAY (86400 * NSEC_PER_SEC)

/* A store. */
struct side {
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct state *p;
};

static struct {
    struct clock_manual clock;
    struct side from, to;
    uint64_t rng, round;
    uint64_t last;  /* the number of the last snapshot */
    bool has[KEPT]; /* the receiver has that snapshot */
    uint8_t *stream;
    size_t stream_len, stream_room;
    uint64_t whole, differences, refused, resumed, bytes;
} w;

static void failed(int line, const char *what)
{
    fprintf(stderr, "property_send.c:%d: round %llu: %s\n", line, (unsigned long long)w.round,
            what);
    abort();
}

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            failed(__LINE__, #cond);                                                               \
    } while (0)

static const struct vfs_cred root = {0};
static const _Atomic bool never = false;
static uint8_t bytes[BYTES], got[BYTES + 1];

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

/* ---- stores ---- */

static void open_store(struct side *s)
{
    struct state_config c = {.disk = s->disk, .clock = &w.clock.base, .threads = 2};

    CHECK(kv_open_mem(s->mem, store_tables, store_table_count, KV_CREATE, &s->kv) == 0);
    c.kv = s->kv;
    CHECK(store_open(&c, &s->p) == 0);
    settings_put(&s->p->settings, SET_TRASH_KEEP, 0);
}

static void make_store(struct side *s)
{
    CHECK(kv_mem_create(NULL, &s->mem) == 0 && disk_mem_create(NULL, 0, &s->disk) == 0);
    CHECK(kv_open_mem(s->mem, store_tables, store_table_count, KV_CREATE, &s->kv) == 0);
    CHECK(store_format(s->disk, s->kv, &w.clock.base, "o/p", 0, 0, NULL) == 0);
    kv_close(s->kv);
    open_store(s);
}

static void drop_store(struct side *s)
{
    CHECK(store_close(s->p) == 0);
    kv_close(s->kv);
    disk_close(s->disk);
    kv_mem_destroy(s->mem);
}

static void drain(struct side *s)
{
    CHECK(flush_drain(s->p, true, -1, NULL) == 0);
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    if (!strcmp(what, "note"))
        return;
    fprintf(stderr, "check: %s %s: %s\n", what, where, sentence);
    ++*(unsigned *)ctx;
}

/* Closes a store, and checks it offline. */
static void inspect(struct side *s)
{
    unsigned findings = 0;
    const struct check_options o = {.found = found, .ctx = &findings};
    struct check_result r;

    drain(s);
    CHECK(store_close(s->p) == 0);
    CHECK(store_check(s->disk, s->kv, &o, &r) == 0);
    CHECK(findings == 0);
    kv_close(s->kv);
    open_store(s);
}

/* The process dies, and the log has what was not committed. */
static void die(struct side *s)
{
    store_abandon(s->p);
    kv_close(s->kv);
    open_store(s);
}

/* ---- the naive list of a tree ---- */

struct line {
    char path[400];
    struct vfs_attr attr;
    uint64_t hash, xattrs;
    size_t first; /* the line of its first name */
};
struct lines {
    struct line v[LINES];
    size_t count;
};
static struct lines sent, received;

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

static uint64_t hash_content(struct state *p, const struct vfs_attr *a)
{
    char target[PATH_MAX];
    struct vfs_file *f;
    ssize_t n;

    if (S_ISLNK(a->mode)) {
        CHECK(vfs_readlink(p, a->nodeid, target, sizeof target) == 0);
        return mix(1, target, strlen(target));
    }
    if (!S_ISREG(a->mode))
        return 0;
    CHECK(vfs_open(p, a->nodeid, VFS_NOATIME, &f) == 0);
    n = vfs_read(f, got, sizeof got, 0);
    CHECK(n >= 0 && (uint64_t)n == a->size);
    vfs_release(f);
    return mix((uint64_t)n, got, (size_t)n);
}

static uint64_t hash_xattrs(struct state *p, uint64_t nodeid)
{
    char names[4096];
    uint64_t hash = 0;
    ssize_t len = vfs_listxattr(p, nodeid, names, sizeof names, true);

    CHECK(len >= 0);
    for (const char *n = names; n < names + len; n += strlen(n) + 1) { /* in any order */
        ssize_t size = vfs_getxattr(p, nodeid, n, got, sizeof got);
        CHECK(size >= 0);
        hash += mix(mix(1, n, strlen(n)), got, (size_t)size);
    }
    return hash;
}

static void add_line(struct state *p, struct lines *l, const char *path, const struct vfs_attr *a)
{
    struct line *n = &l->v[l->count];

    CHECK(l->count < LINES);
    snprintf(n->path, sizeof n->path, "%s", path);
    n->attr = *a;
    n->hash = hash_content(p, a);
    n->xattrs = hash_xattrs(p, a->nodeid);
    l->count++;
}

static void read_dir(struct state *p, struct lines *l, uint64_t dir, const char *path)
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
    return strcmp(((const struct line *)x)->path, ((const struct line *)y)->path);
}

static void find_firsts(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        for (l->v[i].first = 0; l->v[l->v[i].first].attr.nodeid != l->v[i].attr.nodeid;)
            l->v[i].first++;
}

/* Lists what NAME or NAME@SNAPSHOT has. */
static void read_tree(struct state *p, const char *spec, struct lines *l)
{
    struct vfs_attr a;
    struct ns *ns;

    l->count = 0;
    CHECK(ns_find(p, spec, &ns) == 0);
    CHECK(vfs_getattr(p, vfs_node(ns->number, NS_ROOT_INO), &a) == 0);
    add_line(p, l, "", &a);
    read_dir(p, l, a.nodeid, "");
    ns_put(p, ns);
    qsort(l->v, l->count, sizeof *l->v, compare_lines);
    find_firsts(l);
}

static bool is_same(const struct line *x, const struct line *y)
{
    const struct vfs_attr *a = &x->attr, *b = &y->attr;

    return !strcmp(x->path, y->path) && a->mode == b->mode && a->uid == b->uid &&
           a->gid == b->gid && a->mtime == b->mtime && a->size == b->size && a->rdev == b->rdev &&
           a->nlink == b->nlink && x->hash == y->hash && x->xattrs == y->xattrs &&
           x->first == y->first;
}

static void check_same_trees(void)
{
    for (size_t i = 0; i < sent.count || i < received.count; i++)
        if (i >= sent.count || i >= received.count || !is_same(&sent.v[i], &received.v[i])) {
            fprintf(stderr, "sent '%s', received '%s'\n", i < sent.count ? sent.v[i].path : "-",
                    i < received.count ? received.v[i].path : "-");
            failed(__LINE__, "the trees differ");
        }
}

/* ---- sending ---- */

static size_t some_size(void)
{
    static const size_t sizes[] = {1, 13, 100, 5000, 70000, 1 << 20};

    return 1 + pick(sizes[pick(sizeof sizes / sizeof *sizes)]);
}

/* Reads all of a stream. */
static void read_stream(const char *spec)
{
    struct export_session *s;
    char line[100];
    ssize_t n;

    w.stream_len = 0;
    snprintf(line, sizeof line, "send %s\n", spec);
    CHECK(export_open(w.from.p, &s) == 0);
    CHECK(export_write(s, line, strlen(line)) == (ssize_t)strlen(line));
    do {
        size_t size = some_size();
        if (w.stream_len + size > w.stream_room) {
            w.stream_room = 2 * w.stream_room + size;
            w.stream = realloc(w.stream, w.stream_room);
            CHECK(w.stream);
        }
        n = export_read(s, (char *)w.stream + w.stream_len, size, &never);
        CHECK(n >= 0 && (n == 0 || (size_t)n <= size));
        w.stream_len += (size_t)n;
    } while (n > 0);
    export_close(s);
}

/* Writes bytes of the stream. 0, or the error. */
static int write_stream(const char *line, size_t at, size_t len, char reply[500])
{
    struct import *s;
    ssize_t n = 0;

    CHECK(import_open(w.to.p, &root, true, &s) == 0);
    CHECK(import_write(s, line, strlen(line), &never) == (ssize_t)strlen(line));
    while (at < len && n >= 0) {
        size_t size = some_size();
        size = size < len - at ? size : len - at;
        n = import_write(s, (char *)w.stream + at, size, &never);
        at += size;
    }
    n = n < 0 ? n : 0;
    memset(reply, 0, 500);
    CHECK(import_read(s, reply, 499) >= 0);
    import_close(s);
    return (int)n;
}

static bool is_there(const char *name)
{
    struct ns *ns;
    int err = ns_get_by_name(w.to.p, name, &ns);

    if (err == 0)
        ns_put(w.to.p, ns);
    return err == 0;
}

/* A byte of the stream is wrong: nothing comes of it. (If it is of a length, more is waited for.) */
static void receive_damaged(const char *name)
{
    char reply[500], line[100];
    size_t at = pick(w.stream_len);
    int err;

    snprintf(line, sizeof line, "receive %s\n", name);
    w.stream[at] ^= (uint8_t)(1u << pick(8));
    err = write_stream(line, 0, w.stream_len, reply);
    CHECK(err < 0 ? !strncmp(reply, "error ", 6) : !*reply);
    CHECK(!is_there(name));
    w.refused++;
}

/* The stream is interrupted. `line` becomes that with which the rest is received, and *at where that
 * begins. */
static void interrupt_stream(const char *name, char line[100], size_t *at)
{
    unsigned long long taken, sum;
    char reply[2000] = "", *partial;
    struct import *s;

    (void)write_stream(line, 0, pick(w.stream_len), reply);
    CHECK(!is_there(name));
    CHECK(import_open(w.to.p, &root, true, &s) == 0);
    CHECK(import_write(s, "have\n", 5, &never) == 5);
    CHECK(import_read(s, reply, sizeof reply - 1) > 0);
    import_close(s);
    partial = strstr(reply, "partial ");
    if (!partial)
        return; /* its first record had not come */
    CHECK(sscanf(partial, "partial %*s %llu %llx", &taken, &sum) == 2);
    snprintf(line, 100, "receive %s resume=%llu:%llx\n", name, taken, sum);
    *at = (size_t)taken;
    w.resumed++;
}

static void receive(const char *name)
{
    char reply[500], line[100];
    size_t at = 0;
    int err;

    snprintf(line, sizeof line, "receive %s\n", name);
    for (unsigned i = 0; i < 3 && at == 0 && pick(3) == 0; i++)
        interrupt_stream(name, line, &at);
    err = write_stream(line, at, w.stream_len, reply);
    if (err < 0)
        fprintf(stderr, "%s", reply);
    CHECK(err == 0 && !strncmp(reply, "ok ", 3));
}

static void drop(struct state *p, const char *name)
{
    uint32_t open;

    CHECK(ns_drop(p, name, true, false, false, &open) == 0);
}

/* Sends the last snapshot, whole, or from an earlier one that the receiver has. */
static void send_last(void)
{
    char spec[100], name[50];
    uint64_t base = w.last > KEPT ? w.last - KEPT + pick(KEPT) : pick(w.last);

    if (base && base != w.last && w.has[base % KEPT] && pick(5)) {
        snprintf(spec, sizeof spec, "main@s%llu..s%llu", (unsigned long long)base,
                 (unsigned long long)w.last);
        w.differences++;
    } else {
        snprintf(spec, sizeof spec, "main@s%llu", (unsigned long long)w.last);
        w.whole++;
    }
    snprintf(name, sizeof name, "r%llu", (unsigned long long)w.last);
    read_stream(spec);
    if (pick(4) == 0) {
        receive_damaged(name);
        read_stream(spec);
    }
    receive(name);
    w.bytes += w.stream_len;
    snprintf(spec, sizeof spec, "main@s%llu", (unsigned long long)w.last);
    read_tree(w.from.p, spec, &sent);
    read_tree(w.to.p, name, &received);
    check_same_trees();
    w.has[w.last % KEPT] = true;
}

/* Makes the next snapshot, and gives up what is too old on both sides. */
static void take_snapshot(void)
{
    char name[50];
    struct ns *ns;
    uint64_t seq, old = ++w.last > KEPT ? w.last - KEPT : 0;
    uint32_t open;

    CHECK(ns_get_by_name(w.from.p, "main", &ns) == 0);
    snprintf(name, sizeof name, "s%llu", (unsigned long long)w.last);
    CHECK(ns_snapshot(w.from.p, ns, name, &seq) == 0);
    ns_put(w.from.p, ns);
    snprintf(name, sizeof name, "main@s%llu", (unsigned long long)old);
    if (old && ns_find(w.from.p, name, &ns) == 0) {
        CHECK(ns_remove(w.from.p, ns, NS_SNAPSHOT, true, &open) == 0);
        ns_put(w.from.p, ns);
    }
    snprintf(name, sizeof name, "r%llu", (unsigned long long)old);
    if (old && is_there(name))
        drop(w.to.p, name);
    w.has[w.last % KEPT] = false;
}

/* ---- changes ---- */

struct place {
    uint64_t dir;
    char name[16];
    uint64_t nodeid; /* of what has the name; 0: nothing */
    uint32_t mode;
};

static uint64_t main_node(void)
{
    struct vfs_attr a;

    CHECK(vfs_lookup(w.from.p, VFS_ROOT, "main", &a) == 0);
    vfs_forget(w.from.p, a.nodeid, 1);
    return a.nodeid;
}

/* Some name, at some depth. */
static struct place some_place(void)
{
    struct place at = {.dir = main_node()};
    struct vfs_attr a;

    for (;;) {
        snprintf(at.name, sizeof at.name, "n%llu", (unsigned long long)pick(NAMES));
        at.nodeid = 0;
        if (vfs_lookup(w.from.p, at.dir, at.name, &a) == 0) {
            vfs_forget(w.from.p, a.nodeid, 1);
            at.nodeid = a.nodeid;
            at.mode = a.mode;
        }
        if (!at.nodeid || !S_ISDIR(at.mode) || pick(3) == 0)
            return at;
        at.dir = at.nodeid;
    }
}

static struct place some_file(void)
{
    struct place at = some_place();

    for (unsigned i = 0; i < 20 && !(at.nodeid && S_ISREG(at.mode)); i++)
        at = some_place();
    return at;
}

/* Writes some of a few different bytes. */
static void write_some(struct vfs_file *f)
{
    bool large = pick(4) == 0;
    uint64_t off = pick(5) * (large ? 100000 : 700), len = large ? pick(250000) : pick(9000);

    CHECK(vfs_write(f, bytes + pick(3) * 1000 + off % 7, len, off) == (ssize_t)len);
}

static void make_file(const struct place *at)
{
    struct vfs_file *f;
    struct vfs_attr a;

    if (vfs_create(w.from.p, at->dir, at->name, 0644, &root, VFS_WRITE | VFS_TRUNC, &a, &f) < 0)
        return;
    write_some(f);
    vfs_release(f);
    vfs_forget(w.from.p, a.nodeid, 1);
}

static void change_file(void)
{
    struct place at = some_file();
    const struct vfs_attr size = {.size = pick(7) * 80001};
    struct vfs_file *f;
    struct vfs_attr a;

    if (!at.nodeid || !S_ISREG(at.mode))
        return;
    CHECK(vfs_open(w.from.p, at.nodeid, VFS_WRITE, &f) == 0);
    switch (pick(5)) {
    case 0:
        CHECK(vfs_setattr(w.from.p, at.nodeid, VFS_SET_SIZE, &size, &a) == 0);
        break;
    case 1:
        CHECK(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pick(500) * 1000,
                            1 + pick(250000)) == 0);
        break;
    default:
        write_some(f);
    }
    vfs_release(f);
}

/* Another file gets the bytes of one, without copying them. */
static void copy_file(const struct place *to)
{
    struct place at = some_file();
    struct vfs_file *in, *out;
    struct vfs_attr a;

    if (!at.nodeid || !S_ISREG(at.mode) || to->nodeid)
        return;
    CHECK(vfs_open(w.from.p, at.nodeid, VFS_NOATIME, &in) == 0);
    if (vfs_create(w.from.p, to->dir, to->name, 0600, &root, VFS_WRITE, &a, &out) == 0) {
        CHECK(vfs_share_range(in, 0, out, 0, BYTES) >= -EOPNOTSUPP);
        vfs_release(out);
        vfs_forget(w.from.p, a.nodeid, 1);
    }
    vfs_release(in);
}

static void make_other(const struct place *at)
{
    static const uint32_t types[] = {S_IFDIR | 0755, S_IFDIR | 01770, S_IFIFO | 0600,
                                     S_IFCHR | 0620};
    char target[3000];
    struct vfs_attr a;
    int err;

    memset(target, 't', sizeof target);
    target[pick(10) ? 1 + pick(20) : sizeof target - 1] = 0;
    err = pick(4) ? vfs_mknod(w.from.p, at->dir, at->name, types[pick(pick(2) ? 2 : 4)], 0x103,
                              &root, &a)
                  : vfs_symlink(w.from.p, at->dir, at->name, target, &root, &a);
    if (err == 0)
        vfs_forget(w.from.p, a.nodeid, 1);
}

static void remove_one(uint64_t dir, const char *name, uint64_t nodeid, uint32_t mode)
{
    struct listing *l = S_ISDIR(mode) ? calloc(1, sizeof *l) : NULL;

    CHECK(l || !S_ISDIR(mode));
    if (l)
        CHECK(vfs_readdir(w.from.p, nodeid, 0, true, take_entry, l) == 0);
    for (size_t i = 0; l && i < l->count; i++) {
        vfs_forget(w.from.p, l->attr[i].nodeid, 1);
        remove_one(nodeid, l->name[i], l->attr[i].nodeid, l->attr[i].mode);
    }
    free(l);
    CHECK((S_ISDIR(mode) ? vfs_rmdir(w.from.p, dir, name) : vfs_unlink(w.from.p, dir, name)) == 0);
}

/* Removes a file, or all of a directory, and at times puts something else there. */
static void remove_some(const struct place *at)
{
    if (!at->nodeid)
        return;
    remove_one(at->dir, at->name, at->nodeid, at->mode);
    if (pick(3) == 0)
        make_other(at);
    else if (pick(3) == 0)
        make_file(at);
}

static void rename_some(const struct place *at)
{
    struct place to = some_place();

    if (at->nodeid)
        (void)vfs_rename(w.from.p, at->dir, at->name, to.dir, to.name,
                         pick(4) ? 0 : RENAME_EXCHANGE, NULL);
}

static void link_some(const struct place *at)
{
    struct place to = some_place();
    struct vfs_attr a;

    if (at->nodeid && !S_ISDIR(at->mode) &&
        vfs_link(w.from.p, at->nodeid, to.dir, to.name, &a) == 0)
        vfs_forget(w.from.p, a.nodeid, 1);
}

static void set_xattr(const struct place *at)
{
    static const char *const names[] = {"user.a", "user.b", "security.c", "trusted.d"};
    const char *name = names[pick(4)];

    if (S_ISFIFO(at->mode) || S_ISCHR(at->mode))
        return;
    if (pick(3))
        CHECK(vfs_setxattr(w.from.p, at->nodeid, name, bytes + pick(9), pick(3) ? pick(9) : 3000,
                           0) == 0);
    else
        (void)vfs_removexattr(w.from.p, at->nodeid, name);
}

/* An access ACL: a user may read more than the group. */
static void set_acl(const struct place *at)
{
    static const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                                  0, 5, 0,   0,   0,   4,   0,  0, 0,   255, 255, 255, 255, 16, 0,
                                  4, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};
    const char *name =
        S_ISDIR(at->mode) && pick(2) ? "system.posix_acl_default" : "system.posix_acl_access";

    if (pick(3))
        CHECK(vfs_setxattr(w.from.p, at->nodeid, name, acl, sizeof acl, 0) == 0);
    else
        (void)vfs_removexattr(w.from.p, at->nodeid, name);
}

static void set_some(const struct place *at)
{
    const struct vfs_attr in = {.mode = pick(2) ? 0600 : 04755,
                                .uid = (uint32_t)pick(3),
                                .gid = (uint32_t)pick(3),
                                .mtime = (int64_t)pick(3) * NSEC_PER_SEC - 1};
    static const unsigned sets[] = {VFS_SET_MODE, VFS_SET_UID, VFS_SET_GID, VFS_SET_MTIME};
    struct vfs_attr a;

    if (!at->nodeid || S_ISLNK(at->mode))
        return;
    if (pick(3))
        CHECK(vfs_setattr(w.from.p, at->nodeid, sets[pick(4)], &in, &a) == 0);
    else if (pick(3))
        set_xattr(at);
    else
        set_acl(at);
}

static void step(void)
{
    struct place at = some_place();

    clock_manual_advance(&w.clock, (int64_t)pick(2) * NSEC_PER_MSEC);
    switch (pick(15)) {
    case 0:
    case 1:
    case 2:
        make_file(&at);
        break;
    case 3:
    case 4:
    case 5:
        change_file();
        break;
    case 6:
    case 7:
        make_other(&at);
        break;
    case 8:
        remove_some(&at);
        break;
    case 9:
    case 10:
        rename_some(&at);
        break;
    case 11:
        link_some(&at);
        break;
    case 12:
        copy_file(&at);
        break;
    default:
        set_some(&at);
    }
}

/* ---- all of it ---- */

static void play_round(void)
{
    struct side *some = pick(2) ? &w.from : &w.to;

    for (uint64_t left = pick(pick(4) ? 6 : 40); left > 0; left--)
        step();
    if (pick(3))
        drain(&w.from);
    for (uint64_t left = pick(3); left > 0; left--)
        step();
    take_snapshot();
    send_last();
    if (pick(8) == 0)
        drain(some);
    if (pick(12) == 0)
        die(some);
    if (pick(25) == 0)
        inspect(some);
}

static void play(uint64_t rounds)
{
    for (w.round = 0; w.round < rounds; w.round++)
        play_round();
    inspect(&w.from);
    inspect(&w.to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", 1, NULL, 's'}, {"rounds", 1, NULL, 'n'}, {0}};
    uint64_t rounds = 200, state = 1;
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
    printf("property_send --seed %llu --rounds %llu\n", (unsigned long long)w.rng,
           (unsigned long long)rounds);
    fflush(stdout);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)fault_random(&state);
    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    make_store(&w.from);
    make_store(&w.to);
    play(rounds);
    drop_store(&w.from);
    drop_store(&w.to);
    free(w.stream);
    printf("%llu whole, %llu differences, %llu refused, %llu resumed, %llu bytes\n",
           (unsigned long long)w.whole, (unsigned long long)w.differences,
           (unsigned long long)w.refused, (unsigned long long)w.resumed,
           (unsigned long long)w.bytes);
    return 0;
}
