// SPDX-License-Identifier: Apache-2.0
/*
 * The coordinator of GC cycles does what a plain model does, whatever happens to the pool; and what
 * is removed may be removed by what everybody can see, model or not.
 *
 * Another seed by hand: GC_SEED=N test-gc_model. A failure names seed and cycle.
 */
#include "fault.h"
#include "gc_fixture.h"

#include <stdio.h>

#define CYCLES 4000

static struct pool_of x;
static uint64_t seed;
static unsigned cycle;

static unsigned chance(unsigned n)
{
    return (unsigned)(fault_random(&seed) >> 20) % n;
}

#define CHECK(what, ...)                                                                           \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "cycle %u: ", cycle);                                                  \
            fprintf(stderr, __VA_ARGS__);                                                          \
            cr_assert_fail("\ncycle %u: %s", cycle, #what);                                        \
        }                                                                                          \
    } while (0)

/* ---- the model: what is known of each object and node, and nothing clever ---- */

static struct model {
    enum gc_state state[POOL_OBJECTS];
    int64_t since[POOL_OBJECTS];
    uint64_t mark[POOL_OBJECTS];
    unsigned nodes[POOL_OBJECTS];
    struct {
        bool known, proven;
        uint64_t serial, covers;
        int64_t seen;
    } node[POOL_NODES];
    uint64_t serial, records;
    bool unpublished;
} m;

static struct expected {
    int err;
    bool below;
    uint64_t held, active, pinned, marked, collected, eligible, stale, reporting;
    uint64_t kept[GC_KEEP_REASONS];
    bool list[POOL_OBJECTS], unasked[POOL_OBJECTS];
} want;

static bool is_own(unsigned n)
{
    return x.node[n].report.own;
}

static bool is_stale(const struct model *k, unsigned n)
{
    return !is_own(n) &&
           clock_ticks(&x.clock.base) - k->node[n].seen >= x.config.stale_report_threshold;
}

static bool is_behind(const struct model *k, unsigned n)
{
    return x.node[n].report.serial < k->node[n].serial;
}

static void model_nodes(struct model *k)
{
    for (unsigned n = 0; n < POOL_NODES; n++) {
        const struct gc_report *r = &x.node[n].report;
        if (x.node[n].there && r->gone)
            memset(&k->node[n], 0, sizeof k->node[n]);
        if (!x.node[n].there || r->gone)
            continue;
        if (!k->node[n].known) {
            k->node[n].known = true;
            k->node[n].serial = r->serial;
            k->node[n].seen = clock_ticks(&x.clock.base);
        }
        if (r->serial > k->node[n].serial || (r->own && r->serial == k->node[n].serial)) {
            k->node[n].serial = r->serial;
            k->node[n].seen = clock_ticks(&x.clock.base);
            k->node[n].covers = r->ack <= k->serial ? r->ack : 0;
            k->node[n].proven = true;
        } else if (r->ack < k->node[n].covers) {
            k->node[n].covers = r->ack;
        }
    }
}

static void model_object(struct model *k, const struct model *old, unsigned i, bool held)
{
    int64_t now = clock_ticks(&x.clock.base);
    bool active = false, pinned = false, stale = false, unknown = false, was;

    k->nodes[i] = 0;
    if (!held) {
        k->state[i] = GC_NONE;
        return;
    }
    for (unsigned n = 0; n < POOL_NODES; n++) {
        uint8_t named = x.node[n].names[i];
        if (!x.node[n].there || !x.node[n].report.serial || !k->node[n].known || !named)
            continue;
        k->nodes[i]++;
        stale |= is_stale(k, n);
        pinned |= !is_stale(k, n) && named == GC_NAMED_PINNED;
        active |= !is_stale(k, n) && named == GC_NAMED_ACTIVE;
        unknown |= !is_stale(k, n) && named == GC_NAMED_UNKNOWN;
    }
    was = old->state[i] == GC_UNREFERENCED || old->state[i] == GC_MARKED;
    if (!was)
        k->since[i] = now;
    want.held++;
    if (pinned) {
        k->state[i] = GC_PINNED;
        want.pinned++;
    } else if (active) {
        k->state[i] = GC_ACTIVE;
        want.active++;
    } else if (unknown && was) {
        k->state[i] = old->state[i];
        k->nodes[i] = old->nodes[i];
        want.kept[GC_KEEP_UNASKED]++;
        want.unasked[i] = true;
        want.list[i] = k->state[i] == GC_MARKED;
    } else if (unknown) {
        k->state[i] = GC_ACTIVE;
        k->nodes[i] = old->nodes[i];
        want.active++;
    } else if (stale) {
        k->state[i] = GC_UNREFERENCED;
        want.kept[GC_KEEP_STALE]++;
    } else if (was && old->state[i] == GC_MARKED) {
        want.list[i] = true;
    } else if (now - k->since[i] >= x.config.grace_period) {
        k->state[i] = GC_MARKED;
        k->mark[i] = 0; /* the serial is not known yet */
        want.list[i] = true;
        want.marked++;
        want.kept[GC_KEEP_NEW_MARK]++;
    } else {
        k->state[i] = GC_UNREFERENCED;
        want.kept[GC_KEEP_GRACE]++;
    }
}

static bool acknowledged(const struct model *k, uint64_t mark)
{
    for (unsigned n = 0; n < POOL_NODES; n++)
        if (k->node[n].known && (!x.node[n].there || is_behind(k, n) || k->node[n].covers < mark))
            return false;
    return true;
}

static void model_removal(struct model *k, unsigned i)
{
    int err = x.look_error ? x.look_error : x.in_use[i] ? -EBUSY : x.remove_error;

    if (!acknowledged(k, k->mark[i])) {
        want.kept[GC_KEEP_UNACKNOWLEDGED]++;
    } else if (err == -EBUSY) {
        want.kept[GC_KEEP_IN_USE]++;
        k->state[i] = GC_ACTIVE;
        k->unpublished = true;
    } else if (err && err != -ENOENT) {
        want.kept[GC_KEEP_FAILED]++;
    } else {
        want.collected++;
        k->state[i] = GC_NONE;
        k->unpublished = true;
    }
}

/* What the next cycle is to do; in `k`, how all will be then. */
static void model_cycle(struct model *k)
{
    struct model old = m;
    bool unmarked = false;

    want = (struct expected){0};
    *k = m;
    model_nodes(k);
    for (unsigned n = 0; n < POOL_NODES; n++) {
        want.stale += k->node[n].known && is_stale(k, n);
        want.reporting += k->node[n].known && x.node[n].there &&
                          k->node[n].proven && !is_stale(k, n) && !is_behind(k, n);
    }
    want.below = want.reporting < (x.config.min_nodes_reporting ? x.config.min_nodes_reporting : 1);
    if (want.below)
        return;
    for (unsigned i = 0; i < POOL_OBJECTS; i++) {
        model_object(k, &old, i, x.held[i]);
        unmarked |= old.state[i] == GC_MARKED && k->state[i] != GC_MARKED;
        want.eligible += want.list[i];
    }
    if (want.marked || unmarked || k->unpublished) {
        k->serial++;
        k->unpublished = false;
    }
    for (unsigned i = 0; i < POOL_OBJECTS; i++) {
        if (want.list[i] && !k->mark[i])
            k->mark[i] = k->serial;
        else if (want.list[i] && !want.unasked[i])
            model_removal(k, i);
        if (k->state[i] != GC_MARKED)
            k->mark[i] = 0;
    }
    k->records += want.eligible > 0;
}

/* ---- what may be removed, by what everybody can see ---- */

/* Serial of the list each object has been in without a break; by the lists published. */
static uint64_t in_lists_since[POOL_OBJECTS];

static void may_be_removed(struct pool_of *p, unsigned i)
{
    CHECK(in_lists_since[i] && in_lists_since[i] < cycle, "object %u: no earlier mark\n", i);
    CHECK(!p->in_use[i], "object %u is in use\n", i);
    for (unsigned n = 0; n < POOL_NODES; n++) {
        if (!m.node[n].known || (p->node[n].there && p->node[n].report.gone))
            continue;
        CHECK(p->node[n].there, "object %u: node %u is silent\n", i, n + 1);
        CHECK(!p->node[n].names[i] || !p->node[n].report.serial, "object %u is named by node %u\n",
              i, n + 1);
        CHECK(p->node[n].report.ack > 0, "object %u: node %u has seen no list\n", i, n + 1);
    }
}

static int watched_remove(void *ctx, const struct id *id)
{
    struct pool_of *p = ctx;

    if (!p->remove_error)
        may_be_removed(p, nr_of(id));
    return pool_remove(ctx, id);
}

static void follow_lists(void)
{
    for (unsigned i = 0; i < POOL_OBJECTS; i++)
        if (!x.listed[i] || state_of(&x, i) != GC_MARKED)
            in_lists_since[i] = 0;
        else if (!in_lists_since[i])
            in_lists_since[i] = cycle;
}

/* ---- what happens ---- */

static void new_report(unsigned n)
{
    struct pool_node *node = pool_report(&x, n + 1);
    unsigned what = chance(10);

    if (node->report.serial < m.node[n].serial && chance(4))
        node->report.serial = m.node[n].serial + 1;
    if (what == 0)
        node->report.ack = 0;
    else if (what == 1)
        node->report.ack = x.published ? x.published - 1 : 0;
    else if (what == 2)
        node->report.ack = x.published + 1 + chance(3);
    node->report.own = n == 0;
    node->report.gone = false;
    for (unsigned k = chance(8); k-- > 0;)
        node->names[chance(POOL_OBJECTS)] = (uint8_t)(chance(12) ? 0 : 1 + chance(3));
}

static void lastuse_note_object(void)
{
    unsigned i = chance(POOL_OBJECTS);

    switch (chance(4)) {
    case 0:
        x.held[i] = chance(4) > 0;
        break;
    case 1:
        x.in_use[i] = chance(4) == 0;
        break;
    default:
        x.held[i] = true;
    }
}

static void touch_node(void)
{
    unsigned n = chance(POOL_NODES);

    switch (chance(24)) {
    case 0:
        x.node[n].there = false;
        break;
    case 1:
        if (n && x.node[n].report.serial > 2)
            x.node[n].report.serial -= chance(3);
        break;
    case 2:
        x.node[n].report.gone = n > 0; /* somebody retires it */
        break;
    case 3:
        if (!x.node[n].there && n) {
            memset(&x.node[n].names, 0, sizeof x.node[n].names);
            x.node[n].report = (struct gc_report){.node = n + 1}; /* registered anew */
            x.node[n].there = true;
        }
        break;
    default:
        new_report(n);
    }
}

static void choose_config(void)
{
    static const int64_t grace[] = {0, 0, 10, 100, 300}, stale[] = {50, 200, 600};

    x.config.grace_period = grace[chance(5)] * NSEC_PER_SEC;
    x.config.stale_report_threshold = stale[chance(3)] * NSEC_PER_SEC;
    x.config.min_nodes_reporting = chance(6);
    x.batch = 1 + chance(20);
}

static void some_events(void)
{
    static const int64_t naps[] = {0, 0, 1, 10, 30, 60, 120, 700};

    if (chance(20) == 0)
        choose_config();
    pool_wait(&x, naps[chance(8)]);
    for (unsigned k = chance(6); k-- > 0;)
        lastuse_note_object();
    for (unsigned k = chance(6); k-- > 0;)
        touch_node();
    if (chance(3)) /* times in which all is well, so that things do get deleted */
        for (unsigned n = 0; n < POOL_NODES; n++)
            if (x.node[n].there)
                pool_report(&x, n + 1)->report.serial +=
                    m.node[n].serial > x.node[n].report.serial ? m.node[n].serial : 0;
    x.look_error = chance(30) == 0 ? -EIO : 0;
    x.remove_error = chance(30) == 0 ? (chance(2) ? -EIO : -EBUSY) : 0;
}

/* ---- comparing ---- */

static void compare_states(void)
{
    for (unsigned i = 0; i < POOL_OBJECTS; i++) {
        struct gc_object_info info;
        struct id id = id_nr(i);
        enum gc_state state = m.state[i];

        gc_get(x.gc, &id, &info);
        CHECK(info.state == state, "object %u is %d, not %d\n", i, info.state, state);
        if (state == GC_UNREFERENCED || state == GC_MARKED)
            CHECK(info.since == m.since[i], "object %u: since\n", i);
        if (m.state[i] != GC_NONE)
            CHECK(info.nodes == m.nodes[i], "object %u: %u nodes\n", i, info.nodes);
        if (!m.unpublished)
            CHECK(x.listed[i] == (m.state[i] == GC_MARKED), "object %u: list\n", i);
    }
    CHECK(history_count(x.gc) == (m.records < GC_HISTORY_MAX ? m.records : GC_HISTORY_MAX),
          "records\n");
}

static void compare_result(const struct gc_result *r)
{
    uint64_t kept = 0;
    size_t at = 0;

    CHECK(r->below_minimum == want.below, "below\n");
    CHECK(r->reporting == want.reporting, "reporting %u\n", (unsigned)r->reporting);
    CHECK(r->stale_count == want.stale, "stale %zu\n", r->stale_count);
    CHECK(r->held == want.held && r->active == want.active && r->pinned == want.pinned,
          "held, active, pinned\n");
    CHECK(r->marked == want.marked, "marked %u\n", (unsigned)r->marked);
    CHECK(r->collected == want.collected, "collected %u\n", (unsigned)r->collected);
    CHECK(r->eligible_count == want.eligible, "eligible %zu\n", r->eligible_count);
    for (unsigned i = 0; i < POOL_OBJECTS; i++)
        if (want.list[i])
            CHECK(nr_of(&r->eligible[at++]) == i, "eligible %u\n", i);
    for (int i = 0; i < GC_KEEP_REASONS; i++) {
        CHECK(r->kept[i] == want.kept[i], "kept %s\n", gc_keep_names[i]);
        kept += r->kept[i];
    }
    CHECK(r->held == r->active + r->pinned + r->collected + kept, "the sum\n");
}

static int cycle_watched(bool dry, struct gc_result *ret)
{
    const struct gc_sources sources = {.reports = pool_reports,
                                       .names = pool_names,
                                       .list = pool_list,
                                       .publish = pool_publish,
                                       .look = pool_look,
                                       .remove = watched_remove,
                                       .step = pool_step,
                                       .ctx = &x};
    return gc_cycle(x.gc, &x.config, &sources, &(struct gc_options){.dry_run = dry}, ret);
}

static void sabotage(void)
{
    switch (chance(5)) {
    case 0:
        x.list_error = -EIO;
        x.list_after = chance(12);
        break;
    case 1:
        x.names_error = -EIO;
        x.names_after = chance(12);
        break;
    case 2:
        x.reports_error = -EIO;
        break;
    case 3:
        x.list_disorder = true;
        break;
    default:
        x.publish_error = -EIO;
    }
}

static void a_dry_run(void)
{
    struct model next;
    struct gc_result r;
    int busy = x.remove_error;

    x.remove_error = 0;
    model_cycle(&next);
    CHECK(cycle_watched(true, &r) == 0, "dry run\n");
    compare_result(&r);
    gc_result_release(&r);
    x.remove_error = busy;
    compare_states();
}

/* Nothing has changed, but for the serial of a list that may have arrived. */
static void has_failed(int err, const bool *held)
{
    CHECK(err == -EIO || err == -EUCLEAN, "%d\n", err);
    CHECK(!memcmp(held, x.held, sizeof x.held), "a failed cycle has removed something\n");
    if (x.published > m.serial) {
        m.serial = x.published;
        m.unpublished = true;
    }
}

/* False: it has failed. */
static bool a_cycle(bool sound, uint64_t *ret_collected)
{
    bool held[POOL_OBJECTS];
    struct model next;
    struct gc_result r;
    int err;

    memcpy(held, x.held, sizeof held);
    model_cycle(&next);
    if (!sound)
        sabotage();
    err = cycle_watched(false, &r);
    CHECK(err == 0 || !sound, "%d\n", err);
    if (err == 0) {
        compare_result(&r);
        m = next;
        *ret_collected += r.collected;
    } else {
        has_failed(err, held);
    }
    x.list_error = x.names_error = x.reports_error = x.publish_error = 0;
    x.list_disorder = false;
    gc_result_release(&r);
    compare_states();
    follow_lists();
    return err == 0;
}

Test(gc_model, cycles_do_what_the_model_does_and_remove_only_what_may_go)
{
    const char *text = getenv("GC_SEED");
    uint64_t collected = 0, failed = 0, below = 0, dry = 0;

    seed = text ? strtoull(text, NULL, 10) : 1;
    fprintf(stderr, "test_gc_model: GC_SEED=%llu\n", (unsigned long long)seed);
    pool_setup(&x);
    for (cycle = 1; cycle <= CYCLES; cycle++) {
        some_events();
        compare_states();
        if (chance(6) == 0) {
            a_dry_run();
            dry++;
        }
        failed += !a_cycle(chance(6) > 0, &collected);
        below += want.below;
    }
    fprintf(stderr, "%u cycles, %llu removed, %llu failed, %llu dry, %llu below the minimum\n",
            CYCLES, (unsigned long long)collected, (unsigned long long)failed,
            (unsigned long long)dry, (unsigned long long)below);
    cr_assert_gt(collected, CYCLES / 4);
    cr_assert_gt(failed, CYCLES / 20);
    cr_assert(below > CYCLES / 50 && below < CYCLES / 2);
    pool_teardown(&x);
}
