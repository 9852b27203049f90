// SPDX-License-Identifier: Apache-2.0
/*
 * run: one run of a seed. Each step draws who does what; time passes between steps. Then the faults
 * stop, and what nobody needs must go.
 */
#include "sim.h"
#include "pool_dir.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sim sim;

uint64_t pick(uint64_t n)
{
    return fault_random(&sim.rng) % n;
}

/* ---- what is done ---- */

/* What a failed call to the pool may lead to. */
static bool is_excused(int err)
{
    return err == -EIO || err == -EAGAIN || err == -EUCLEAN || err == -ESTALE || err == -EEXIST ||
           err == -EBUSY || err == -ENOSYS;
}

static void work(struct node *n, enum work what)
{
    unsigned stop_after = chance(5) ? 1 + (unsigned)pick(chance(2) ? 12 : 200) : 0;

    say("node %u: %s%s", n->number, work_names[what], stop_after ? ", to stand still" : "");
    member_work(n, what, stop_after);
    if (n->still) {
        say("  node %u: it stands still after %u operations", n->number, stop_after);
        sim.count.paused++;
    } else if (n->result < 0) {
        say("  node %u: %s: %s", n->number, work_names[what], strerror(-n->result));
        if (!is_excused(n->result))
            fail(__FILE__, __LINE__, "node %u: %s failed: %s", n->number, work_names[what],
                 strerror(-n->result));
    }
}

/* One after the other, so that what is marked is acknowledged soon. */
static void all_report(void)
{
    unsigned first = (unsigned)pick(sim.nodes);

    for (unsigned i = 0; i < sim.nodes; i++)
        if (node_may_act(&sim.node[(first + i) % sim.nodes]))
            work(&sim.node[(first + i) % sim.nodes], WORK_REPORT);
}

/* Mostly the same for a while: who has not seen reports come collects nothing. */
static struct node *some_collector(struct node *n)
{
    struct node *usual = &sim.node[sim.step / 256 % sim.nodes];

    return node_may_act(usual) && !chance(4) ? usual : n;
}

/* All that it takes for what nobody names to go. */
static void collect_at_once(struct node *n)
{
    n = some_collector(n);
    for (unsigned i = 0; i < 3 && node_may_act(n); i++) {
        work(n, WORK_CYCLE);
        all_report();
    }
}

/* All have acknowledged what is marked; then one, which may see the others late, wants such a thing
 * again, and a cycle comes before it says so. */
static void tempt(struct node *n)
{
    struct node *collector = some_collector(n);

    if (chance(2))
        n->eye.sees = EYE_BEHIND;
    all_report();
    if (!node_may_act(n))
        return;
    sim.time += 2 * NSEC_PER_SEC; /* it looks again */
    op_want(n);
    work(n, chance(2) ? WORK_FLUSH : WORK_REPORT);
    for (unsigned i = 0; i < 2 && collector != n && node_may_act(collector); i++)
        work(collector, WORK_CYCLE);
}

static void go_on(void)
{
    unsigned first = (unsigned)pick(sim.nodes), operations = chance(2) ? 0 : 1 + (unsigned)pick(60);
    struct node *n = NULL;

    for (unsigned i = 0; i < sim.nodes && !n; i++)
        if (sim.node[(first + i) % sim.nodes].still)
            n = &sim.node[(first + i) % sim.nodes];
    if (!n)
        return;
    say("node %u: its work goes on", n->number);
    member_go_on(n, operations);
    if (!n->still)
        say("  node %u: it came to its end", n->number);
}

static void sync_log(struct node *n)
{
    say("node %u: sync", n->number);
    CHECK_OK(flush_sync(n->p));
}

static void change(struct node *n)
{
    static void (*const ops[])(struct node *) = {op_put,     op_put,    op_want,   op_replace,
                                                 op_replace, op_remove, op_remove, op_link,
                                                 op_branch,  op_drop,   op_pin,    op_read};

    ops[pick(sizeof ops / sizeof *ops)](n);
    sim.count.changes++;
}

static void pass_time(void)
{
    int64_t ms = chance(8) ? (int64_t)pick(90000) : (int64_t)pick(3000);

    say("%lld ms pass", (long long)ms);
    sim.time += ms * NSEC_PER_MSEC;
}

/* ---- what goes wrong ---- */

static void break_a_call(struct node *n)
{
    n->eye.fail_in = 1 + (unsigned)pick(40);
    n->eye.fail_after = chance(2);
}

static void cut_listings(struct node *n)
{
    if (sim.shortens)
        n->eye.short_list = 1 + (unsigned)pick(4);
}

static void look_late(struct node *n)
{
    static const char *const ways[] = {"as they are", "frozen", "late"};

    if (n->eye.sees != EYE_NOW && chance(3))
        n->eye.sees = EYE_NOW;
    else if (chance(4))
        eye_freeze(&n->eye);
    else
        n->eye.sees = EYE_BEHIND;
    say("node %u: it sees the others %s", n->number, ways[n->eye.sees]);
    sim.count.late++;
}

static void turn_calendar(struct node *n)
{
    n->clock.skew = ((int64_t)pick(2000) - 1000) * NSEC_PER_SEC;
    say("node %u: its calendar is wrong by %lld s", n->number,
        (long long)(n->clock.skew / NSEC_PER_SEC));
    sim.count.jumps++;
}

/* In the middle of some work, its power goes off with a write of its own, or a call to the pool. */
static void die_at_work(struct node *n)
{
    enum work what = (enum work)pick(WORKS);
    uint64_t durable = flush_durable(n->p);

    say("node %u: %s, in which its daemon dies", n->number, work_names[what]);
    if (chance(2)) {
        n->eye.die_in = 1 + (unsigned)pick(150);
    } else {
        n->fault.cut = true;
        n->fault.fail_at = atomic_load(&n->fault.writes) + 1 + pick(40);
    }
    member_work(n, what, 0);
    if (chance(2))
        node_restart(n);
    else
        node_power(n, durable);
}

static void restart(struct node *n)
{
    if (chance(4)) {
        node_unmount(n);
        node_mount(n);
        model_compare(n);
    } else {
        node_restart(n);
    }
}

/* Also while some work of it stands still. */
static void die(void)
{
    struct node *n = &sim.node[pick(sim.nodes)];

    if (!n->p)
        return;
    if (chance(5))
        all_power(chance(2));
    else if (chance(3))
        node_power(n, flush_durable(n->p));
    else if (!node_may_act(n))
        node_restart(n);
    else if (chance(2))
        die_at_work(n);
    else
        restart(n);
}

static unsigned nodes_up(void)
{
    unsigned up = 0;

    for (unsigned i = 0; i < sim.nodes; i++)
        up += sim.node[i].p != NULL;
    return up;
}

static void leave(struct node *n)
{
    if (!n->p || nodes_up() < 3)
        return;
    say("node %u leaves for good", n->number);
    node_die(n);
    n->gone = true;
}

static void join_or_leave(struct node *n)
{
    struct node *other = &sim.node[pick(sim.nodes)];

    if (sim.nodes < NODES_MAX && chance(2))
        (void)add_node();
    else if (other->gone && !other->retired)
        (void)member_retire(n, other);
    else
        leave(other);
}

static void go_wrong(struct node *n)
{
    uint64_t what = pick(16);

    if (what < 4)
        break_a_call(n);
    else if (what < 6)
        cut_listings(n);
    else if (what < 9)
        look_late(n);
    else if (what < 12)
        turn_calendar(n);
    else if (what < 15)
        die();
    else
        join_or_leave(n);
}

static void step(void)
{
    struct node *n = some_node();
    uint64_t what = pick(100);

    if (!n || what < 6)
        go_on();
    else if (what < 46)
        change(n);
    else if (what < 47)
        sync_log(n);
    else if (what < 57)
        work(n, chance(4) ? WORK_DRAIN : WORK_FLUSH);
    else if (what < 67)
        work(n, chance(5) ? WORK_COMPACT : WORK_REPORT);
    else if (what < 70)
        all_report();
    else if (what < 72)
        collect_at_once(n);
    else if (what < 76)
        tempt(n);
    else if (what < 85)
        work(some_collector(n), WORK_CYCLE);
    else if (what < 94)
        pass_time();
    else
        go_wrong(n);
}

/* ---- a run ---- */

static void one_step(void)
{
    for (unsigned i = 0; i < sim.nodes; i++)
        model_begin(&sim.node[i]);
    step();
    for (unsigned i = 0; i < sim.nodes; i++)
        model_note(&sim.node[i]);
    verify_named();
    if (sim.step % 64 == 63) /* what caches hold hides nothing for long: restarts compare, too */
        for (unsigned i = 0; i < sim.nodes; i++)
            if (node_may_act(&sim.node[i]))
                model_compare(&sim.node[i]);
}

static void make_pool(void)
{
    struct pool_identity identity;
    char why[POOL_WHY];

    CHECK_OK(disk_mem_create(&sim.fault, 0, &sim.pool));
    CHECK_OK(pool_identity_make(&identity));
    CHECK_OK(pool_dir_create(sim.pool, &identity, why));
    CHECK_OK(disk_mkdir(sim.pool, "sim"));
    CHECK_OK(disk_sync_dir(sim.pool, ""));
}

void run(uint64_t seed, uint64_t steps, unsigned nodes)
{
    bool tell = sim.tell;

    sim = (struct sim){.seed = seed,
                       .rng = seed * 2 + 1,
                       .secrets = seed * 2 + 1,
                       .steps = steps,
                       .shortens = seed % 2,
                       .delay = seed % 2 ? GRACE * 5 / 6 : GRACE * 2,
                       .tell = tell,
                       .trace = STRBUF_INIT};
    report_reset();
    make_pool();
    for (unsigned i = 0; i < nodes; i++)
        (void)add_node();
    for (sim.step = 0; sim.step < steps; sim.step++)
        one_step();
    verify_all_goes();
    for (unsigned i = 0; i < sim.nodes; i++)
        node_destroy(&sim.node[i]);
    disk_close(sim.pool);
    for (unsigned i = 0; i <= NODES_MAX; i++)
        free(sim.heads[i].time);
    strbuf_release(&sim.trace);
}
