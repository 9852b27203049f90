// SPDX-License-Identifier: Apache-2.0
/*
 * property_merge: random changes of two branches, merged by the store and by a naive model.
 *
 *     property_merge [--seed S] [--rounds N] [--large]
 *
 * In each round files of both branches are made, written, renamed, linked, replaced and removed.
 * Then one is merged into the other, or a merge is taken back, by some rule. Before and after that
 * all trees are walked and all is read, without the rooms diff and merge. The naive merge
 * (merge_model.h) of the trees before says what must come out: the tree after, or conflicts and
 * no change. At times the store is drained, closed, checked offline, or abandoned and started again
 * from its log. With --large each merge is made as a large one is, and at times the side that gets
 * it changes while it is made: the model merges that into the result. Prints its seed; the same seed
 * does the same.
 */
#include "merge_model.h"
#include "merge_undo.h"
#include "clock_manual.h"
#include "check.h"
#include "disk_mem.h"
#include "durability.h"
#include "kv_mem.h"
#include "merge.h"
#include "ns_branch.h"
#include "ns_drop.h"
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
#define BYTES 500000 /* of a file, at most */
#define DAY (86400 * NSEC_PER_SEC)
enum { MAIN, DEV, SIDES };

static struct {
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct clock_manual clock;
    struct state *p;
    struct plain base; /* of the pair */
    struct {
        bool known; /* its last merge has left these */
        struct plain before, after, base;
    } last[SIDES];
    struct vfs_file *open; /* NULL: none */
    int open_side;
    uint64_t open_node;
    bool open_writes;
    uint64_t rng, round;
    bool large; /* each merge is one that is made beside those who write */
    uint64_t clean, refused, decided, undone, moved; /* merges */
} w;

static void failed(int line, const char *what)
{
    fprintf(stderr, "property_merge.c:%d: round %llu: %s\n", line, (unsigned long long)w.round,
            what);
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
    settings_put(&w.p->settings, SET_ORIGIN_KEEP, 7 * DAY);
    settings_put(&w.p->settings, SET_TRASH_KEEP, DAY);
}

static struct ns *space(int side)
{
    struct ns *ns;

    CHECK(ns_get_by_name(w.p, spaces[side], &ns) == 0);
    return ns;
}

static uint64_t space_node(int side)
{
    struct vfs_attr a;

    CHECK(vfs_lookup(w.p, VFS_ROOT, spaces[side], &a) == 0);
    vfs_forget(w.p, a.nodeid, 1);
    return a.nodeid;
}

/* ---- reading a tree ---- */

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

/* The inode that a node is now. */
static uint64_t ino_of(const struct ns *ns, uint64_t nodeid)
{
    uint64_t ino = ns_ino_of(ns, nodeid);

    CHECK(ino && ns_node_of(ns, ino) == nodeid);
    return ino;
}

/* What is read through the open file; 0: there is none. */
static uint64_t hash_open(void)
{
    ssize_t n = w.open ? vfs_read(w.open, got, sizeof got, 0) : 0;

    CHECK(n >= 0);
    return w.open ? mix((uint64_t)n, got, (size_t)n) : 0;
}

static uint64_t hash_content(uint64_t nodeid, uint32_t mode)
{
    char target[PATH_MAX];
    struct vfs_file *f;
    ssize_t n;

    if (S_ISLNK(mode)) {
        CHECK(vfs_readlink(w.p, nodeid, target, sizeof target) == 0);
        return mix(1, target, strlen(target));
    }
    if (!S_ISREG(mode))
        return 0;
    CHECK(vfs_open(w.p, nodeid, VFS_NOATIME, &f) == 0);
    n = vfs_read(f, got, sizeof got, 0);
    CHECK(n >= 0);
    vfs_release(f);
    return mix((uint64_t)n, got, (size_t)n);
}

/* No listing has others. */
static const char *const xattrs[XATTRS] = {"user.a", "user.b",
                                           "user.c", [CAPABILITY] = "security.capability"};

static void hash_xattrs(uint64_t nodeid, struct file *f)
{
    char names[4096];
    ssize_t len = vfs_listxattr(w.p, nodeid, names, sizeof names, true);
    size_t listed = 0, found = 0;

    CHECK(len >= 0);
    for (const char *n = names; n < names + len; n += strlen(n) + 1)
        listed++;
    for (size_t i = 0; i < XATTRS; i++) {
        ssize_t size = vfs_getxattr(w.p, nodeid, xattrs[i], got, sizeof got);
        CHECK(size >= 0 || size == -ENODATA);
        f->xattr[i] = size < 0 ? 0 : mix(1, got, (size_t)size);
        found += size >= 0;
    }
    CHECK(listed == found);
}

static void read_inode(struct plain *t, const struct ns *ns, const struct vfs_attr *a)
{
    struct file f = {.ino = ino_of(ns, a->nodeid)};

    CHECK(inode_load(&ns->tree, f.ino, &f.in) == 0);
    f.hash = hash_content(a->nodeid, a->mode);
    hash_xattrs(a->nodeid, &f);
    plain_add_file(t, &f);
}

static void read_dir(struct plain *t, const struct ns *ns, uint64_t dir)
{
    struct listing *l = calloc(1, sizeof *l);

    CHECK(l && vfs_readdir(w.p, dir, 0, true, take_entry, l) == 0);
    for (size_t i = 0; i < l->count; i++) {
        uint64_t ino = ino_of(ns, l->attr[i].nodeid);

        vfs_forget(w.p, l->attr[i].nodeid, 1);
        plain_add_name(t, vfs_node_ino(dir), l->name[i], ino);
        if (plain_file(t, ino))
            continue;
        read_inode(t, ns, &l->attr[i]);
        if (S_ISDIR(l->attr[i].mode))
            read_dir(t, ns, l->attr[i].nodeid);
    }
    free(l);
}

static void read_tree(int side, struct plain *t)
{
    struct ns *ns = space(side);
    struct vfs_attr a;

    plain_clear(t);
    CHECK(vfs_getattr(w.p, space_node(side), &a) == 0);
    read_inode(t, ns, &a);
    read_dir(t, ns, a.nodeid);
    ns_put(w.p, ns);
}

/* ---- comparing ---- */

static void check_same_file(const struct file *x, const struct file *y)
{
    CHECK(x->in.mode == y->in.mode && x->in.uid == y->in.uid && x->in.gid == y->in.gid);
    CHECK(x->in.nlink == y->in.nlink && x->in.size == y->in.size && x->in.rdev == y->in.rdev);
    CHECK(x->hash == y->hash);
    for (size_t i = 0; i < XATTRS; i++)
        CHECK(x->xattr[i] == y->xattr[i] || (i == CAPABILITY && x->capability_free));
    CHECK(!S_ISDIR(x->in.mode) || x->in.parent == y->in.parent || x->ino == NS_ROOT_INO);
    CHECK(x->mtime_free || S_ISDIR(x->in.mode) || x->in.mtime == y->in.mtime);
}

/* `x` is what should be; only its files say that a time does not matter. */
static void check_same_tree(const struct plain *x, const struct plain *y)
{
    CHECK(x->names == y->names && x->files == y->files);
    for (size_t i = 0; i < x->names; i++)
        CHECK(plain_ino(y, x->n[i].parent, x->n[i].name) == x->n[i].ino);
    for (size_t i = 0; i < x->files; i++) {
        const struct file *f = plain_file(y, x->v[i].ino);
        CHECK(f);
        check_same_file(&x->v[i], f);
    }
}

static uint64_t walk_path(const struct plain *t, const char *path)
{
    uint64_t at = NS_ROOT_INO;
    char name[NAME_ROOM];

    while (*path && at) {
        size_t len = strcspn(path, "/");
        CHECK(len < sizeof name);
        snprintf(name, sizeof name, "%.*s", (int)len, path);
        at = plain_ino(t, at, name);
        path += len + (path[len] == '/');
    }
    return at;
}

/* Is it that problem that was reported with this path? */
static bool is_problem(const struct plain *t, const struct problem *p, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char dir[PATH_MAX];

    if (p->ino == NS_ROOT_INO)
        return !*path || !strcmp(path, ".");
    if (p->ino)
        return walk_path(t, path) == p->ino;
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 0, path);
    return !strcmp(name, p->name) && walk_path(t, dir) == p->parent;
}

/* Is it the problem that was reported so? A path is that of the first tree which has the inode, or
 * the directory of the name. */
static bool is_it(const struct three *t, const struct problem *p, const struct merge_found *f)
{
    uint64_t ino = p->ino ? p->ino : p->parent;
    const struct plain *at = plain_file(t->theirs, ino) ? t->theirs
                             : plain_file(t->base, ino) ? t->base
                                                        : t->ours;

    return f->why == p->why && is_problem(at, p, f->path);
}

static bool has(const struct outcome *o, enum merge_why why)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->v[i].why == why)
            return true;
    return false;
}

/* Where a directory has two parents, or is to be kept although it is gone, there is no one way up
 * from those below it. */
static bool may_differ(const struct outcome *o, enum merge_why why)
{
    return why == MERGE_CYCLE && (has(o, MERGE_PARENTS) || has(o, MERGE_REMOVED));
}

static void show(const struct outcome *o, const struct merge_result *r)
{
    for (size_t i = 0; i < o->count; i++)
        fprintf(stderr, "model: %s ino=%llu parent=%llu %s%s\n", merge_why_name(o->v[i].why),
                (unsigned long long)o->v[i].ino, (unsigned long long)o->v[i].parent, o->v[i].name,
                o->v[i].maybe ? " maybe" : "");
    for (size_t i = 0; i < r->conflict_count; i++)
        fprintf(stderr, "store: %s %s\n", merge_why_name(r->conflicts[i].why),
                r->conflicts[i].path);
}

/* What is a problem for certain is reported, and all that is reported is a problem, once. */
static void check_conflicts(const struct outcome *o, const struct three *t,
                            const struct merge_result *r)
{
    bool good = r->conflict_count <= o->count || may_differ(o, MERGE_CYCLE);

    for (size_t i = 0; i < o->count; i++) {
        bool is = o->v[i].maybe || may_differ(o, o->v[i].why);
        for (size_t k = 0; k < r->conflict_count; k++)
            is |= is_it(t, &o->v[i], &r->conflicts[k]);
        good &= is;
    }
    for (size_t k = 0; k < r->conflict_count; k++) {
        bool is = may_differ(o, r->conflicts[k].why);
        for (size_t i = 0; i < o->count; i++)
            is |= is_it(t, &o->v[i], &r->conflicts[k]);
        good &= is;
    }
    if (!good)
        show(o, r);
    CHECK(good);
}

/* ---- merging ---- */

static bool same_object(uint64_t x, uint64_t y)
{
    struct entry e;

    if (x == y || !x || !y)
        return x == y;
    return refs_entry(w.p->refs, x, true, &x, &e) == 0 &&
           refs_entry(w.p->refs, y, true, &y, &e) == 0 && x == y;
}

static void copy_tree(struct plain *to, const struct plain *from)
{
    to->files = from->files;
    to->names = from->names;
    memcpy(to->v, from->v, from->files * sizeof *from->v);
    memcpy(to->n, from->n, from->names * sizeof *from->n);
}

/* Takes anew what the store has of inodes of a tree that it keeps, for only it says which object
 * became which. */
static void refresh(struct plain *t, const struct ns *ns)
{
    for (size_t i = 0; i < t->files; i++) {
        struct inode in;
        CHECK(inode_load(&ns->tree, t->v[i].ino, &in) == 0);
        CHECK(in.size == t->v[i].in.size && in.mtime == t->v[i].in.mtime);
        t->v[i].in = in;
    }
}

/* What a merge should do, and what it did. */
static struct {
    struct plain theirs, ours, now;
    struct outcome o;
    int side; /* that gets it */
    enum merge_rule rule;
    bool moved;    /* it changed while the merge was made */
    bool loose;    /* and only the store knows what comes of that */
    uint64_t seen; /* what was read through the open file */
} m;

static enum merge_rule some_rule(void)
{
    return pick(2) ? MERGE_FAIL : (enum merge_rule)pick(4);
}

/* Checks what a merge into `side` answered. True: it was done. */
static bool check_merge(int side, const struct three *t, int err, const struct merge_result *r)
{
    bool done = err == 0;

    CHECK(err == 0 || err == -EEXIST);
    if (m.loose) {
        read_tree(side, &m.now);
        if (!done)
            check_same_tree(t->ours, &m.now);
        return done;
    }
    if (done ? m.o.sure > 0 : m.o.count == 0)
        show(&m.o, r);
    CHECK(done ? m.o.sure == 0 : m.o.count > 0);
    if (!done)
        check_conflicts(&m.o, t, r);
    CHECK(t->rule != MERGE_FAIL || !r->decided);
    CHECK(m.o.unsure || !done || !m.o.decided == !r->decided);
    read_tree(side, &m.now);
    check_same_tree(done ? &m.o.tree : t->ours, &m.now);
    w.clean += done;
    w.refused += !done;
    w.decided += r->decided > 0;
    return done;
}

/* Of the two the one that is a branch of the other. */
static struct ns *child_of(struct ns *x, struct ns *y)
{
    return x->base.ns && x->origin.ns == y->number ? x : y;
}

static void see_base(struct ns *x, struct ns *y)
{
    struct ns *child = child_of(x, y), *base;

    CHECK(ns_get_hidden(w.p, NS_ORIGIN, &child->base, NULL, &base) == 0);
    refresh(&w.base, base);
    ns_put(w.p, base);
}

/* The inode of a side that is open for writing; 0: none. */
static uint64_t written(int side)
{
    struct ns *ns = space(side);
    uint64_t ino = w.open && w.open_writes && w.open_side == side ? ns_ino_of(ns, w.open_node) : 0;

    ns_put(w.p, ns);
    return ino;
}

/* Reads both sides, and lets the model merge them. With contents of which nobody knows whether they
 * are equal only MERGE_FAIL has one outcome. */
static struct three let_model_merge(const struct plain *base, const struct plain *theirs, int side,
                                    enum merge_rule rule)
{
    struct three t = {base, theirs, &m.ours, rule, written(side), false, same_object};

    read_tree(side, &m.ours);
    naive_merge(&t, &m.o);
    if (rule != MERGE_FAIL && m.o.unsure) {
        t.rule = MERGE_FAIL;
        naive_merge(&t, &m.o);
    }
    return t;
}

static void step(int side);
static void open_some(int side);

/* Was a file opened for writing that the merge changes? */
static bool is_written(void)
{
    static struct outcome o;
    const struct three t = {&w.base,         &m.theirs, &m.ours,    m.rule,
                            written(m.side), false,     same_object};

    naive_merge(&t, &o);
    return has(&o, MERGE_OPEN);
}

/* What comes of a merge if the side moved to `later` after it was planned: what it did is merged
 * into the result. If that does not fit, all is merged anew. */
static void let_model_go_on(const struct plain *later)
{
    static struct outcome rest;
    const struct three t = {&m.ours, later, &m.o.tree, MERGE_FAIL, 0, true, same_object};
    const struct three anew = {&w.base,         &m.theirs, later,      m.rule,
                               written(m.side), false,     same_object};

    naive_merge(&t, &rest);
    m.loose = rest.unsure || rest.count > rest.sure;
    if (rest.count || is_written()) {
        naive_merge(&anew, &m.o);
        m.loose |= m.o.unsure || m.o.count > m.o.sure;
    } else {
        for (size_t i = 0; i < rest.tree.files; i++) {
            const struct file *f = plain_file(&m.o.tree, rest.tree.v[i].ino);
            rest.tree.v[i].mtime_free |= f && f->mtime_free;
        }
        copy_tree(&m.o.tree, &rest.tree);
    }
    copy_tree(&m.ours, later);
}

/* Changes the side while the merge is made. */
static void move_on(void *ctx)
{
    static struct plain later;

    (void)ctx;
    if (m.moved || pick(3) == 0)
        return;
    m.moved = true;
    if (pick(2))
        open_some(m.side);
    for (uint64_t left = pick(4); left > 0; left--)
        step(m.side);
    read_tree(m.side, &later);
    let_model_go_on(&later);
    m.seen = hash_open();
}

static bool merge(int from, enum merge_rule rule)
{
    struct merge_call c = {
        .theirs = space(from), .ours = space(!from), .label = spaces[from], .beside = move_on};
    struct merge_result r;
    struct three t;
    bool done;
    int err;

    seal_for_view(w.p); /* as a merge does where it may matter; the model asks which is which */
    see_base(c.theirs, c.ours);
    read_tree(from, &m.theirs);
    t = let_model_merge(&w.base, &m.theirs, !from, rule);
    c.rule = m.rule = t.rule;
    w.p->config.merge_at_once = w.large ? 1 + pick(2) : 0; /* 2: each rest is large, too */
    m.side = !from;
    m.moved = m.loose = false;
    m.seen = hash_open();
    err = merge_run(w.p, &c, &r);
    done = check_merge(!from, &t, err, &r);
    CHECK(hash_open() == m.seen);
    w.moved += m.moved && !m.loose;
    m.moved = m.loose = false;
    if (done && r.seq)
        copy_tree(&w.last[!from].base, &w.base);
    if (done)
        copy_tree(&w.base, &m.theirs);
    if (done && r.seq) {
        copy_tree(&w.last[!from].before, &m.ours);
        copy_tree(&w.last[!from].after, &m.now);
        w.last[!from].known = true;
    }
    read_tree(from, &m.now);
    check_same_tree(&m.theirs, &m.now);
    merge_result_release(&r);
    ns_put(w.p, c.theirs);
    ns_put(w.p, c.ours);
    return done;
}

/* Takes the last merge into one side back. */
static void undo(int side, enum merge_rule rule)
{
    static struct plain before, after;
    struct ns *ns = space(side), *other = space(!side), *kept;
    struct ns_instant of = ns_now(ns), base = child_of(ns, other)->base;
    struct merge_result r;
    struct three t;
    uint64_t seen = hash_open();
    char name[40];

    seal_for_view(w.p);
    snprintf(name, sizeof name, MERGE_BEFORE "%s", spaces[!side]);
    CHECK(ns_get_hidden(w.p, NS_SNAPSHOT, &of, name, &kept) == 0);
    copy_tree(&before, &w.last[side].before);
    refresh(&before, kept);
    ns_put(w.p, kept);
    snprintf(name, sizeof name, MERGE_AFTER "%s", spaces[!side]);
    CHECK(ns_get_hidden(w.p, NS_SNAPSHOT, &of, name, &kept) == 0);
    copy_tree(&after, &w.last[side].after);
    refresh(&after, kept);
    ns_put(w.p, kept);
    t = let_model_merge(&after, &before, side, rule);
    if (check_merge(side, &t, merge_undo(w.p, ns, 0, false, t.rule, NULL, &r), &r)) {
        w.last[side].known = false;
        w.undone++;
        if (child_of(ns, other)->base.seq != base.seq) /* it went back with the merge */
            copy_tree(&w.base, &w.last[side].base);
    }
    CHECK(hash_open() == seen);
    merge_result_release(&r);
    ns_put(w.p, ns);
    ns_put(w.p, other);
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

static void remove_one(uint64_t dir, const char *name, uint64_t nodeid, uint32_t mode)
{
    struct listing *l = S_ISDIR(mode) ? calloc(1, sizeof *l) : NULL;

    CHECK(l || !S_ISDIR(mode));
    if (l)
        CHECK(vfs_readdir(w.p, nodeid, 0, true, take_entry, l) == 0);
    for (size_t i = 0; l && i < l->count; i++) {
        vfs_forget(w.p, l->attr[i].nodeid, 1);
        remove_one(nodeid, l->name[i], l->attr[i].nodeid, l->attr[i].mode);
    }
    free(l);
    CHECK((S_ISDIR(mode) ? vfs_rmdir(w.p, dir, name) : vfs_unlink(w.p, dir, name)) == 0);
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

static void rename_some(int side, const struct place *at)
{
    struct place to = some_place(side);

    if (at->nodeid)
        (void)vfs_rename(w.p, at->dir, at->name, to.dir, to.name, pick(4) ? 0 : RENAME_EXCHANGE,
                         NULL);
}

static void link_some(int side, const struct place *at)
{
    struct place to = some_place(side);
    struct vfs_attr a;

    if (at->nodeid && !S_ISDIR(at->mode) && vfs_link(w.p, at->nodeid, to.dir, to.name, &a) == 0)
        vfs_forget(w.p, a.nodeid, 1);
}

/* No value is set twice, so two are equal only where they are one. */
static void set_xattr(const struct place *at)
{
    const char *name = xattrs[pick(XATTRS)];
    static uint8_t value[3000];
    static uint64_t last;

    memcpy(value, &(uint64_t){++last}, sizeof last);
    if (pick(3))
        CHECK(vfs_setxattr(w.p, at->nodeid, name, value, pick(3) ? 8 + pick(4) : 3000, 0) == 0);
    else
        (void)vfs_removexattr(w.p, at->nodeid, name);
}

static void set_some(const struct place *at)
{
    const struct vfs_attr in = {.mode = pick(2) ? 0600 : 0755,
                                .uid = (uint32_t)pick(3),
                                .gid = (uint32_t)pick(3),
                                .mtime = (int64_t)pick(3) * NSEC_PER_SEC};
    static const unsigned sets[] = {VFS_SET_MODE, VFS_SET_UID, VFS_SET_GID, VFS_SET_MTIME};
    struct vfs_attr a;

    if (!at->nodeid || S_ISLNK(at->mode))
        return;
    if (pick(3))
        CHECK(vfs_setattr(w.p, at->nodeid, sets[pick(4)], &in, &a) == 0);
    else
        set_xattr(at);
}

/* The same file, or two directories with a file, at one place of both sides. */
static void make_twins(struct place *at)
{
    uint64_t rng = w.rng;
    bool dirs = pick(2);

    if (!w.base.files || m.moved)
        return; /* there is one side yet, or only one is to change */
    for (int side = 0; side < SIDES; side++) {
        struct vfs_attr a;

        at->dir = space_node(side);
        if (dirs && vfs_mknod(w.p, at->dir, at->name, S_IFDIR | 0755, 0, &root, &a) == 0) {
            vfs_forget(w.p, a.nodeid, 1);
            make_file(&(struct place){.dir = a.nodeid, .name = "n0"});
            make_file(&(struct place){.dir = a.nodeid, .name = {'n', (char)('1' + pick(4))}});
        } else if (!dirs) {
            w.rng = rng;
            make_file(at);
        }
    }
}

static void step(int side)
{
    struct place at = some_place(side);

    clock_manual_advance(&w.clock, (int64_t)pick(2) * NSEC_PER_MSEC);
    switch (pick(16)) {
    case 0:
    case 1:
    case 2:
        make_file(&at);
        break;
    case 3:
    case 4:
    case 5:
        change_file(&at);
        break;
    case 6:
        make_other(&at);
        break;
    case 7:
        remove_some(&at);
        break;
    case 8:
    case 9:
        rename_some(side, &at);
        break;
    case 10:
        link_some(side, &at);
        break;
    case 11:
        make_twins(&at);
        break;
    case 12:
    case 13:
        if (at.nodeid && !S_ISLNK(at.mode))
            set_xattr(&at);
        break;
    default:
        set_some(&at);
    }
}

/* ---- all of it ---- */

static void close_file(void)
{
    if (w.open)
        vfs_release(w.open);
    w.open = NULL;
}

static void open_some(int side)
{
    struct place at = some_place(side);

    close_file();
    if (!at.nodeid || !S_ISREG(at.mode))
        return;
    w.open_writes = pick(4) == 0;
    CHECK(vfs_open(w.p, at.nodeid, VFS_NOATIME | (w.open_writes ? VFS_WRITE : 0), &w.open) == 0);
    w.open_side = side;
    w.open_node = at.nodeid;
}

/* A large file that is open for writing is not sealed, so the store is not idle before its close. */
static void drain(void)
{
    CHECK(flush_drain(w.p, !w.open || !w.open_writes, -1, NULL) == 0);
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    if (!strcmp(what, "note") || strstr(sentence, "does not find it"))
        return; /* it does not know the few hashes */
    fprintf(stderr, "check: %s %s: %s\n", what, where, sentence);
    ++*(unsigned *)ctx;
}

/* Closes the store, and checks it offline. */
static void inspect(void)
{
    unsigned findings = 0;
    const struct check_options o = {.found = found, .ctx = &findings};
    struct check_result r;

    close_file();
    drain();
    CHECK(store_close(w.p) == 0);
    CHECK(store_check(w.disk, w.kv, &o, &r) == 0);
    CHECK(findings == 0);
    kv_close(w.kv);
    open_store();
}

/* The process dies, and the log has what was not committed. */
static void die(void)
{
    close_file();
    for (int s = 0; s < SIDES; s++)
        read_tree(s, s == MAIN ? &m.ours : &m.theirs);
    store_abandon(w.p);
    kv_close(w.kv);
    open_store();
    read_tree(MAIN, &m.now);
    check_same_tree(&m.ours, &m.now);
    read_tree(DEV, &m.now);
    check_same_tree(&m.theirs, &m.now);
}

static void branch_anew(void)
{
    uint64_t seq;
    uint32_t number, open;
    int from = pick(2) ? MAIN : DEV;

    close_file();
    CHECK(ns_drop(w.p, spaces[!from], false, false, false, &open) == 0);
    CHECK(ns_branch(w.p, spaces[from], spaces[!from], &seq, &number) == 0);
    w.last[!from].known = false;
    read_tree(from, &w.base);
}

static void play_round(void)
{
    int from = pick(4) ? DEV : MAIN;

    for (uint64_t left = pick(8); left > 0; left--)
        step(pick(3) ? DEV : MAIN);
    if (pick(4) == 0)
        open_some(!from);
    for (uint64_t left = pick(3); left > 0; left--)
        step(pick(3) ? DEV : MAIN);
    if (pick(4))
        drain();
    if (!merge(from, some_rule()) && pick(2))
        if (!merge(from, (enum merge_rule)(1 + pick(3))) && pick(2))
            branch_anew();
    if (pick(20) == 0)
        die();
    for (uint64_t left = pick(3); left > 0; left--)
        step(MAIN);
    if (w.last[MAIN].known && pick(3) == 0)
        undo(MAIN, some_rule());
    close_file();
}

static void play(uint64_t rounds)
{
    uint64_t seq;
    uint32_t number;

    for (unsigned i = 0; i < 20; i++)
        step(MAIN);
    CHECK(ns_branch(w.p, "main", "dev", &seq, &number) == 0);
    read_tree(MAIN, &w.base);
    for (w.round = 0; w.round < rounds; w.round++) {
        play_round();
        if (pick(10) == 0)
            branch_anew();
        if (pick(40) == 0)
            inspect();
    }
    inspect();
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", 1, NULL, 's'}, {"rounds", 1, NULL, 'n'}, {"large", 0, NULL, 'l'}, {0}};
    uint64_t rounds = 500, state = 1;
    int o;

    w.rng = 1;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 's')
            w.rng = strtoull(optarg, NULL, 0);
        else if (o == 'n')
            rounds = strtoull(optarg, NULL, 0);
        else if (o == 'l')
            w.large = true;
        else
            return 2;
    }
    w.rng = w.rng ? w.rng : 1;
    printf("property_merge --seed %llu --rounds %llu%s\n", (unsigned long long)w.rng,
           (unsigned long long)rounds, w.large ? " --large" : "");
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
    printf("%llu merged, %llu refused, %llu by a rule, %llu taken back, %llu moved meanwhile\n",
           (unsigned long long)w.clean, (unsigned long long)w.refused,
           (unsigned long long)w.decided, (unsigned long long)w.undone,
           (unsigned long long)w.moved);
    return 0;
}
