// SPDX-License-Identifier: Apache-2.0
/*
 * node: one store: how it comes to be, is mounted, dies, and loses its power.
 */
#include "sim.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* What is drawn at random follows from the seed, so that a run is the same again. */
ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
    uint8_t *p = buf;

    (void)flags;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(fault_random(&sim.secrets) >> 32);
    return (ssize_t)len;
}

static int64_t calendar(const struct clock *c)
{
    return 1000 * NSEC_PER_SEC + sim.time + ((const struct sim_clock *)c)->skew;
}

static int64_t monotonic(const struct clock *c)
{
    (void)c;
    return NSEC_PER_SEC + sim.time;
}

/* ---- making one ---- */

struct node *add_node(void)
{
    struct node *n = &sim.node[sim.nodes++];

    CHECK(sim.nodes <= NODES_MAX);
    *n = (struct node){.number = sim.nodes};
    n->clock.base = (struct clock){.realtime = calendar, .monotonic = monotonic};
    CHECK_OK(disk_mem_create(&n->fault, 0, &n->own));
    CHECK_OK(kv_mem_create(&n->fault, &n->mem));
    CHECK_OK(kv_open_mem(n->mem, store_tables, store_table_count, KV_CREATE, &n->kv));
    eye_open(&n->eye, n->number, &n->fault);
    member_join(n);
    member_format(n);
    kv_close(n->kv);
    n->kv = NULL;
    n->space[0] = true;
    model_restart(n);
    say("node %u joins", n->number);
    node_mount(n);
    sim.count.joined++;
    return n;
}

void node_destroy(struct node *n)
{
    if (n->p)
        node_die(n);
    model_release(n);
    kv_mem_destroy(n->mem);
    disk_close(n->own);
}

/* ---- mounting ---- */

static void configure(struct node *n)
{
    CHECK_OK(settings_set(n->p, SET_PACK_LIMIT, PACK_LIMIT));
    CHECK_OK(settings_set(n->p, SET_GRACE_PERIOD, GRACE));
    CHECK_OK(settings_set(n->p, SET_STALE_REPORT_THRESHOLD, 3 * GRACE));
    packs_set_size(n->p->packs, 100 * 1024);
}

void node_mount(struct node *n)
{
    struct state_config config = {
        .clock = &n->clock.base, .threads = 1, .log_segment = LOG_SEGMENT};
    int err;

    CHECK(!n->p);
    eye_clear(&n->eye);
    CHECK_OK(kv_open_mem(n->mem, store_tables, store_table_count, 0, &n->kv));
    config.kv = n->kv;
    member_begin(n, &config);
    config.disk = n->disk;
    err = store_open(&config, &n->p);
    if (err < 0)
        fail(__FILE__, __LINE__, "node %u cannot be mounted: %s", n->number, strerror(-err));
    n->found = state_seq(n->p);
    configure(n);
}

static void close_kv(struct node *n)
{
    kv_close(n->kv);
    n->kv = NULL;
    n->p = NULL;
    member_end(n);
    CHECK(n->eye.open_files == 0);
}

void node_unmount(struct node *n)
{
    int err;

    say("node %u is unmounted", n->number);
    n->eye.fail_in = 0;
    err = store_close(n->p);
    if (err < 0)
        fail(__FILE__, __LINE__, "node %u: the last flush failed: %s", n->number, strerror(-err));
    close_kv(n);
    model_restart(n);
}

void node_stop(struct node *n)
{
    n->fault.cut = true;
    n->fault.fail_at = atomic_fetch_add(&n->fault.writes, 1) + 1;
}

/* What stood still in it finds that all disks are dead. */
void node_die(struct node *n)
{
    if (!fault_is_cut(&n->fault))
        node_stop(n);
    if (n->still)
        member_go_on(n, 0);
    CHECK(!n->still);
    store_abandon(n->p);
    close_kv(n);
    fault_reset(&n->fault);
    sim.count.deaths++;
}

/* ---- losing power ---- */

static void lose(struct disk *d, struct fault *f)
{
    static const enum fault_loss losses[] = {FAULT_LOSE_ALL, FAULT_LOSE_SOME, FAULT_LOSE_ONE,
                                             FAULT_KEEP_ONE};

    f->loss = losses[pick(4)];
    f->seed = pick(UINT64_MAX) + 1;
    disk_mem_power_cycle(d);
    fault_reset(f);
}

void node_power(struct node *n, uint64_t durable)
{
    say("node %u: its machine loses power; change %llu is durable", n->number,
        (unsigned long long)durable);
    node_die(n);
    lose(n->own, &n->fault);
    node_mount(n);
    model_after_power(n, durable);
    sim.count.power++;
}

void node_restart(struct node *n)
{
    say("node %u: its daemon dies", n->number);
    node_die(n);
    node_mount(n);
    model_compare(n);
}

void all_power(bool stores_too)
{
    uint64_t durable[NODES_MAX] = {0};
    bool was_up[NODES_MAX] = {0};

    say("the pool loses power%s", stores_too ? ", and so do all machines" : "");
    for (unsigned i = 0; i < sim.nodes; i++) {
        struct node *n = &sim.node[i];
        was_up[i] = n->p;
        if (!n->p)
            continue;
        durable[i] = flush_durable(n->p);
        node_die(n);
        if (stores_too)
            lose(n->own, &n->fault);
    }
    lose(sim.pool, &sim.fault);
    for (unsigned i = 0; i < sim.nodes; i++) {
        if (!was_up[i])
            continue;
        node_mount(&sim.node[i]);
        model_after_power(&sim.node[i], durable[i]);
    }
    sim.count.power++;
}

/* ---- which ---- */

bool node_may_act(const struct node *n)
{
    return n->p && !n->still;
}

struct node *some_node(void)
{
    unsigned first = (unsigned)pick(sim.nodes);

    for (unsigned i = 0; i < sim.nodes; i++)
        if (node_may_act(&sim.node[(first + i) % sim.nodes]))
            return &sim.node[(first + i) % sim.nodes];
    return NULL;
}
