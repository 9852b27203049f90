// SPDX-License-Identifier: Apache-2.0
/*
 * property_quota: random operations on namespaces with limits, beside a recount.
 *
 *     property_quota [--seed S] [--steps N] [--large]
 *
 * After each step, of each namespace: what it is said to take is what its inodes take, counted one
 * by one, with those that are open without a name; nothing is promised; and it is not above a limit
 * unless it was, and did not grow. After EDQUOT nothing has changed, and what was refused would
 * really have been above the limit: the same is done again without one. Limits are raised, lowered
 * and removed at any time. Branches begin with what their origin takes, and with its limits. At
 * times the store is closed, or dies, with files open, and starts again. With --large every merge
 * is made beside those who write. Prints its seed; the same seed does the same.
 */
#include "check.h"
#include "clock_manual.h"
#include "disk_mem.h"
#include "kv_mem.h"
#include "merge.h"
#include "merge_undo.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "quota.h"
#include "store.h"
#include "vfs.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SPACES 5
#define NAMES 12
#define HANDLES 10
#define LOST 4096
#define DAY (86400 * NSEC_PER_SEC)

struct handle {
    struct vfs_file *file; /* NULL: free */
    uint64_t node;
    int space;
};

static struct {
    struct fault fault;
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct clock_manual clock;
    struct state *p;
    struct handle handle[HANDLES];
    struct vfs_file *lost[LOST]; /* open when the store died: found by a search for leaks */
    size_t lost_count;
    struct usage before[SPACES]; /* zeros: the namespace was not there */
    uint64_t rng, step;
    size_t merge_at_once;
    uint64_t refused, proved, deaths, merges, merges_refused;
} w;

static void failed(int line, const char *what)
{
    fprintf(stderr, "property_quota.c:%d: step %llu: %s\n", line, (unsigned long long)w.step, what);
    abort();
}

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            failed(__LINE__, #cond);                                                               \
    } while (0)

static const struct vfs_cred root = {0};
static uint8_t bytes[2 << 20];

static uint64_t pick(uint64_t n)
{
    return fault_random(&w.rng) % n;
}

static void open_store(void)
{
    struct state_config c = {
        .disk = w.disk, .clock = &w.clock.base, .threads = 2, .merge_at_once = w.merge_at_once};

    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    c.kv = w.kv;
    CHECK(store_open(&c, &w.p) == 0);
    settings_put(&w.p->settings, SET_ORIGIN_KEEP, 3650 * DAY);
    settings_put(&w.p->settings, SET_TRASH_KEEP, DAY);
}

/* ---- names ---- */

static const char *space_name(int s)
{
    static const char *const name[SPACES] = {"a", "b", "c", "d", "e"};

    return name[s];
}

/* The namespace, with a reference; NULL: it is not there. */
static struct ns *find(int s)
{
    struct ns *ns;

    return ns_get_by_name(w.p, space_name(s), &ns) == 0 ? ns : NULL;
}

static int some_space(void)
{
    for (;;) {
        int s = (int)pick(SPACES);
        struct ns *ns = find(s);

        ns_put(w.p, ns);
        if (ns)
            return s;
    }
}

static uint64_t node_at(uint64_t dir, const char *name)
{
    struct vfs_attr a;

    if (vfs_lookup(w.p, dir, name, &a) < 0)
        return 0;
    vfs_forget(w.p, a.nodeid, 1);
    return a.nodeid;
}

static uint64_t top_of(int s)
{
    return node_at(VFS_ROOT, space_name(s));
}

static const char *some_name(void)
{
    static char name[2][8];
    static int at;

    at = !at;
    snprintf(name[at], sizeof name[at], "f%llu", (unsigned long long)pick(NAMES));
    return name[at];
}

/* ---- the recount ---- */

static void count_tree(const struct tree *t, struct usage *sum)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    int err = tree_seek(t, (struct key){0}, &c);
    size_t len;

    for (; err == 0; err = tree_next(&c)) {
        const void *v = tree_cursor_value(&c, &len);
        usage_add(sum, item_usage(tree_cursor_key(&c), v, len));
    }
    CHECK(err == -ENOENT);
    tree_cursor_end(&c);
}

/* Files of the namespace that are open and have no name, each once. */
static void count_unlinked(int s, struct usage *sum)
{
    for (int h = 0; h < HANDLES; h++) {
        struct vfs_attr a;
        bool seen = false;

        if (!w.handle[h].file || w.handle[h].space != s)
            continue;
        for (int i = 0; i < h; i++)
            seen |= w.handle[i].file && w.handle[i].node == w.handle[h].node;
        CHECK(vfs_getattr(w.p, w.handle[h].node, &a) == 0);
        if (!seen && a.nlink == 0)
            usage_add(sum, (struct usage){1, a.blocks * 512});
    }
}

static struct usage recount(int s, struct ns *ns)
{
    struct usage sum = {0};
    READ_GUARD(&ns->lock);

    count_tree(&ns->tree, &sum);
    (void)s;
    return sum;
}

static void compare(void)
{
    for (int s = 0; s < SPACES; s++) {
        struct ns *ns = find(s);
        struct usage sum = {0}, is;

        if (ns) {
            const struct usage limit = quota_limits(ns), was = w.before[s];

            sum = recount(s, ns);
            count_unlinked(s, &sum);
            is = quota_used(ns);
            CHECK(usage_is(is, sum));
            CHECK(atomic_load(&ns->promised) == 0);
            CHECK(!limit.bytes || is.bytes <= limit.bytes || is.bytes <= was.bytes);
            CHECK(!limit.inodes || is.inodes <= limit.inodes || is.inodes <= was.inodes);
        }
        w.before[s] = sum;
        ns_put(w.p, ns);
    }
}

/* ---- limits ---- */

static void set_limits(int s, struct usage limit)
{
    struct ns *ns = find(s);

    CHECK(quota_set(w.p, ns, NS_LIMIT_BYTES, limit.bytes) == 0);
    CHECK(quota_set(w.p, ns, NS_LIMIT_INODES, limit.inodes) == 0);
    CHECK(usage_is(quota_limits(ns), limit));
    ns_put(w.p, ns);
}

static struct usage limits_of(int s)
{
    struct ns *ns = find(s);
    struct usage u = quota_limits(ns);

    ns_put(w.p, ns);
    return u;
}

static void op_limit(void)
{
    int s = some_space();
    struct usage u = w.before[s], limit = limits_of(s);

    switch (pick(5)) {
    case 0:
        limit.bytes = 0;
        break;
    case 1:
        limit.inodes = 0;
        break;
    case 2:
        limit.bytes = u.bytes + pick(400000);
        break;
    case 3:
        limit.inodes = u.inodes + pick(4);
        break;
    default: /* below what is used */
        limit.bytes = u.bytes / 2 + 1;
    }
    set_limits(s, limit);
}

/* ---- operations on files: each returns what the call did ---- */

struct call {
    int (*fn)(const struct call *);
    int space, from; /* of what changes, and of the source */
    const char *name, *other;
    uint64_t off, len;
    int mode;
    struct handle *h, *h2;
};

static int do_make(const struct call *c)
{
    struct vfs_attr a;
    int err = c->mode == S_IFLNK ? vfs_symlink(w.p, top_of(c->space), c->name, "target", &root, &a)
                                 : vfs_mknod(w.p, top_of(c->space), c->name,
                                             (uint32_t)c->mode | 0755, 0, &root, &a);

    if (err == 0)
        vfs_forget(w.p, a.nodeid, 1);
    return err;
}

static int do_tmpfile(const struct call *c)
{
    struct vfs_attr a;
    int err = vfs_tmpfile(w.p, top_of(c->space), 0600, &root, VFS_WRITE, &a, &c->h->file);

    if (err < 0)
        return err;
    vfs_forget(w.p, a.nodeid, 1);
    c->h->node = a.nodeid;
    c->h->space = c->space;
    return 0;
}

static int do_write(const struct call *c)
{
    ssize_t n = vfs_write(c->h->file, bytes + pick(4096), c->len, c->off);

    CHECK(n < 0 || n == (ssize_t)c->len || n > 0);
    return n < 0 ? (int)n : n == (ssize_t)c->len ? 0 : -EDQUOT;
}

static int do_share(const struct call *c)
{
    ssize_t n = vfs_share_range(c->h2->file, c->off, c->h->file, c->off, c->len);

    return n < 0 ? (int)n : 0;
}

static int do_fallocate(const struct call *c)
{
    return vfs_fallocate(c->h->file, c->mode, c->off, c->len);
}

static int do_truncate(const struct call *c)
{
    struct vfs_attr a, in = {.size = c->off};

    return vfs_setattr(w.p, c->h->node, VFS_SET_SIZE, &in, &a);
}

static int do_unlink(const struct call *c)
{
    int err = vfs_unlink(w.p, top_of(c->space), c->name);

    return err == -EISDIR ? vfs_rmdir(w.p, top_of(c->space), c->name) : err;
}

static int do_rename(const struct call *c)
{
    return vfs_rename(w.p, top_of(c->space), c->name, top_of(c->space), c->other, (unsigned)c->mode,
                      &root);
}

static int do_link(const struct call *c)
{
    uint64_t node = node_at(top_of(c->from), c->other);
    struct vfs_attr a;
    int err = node ? vfs_link(w.p, node, top_of(c->space), c->name, &a) : -ENOENT;

    if (err == 0)
        vfs_forget(w.p, a.nodeid, 1);
    return err;
}

/* Gives a file without a name one. */
static int do_name(const struct call *c)
{
    struct vfs_attr a;
    int err = vfs_link(w.p, c->h->node, top_of(c->h->space), c->name, &a);

    if (err == 0)
        vfs_forget(w.p, a.nodeid, 1);
    return err;
}

/* Is it above the limit? */
static bool exceeds(struct usage u, struct usage limit)
{
    return (limit.bytes && u.bytes > limit.bytes) || (limit.inodes && u.inodes > limit.inodes);
}

/* After EDQUOT: was that right? Without a limit the same call must bring it above the old one. */
static void prove(const struct call *c)
{
    const struct usage limit = limits_of(c->space);
    struct ns *ns = find(c->space);
    struct usage u = quota_used(ns);

    if (c->fn == do_fallocate) { /* it only looks whether there is room, and takes none */
        ns_put(w.p, ns);
        return;
    }
    CHECK(limit.bytes || limit.inodes);
    set_limits(c->space, (struct usage){0});
    CHECK(c->fn(c) == 0);
    CHECK(exceeds(quota_used(ns), limit));
    CHECK(quota_used(ns).bytes > u.bytes || quota_used(ns).inodes > u.inodes);
    ns_put(w.p, ns);
    w.before[c->space] = (struct usage){UINT64_MAX, UINT64_MAX}; /* it was set so */
    set_limits(c->space, limit);
    w.proved++;
}

static void run(const struct call *c)
{
    struct ns *ns = find(c->space);
    struct usage was = quota_used(ns), is;
    int err = c->fn(c);

    is = quota_used(ns);
    ns_put(w.p, ns);
    CHECK(err != -ENOSPC && err != -EIO && err != -EUCLEAN && err != -ENOMEM);
    if (err != -EDQUOT)
        return;
    w.refused++;
    CHECK(c->fn == do_write || usage_is(is, was));
    if (pick(3) == 0)
        prove(c);
}

static struct handle *some_handle(bool open)
{
    for (int tries = 0; tries < 40; tries++) {
        struct handle *h = &w.handle[pick(HANDLES)];

        if (!!h->file == open)
            return h;
    }
    return NULL;
}

static void op_make(void)
{
    static const int kinds[] = {S_IFREG, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO};

    run(&(struct call){
        .fn = do_make, .space = some_space(), .name = some_name(), .mode = kinds[pick(5)]});
}

static void op_open(void)
{
    int s = some_space();
    struct handle *h = some_handle(false);
    uint64_t node = node_at(top_of(s), some_name());
    struct vfs_attr a;

    if (!h)
        return;
    if (pick(5) == 0) {
        run(&(struct call){.fn = do_tmpfile, .space = s, .h = h});
        return;
    }
    if (!node || vfs_getattr(w.p, node, &a) < 0 || !S_ISREG(a.mode))
        return;
    CHECK(vfs_open(w.p, node, pick(4) ? VFS_WRITE : 0, &h->file) == 0);
    h->node = node;
    h->space = s;
}

static void op_close(void)
{
    struct handle *h = some_handle(true);

    if (!h)
        return;
    vfs_release(h->file);
    *h = (struct handle){0};
}

static void op_write(void)
{
    static const uint64_t most[] = {100, 5000, 40000, 300000, 1000000};
    struct handle *h = some_handle(true);
    uint64_t off, len;

    if (!h)
        return;
    off = pick(most[pick(5)]);
    len = 1 + pick(most[pick(4)]);
    if (pick(3) == 0)
        off -= off % 4096;
    for (size_t i = 0; i < 64; i++) /* so that few contents are equal */
        bytes[pick(sizeof bytes)] = (uint8_t)pick(256);
    if (vfs_write(h->file, bytes, 0, 0) == -EBADF)
        return;
    run(&(struct call){.fn = do_write, .space = h->space, .h = h, .off = off, .len = len});
}

static void op_change(void)
{
    static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
                                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
    struct handle *h = some_handle(true), *h2 = some_handle(true);
    struct call c;

    if (!h || !h2)
        return;
    c = (struct call){.space = h->space, .h = h, .h2 = h2, .off = pick(500000)};
    c.len = 1 + pick(300000);
    switch (pick(3)) {
    case 0:
        c.fn = do_truncate;
        break;
    case 1:
        c.fn = do_fallocate;
        c.mode = modes[pick(5)];
        break;
    default:
        c.fn = do_share;
        c.off = pick(2) ? 0 : c.off - c.off % 131072;
        c.len = 2000000;
    }
    run(&c);
}

static void op_name(void)
{
    static const int how[] = {0, RENAME_EXCHANGE, RENAME_WHITEOUT};
    int s = some_space();
    struct handle *h = some_handle(true);
    struct call c = {.space = s, .from = s, .name = some_name(), .other = some_name()};

    switch (pick(6)) {
    case 0:
    case 1:
        c.fn = do_unlink;
        break;
    case 2:
        c.fn = do_rename;
        c.mode = how[pick(3)];
        break;
    case 3:
        c.fn = do_name;
        c.h = h;
        c.space = h ? h->space : s;
        break;
    case 4:
        c.from = some_space();
        c.fn = do_link;
        break;
    default:
        c.fn = do_link;
    }
    if (c.fn != do_name || h)
        run(&c);
}

/* ---- operations on namespaces ---- */

static void op_branch(void)
{
    int s = some_space(), to = (int)pick(SPACES);
    struct ns *from = find(s), *ns = find(to);
    struct usage named;
    uint64_t seq;
    uint32_t number;

    if (!ns) {
        CHECK(ns_branch(w.p, space_name(s), space_name(to), &seq, &number) == 0);
        ns = find(to);
        named = quota_used(from);
        usage_take(&named, from->unlinked);
        CHECK(usage_is(quota_used(ns), named));
        CHECK(usage_is(quota_limits(ns), quota_limits(from)));
        w.before[to] = named; /* it may be above the limit, as its origin is */
    }
    ns_put(w.p, ns);
    ns_put(w.p, from);
}

static void op_drop(void)
{
    int s = some_space();
    uint32_t open;

    if (s == 0)
        return;
    for (int h = 0; h < HANDLES; h++)
        if (w.handle[h].file && w.handle[h].space == s)
            return;
    CHECK(ns_drop(w.p, space_name(s), false, false, false, &open) == 0);
}

static int merge_two(struct ns *theirs, struct ns *ours, bool undo)
{
    struct merge_call c = {.theirs = theirs, .ours = ours, .label = "m", .rule = MERGE_THEIRS};
    struct merge_result r;
    int err = undo ? merge_undo(w.p, ours, 0, false, MERGE_OURS, NULL, &r) : merge_run(w.p, &c, &r);
    const struct usage limit = quota_limits(ours);

    CHECK(err != -EDQUOT || exceeds(r.becomes, limit));
    CHECK(err != 0 || !r.seq || undo || !quota_is_limited(ours) ||
          usage_is(r.becomes, quota_used(ours)));
    merge_result_release(&r);
    return err;
}

static void op_merge(void)
{
    int s = some_space(), to = some_space();
    bool undo = pick(4) == 0;
    struct ns *theirs = find(s), *ours = find(to);
    struct usage was = quota_used(ours);
    const struct usage limit = quota_limits(ours);
    uint64_t seq = ours->seq;
    int err = s == to ? -EINVAL : merge_two(theirs, ours, undo);

    CHECK(err == 0 || err == -EDQUOT || err == -EEXIST || err == -ENODATA || err == -EINVAL ||
          err == -ENOENT);
    w.merges += err == 0;
    if (err == -EDQUOT) {
        CHECK(usage_is(quota_used(ours), was) && ours->seq == seq);
        w.merges_refused++;
        if (pick(2)) {
            set_limits(to, (struct usage){0});
            CHECK(merge_two(theirs, ours, undo) == 0);
            CHECK(exceeds(quota_used(ours), limit));
            w.before[to] = (struct usage){UINT64_MAX, UINT64_MAX};
            set_limits(to, limit);
            w.proved++;
        }
    }
    ns_put(w.p, theirs);
    ns_put(w.p, ours);
}

/* A clean end, or the death of the process with files open. */
static void op_end(void)
{
    bool dies = pick(2);
    struct usage limit[SPACES];

    for (int s = 0; s < SPACES; s++) {
        struct ns *ns = find(s);
        limit[s] = ns ? quota_limits(ns) : (struct usage){0};
        ns_put(w.p, ns);
    }
    for (int h = 0; h < HANDLES; h++) {
        if (!w.handle[h].file)
            continue;
        if (!dies)
            vfs_release(w.handle[h].file);
        else
            w.lost[w.lost_count++] = w.handle[h].file;
        CHECK(w.lost_count < LOST);
        w.handle[h] = (struct handle){0};
    }
    if (dies)
        store_abandon(w.p);
    else
        CHECK(store_close(w.p) == 0);
    kv_close(w.kv);
    open_store();
    for (int s = 0; s < SPACES; s++) {
        struct ns *ns = find(s);
        CHECK(!ns || usage_is(quota_limits(ns), limit[s]));
        CHECK(!ns || usage_is(ns->unlinked, (struct usage){0}));
        ns_put(w.p, ns);
    }
    w.deaths += dies;
}

static void step(void)
{
    uint64_t n = pick(100);

    clock_manual_advance(&w.clock, NSEC_PER_SEC / 10);
    if (n < 14)
        op_make();
    else if (n < 26)
        op_open();
    else if (n < 34)
        op_close();
    else if (n < 60)
        op_write();
    else if (n < 70)
        op_change();
    else if (n < 82)
        op_name();
    else if (n < 89)
        op_limit();
    else if (n < 92)
        op_branch();
    else if (n < 94)
        op_drop();
    else if (n < 99)
        op_merge();
    else
        op_end();
    compare();
}

static void on_found(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "%s %s: %s\n", what, where, sentence);
}

/* What commits have is what an offline check counts. */
static void check_offline(void)
{
    struct check_options o = {.found = on_found};
    struct check_result r = {0};

    for (int h = 0; h < HANDLES; h++)
        if (w.handle[h].file)
            vfs_release(w.handle[h].file);
    CHECK(store_close(w.p) == 0);
    kv_close(w.kv);
    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_READONLY, &w.kv) == 0);
    CHECK(store_check(w.disk, w.kv, &o, &r) == 0);
    CHECK(r.problems == 0);
    kv_close(w.kv);
}

static void set_up(void)
{
    struct vfs_attr a;

    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    CHECK(disk_mem_create(&w.fault, 0, &w.disk) == 0);
    CHECK(kv_mem_create(&w.fault, &w.mem) == 0);
    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    CHECK(store_format(w.disk, w.kv, &w.clock.base, "org/test", 0, 0, NULL) == 0);
    kv_close(w.kv);
    open_store();
    CHECK(vfs_mknod(w.p, VFS_ROOT, "a", S_IFDIR | 0755, 0, &root, &a) == 0);
    vfs_forget(w.p, a.nodeid, 1);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"steps", required_argument, NULL, 'n'},
                                            {"large", no_argument, NULL, 'l'},
                                            {0}};
    uint64_t steps = 20000, seed = 1;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (o == 's')
            seed = strtoull(optarg, NULL, 10);
        else if (o == 'n')
            steps = strtoull(optarg, NULL, 10);
        else if (o == 'l')
            w.merge_at_once = 1;
        else
            return 2;
    w.rng = seed;
    printf("property_quota --seed %llu --steps %llu%s\n", (unsigned long long)seed,
           (unsigned long long)steps, w.merge_at_once ? " --large" : "");
    fflush(stdout);
    set_up();
    for (w.step = 0; w.step < steps; w.step++)
        step();
    printf("refused %llu, proved %llu, merges %llu, refused %llu, deaths %llu\n",
           (unsigned long long)w.refused, (unsigned long long)w.proved,
           (unsigned long long)w.merges, (unsigned long long)w.merges_refused,
           (unsigned long long)w.deaths);
    check_offline();
    CHECK(steps < 5000 || (w.refused && w.proved && w.merges && w.merges_refused && w.deaths));
    kv_mem_destroy(w.mem);
    disk_close(w.disk);
    return 0;
}
