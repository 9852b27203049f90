// SPDX-License-Identifier: Apache-2.0
/*
 * gc_fixture: a pool of 64 objects and 8 nodes that a test moves about by hand, as the sources of a
 * coordinator. Object i has an id that sorts as i.
 */
#pragma once

#include "gc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POOL_OBJECTS 64
#define POOL_NODES 8

struct pool_node {
    bool there;
    struct gc_report report;
    uint8_t names[POOL_OBJECTS]; /* enum gc_named */
};

struct pool_of {
    struct clock_manual clock;
    struct gc *gc;
    struct gc_config config;
    bool held[POOL_OBJECTS];
    bool in_use[POOL_OBJECTS]; /* what the last look says */
    struct pool_node node[POOL_NODES];
    struct gc_report reports[POOL_NODES];
    unsigned batch; /* ids a listing gives at once */
    /* What goes wrong: 0, or the error; after so many calls. */
    int list_error, names_error, reports_error, publish_error, look_error, remove_error;
    unsigned list_after, names_after;
    bool list_disorder, node_twice;
    unsigned cancel_after; /* 0: never; steps */
    unsigned removed[POOL_OBJECTS];
    uint64_t published;
    bool listed[POOL_OBJECTS]; /* marked in the last list published, */
    struct gc_saved list[POOL_OBJECTS];
    size_t list_count; /* which is this */
    bool with_since;
    unsigned publications, looks;
    void (*at_look)(struct pool_of *x, unsigned object);
    void (*at_list)(struct pool_of *x);
};

static inline struct id id_nr(unsigned i)
{
    struct id id = {.b = {(uint8_t)(i + 1)}};
    id.b[ID_LEN - 1] = (uint8_t)(i * 7);
    return id;
}
static inline unsigned nr_of(const struct id *id)
{
    return id->b[0] - 1u;
}

static inline int pool_reports(void *ctx, const struct gc_report **ret_v, size_t *ret_count)
{
    struct pool_of *x = ctx;
    size_t n = 0;

    if (x->reports_error)
        return x->reports_error;
    for (unsigned i = POOL_NODES; i-- > 0;) /* in no order of theirs */
        if (x->node[i].there)
            x->reports[n++] = x->node[i].report;
    if (x->node_twice && n > 1)
        x->reports[1].node = x->reports[0].node;
    *ret_v = x->reports;
    *ret_count = n;
    return 0;
}

static inline int pool_names(void *ctx, const struct gc_report *r, const struct id *ids,
                             size_t count, uint8_t *ret)
{
    struct pool_of *x = ctx;

    if (x->names_error && x->names_after-- == 0)
        return x->names_error;
    for (size_t i = 0; i < count; i++)
        ret[i] = x->node[r->node - 1].names[nr_of(&ids[i])];
    return 0;
}

static inline int pool_list(void *ctx, const struct id *after, struct id *out, size_t max,
                            size_t *ret_count)
{
    struct pool_of *x = ctx;
    size_t n = 0;

    if (x->list_error && x->list_after-- == 0)
        return x->list_error;
    if (x->at_list && !after)
        x->at_list(x);
    for (unsigned i = after ? nr_of(after) + 1 : 0; i < POOL_OBJECTS && n < x->batch && n < max;
         i++)
        if (x->held[i])
            out[n++] = id_nr(i);
    if (x->list_disorder && n > 1)
        out[n - 1] = out[0];
    *ret_count = n;
    return 0;
}

static inline int pool_publish(void *ctx, uint64_t serial, const struct gc_saved *v, size_t count)
{
    struct pool_of *x = ctx;

    cr_assert_gt(serial, x->published, "serials of marks rise");
    x->published = serial;
    x->publications++;
    if (x->publish_error)
        return x->publish_error;
    memset(x->listed, 0, sizeof x->listed);
    memcpy(x->list, v, count * sizeof *v);
    x->list_count = count;
    for (size_t i = 0; i < count; i++)
        x->listed[nr_of(&v[i].id)] = v[i].mark != 0;
    return 0;
}

static inline int pool_look(void *ctx, const struct id *id)
{
    struct pool_of *x = ctx;

    x->looks++;
    if (x->at_look)
        x->at_look(x, nr_of(id));
    return x->look_error ? x->look_error : x->in_use[nr_of(id)] ? -EBUSY : 0;
}

static inline int pool_remove(void *ctx, const struct id *id)
{
    struct pool_of *x = ctx;

    if (x->remove_error)
        return x->remove_error;
    cr_assert(x->held[nr_of(id)]);
    x->held[nr_of(id)] = false;
    x->removed[nr_of(id)]++;
    return 0;
}

static inline bool pool_step(void *ctx, uint64_t listed)
{
    struct pool_of *x = ctx;

    (void)listed;
    return x->cancel_after && --x->cancel_after == 0;
}

static inline void pool_setup(struct pool_of *x)
{
    *x = (struct pool_of){.config = GC_CONFIG_INIT, .batch = 5};
    clock_manual_init(&x->clock, 1000 * NSEC_PER_SEC);
    cr_assert_eq(gc_create(&x->clock.base, 0, &x->gc), 0);
}

static inline void pool_teardown(struct pool_of *x)
{
    gc_destroy(x->gc);
}

static inline void pool_wait(struct pool_of *x, int64_t seconds)
{
    clock_manual_advance(&x->clock, seconds * NSEC_PER_SEC);
}

/* The objects named are held, from 0 on. */
static inline void pool_holds(struct pool_of *x, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        x->held[i] = true;
}

/* Node n, from 1, reports again, having read all marks; what it names stays. */
static inline struct pool_node *pool_report(struct pool_of *x, unsigned n)
{
    struct pool_node *node = &x->node[n - 1];

    node->there = true;
    node->report.node = n;
    node->report.serial++;
    node->report.ack = x->published;
    node->report.timestamp = clock_now(&x->clock.base);
    return node;
}

/* A node of this very process: its reports need no proof. */
static inline struct pool_node *pool_own(struct pool_of *x, unsigned n)
{
    struct pool_node *node = pool_report(x, n);

    node->report.own = true;
    return node;
}

static inline int pool_cycle(struct pool_of *x, bool dry, struct gc_result *ret)
{
    const struct gc_sources sources = {.reports = pool_reports,
                                       .names = pool_names,
                                       .list = pool_list,
                                       .publish = pool_publish,
                                       .with_since = x->with_since,
                                       .look = pool_look,
                                       .remove = pool_remove,
                                       .step = pool_step,
                                       .ctx = x};
    return gc_cycle(x->gc, &x->config, &sources, &(struct gc_options){.dry_run = dry}, ret);
}

/* It goes well; what it says is read and forgotten. */
static inline struct gc_result pool_run(struct pool_of *x)
{
    struct gc_result r;

    cr_assert_eq(pool_cycle(x, false, &r), 0);
    free(r.eligible);
    free(r.stale);
    r.eligible = NULL;
    r.stale = NULL;
    return r;
}

static inline enum gc_state state_of(struct pool_of *x, unsigned i)
{
    struct gc_object_info info;
    struct id id = id_nr(i);

    gc_get(x->gc, &id, &info);
    return info.state;
}

static inline void pool_pin(struct pool_of *x, unsigned i)
{
    struct id id = id_nr(i);
    cr_assert_eq(gc_pin(x->gc, &id), 0);
}
static inline void pool_unpin(struct pool_of *x, unsigned i)
{
    struct id id = id_nr(i);
    cr_assert_eq(gc_unpin(x->gc, &id), 0);
}
static inline void pool_register(struct pool_of *x, unsigned i)
{
    struct id id = id_nr(i);
    cr_assert_eq(gc_register(x->gc, &id), 0);
}
