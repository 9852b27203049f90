// SPDX-License-Identifier: Apache-2.0
/*
 * gc_store: GC cycles of a store alone. It is one node, and its home shard is its own. It gives the
 * engine (gc.h) these callbacks:
 *
 *     reports   gives one report, made for this cycle. To know what the store needs, it searches
 *               for what the store does not need (leaks.h). Needed objects are counted, and not
 *               listed
 *     list      gives what that search found
 *     names     says whether a leak is needed after all: by a change since the last commit, or by
 *               something in progress
 *     publish   stores the serial durably; no other node has to read the list
 *     look      as names, with all changes shut out
 *     remove    looks again, then deletes
 *
 * After the engine, the unreferenced and marked leaks are saved (gc_record.h). A cycle runs only on
 * command. A leak on another shard is already deleted by `look`, and not by `remove` under the lock
 * of the coordinator: a shard may be slow, and no change can come to need the leak meanwhile. The
 * references of deleted pages are given back only by a recount, so one follows.
 *
 * A store in a pool searches for its own leaks in the same way, and then runs a cycle of the pool
 * (gc_pool.h).
 */
#include "durability.h"
#include "flush.h"
#include "gc_pool.h"
#include "gc_record.h"
#include "gc_store_impl.h"
#include "gc_text.h"
#include "job.h"
#include "leaks.h"
#include "pool_format.h"
#include "state.h"
#include "rebuild.h"
#include "report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cycle {
    struct state *p;
    struct job *job;
    struct gc_report report;
    struct leaks leaks;
    bool dry;
    uint64_t removed_bytes;
};

/* ---- what the coordinator asks ---- */

static bool cancelled(struct cycle *c)
{
    return atomic_load(&c->p->closing) || (c->job && atomic_load(&c->job->cancel));
}

static bool search_step(void *ctx, uint64_t done, uint64_t total)
{
    struct cycle *c = ctx;

    if (c->job)
        job_progress(c->p, c->job, done, total);
    return cancelled(c);
}

/* gc_sources.reports: commits first, so that the search finds the last changes in the tables, and
 * then searches for leaks. */
static int get_reports(void *ctx, const struct gc_report **ret_v, size_t *ret_count)
{
    struct cycle *c = ctx;
    struct state *p = c->p;
    struct refs_stats refs;
    int err = p->gc->unsettled || !flush_is_idle(p) ? flush_now(p) : 0;

    if (err == 0)
        err = leaks_find(p, search_step, c, &c->leaks);
    if (err == 0)
        err = leaks_remember(&c->leaks, p->gc->gc);
    if (err < 0)
        return err;
    refs_get_stats(p->refs, &refs);
    c->report =
        (struct gc_report){.node = p->gc->node,
                           .serial = atomic_fetch_add(&p->gc->report, 1) + 1,
                           .ack = gc_serial(p->gc->gc),
                           .timestamp = now(p),
                           .own = true,
                           .active = refs.objects > refs.pinned ? refs.objects - refs.pinned : 0,
                           .pinned = refs.pinned};
    *ret_v = &c->report;
    *ret_count = 1;
    return 0;
}

/* gc_sources.names: asks for each leak whether it is needed. The quick question holds the freeze
 * lock for reading. Only a leak that nothing seems to need is asked for again by leak_look, which
 * shuts out all changes. */
static int get_names(void *ctx, const struct gc_report *r, const struct id *ids, size_t count,
                     uint8_t *ret)
{
    struct cycle *c = ctx;

    (void)r;
    for (size_t i = 0; i < count; i++) {
        const struct leak *l = leaks_get(&c->leaks, &ids[i]);
        int needed;
        if (l->unknown) {
            ret[i] = GC_NAMED_UNKNOWN;
            continue;
        }
        {
            READ_GUARD(&c->p->freeze_lock);
            needed = leak_is_needed(c->p, l);
        }
        if (needed == 0) /* only few leaks come this far, so changes seldom wait */
            needed = leak_look(c->p, l);
        if (needed < 0)
            return needed;
        ret[i] = needed ? GC_NAMED_ACTIVE : GC_NAMED_NOT;
    }
    return 0;
}

/* gc_sources.list: the leaks, which are sorted by key. */
static int get_list(void *ctx, const struct id *after, struct id *out, size_t max,
                    size_t *ret_count)
{
    const struct cycle *c = ctx;
    const struct leaks *l = &c->leaks;
    size_t at = after ? (size_t)(leaks_get(l, after) - l->v) + 1 : 0, n = 0;

    for (; at < l->count && n < max; at++)
        out[n++] = l->v[at].key;
    *ret_count = n;
    return 0;
}

/* After a failed sync the state of the disk is not known, so the store turns read-only. */
static int remembered(struct state *p, int err)
{
    if (err == -EIO)
        state_turn_readonly(p, "a commit of a GC cycle", err);
    return err;
}

/* gc_sources.publish: only the serial has to be durable before anything is deleted. */
static int publish(void *ctx, uint64_t serial, const struct gc_saved *v, size_t count)
{
    struct cycle *c = ctx;

    (void)v;
    (void)count;
    return remembered(c->p, gc_record_serial(c->p->config.kv, serial));
}

/* Counts a removed leak. Its removal from tables is not committed yet. */
static int note_removed(struct cycle *c, const struct leak *l, int err)
{
    if (err < 0)
        return err;
    c->removed_bytes += l->bytes;
    c->p->gc->unsettled = true;
    return 0;
}

/* gc_sources.look: is it needed? A leak on a shard that is not needed is deleted here (see the
 * head). */
static int look_up(void *ctx, const struct id *id)
{
    struct cycle *c = ctx;
    const struct leak *l = leaks_get(&c->leaks, id);
    int needed = leak_look(c->p, l);

    if (needed == 0 && leak_shard(id) && !c->dry)
        return note_removed(c, l, leak_remove(c->p, l));
    return needed > 0 ? -EBUSY : needed;
}

/* Notes durably that a recount is due, before the first page is deleted: if the process died in
 * between, the references of that page would stay counted for ever. */
static int want_recount(struct state *p)
{
    int err = p->gc->recount_due ? 0 : remembered(p, gc_record_due(p->config.kv, true));

    p->gc->recount_due |= err == 0;
    return err;
}

/* gc_sources.remove: deletes a leak at home. */
static int remove_one(void *ctx, const struct id *id)
{
    struct cycle *c = ctx;
    const struct leak *l = leaks_get(&c->leaks, id);
    int err = leak_kind(id) == LEAK_PAGE ? want_recount(c->p) : 0;

    if (leak_shard(id))
        return 0; /* look_up has deleted it */
    return note_removed(c, l, err < 0 ? err : leak_remove(c->p, l));
}

/* gc_sources.whole: the whole id of a file, if its place could be searched. */
static void get_whole(void *ctx, const struct id *key, struct id *ret)
{
    const struct cycle *c = ctx;
    const struct leak *l = leaks_get(&c->leaks, key);

    *ret = l ? l->id : (struct id){{0}};
}

static bool step(void *ctx, uint64_t listed)
{
    (void)listed;
    return cancelled(ctx);
}

/* ---- a cycle ---- */

static void note_result(struct cycle *c, const struct gc_result *r)
{
    struct gc_of_store *g = c->p->gc;

    atomic_store(&g->leaks, c->leaks.count - r->collected);
    atomic_store(&g->leaked_bytes, c->leaks.bytes - c->removed_bytes);
    atomic_fetch_add(&g->collected, r->collected);
}

/* Keeps, and reports, which shards could not be searched, and how many names there do not belong to
 * the store. */
static void note_shards(struct cycle *c)
{
    struct gc_of_store *g = c->p->gc;

    uint64_t unreachable = 0;

    for (size_t i = 0; i < c->leaks.unreachable_count; i++) {
        const struct leaks_unreachable *s = &c->leaks.unreachable[i];
        if (s->err == 0)
            continue;
        unreachable++;
        report(REPORT_NOTE, "gc: what is on shard %u stays as it is: %s", (unsigned)s->shard,
               s->err == -EROFS ? "it may only be read" : "it cannot be asked");
    }
    atomic_store(&g->shards_unreachable, unreachable);
    atomic_store(&g->foreign, c->leaks.foreign);
    if (c->leaks.foreign)
        report(REPORT_NOTE, "gc: %llu names on shards are none of the store's, and stay",
               (unsigned long long)c->leaks.foreign);
}

/* Saves what the next process needs: the unreferenced and marked leaks, and this cycle if it is in
 * the history. */
static int save(struct cycle *c, const struct gc_result *r)
{
    struct state *p = c->p;
    struct gc_record record = {.cycle = 0};
    struct gc_saved *v = NULL;
    size_t count = 0;
    bool recorded;
    int err = gc_save(p->gc->gc, &v, &count);

    if (err < 0)
        return err;
    recorded = gc_history_get(p->gc->gc, 0, &record) == 0 && record.cycle == r->cycle;
    err = gc_record_save(p->config.kv, gc_serial(p->gc->gc), gc_cycles(p->gc->gc), v, count,
                         recorded ? &record : NULL);
    free(record.ids);
    free(v);
    return remembered(p, err);
}

/* Recounts the store, which gives back the references of deleted pages. It stays due after an
 * error. If damage hides a part of the trees, only `rebuild` after a repair can do it, so that is
 * no error here. */
static int recount(struct state *p)
{
    uint64_t changed = 0;
    int err = rebuild_store(p, NULL, &changed);

    if (err < 0) /* the recount stays due */
        return err == -EUCLEAN || err == -EBUSY ? 0 : err;
    if (changed)
        report(REPORT_NOTE, "gc: %llu counts were of pages that nothing led to",
               (unsigned long long)changed);
    err = flush_now(p);
    if (err == 0)
        err = remembered(p, gc_record_due(p->config.kv, false));
    p->gc->recount_due &= err < 0;
    return err;
}

/* Commits what was removed from the tables, and recounts if pages were deleted. */
static int settle(struct cycle *c)
{
    int err = c->p->gc->unsettled ? flush_now(c->p) : 0;

    c->p->gc->unsettled &= err < 0; /* after an error the next cycle commits first */
    return err == 0 && c->p->gc->recount_due ? recount(c->p) : err;
}

/* What follows the engine: statistics, the record, the commit. */
static int finish(struct cycle *c, const struct gc_result *r)
{
    int err, saved;

    note_result(c, r);
    if (r->below_minimum)
        return 0;
    saved = save(c, r);
    err = settle(c);
    return saved < 0 ? saved : err;
}

/* Runs the cycle of the store alone. An engine that was cancelled during the removals has results,
 * too, and they are saved. */
static int run_cycle(struct state *p, struct job *j, bool dry_run, int64_t grace,
                     struct gc_result *ret)
{
    struct cycle c = {.p = p, .job = j, .dry = dry_run};
    const struct gc_sources sources = {.reports = get_reports,
                                       .names = get_names,
                                       .list = get_list,
                                       .publish = publish,
                                       .look = look_up,
                                       .remove = remove_one,
                                       .whole = get_whole,
                                       .step = step,
                                       .ctx = &c};
    struct gc_config config;
    int err;

    state_gc_config(p, &config);
    if (grace >= 0)
        config.grace_period = grace;
    err = gc_cycle(p->gc->gc, &config, &sources, &(struct gc_options){.dry_run = dry_run}, ret);
    note_shards(&c);
    if (dry_run && err == 0) {
        atomic_store(&p->gc->leaks, c.leaks.count);
        atomic_store(&p->gc->leaked_bytes, c.leaks.bytes);
    }
    if (!dry_run && ret->cycle) { /* also one that was cancelled half-way */
        int end = finish(&c, ret);
        err = err < 0 ? err : end;
    }
    leaks_release(&c.leaks);
    return err;
}

/* Adds the result of the store's own cycle to that of the pool's. What the own cycle counts as
 * needed is in this store's report to the pool already, and is not counted twice. */
static void add_own(const struct gc_result *own, struct gc_result *ret)
{
    ret->marked += own->marked;
    ret->collected += own->collected;
    ret->held += own->held - own->active - own->pinned;
    for (unsigned i = 0; i < GC_KEEP_REASONS; i++)
        ret->kept[i] += own->kept[i];
}

/* Runs the cycle of the pool. At the call *ret has the result of the store's own cycle, and it
 * keeps that if the pool's cycle did not begin. */
static int run_pool_cycle(struct state *p, struct job *j, bool dry_run, int64_t grace,
                          struct gc_result *ret)
{
    char why[GC_POOL_WHY];
    struct gc_result pool;
    int err = gc_pool_cycle(p, j, dry_run, grace, &pool, why);

    if (err < 0 && *why)
        report(err == -EBUSY || err == -EEXIST || err == -ESTALE ? REPORT_NOTE : REPORT_WARN,
               "gc: %s", why);
    if (!pool.cycle) {
        gc_result_release(&pool);
        return err;
    }
    add_own(ret, &pool);
    gc_result_release(ret);
    *ret = pool;
    return err;
}

/* Runs both cycles. After a dry run the lines of the job list what is marked or would be marked;
 * without memory for them the job has no lines. */
static int run_cycles(struct state *p, struct job *j, bool dry_run, int64_t grace,
                      struct gc_result *ret)
{
    struct strbuf lines = STRBUF_INIT;
    int err = run_cycle(p, j, dry_run, grace, ret);

    gc_add_eligible(ret, leak_describe, &lines);
    if (err == 0 && p->node) {
        err = run_pool_cycle(p, j, dry_run, grace, ret);
        if (err == 0)
            gc_add_eligible(ret, gc_describe_key, &lines);
    }
    if (err == 0 && j && dry_run && strbuf_error(&lines) == 0 && lines.len)
        job_lines(p, j, strbuf_detach(&lines, NULL));
    strbuf_release(&lines);
    return err;
}

int gc_store_run(struct state *p, struct job *j, bool dry_run, int64_t grace, struct gc_result *ret)
{
    int err = p->gc->damage ? p->gc->damage : state_writable(p);

    *ret = (struct gc_result){0};
    if (err < 0)
        return err;
    if (atomic_exchange(&p->gc->running, true))
        return -EBUSY;
    err = run_cycles(p, j, dry_run, grace, ret);
    if (ret->collected)
        report(REPORT_NOTE, "gc: cycle %llu deleted %llu of what nothing needs",
               (unsigned long long)ret->cycle, (unsigned long long)ret->collected);
    atomic_store(&p->gc->running, false);
    return err;
}

/* ---- the beginning ---- */

/* Gives the engine what earlier cycles remembered. */
static int restore(struct state *p, const struct gc_memory *m)
{
    int err = gc_restore(p->gc->gc, m->cycles, m->saved, m->saved_count);

    p->gc->recount_due = m->recount_due;
    for (size_t i = 0; i < m->history_count && err == 0; i++)
        err = gc_restore_record(p->gc->gc, &m->history[i]);
    return err;
}

/* Reads what earlier cycles remembered, and raises an alarm if it is damaged. */
static int load_memory(struct state *p, struct gc_memory *m)
{
    char why[GC_RECORD_WHY];
    struct kv_snap *s;
    int err = kv_snap_begin(p->config.kv, &s);

    if (err < 0)
        return err;
    err = gc_record_load(s, m, why);
    kv_snap_end(s);
    if (err == -EUCLEAN)
        report(REPORT_ALARM,
               "what GC cycles remembered is damaged: %s; no cycle runs until `tally check "
               "--repair` has put it right",
               why);
    return err;
}

int gc_store_open(struct state *p)
{
    struct gc_memory m = {0};
    int err = load_memory(p, &m);

    p->gc->damage = err < 0 && err != -ENOMEM ? err : 0;
    if (p->gc->damage) {
        gc_memory_release(&m);
        err = 0;
    }
    p->gc->node = id_checksum(p->id_key.secret, ID_SECRET_LEN, (uint64_t)p->created) | 1;
    if (err == 0)
        err = gc_create(p->clock, m.serial, &p->gc->gc);
    if (err == 0)
        err = restore(p, &m);
    gc_memory_release(&m);
    return err;
}

/* ---- nodes ---- */

int gc_store_nodes(struct state *p, struct gc_node_info **ret_v, size_t *ret_count)
{
    struct gc_config config;
    int err;

    if (p->node)
        return gc_pool_nodes(p, ret_v, ret_count);
    state_gc_config(p, &config);
    err = gc_node_list(p->gc->gc, &config, ret_v, ret_count);
    if (err < 0)
        return err;
    for (size_t i = 0; i < *ret_count; i++)
        if ((*ret_v)[i].node == p->gc->node)
            return 0;
    /* No cycle has run, so the list is empty, and has room for one node. */
    (*ret_v)[(*ret_count)++] = (struct gc_node_info){.node = p->gc->node, .own = true};
    return 0;
}

/* Without a pool there is no node but this one, which is never stale. */
int gc_store_retire(struct state *p, uint64_t node, const _Atomic bool *interrupted)
{
    if (p->node)
        return node > POOL_NODE_MAX ? -ENOENT : gc_pool_retire(p, (unsigned)node, interrupted);
    return node == p->gc->node ? -EBUSY : -ENOENT;
}

int gc_store_prune(struct state *p, const _Atomic bool *interrupted, size_t *ret_retired)
{
    *ret_retired = 0;
    return p->node ? gc_pool_prune(p, interrupted, ret_retired) : 0;
}

/* ---- looking on ---- */

void gc_store_get(struct state *p, const struct id *id, struct gc_object_info *ret)
{
    struct id key, first;

    if (p->node) {
        gc_pool_get(p, id, ret);
        return;
    }
    leak_first_file(id, &first);
    if (gc_next(p->gc->gc, &first, &key, ret) < 0 || !leak_is_file_of(&key, id))
        *ret = (struct gc_object_info){.state = GC_NONE};
}

int gc_store_history(struct state *p, size_t i, struct gc_record *ret)
{
    return gc_history_get(p->gc->gc, i, ret);
}

void gc_store_get_stats(struct state *p, struct gc_store_stats *ret)
{
    struct gc_of_store *g = p->gc;

    *ret = (struct gc_store_stats){.cycles = gc_cycles(g->gc),
                                   .leaks = atomic_load(&g->leaks),
                                   .leaked_bytes = atomic_load(&g->leaked_bytes),
                                   .collected = atomic_load(&g->collected),
                                   .shards_unreachable = atomic_load(&g->shards_unreachable),
                                   .foreign = atomic_load(&g->foreign)};
}

int gc_store_damage(struct state *p)
{
    return p->gc->damage;
}
