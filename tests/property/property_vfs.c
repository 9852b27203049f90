// SPDX-License-Identifier: Apache-2.0
/*
 * property_vfs: random operations on the files of a few namespaces, against plain arrays.
 *
 *     property_vfs [--seed S] [--ops N]
 *
 * Each namespace of the model is a set of byte arrays by name. Writes, truncations, sharing, links
 * across, branches, renames, removals, flushes, drains, clean restarts and restarts of a process
 * that died right after a flush are drawn at random; every read is compared, and at the end
 * everything is dropped and nothing may be left on the disk. Prints its seed; the same seed does
 * the same.
 */
#include "disk_mem.h"
#include "kv_mem.h"
#include "project_impl.h"
#include "vfs.h"
#include <errno.h>
#include <getopt.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SPACES 4
#define FILES 6
#define SIZE_MAX_MODEL (3u << 20)

struct file {
    bool exists;
    uint8_t *data; /* SIZE_MAX_MODEL bytes, zeros past size */
    size_t size;
};

struct world {
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct clock_manual clock;
    struct project *p;
    bool exists[SPACES];
    struct file file[SPACES][FILES];
    uint64_t rng;
    uint64_t op;
};

static struct world w;

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: op %llu: %s\n", __FILE__, __LINE__, (unsigned long long)w.op,  \
                    #cond);                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t pick(uint64_t n)
{
    return fault_random(&w.rng) % n;
}
static const struct vfs_cred root = {0};

static void open_project(void)
{
    struct project_config c = {.disk = w.disk, .kv = w.kv, .clock = &w.clock.base, .threads = 2};

    CHECK(kv_open_mem(w.mem, project_tables, project_table_count, 0, &w.kv) == 0);
    c.kv = w.kv;
    CHECK(project_open(&c, &w.p) == 0);
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

static void compare(size_t s, size_t f)
{
    struct file *m = &w.file[s][f];
    struct vfs_attr attr;
    struct vfs_file *file;
    uint8_t *buf;
    size_t off, len;

    if (!m->exists) {
        CHECK(find(s, f, &attr) == -ENOENT);
        return;
    }
    CHECK(find(s, f, &attr) == 0);
    CHECK(attr.size == m->size);
    CHECK(vfs_open(w.p, attr.nodeid, 0, &file) == 0);
    off = m->size ? pick(m->size) : 0;
    len = pick(8) ? pick(70000) + 1 : SIZE_MAX_MODEL;
    if (off + len > m->size)
        len = m->size - off;
    buf = malloc(len + 1);
    CHECK(vfs_read(file, buf, len + 1, off) == (ssize_t)(len < m->size - off ? len + 1 : len));
    CHECK(memcmp(buf, m->data + off, len) == 0);
    free(buf);
    vfs_release(file);
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
    m->exists = true;
    return m;
}

/* Offsets and lengths around what matters: block and grain borders, the end, large jumps. */
static size_t some_offset(const struct file *m)
{
    switch (pick(5)) {
    case 0:
        return m->size;
    case 1:
        return 0;
    case 2:
        return pick(24) * EXTENT_GRAIN % SIZE_MAX_MODEL;
    case 3:
        return pick(SIZE_MAX_MODEL);
    default:
        return pick(m->size + 1000);
    }
}

static void op_write(size_t s, size_t f)
{
    struct vfs_file *file;
    struct file *m = want_file(s, f, true, &file);
    size_t off = some_offset(m), len = pick(10) ? pick(3000) + 1 : pick(400000) + 1;
    uint8_t *buf;

    if (off >= SIZE_MAX_MODEL)
        off = SIZE_MAX_MODEL - 1;
    if (off + len > SIZE_MAX_MODEL)
        len = SIZE_MAX_MODEL - off;
    buf = malloc(len);
    memset(buf, (int)pick(4), len); /* few values: equal contents happen */
    if (pick(2))
        buf[pick(len)] = (uint8_t)pick(256);
    CHECK(vfs_write(file, buf, len, off) == (ssize_t)len);
    memcpy(m->data + off, buf, len);
    if (off + len > m->size)
        m->size = off + len;
    free(buf);
    vfs_release(file);
}

static void op_truncate(size_t s, size_t f)
{
    struct file *m = &w.file[s][f];
    struct vfs_attr attr, in = {.size = pick(3) ? some_offset(m) : 0};

    if (!m->exists)
        return;
    if (in.size > SIZE_MAX_MODEL)
        in.size = SIZE_MAX_MODEL;
    CHECK(find(s, f, &attr) == 0);
    CHECK(vfs_setattr(w.p, attr.nodeid, VFS_SET_SIZE, &in, &attr) == 0);
    CHECK(attr.size == in.size);
    if (in.size < m->size)
        memset(m->data + in.size, 0, m->size - in.size);
    m->size = in.size;
}

static void op_unlink(size_t s, size_t f)
{
    char name[16];

    file_name(f, name);
    CHECK(vfs_unlink(w.p, space_node(s), name) == (w.file[s][f].exists ? 0 : -ENOENT));
    w.file[s][f].exists = false;
    memset(w.file[s][f].data, 0, w.file[s][f].size);
    w.file[s][f].size = 0;
}

static void model_copy(struct file *to, const struct file *from)
{
    memcpy(to->data, from->data, SIZE_MAX_MODEL);
    to->size = from->size;
    to->exists = from->exists;
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
    vfs_release(in);
    vfs_release(out);
}

static void op_rename(size_t s, size_t f)
{
    size_t f2 = pick(FILES);
    unsigned flags = pick(3) ? 0 : RENAME_EXCHANGE;
    char a[16], b[16];
    struct file *x = &w.file[s][f], *y = &w.file[s][f2], t;
    int err;

    file_name(f, a);
    file_name(f2, b);
    err = vfs_rename(w.p, space_node(s), a, space_node(s), b, flags);
    if (!x->exists || (flags && !y->exists)) {
        CHECK(err == -ENOENT);
        return;
    }
    CHECK(err == 0);
    if (f == f2)
        return;
    t = *x;
    *x = *y;
    *y = t;
    if (!flags) {
        x->exists = false;
        memset(x->data, 0, x->size);
        x->size = 0;
    }
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
        for (size_t f = 0; f < FILES; f++) {
            memset(w.file[to][f].data, 0, SIZE_MAX_MODEL);
            w.file[to][f].exists = false;
            w.file[to][f].size = 0;
        }
        w.exists[to] = false;
        return;
    }
    CHECK(ns_branch(w.p, space_name(s), space_name(to), &seq, &number) == 0);
    for (size_t f = 0; f < FILES; f++)
        model_copy(&w.file[to][f], &w.file[s][f]);
    w.exists[to] = true;
}

static void op_restart(bool die)
{
    if (die) {
        CHECK(project_flush(w.p) == 0);
        project_abandon(w.p);
    } else {
        CHECK(project_close(w.p) == 0);
    }
    kv_close(w.kv);
    open_project();
}

static void step(void)
{
    size_t s = pick(SPACES), f = pick(FILES);

    if (!w.exists[s])
        s = 0;
    clock_manual_advance(&w.clock, (int64_t)pick(400) * NSEC_PER_MSEC);
    switch (pick(40)) {
    case 0:
        op_branch(s);
        break;
    case 1:
        op_link(s, f);
        break;
    case 2:
        op_share(s, f);
        break;
    case 3:
        op_rename(s, f);
        break;
    case 4:
        op_unlink(s, f);
        break;
    case 5:
    case 6:
    case 7:
        op_truncate(s, f);
        break;
    case 8:
        CHECK(project_flush(w.p) == 0);
        break;
    case 9:
        if (!pick(8))
            CHECK(project_drain(w.p, false, -1, NULL) == 0);
        break;
    case 10:
        if (!pick(40))
            op_restart(pick(2));
        break;
    case 11:
    case 12:
    case 13:
    case 14:
    case 15:
    case 16:
    case 17:
    case 18:
        op_write(s, f);
        break;
    default:
        compare(s, f);
        break;
    }
}

static void drop_everything(void)
{
    uint64_t bytes, names;
    uint32_t open;

    for (size_t s = 0; s < SPACES; s++)
        if (w.exists[s])
            CHECK(ns_drop(w.p, space_name(s), false, false, false, &open) == 0);
    CHECK(project_drain(w.p, true, -1, NULL) == 0);
    CHECK(project_close(w.p) == 0);
    kv_close(w.kv);
    disk_mem_usage(w.disk, &bytes, &names);
    CHECK(bytes == 0 && names == 0);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", 1, NULL, 's'}, {"ops", 1, NULL, 'n'}, {0}};
    uint64_t ops = 60000;
    int o;

    w.rng = 1;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 's')
            w.rng = strtoull(optarg, NULL, 0);
        else if (o == 'n')
            ops = strtoull(optarg, NULL, 0);
        else
            return 2;
    }
    w.rng = w.rng ? w.rng : 1;
    printf("property_vfs --seed %llu --ops %llu\n", (unsigned long long)w.rng,
           (unsigned long long)ops);
    fflush(stdout);
    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    CHECK(kv_mem_create(NULL, &w.mem) == 0 && disk_mem_create(NULL, 0, &w.disk) == 0);
    CHECK(kv_open_mem(w.mem, project_tables, project_table_count, KV_CREATE, &w.kv) == 0);
    CHECK(project_format(w.disk, w.kv, &w.clock.base, "o/p", 0, 0) == 0);
    kv_close(w.kv);
    for (size_t s = 0; s < SPACES; s++)
        for (size_t f = 0; f < FILES; f++)
            w.file[s][f].data = calloc(1, SIZE_MAX_MODEL);
    w.exists[0] = true;
    open_project();
    for (w.op = 0; w.op < ops; w.op++)
        step();
    drop_everything();
    for (size_t s = 0; s < SPACES; s++)
        for (size_t f = 0; f < FILES; f++)
            free(w.file[s][f].data);
    disk_close(w.disk);
    kv_mem_destroy(w.mem);
    return 0;
}
