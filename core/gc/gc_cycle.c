// SPDX-License-Identifier: Apache-2.0
/*
 * gc_cycle: one cycle, in steps that each leave all as it was until the next one begins:
 *
 *     observe    which reports there are, and what of their nodes can be believed
 *     walk       the listing, the table and the reports, side by side, into verdicts
 *     publish    the list of marks, under a new serial
 *     apply      the verdicts
 *     remove     what earlier cycles marked, all acknowledged, and a last look finds unreferenced
 *     finish     the table as it is now, nodes, history
 *
 * The table's array is changed by apply and finish alone, and there is one cycle at a time: so the
 * walk reads it without the lock.
 */
#include "array.h"
#include "gc_impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 1024 /* ids asked for, or looked at, at once */

/* What becomes of one object of the table. */
struct verdict {
    uint16_t nodes;
    uint8_t state;  /* GC_NONE: it is not held any more */
    bool since_now; /* unreferenced since this cycle */
    bool anew;      /* marked by this cycle */
    bool unasked;   /* it is as it was */
};

/* What all reports together say of one id. */
struct opinion {
    uint16_t nodes;
    uint8_t named; /* enum gc_named */
    bool stale;    /* a stale node names it, and that counts */
};

struct cycle {
    struct gc *gc;
    const struct gc_config *config;
    const struct gc_sources *src;
    struct gc_result *r;
    bool dry;
    int64_t now;           /* ticks */
    struct gc_nodes nodes; /* as they are from now on */
    const struct gc_report *reports;
    size_t report_count;
    struct verdict *verdicts; /* by place in the table */
    size_t at;                /* place in the table up to which ids were met */
    struct gc_table found;    /* held, and not in the table */
    size_t eligible_room;
    bool unmarked;     /* something is no longer marked */
    bool changed;      /* something else is unreferenced or marked than before */
    bool applied;      /* there is no way back */
    struct id *record; /* ids for the history */
    struct id ids[BATCH];
    uint8_t names[BATCH];
    struct opinion opinions[BATCH];
};

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

/* *ret_w: nothing is done yet; for cycle_end and free. */
static int begin(struct gc *gc, const struct gc_config *config, const struct gc_sources *sources,
                 struct gc_result *r, struct cycle **ret_w)
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

static int list_stale(struct cycle *w)
{
    size_t room = 0;

    for (size_t i = 0; i < w->nodes.count; i++) {
        const struct gc_node *n = &w->nodes.v[i];
        w->r->reporting += gc_node_reports(n, w->config, w->now);
        if (n->retired || !gc_node_is_stale(n, w->config, w->now))
            continue;
        if (ARRAY_RESERVE(w->r->stale, room, w->r->stale_count + 1) < 0)
            return -ENOMEM;
        w->r->stale[w->r->stale_count++] = n->id;
    }
    return 0;
}

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

/* What reports that count name beside the listing. */
static void count_beside(struct cycle *w)
{
    for (size_t i = 0; i < w->report_count; i++) {
        const struct gc_report *r = &w->reports[i];
        const struct gc_node *node = gc_nodes_find(&w->nodes, r->node);
        if (!node || !gc_node_counts(node, w->config, w->now))
            continue;
        w->r->active += r->active;
        w->r->pinned += r->pinned;
        w->r->held += r->active + r->pinned;
    }
}

/* ---- walk ---- */

/* One report's word on the `n` ids of this batch. */
static int ask(struct cycle *w, const struct gc_report *r, size_t n)
{
    const struct gc_node *node = gc_nodes_find(&w->nodes, r->node);
    bool stale;
    int err;

    /* A retired one's node may be forgotten; one with serial 0 has said nothing yet. */
    if (!node || r->serial == 0 || !gc_node_counts(node, w->config, w->now))
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

/* As it was; of one that nobody knew nothing is claimed. */
static struct verdict leave(const struct gc_object *o, bool before)
{
    return (struct verdict){.nodes = o ? o->nodes : 0,
                            .state = before ? o->state : GC_ACTIVE,
                            .unasked = before};
}

/* `o`: how it stands in the table, or NULL. */
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

static int find_new(struct cycle *w, const struct id *id, const struct verdict *v)
{
    if (ARRAY_RESERVE(w->found.v, w->found.room, w->found.count + 1) < 0)
        return -ENOMEM;
    w->found.v[w->found.count++] =
        (struct gc_object){.id = *id, .since = w->now, .nodes = v->nodes, .state = v->state};
    return 0;
}

/* Those of the table that come before `id` (NULL: all that are left) were not listed. */
static void pass_unheld(struct cycle *w, const struct id *id)
{
    const struct gc_table *t = &w->gc->objects;

    for (; w->at < t->count && (!id || id_compare(&t->v[w->at].id, id) < 0); w->at++) {
        w->unmarked |= t->v[w->at].state == GC_MARKED;
        w->changed |= is_missed(t->v[w->at].state);
    }
}

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

static int judge_batch(struct cycle *w, size_t n)
{
    int err = 0;
    MUTEX_GUARD(&w->gc->lock);

    for (size_t i = 0; i < n && err == 0; i++)
        err = judge_one(w, &w->ids[i], &w->opinions[i]);
    return err;
}

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

/* What is named and was not listed: it is where no cycle looks, and stays. */
static int count_beyond(struct cycle *w)
{
    bool *counts = calloc(w->report_count + 1, sizeof *counts);
    uint64_t active = 0, pinned = 0;
    int err = counts ? 0 : -ENOMEM;

    for (size_t i = 0; i < w->report_count && err == 0; i++) {
        const struct gc_node *node = gc_nodes_find(&w->nodes, w->reports[i].node);
        counts[i] = node && w->reports[i].serial && gc_node_counts(node, w->config, w->now) &&
                    !gc_node_is_stale(node, w->config, w->now);
    }
    if (err == 0)
        err = w->src->beyond(w->src->ctx, counts, &active, &pinned);
    free(counts);
    w->r->active += active;
    w->r->pinned += pinned;
    w->r->held += active + pinned;
    return err;
}

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

/* What keys stand for, for people: of no more than the history keeps. */
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

/* All that can fail after the marks are out. */
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

static bool is_listed(const struct cycle *w, uint8_t state)
{
    return state == GC_MARKED || (w->src->with_since && state == GC_UNREFERENCED);
}

/* The list of marks, as it is from now on: what is new stands between what was known. */
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
        w->found.v[i].mark = (uint32_t)gc->serial; /* looked at in MARKED ones only */
}

/* ---- remove ---- */

/* The last look was `err`. */
static int remove_bytes(struct cycle *w, struct gc_object *o, int err)
{
    struct gc *gc = w->gc;
    MUTEX_GUARD(&gc->lock);

    if (err == 0) {
        err = w->src->remove(w->src->ctx, &o->id);
        err = err == -ENOENT ? 0 : err; /* gone already */
    }
    if (err == 0)
        o->state = GC_NONE;
    else if (err == -EBUSY)
        o->state = GC_ACTIVE; /* should it be let go again, its grace begins anew */
    gc->unpublished |= o->state != GC_MARKED;
    return err;
}

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

/* -ECANCELED: what is left counts as failed. */
static int remove_marked(struct cycle *w)
{
    uint64_t covers = gc_nodes_covers(&w->nodes, w->config, w->now);
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

static void keep_nodes(struct cycle *w)
{
    struct gc_nodes old = w->gc->nodes;

    w->gc->nodes = w->nodes;
    w->nodes = old;
}

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

static int run(struct cycle *w)
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
    err = begin(gc, config, sources, ret, &w);
    if (err < 0)
        return err;
    w->dry = options->dry_run;
    err = observe(w);
    if (err == 0 && !ret->below_minimum) {
        err = run(w);
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
    int err = begin(gc, config, sources, &r, &w);

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
