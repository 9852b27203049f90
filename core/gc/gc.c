// SPDX-License-Identifier: Apache-2.0
/*
 * gc: states and history. gc_cycle.c has the cycle.
 */
#include "gc_impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const gc_keep_names[GC_KEEP_REASONS] = {
    [GC_KEEP_GRACE] = "grace",       [GC_KEEP_STALE] = "stale_node",
    [GC_KEEP_NEW_MARK] = "new_mark", [GC_KEEP_UNACKNOWLEDGED] = "unacknowledged",
    [GC_KEEP_IN_USE] = "in_use",     [GC_KEEP_FAILED] = "failed",
    [GC_KEEP_UNASKED] = "unasked",
};

int gc_create(const struct clock *clock, uint64_t serial, struct gc **ret_gc)
{
    struct gc *gc = calloc(1, sizeof *gc);

    if (!gc)
        return -ENOMEM;
    gc->clock = clock;
    gc->serial = serial;
    mutex_init(&gc->lock, "gc");
    *ret_gc = gc;
    return 0;
}

void gc_destroy(struct gc *gc)
{
    if (!gc)
        return;
    free(gc->objects.v);
    gc_nodes_release(&gc->nodes);
    for (size_t i = 0; i < GC_HISTORY_MAX; i++)
        free(gc->history[i].ids);
    mutex_destroy(&gc->lock);
    free(gc);
}

/* ---- objects ---- */

void gc_get(struct gc *gc, const struct id *id, struct gc_object_info *ret)
{
    int64_t ago;
    MUTEX_GUARD(&gc->lock);
    const struct gc_table *t = &gc->objects;
    size_t at = gc_table_at(t, id);
    const struct gc_object *o = at < t->count && id_equal(&t->v[at].id, id) ? &t->v[at] : NULL;

    *ret = (struct gc_object_info){.state = o ? o->state : GC_NONE, .nodes = o ? o->nodes : 0};
    if (ret->state != GC_UNREFERENCED && ret->state != GC_MARKED)
        return;
    ago = clock_ticks(gc->clock) - o->since;
    ret->since = clock_now(gc->clock) - ago;
}

int gc_next(struct gc *gc, const struct id *from, struct id *ret_id, struct gc_object_info *ret)
{
    {
        MUTEX_GUARD(&gc->lock);
        const struct gc_table *t = &gc->objects;
        size_t at = gc_table_at(t, from);

        if (at == t->count)
            return -ENOENT;
        *ret_id = t->v[at].id;
    }
    gc_get(gc, ret_id, ret);
    return 0;
}

/* ---- history ---- */

/* Puts a cycle into the history, over the oldest record when it is full. It takes over `ids`, which
 * has room for the keys and the whole ids of the first GC_HISTORY_IDS eligible objects. */
void gc_record_cycle(struct gc *gc, const struct gc_result *r, struct id *ids)
{
    struct gc_record *h = &gc->history[gc->records++ % GC_HISTORY_MAX];

    mutex_held(&gc->lock);
    free(h->ids);
    *h = (struct gc_record){.cycle = r->cycle,
                            .time = clock_now(gc->clock),
                            .eligible = r->eligible_count,
                            .collected = r->collected,
                            .preserved = r->active + r->pinned,
                            .nodes = r->reporting,
                            .ids = ids};
    h->id_count = gc_recorded(r);
    memcpy(ids, r->eligible, h->id_count * sizeof *ids);
    if (r->whole) {
        h->whole = ids + h->id_count;
        memcpy(h->whole, r->whole, h->id_count * sizeof *ids);
    }
}

/* Copies a record with its ids. The caller owns *to, which shares nothing with *from. */
static int copy_record(const struct gc_record *from, struct gc_record *to)
{
    struct id *ids = calloc(2 * from->id_count + 1, sizeof *ids);

    if (!ids)
        return -ENOMEM;
    *to = *from;
    to->ids = ids;
    to->whole = from->whole ? ids + from->id_count : NULL;
    if (from->id_count)
        memcpy(ids, from->ids, from->id_count * sizeof *ids);
    if (from->id_count && from->whole)
        memcpy(to->whole, from->whole, from->id_count * sizeof *ids);
    return 0;
}

int gc_history_get(struct gc *gc, size_t i, struct gc_record *ret)
{
    MUTEX_GUARD(&gc->lock);

    if (i >= gc->records || i >= GC_HISTORY_MAX)
        return -ENOENT;
    return copy_record(&gc->history[(gc->records - 1 - i) % GC_HISTORY_MAX], ret);
}

/* ---- what outlives the process ---- */

/* Only unreferenced and marked objects outlive the process: the others are found again by the next
 * cycle. */
static bool is_saved(const struct gc_object *o)
{
    return o->state == GC_UNREFERENCED || o->state == GC_MARKED;
}

int gc_save(struct gc *gc, struct gc_saved **ret_v, size_t *ret_count)
{
    int64_t epoch = clock_now(gc->clock) - clock_ticks(gc->clock); /* of the ticks */
    MUTEX_GUARD(&gc->lock);
    const struct gc_table *t = &gc->objects;
    struct gc_saved *v = calloc(t->count + 1, sizeof *v);
    size_t n = 0;

    if (!v || gc->running) {
        free(v);
        return v ? -EBUSY : -ENOMEM;
    }
    for (size_t i = 0; i < t->count; i++) {
        const struct gc_object *o = &t->v[i];
        if (is_saved(o))
            v[n++] = (struct gc_saved){.id = o->id,
                                       .since = o->since + epoch,
                                       .mark = o->state == GC_MARKED ? o->mark : 0};
    }
    *ret_v = v;
    *ret_count = n;
    return 0;
}

uint64_t gc_serial(struct gc *gc)
{
    MUTEX_GUARD(&gc->lock);
    return gc->serial;
}

uint64_t gc_cycles(struct gc *gc)
{
    MUTEX_GUARD(&gc->lock);
    return gc->cycles;
}

/* Builds a table from objects that were saved, with marks up to `serial`. The caller frees the
 * table, also after an error. */
static int table_of(const struct gc *gc, uint64_t serial, const struct gc_saved *v, size_t count,
                    struct gc_table *ret)
{
    int64_t now = clock_ticks(gc->clock), epoch = clock_now(gc->clock) - now;
    int err = gc_table_reserve(ret, count);

    for (size_t i = 0; i < count && err == 0; i++) {
        int64_t since = v[i].since - epoch;
        if (v[i].mark > serial || (i && id_compare(&v[i - 1].id, &v[i].id) >= 0))
            err = -EUCLEAN;
        else
            ret->v[i] = (struct gc_object){.id = v[i].id,
                                           .since = since < now ? since : now,
                                           .mark = v[i].mark,
                                           .state = v[i].mark ? GC_MARKED : GC_UNREFERENCED};
    }
    ret->count = count;
    return err;
}

/* Replaces the whole table of objects by one made from `v`. After an error the old one stays. The
 * caller holds the lock. */
static int replace_table(struct gc *gc, uint64_t serial, const struct gc_saved *v, size_t count)
{
    struct gc_table t = {.count = 0};
    int err = table_of(gc, serial, v, count, &t);

    mutex_held(&gc->lock);
    if (err < 0) {
        free(t.v);
        return err;
    }
    free(gc->objects.v);
    gc->objects = t;
    return 0;
}

int gc_restore(struct gc *gc, uint64_t cycles, const struct gc_saved *v, size_t count)
{
    MUTEX_GUARD(&gc->lock);
    int err = replace_table(gc, gc->serial, v, count);

    if (err == 0)
        gc->cycles = cycles;
    return err;
}

int gc_take_over(struct gc *gc, uint64_t serial, const struct gc_saved *v, size_t count)
{
    MUTEX_GUARD(&gc->lock);
    int err = gc->running ? -EBUSY : replace_table(gc, serial, v, count);

    if (err < 0)
        return err;
    gc->serial = serial;
    gc->unpublished = false;
    return 0;
}

int gc_restore_record(struct gc *gc, const struct gc_record *r)
{
    struct gc_record copy;
    MUTEX_GUARD(&gc->lock);
    struct gc_record *h = &gc->history[gc->records % GC_HISTORY_MAX];
    int err = copy_record(r, &copy);

    if (err < 0)
        return err;
    free(h->ids);
    *h = copy;
    gc->records++;
    return 0;
}
