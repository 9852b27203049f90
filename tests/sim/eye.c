// SPDX-License-Identifier: Apache-2.0
/*
 * eye: the pool as one node sees it. Everything goes through to the one pool there is, except:
 *
 *     die_in    its power goes off with a call; nothing it would still do happens
 *     fail_in   a call that touches the pool's own records (reports, marks, the lease, indexes of
 *               packs) says -EIO, and was done or not
 *     short     a listing leaves names out
 *     frozen    heads of reports, and which lists of marks there are, are those of a while ago
 *     behind    heads of reports are; lists are those of now
 *
 * For the last two, what is replaced or removed of reports is kept under "sim/", by links.
 */
#include "sim.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct eye_file {
    struct disk_file base;
    struct disk_file *real;
    struct eye *eye;
    bool own_record, bytes; /* of the pool; of objects */
};

static struct eye *eye_of(struct disk *d)
{
    return (struct eye *)d;
}
static struct eye_file *file_of(struct disk_file *f)
{
    return (struct eye_file *)f;
}

static bool starts(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

/* Where objects' bytes are, the daemon has its own tests of what fails. */
static bool is_own_record(const char *name)
{
    if (starts(name, "nodes"))
        return !strstr(name, "/slots");
    return starts(name, "marks") || starts(name, "lease") ||
           (starts(name, "packs/") && strchr(name, '.'));
}

/* Before any operation: does it come so far? */
static int comes_through(struct eye *e)
{
    baton_operation(sim.node[e->node - 1].still);
    if (e->die_in > 0 && --e->die_in == 0)
        node_stop(&sim.node[e->node - 1]);
    return fault_is_cut(e->fault) ? -EIO : 0;
}

/* Is this the call that fails? */
static bool is_the_one(struct eye *e, bool own_record)
{
    if (!own_record || e->fail_in == 0 || --e->fail_in > 0)
        return false;
    sim.count.failed++;
    say("  node %u: a call fails%s", e->node, e->fail_after ? ", though it was done" : "");
    return true;
}

/* The result of a change, with what is injected. */
#define CHANGE(e, own_record, call)                                                                \
    do {                                                                                           \
        int err_ = comes_through(e);                                                               \
        bool fails_ = err_ == 0 && is_the_one(e, own_record);                                      \
        if (err_ < 0 || (fails_ && !(e)->fail_after))                                              \
            return err_ < 0 ? err_ : -EIO;                                                         \
        err_ = (call);                                                                             \
        return fails_ ? -EIO : err_;                                                               \
    } while (0)

/* ---- what is kept of reports ---- */

/* "nodes/0002/head" is of node 2, and its file is "head". */
static unsigned report_node(const char *name, const char **ret_file)
{
    unsigned number;
    int end = 0;

    if (sscanf(name, "nodes/%4x/%n", &number, &end) != 1 || end == 0 || number > NODES_MAX)
        return 0;
    *ret_file = name + end;
    return number;
}

static void kept_name(unsigned node, const char *file, char out[DISK_NAME_MAX + 1])
{
    snprintf(out, DISK_NAME_MAX + 1, "sim/%u.%s", node, file);
}

static void kept_head(unsigned node, uint64_t version, char out[DISK_NAME_MAX + 1])
{
    char file[40];

    snprintf(file, sizeof file, "head.%llu", (unsigned long long)version);
    kept_name(node, file, out);
}

/* What the name is now; nothing, when it was removed. */
static void keep_head(const char *name)
{
    char kept[DISK_NAME_MAX + 1];
    const char *file;
    unsigned node = report_node(name, &file);
    struct heads *h = &sim.heads[node];

    if (node == 0 || strcmp(file, "head") != 0)
        return;
    if (h->count == h->room) {
        h->room = h->room ? 2 * h->room : 64;
        h->time = realloc(h->time, h->room * sizeof *h->time);
        CHECK(h->time);
    }
    h->time[h->count++] = sim.time;
    kept_head(node, h->count, kept);
    (void)disk_link(sim.pool, name, kept);
}

/* Bodies of reports, and lists of marks. */
static void keep_part(const char *name)
{
    char kept[DISK_NAME_MAX + 1];
    const char *file = "";
    unsigned node = report_node(name, &file);

    if (starts(name, "marks/"))
        kept_name(0, name + strlen("marks/"), kept);
    else if (node && (starts(file, "base") || starts(file, "delta")))
        kept_name(node, file, kept);
    else
        return;
    (void)disk_link(sim.pool, name, kept);
}

static uint64_t marks_serial(const char *name)
{
    unsigned long long serial;

    return sscanf(name, "marks/%16llx", &serial) == 1 ? serial : 0;
}

void eye_freeze(struct eye *e)
{
    e->sees = EYE_FROZEN;
    for (unsigned i = 0; i <= NODES_MAX; i++)
        e->frozen_head[i] = sim.heads[i].count;
    e->frozen_marks = sim.marks;
}

/* Which version of a node's head it sees, from 1; 0: none. */
static uint64_t head_seen(const struct eye *e, unsigned node)
{
    const struct heads *h = &sim.heads[node];
    uint64_t version = h->count;

    if (e->sees == EYE_FROZEN)
        return e->frozen_head[node];
    while (version > 0 && h->time[version - 1] > sim.time - sim.delay)
        version--;
    return version;
}

/* Which file a name means to an eye that is late; false: there is none yet. */
static bool see(const struct eye *e, const char *name, char out[DISK_NAME_MAX + 1])
{
    const char *file = "";
    unsigned node = report_node(name, &file);
    uint64_t number;

    snprintf(out, DISK_NAME_MAX + 1, "%s", name);
    if (e->sees == EYE_NOW || node == e->node)
        return true;
    if (e->sees == EYE_FROZEN && marks_serial(name) > e->frozen_marks)
        return false;
    if (node && strcmp(file, "head") == 0) {
        kept_head(node, head_seen(e, node), out);
        return true;
    }
    if (disk_mem_number(sim.pool, name, &number) != -ENOENT)
        return true;
    if (node && strchr(file, '.'))
        kept_name(node, file, out);
    else if (e->sees == EYE_FROZEN && marks_serial(name))
        kept_name(0, name + strlen("marks/"), out);
    return true;
}

/* ---- names ---- */

static void note_removal(const char *name)
{
    sim.removals += starts(name, "objects/") || starts(name, "packs/");
}

static void eye_close(struct disk *d)
{
    (void)d;
}

static int eye_mkdir(struct disk *d, const char *name)
{
    CHANGE(eye_of(d), is_own_record(name), disk_mkdir(sim.pool, name));
}

static int open_real(struct eye *e, const char *name, unsigned flags, struct disk_file **ret)
{
    char seen[DISK_NAME_MAX + 1];

    if (!see(e, name, seen))
        return -ENOENT;
    return disk_open(sim.pool, seen, flags, ret);
}

static const struct disk_ops eye_ops;

static int eye_open_file(struct disk *d, const char *name, unsigned flags,
                         struct disk_file **ret_file)
{
    struct eye *e = eye_of(d);
    struct disk_file *real;
    struct eye_file *f;
    int err = comes_through(e);

    if (err == 0 && is_the_one(e, is_own_record(name)))
        err = -EIO;
    if (err == 0)
        err = open_real(e, name, flags, &real);
    if (err < 0)
        return err;
    f = calloc(1, sizeof *f);
    CHECK(f);
    *f = (struct eye_file){.base.ops = &eye_ops,
                           .real = real,
                           .eye = e,
                           .own_record = is_own_record(name),
                           .bytes = starts(name, "objects/") || starts(name, "packs/")};
    e->open_files++;
    *ret_file = &f->base;
    return 0;
}

static int link_real(struct eye *e, const char *from, const char *to)
{
    int err = disk_link(sim.pool, from, to);
    uint64_t serial = marks_serial(to);

    if (err == 0 && serial > sim.marks)
        sim.marks = serial;
    if (err == 0 && serial > e->frozen_marks) /* what it did itself it sees */
        e->frozen_marks = serial;
    if (err == 0)
        keep_head(to);
    return err;
}

static int eye_link(struct disk *d, const char *from, const char *to)
{
    CHANGE(eye_of(d), is_own_record(to), link_real(eye_of(d), from, to));
}

static int unlink_real(const struct eye *e, const char *name)
{
    int err;

    if (starts(name, "objects/") || starts(name, "packs/"))
        say("  node %u: %s goes", e->node, name);
    keep_part(name);
    note_removal(name);
    err = disk_unlink(sim.pool, name);
    if (err == 0)
        keep_head(name);
    return err;
}

static int eye_unlink(struct disk *d, const char *name)
{
    CHANGE(eye_of(d), is_own_record(name), unlink_real(eye_of(d), name));
}

static int rename_real(const char *from, const char *to)
{
    int err;

    keep_part(to);
    note_removal(to);
    err = disk_rename(sim.pool, from, to);
    if (err == 0)
        keep_head(to);
    return err;
}

static int eye_rename(struct disk *d, const char *from, const char *to)
{
    CHANGE(eye_of(d), is_own_record(to), rename_real(from, to));
}

static int sync_dir_real(const char *name)
{
    if ((broken("marks-unsynced") && starts(name, "marks")) ||
        (broken("nodes-unsynced") && starts(name, "nodes")))
        return 0;
    return disk_sync_dir(sim.pool, name);
}

static int eye_sync_dir(struct disk *d, const char *name)
{
    CHANGE(eye_of(d), is_own_record(name), sync_dir_real(name));
}

struct listing {
    disk_list_fn *fn;
    void *ctx;
    const struct eye *eye;
    const char *dir;
    uint64_t rng; /* 0: whole */
};

static int list_one(const char *name, void *ctx)
{
    struct listing *l = ctx;

    char path[2 * DISK_NAME_MAX], seen[DISK_NAME_MAX + 1];

    snprintf(path, sizeof path, "%s/%s", l->dir, name);
    if (!see(l->eye, path, seen) || (l->rng && fault_random(&l->rng) >> 63))
        return 0;
    return l->fn(name, l->ctx);
}

static int eye_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    struct eye *e = eye_of(d);
    struct listing l = {fn, ctx, e, name, 0};
    int err = comes_through(e);

    if (err == 0 && is_the_one(e, is_own_record(name)))
        err = -EIO;
    if (err < 0)
        return err;
    if (e->short_list > 0) {
        e->short_list--;
        sim.count.shorts++;
        l.rng = sim.seed * 1000003 + sim.step * 2 + 1;
        say("  node %u: the listing of \"%s\" is short", e->node, name);
    }
    return disk_list(sim.pool, name, list_one, &l);
}

static int eye_space(struct disk *d, struct disk_space *ret)
{
    int err = comes_through(eye_of(d));

    return err ? err : disk_space(sim.pool, ret);
}

static int eye_incarnation(struct disk *d, bool of_mount, uint8_t out[32])
{
    (void)of_mount;
    int err = comes_through(eye_of(d));

    return err ? err : disk_incarnation(sim.pool, out);
}

/* ---- bytes ---- */

static void eye_file_close(struct disk_file *base)
{
    struct eye_file *f = file_of(base);

    disk_file_close(f->real);
    f->eye->open_files--;
    free(f);
}

static ssize_t eye_pread(struct disk_file *base, void *buf, size_t len, uint64_t off)
{
    struct eye_file *f = file_of(base);
    int err = comes_through(f->eye);

    if (err == 0 && is_the_one(f->eye, f->own_record))
        err = -EIO;
    return err ? err : disk_pread(f->real, buf, len, off);
}

static int eye_pwritev(struct disk_file *base, const struct iovec *iov, int count, uint64_t off)
{
    struct eye_file *f = file_of(base);

    sim.removals += f->bytes;
    CHANGE(f->eye, f->own_record, disk_pwritev(f->real, iov, count, off));
}

static int eye_truncate(struct disk_file *base, uint64_t size)
{
    struct eye_file *f = file_of(base);

    sim.removals += f->bytes;
    CHANGE(f->eye, f->own_record, disk_truncate(f->real, size));
}

static int eye_punch(struct disk_file *base, uint64_t off, uint64_t len)
{
    struct eye_file *f = file_of(base);

    sim.removals += f->bytes;
    CHANGE(f->eye, f->own_record, disk_punch(f->real, off, len));
}

static int eye_sync(struct disk_file *base)
{
    struct eye_file *f = file_of(base);

    CHANGE(f->eye, f->own_record, disk_sync(f->real));
}

static int eye_fstat(struct disk_file *base, struct disk_stat *ret)
{
    struct eye_file *f = file_of(base);
    int err = comes_through(f->eye);

    return err ? err : disk_fstat(f->real, ret);
}

static void eye_flush_hint(struct disk_file *base, uint64_t off, uint64_t len)
{
    (void)base, (void)off, (void)len;
}

static int eye_allocate(struct disk_file *base, uint64_t size)
{
    struct eye_file *f = file_of(base);

    CHANGE(f->eye, f->own_record, disk_allocate(f->real, size));
}

static int eye_map(struct disk_file *base, uint64_t off, size_t len, void **ret_map)
{
    struct eye_file *f = file_of(base);
    int err = comes_through(f->eye);

    return err ? err : disk_map(f->real, off, len, ret_map);
}

static void eye_unmap(struct disk_file *base, void *map, size_t len)
{
    disk_unmap(file_of(base)->real, map, len);
}

static void eye_map_wrote(struct disk_file *base, void *map, size_t at, size_t len)
{
    struct eye_file *f = file_of(base);

    if (comes_through(f->eye) == 0)
        disk_map_wrote(f->real, map, at, len);
}

static int eye_fd(struct disk_file *base)
{
    (void)base;
    return -1;
}

static const struct disk_ops eye_ops = {
    .close = eye_close,
    .mkdir = eye_mkdir,
    .open = eye_open_file,
    .link = eye_link,
    .unlink = eye_unlink,
    .rename = eye_rename,
    .sync_dir = eye_sync_dir,
    .list = eye_list,
    .space = eye_space,
    .incarnation = eye_incarnation,
    .file_close = eye_file_close,
    .pread = eye_pread,
    .pwritev = eye_pwritev,
    .truncate = eye_truncate,
    .punch = eye_punch,
    .sync = eye_sync,
    .fstat = eye_fstat,
    .flush_hint = eye_flush_hint,
    .allocate = eye_allocate,
    .map = eye_map,
    .unmap = eye_unmap,
    .map_wrote = eye_map_wrote,
    .fd = eye_fd,
};

void eye_open(struct eye *e, unsigned node, struct fault *fault)
{
    *e = (struct eye){.base.ops = &eye_ops, .node = node, .fault = fault};
}

void eye_clear(struct eye *e)
{
    CHECK(e->open_files == 0);
    eye_open(e, e->node, e->fault);
}
