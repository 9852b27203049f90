// SPDX-License-Identifier: Apache-2.0
/* gc_pool: see the header. */
#include "gc_pool.h"
#include "array.h"
#include "durability.h"
#include "flush.h"
#include "gc_pool_impl.h"
#include "job.h"
#include "pool_file.h"
#include "pool_marks.h"
#include "report.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int gc_pool_say(struct gc_pool_run *c, int err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(c->why, GC_POOL_WHY, fmt, args);
    va_end(args);
    return err;
}

/* A cycle ends when the store closes, or when its job is cancelled. */
static bool cancelled(const struct gc_pool_run *c)
{
    return atomic_load(&c->p->closing) || (c->job && atomic_load(&c->job->cancel));
}

static bool listing_step(void *ctx, uint64_t n)
{
    const struct gc_pool_run *c = ctx;

    (void)n;
    return cancelled(c);
}

/* Reads the listing before the reports: what is put after the listing is not in it, and so cannot
 * be collected by this cycle. */
static int get_reports(void *ctx, const struct gc_report **ret_v, size_t *ret_count)
{
    struct gc_pool_run *c = ctx;
    int err = pool_held_list(disk_of(c), listing_step, c, &c->held, c->why);

    if (err == 0)
        err = gc_pool_read(c);
    if (err < 0)
        return err;
    *ret_v = c->reports;
    *ret_count = c->nodes;
    return 0;
}

/* ---- the listing ---- */

/* gc_sources.list over the listing in memory, which is sorted. */
static int get_list(void *ctx, const struct id *after, struct id *out, size_t max,
                    size_t *ret_count)
{
    const struct gc_pool_run *c = ctx;
    const struct pool_held *h = &c->held;
    size_t at = after ? id_lower_bound(h->keys, h->count, sizeof *h->keys, after) : 0, n;

    at += after && at < h->count && id_equal(&h->keys[at].key, after);
    n = h->count - at < max ? h->count - at : max;
    for (size_t i = 0; i < n; i++)
        out[i] = h->keys[at + i].key;
    *ret_count = n;
    return 0;
}

static void get_whole(void *ctx, const struct id *key, struct id *ret)
{
    const struct gc_pool_run *c = ctx;

    *ret = pool_held_whole(&c->held, key);
}

/* Shows progress and beats the lease. True ends the cycle: it was cancelled, or the lease was
 * lost. */
static bool step(void *ctx, uint64_t listed)
{
    struct gc_pool_run *c = ctx;
    struct lease *l = &c->p->node->lease;
    int64_t at = ticks(c->p);

    if (c->job)
        job_progress(c->p, c->job, listed, c->held.count);
    if (l->own.term && at - c->beaten >= BEAT_EVERY) {
        c->beaten = at;
        c->lost = lease_beat(disk_of(c), l) == -ESTALE;
    }
    return c->lost || cancelled(c);
}

/* ---- marks ---- */

/* gc_sources.publish: writes the list under the next serial, which only one node can do. */
static int publish(void *ctx, uint64_t serial, const struct gc_saved *v, size_t count)
{
    struct gc_pool_run *c = ctx;
    struct pool_marks list = {.serial = serial, .v = (struct gc_saved *)v, .count = count};
    int err = pool_marks_publish(disk_of(c), c->p->shared->node, &list);

    if (err == 0)
        c->in_force = serial;
    else if (err == -EEXIST || err == -ESTALE)
        gc_pool_say(c, err, "another node's cycle was faster: this one removed nothing");
    return err;
}

int gc_pool_follow(struct gc_pool_run *c)
{
    struct pool_node *n = c->p->node;
    struct pool_marks list = {.serial = 0};
    uint64_t known = gc_serial(n->gc), from, serial;
    int err;

    {
        MUTEX_GUARD(&n->lock);
        from = n->status.ack;
    }
    err = pool_marks_newest(disk_of(c), from, &serial);

    if (err == 0 && serial && (n->reload || serial != known))
        err = pool_marks_read(disk_of(c), serial, &list);
    if (err == 0 && (n->reload || serial != known))
        err = gc_take_over(n->gc, serial, list.v, list.count);
    pool_marks_release(&list);
    if (err < 0)
        return gc_pool_say(c, err, "the lists of marks cannot be read (%s): nothing is collected",
                           strerror(-err));
    n->reload = false;
    c->in_force = serial;
    return 0;
}

/* ---- the last look ---- */

/* Reads the newest serial and the heads of all nodes. -ESTALE: another node has published since, so
 * the proof in gc_pool.h does not hold and nothing more is removed. */
static int look_around(struct gc_pool_run *c)
{
    uint64_t serial;
    int err = pool_marks_newest(disk_of(c), c->in_force, &serial);

    c->alone = false;
    if (err < 0)
        return err;
    if (serial != c->in_force)
        return gc_pool_say(c, -ESTALE,
                           "another node published a list meanwhile: nothing more is removed");
    err = gc_pool_read_newer(c);
    c->alone = err == 0;
    return err;
}

/* gc_sources.look. Every LOOK_AT_ONCE removals it looks at all nodes again. In between it asks the
 * newer reports in memory: -EBUSY: one of them names the key. */
static int look_up(void *ctx, const struct id *key)
{
    struct gc_pool_run *c = ctx;
    int err = c->looks++ % LOOK_AT_ONCE == 0 ? look_around(c) : c->alone ? 0 : -ESTALE;

    for (unsigned i = 0; i < c->nodes && err == 0; i++) {
        struct pool_record r;
        if (!c->members[i].newer)
            continue;
        err = pool_report_get(c->members[i].newer, key, &r);
        err = err == 0 ? -EBUSY : err == -ENOENT ? 0 : err;
    }
    return err;
}

/* gc_sources.remove: only notes the key. The keys of one pack are removed together, so all wait for
 * remove_gone. */
static int put_aside(void *ctx, const struct id *key)
{
    struct gc_pool_run *c = ctx;

    if (ARRAY_RESERVE(c->gone, c->gone_room, c->gone_count + 1) < 0)
        return -ENOMEM;
    c->gone[c->gone_count++] = *key;
    return 0;
}

/* ---- afterwards ---- */

/* Removes all noted keys, and corrects the result by those that could not be removed. They are
 * still marked in the list in force, and the next cycle reads them there (`reload`). */
static int remove_gone(struct gc_pool_run *c, struct gc_result *r, struct pool_removed *ret)
{
    uint8_t *done = calloc(c->gone_count + 1, 1);
    size_t left = 0;
    int err = done ? 0 : -ENOMEM;

    *ret = (struct pool_removed){.files = 0};
    if (done && c->gone_count)
        err = pool_held_remove(disk_of(c), c->p->shared->node, c->gone, c->gone_count, done, ret);
    for (size_t i = 0; i < c->gone_count; i++)
        left += !done || !done[i];
    free(done);
    r->collected -= left;
    r->kept[GC_KEEP_FAILED] += left;
    c->p->node->reload |= left > 0;
    return err;
}

/* Adds the result of a cycle to the totals of the status. */
static void note_result(struct gc_pool_run *c, const struct gc_result *r,
                        const struct pool_removed *removed)
{
    struct pool_node *n = c->p->node;
    MUTEX_GUARD(&n->lock);

    n->status.cycles++;
    n->status.collected += r->collected;
    n->status.collected_bytes += removed->bytes;
    n->status.unindexed = c->held.unindexed;
    memcpy(n->status.kept, r->kept, sizeof r->kept);
}

/* What follows the engine: the removals, the missing indexes, the status, and old lists of marks
 * that every node has acknowledged. */
static int end_cycle(struct gc_pool_run *c, struct gc_result *r)
{
    struct pool_removed removed;
    int err = remove_gone(c, r, &removed);

    if (err == 0)
        err = gc_pool_finish_retired(c);
    note_result(c, r, &removed);
    (void)pool_marks_prune(disk_of(c), c->p->shared->node, gc_pool_least_ack(c));
    if (err < 0 && !*c->why)
        gc_pool_say(c, err, "removing failed (%s): %llu objects are tried again", strerror(-err),
                    (unsigned long long)r->kept[GC_KEEP_FAILED]);
    return err;
}

/* ---- packs ---- */

/* Is this own pack still open? Packs of earlier incarnations are closed; a pack of this one is
 * closed when it is never appended to again. */
static bool is_open(void *ctx, uint64_t pack)
{
    struct state *p = ctx;
    struct pack_info info;

    if (pool_number_incarnation(pack) != p->shared->incarnation)
        return false;
    if (packs_is_known(p->packs, pack) == 0)
        return false;
    return packs_next_closed(p->packs, 0, pack - 1, &info) < 0 || info.number != pack;
}

/* The next own closed pack of this incarnation. */
static bool next_closed(struct state *p, uint64_t after, uint64_t *ret_pack)
{
    struct pack_info info;

    if (packs_next_closed(p->packs, 0, after, &info) < 0)
        return false;
    *ret_pack = info.number;
    return info.number <= pool_number(p->shared->node, p->shared->incarnation, UINT32_MAX);
}

int gc_pool_index_closed(struct state *p, bool all)
{
    uint64_t pack, *indexed = &p->node->indexed, to = *indexed;
    int err = 0;

    mutex_held(&p->node->report);
    if (to == 0)
        to = pool_number(p->shared->node, p->shared->incarnation, 0);
    if (*indexed == 0 || all) {
        while (next_closed(p, to, &pack))
            to = pack;
        err = pool_index_new_packs(p->shared->disk, p->shared->node, is_open, p);
        if (err < 0)
            return err;
    }
    for (*indexed = to; err == 0 && next_closed(p, *indexed, &pack);) {
        err = pool_index_pack(p->shared->disk, p->shared->node, pack);
        if (err == 0)
            *indexed = pack;
    }
    return err;
}

/* Indexes the own closed packs. Here an error ends the cycle: without an index the listing has not
 * all that the pool holds. */
static int index_own(struct gc_pool_run *c)
{
    unsigned node = c->p->shared->node;
    int err = pool_index_packs(disk_of(c), node, node, is_open, c->p, NULL);

    if (err == 0)
        return 0;
    return gc_pool_say(c, err,
                       "the packs of this store cannot be indexed (%s): nothing is collected",
                       strerror(-err));
}

/* ---- a cycle ---- */

static const struct gc_sources sources_of = {.reports = get_reports,
                                             .names = gc_pool_names,
                                             .list = get_list,
                                             .beyond = gc_pool_beyond,
                                             .publish = publish,
                                             .with_since = true,
                                             .look = look_up,
                                             .remove = put_aside,
                                             .whole = get_whole,
                                             .step = step};

/* stale_policy = drop: retires the stale nodes before the cycle. */
static int drop_stale(struct gc_pool_run *c)
{
    size_t retired;
    int err = gc_pool_look(c);

    if (err == 0)
        err = gc_pool_retire_stale(c, "stale_policy is drop", &retired);
    return err;
}

/* Closes the open pack if something in it is dead, since only a closed pack can be collected. */
static int close_open_pack(struct state *p)
{
    int err = flush_is_idle(p) ? 0 : flush_now(p);

    if (err < 0)
        return err;
    (void)flush_reclaim_dead(p, SIZE_MAX);
    READ_GUARD(&p->freeze_lock);
    return packs_retire_dead(p->packs, 1);
}

/* All that comes before the engine runs: the own report, the own indexes, the list in force, and
 * the stale nodes. */
static int prepare(struct gc_pool_run *c, bool dry_run)
{
    int err = dry_run ? 0 : close_open_pack(c->p);

    if (err == 0)
        err = pool_node_report(c->p);
    if (err < 0)
        return gc_pool_say(c, err,
                           "this store's own report cannot be written (%s): nothing is collected",
                           strerror(-err));
    err = dry_run ? 0 : index_own(c);
    if (err == 0)
        err = gc_pool_follow(c);
    if (err == 0 && !dry_run && settings_get(&c->p->settings, SET_STALE_POLICY) == STALE_DROP)
        err = drop_stale(c);
    return err;
}

/* Runs the engine with the callbacks of this file. After an error the outcome of a publication may
 * be unknown, so the list is read again by the next cycle. */
static int run_engine(struct gc_pool_run *c, bool dry_run, int64_t grace, struct gc_result *ret)
{
    struct pool_node *n = c->p->node;
    struct gc_sources sources = sources_of;
    struct gc_config config;
    int err;

    sources.ctx = c;
    state_gc_config(c->p, &config);
    err = prepare(c, dry_run);
    if (err < 0)
        return err;
    if (grace >= 0)
        config.grace_period = grace;
    err = gc_cycle(n->gc, &config, &sources, &(struct gc_options){.dry_run = dry_run}, ret);
    if (err == -ECANCELED && c->lost)
        err = gc_pool_say(c, -EBUSY,
                          "another node took the lease of the pool meanwhile: this cycle ended "
                          "early");
    if (err < 0)
        n->reload = true;
    if (!dry_run && ret->cycle) { /* also one that was cancelled half-way */
        int end = end_cycle(c, ret);
        err = err < 0 ? err : end;
    }
    return err;
}

/* Begins a cycle as soon as no thread looks at the nodes (with_nodes). -EBUSY: another cycle
 * runs. */
static int begin_run(struct gc_pool_run *c)
{
    struct pool_node *n = c->p->node;
    MUTEX_GUARD(&n->looking);

    if (atomic_exchange(&n->running, true))
        return gc_pool_say(c, -EBUSY, "this store runs a GC cycle of the pool already");
    return 0;
}

/* Takes the lease. -EBUSY: another node has it, and `why` names that node. */
static int take_lease(struct gc_pool_run *c)
{
    const struct pool_member *s = c->p->shared;
    struct lease *l = &c->p->node->lease;
    int err = lease_take(s->disk, c->p->clock, s->node, s->incarnation, l);

    if (err == -EBUSY && l->seen.node)
        return gc_pool_say(c, err,
                           "node %u runs a GC cycle of the pool, or did so until a moment ago",
                           l->seen.node);
    if (err < 0 && err != -EBUSY)
        return gc_pool_say(c, err,
                           "the lease of the pool cannot be taken (%s): nothing is collected",
                           strerror(-err));
    c->beaten = ticks(c->p);
    return err;
}

/* Keeps the outcome for the status. */
static void note_end(struct state *p, int err, const char *why)
{
    struct pool_node_status *s = &p->node->status;
    MUTEX_GUARD(&p->node->lock);

    s->cycle_error = err;
    snprintf(s->why, sizeof s->why, "%s", err < 0 ? why : "");
}

int gc_pool_cycle(struct state *p, struct job *j, bool dry_run, int64_t grace,
                  struct gc_result *ret, char why[GC_POOL_WHY])
{
    struct gc_pool_run c = {.p = p, .job = j, .why = why};
    int err = state_writable(p);

    *why = 0;
    *ret = (struct gc_result){.cycle = 0};
    if (err == 0)
        err = begin_run(&c);
    if (err < 0)
        return err;
    err = dry_run ? 0 : take_lease(&c);
    if (err == 0)
        err = run_engine(&c, dry_run, grace, ret);
    if (!dry_run)
        (void)lease_release(p->shared->disk, &p->node->lease);
    note_end(p, err, why);
    gc_pool_forget(&c);
    pool_held_release(&c.held);
    free(c.gone);
    atomic_store(&p->node->running, false);
    return err;
}
