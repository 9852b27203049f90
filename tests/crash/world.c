// SPDX-License-Identifier: Apache-2.0
/*
 * world: the store that is cut: in memory, where a commit of the kv is one write, or in a directory
 * of the machine, with disk_dir and LMDB, where power.c counts what they do. Or in memory over two
 * disks, one of which is a pool: the cut is one of both.
 */
#include "crash.h"
#include "../fixture/dir_disk.h"
#include "disk_route.h"
#include "pool_dir.h"
#include "report.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Secrets follow from the seed, so that the same cut is the same again. */
ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
    uint8_t *p = buf;

    (void)flags;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(fault_random(&w.secrets) >> 32);
    return (ssize_t)len;
}

int __real_kv_commit(struct kv_txn *t);
int __wrap_kv_commit(struct kv_txn *t); /* the linker's --wrap */

int __wrap_kv_commit(struct kv_txn *t)
{
    if (!w.full) {
        uint64_t before = atomic_load(&w.fault.writes);
        int err = __real_kv_commit(t);

        if (atomic_load(&w.fault.writes) > before) {
            w.commit_from = before + 1;
            w.commit_to = atomic_load(&w.fault.writes);
        }
        return err;
    }
    w.full = false;
    w.was_full = true;
    kv_abort(t);
    return -ENOSPC;
}

void world_create_empty(uint64_t seed, const char *dir)
{
    w = (struct world){.rng = seed * 2 + 1, .secrets = seed * 2 + 1, .dir = dir, .dirfd = -1};
    report_reset();
    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    if (dir) {
        w.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(w.dirfd >= 0);
        power_begin(&w.fault, dir);
        CHECK(dir_disk_open(dir, 0, &w.disk) == 0);
    } else {
        CHECK(kv_mem_create(&w.fault, &w.mem) == 0);
        CHECK(disk_mem_create(&w.fault, 0, &w.disk) == 0);
    }
    world_shards_create();
}

int world_open_kv(unsigned flags)
{
    return w.dir ? kv_open_lmdb(w.dirfd, "kv", store_tables, store_table_count, flags, &w.kv)
                 : kv_open_mem(w.mem, store_tables, store_table_count, flags, &w.kv);
}

void world_create(uint64_t seed, const char *dir)
{
    world_create_empty(seed, dir);
    CHECK(world_open_kv(KV_CREATE) == 0);
    CHECK(store_format(w.disk, w.kv, &w.clock.base, "org/crash", 0, 0, NULL) == 0);
    kv_close(w.kv);
    world_reopen();
    w.live.space[0] = true; /* that is one operation */
    w.live.operations = 1;
    model_copy(&w.acked, &w.live);
    fault_reset(&w.fault);
}

/* ---- in a pool ---- */

static struct disk *pool; /* while there is one; of all its nodes */

static void make_pool(void)
{
    struct pool_identity identity;
    char why[POOL_WHY];

    CHECK(disk_mem_create(&w.fault, 0, &pool) == 0);
    CHECK(pool_identity_make(&identity) == 0);
    CHECK(pool_dir_create(pool, &identity, why) == 0);
}

static void join_pool(void)
{
    struct pool_who who = {.incarnation = 1};
    struct pool_identity identity;
    char why[POOL_WHY];

    CHECK(pool_dir_identity(pool, &identity, why) == 0);
    CHECK(getrandom(who.token, sizeof who.token, 0) == sizeof who.token);
    CHECK(pool_dir_join(pool, &who, why) == 0);
    w.shared = (struct pool_member){.disk = pool, .node = who.node, .incarnation = who.incarnation};
    memcpy(w.shared.token, who.token, sizeof who.token);
    w.shared.key = identity.key;
}

/* As store_pool.h has it, but for what the store itself keeps of it. */
static int begin_incarnation(void)
{
    struct pool_who who = {.node = w.shared.node, .incarnation = ++w.shared.incarnation};
    int err;

    memcpy(who.token, w.shared.token, sizeof who.token);
    err = pool_node_write(pool, &who);
    return err < 0 ? err : pool_node_tidy(pool, who.node);
}

static void be_node(uint64_t seed)
{
    world_create_empty(seed, NULL);
    if (!pool)
        make_pool();
    join_pool();
    w.own = w.disk;
    CHECK(disk_route_open(w.own, pool, w.shared.node, &w.disk) == 0);
    CHECK(world_open_kv(KV_CREATE) == 0);
    CHECK(store_format(w.disk, w.kv, &w.clock.base, "org/crash", 0, 0, &w.shared.key) == 0);
    kv_close(w.kv);
    world_reopen();
    w.live.space[0] = true; /* that is one operation */
    w.live.operations = 1;
    model_copy(&w.acked, &w.live);
    fault_reset(&w.fault);
}

void world_create_pooled(uint64_t seed)
{
    struct disk *other;

    be_node(seed);
    now_at.phase = "the work of another node";
    now_at.workload->run();
    for (size_t h = 0; h < HANDLES; h++)
        op_close(h);
    CHECK(!w.stopped && store_close(w.p) == 0);
    kv_close(w.kv);
    other = pool;
    pool = NULL; /* stays */
    world_destroy();
    pool = other;
    be_node(seed);
}

void world_destroy(void)
{
    model_release();
    disk_close(w.disk);
    disk_close(w.own);
    disk_close(pool);
    pool = NULL;
    if (w.dir) {
        power_end();
        close(w.dirfd);
    }
    kv_mem_destroy(w.mem);
    world_shards_destroy();
}

int world_try_open(void)
{
    struct state_config c = {.disk = w.disk,
                             .kv = w.kv,
                             .clock = &w.clock.base,
                             .threads = 1,
                             .log_segment = LOG_SEGMENT,
                             .pool = w.shared.incarnation ? &w.shared : NULL,
                             .compression = {.on = now_at.compression != COMPRESSION_OFF}};
    int err = w.shared.incarnation ? begin_incarnation() : 0;

    return err < 0 ? err : store_open(&c, &w.p);
}

void world_reopen(void)
{
    int err;

    CHECK(world_open_kv(KV_CREATE) == 0);
    err = world_try_open();
    if (err < 0)
        fprintf(stderr, "store_open: %s\n", strerror(-err));
    CHECK(err == 0);
    packs_set_size(w.p->packs, 200 * 1024);
    settings_put(&w.p->settings, SET_COMPRESSION, now_at.compression);
    settings_put(&w.p->settings, SET_SHARD_PARALLEL, 1); /* so that a run can be repeated */
    /* what is dead is to be dead at once, but for the workloads about bases and the trash */
    if (!now_at.workload ||
        (strcmp(now_at.workload->name, "kept") != 0 && strcmp(now_at.workload->name, "aside") != 0))
        settings_put(&w.p->settings, SET_ORIGIN_KEEP, 0);
    w.stopped = false;
}

/* The disk in memory that is the store's own. */
static struct disk *memory(void)
{
    return w.own ? w.own : w.disk;
}

void process_dies(void)
{
    for (size_t h = 0; h < HANDLES; h++)
        op_close(h);
    if (w.p)
        store_abandon(w.p);
    kv_close(w.kv);
    w.p = NULL;
    w.kv = NULL;
}

void arm(uint64_t k, bool cut, int error)
{
    fault_reset(&w.fault);
    w.fault.fail_at = k;
    w.fault.cut = cut;
    w.fault.error = error;
    w.fault.loss = now_at.loss; /* a shard's write that is hit is decided then and there */
    w.fault.seed = now_at.loss_seed;
}

void power_cycle(enum fault_loss loss, uint64_t seed)
{
    w.fault.loss = loss;
    w.fault.seed = seed;
    w.full = w.was_full = false;
    if (w.dir)
        power_disk_cycle();
    else
        disk_mem_power_cycle(memory());
    if (pool)
        disk_mem_power_cycle(pool);
    fault_reset(&w.fault);
}

void page_cache_lives(void)
{
    w.full = w.was_full = false;
    fault_reset(&w.fault);
    if (w.dir)
        power_disk_keep();
}

uint64_t world_lost(void)
{
    uint64_t lost = disk_mem_lost(w.dir ? power_shadow() : memory());

    if (w.sharded)
        lost = lost * 31 + world_shards_sum();
    return pool ? lost * 31 + disk_mem_lost(pool) : lost;
}

void world_flip(const char *name, uint64_t byte, unsigned bit)
{
    CHECK(disk_mem_flip(w.dir ? power_shadow() : pool ? pool : w.disk, name, byte, bit) == 0);
    if (w.dir)
        power_flip(name, byte, bit);
}

void world_usage(uint64_t *ret_bytes, uint64_t *ret_names)
{
    if (w.dir)
        power_usage(ret_bytes, ret_names);
    else
        disk_mem_usage(memory(), ret_bytes, ret_names);
}
