// SPDX-License-Identifier: Apache-2.0
/*
 * gc_cycle: one cycle. Each step leaves everything as it was until the next one begins:
 *
 *     observe    read the reports, and decide which of their nodes can be believed
 *     walk       compare the listing, the table and the reports, and give verdicts
 *     publish    the list of marks, under a new serial
 *     apply      write the verdicts to the table
 *     remove     what earlier cycles marked, whose mark all nodes acknowledged, and which a last
 *                look finds unreferenced
 *     finish     the table as it is now, nodes, history
 *
 * Only apply and finish change the array of the table, and one cycle runs at a time. So the walk
 * reads the array without the lock.
 */
#include "array.h"
#include "gc_impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 1024 /* ids that are asked for, or looked at, at once */

/* What this cycle decides about one object of the table. */
struct verdict {
    uint16_t nodes;
    uint8_t state;  /* GC_NONE: it is not held any more */
    bool since_now; /* this cycle is the first in which no report names it */
    bool anew;      /* marked by this cycle */
    bool unasked;   /* a report answered GC_NAMED_UNKNOWN: the object keeps its state */
};

/* What all reports together say of one id. */
struct opinion {
    uint16_t nodes;
    uint8_t named; /* enum gc_named */
    bool stale;    /* a stale node names it */
};

struct cycle {
    struct gc *gc;
    const struct gc_config *config;
    const struct gc_sources *src;
    struct gc_result *r;
    bool dry;
    int64_t now;           /* ticks */
    struct gc_nodes nodes; /* a copy, which replaces gc->nodes at the end of the cycle */
    const struct gc_report *reports;
    size_t report_count;
    struct verdict *verdicts; /* by place in the table */
    /* place in the table of the first object that the walk has not reached yet */
    size_t at;
    struct gc_table found;    /* held, and not in the table */
    size_t eligible_room;
    bool unmarked;     /* an object that was marked is no longer marked */
    /* the set of unreferenced or marked objects differs from that before the cycle */
    bool changed;
    /* the verdicts are in the table, so the result is valid even after an error */
    bool applied;
    struct id *record; /* ids for the history */
    struct id ids[BATCH];
    uint8_t names[BATCH];
    struct opinion opinions[BATCH];
};

/* Claims the only cycle that may run (-EBUSY) and copies what is known of the nodes, so that a
 * cycle that fails leaves them unchanged. */
static int prepare(struct cycle *w)
{
    struct gc *gc = w->gc;
    MUTEX_GUARD(&gc->lock);
    int err = gc->running ? -EBUSY : gc_nodes_copy(&gc->nodes, &w->nodes);

    if (err < 0)
        return err;
    gc->running = true;
    w->now = clock_ticks(gc->clock);
    w->r->cycle = gc->cycles + 1;
    w->r->serial = gc->serial;
    return 0;
}

/* Allocates a cycle and prepares it. The caller ends *ret_w with cycle_end and frees it. */
static int begin_cycle(struct gc *gc, const struct gc_config *config,
                       const struct gc_sources *sources, struct gc_result *r, struct cycle **ret_w)
{
    struct cycle *w = calloc(1, sizeof *w);
    int err;

    if (!w)
        return -ENOMEM;
    w->gc = gc;
    w->config = config;
    w->src = sources;
    w->r = r;
    err = prepare(w);
    if (err < 0)
        free(w);
    else
        *ret_w = w;
    return err;
}

/* ---- observe ---- */

/* Counts the nodes that report, and lists the stale ones in the result. */
static int list_stale(struct cycle *w)
{
    size_t room = 0;

    for (size_t i = 0; i < w->nodes.count; i++) {
        const struct gc_node *n = &w->nodes.v[i];
        w->r->reporting += gc_node_reports(n, w->config, w->now);
        if (!gc_node_is_stale(n, w->config, w->now))
            continue;
        if (ARRAY_RESERVE(w->r->stale, room, w->r->stale_count + 1) < 0)
            return -ENOMEM;
        w->r->stale[w->r->stale_count++] = n->id;
    }
    return 0;
}

/* Reads the reports, updates the copy of the nodes from them, and decides whether enough nodes
 * report for anything to be judged. */
static int observe(struct cycle *w)
{
    unsigned min = w->config->min_nodes_reporting ? w->config->min_nodes_reporting : 1;
    int err = w->src->reports(w->src->ctx, &w->reports, &w->report_count);

    if (err == 0)
        err = gc_nodes_observe(&w->nodes, w->reports, w->report_count, w->r->serial, w->now);
    if (err == 0)
        err = list_stale(w);
    w->r->below_minimum = w->r->reporting < min;
    return err;
}

/* Adds the objects that the reports only count, since the listing leaves them out: they are needed
 * for certain (gc_report). */
static void count_beside(struct cycle *w)
{
    for (size_t i = 0; i < w->report_count; i++) {
        const struct gc_report *r = &w->reports[i];
        const struct gc_node *node = gc_nodes_find(&w->nodes, r->node);
        if (!node)
            continue;
        w->r->active += r->active;
        w->r->pinned += r->pinned;
        w->r->held += r->active + r->pinned;
    }
}

/* ---- walk ---- */

/* Asks one report about the `n` ids of this batch, and merges its answers into the opinions. A
 * stale node's answer sets `stale` alone. */
static int ask(struct cycle *w, const struct gc_report *r, size_t n)
{
    const struct gc_node *node = gc_nodes_find(&w->nodes, r->node);
    bool stale;
    int err;

    /* The node of a report that is gone is forgotten; a report with serial 0 says nothing yet. */
    if (!node || r->serial == 0)
        return 0;
    stale = gc_node_is_stale(node, w->config, w->now);
    memset(w->names, GC_NAMED_NOT, n);
    err = w->src->names(w->src->ctx, r, w->ids, n, w->names);
    for (size_t i = 0; i < n && err == 0; i++) {
        struct opinion *o = &w->opinions[i];
        if (w->names[i] > GC_NAMED_PINNED)
            return -EUCLEAN;
        if (w->names[i] == GC_NAMED_NOT)
            continue;
        o->nodes = (uint16_t)(o->nodes + (o->nodes < UINT16_MAX));
        if (stale)
            o->stale = true;
        else if (o->named < w->names[i])
            o->named = w->names[i];
    }
    return err;
}

/* Asks all reports about the `n` ids of this batch. */
static int collect_opinions(struct cycle *w, size_t n)
{
    int err = 0;

    memset(w->opinions, 0, n * sizeof *w->opinions);
    for (size_t i = 0; i < w->report_count && err == 0; i++)
        err = ask(w, &w->reports[i], n);
    return err;
}

static bool is_missed(uint8_t state)
{
    return state == GC_UNREFERENCED || state == GC_MARKED;
}

/* The verdict where a report cannot say: an object that was unreferenced or marked (`before`) keeps
 * that state; any other is taken for active. */
static struct verdict leave(const struct gc_object *o, bool before)
{
    return (struct verdict){.nodes = o ? o->nodes : 0,
                            .state = before ? o->state : GC_ACTIVE,
                            .unasked = before};
}

/* Decides the new state of one listed object. `o` is its row in the table before this cycle, or
 * NULL. A named object is active or pinned. An object that nobody names is unreferenced, and
 * becomes marked once the grace period is over, unless a stale node names it. */
static struct verdict judge(const struct cycle *w, const struct gc_object *o,
                            const struct opinion *op)
{
    bool before = o && is_missed(o->state);
    struct verdict v = {.nodes = op->nodes, .state = GC_UNREFERENCED};

    if (op->named == GC_NAMED_PINNED) {
        v.state = GC_PINNED;
    } else if (op->named == GC_NAMED_ACTIVE) {
        v.state = GC_ACTIVE;
    } else if (op->named == GC_NAMED_UNKNOWN) {
        return leave(o, before);
    } else {
        v.since_now = !before;
        if (op->stale)
            return v;
        v.anew = !before || o->state != GC_MARKED;
        if (!v.anew || w->now - (before ? o->since : w->now) >= w->config->grace_period)
            v.state = GC_MARKED;
        v.anew = v.anew && v.state == GC_MARKED;
    }
    return v;
}

/* Counts one verdict in the result. A marked object is also added to the eligible ones. */
static int count(struct cycle *w, const struct id *id, const struct verdict *v, bool stale)
{
    struct gc_result *r = w->r;

    r->held++;
    r->active += v->state == GC_ACTIVE;
    r->pinned += v->state == GC_PINNED;
    if (v->unasked)
        r->kept[GC_KEEP_UNASKED]++;
    else
        r->kept[stale ? GC_KEEP_STALE : GC_KEEP_GRACE] += v->state == GC_UNREFERENCED;
    if (v->state != GC_MARKED)
        return 0;
    if (ARRAY_RESERVE(r->eligible, w->eligible_room, r->eligible_count + 1) < 0)
        return -ENOMEM;
    r->eligible[r->eligible_count++] = *id;
    r->marked += v->anew;
    r->kept[GC_KEEP_NEW_MARK] += v->anew;
    return 0;
}

/* Notes an object that is held and is not in the table; finish() merges it in. */
static int find_new(struct cycle *w, const struct id *id, const struct verdict *v)
{
    if (ARRAY_RESERVE(w->found.v, w->found.room, w->found.count + 1) < 0)
        return -ENOMEM;
    w->found.v[w->found.count++] =
        (struct gc_object){.id = *id, .since = w->now, .nodes = v->nodes, .state = v->state};
    return 0;
}

/* Passes the objects of the table that come before `id` (NULL: all that are left). The listing does
 * not have them, so they are no longer held; their verdicts stay GC_NONE. */
static void pass_unheld(struct cycle *w, const struct id *id)
{
    const struct gc_table *t = &w->gc->objects;

    for (; w->at < t->count && (!id || id_compare(&t->v[w->at].id, id) < 0); w->at++) {
        w->unmarked |= t->v[w->at].state == GC_MARKED;
        w->changed |= is_missed(t->v[w->at].state);
    }
}

/* Judges one listed id, and advances in the table, which is in the same order as the listing. */
static int judge_one(struct cycle *w, const struct id *id, const struct opinion *op)
{
    const struct gc_table *t = &w->gc->objects;
    const struct gc_object *o;
    struct verdict v;
    int err;

    pass_unheld(w, id);
    o = w->at < t->count && id_equal(&t->v[w->at].id, id) ? &t->v[w->at] : NULL;
    v = judge(w, o, op);
    w->changed |= v.since_now || v.anew || (o && is_missed(o->state) != is_missed(v.state));
    err = count(w, id, &v, op->stale);
    if (err == 0 && !o)
        err = find_new(w, id, &v);
    if (err == 0 && o) {
        w->unmarked |= o->state == GC_MARKED && v.state != GC_MARKED;
        w->verdicts[w->at++] = v;
    }
    return err;
}

/* Judges a batch under the lock: gc_get and gc_next read the table meanwhile. */
static int judge_batch(struct cycle *w, size_t n)
{
    int err = 0;
    MUTEX_GUARD(&w->gc->lock);

    for (size_t i = 0; i < n && err == 0; i++)
        err = judge_one(w, &w->ids[i], &w->opinions[i]);
    return err;
}

/* Are the `n` ids of this batch ascending, and all behind `after`? */
static bool in_order(const struct cycle *w, const struct id *after, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (after && id_compare(after, &w->ids[i]) >= 0)
            return false;
        after = &w->ids[i];
    }
    return true;
}

static bool is_cancelled(const struct cycle *w)
{
    return w->src->step && w->src->step(w->src->ctx, w->r->held);
}

/* Counts the objects that reports name and that were not listed, because they are where no cycle
 * looks. They are never collected. */
static int count_beyond(struct cycle *w)
{
    bool *counts = calloc(w->report_count + 1, sizeof *counts);
    uint64_t active = 0, pinned = 0;
    int err = counts ? 0 : -ENOMEM;

    for (size_t i = 0; i < w->report_count && err == 0; i++) {
        const struct gc_node *node = gc_nodes_find(&w->nodes, w->reports[i].node);
        counts[i] = node && w->reports[i].serial && !gc_node_is_stale(node, w->config, w->now);
    }
    if (err == 0)
        err = w->src->beyond(w->src->ctx, counts, &active, &pinned);
    free(counts);
    w->r->active += active;
    w->r->pinned += pinned;
    w->r->held += active + pinned;
    return err;
}

/* Goes through the whole listing in batches, and judges each id. An error ends it, and a partial
 * listing is never used. */
static int walk(struct cycle *w)
{
    struct id last;
    size_t n;
    int err;

    for (const struct id *after = NULL;; after = &last) {
        n = 0;
        err = w->src->list(w->src->ctx, after, w->ids, BATCH, &n);
        if (err < 0 || n == 0)
            break;
        if (n > BATCH || !in_order(w, after, n))
            return -EUCLEAN;
        err = collect_opinions(w, n);
        if (err == 0)
            err = judge_batch(w, n);
        if (err < 0)
            return err;
        if (is_cancelled(w))
            return -ECANCELED;
        last = w->ids[n - 1];
    }
    if (err == 0)
        pass_unheld(w, NULL);
    return err < 0 || !w->src->beyond ? err : count_beyond(w);
}

/* Looks up the whole ids of the eligible keys, for people to read. It does so for no more of them
 * than the history keeps. */
static int name_eligible(struct cycle *w)
{
    struct gc_result *r = w->r;
    size_t n = gc_recorded(r);

    if (n == 0 || !w->src->whole)
        return 0;
    r->whole = calloc(n, sizeof *r->whole);
    if (!r->whole)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        w->src->whole(w->src->ctx, &r->eligible[i], &r->whole[i]);
    return 0;
}

/* ---- publish, apply ---- */

/* Reserves all memory that is needed after the marks are published, so that nothing fails for want
 * of it then. */
static int reserve(struct cycle *w)
{
    size_t n = gc_recorded(w->r);

    w->record = n ? calloc(2 * n, sizeof *w->record) : NULL;
    if (n && !w->record)
        return -ENOMEM;
    if (w->gc->objects.count == 0)
        return 0; /* `found` takes its place */
    MUTEX_GUARD(&w->gc->lock);
    return gc_table_reserve(&w->gc->objects, w->found.count);
}

/* Does the published list have objects in this state? */
static bool is_listed(const struct cycle *w, uint8_t state)
{
    return state == GC_MARKED || (w->src->with_since && state == GC_UNREFERENCED);
}

/* Writes the list of marks as it will be after this cycle to `v`: the table and the new objects,
 * merged in the order of ids. Returns how many there are. */
static size_t list_marks(const struct cycle *w, uint64_t serial, struct gc_saved *v)
{
    int64_t epoch = clock_now(w->gc->clock) - clock_ticks(w->gc->clock); /* of the ticks */
    const struct gc_table *t = &w->gc->objects, *f = &w->found;
    size_t a = 0, b = 0, n = 0;

    while (a < t->count || b < f->count) {
        bool old = b == f->count || (a < t->count && id_compare(&t->v[a].id, &f->v[b].id) < 0);
        const struct gc_object *o = old ? &t->v[a] : &f->v[b];
        uint8_t state = old ? w->verdicts[a].state : o->state;
        bool anew = !old || w->verdicts[a].anew, now = !old || w->verdicts[a].since_now;
        if (is_listed(w, state))
            v[n++] = (struct gc_saved){.id = o->id,
                                       .since = (now ? w->now : o->since) + epoch,
                                       .mark = state != GC_MARKED ? 0
                                               : anew             ? (uint32_t)serial
                                                                  : o->mark};
        a += old;
        b += !old;
    }
    return n;
}

/* Builds the list of marks under `serial` and gives it to the callback. */
static int publish_marks(struct cycle *w, uint64_t serial)
{
    const uint64_t *kept = w->r->kept;
    struct gc_saved *v = calloc(w->r->eligible_count + kept[GC_KEEP_GRACE] + kept[GC_KEEP_STALE] +
                                    kept[GC_KEEP_UNASKED] + 1,
                                sizeof *v);
    int err = -ENOMEM;

    if (v)
        err = w->src->publish(w->src->ctx, serial, v, list_marks(w, serial, v));
    free(v);
    return err;
}

/* Publishes a new list of marks if it differs from the one in force. After an error the table is
 * unchanged, but the serial is used up and the next cycle publishes again. */
static int publish(struct cycle *w)
{
    struct gc *gc = w->gc;
    uint64_t serial;
    int err;

    if (!w->r->marked && !w->unmarked && !gc->unpublished &&
        !(w->src->with_since && w->changed))
        return 0;
    {
        /* The number is used up whatever becomes of it: a list that failed may have arrived. */
        MUTEX_GUARD(&gc->lock);
        if (gc->serial >= UINT32_MAX)
            return -EOVERFLOW;
        serial = ++gc->serial;
        gc->unpublished = true;
    }
    err = publish_marks(w, serial);
    if (err < 0)
        return err;
    MUTEX_GUARD(&gc->lock);
    gc->unpublished = false;
    w->r->serial = serial;
    return 0;
}

/* Writes the verdicts of the walk to the table, once the list of marks is published. */
static void apply(struct cycle *w)
{
    struct gc *gc = w->gc;
    MUTEX_GUARD(&gc->lock);

    for (size_t i = 0; i < gc->objects.count; i++) {
        struct gc_object *o = &gc->objects.v[i];
        const struct verdict *v = &w->verdicts[i];
        o->state = v->state;
        o->nodes = v->nodes;
        if (v->since_now)
            o->since = w->now;
        if (v->anew)
            o->mark = (uint32_t)gc->serial;
    }
    for (size_t i = 0; i < w->found.count; i++)
        w->found.v[i].mark = (uint32_t)gc->serial; /* only marked objects use it */
}

/* ---- remove ---- */

/* Removes the bytes of one object if `err`, the result of the last look, is 0. The callback runs
 * without the lock. Returns 0, -EBUSY: somebody needs the object, or another error. */
static int remove_bytes(struct cycle *w, struct gc_object *o, int err)
{
    struct gc *gc = w->gc;

    if (err == 0) {
        err = w->src->remove(w->src->ctx, &o->id);
        err = err == -ENOENT ? 0 : err; /* they were deleted already */
    }
    MUTEX_GUARD(&gc->lock);
    if (err == 0)
        o->state = GC_NONE;
    else if (err == -EBUSY)
        o->state = GC_ACTIVE; /* if it is released again, its grace period begins anew */
    gc->unpublished |= o->state != GC_MARKED;
    return err;
}

/* Takes the last look at one marked object and removes it; a dry run looks only. */
static void remove_one(struct cycle *w, struct gc_object *o)
{
    int err = w->src->look(w->src->ctx, &o->id);

    if (!w->dry)
        err = remove_bytes(w, o, err);
    if (err == 0)
        w->r->collected++;
    else
        w->r->kept[err == -EBUSY ? GC_KEEP_IN_USE : GC_KEEP_FAILED]++;
}

/* Removes the objects that an earlier cycle marked and whose mark all known nodes have
 * acknowledged. -ECANCELED: the cycle was cancelled; the objects that were left are counted as
 * GC_KEEP_FAILED. */
static int remove_marked(struct cycle *w)
{
    uint64_t covers = gc_nodes_covers(&w->nodes);
    struct gc_table *t = &w->gc->objects;
    bool cancelled = false;
    size_t tried = 0;

    for (size_t i = 0; i < t->count; i++) {
        const struct verdict *v = &w->verdicts[i];
        if (v->state != GC_MARKED || v->anew || v->unasked)
            continue;
        if (t->v[i].mark > covers) {
            w->r->kept[GC_KEEP_UNACKNOWLEDGED]++;
            continue;
        }
        cancelled = cancelled || (tried++ % BATCH == BATCH - 1 && is_cancelled(w));
        if (cancelled)
            w->r->kept[GC_KEEP_FAILED]++;
        else
            remove_one(w, &t->v[i]);
    }
    return cancelled ? -ECANCELED : 0;
}

/* ---- the end ---- */

/* Makes the copy of the nodes the one that the coordinator keeps. The old one is released by
 * cycle_end. */
static void keep_nodes(struct cycle *w)
{
    struct gc_nodes old = w->gc->nodes;

    w->gc->nodes = w->nodes;
    w->nodes = old;
}

/* Ends a cycle that was applied: the table without the removed objects and with the new ones, the
 * nodes, and a record in the history if anything was eligible. */
static void finish(struct cycle *w)
{
    struct gc *gc = w->gc;
    MUTEX_GUARD(&gc->lock);

    if (gc->objects.count == 0) {
        struct gc_table old = gc->objects;
        gc->objects = w->found;
        w->found = old;
    } else {
        gc_table_squeeze(&gc->objects);
        gc_table_merge(&gc->objects, &w->found);
    }
    keep_nodes(w);
    gc->cycles++;
    if (w->r->eligible_count == 0)
        return;
    gc_record_cycle(gc, w->r, w->record);
    w->record = NULL;
}

/* All steps after observe. A dry run stops before anything is published or changed. */
static int run_cycle(struct cycle *w)
{
    int err;

    w->verdicts = calloc(w->gc->objects.count + 1, sizeof *w->verdicts);
    if (!w->verdicts)
        return -ENOMEM;
    count_beside(w);
    err = walk(w);
    if (err == 0)
        err = name_eligible(w);
    if (err < 0)
        return err;
    if (w->dry)
        return remove_marked(w);
    err = reserve(w);
    if (err == 0)
        err = publish(w);
    if (err < 0)
        return err;
    apply(w);
    w->applied = true;
    err = remove_marked(w);
    finish(w);
    return err;
}

/* Lets the next cycle begin, and releases all but the result. */
static void cycle_end(struct cycle *w)
{
    {
        MUTEX_GUARD(&w->gc->lock);
        w->gc->running = false;
    }
    gc_nodes_release(&w->nodes);
    free(w->verdicts);
    free(w->found.v);
    free(w->record);
}

int gc_cycle(struct gc *gc, const struct gc_config *config, const struct gc_sources *sources,
             const struct gc_options *options, struct gc_result *ret)
{
    struct cycle *w;
    bool applied;
    int err;

    *ret = (struct gc_result){0};
    err = begin_cycle(gc, config, sources, ret, &w);
    if (err < 0)
        return err;
    w->dry = options->dry_run;
    err = observe(w);
    if (err == 0 && !ret->below_minimum) {
        err = run_cycle(w);
    } else if (err == 0 && !w->dry) {
        MUTEX_GUARD(&gc->lock);
        keep_nodes(w);
        gc->cycles++;
    }
    applied = w->applied;
    cycle_end(w);
    free(w);
    if (err < 0 && !applied)
        gc_result_release(ret);
    return err;
}

int gc_observe(struct gc *gc, const struct gc_config *config, const struct gc_sources *sources)
{
    struct gc_result r = {.cycle = 0};
    struct cycle *w;
    int err = begin_cycle(gc, config, sources, &r, &w);

    if (err < 0)
        return err;
    err = observe(w);
    if (err == 0) {
        MUTEX_GUARD(&gc->lock);
        keep_nodes(w);
    }
    cycle_end(w);
    free(w);
    gc_result_release(&r);
    return err;
}

void gc_result_release(struct gc_result *r)
{
    free(r->eligible);
    free(r->whole);
    free(r->stale);
    *r = (struct gc_result){0};
}
