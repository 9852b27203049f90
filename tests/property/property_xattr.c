// SPDX-License-Identifier: Apache-2.0
/*
 * property_xattr: random changes of extended attributes, against dictionaries.
 *
 *     property_xattr [--seed S] [--ops N]
 *
 * A few files in a few namespaces; attributes are set, got, listed and removed, files linked
 * across, removed and made, namespaces branched and dropped, the store flushed, drained and started
 * again. Every answer is compared; check runs on the way and at the end, when everything is dropped
 * and nothing may be left. Prints its seed; the same seed does the same.
 */
#include "check.h"
#include "clock_manual.h"
#include "disk_mem.h"
#include "kv_mem.h"
#include "ns_drop.h"
#include "ns_branch.h"
#include "store_impl.h"
#include "vfs.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SPACES 4
#define FILES 4
#define NAMES 24
#define BYTES 65536
#define SEEDS 6 /* different values of one length */

/* A value is told by its length and its seed. */
struct value {
    bool exists;
    uint32_t len, seed;
};
struct file {
    bool exists;
    struct value value[NAMES];
};

static struct {
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct clock_manual clock;
    struct state *p;
    bool exists[SPACES];
    struct file file[SPACES][FILES];
    uint64_t rng, op;
} w;

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: op %llu: %s\n", __FILE__, __LINE__, (unsigned long long)w.op,  \
                    #cond);                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static const struct vfs_cred root = {0};
static const char *const spaces[SPACES] = {"main", "a", "b", "c"};
static uint8_t bytes[BYTES + SEEDS], got[BYTES + 1];

static uint64_t pick(uint64_t n)
{
    return fault_random(&w.rng) % n;
}

static const uint8_t *value_bytes(const struct value *v)
{
    return bytes + v->seed;
}

static const char *attr_name(size_t n)
{
    static char name[256];
    static const char *const prefix[] = {"user.", "trusted.", "security."};

    snprintf(name, sizeof name, "%s%0*zu", prefix[n % 3], n % 5 ? 3 : 240, n);
    return name;
}

static void open_store(void)
{
    struct state_config c = {.disk = w.disk, .clock = &w.clock.base, .threads = 2};

    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    c.kv = w.kv;
    CHECK(store_open(&c, &w.p) == 0);
}

static void file_name(size_t f, char out[16])
{
    snprintf(out, 16, "file%zu", f);
}

static uint64_t space_node(size_t s)
{
    struct vfs_attr a;

    CHECK(vfs_lookup(w.p, VFS_ROOT, spaces[s], &a) == 0);
    vfs_forget(w.p, a.nodeid, 1);
    return a.nodeid;
}

static uint64_t node(size_t s, size_t f)
{
    struct vfs_attr a;
    char name[16];

    file_name(f, name);
    CHECK(vfs_lookup(w.p, space_node(s), name, &a) == 0);
    vfs_forget(w.p, a.nodeid, 1);
    return a.nodeid;
}

/* ---- comparing ---- */

static void compare_value(size_t s, size_t f, size_t n)
{
    const struct value *v = &w.file[s][f].value[n];
    ssize_t len = vfs_getxattr(w.p, node(s, f), attr_name(n), got, sizeof got);

    CHECK(len == (v->exists ? (ssize_t)v->len : -ENODATA));
    CHECK(!v->exists || !memcmp(got, value_bytes(v), v->len));
}

static void compare_list(size_t s, size_t f)
{
    static char list[BYTES];
    const struct file *m = &w.file[s][f];
    ssize_t len = vfs_listxattr(w.p, node(s, f), list, sizeof list, true);
    size_t listed = 0, there = 0;

    CHECK(len >= 0);
    for (size_t n = 0; n < NAMES; n++)
        there += m->value[n].exists;
    for (ssize_t at = 0; at < len; at += (ssize_t)strlen(list + at) + 1, listed++) {
        size_t n = strtoul(strchr(list + at, '.') + 1, NULL, 10);
        CHECK(n < NAMES && m->value[n].exists && !strcmp(list + at, attr_name(n)));
    }
    CHECK(listed == there);
}

static void on_found(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "%s|%s|%s\n", what, where, sentence);
}

static void check_store(struct check_result *ret)
{
    const struct check_options o = {.found = on_found};

    kv_close(w.kv);
    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_READONLY, &w.kv) == 0);
    CHECK(store_check(w.disk, w.kv, &o, ret) == 0);
    CHECK(ret->problems == 0);
    kv_close(w.kv);
}

/* ---- operations ---- */

static uint32_t some_length(void)
{
    static const uint32_t edge[] = {0, 1, 1780, 2000, 2035, 2036, 2044, 4096, BYTES - 1, BYTES};

    return pick(3) ? (uint32_t)pick(400) : pick(2) ? edge[pick(10)] : (uint32_t)pick(BYTES);
}

static void op_set(size_t s, size_t f)
{
    size_t n = pick(NAMES);
    struct value *v = &w.file[s][f].value[n];
    struct value fresh = {true, some_length(), (uint32_t)pick(SEEDS)};
    unsigned flags = pick(4) ? 0 : 1u << pick(2);
    int want = flags & VFS_XATTR_CREATE && v->exists     ? -EEXIST
               : flags & VFS_XATTR_REPLACE && !v->exists ? -ENODATA
                                                         : 0;

    CHECK(vfs_setxattr(w.p, node(s, f), attr_name(n), value_bytes(&fresh), fresh.len, flags) ==
          want);
    if (want == 0)
        *v = fresh;
    compare_value(s, f, n);
}

static void op_remove(size_t s, size_t f)
{
    size_t n = pick(NAMES);
    struct value *v = &w.file[s][f].value[n];

    CHECK(vfs_removexattr(w.p, node(s, f), attr_name(n)) == (v->exists ? 0 : -ENODATA));
    v->exists = false;
}

static void op_make(size_t s, size_t f)
{
    struct vfs_attr a;
    char name[16];

    file_name(f, name);
    CHECK(vfs_mknod(w.p, space_node(s), name, S_IFREG | 0644, 0, &root, &a) == 0);
    vfs_forget(w.p, a.nodeid, 1);
    w.file[s][f] = (struct file){.exists = true};
}

/* Sometimes while it is open: then it keeps its attributes until the close. */
static void op_unlink(size_t s, size_t f)
{
    uint64_t id = node(s, f);
    struct vfs_file *open = NULL;
    const struct file *m = &w.file[s][f];
    char name[16];

    file_name(f, name);
    if (pick(2))
        CHECK(vfs_open(w.p, id, 0, &open) == 0);
    CHECK(vfs_unlink(w.p, space_node(s), name) == 0);
    for (size_t n = 0; open && n < NAMES; n++)
        CHECK(vfs_getxattr(w.p, id, attr_name(n), got, sizeof got) ==
              (m->value[n].exists ? (ssize_t)m->value[n].len : -ENODATA));
    if (open)
        vfs_release(open);
    w.file[s][f] = (struct file){0};
}

static void op_link(size_t s, size_t f)
{
    size_t to = pick(SPACES), f2 = pick(FILES);
    struct vfs_attr a;
    char name[16];

    if (to == s || !w.exists[to] || w.file[to][f2].exists)
        return;
    file_name(f2, name);
    CHECK(vfs_link(w.p, node(s, f), space_node(to), name, &a) == 0);
    vfs_forget(w.p, a.nodeid, 1);
    w.file[to][f2] = w.file[s][f];
}

static void op_branch(size_t s)
{
    size_t to = 1 + pick(SPACES - 1);
    uint64_t seq;
    uint32_t number, open;

    if (to == s)
        return;
    if (w.exists[to]) {
        CHECK(ns_drop(w.p, spaces[to], false, false, false, &open) == 0);
        memset(w.file[to], 0, sizeof w.file[to]);
    } else {
        CHECK(ns_branch(w.p, spaces[s], spaces[to], &seq, &number) == 0);
        memcpy(w.file[to], w.file[s], sizeof w.file[to]);
    }
    w.exists[to] = !w.exists[to];
}

static void op_restart(void)
{
    struct check_result r;

    if (pick(2)) {
        CHECK(store_close(w.p) == 0);
    } else {
        CHECK(flush_drain(w.p, pick(2), -1, NULL) == 0);
        store_abandon(w.p);
    }
    check_store(&r);
    open_store();
}

static void step(void)
{
    size_t s = pick(SPACES), f = pick(FILES);

    s = w.exists[s] ? s : 0;
    clock_manual_advance(&w.clock, (int64_t)pick(400) * NSEC_PER_MSEC);
    if (!w.file[s][f].exists) {
        op_make(s, f);
        return;
    }
    switch (pick(64)) {
    case 0:
        op_unlink(s, f);
        break;
    case 1:
        op_link(s, f);
        break;
    case 2:
        op_branch(s);
        break;
    case 3:
        CHECK(flush_now(w.p) == 0);
        break;
    case 4:
        if (!pick(4))
            CHECK(flush_drain(w.p, false, -1, NULL) == 0);
        break;
    case 5:
        if (!pick(30))
            op_restart();
        break;
    default:
        if (pick(5) < 2)
            op_set(s, f);
        else if (pick(3))
            compare_value(s, f, pick(NAMES));
        else if (pick(2))
            compare_list(s, f);
        else
            op_remove(s, f);
    }
}

static void drop_everything(void)
{
    struct check_result r;
    uint64_t left, names;
    uint32_t open;

    for (size_t s = 0; s < SPACES; s++)
        if (w.exists[s])
            CHECK(ns_drop(w.p, spaces[s], false, false, false, &open) == 0);
    CHECK(flush_drain(w.p, true, -1, NULL) == 0);
    CHECK(store_close(w.p) == 0);
    check_store(&r);
    CHECK(r.objects == 0 && r.pages == 0);
    disk_mem_usage(w.disk, &left, &names);
    CHECK(left == 0 && names == 0);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", 1, NULL, 's'}, {"ops", 1, NULL, 'n'}, {0}};
    uint64_t ops = 20000, state = 1;
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
    printf("property_xattr --seed %llu --ops %llu\n", (unsigned long long)w.rng,
           (unsigned long long)ops);
    fflush(stdout);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)fault_random(&state);
    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    CHECK(kv_mem_create(NULL, &w.mem) == 0 && disk_mem_create(NULL, 0, &w.disk) == 0);
    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    CHECK(store_format(w.disk, w.kv, &w.clock.base, "o/p", 0, 0, NULL) == 0);
    kv_close(w.kv);
    w.exists[0] = true;
    open_store();
    for (w.op = 0; w.op < ops; w.op++)
        step();
    drop_everything();
    disk_close(w.disk);
    kv_mem_destroy(w.mem);
    return 0;
}
