// SPDX-License-Identifier: Apache-2.0
/*
 * member: a store's part in the pool. What store.c does with a directory of the machine is done
 * here with disks in memory: joining, and a new incarnation at each opening, first noted in the
 * store, then in the pool.
 */
#include "sim.h"
#include "disk_route.h"
#include "gc_pool.h"
#include "pool_dir.h"
#include "pool_node.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* ---- joining, and lives ---- */

void member_join(struct node *n)
{
    char why[POOL_WHY];
    struct pool_who who = {.incarnation = 1, .when = clock_now(&n->clock.base)};

    snprintf(who.label, sizeof who.label, "org/sim%u", n->number);
    CHECK(getrandom(who.token, sizeof who.token, 0) == sizeof who.token);
    CHECK_OK(pool_dir_join(&n->eye.base, &who, why));
    CHECK(who.node == n->number);
    n->who = who;
}

void member_format(struct node *n)
{
    struct pool_identity identity;
    char why[POOL_WHY];
    struct disk *route;

    CHECK_OK(pool_dir_identity(&n->eye.base, &identity, why));
    n->pool.key = identity.key;
    CHECK_OK(disk_route_open(n->own, &n->eye.base, n->number, &route));
    CHECK_OK(store_format(route, n->kv, &n->clock.base, n->who.label, 0, 0, &n->pool.key));
    disk_close(route);
}

void member_begin(struct node *n, struct state_config *config)
{
    struct pool_who in_pool;

    CHECK_OK(pool_node_read(&n->eye.base, n->number, &in_pool));
    CHECK(memcmp(in_pool.token, n->who.token, POOL_TOKEN_LEN) == 0);
    if (!broken("place-reuse"))
        n->who.incarnation++;
    CHECK(getrandom(n->who.token, POOL_TOKEN_LEN, 0) == POOL_TOKEN_LEN);
    CHECK_OK(pool_node_write(&n->eye.base, &n->who));
    CHECK_OK(pool_node_tidy(&n->eye.base, n->number));
    CHECK_OK(disk_route_open(n->own, &n->eye.base, n->number, &n->disk));
    n->pool.disk = &n->eye.base;
    n->pool.node = n->number;
    n->pool.incarnation = n->who.incarnation;
    memcpy(n->pool.token, n->who.token, POOL_TOKEN_LEN);
    config->pool = &n->pool;
}

void member_end(struct node *n)
{
    disk_close(n->disk);
    n->disk = NULL;
}

/* ---- reports and cycles ---- */

const char *const work_names[WORKS] = {"cycle", "report", "flush", "drain", "compaction"};

static void cycle(void *ctx)
{
    struct node *n = ctx;
    char why[GC_POOL_WHY];
    struct gc_result r;

    n->result = gc_pool_cycle(n->p, NULL, false, -1, &r, why);
    say("  node %u: cycle: %s %s: held %llu, named %llu, newly marked %llu, not acknowledged %llu, "
        "collected %llu",
        n->number, n->result < 0 ? strerror(-n->result) : "well", why, (unsigned long long)r.held,
        (unsigned long long)(r.active + r.pinned), (unsigned long long)r.marked,
        (unsigned long long)r.kept[GC_KEEP_UNACKNOWLEDGED], (unsigned long long)r.collected);
    sim.count.collected += r.collected;
    sim.count.cycles += n->result == 0;
    gc_result_release(&r);
}

static void report_of(void *ctx)
{
    struct node *n = ctx;

    n->reporting = true;
    n->result = pool_node_report(n->p);
    n->reporting = false;
    sim.count.reports += n->result == 0;
}

static void flush(void *ctx)
{
    struct node *n = ctx;

    n->result = flush_now(n->p);
    sim.count.flushes += n->result == 0;
}

/* And a report at its end. */
static void drain(void *ctx)
{
    struct node *n = ctx;

    n->result = flush_drain(n->p, false, -1, NULL);
    sim.count.flushes += n->result == 0;
}

static void compact(void *ctx)
{
    struct node *n = ctx;
    struct compact_result r;

    n->result = compact_store(n->p, NULL, 50, true, &r);
    say("  node %u: compaction: %llu records moved, %llu bytes copied", n->number,
        (unsigned long long)r.records, (unsigned long long)r.bytes);
    sim.count.moved += r.records;
}

void member_work(struct node *n, enum work work, unsigned stop_after)
{
    static void (*const works[WORKS])(void *ctx) = {cycle, report_of, flush, drain, compact};

    baton_begin(&n->still, works[work], n, stop_after);
}

void member_go_on(struct node *n, unsigned operations)
{
    baton_go_on(&n->still, operations);
}

bool member_retire(struct node *n, struct node *other)
{
    int err = gc_pool_retire(n->p, other->number, NULL);

    say("node %u: node %u is retired: %s", n->number, other->number,
        err < 0 ? strerror(-err) : "well");
    other->retired = err == 0;
    sim.count.retired += err == 0;
    return err == 0;
}
