// SPDX-License-Identifier: Apache-2.0
/* gc_pool: see the header. */
#include "gc_pool.h"
#include "array.h"
#include "pool_held.h"
#include "pool_marks.h"
#include "pool_node_impl.h"
#include "pool_report.h"
#include "report.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AT_ONCE 1024 /* removals between two looks at all heads */
#define BEAT_EVERY (LEASE_PATIENCE / 8)

/* One node, as this cycle sees it. */
struct member {
    struct pool_report *report; /* NULL: it has none, or only its head was read */
    struct pool_report *newer;  /* that came meanwhile */
    uint64_t ack;               /* as the report has it */
};

struct cycle {
    struct project *p;
    struct job *job;
    bool heads_only;
    struct member *members; /* by node - 1 */
    struct gc_report *reports;
    unsigned nodes;
    struct pool_held held;
    uint64_t in_force; /* serial of the list that is, as far as we know */
    bool alone;        /* it was the newest when we looked last */
    uint64_t looks;
    struct id *gone; /* to be removed */
    size_t gone_count, gone_room;
    int64_t beaten; /* ticks */
    char *why;
};

static struct disk *disk_of(const struct cycle *c)
{
    return c->p->shared->disk;
}

__attribute__((format(printf, 3, 4))) static int say(struct cycle *c, int err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(c->why, GC_POOL_WHY, fmt, args);
    va_end(args);
    return err;
}

/* ---- reports ---- */

static int read_head(struct cycle *c, unsigned node, struct pool_head *ret)
{
    struct member *m = &c->members[node - 1];
    int err;

    if (c->heads_only)
        return pool_head_read(disk_of(c), node, ret);
    err = pool_report_open(disk_of(c), node, NULL, &m->report);
    if (err == 0)
        *ret = *pool_report_head(m->report);
    return err;
}

/* What it names keeps in any case; that it has seen a list it can say only of the life that runs,
 * which is asked for afterwards: another opening of the store may have begun meanwhile. */
static int read_report(struct cycle *c, unsigned node, struct gc_report *r)
{
    struct pool_head head;
    struct pool_who who;
    int err = read_head(c, node, &head);

    if (err == 0)
        err = pool_node_read(disk_of(c), node, &who);
    if (err < 0)
        return err == -ENOENT ? 0 : err; /* a silent node; perhaps a number that nobody is */
    c->members[node - 1].ack = head.ack;
    r->serial = head.serial;
    r->ack = head.life == who.life ? head.ack : 0;
    r->timestamp = head.time;
    return 0;
}

static int read_node(struct cycle *c, unsigned node, struct gc_report *r)
{
    int err = pool_node_is_retired(disk_of(c), node);

    *r = (struct gc_report){
        .node = node, .own = node == c->p->shared->node, .gone = err > 0};
    if (err == 0)
        err = read_report(c, node, r);
    if (err < 0)
        return say(c, err, "the report of node %u cannot be read (%s): nothing is collected", node,
                   strerror(-err));
    return 0;
}

static void forget_members(struct cycle *c)
{
    for (unsigned i = 0; i < c->nodes; i++) {
        pool_report_close(c->members[i].report);
        pool_report_close(c->members[i].newer);
    }
    free(c->members);
    free(c->reports);
    c->members = NULL;
    c->reports = NULL;
    c->nodes = 0;
}

static int read_nodes(struct cycle *c)
{
    unsigned count;
    int err = pool_dir_nodes(disk_of(c), &count);

    if (err < 0)
        return say(c, err, "the nodes of the pool cannot be read (%s): nothing is collected",
                   strerror(-err));
    c->members = calloc(count + 1, sizeof *c->members);
    c->reports = calloc(count + 1, sizeof *c->reports);
    c->nodes = count;
    if (!c->members || !c->reports)
        return -ENOMEM;
    for (unsigned i = 0; i < count && err == 0; i++)
        err = read_node(c, i + 1, &c->reports[i]);
    return err;
}

static bool cancelled(const struct cycle *c)
{
    return atomic_load(&c->p->closing) || (c->job && atomic_load(&c->job->cancel));
}

static bool listing_step(void *ctx, uint64_t n)
{
    const struct cycle *c = ctx;

    (void)n;
    return cancelled(c);
}

static int get_reports(void *ctx, const struct gc_report **ret_v, size_t *ret_count)
{
    struct cycle *c = ctx;
    int err = c->heads_only
                  ? 0
                  : pool_held_list(disk_of(c), listing_step, c, &c->held, c->why);

    if (err == 0)
        err = read_nodes(c);
    if (err < 0)
        return err;
    *ret_v = c->reports;
    *ret_count = c->nodes;
    return 0;
}

static int get_names(void *ctx, const struct gc_report *r, const struct id *ids, size_t count,
                     uint8_t *ret)
{
    const struct cycle *c = ctx;
    const struct pool_report *report = c->members[r->node - 1].report;

    return report ? pool_report_names(report, ids, count, ret) : -EUCLEAN;
}

/* ---- the listing ---- */

static int get_list(void *ctx, const struct id *after, struct id *out, size_t max,
                    size_t *ret_count)
{
    const struct cycle *c = ctx;
    const struct pool_held *h = &c->held;
    size_t low = 0, high = h->count, n;

    while (after && low < high) {
        size_t mid = low + (high - low) / 2;
        if (id_compare(&h->keys[mid], after) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    n = h->count - low < max ? h->count - low : max;
    if (n)
        memcpy(out, h->keys + low, n * sizeof *out);
    *ret_count = n;
    return 0;
}

static bool step(void *ctx, uint64_t listed)
{
    struct cycle *c = ctx;
    struct lease *l = &c->p->node->lease;
    int64_t at = ticks(c->p);

    if (c->job)
        job_progress(c->p, c->job, listed, c->held.count);
    if (l->own.term && at - c->beaten >= BEAT_EVERY) {
        c->beaten = at;
        if (lease_beat(disk_of(c), l) == -ESTALE)
            return true;
    }
    return cancelled(c);
}

/* ---- marks ---- */

static int publish(void *ctx, uint64_t serial, const struct gc_saved *v, size_t count)
{
    struct cycle *c = ctx;
    struct pool_marks list = {.serial = serial, .v = (struct gc_saved *)v, .count = count};
    int err = pool_marks_publish(disk_of(c), c->p->shared->node, &list);

    if (err == 0)
        c->in_force = serial;
    else if (err == -EEXIST || err == -ESTALE)
        say(c, err, "another node's cycle was faster: this one removed nothing");
    return err;
}

/* From now on the coordinator stands where the list in force says. */
static int follow(struct cycle *c)
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
        return say(c, err, "the lists of marks cannot be read (%s): nothing is collected",
                   strerror(-err));
    n->reload = false;
    c->in_force = serial;
    return 0;
}

/* ---- the last look ---- */

/* Reports that came since; of new nodes, too: these have seen the list in force, and name nothing
 * of it, but asking costs nothing. */
static int read_newer(struct cycle *c)
{
    for (unsigned i = 0; i < c->nodes; i++) {
        struct member *m = &c->members[i];
        const struct pool_report *last = m->newer ? m->newer : m->report;
        struct pool_report *newer;
        struct pool_head head;
        int err = c->reports[i].gone ? -ENOENT : pool_head_read(disk_of(c), i + 1, &head);

        if (err == -ENOENT || (err == 0 && last && pool_report_head(last)->serial == head.serial))
            continue;
        if (err == 0)
            err = pool_report_open(disk_of(c), i + 1, last, &newer);
        if (err < 0)
            return err == -ENOENT ? 0 : err;
        pool_report_close(m->newer);
        m->newer = newer;
    }
    return 0;
}

static int look_around(struct cycle *c)
{
    uint64_t serial;
    int err = pool_marks_newest(disk_of(c), c->in_force, &serial);

    c->alone = false;
    if (err < 0)
        return err;
    if (serial != c->in_force)
        return say(c, -ESTALE, "another node published a list meanwhile: nothing more is removed");
    err = read_newer(c);
    c->alone = err == 0;
    return err;
}

static int look(void *ctx, const struct id *key)
{
    struct cycle *c = ctx;
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

static int put_aside(void *ctx, const struct id *key)
{
    struct cycle *c = ctx;

    if (ARRAY_RESERVE(c->gone, c->gone_room, c->gone_count + 1) < 0)
        return -ENOMEM;
    c->gone[c->gone_count++] = *key;
    return 0;
}

/* ---- afterwards ---- */

/* What could not be removed is marked still, in the list in force: the next cycle reads it there. */
static int remove_gone(struct cycle *c, struct gc_result *r, struct pool_removed *ret)
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

/* Lists that everybody has acknowledged a later one of. */
static void prune_lists(struct cycle *c)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < c->nodes; i++) {
        if (c->reports[i].gone)
            continue;
        if (c->members[i].ack < least)
            least = c->members[i].ack;
    }
    if (least && least != UINT64_MAX)
        (void)pool_marks_prune(disk_of(c), least);
}

static void note(struct cycle *c, const struct gc_result *r, const struct pool_removed *removed)
{
    struct pool_node *n = c->p->node;
    MUTEX_GUARD(&n->lock);

    n->status.cycles++;
    n->status.collected += r->collected;
    n->status.collected_bytes += removed->bytes;
    n->status.unindexed = c->held.unindexed;
    memcpy(n->status.kept, r->kept, sizeof r->kept);
}

static int end_cycle(struct cycle *c, struct gc_result *r)
{
    struct pool_removed removed;
    int err = remove_gone(c, r, &removed);

    note(c, r, &removed);
    prune_lists(c);
    if (err < 0 && !*c->why)
        say(c, err, "removing failed (%s): %llu objects are tried again", strerror(-err),
            (unsigned long long)r->kept[GC_KEEP_FAILED]);
    return err;
}

/* ---- packs ---- */

/* Packs of earlier lives are closed; of this one, those that are never appended to again. */
static bool is_open(void *ctx, uint64_t pack)
{
    struct project *p = ctx;
    struct pack_info info;

    if (pool_number_life(pack) != p->shared->life)
        return false;
    if (packs_is_known(p->packs, pack) == 0)
        return false;
    return packs_next_closed(p->packs, pack - 1, &info) < 0 || info.number != pack;
}

static bool never_open(void *ctx, uint64_t pack)
{
    (void)ctx;
    (void)pack;
    return false;
}

static int index_own(struct cycle *c)
{
    unsigned node = c->p->shared->node;
    int err = pool_index_packs(disk_of(c), node, node, is_open, c->p, NULL);

    return err < 0 ? say(c, err, "the packs of this store cannot be indexed (%s): nothing is collected",
                         strerror(-err))
                   : 0;
}

/* ---- a cycle ---- */

static const struct gc_sources sources_of = {.reports = get_reports,
                                             .names = get_names,
                                             .list = get_list,
                                             .publish = publish,
                                             .with_since = true,
                                             .look = look,
                                             .remove = put_aside,
                                             .step = step};

static int observe(struct cycle *c)
{
    struct gc_sources sources = sources_of;
    struct gc_config config;
    int err;

    sources.ctx = c;
    project_gc_config(c->p, &config);
    c->heads_only = true;
    err = gc_observe(c->p->node->gc, &config, &sources);
    forget_members(c);
    c->heads_only = false;
    return err;
}

/* Packs first, so that what is in them can be found, and then there is no way back. */
static int retire(struct cycle *c, unsigned node)
{
    int err = pool_index_packs(disk_of(c), c->p->shared->node, node, never_open, NULL, NULL);

    if (err == 0)
        err = pool_node_retire(disk_of(c), node);
    return err;
}

static int retire_stale(struct cycle *c, size_t *ret_retired)
{
    struct gc_node_info *v;
    struct gc_config config;
    size_t count;
    int err;

    *ret_retired = 0;
    project_gc_config(c->p, &config);
    err = gc_node_list(c->p->node->gc, &config, &v, &count);
    if (err < 0)
        return err;
    for (size_t i = 0; i < count && err == 0; i++) {
        if (!v[i].stale || v[i].node == c->p->shared->node)
            continue;
        err = retire(c, (unsigned)v[i].node);
        *ret_retired += err == 0;
    }
    free(v);
    return err;
}

static int drop_stale(struct cycle *c)
{
    size_t retired;
    int err = observe(c);

    if (err == 0)
        err = retire_stale(c, &retired);
    if (err == 0 && retired)
        report(REPORT_WARN, "stale_policy is drop: %zu stale nodes of the pool are retired", retired);
    return err;
}

static int prepare(struct cycle *c, bool dry_run, enum gc_stale_policy policy)
{
    int err = pool_node_report(c->p);

    if (err < 0)
        return say(c, err, "this store's own report cannot be written (%s): nothing is collected",
                   strerror(-err));
    err = dry_run ? 0 : index_own(c);
    if (err == 0)
        err = follow(c);
    if (err == 0 && !dry_run && policy == GC_STALE_DROP)
        err = drop_stale(c);
    return err;
}

static int run(struct cycle *c, bool dry_run, int64_t grace, struct gc_result *ret)
{
    struct pool_node *n = c->p->node;
    struct gc_sources sources = sources_of;
    struct gc_config config;
    int err;

    sources.ctx = c;
    project_gc_config(c->p, &config);
    err = prepare(c, dry_run, config.stale_policy);
    if (err < 0)
        return err;
    config.stale_policy = GC_STALE_RETAIN;
    if (grace >= 0)
        config.grace_period = grace;
    err = gc_cycle(n->gc, &config, &sources, &(struct gc_options){.dry_run = dry_run}, ret);
    if (err < 0)
        n->reload = true;
    if (!dry_run && ret->cycle) { /* also one that was cancelled half-way */
        int end = end_cycle(c, ret);
        err = err < 0 ? err : end;
    }
    return err;
}

static int take_lease(struct cycle *c)
{
    const struct project_pool *s = c->p->shared;
    struct lease *l = &c->p->node->lease;
    int err = lease_take(s->disk, c->p->clock, s->node, s->life, l);

    if (err == -EBUSY && l->seen.node)
        return say(c, err, "node %u runs a GC cycle of the pool, or did so until a moment ago",
                   l->seen.node);
    c->beaten = ticks(c->p);
    return err;
}

int gc_pool_cycle(struct project *p, struct job *j, bool dry_run, int64_t grace,
                  struct gc_result *ret, char why[GC_POOL_WHY])
{
    struct cycle c = {.p = p, .job = j, .why = why};
    int err = project_writable(p);

    *why = 0;
    *ret = (struct gc_result){.cycle = 0};
    if (err < 0)
        return err;
    if (atomic_exchange(&p->node->running, true))
        return -EBUSY;
    err = dry_run ? 0 : take_lease(&c);
    if (err == 0)
        err = run(&c, dry_run, grace, ret);
    if (!dry_run)
        (void)lease_release(p->shared->disk, &p->node->lease);
    forget_members(&c);
    pool_held_release(&c.held);
    free(c.gone);
    atomic_store(&p->node->running, false);
    return err;
}

/* ---- nodes ---- */

static int with_nodes(struct project *p, int (*fn)(struct cycle *c, void *arg), void *arg)
{
    char why[GC_POOL_WHY] = "";
    struct cycle c = {.p = p, .why = why};
    int err;

    if (atomic_exchange(&p->node->running, true))
        return -EBUSY;
    err = follow(&c);
    if (err == 0)
        err = observe(&c);
    if (err == 0 && fn)
        err = fn(&c, arg);
    atomic_store(&p->node->running, false);
    return err;
}

int gc_pool_observe(struct project *p)
{
    return with_nodes(p, NULL, NULL);
}

/* While a cycle runs, as it saw them last. */
int gc_pool_nodes(struct project *p, struct gc_node_info **ret_v, size_t *ret_count)
{
    struct gc_config config;
    int err = gc_pool_observe(p);

    if (err < 0 && err != -EBUSY)
        return err;
    project_gc_config(p, &config);
    return gc_node_list(p->node->gc, &config, ret_v, ret_count);
}

static int retire_one(struct cycle *c, void *arg)
{
    unsigned node = *(unsigned *)arg;
    struct gc_node_info *v;
    struct gc_config config;
    size_t count, at = 0;
    int err;

    project_gc_config(c->p, &config);
    err = gc_node_list(c->p->node->gc, &config, &v, &count);
    if (err < 0)
        return err;
    while (at < count && v[at].node != node)
        at++;
    err = at == count                                            ? -ENOENT
          : node == c->p->shared->node || !v[at].stale ? -EBUSY
                                                                 : 0;
    free(v);
    return err < 0 ? err : retire(c, node);
}

int gc_pool_retire(struct project *p, unsigned node)
{
    int err = project_writable(p);

    return err < 0 ? err : with_nodes(p, retire_one, &node);
}

static int retire_all(struct cycle *c, void *arg)
{
    return retire_stale(c, arg);
}

int gc_pool_prune(struct project *p, size_t *ret_retired)
{
    int err = project_writable(p);

    *ret_retired = 0;
    return err < 0 ? err : with_nodes(p, retire_all, ret_retired);
}

/* ---- objects ---- */

/* How much an object in that state is needed. */
static unsigned need(enum gc_state s)
{
    static const unsigned needs[] = {
        [GC_NONE] = 0, [GC_MARKED] = 1, [GC_UNREFERENCED] = 2, [GC_ACTIVE] = 3, [GC_PINNED] = 4};

    return needs[s];
}

/* Keys begin with the first half of the id; two ids with one such half are as good as never met. */
void gc_pool_get(struct project *p, const struct id *id, struct gc_object_info *ret)
{
    struct id from = {{0}}, key;
    struct gc_object_info info;

    *ret = (struct gc_object_info){.state = GC_NONE};
    memcpy(from.b, id->b, 8);
    while (gc_next(p->node->gc, &from, &key, &info) == 0 && memcmp(key.b, id->b, 8) == 0) {
        if (need(info.state) > need(ret->state))
            *ret = info;
        from = key;
        for (int i = ID_LEN; i-- > 8 && ++from.b[i] == 0;)
            ;
        if (id_compare(&from, &key) <= 0) /* the last key of that half */
            break;
    }
}
