// SPDX-License-Identifier: Apache-2.0
/*
 * race_nodes: two mounted stores on one pool, each with its threads and a writer that makes,
 * removes and reads files of a few contents which both have, while each runs GC cycles of the pool;
 * under ThreadSanitizer. A plain program, because Criterion does not start there.
 *
 *     race_nodes [SEED [ROUNDS]]
 *
 * What a store has is what it wrote, however often the bytes were the other's.
 */
#include "disk_mem.h"
#include "disk_route.h"
#include "fault.h"
#include "gc_pool.h"
#include "kv_mem.h"
#include "pool_dir.h"
#include "pool_node.h"
#include "store_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STORES 2
#define FILES 6
#define CONTENTS 4
#define LARGE (140 * 1024) /* bytes: a file of its own */
#define SMALL 700          /* in a pack */

#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "race_nodes: does not hold: %s (line %d)\n", #claim, __LINE__);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static struct store_of {
    struct disk *own, *route;
    struct kv_mem *mem;
    struct kv *kv;
    struct pool_who who;
    struct pool_member pool;
    struct state *p;
    uint64_t root;
    int has[FILES]; /* content, -1: there is no such file */
    pthread_t writer, collector;
    uint64_t state;
} stores[STORES];

static struct disk *shared;
static uint64_t seed = 1, rounds = 60;
static _Atomic unsigned writing = STORES;
static _Atomic uint64_t collected;
static char contents[CONTENTS][LARGE];

/* ---- two stores ---- */

static void make_store(struct store_of *s, const struct pool_identity *identity)
{
    char why[POOL_WHY];

    MUST(pool_dir_join(shared, &s->who, why) == 0);
    s->pool = (struct pool_member){.disk = shared, .node = s->who.node, .incarnation = 1};
    s->who.incarnation = 1;
    s->pool.key = identity->key;
    MUST(pool_node_write(shared, &s->who) == 0);
    MUST(disk_mem_create(NULL, 0, &s->own) == 0 && kv_mem_create(NULL, &s->mem) == 0);
    MUST(kv_open_mem(s->mem, store_tables, store_table_count, KV_CREATE, &s->kv) == 0);
    MUST(disk_route_open(s->own, shared, s->who.node, &s->route) == 0);
    MUST(store_format(s->route, s->kv, clock_real(), "org/race", 0, 0, &s->pool.key) == 0);
}

static void mount_store(struct store_of *s)
{
    struct state_config config = {.disk = s->route,
                                    .kv = s->kv,
                                    .clock = clock_real(),
                                    .background = true,
                                    .threads = 2,
                                    .log_segment = 1 << 20,
                                    .pool = &s->pool};
    struct vfs_attr a;

    MUST(store_open(&config, &s->p) == 0);
    MUST(settings_set(s->p, SET_REPORT_INTERVAL, NSEC_PER_SEC) == 0);
    MUST(settings_set(s->p, SET_FLUSH_INTERVAL, 100 * NSEC_PER_MSEC) == 0);
    MUST(settings_set(s->p, SET_SEAL_DELAY, 0) == 0);
    MUST(vfs_lookup(s->p, VFS_ROOT, "main", &a) == 0);
    s->root = a.nodeid;
    for (unsigned i = 0; i < FILES; i++)
        s->has[i] = -1;
}

/* ---- its writer ---- */

static size_t length_of(unsigned content)
{
    return content % 2 ? LARGE : SMALL;
}

static void put(struct store_of *s, unsigned file, unsigned content)
{
    char name[8];
    struct vfs_file *f;
    struct vfs_attr a;
    size_t n = length_of(content);

    snprintf(name, sizeof name, "f%u", file);
    MUST(vfs_create(s->p, s->root, name, 0644, &(struct vfs_cred){0}, VFS_WRITE | VFS_TRUNC, &a,
                    &f) == 0);
    MUST(vfs_write(f, contents[content], n, 0) == (ssize_t)n);
    vfs_release(f);
    vfs_forget(s->p, a.nodeid, 1);
    s->has[file] = (int)content;
}

static void take_away(struct store_of *s, unsigned file)
{
    char name[8];

    snprintf(name, sizeof name, "f%u", file);
    MUST(vfs_unlink(s->p, s->root, name) == 0);
    s->has[file] = -1;
}

static void look_at(struct store_of *s, unsigned file)
{
    char name[8], *buf = malloc(LARGE);
    struct vfs_file *f;
    struct vfs_attr a;
    size_t n = length_of((unsigned)s->has[file]);

    snprintf(name, sizeof name, "f%u", file);
    MUST(buf && vfs_lookup(s->p, s->root, name, &a) == 0);
    MUST(vfs_open(s->p, a.nodeid, 0, &f) == 0);
    MUST(vfs_read(f, buf, LARGE, 0) == (ssize_t)n);
    MUST(memcmp(buf, contents[s->has[file]], n) == 0);
    vfs_release(f);
    vfs_forget(s->p, a.nodeid, 1);
    free(buf);
}

static void *write_files(void *arg)
{
    struct store_of *s = arg;

    for (uint64_t i = 0; i < rounds; i++) {
        unsigned r = (unsigned)(fault_random(&s->state) >> 20), file = r % FILES;
        if (s->has[file] < 0)
            put(s, file, r / FILES % CONTENTS);
        else if (r / 64 % 2)
            take_away(s, file);
        else
            look_at(s, file);
        if (r / 128 % 4 == 0)
            MUST(flush_drain(s->p, false, -1, NULL) == 0);
    }
    atomic_fetch_sub(&writing, 1);
    return NULL;
}

/* ---- its cycles ---- */

static void *collect(void *arg)
{
    struct store_of *s = arg;

    while (atomic_load(&writing)) {
        struct gc_result r;
        int err = gc_store_run(s->p, NULL, false, 0, &r);
        MUST(err == 0 || err == -EBUSY || err == -EEXIST || err == -ESTALE || err == -EAGAIN);
        atomic_fetch_add(&collected, r.collected);
        gc_result_release(&r);
        usleep(5000);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct pool_identity identity;
    char why[POOL_WHY];

    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        rounds = strtoull(argv[2], NULL, 10);
    for (unsigned i = 0; i < CONTENTS; i++)
        memset(contents[i], 'a' + (int)i, LARGE);
    MUST(disk_mem_create(NULL, 0, &shared) == 0 && pool_identity_make(&identity) == 0);
    MUST(pool_dir_create(shared, &identity, why) == 0);
    for (unsigned i = 0; i < STORES; i++)
        make_store(&stores[i], &identity);
    for (unsigned i = 0; i < STORES; i++) {
        mount_store(&stores[i]);
        stores[i].state = seed * 7919 + i;
    }
    for (unsigned i = 0; i < STORES; i++) {
        MUST(pthread_create(&stores[i].writer, NULL, write_files, &stores[i]) == 0);
        MUST(pthread_create(&stores[i].collector, NULL, collect, &stores[i]) == 0);
    }
    for (unsigned i = 0; i < STORES; i++) {
        MUST(pthread_join(stores[i].writer, NULL) == 0);
        MUST(pthread_join(stores[i].collector, NULL) == 0);
    }
    for (unsigned i = 0; i < STORES; i++) {
        struct store_of *s = &stores[i];
        MUST(flush_drain(s->p, true, -1, NULL) == 0);
        for (unsigned k = 0; k < FILES; k++)
            if (s->has[k] >= 0)
                look_at(s, k);
        MUST(store_close(s->p) == 0);
        disk_close(s->route);
        kv_close(s->kv);
        kv_mem_destroy(s->mem);
        disk_close(s->own);
    }
    disk_close(shared);
    printf("race_nodes: seed %llu, %llu rounds, %llu collected\n", (unsigned long long)seed,
           (unsigned long long)rounds, (unsigned long long)atomic_load(&collected));
    return 0;
}
