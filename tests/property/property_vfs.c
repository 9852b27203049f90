// SPDX-License-Identifier: Apache-2.0
/*
 * property_vfs: random operations on the files of a few namespaces, against plain arrays.
 *
 *     property_vfs [--seed S] [--ops N] [--size BYTES] [--compression rest|write]
 *
 * Each namespace of the model is a set of byte arrays by name. Writes, truncations, fallocate,
 * sharing, copies of ranges, links across, branches, renames, removals, flushes, syncs, drains,
 * clean restarts, deaths of the process and losses of power are drawn at random. Every read
 * is compared; data and holes, as lseek finds them, must be all of the file, hold all that is not
 * zero, and add up to st_blocks, which only changes of the file change; what a namespace is said to
 * have is what its files add up to. After a loss of power the
 * store is what it was after the last change that was durable, and no other state; of a file that
 * may have been a slot then and was changed since, only the length is certain (versions.h): none is
 * with a small --size, which is the most that a file has. At the end everything is
 * dropped and nothing may be left on the disk. Prints its seed; the same seed does the same.
 */
#include "clock_manual.h"
#include "compact.h"
#include "disk_mem.h"
#include "versions.h"
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
#include <sys/stat.h>

#define SPACES 4
#define FILES 6
#define SIZE_MAX_MODEL (2u << 20)

struct file {
    bool exists;
    uint8_t *data; /* SIZE_MAX_MODEL bytes, zeros past size */
    size_t size;
    bool changed;  /* by this operation */
    bool unhashed; /* its history does not have the hash of what it is */
    bool large;    /* it was, so it may be a slot */
    struct versions history;
};

/* What a file is read into, and what is written from. */
static uint8_t buf[SIZE_MAX_MODEL + 1];

struct world {
    struct fault fault;
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct clock_manual clock;
    struct state *p;
    bool exists[SPACES];
    bool made[SPACES]; /* or dropped, by this operation */
    struct versions history[SPACES];
    uint64_t power_cuts;
    size_t limit; /* bytes of a file */
    struct file file[SPACES][FILES];
    uint64_t rng;
    uint64_t op;
};

static struct world w;

static _Noreturn void fail(int line, const char *what)
{
    char text[REPORT_KEEP][REPORT_TEXT];
    size_t n = report_recent(REPORT_NOTE, text, REPORT_KEEP);

    fprintf(stderr, "%s:%d: op %llu: %s\n", __FILE__, line, (unsigned long long)w.op, what);
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
static const struct vfs_cred root = {0};

static enum compression compression; /* option --compression */

static void open_store(void)
{
    struct state_config c = {.disk = w.disk,
                             .kv = w.kv,
                             .clock = &w.clock.base,
                             .threads = 2,
                             .log_segment = 1 << 20,
                             .compression = {.on = compression != COMPRESSION_OFF}};

    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, 0, &w.kv) == 0);
    c.kv = w.kv;
    CHECK(store_open(&c, &w.p) == 0);
    settings_put(&w.p->settings, SET_COMPRESSION, compression);
}

static const char *space_name(size_t s)
{
    static const char *const names[SPACES] = {"main", "a", "b", "c"};
    return names[s];
}

static uint64_t space_node(size_t s)
{
    struct vfs_attr attr;

    CHECK(vfs_lookup(w.p, VFS_ROOT, space_name(s), &attr) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    return attr.nodeid;
}

static void file_name(size_t f, char out[16])
{
    snprintf(out, 16, "file%zu", f);
}

static int find(size_t s, size_t f, struct vfs_attr *ret)
{
    char name[16];
    int err;

    file_name(f, name);
    err = vfs_lookup(w.p, space_node(s), name, ret);
    if (err == 0)
        vfs_forget(w.p, ret->nodeid, 1);
    return err;
}

/* The next data or hole; the end of the file where there is none. */
static uint64_t seek(struct vfs_file *file, const struct file *m, uint64_t off, bool data)
{
    int64_t n = off < m->size ? vfs_seek(file, off, data) : -ENXIO;

    CHECK(n >= (int64_t)off || (n == -ENXIO && (data || off >= m->size)));
    CHECK(n <= (int64_t)m->size);
    return n < 0 ? m->size : (uint64_t)n;
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Data and holes take turns to the end; holes are zeros, and data is what st_blocks counts. */
static void compare_map(struct vfs_file *file, const struct file *m, const struct vfs_attr *attr)
{
    uint64_t pos = 0, stored = 0;

    CHECK(vfs_seek(file, m->size, true) == -ENXIO && vfs_seek(file, m->size, false) == -ENXIO);
    while (pos < m->size) {
        uint64_t data = seek(file, m, pos, true), hole = seek(file, m, data, false);
        CHECK(is_zero(m->data + pos, data - pos));
        CHECK(hole > data || data == m->size);
        stored += hole - data;
        pos = hole;
    }
    CHECK(attr->blocks == (stored + 511) / 512);
}

static void compare(size_t s, size_t f, bool all)
{
    struct file *m = &w.file[s][f];
    struct vfs_attr attr;
    struct vfs_file *file;
    size_t off, len;

    if (!m->exists) {
        CHECK(find(s, f, &attr) == -ENOENT);
        return;
    }
    CHECK(find(s, f, &attr) == 0);
    CHECK(attr.size == m->size);
    CHECK(vfs_open(w.p, attr.nodeid, 0, &file) == 0);
    off = m->size && !all ? pick(m->size) : 0;
    len = all ? SIZE_MAX_MODEL : pick(70000) + 1;
    if (off + len > m->size)
        len = m->size - off;
    CHECK(vfs_read(file, buf, len + 1, off) == (ssize_t)(len < m->size - off ? len + 1 : len));
    CHECK(memcmp(buf, m->data + off, len) == 0);
    if (!pick(3))
        compare_map(file, m, &attr);
    vfs_release(file);
}

/* Bytes of holes that st_blocks must leave out, too, are what fallocate and writes far out make. */
static void must_be_hole(struct vfs_file *file, const struct file *m, uint64_t from, uint64_t end)
{
    from += FILE_PAGE - 1;
    from -= from % FILE_PAGE;
    end = end < m->size ? end - end % FILE_PAGE : m->size;
    if (from < end)
        CHECK(seek(file, m, from, true) >= end);
}

static uint64_t blocks_of(size_t s, size_t f)
{
    struct vfs_attr attr;

    CHECK(find(s, f, &attr) == 0);
    return attr.blocks;
}

/* What the namespace is said to have is its root directory, and the files with their blocks. */
static void compare_usage(size_t s)
{
    struct usage sum = {.inodes = 1};
    struct ns *ns;

    if (!w.exists[s])
        return;
    for (size_t f = 0; f < FILES; f++)
        if (w.file[s][f].exists)
            usage_add(&sum, (struct usage){1, blocks_of(s, f) * 512});
    CHECK(ns_get_by_name(w.p, space_name(s), &ns) == 0);
    CHECK(ns->counted && usage_is(ns->tree.usage, sum));
    ns_put(w.p, ns);
}

/* Closing may make a file whole: nobody sees that. */
static void close_file(size_t s, size_t f, struct vfs_file *file)
{
    uint64_t blocks = blocks_of(s, f);

    vfs_release(file);
    CHECK(blocks_of(s, f) == blocks);
}

static struct file *want_file(size_t s, size_t f, bool create, struct vfs_file **ret_file)
{
    struct file *m = &w.file[s][f];
    struct vfs_attr attr;
    char name[16];

    file_name(f, name);
    if (!m->exists && !create)
        return NULL;
    CHECK(vfs_create(w.p, space_node(s), name, 0644, &root, VFS_WRITE, &attr, ret_file) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    m->exists = m->changed = true;
    return m;
}

/* Offsets and lengths around what matters: borders of st_blocks and of blocks of a file, the end,
 * large jumps. */
static size_t some_offset(const struct file *m)
{
    switch (pick(5)) {
    case 0:
        return m->size;
    case 1:
        return 0;
    case 2:
        return pick(16) * EXTENT_BLOCK;
    case 3:
        return pick(w.limit);
    default:
        return pick(m->size + 1000);
    }
}

static void write_once(struct vfs_file *file, struct file *m, size_t off, size_t len)
{
    size_t was = m->size;

    if (off >= w.limit)
        off = w.limit - 1;
    if (off + len > w.limit)
        len = w.limit - off;
    memset(buf, (int)pick(4), len); /* few values: equal contents happen */
    if (pick(2))
        buf[pick(len)] = (uint8_t)pick(256);
    CHECK(vfs_write(file, buf, len, off) == (ssize_t)len);
    memcpy(m->data + off, buf, len);
    if (off + len > m->size)
        m->size = off + len;
    if (off > was)
        must_be_hole(file, m, was, off);
}

/* Once, or often and little in one block: subblock extents, where it is sealed. */
static void op_write(size_t s, size_t f)
{
    struct vfs_file *file;
    struct file *m = want_file(s, f, true, &file);
    size_t off = some_offset(m);

    if (m->size > 2 * EXTENT_BLOCK && pick(2)) {
        off = pick(m->size);
        off -= off % EXTENT_BLOCK;
        for (size_t n = 1 + pick(12); n > 0; n--)
            write_once(file, m, off + pick(EXTENT_BLOCK), 1 + pick(pick(3) ? 100 : 12000));
    } else {
        write_once(file, m, off, pick(10) ? pick(3000) + 1 : pick(400000) + 1);
    }
    close_file(s, f, file);
}

static void op_allocate(size_t s, size_t f)
{
    static const int modes[] = {
        0,
        FALLOC_FL_KEEP_SIZE,
        FALLOC_FL_ZERO_RANGE,
        FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
        FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
        FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
        FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
    };
    int mode = modes[pick(7)];
    struct vfs_file *file;
    struct file *m = want_file(s, f, false, &file);
    size_t off, end;

    if (!m)
        return;
    off = some_offset(m);
    end = pick(3) ? some_offset(m) : off + 1 + pick(pick(2) ? 5000 : 300000);
    if (end < off) {
        size_t t = off;
        off = end;
        end = t;
    }
    off = off < w.limit ? off : w.limit - 1;
    end = end <= off ? off + 1 : end < w.limit ? end : w.limit;
    CHECK(vfs_fallocate(file, mode, off, end - off) == 0);
    if (!(mode & FALLOC_FL_KEEP_SIZE) && end > m->size)
        m->size = end;
    if (mode & ~FALLOC_FL_KEEP_SIZE && off < m->size) {
        memset(m->data + off, 0, end - off);
        must_be_hole(file, m, off, end);
    }
    close_file(s, f, file);
}

static void op_truncate(size_t s, size_t f)
{
    struct file *m = &w.file[s][f];
    struct vfs_attr attr, in = {.size = pick(3) ? some_offset(m) : 0};

    if (!m->exists)
        return;
    if (in.size > w.limit)
        in.size = w.limit;
    CHECK(find(s, f, &attr) == 0);
    CHECK(vfs_setattr(w.p, attr.nodeid, VFS_SET_SIZE, &in, &attr) == 0);
    CHECK(attr.size == in.size);
    m->changed = true;
    if (in.size < m->size)
        memset(m->data + in.size, 0, m->size - in.size);
    m->size = in.size;
}

/* The model's file as if it had never been. */
static void model_clear(struct file *m)
{
    memset(m->data, 0, m->size);
    m->size = 0;
    m->exists = false;
    m->changed = true;
}

static void op_unlink(size_t s, size_t f)
{
    char name[16];

    file_name(f, name);
    CHECK(vfs_unlink(w.p, space_node(s), name) == (w.file[s][f].exists ? 0 : -ENOENT));
    model_clear(&w.file[s][f]);
}

static void model_copy(struct file *to, const struct file *from)
{
    model_clear(to);
    memcpy(to->data, from->data, from->size);
    to->size = from->size;
    to->exists = from->exists;
    to->large |= from->large;
}

/* Within one namespace a hard link would share the model's array: only across. */
static void op_link(size_t s, size_t f)
{
    size_t s2 = pick(SPACES), f2 = pick(FILES);
    struct vfs_attr attr;
    char name[16];

    if (!w.exists[s2] || s2 == s || !w.file[s][f].exists || w.file[s2][f2].exists)
        return;
    file_name(f2, name);
    CHECK(find(s, f, &attr) == 0);
    CHECK(vfs_link(w.p, attr.nodeid, space_node(s2), name, &attr) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    model_copy(&w.file[s2][f2], &w.file[s][f]);
}

static void op_share(size_t s, size_t f)
{
    size_t s2 = pick(SPACES), f2 = pick(FILES);
    struct vfs_file *in, *out;
    struct vfs_attr attr;
    ssize_t n;

    if (!w.exists[s2] || !w.file[s][f].exists || (s2 == s && f2 == f))
        return;
    if (w.file[s2][f2].exists)
        op_unlink(s2, f2);
    CHECK(find(s, f, &attr) == 0);
    CHECK(vfs_open(w.p, attr.nodeid, 0, &in) == 0);
    (void)want_file(s2, f2, true, &out);
    n = vfs_share_range(in, 0, out, 0, pick(2) ? SIZE_MAX_MODEL : pick(SIZE_MAX_MODEL) + 1);
    CHECK(n >= 0 || n == -EOPNOTSUPP);
    if (n > 0) {
        memcpy(w.file[s2][f2].data, w.file[s][f].data, (size_t)n);
        w.file[s2][f2].size = (size_t)n;
    }
    CHECK(n != (ssize_t)w.file[s][f].size || blocks_of(s, f) == blocks_of(s2, f2));
    vfs_release(in);
    close_file(s2, f2, out);
}

/* copy_file_range at equal offsets: shared, or by hand as the kernel would. */
static void op_copy(size_t s, size_t f)
{
    size_t s2 = pick(SPACES), f2 = pick(FILES), off, len;
    struct file *from = &w.file[s][f], *to;
    struct vfs_file *in, *out;
    struct vfs_attr attr;
    ssize_t n;

    if (!w.exists[s2] || !from->exists || (s2 == s && f2 == f))
        return;
    CHECK(find(s, f, &attr) == 0);
    CHECK(vfs_open(w.p, attr.nodeid, 0, &in) == 0);
    to = want_file(s2, f2, true, &out);
    off = some_offset(from) % (from->size + 1);
    off = pick(2) ? seek(in, from, off, true) : off;
    len = (pick(2) ? seek(in, from, off, false) : off + some_offset(from)) - off;
    n = vfs_share_range(in, off, out, off, len);
    CHECK(n >= 0 || n == -EOPNOTSUPP);
    CHECK(n <= (ssize_t)len);
    if (n == -EOPNOTSUPP) {
        len = len < 100000 ? len : 100000;
        n = vfs_read(in, buf, len, off);
        CHECK(vfs_write(out, buf, (size_t)n, off) == n);
    }
    if (n > 0) {
        memcpy(to->data + off, from->data + off, (size_t)n);
        to->size = off + (size_t)n > to->size ? off + (size_t)n : to->size;
    }
    vfs_release(in);
    close_file(s2, f2, out);
}

/* What they are; their histories stay. */
static void swap(struct file *x, struct file *y)
{
    struct file t = *x;

    x->exists = y->exists;
    x->data = y->data;
    x->size = y->size;
    y->exists = t.exists;
    y->data = t.data;
    y->size = t.size;
    x->changed = y->changed = true;
    x->large = y->large = x->large || y->large;
}

static void op_rename(size_t s, size_t f)
{
    size_t f2 = pick(FILES);
    unsigned flags = pick(3) ? 0 : RENAME_EXCHANGE;
    char a[16], b[16];
    struct file *x = &w.file[s][f], *y = &w.file[s][f2];
    int err;

    file_name(f, a);
    file_name(f2, b);
    err = vfs_rename(w.p, space_node(s), a, space_node(s), b, flags, NULL);
    if (!x->exists || (flags && !y->exists)) {
        CHECK(err == -ENOENT);
        return;
    }
    CHECK(err == 0);
    if (f == f2)
        return;
    swap(x, y);
    if (!flags)
        model_clear(x);
}

static void op_branch(size_t s)
{
    size_t to = pick(SPACES);
    uint64_t seq;
    uint32_t number, open;

    if (to == s || to == 0)
        return;
    if (w.exists[to]) {
        CHECK(ns_drop(w.p, space_name(to), false, false, false, &open) == 0);
        for (size_t f = 0; f < FILES; f++)
            model_clear(&w.file[to][f]);
        w.exists[to] = false;
        w.made[to] = true;
        return;
    }
    CHECK(ns_branch(w.p, space_name(s), space_name(to), &seq, &number) == 0);
    for (size_t f = 0; f < FILES; f++)
        model_copy(&w.file[to][f], &w.file[s][f]);
    w.exists[to] = w.made[to] = true;
    if (pick(2)) { /* while both have all in common */
        size_t f = pick(FILES);
        op_write(s, f);
        compare(to, f, true);
    }
}

static void op_restart(bool die)
{
    if (die) { /* whatever returned is in the log */
        store_abandon(w.p);
    } else {
        CHECK(store_close(w.p) == 0);
    }
    kv_close(w.kv);
    open_store();
    for (size_t s = 0; s < SPACES; s++) {
        for (size_t f = 0; f < FILES; f++)
            if (w.exists[s])
                compare(s, f, true);
        compare_usage(s);
    }
}

/* ---- the power goes ---- */

static struct version_state state_of(const struct file *m)
{
    static const struct id_key key;
    struct version_state s = {.exists = m->exists, .size = m->size};
    struct id id;

    id_of(&key, m->data, m->size, &id);
    memcpy(&s.hash, id.b, sizeof s.hash);
    return s;
}

/* All is durable: that is what files must be after a loss of power from now on. */
static void hash_changed(void)
{
    for (size_t s = 0; s < SPACES; s++)
        for (size_t f = 0; f < FILES; f++) {
            struct file *m = &w.file[s][f];
            if (m->unhashed)
                versions_restart(&m->history, state_of(m));
            m->unhashed = false;
        }
}

/* After each operation, which began when the store's last change was `before`. */
static void note_changes(uint64_t before)
{
    uint64_t after = state_seq(w.p), durable = flush_durable(w.p);

    for (size_t s = 0; s < SPACES; s++) {
        if (w.made[s])
            versions_note(&w.history[s], before, after,
                          (struct version_state){.exists = w.exists[s]});
        w.made[s] = false;
        versions_trim(&w.history[s], durable);
        for (size_t f = 0; f < FILES; f++) {
            struct file *m = &w.file[s][f];
            struct version_state unknown = {.exists = m->exists, .size = m->size};
            if (m->changed)
                versions_note(&m->history, before, after, unknown);
            m->unhashed |= m->changed;
            m->large |= m->size > CONTENT_BUFFER_MAX / 2;
            m->changed = false;
            versions_trim(&m->history, durable);
        }
    }
    if (durable >= after)
        hash_changed();
}

static void restart_history(void)
{
    for (size_t s = 0; s < SPACES; s++) {
        versions_restart(&w.history[s], (struct version_state){.exists = w.exists[s]});
        for (size_t f = 0; f < FILES; f++)
            w.file[s][f].unhashed = true;
    }
    hash_changed();
}

/* The model's file becomes what the store has. */
static void adopt(size_t s, size_t f)
{
    struct file *m = &w.file[s][f];
    struct vfs_file *file;
    struct vfs_attr attr;

    memset(m->data, 0, m->size);
    m->size = 0;
    m->exists = w.exists[s] && find(s, f, &attr) == 0;
    if (!m->exists)
        return;
    CHECK(attr.size <= SIZE_MAX_MODEL && vfs_open(w.p, attr.nodeid, 0, &file) == 0);
    m->size = attr.size;
    CHECK(vfs_read(file, m->data, SIZE_MAX_MODEL, 0) == (ssize_t)m->size);
    vfs_release(file);
}

/* Bytes of a slot are changed in place, and those that were not synced arrive in any order. */
static void must_be_as_at(size_t s, size_t f, uint64_t seq)
{
    struct file *m = &w.file[s][f];
    bool slot = m->large && versions_changed(&m->history, seq);
    struct version_state want, have;

    adopt(s, f);
    have = state_of(m);
    if (!versions_at(&m->history, seq, &want))
        return;
    CHECK(have.exists == want.exists && have.size == want.size);
    CHECK(have.hash == want.hash || want.hash == 0 || slot);
}

static void op_power(void)
{
    static const enum fault_loss losses[] = {FAULT_LOSE_ALL, FAULT_LOSE_SOME, FAULT_LOSE_ONE,
                                             FAULT_KEEP_ONE};
    uint64_t durable = flush_durable(w.p);
    struct version_state there;
    struct vfs_attr attr;

    store_abandon(w.p);
    kv_close(w.kv);
    w.fault.loss = losses[pick(4)];
    w.fault.seed = pick(UINT64_MAX);
    disk_mem_power_cycle(w.disk);
    open_store();
    w.power_cuts++;
    CHECK(state_seq(w.p) == durable);
    for (size_t s = 0; s < SPACES; s++) {
        w.exists[s] = vfs_lookup(w.p, VFS_ROOT, space_name(s), &attr) == 0;
        if (w.exists[s])
            vfs_forget(w.p, attr.nodeid, 1);
        CHECK(!versions_at(&w.history[s], durable, &there) || there.exists == w.exists[s]);
        for (size_t f = 0; f < FILES; f++)
            must_be_as_at(s, f, durable);
    }
    restart_history();
}

/* ---- the store itself ---- */

/* What is done to the store shows in no file. */
static void op_store(void)
{
    uint64_t blocks[SPACES][FILES], what = pick(18);
    struct compact_result compacted;

    if (what >= 16) {
        op_power();
        return;
    }

    for (size_t s = 0; s < SPACES; s++)
        for (size_t f = 0; f < FILES; f++)
            blocks[s][f] = w.file[s][f].exists ? blocks_of(s, f) : 0;

    if (what < 7)
        CHECK(flush_now(w.p) == 0);
    else if (what < 11)
        CHECK(flush_drain(w.p, false, -1, NULL) == 0);
    else if (what < 13)
        CHECK(flush_sync(w.p) == 0);
    else
        op_restart(pick(4));
    if (compression != COMPRESSION_OFF && pick(2))
        CHECK(compact_store(w.p, NULL, 50, true, &compacted) == 0);
    for (size_t s = 0; s < SPACES; s++)
        for (size_t f = 0; f < FILES; f++)
            CHECK(blocks[s][f] == (w.file[s][f].exists ? blocks_of(s, f) : 0));
}

static void step(void)
{
    size_t s = pick(SPACES), f = pick(FILES);
    uint64_t what = pick(80);

    uint64_t before = state_seq(w.p);

    if (!w.exists[s])
        s = 0;
    clock_manual_advance(&w.clock, (int64_t)pick(400) * NSEC_PER_MSEC);
    if (what < 2)
        op_branch(s);
    else if (what < 4)
        op_link(s, f);
    else if (what < 6)
        op_share(s, f);
    else if (what < 8)
        op_rename(s, f);
    else if (what < 10)
        op_unlink(s, f);
    else if (what < 11)
        op_store();
    else if (what < 13)
        op_copy(s, f);
    else if (what < 19)
        op_truncate(s, f);
    else if (what < 29)
        op_allocate(s, f);
    else if (what < 45)
        op_write(s, f);
    else
        compare(s, f, !pick(16));
    compare_usage(s);
    note_changes(before);
}

static void release(struct file *m)
{
    free(m->data);
    versions_release(&m->history);
}

static void drop_everything(void)
{
    uint64_t bytes, names;
    uint32_t open;

    for (size_t s = 0; s < SPACES; s++)
        if (w.exists[s])
            CHECK(ns_drop(w.p, space_name(s), false, false, false, &open) == 0);
    CHECK(flush_drain(w.p, true, -1, NULL) == 0);
    CHECK(store_close(w.p) == 0);
    kv_close(w.kv);
    disk_mem_usage(w.disk, &bytes, &names);
    CHECK(bytes == 0 && names == 0);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", 1, NULL, 's'},
                                            {"ops", 1, NULL, 'n'},
                                            {"compression", 1, NULL, 'c'},
                                            {"size", 1, NULL, 'z'},
                                            {0}};
    uint64_t ops = 60000;
    int o;

    w.rng = 1;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 's')
            w.rng = strtoull(optarg, NULL, 0);
        else if (o == 'n')
            ops = strtoull(optarg, NULL, 0);
        else if (o == 'c')
            compression = *optarg == 'w' ? COMPRESSION_WRITE : COMPRESSION_REST;
        else if (o == 'z')
            w.limit = strtoull(optarg, NULL, 0);
        else
            return 2;
    }
    w.rng = w.rng ? w.rng : 1;
    w.limit = w.limit && w.limit < SIZE_MAX_MODEL ? w.limit : SIZE_MAX_MODEL;
    printf("property_vfs --seed %llu --ops %llu --size %zu\n", (unsigned long long)w.rng,
           (unsigned long long)ops, w.limit);
    fflush(stdout);
    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    CHECK(kv_mem_create(&w.fault, &w.mem) == 0 && disk_mem_create(&w.fault, 0, &w.disk) == 0);
    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    CHECK(store_format(w.disk, w.kv, &w.clock.base, "o/p", 0, 0, NULL) == 0);
    kv_close(w.kv);
    for (size_t s = 0; s < SPACES; s++)
        for (size_t f = 0; f < FILES; f++)
            w.file[s][f].data = calloc(1, SIZE_MAX_MODEL);
    w.exists[0] = true;
    open_store();
    restart_history();
    for (w.op = 0; w.op < ops; w.op++)
        step();
    drop_everything();
    for (size_t s = 0; s < SPACES; s++)
        for (size_t f = 0; f < FILES; f++)
            release(&w.file[s][f]);
    for (size_t s = 0; s < SPACES; s++)
        versions_release(&w.history[s]);
    printf("%llu losses of power\n", (unsigned long long)w.power_cuts);
    CHECK(w.power_cuts > 0 || ops < 20000);
    disk_close(w.disk);
    kv_mem_destroy(w.mem);
    return 0;
}
