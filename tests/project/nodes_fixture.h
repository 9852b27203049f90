// SPDX-License-Identifier: Apache-2.0
/*
 * nodes_fixture: up to three stores in one process that share a pool, all in memory, on clocks that
 * are turned together by hand, without threads. What store.c does at an opening is done here: a new
 * life, told to the pool. Large files are objects of their own there, small ones are in packs.
 */
#pragma once

#include "fixture.h"

#include "disk_impl.h"
#include "disk_route.h"
#include "gc_pool.h"
#include "pool_dir.h"
#include "pool_held.h"
#include "pool_marks.h"
#include "pool_node_impl.h"
#include "report.h"

#define NODES_MAX 3
#define LARGE (300 * 1024) /* bytes: more than pack_limit */

struct node {
    struct fixture x; /* its disk is the route */
    struct disk *own;
    struct pool_who who;
    struct project_pool pool;
};

static struct fault shared_fault;
static struct disk *shared; /* the pool */
static struct node nodes[NODES_MAX];
static unsigned node_count;

#define A (&nodes[0].x)
#define B (&nodes[1].x)
#define C (&nodes[2].x)

/* ---- opening and closing ---- */

static inline void node_begin_life(struct node *n)
{
    n->who.life++;
    n->who.token[0]++;
    cr_assert_eq(pool_node_write(shared, &n->who), 0);
    cr_assert_eq(pool_node_tidy(shared, n->who.node), 0);
    n->pool.life = n->who.life;
    memcpy(n->pool.token, n->who.token, sizeof n->pool.token);
    cr_assert_eq(disk_route_open(n->own, shared, n->who.node, &n->x.disk), 0);
    cr_assert_eq(kv_open_mem(n->x.mem, project_tables, project_table_count, KV_CREATE, &n->x.kv),
                 0);
}

static inline void node_open(struct node *n)
{
    struct project_config config = {.clock = &n->x.clock.base,
                                    .threads = 1,
                                    .log_segment = 1 << 20,
                                    .pool = &n->pool};

    node_begin_life(n);
    config.disk = n->x.disk;
    config.kv = n->x.kv;
    cr_assert_eq(project_open(&config, &n->x.p), 0);
}

static inline void node_gone(struct node *n)
{
    kv_close(n->x.kv);
    disk_close(n->x.disk);
    n->x.p = NULL;
}

static inline void node_close(struct node *n)
{
    cr_assert_eq(project_close(n->x.p), 0);
    node_gone(n);
}

/* The death of its daemon. */
static inline void node_die(struct node *n)
{
    project_abandon(n->x.p);
    node_gone(n);
}

static inline void node_join(struct node *n, const char *label)
{
    struct pool_identity identity;
    struct disk *route;
    char why[POOL_WHY];

    *n = (struct node){.who = {.token = {(uint8_t)(16 * node_count)}}};
    clock_manual_init(&n->x.clock, 1000 * NSEC_PER_SEC);
    snprintf(n->who.label, sizeof n->who.label, "%s", label);
    cr_assert_eq(pool_dir_join(shared, &n->who, why), 0, "%s", why);
    cr_assert_eq(pool_dir_identity(shared, &identity, why), 0, "%s", why);
    n->pool = (struct project_pool){.disk = shared, .node = n->who.node};
    n->pool.key = identity.key;
    cr_assert_eq(disk_mem_create(&n->x.fault, 0, &n->own), 0);
    cr_assert_eq(kv_mem_create(&n->x.fault, &n->x.mem), 0);
    cr_assert_eq(kv_open_mem(n->x.mem, project_tables, project_table_count, KV_CREATE, &n->x.kv),
                 0);
    cr_assert_eq(disk_route_open(n->own, shared, n->who.node, &route), 0);
    cr_assert_eq(
        project_format_node(route, n->x.kv, &n->x.clock.base, label, 1000, 1000, &n->pool.key),
        0);
    kv_close(n->x.kv);
    disk_close(route);
    node_open(n);
}

/* A pool of so many stores, all mounted; each has heard of the others. */
static inline void pool_of_nodes(unsigned count)
{
    static const char *const labels[] = {"org/a", "org/b", "org/c"};
    struct pool_identity identity;
    char why[POOL_WHY];

    shared_fault = (struct fault){0};
    cr_assert_eq(disk_mem_create(&shared_fault, 0, &shared), 0);
    cr_assert_eq(pool_identity_make(&identity), 0);
    cr_assert_eq(pool_dir_create(shared, &identity, why), 0, "%s", why);
    for (node_count = 0; node_count < count; node_count++)
        node_join(&nodes[node_count], labels[node_count]);
}

static inline void pool_is_gone(void)
{
    for (unsigned i = 0; i < node_count; i++) {
        if (nodes[i].x.p)
            node_die(&nodes[i]);
        kv_mem_destroy(nodes[i].x.mem);
        disk_close(nodes[i].own);
    }
    disk_close(shared);
}

/* ---- time, reports, cycles ---- */

static inline void wait_seconds(int64_t seconds)
{
    for (unsigned i = 0; i < node_count; i++)
        clock_manual_advance(&nodes[i].x.clock, seconds * NSEC_PER_SEC);
}

static inline void reports(struct fixture *x)
{
    cr_assert_eq(pool_node_report(x->p), 0);
}

static inline void all_report(void)
{
    for (unsigned i = 0; i < node_count; i++)
        if (nodes[i].x.p)
            reports(&nodes[i].x);
}

static inline int try_cycle(struct fixture *x, int64_t grace, struct gc_result *ret)
{
    int err = project_gc(x->p, NULL, false, grace, ret);

    free(ret->eligible);
    free(ret->whole);
    free(ret->stale);
    ret->eligible = NULL;
    ret->whole = NULL;
    ret->stale = NULL;
    return err;
}

/* One of `x`, which goes well. */
static inline struct gc_result cycle(struct fixture *x, int64_t grace)
{
    struct gc_result r;
    int err = try_cycle(x, grace, &r);

    cr_assert_eq(err, 0, "%d", err);
    return r;
}

/* `x` has seen each other node's report advance, so that it can believe what they say. */
static inline void knows_all(struct fixture *x)
{
    all_report();
    cr_assert_eq(gc_pool_observe(x->p), 0);
    all_report();
    cr_assert_eq(gc_pool_observe(x->p), 0);
}

/* As many rounds as it takes when nobody is in the way. Returns what was collected. */
static inline uint64_t collect(struct fixture *x)
{
    uint64_t collected = 0;

    knows_all(x);
    for (unsigned i = 0; i < 4; i++) {
        collected += cycle(x, 0).collected;
        all_report();
    }
    return collected;
}

/* ---- contents ---- */

static inline void write_large(struct fixture *x, const char *path, char what)
{
    static char block[LARGE];
    const char *name;
    struct vfs_file *f;
    struct vfs_attr a;
    uint64_t dir = parent_of(x, path, &name);

    memset(block, what, sizeof block);
    cr_assert_eq(vfs_create(x->p, dir, name, 0644, &fixture_cred, VFS_WRITE | VFS_TRUNC, &a, &f), 0,
                 "%s", path);
    cr_assert_eq(vfs_write(f, block, sizeof block, 0), (ssize_t)sizeof block);
    vfs_release(f);
    vfs_forget(x->p, a.nodeid, 1);
}

static inline void drained(struct fixture *x)
{
    int err = project_drain(x->p, true, -1, NULL);

    cr_assert_eq(err, 0, "%s", strerror(-err));
}

/* The file is there, sealed and reported. */
static inline void put_large(struct fixture *x, const char *path, char what)
{
    write_large(x, path, what);
    drained(x);
}

static inline void drop_file(struct fixture *x, const char *path)
{
    remove_file(x, path);
    drained(x);
}

static inline void has_large(struct fixture *x, const char *path, char what)
{
    static char block[LARGE + 1];
    struct vfs_file *f;

    cr_assert(node_of(x, path), "no %s", path);
    cr_assert_eq(vfs_open(x->p, node_of(x, path), 0, &f), 0);
    cr_assert_eq(vfs_read(f, block, sizeof block, 0), LARGE, "%s", path);
    for (size_t i = 0; i < LARGE; i++)
        cr_assert_eq(block[i], what);
    vfs_release(f);
}

/* Small files main/f0, main/f1 ... are in packs, a score of them in each. */
static inline void small_content(int i, char text[4096])
{
    uint64_t random = (uint64_t)i * 2654435761u + 99;

    for (size_t k = 0; k < 3000; k++)
        text[k] = (char)('a' + fault_random(&random) % 26);
    text[3000] = 0;
}

static inline void put_small(struct fixture *x, int from, int to)
{
    char path[32], text[4096];

    packs_set_size(x->p->packs, 64 * 1024); /* several packs */
    for (int i = from; i < to; i++) {
        snprintf(path, sizeof path, "main/f%d", i);
        small_content(i, text);
        put_file(x, path, text);
    }
    drained(x);
}

static inline void has_small(struct fixture *x, int i)
{
    char path[32], text[4096], got[4096] = "";
    struct vfs_file *f;

    snprintf(path, sizeof path, "main/f%d", i);
    small_content(i, text);
    cr_assert_eq(vfs_open(x->p, node_of(x, path), 0, &f), 0, "%s", path);
    cr_assert_eq(vfs_read(f, got, sizeof got - 1, 0), (ssize_t)strlen(text), "%s", path);
    cr_assert_str_eq(got, text, "%s", path);
    vfs_release(f);
}

/* ---- the pool's disk ---- */

static inline int count_object(const char *name, void *ctx)
{
    struct id id;
    uint64_t number;

    *(unsigned *)ctx += blob_parse_object(name, &id, &number) == 0;
    return 0;
}

/* Object files there are. */
static inline unsigned object_files(void)
{
    char dir[16];
    unsigned n = 0;

    for (unsigned i = 0; i < 256; i++) {
        snprintf(dir, sizeof dir, "objects/%02x", i);
        (void)disk_list(shared, dir, count_object, &n);
    }
    return n;
}

static inline int count_name(const char *name, void *ctx)
{
    (void)name;
    ++*(unsigned *)ctx;
    return 0;
}

/* Names in packs/. */
static inline unsigned pack_files(void)
{
    unsigned n = 0;

    cr_assert_eq(disk_list(shared, "packs", count_name, &n), 0);
    return n;
}

/* Calls of the pool's disk that a test looks into: set what it wants, then `tapped(true)`. */
static struct disk_ops tap;
static const struct disk_ops *untapped;

static inline void tapped(bool on)
{
    if (on) {
        untapped = shared->ops;
        tap = *untapped;
    }
    shared->ops = on ? &tap : untapped;
}
