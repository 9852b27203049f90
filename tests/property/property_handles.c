// SPDX-License-Identifier: Apache-2.0
/*
 * property_handles: many small operations on files that stay open, against a model, and without a
 * mount: what tests/fsx does with a kernel in between, some thousand times as fast.
 *
 *     property_handles [--seed S] [--ops N] [--size BYTES]     most files have at most BYTES
 *
 * A few namespaces of two directories. An inode of the model lives while it has names or handles,
 * in any of them: reads, writes, truncations, fallocate, lseek and shared ranges go through handles
 * that were opened long before, while the file is sealed, renamed, linked, unlinked, replaced,
 * branched and its namespace dropped by force. Settings are so small that flushing, sealing and
 * spilling go on all the time. Each read is compared; listings, sizes and link counts, too; and
 * everything at each restart, death of the process, loss of power (after a sync: property_vfs has
 * those at any moment) and at the end, when all is dropped and nothing may be left.
 *
 * Prints its seed; the same seed does the same.
 */
#include "bytes.h"
#include "clock_manual.h"
#include "control.h"
#include "disk_mem.h"
#include "kv_mem.h"
#include "ns_drop.h"
#include "ns_branch.h"
#include "store_impl.h"
#include "report.h"
#include "vfs.h"
#include <errno.h>
#include <getopt.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SPACES 4
#define NAMES 12 /* the second half in the directory d */
#define HANDLES 24
#define SIZE_LARGE (700u << 10) /* bytes that the few large files have at most */
#define IO_LARGE (300u << 10)

struct body {
    struct body *next, *prev; /* all of them */
    uint64_t node;
    unsigned names, handles;
    size_t limit; /* bytes */
    bool gone;    /* its namespace was dropped */
    struct bytes bytes;
    struct body *copy; /* while its namespace is branched */
};

struct space {
    bool live;
    uint64_t dir[2]; /* nodeids */
    struct body *name[NAMES];
};

struct handle {
    struct vfs_file *file;
    struct body *body; /* NULL: free */
    bool writes;
};

static struct {
    struct fault fault;
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct clock_manual clock;
    struct state *p;
    struct body *bodies;
    struct space space[SPACES];
    struct handle handle[HANDLES];
    size_t size;
    uint64_t seed, rng, op, reads, bytes_compared, ends;
} w;

static uint8_t buf[SIZE_LARGE + 1], values[IO_LARGE + 4096];
static const struct vfs_cred root = {0};
static const _Atomic bool never;

static _Noreturn void fail(int line, const char *what)
{
    char text[REPORT_KEEP][REPORT_TEXT];
    size_t n = report_recent(REPORT_NOTE, text, REPORT_KEEP);

    fprintf(stderr, "%s:%d: seed %llu, op %llu: %s\n", __FILE__, line, (unsigned long long)w.seed,
            (unsigned long long)w.op, what);
    for (size_t i = 0; i < n && i < 8; i++)
        fprintf(stderr, "  reported: %s\n", text[i]);
    abort();
}

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fail(__LINE__, #cond);                                                                 \
        }                                                                                          \
    } while (0)

static uint64_t pick(uint64_t n)
{
    return fault_random(&w.rng) % n;
}

/* ---- the store ---- */

static void set(const char *text)
{
    struct control_session *s;

    CHECK(control_open(w.p, &s) == 0);
    CHECK(control_write_at(s, text, strlen(text), -1, &never) == (ssize_t)strlen(text));
    control_close(s);
}

static void open_store(void)
{
    struct state_config c = {
        .disk = w.disk, .clock = &w.clock.base, .threads = 2, .log_segment = 1 << 20};

    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, 0, &w.kv) == 0);
    c.kv = w.kv;
    CHECK(store_open(&c, &w.p) == 0);
}

static const char *space_name(const struct space *s)
{
    static const char *const names[SPACES] = {"main", "a", "b", "c"};
    return names[s - w.space];
}

static int find(uint64_t dir, const char *name, struct vfs_attr *ret)
{
    int err = vfs_lookup(w.p, dir, name, ret);

    if (err == 0)
        vfs_forget(w.p, ret->nodeid, 1);
    return err;
}

static void find_dirs(struct space *s)
{
    struct vfs_attr a;

    CHECK(find(VFS_ROOT, space_name(s), &a) == 0);
    s->dir[0] = a.nodeid;
    CHECK(find(s->dir[0], "d", &a) == 0);
    s->dir[1] = a.nodeid;
}

static uint64_t dir_of(const struct space *s, size_t name)
{
    return s->dir[name >= NAMES / 2];
}

static const char *name_text(size_t name)
{
    static const char *const text[NAMES / 2] = {"f0", "f1", "f2", "f3", "f4", "f5"};
    return text[name % (NAMES / 2)];
}

/* ---- the model ---- */

static struct body *body_new(uint64_t node)
{
    struct body *i = calloc(1, sizeof *i);

    CHECK(i);
    i->node = node;
    i->limit = pick(24) ? w.size : SIZE_LARGE;
    i->next = w.bodies;
    if (i->next)
        i->next->prev = i;
    w.bodies = i;
    return i;
}

/* Frees it when neither name nor handle is left. */
static void settle(struct body *i)
{
    if (i->names || i->handles)
        return;
    if (i->next)
        i->next->prev = i->prev;
    if (i->prev)
        i->prev->next = i->next;
    else
        w.bodies = i->next;
    bytes_release(&i->bytes);
    free(i);
}

static void put_name(struct space *s, size_t name, struct body *i)
{
    s->name[name] = i;
    i->names++;
}

static void drop_name(struct space *s, size_t name)
{
    struct body *i = s->name[name];

    s->name[name] = NULL;
    i->names--;
    settle(i);
}

static struct space *some_space(void)
{
    struct space *s = &w.space[pick(SPACES)];
    return s->live ? s : &w.space[0];
}

/* ---- handles ---- */

static void close_handle(struct handle *h)
{
    struct body *i = h->body;

    vfs_release(h->file);
    h->body = NULL;
    i->handles--;
    settle(i);
}

/* A place for a handle; what was there is closed. */
static struct handle *place(void)
{
    struct handle *h = &w.handle[pick(HANDLES)];

    if (h->body)
        close_handle(h);
    return h;
}

static struct handle *hold(struct handle *h, struct vfs_file *file, struct body *i, bool writes)
{
    *h = (struct handle){file, i, writes};
    i->handles++;
    return h;
}

static struct handle *open_body(struct body *i, unsigned flags)
{
    struct handle *h;
    struct vfs_file *f;

    i->names++; /* what `place` closes must not be the last of it */
    h = place();
    i->names--;
    CHECK(vfs_open(w.p, i->node, flags, &f) == 0);
    if (flags & VFS_TRUNC)
        bytes_truncate(&i->bytes, 0);
    return hold(h, f, i, flags & VFS_WRITE);
}

/* A handle that was open, or is opened now; NULL: of no file. */
static struct handle *some_handle(bool writes)
{
    struct handle *h = &w.handle[pick(HANDLES)];
    struct space *s = some_space();
    struct body *i = s->name[pick(NAMES)];

    if (h->body && (!writes || (h->writes && !h->body->gone)))
        return h;
    return i ? open_body(i, writes ? VFS_WRITE : 0) : NULL;
}

static void compare_handle(const struct handle *h, uint64_t off, size_t len)
{
    const struct bytes *b = &h->body->bytes;
    size_t want = off >= b->size ? 0 : b->size - off < len ? (size_t)(b->size - off) : len;
    ssize_t n = vfs_read(h->file, buf, len, off);

    CHECK(n == (ssize_t)want);
    CHECK(bytes_differ(b, buf, want, off) == want);
    w.reads++;
    w.bytes_compared += want;
}

/* ---- operations on bytes ---- */

static uint64_t some_offset(const struct body *i)
{
    uint64_t at;

    switch (pick(5)) {
    case 0:
        at = i->bytes.size;
        break;
    case 1:
        at = pick(4) * EXTENT_BLOCK;
        break;
    case 2:
        at = pick(i->limit);
        break;
    default:
        at = pick(i->bytes.size + 100);
    }
    return at < i->limit ? at : i->limit - 1;
}

static size_t some_length(const struct body *i, uint64_t off)
{
    size_t len = 1 + (size_t)pick(i->limit == SIZE_LARGE && !pick(6) ? IO_LARGE : 2000);
    return len < i->limit - off ? len : (size_t)(i->limit - off);
}

static void op_read(void)
{
    struct handle *h = some_handle(false);

    if (!h)
        return;
    if (pick(40))
        compare_handle(h, some_offset(h->body), 1 + (size_t)pick(4000));
    else
        compare_handle(h, 0, sizeof buf);
}

static void op_write(void)
{
    struct handle *h = some_handle(true);
    struct body *i = h ? h->body : NULL;
    const uint8_t *from = values + pick(4096);
    uint64_t off;
    size_t len;

    if (!i)
        return;
    off = some_offset(i);
    len = some_length(i, off);
    if (pick(4) == 0) { /* equal contents happen */
        memset(buf, (int)pick(3), len);
        from = buf;
    }
    CHECK(vfs_write(h->file, from, len, off) == (ssize_t)len);
    bytes_write(&i->bytes, from, len, off);
}

static void op_truncate(void)
{
    struct handle *h = some_handle(true);
    struct vfs_attr in = {0}, out;

    if (!h)
        return;
    in.size = pick(4) ? some_offset(h->body) : 0;
    CHECK(vfs_setattr(w.p, h->body->node, VFS_SET_SIZE, &in, &out) == 0 && out.size == in.size);
    bytes_truncate(&h->body->bytes, in.size);
}

static void op_allocate(void)
{
    static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
                                FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
    struct handle *h = some_handle(true);
    int mode = modes[pick(5)];
    uint64_t off, len;

    if (!h)
        return;
    off = some_offset(h->body);
    len = some_length(h->body, off);
    CHECK(vfs_fallocate(h->file, mode, off, len) == 0);
    if (!(mode & FALLOC_FL_KEEP_SIZE) && off + len > h->body->bytes.size)
        bytes_truncate(&h->body->bytes, off + len);
    if (mode & ~FALLOC_FL_KEEP_SIZE)
        bytes_zero(&h->body->bytes, off, len);
}

/* Between data and data there are zeros, and no more than the file. */
static void op_seek(void)
{
    struct handle *h = some_handle(false);
    uint64_t size, off;
    int64_t data, hole;

    if (!h)
        return;
    size = h->body->bytes.size;
    off = some_offset(h->body);
    data = vfs_seek(h->file, off, true);
    if (off >= size) {
        CHECK(data == -ENXIO && vfs_seek(h->file, off, false) == -ENXIO);
        return;
    }
    CHECK(data == -ENXIO || (data >= (int64_t)off && data < (int64_t)size));
    CHECK(bytes_are_zero(&h->body->bytes, off, (data < 0 ? size : (uint64_t)data) - off));
    hole = vfs_seek(h->file, off, false);
    CHECK(hole >= (int64_t)off && hole <= (int64_t)size &&
          (data == (int64_t)off) == (hole > (int64_t)off));
}

/* As copy_file_range at equal offsets: all, or a part. */
static void op_share(void)
{
    struct handle *in = some_handle(false), *out;
    struct body *from = in ? in->body : NULL;
    uint64_t off = 0;
    size_t len = SIZE_LARGE;
    ssize_t n;

    if (!from)
        return;
    out = some_handle(true);
    if (!out || in->body != from || out->body == from || from->bytes.size > out->body->limit)
        return;
    if (pick(3) == 0) {
        off = some_offset(from);
        len = some_length(from, off);
    }
    n = vfs_share_range(in->file, off, out->file, off, len);
    CHECK(n == -EOPNOTSUPP || (n >= 0 && (size_t)n <= len));
    if (n <= 0)
        return;
    CHECK(bytes_read(&from->bytes, buf, (size_t)n, off) == (size_t)n);
    bytes_write(&out->body->bytes, buf, (size_t)n, off);
}

/* ---- operations on names ---- */

static void op_create(void)
{
    struct space *s = some_space();
    size_t name = pick(NAMES);
    unsigned flags = VFS_WRITE | (pick(2) ? VFS_TRUNC : 0) | (pick(4) ? 0 : VFS_EXCL);
    struct handle *h = place();
    struct body *i = s->name[name];
    struct vfs_file *f;
    struct vfs_attr a;
    int err = vfs_create(w.p, dir_of(s, name), name_text(name), 0644, &root, flags, &a, &f);

    if (i && flags & VFS_EXCL) {
        CHECK(err == -EEXIST);
        return;
    }
    CHECK(err == 0);
    vfs_forget(w.p, a.nodeid, 1);
    if (!i)
        put_name(s, name, i = body_new(a.nodeid));
    CHECK(a.nodeid == i->node && a.nlink == i->names);
    if (flags & VFS_TRUNC)
        bytes_truncate(&i->bytes, 0);
    CHECK(a.size == i->bytes.size);
    hold(h, f, i, true);
}

/* Without a name, and in three of four cases given one later (op_link). */
static void op_tmpfile(void)
{
    struct space *s = some_space();
    struct handle *h = place();
    struct vfs_file *f;
    struct vfs_attr a;

    CHECK(vfs_tmpfile(w.p, s->dir[0], 0600, &root, VFS_WRITE, &a, &f) == 0);
    vfs_forget(w.p, a.nodeid, 1);
    hold(h, f, body_new(a.nodeid), true);
}

/* A hard link within a namespace, an inode of its own across. */
static void op_link(void)
{
    struct space *s = some_space();
    size_t name = pick(NAMES);
    struct body *i = some_space()->name[pick(NAMES)], *copy;
    struct vfs_attr a;
    bool across;
    int err;

    if (!i)
        return;
    across = vfs_node_ns(i->node) != vfs_node_ns(s->dir[0]);
    err = vfs_link(w.p, i->node, dir_of(s, name), name_text(name), &a);
    if (s->name[name]) {
        CHECK(err == -EEXIST);
        return;
    }
    CHECK(err == 0 && (a.nodeid == i->node) == !across && a.size == i->bytes.size);
    vfs_forget(w.p, a.nodeid, 1);
    copy = across ? body_new(a.nodeid) : i;
    if (across) {
        bytes_clone(&i->bytes, &copy->bytes);
        copy->limit = i->limit;
    }
    put_name(s, name, copy);
    CHECK(a.nlink == copy->names);
}

static void op_unlink(void)
{
    struct space *s = some_space();
    size_t name = pick(NAMES);
    int err = vfs_unlink(w.p, dir_of(s, name), name_text(name));

    CHECK(err == (s->name[name] ? 0 : -ENOENT));
    if (err == 0)
        drop_name(s, name);
}

static void op_rename(void)
{
    static const unsigned kinds[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    struct space *s = some_space();
    size_t x = pick(NAMES), y = pick(NAMES);
    unsigned flags = kinds[pick(4)];
    struct body *i = s->name[x], *j = s->name[y];
    int want = !i                               ? -ENOENT
               : flags == RENAME_NOREPLACE && j ? -EEXIST
               : flags == RENAME_EXCHANGE && !j ? -ENOENT
                                                : 0;
    int err = vfs_rename(w.p, dir_of(s, x), name_text(x), dir_of(s, y), name_text(y), flags, NULL);

    CHECK(err == want);
    if (err || i == j) /* two names of one inode: rename(2) does nothing */
        return;
    s->name[x] = flags == RENAME_EXCHANGE ? j : NULL;
    s->name[y] = i;
    if (j && flags != RENAME_EXCHANGE) {
        j->names--;
        settle(j);
    }
}

struct listing {
    uint64_t node[NAMES / 2];
    size_t others;
};

static bool on_entry(const struct vfs_dirent *d, void *ctx)
{
    struct listing *l = ctx;

    if (d->name[0] == 'f' && d->name[1] >= '0' && d->name[1] < '0' + NAMES / 2 && !d->name[2])
        l->node[d->name[1] - '0'] = d->attr.nodeid;
    else
        l->others++;
    return true;
}

static void op_list(void)
{
    struct space *s = some_space();
    size_t half = pick(2);
    struct listing l = {0};

    CHECK(vfs_readdir(w.p, s->dir[half], 0, false, on_entry, &l) == 0);
    CHECK(l.others == (half ? 2 : 3)); /* . .. d */
    for (size_t n = 0; n < NAMES / 2; n++) {
        const struct body *i = s->name[half * (NAMES / 2) + n];
        CHECK(l.node[n] == (i ? i->node : 0));
    }
}

static void op_stat(void)
{
    struct space *s = some_space();
    size_t name = pick(NAMES);
    struct body *i = s->name[name];
    struct vfs_attr a;
    int err = find(dir_of(s, name), name_text(name), &a);

    CHECK(err == (i ? 0 : -ENOENT));
    if (i)
        CHECK(a.nodeid == i->node && a.size == i->bytes.size && a.nlink == i->names);
}

static void op_open(void)
{
    static const unsigned flags[] = {0, 0, VFS_WRITE, VFS_WRITE, VFS_WRITE | VFS_TRUNC};
    struct body *i = some_space()->name[pick(NAMES)];

    if (i)
        (void)open_body(i, flags[pick(5)]);
}

static void op_close(void)
{
    struct handle *h = &w.handle[pick(HANDLES)];

    if (h->body)
        close_handle(h);
}

/* ---- namespaces ---- */

/* What the model has of a namespace goes; open handles keep their inodes. */
static void forget_space(struct space *s)
{
    for (struct body *i = w.bodies; i; i = i->next)
        i->gone |= vfs_node_ns(i->node) == vfs_node_ns(s->dir[0]);
    for (size_t n = 0; n < NAMES; n++)
        if (s->name[n])
            drop_name(s, n);
    s->live = false;
}

static void drop_space(struct space *s)
{
    uint32_t open;

    CHECK(ns_drop(w.p, space_name(s), true, false, false, &open) == 0);
    forget_space(s);
}

static void copy_names(struct space *to, const struct space *from)
{
    uint32_t ns = vfs_node_ns(to->dir[0]);

    for (size_t n = 0; n < NAMES; n++) {
        struct body *i = from->name[n];
        if (!i)
            continue;
        if (!i->copy) {
            i->copy = body_new(vfs_node(ns, vfs_node_ino(i->node)));
            i->copy->limit = i->limit;
            bytes_clone(&i->bytes, &i->copy->bytes);
        }
        put_name(to, n, i->copy);
    }
    for (size_t n = 0; n < NAMES; n++)
        if (from->name[n])
            from->name[n]->copy = NULL;
}

static void op_branch(void)
{
    struct space *from = some_space(), *to = &w.space[1 + pick(SPACES - 1)];
    uint32_t number;
    uint64_t seq;

    if (to->live) {
        drop_space(to);
        return;
    }
    CHECK(ns_branch(w.p, space_name(from), space_name(to), &seq, &number) == 0);
    to->live = true;
    find_dirs(to);
    copy_names(to, from);
}

/* ---- everything ---- */

static void close_all(void)
{
    for (size_t n = 0; n < HANDLES; n++)
        if (w.handle[n].body)
            close_handle(&w.handle[n]);
}

static void compare_all(void)
{
    for (struct body *i = w.bodies; i; i = i->next) {
        struct handle h = {.body = i};
        CHECK(i->names > 0);
        CHECK(vfs_open(w.p, i->node, 0, &h.file) == 0);
        compare_handle(&h, 0, sizeof buf);
        vfs_release(h.file);
    }
}

static void find_all_dirs(void)
{
    struct vfs_attr a;

    for (size_t n = 0; n < SPACES; n++)
        if (w.space[n].live)
            find_dirs(&w.space[n]);
        else
            CHECK(find(VFS_ROOT, space_name(&w.space[n]), &a) == -ENOENT);
}

/* A clean end, the death of the process, or the loss of power right after a sync: with all that was
 * unlinked still open then. */
static void op_end(void)
{
    uint64_t how = pick(3);

    if (how == 2)
        CHECK(flush_sync(w.p) == 0);
    close_all();
    if (how == 0)
        CHECK(store_close(w.p) == 0);
    else
        store_abandon(w.p);
    kv_close(w.kv);
    if (how == 2) {
        w.fault.loss = pick(2) ? FAULT_LOSE_ALL : FAULT_LOSE_SOME;
        w.fault.seed = pick(UINT64_MAX);
        disk_mem_power_cycle(w.disk);
    }
    open_store();
    find_all_dirs();
    compare_all();
    w.ends++;
}

static void op_flush(void)
{
    switch (pick(8)) {
    case 0:
        CHECK(flush_drain(w.p, false, -1, NULL) == 0);
        break;
    case 1:
    case 2:
    case 3:
        CHECK(flush_sync(w.p) == 0);
        break;
    default:
        CHECK(flush_now(w.p) == 0);
    }
}

static const struct {
    unsigned weight; /* of 10,000 */
    void (*run)(void);
} operations[] = {
    {3200, op_read}, {2400, op_write}, {500, op_truncate}, {500, op_allocate}, {450, op_seek},
    {250, op_share}, {450, op_open},   {300, op_close},    {400, op_create},   {60, op_tmpfile},
    {250, op_link},  {250, op_unlink}, {350, op_rename},   {150, op_list},     {440, op_stat},
    {20, op_branch}, {28, op_flush},   {2, op_end},
};

static void step(void)
{
    uint64_t what = pick(10000);
    size_t n = 0;

    clock_manual_advance(&w.clock, (int64_t)pick(40) * NSEC_PER_MSEC);
    while (what >= operations[n].weight)
        what -= operations[n++].weight;
    operations[n].run();
}

static void start(void)
{
    struct vfs_attr a;

    for (size_t n = 0; n < sizeof values; n++)
        values[n] = (uint8_t)(fault_random(&w.rng) >> 32);
    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    CHECK(kv_mem_create(&w.fault, &w.mem) == 0 && disk_mem_create(&w.fault, 0, &w.disk) == 0);
    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    CHECK(store_format(w.disk, w.kv, &w.clock.base, "o/p", 0, 0, NULL) == 0);
    kv_close(w.kv);
    open_store();
    set("set buffers 1M\n");
    set("set page_cache 4M\n");
    set("set flush_interval 100ms\n");
    set("set seal_delay 0s\n");
    set("set pack_size 1M\n");
    CHECK(find(VFS_ROOT, "main", &a) == 0);
    CHECK(vfs_mknod(w.p, a.nodeid, "d", S_IFDIR | 0755, 0, &root, &a) == 0);
    vfs_forget(w.p, a.nodeid, 1);
    w.space[0].live = true;
    find_dirs(&w.space[0]);
}

static void drop_everything(void)
{
    uint64_t bytes, names;

    close_all();
    find_all_dirs();
    compare_all();
    for (size_t n = 0; n < SPACES; n++)
        if (w.space[n].live)
            drop_space(&w.space[n]);
    CHECK(!w.bodies);
    CHECK(flush_drain(w.p, true, -1, NULL) == 0);
    CHECK(store_close(w.p) == 0);
    kv_close(w.kv);
    disk_mem_usage(w.disk, &bytes, &names);
    CHECK(bytes == 0 && names == 0);
    disk_close(w.disk);
    kv_mem_destroy(w.mem);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", 1, NULL, 's'}, {"ops", 1, NULL, 'n'}, {"size", 1, NULL, 'z'}, {0}};
    uint64_t ops = 500000;
    int o;

    w.seed = 1;
    w.size = 16000;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 's')
            w.seed = strtoull(optarg, NULL, 0);
        else if (o == 'n')
            ops = strtoull(optarg, NULL, 0);
        else if (o == 'z')
            w.size = strtoull(optarg, NULL, 0);
        else
            return 2;
    }
    w.seed = w.seed ? w.seed : 1;
    w.rng = w.seed;
    w.size = w.size && w.size < SIZE_LARGE ? w.size : SIZE_LARGE;
    printf("property_handles --seed %llu --ops %llu --size %zu\n", (unsigned long long)w.seed,
           (unsigned long long)ops, w.size);
    fflush(stdout);
    start();
    for (w.op = 0; w.op < ops; w.op++)
        step();
    drop_everything();
    printf("%llu reads, %llu MiB compared, %llu ends\n", (unsigned long long)w.reads,
           (unsigned long long)(w.bytes_compared >> 20), (unsigned long long)w.ends);
    return 0;
}
