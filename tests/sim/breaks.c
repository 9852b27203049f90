// SPDX-License-Identifier: Apache-2.0
/*
 * breaks: rules of safety that can be switched off, each between two modules of the daemon (the
 * linker's --wrap) or between it and the pool. Which seeds notice: meson.build. drop-marks and
 * no-absent were not noticed by the first 30: reports that are read after a list name what it marks
 * only where they are late, and then a cycle must come before the next report.
 */
#include "sim.h"
#include "pool_index.h"
#include "pool_lease.h"
#include "pool_marks.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *sim_break;
const char *const break_names[] = {
    "no-ack",          /* a cycle takes everybody to have read the newest list of marks */
    "node-overlooked", /* a node is not found: nobody waits for it */
    "partial-report",  /* what cannot be read of a report is taken for not named */
    "drop-marks",      /* lists of marks leave some out */
    "no-absent",       /* a node takes what is marked, though it acknowledged the mark */
    "before-commit",   /* a report says what was committed before it learned of the marks */
    "place-reuse",     /* an incarnation goes on with the numbers of the last one (member.c) */
    "marks-unsynced",  /* a list of marks is acknowledged that a loss of power takes back, */
    "nodes-unsynced",  /* or a node goes on from a number that is (eye.c) */
    "nothing-goes",    /* what is collected stays */
    NULL,
};

/* ---- what a cycle is told ---- */

int __real_gc_cycle(struct gc *gc, const struct gc_config *config, const struct gc_sources *sources,
                    const struct gc_options *options, struct gc_result *ret);
int __wrap_gc_cycle(struct gc *gc, const struct gc_config *config, const struct gc_sources *sources,
                    const struct gc_options *options, struct gc_result *ret);

struct told {
    const struct gc_sources *real;
    struct gc *gc;
    struct gc_report reports[NODES_MAX];
};

static int told_reports(void *ctx, const struct gc_report **ret_v, size_t *ret_count)
{
    struct told *t = ctx;
    const struct gc_report *v;
    int err = t->real->reports(t->real->ctx, &v, ret_count);

    if (err < 0)
        return err;
    CHECK(*ret_count <= NODES_MAX);
    if (*ret_count > 0)
        memcpy(t->reports, v, *ret_count * sizeof *v);
    for (size_t i = 0; i < *ret_count && broken("no-ack"); i++)
        t->reports[i].ack = gc_serial(t->gc);
    *ret_count -= broken("node-overlooked") && *ret_count > 1 && !t->reports[*ret_count - 1].own;
    *ret_v = t->reports;
    return 0;
}

static int told_names(void *ctx, const struct gc_report *r, const struct id *ids, size_t count,
                      uint8_t *ret)
{
    struct told *t = ctx;

    if (broken("partial-report"))
        count -= count / 8;
    return t->real->names(t->real->ctx, r, ids, count, ret);
}

static int told_list(void *ctx, const struct id *after, struct id *out, size_t max,
                     size_t *ret_count)
{
    struct told *t = ctx;

    return t->real->list(t->real->ctx, after, out, max, ret_count);
}

static int told_beyond(void *ctx, const bool *counts, uint64_t *ret_active, uint64_t *ret_pinned)
{
    struct told *t = ctx;

    return t->real->beyond ? t->real->beyond(t->real->ctx, counts, ret_active, ret_pinned) : 0;
}

static int told_publish(void *ctx, uint64_t serial, const struct gc_saved *v, size_t count)
{
    struct told *t = ctx;
    struct gc_saved *some = calloc(count + 1, sizeof *some);
    size_t n = 0;
    int err;

    CHECK(some);
    for (size_t i = 0; i < count; i++)
        if (!broken("drop-marks") || i % 3)
            some[n++] = v[i];
    err = t->real->publish(t->real->ctx, serial, some, n);
    free(some);
    return err;
}

static int told_look(void *ctx, const struct id *id)
{
    struct told *t = ctx;

    return t->real->look(t->real->ctx, id);
}

static int told_remove(void *ctx, const struct id *id)
{
    struct told *t = ctx;

    if (broken("nothing-goes"))
        return 0;
    return t->real->remove(t->real->ctx, id);
}

static bool told_step(void *ctx, uint64_t listed)
{
    struct told *t = ctx;

    return t->real->step && t->real->step(t->real->ctx, listed);
}

static void told_whole(void *ctx, const struct id *key, struct id *ret)
{
    struct told *t = ctx;

    t->real->whole(t->real->ctx, key, ret);
}

int __wrap_gc_cycle(struct gc *gc, const struct gc_config *config, const struct gc_sources *sources,
                    const struct gc_options *options, struct gc_result *ret)
{
    struct told told = {.real = sources, .gc = gc};
    struct gc_sources s = *sources;

    if (!sim_break)
        return __real_gc_cycle(gc, config, sources, options, ret);
    s.reports = told_reports;
    s.names = told_names;
    s.list = told_list;
    s.beyond = told_beyond;
    s.publish = told_publish;
    s.look = told_look;
    s.remove = told_remove;
    s.step = told_step;
    s.whole = sources->whole ? told_whole : NULL;
    s.ctx = &told;
    return __real_gc_cycle(gc, config, &s, options, ret);
}

/* ---- what a node learns, and says ---- */

int __real_pool_index_load(struct pool_index *ix, uint64_t from, struct pool_view **ret_view);
int __wrap_pool_index_load(struct pool_index *ix, uint64_t from, struct pool_view **ret_view);
int __real_pool_marks_read(struct disk *disk, uint64_t serial, struct pool_marks *ret);
int __wrap_pool_marks_read(struct disk *disk, uint64_t serial, struct pool_marks *ret);
int __real_flush_now(struct state *p);
int __wrap_flush_now(struct state *p);

int __real_pool_node_find(void *ctx, const struct id *id, uint64_t size, unsigned nth,
                          struct entry *ret);
int __wrap_pool_node_find(void *ctx, const struct id *id, uint64_t size, unsigned nth,
                          struct entry *ret);

static bool loading; /* the index, not a cycle */

/* No rule: for the trace. */
int __wrap_pool_node_find(void *ctx, const struct id *id, uint64_t size, unsigned nth,
                          struct entry *ret)
{
    const struct state *p = ctx;
    int err = __real_pool_node_find(ctx, id, size, nth, ret);

    if (err == 0)
        say("  node %u: another has such bytes at %016llx %u", p->shared->node,
            (unsigned long long)ret->where, ret->offset);
    return err;
}

int __wrap_pool_index_load(struct pool_index *ix, uint64_t from, struct pool_view **ret_view)
{
    int err;

    loading = true;
    err = __real_pool_index_load(ix, from, ret_view);
    loading = false;
    return err;
}

int __wrap_pool_marks_read(struct disk *disk, uint64_t serial, struct pool_marks *ret)
{
    int err = __real_pool_marks_read(disk, serial, ret);

    if (err == 0 && loading && broken("no-absent"))
        ret->count = 0;
    return err;
}

int __wrap_flush_now(struct state *p)
{
    for (unsigned i = 0; i < sim.nodes && broken("before-commit"); i++)
        if (sim.node[i].p == p && sim.node[i].reporting)
            return 0;
    return __real_flush_now(p);
}

/* ---- the lease ---- */

int __real_lease_take(struct disk *disk, const struct clock *clock, unsigned node,
                      uint32_t incarnation, struct lease *l);
int __wrap_lease_take(struct disk *disk, const struct clock *clock, unsigned node,
                      uint32_t incarnation, struct lease *l);

/* No rule: safety does not rest on it, so every other cycle does not ask who else runs one. */
int __wrap_lease_take(struct disk *disk, const struct clock *clock, unsigned node,
                      uint32_t incarnation, struct lease *l)
{
    if (!sim.quiet && sim.step % 2)
        return 0;
    return __real_lease_take(disk, clock, node, incarnation, l);
}
