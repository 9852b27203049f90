// SPDX-License-Identifier: Apache-2.0
/*
 * view: texts and listings of `.tally`, which are made when they are read.
 *
 * Nothing is kept between two calls. Each call gathers facts under the locks that guard them, one
 * after the other, and formats them with no lock held. Only the dump of the refcount table belongs
 * to one instant: its sequence number is read, and its listing begun, with the freeze lock held for
 * writing.
 */
#include "view.h"
#include "command.h"
#include "compact.h"
#include "durability.h"
#include "flush.h"
#include "gc_store.h"
#include "io.h"
#include "job.h"
#include "json_text.h"
#include "move.h"
#include "pool_node.h"
#include "scrub_record.h"
#include "state.h"
#include "report.h"
#include "scrub.h"
#include "view_pool.h"
#include "view_sweep.h"
#include "vfs.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* recent alarms and warnings that the status lists */
#define ALARMS_SHOWN 8
/* bytes of a dump that are written at once */
#define SPOOL_PIECE (256 * 1024)

/* ---- the facts ---- */

/* All numbers that the texts show, gathered by gather_facts. */
struct facts {
    size_t unsealed, dirty, buffered, drops, jobs, jobs_queued, refs_changes;
    uint64_t seq, durable, namespaces, healed, collisions, kv_bytes;
    uint64_t disk_bytes, disk_free; /* of the disk at home; 0: not known */
    bool readonly;
    struct flush_stats flush;
    struct gc_store_stats gc;
    struct compact_stats compaction;
    struct refs_stats refs;
    struct packs_stats packs;
    struct workers_stats workers;
    struct scrub_record scrub;
    bool scrub_running;
    struct vfs_passthroughs passthroughs;
};

static uint64_t count_namespaces(struct state *p)
{
    uint64_t n = 0;
    READ_GUARD(&p->names.lock);

    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (const struct ns *ns = p->names.by_name[i]; ns; ns = ns->by_name_next)
            n += !ns->target;
    return n;
}

/* The numbers that df(1) shows for the mount. */
static void measure_disk(struct state *p, struct facts *f)
{
    struct disk_space s;

    if (vfs_statfs(p, &s) < 0)
        return;
    f->disk_bytes = s.blocks * s.block_size;
    f->disk_free = s.blocks_avail * s.block_size;
}

/* Gathers all numbers, each under the lock that guards it. So two numbers may be of different
 * moments. */
static void gather_facts(struct state *p, struct facts *f)
{
    *f = (struct facts){.unsealed = seal_settle(p),
                        .dirty = pages_dirty_bytes(p->pages),
                        .buffered = atomic_load(&p->contents.buffered),
                        .drops = drops_left(p->drops),
                        .jobs = jobs_in(p, JOB_RUNNING),
                        .jobs_queued = jobs_in(p, JOB_QUEUED),
                        .refs_changes = refs_changes(p->refs),
                        .seq = atomic_load(&p->seq),
                        .namespaces = count_namespaces(p),
                        .kv_bytes = kv_disk_bytes(p->config.kv),
                        .readonly = atomic_load(&p->readonly)};
    measure_disk(p, f);
    gc_store_get_stats(p, &f->gc);
    compact_get_stats(p, &f->compaction);
    refs_get_stats(p->refs, &f->refs);
    packs_get_stats(p->packs, &f->packs);
    workers_get_stats(p->workers, &f->workers);
    objects_get_counts(p->objects, &f->healed, &f->collisions);
    scrub_get(p, &f->scrub, &f->scrub_running, NULL);
    vfs_get_passthroughs(p, &f->passthroughs);
    f->durable = flush_durable(p);
    flush_get_stats(p, &f->flush);
}

/* ---- status ---- */

static void add_alarms(struct strbuf *out)
{
    char recent[ALARMS_SHOWN][REPORT_TEXT];
    size_t n = report_recent(REPORT_WARN, recent, ALARMS_SHOWN);

    strbuf_addf(out, "alarms      alarms=%llu warnings=%llu\n",
                (unsigned long long)report_count(REPORT_ALARM),
                (unsigned long long)report_count(REPORT_WARN));
    for (size_t i = 0; i < n; i++)
        strbuf_addf(out, "            %s\n", recent[i]);
}

#define U(x) ((unsigned long long)(x))

static void add_queues(const struct workers_stats *s, struct strbuf *out)
{
    for (unsigned c = 0; c < WORKERS_CLASSES; c++)
        strbuf_addf(out, "%s%-9s  queued=%zu running=%zu waiting=%zu resting=%zu\n",
                    c == 0 ? "workers     " : "            ", workers_class_names[c],
                    s->of[c].queued, s->of[c].running, s->of[c].waiting, s->of[c].resting);
}

static void add_counts(const struct scrub_counts *c, struct strbuf *out)
{
    strbuf_addf(out, " objects=%llu pages=%llu bytes=%llu damaged=%llu", U(c->objects), U(c->pages),
                U(c->bytes), U(c->damaged));
    if (c->unasked)
        strbuf_addf(out, " unasked=%llu", U(c->unasked));
    strbuf_adds(out, "\n");
}

/* Appends the last scrub, and the one that runs or was stopped. */
static void add_scrub(const struct facts *f, struct strbuf *out)
{
    const struct scrub_record *r = &f->scrub;

    strbuf_adds(out, "scrub       last=");
    strbuf_add_time(out, r->ended);
    add_counts(&r->last, out);
    if (r->phase == SCRUB_NONE)
        return;
    strbuf_addf(out, "            %s=", f->scrub_running ? "running" : "stopped");
    strbuf_add_time(out, r->started);
    add_counts(&r->now, out);
}

/* Repeats what the last scrub found. The line stays until a scrub finds nothing, however many
 * alarms came since. */
static void add_scrub_alarm(const struct facts *f, struct strbuf *out)
{
    if (f->scrub.last.damaged)
        strbuf_addf(out,
                    "            the last scrub found %llu damaged objects, pages or entries\n",
                    U(f->scrub.last.damaged));
}

/* The first condition that holds is reported; the worst come first. */
const char *view_state(struct state *p, struct strbuf *why)
{
    const char *sentence = NULL, *detail = "", *what = atomic_load(&p->readonly_what);
    char failed[160];
    bool readonly = atomic_load(&p->readonly), unsettled = atomic_load(&p->unsettled);
    struct flush_stats flush;
    int err;

    flush_get_stats(p, &flush);
    err = flush.error;
    if (!readonly && unsettled && state_lacks(p)) {
        sentence = "not all slots can be opened yet, which is tried again: ";
        detail = strerror(-state_lacks(p));
    } else if (!readonly && unsettled) {
        sentence = "what was recovered from the log is not committed yet, which is tried again: ";
        detail = strerror(-err);
    } else if (readonly && pool_node_lost(p)) {
        sentence = "not the pool's node any more: ";
        detail = pool_node_lost(p);
    } else if (readonly) {
        snprintf(failed, sizeof failed, "%.100s failed (%s); ", what ? what : "a commit",
                 strerror(-atomic_load(&p->readonly_err)));
        sentence = failed;
        detail = "what was changed since is only in memory";
    } else if (err < 0) {
        sentence = "the last commit failed and is tried again: ";
        detail = strerror(-err);
    } else if (stuck_count(p)) {
        sentence = "some files cannot be sealed: they stay as they are, and are tried again";
    } else if (scrub_found_damage(p)) {
        sentence = "the last scrub found damage";
    } else if (met_trouble(p)) {
        sentence = met_trouble(p);
    } else if (pool_node_doubt(p)) {
        sentence = pool_node_doubt(p);
    } else if (gc_store_damage(p)) {
        sentence = "what GC cycles remembered is damaged";
    } else {
        sentence = view_sweep_trouble(p);
    }
    if (why && sentence)
        strbuf_addf(why, ": %s%s", sentence, detail);
    return readonly || unsettled ? "read-only" : sentence ? "degraded" : "ok";
}

static void add_state(struct state *p, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    const char *state = view_state(p, &why);

    strbuf_addf(out, "state       %s%s\n", state, why.len ? why.s : "");
}

static void add_stuck(struct state *p, struct strbuf *out)
{
    size_t n = stuck_count(p);

    if (n == 0)
        return;
    strbuf_addf(out, "unsealable  contents=%zu in_slots=%zu\n", n, stuck_slots(p));
    (void)stuck_describe(p, "            ", "\n", out);
}

/* Makes the text of .tally/status. Each line begins with its subject in a column of 12
 * characters. */
static void status(struct state *p, const struct facts *f, struct strbuf *out)
{
    strbuf_addf(out, "store       %s\n", *p->label ? p->label : "(no label)");
    add_state(p, out);
    strbuf_addf(out,
                "changes     seq=%llu durable=%llu unsealed=%zu buffered_bytes=%zu "
                "dirty_pages_bytes=%zu\n",
                U(f->seq), U(f->durable), f->unsealed, f->buffered, f->dirty);
    add_stuck(p, out);
    strbuf_addf(out, "flush       commits=%llu failed=%llu last=", U(f->flush.commits),
                U(f->flush.failed));
    strbuf_add_time(out, f->flush.last_commit);
    strbuf_addf(out, " result=%s per_second=%.2f\n",
                f->flush.error ? command_errno_name(-f->flush.error) : "ok", f->flush.per_second);
    strbuf_addf(out,
                "            pending=%zu permits_used=%u permits=%u oldest_ms=%llu given_up=%llu\n",
                f->flush.flushes.pending, f->flush.flushes.used, f->flush.flushes.permits,
                U(f->flush.flushes.oldest_ns / NSEC_PER_MSEC), U(f->flush.flushes.given_up));
    strbuf_addf(out, "            writers_waiting=%zu waited_ms=%llu\n", f->flush.waiting,
                U(f->flush.waited_ns / NSEC_PER_MSEC));
    if (p->replayed.changes)
        strbuf_addf(out, "recovered   changes=%llu first=%llu last=%llu bytes=%llu\n",
                    U(p->replayed.changes), U(p->replayed.first), U(p->replayed.last),
                    U(p->replayed.bytes));
    strbuf_addf(out, "namespaces  %llu\n", U(f->namespaces));
    view_ns_flushes(p, out);
    strbuf_addf(out,
                "objects     %llu pinned=%llu dying=%llu undeleted=%llu retained=%llu "
                "retained_bytes=%llu\n",
                U(f->refs.objects), U(f->refs.pinned), U(f->refs.dying), U(f->refs.undeleted),
                U(f->refs.retained), U(f->refs.retained_bytes));
    strbuf_addf(out, "packs       %llu live_bytes=%llu dead_bytes=%llu file_bytes=%llu\n",
                U(f->packs.packs), U(f->packs.live_bytes), U(f->packs.dead_bytes),
                U(f->packs.file_bytes));
    strbuf_addf(out, "metadata    kv_bytes=%llu\n", U(f->kv_bytes));
    strbuf_addf(out, "disk        bytes=%llu free_bytes=%llu\n", U(f->disk_bytes),
                U(f->disk_free));
    strbuf_addf(out, "drops       pending_pages=%zu\n", f->drops);
    strbuf_addf(out, "gc          cycles=%llu leaks=%llu leaked_bytes=%llu collected=%llu%s\n",
                U(f->gc.cycles), U(f->gc.leaks), U(f->gc.leaked_bytes), U(f->gc.collected),
                gc_store_damage(p) ? " damaged=1" : "");
    view_pool_status(p, out);
    view_sweep_status(p, out);
    strbuf_addf(out, "compaction  packs=%llu moved_bytes=%llu%s\n", U(f->compaction.packs),
                U(f->compaction.bytes), f->compaction.running ? " running=1" : "");
    strbuf_addf(out,
                "garbage     dead_records_bytes=%llu until_a_commit_bytes=%llu leaked_bytes=%llu "
                "dropped_pages=%zu\n",
                U(f->packs.dead_bytes), U(f->refs.retained_bytes), U(f->gc.leaked_bytes), f->drops);
    add_scrub(f, out);
    strbuf_addf(out, "jobs        running=%zu queued=%zu\n", f->jobs, f->jobs_queued);
    add_queues(&f->workers, out);
    add_alarms(out);
    add_scrub_alarm(f, out);
}

static size_t count_verifying(struct state *p)
{
    size_t n = 0;
    READ_GUARD(&p->names.lock);

    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (const struct ns *ns = p->names.by_name[i]; ns; ns = ns->by_name_next)
            n += ns->verify;
    return n;
}

/* Appends what the edge counts, which files the kernel reads by itself, and who verifies them. */
static void add_edge(struct state *p, const struct facts *f, const struct view_edge *edge,
                     struct strbuf *out)
{
    if (edge->mounted && *edge->mounted)
        strbuf_addf(out, "mounted     %s\n", edge->mounted);
    strbuf_addf(out, "requests    by %s\n", edge->transport);
    strbuf_addf(out, "waiting     %zu", edge->waiting);
    if (edge->longest_kind)
        strbuf_addf(out, ", the longest for %lld s (%s)",
                    (long long)(edge->longest_wait / NSEC_PER_SEC), edge->longest_kind);
    strbuf_adds(out, edge->waits_too_long ? ": ALARM: it is not being answered\n" : "\n");
    strbuf_addf(out, "passthrough %s\n", edge->passthrough);
    if (strcmp(edge->passthrough, "yes") != 0)
        return;
    strbuf_addf(out, "            files=%zu perhaps_mapped=%zu\n", f->passthroughs.open,
                f->passthroughs.closed);
    strbuf_addf(out,
                "            verified by scrubs; by fs-verity: %zu of these files; when they are "
                "opened (verify=open): in %zu namespaces\n",
                f->passthroughs.sealed_by_disk, count_verifying(p));
}

/* ---- stats.json and metrics ---- */

enum metric {
    NO_METRIC,
    GAUGE,
    /* only grows, from 0 at the start of the daemon; the name of its metric ends in _total */
    COUNTER,
};

struct number {
    const char *key;
    enum metric metric;
    uint64_t value;
};

#define NUMBERS 53 /* numbers in stats.json; metrics leave some out */

/* Lists the numbers of stats.json and metrics under their names, which are stable: programs read
 * them. */
static void list_numbers(struct state *p, const struct facts *f, struct number ret[static NUMBERS])
{
    const struct number numbers[NUMBERS] = {
        {"pid", NO_METRIC, (uint64_t)getpid()},
        {"uptime_seconds", GAUGE, (uint64_t)((ticks(p) - p->opened) / NSEC_PER_SEC)},
        {"seq", GAUGE, f->seq},
        {"durable_seq", GAUGE, f->durable},
        {"namespaces", GAUGE, f->namespaces},
        {"objects", GAUGE, f->refs.objects},
        {"pinned_objects", GAUGE, f->refs.pinned},
        {"dying_objects", GAUGE, f->refs.dying},
        {"undeleted_objects", GAUGE, f->refs.undeleted},
        {"retained_objects", GAUGE, f->refs.retained},
        {"retained_bytes", GAUGE, f->refs.retained_bytes},
        {"packs", GAUGE, f->packs.packs},
        {"pack_live_records", GAUGE, f->packs.live_records},
        {"pack_live_bytes", GAUGE, f->packs.live_bytes},
        {"pack_dead_bytes", GAUGE, f->packs.dead_bytes},
        {"pack_file_bytes", GAUGE, f->packs.file_bytes},
        {"kv_bytes", GAUGE, f->kv_bytes},
        {"disk_bytes", GAUGE, f->disk_bytes},
        {"disk_free_bytes", GAUGE, f->disk_free},
        {"dirty_pages_bytes", GAUGE, f->dirty},
        {"buffered_bytes", GAUGE, f->buffered},
        {"uncommitted_counts", GAUGE, f->refs_changes},
        {"unsealed_files", GAUGE, f->unsealed},
        {"drops_pending_pages", GAUGE, f->drops},
        {"dropped_pages", COUNTER, drops_freed(p->drops)},
        {"jobs_running", GAUGE, f->jobs},
        {"jobs_queued", GAUGE, f->jobs_queued},
        {"gc_cycles", GAUGE, f->gc.cycles},
        {"gc_collected", COUNTER, f->gc.collected},
        {"compacted_packs", COUNTER, f->compaction.packs},
        {"compacted_bytes", COUNTER, f->compaction.bytes},
        {"leaks", GAUGE, f->gc.leaks},
        {"leaked_bytes", GAUGE, f->gc.leaked_bytes},
        {"last_scrub_seconds", GAUGE, (uint64_t)(f->scrub.ended / NSEC_PER_SEC)},
        {"scrub_damaged", GAUGE, f->scrub.last.damaged},
        {"healed_objects", COUNTER, f->healed},
        {"collisions", COUNTER, f->collisions},
        {"unknown_decrements", COUNTER, f->refs.unknown_decrements},
        {"passthrough_files", GAUGE, f->passthroughs.open},
        {"passthrough_files_closed", GAUGE, f->passthroughs.closed},
        {"alarms", COUNTER, report_count(REPORT_ALARM)},
        {"warnings", COUNTER, report_count(REPORT_WARN)},
        {"commits", COUNTER, f->flush.commits},
        {"failed_commits", COUNTER, f->flush.failed},
        {"last_commit_seconds", GAUGE, (uint64_t)(f->flush.last_commit / NSEC_PER_SEC)},
        {"pending_flushes", GAUGE, f->flush.flushes.pending},
        {"flush_permits", GAUGE, f->flush.flushes.permits},
        {"flush_permits_used", GAUGE, f->flush.flushes.used},
        {"flush_permit_waiters", GAUGE, f->flush.flushes.waiting},
        {"oldest_flush_ms", GAUGE, (uint64_t)(f->flush.flushes.oldest_ns / NSEC_PER_MSEC)},
        {"given_up_flushes", COUNTER, f->flush.flushes.given_up},
        {"writers_waiting", GAUGE, f->flush.waiting},
        {"writers_waited_ms", COUNTER, (uint64_t)(f->flush.waited_ns / NSEC_PER_MSEC)},
    };

    memcpy(ret, numbers, sizeof numbers);
}

static int add_number(json_t *o, const char *key, uint64_t value)
{
    return json_object_set_new(o, key, json_integer((json_int_t)value));
}

/* A number of each class of workers: its key, its kind, and the function that reads it. */
struct worker_number {
    const char *key;
    enum metric metric;
    uint64_t (*value)(const struct workers_class_stats *s);
};

static uint64_t workers_queued(const struct workers_class_stats *s)
{
    return s->queued;
}
static uint64_t workers_running(const struct workers_class_stats *s)
{
    return s->running;
}
static uint64_t workers_waiting(const struct workers_class_stats *s)
{
    return s->waiting;
}
static uint64_t workers_resting(const struct workers_class_stats *s)
{
    return s->resting;
}
static uint64_t workers_done(const struct workers_class_stats *s)
{
    return s->done;
}
static uint64_t workers_waited(const struct workers_class_stats *s)
{
    return (uint64_t)(s->waited_ns / NSEC_PER_MSEC);
}

static const struct worker_number worker_numbers[] = {
    {"queued", GAUGE, workers_queued},   {"running", GAUGE, workers_running},
    {"waiting", GAUGE, workers_waiting}, {"resting", GAUGE, workers_resting},
    {"done", COUNTER, workers_done},     {"waited_milliseconds", COUNTER, workers_waited},
};
#define WORKER_NUMBERS (sizeof worker_numbers / sizeof *worker_numbers)

/* Adds an object with a member for each class of workers. Other than 0: no memory. */
static int add_workers(json_t *o, const struct workers_stats *s)
{
    json_t *workers = json_object();
    int failed = 0;

    for (unsigned c = 0; c < WORKERS_CLASSES; c++) {
        json_t *class = json_object();
        for (size_t i = 0; i < WORKER_NUMBERS; i++)
            failed |= add_number(class, worker_numbers[i].key, worker_numbers[i].value(&s->of[c]));
        failed |= json_object_set_new(workers, workers_class_names[c], class);
    }
    failed |= add_number(workers, "threads", s->threads);
    failed |= add_number(workers, "long_threads", s->long_threads);
    return failed | json_object_set_new(o, "workers", workers);
}

static void add_worker_metrics(struct strbuf *out, const struct workers_stats *s)
{
    for (size_t i = 0; i < WORKER_NUMBERS; i++) {
        const struct worker_number *n = &worker_numbers[i];
        const char *end = n->metric == COUNTER ? "_total" : "";
        strbuf_addf(out, "# TYPE tallyfs_workers_%s%s %s\n", n->key, end,
                    *end ? "counter" : "gauge");
        for (unsigned c = 0; c < WORKERS_CLASSES; c++)
            strbuf_addf(out, "tallyfs_workers_%s%s{class=\"%s\"} %llu\n", n->key, end,
                        workers_class_names[c], U(n->value(&s->of[c])));
    }
}

/* Adds what the edge counts. Other than 0: no memory. */
static int add_requests(json_t *o, const struct view_edge *edge)
{
    json_t *requests = json_object();
    int failed = 0;

    for (size_t i = 0; i < edge->request_kinds; i++)
        failed |= add_number(requests, edge->requests[i].name, edge->requests[i].count);
    failed |= add_number(o, "waiting_requests", edge->waiting);
    failed |= json_object_set_new(o, "longest_wait_seconds",
                                  json_real((double)edge->longest_wait / 1e9));
    failed |= json_object_set_new(o, "transport", json_string(edge->transport));
    failed |= json_object_set_new(o, "passthrough", json_text(edge->passthrough));
    failed |= json_object_set_new(o, "mounted", json_text(edge->mounted ? edge->mounted : ""));
    return failed | json_object_set_new(o, "requests", requests);
}

/* Makes the text of stats.json. A failure of any part is one of memory. */
static int stats(struct state *p, const struct facts *f, const struct view_edge *edge,
                 struct strbuf *out)
{
    struct number numbers[NUMBERS];
    json_t *o = json_object();
    char *text = NULL;
    int failed = 0;

    list_numbers(p, f, numbers);
    for (size_t i = 0; i < NUMBERS; i++)
        failed |= add_number(o, numbers[i].key, numbers[i].value);
    failed |= json_object_set_new(o, "label", json_text(p->label));
    failed |= json_object_set_new(o, "state", json_string(view_state(p, NULL)));
    failed |= json_object_set_new(o, "read_only", json_boolean(f->readonly));
    failed |= json_object_set_new(o, "last_flush_errno", json_integer(-f->flush.error));
    failed |= add_workers(o, &f->workers);
    failed |= view_pool_json(p, o);
    failed |= view_sweep_json(p, o);
    if (edge)
        failed |= add_requests(o, edge);
    if (!failed)
        text = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(o);
    if (!text)
        return -ENOMEM;
    strbuf_adds(out, text);
    strbuf_adds(out, "\n");
    free(text);
    return strbuf_error(out);
}

/* Makes the text of metrics, in the text format of Prometheus. */
static int metrics(struct state *p, const struct facts *f, const struct view_edge *edge,
                   struct strbuf *out)
{
    struct number numbers[NUMBERS];

    list_numbers(p, f, numbers);
    for (size_t i = 0; i < NUMBERS; i++) {
        const struct number *n = &numbers[i];
        const char *end = n->metric == COUNTER ? "_total" : "";
        if (n->metric == NO_METRIC)
            continue;
        strbuf_addf(out, "# TYPE tallyfs_%s%s %s\n", n->key, end, *end ? "counter" : "gauge");
        strbuf_addf(out, "tallyfs_%s%s %llu\n", n->key, end, U(n->value));
    }
    strbuf_addf(out, "# TYPE tallyfs_read_only gauge\ntallyfs_read_only %d\n", f->readonly);
    add_worker_metrics(out, &f->workers);
    view_pool_metrics(p, out);
    view_sweep_metrics(p, out);
    if (edge)
        strbuf_addf(out,
                    "# TYPE tallyfs_waiting_requests gauge\ntallyfs_waiting_requests %zu\n"
                    "# TYPE tallyfs_longest_wait_seconds gauge\n"
                    "tallyfs_longest_wait_seconds %lld\n",
                    edge->waiting, (long long)(edge->longest_wait / NSEC_PER_SEC));
    strbuf_adds(out, "# TYPE tallyfs_requests_total counter\n");
    for (size_t i = 0; edge && i < edge->request_kinds; i++)
        strbuf_addf(out, "tallyfs_requests_total{op=\"%s\"} %llu\n", edge->requests[i].name,
                    U(edge->requests[i].count));
    return strbuf_error(out);
}

int view_render(struct state *p, enum view_text which, const struct view_edge *edge,
                struct strbuf *out)
{
    struct facts f;

    shards_look_now(p, SHARDS_LOOK_BRIEFLY); /* once, so that all parts show the same states */
    gather_facts(p, &f);
    switch (which) {
    case VIEW_STATS_JSON:
        return stats(p, &f, edge, out);
    case VIEW_METRICS:
        return metrics(p, &f, edge, out);
    case VIEW_STATUS:
        break;
    }
    status(p, &f, out);
    if (edge)
        add_edge(p, &f, edge, out);
    return strbuf_error(out);
}

/* ---- the refcount table ---- */

/* A dump while it is written, in pieces, so that its size needs no memory. */
struct spool {
    int fd;
    uint64_t off;
    bool any;
    struct strbuf text;
};

static int spool_flush(struct spool *s)
{
    int err = strbuf_error(&s->text);

    if (err == 0)
        err = io_pwrite(s->fd, s->text.s, s->text.len, s->off);
    s->off += s->text.len;
    strbuf_clear(&s->text);
    return err;
}

/* Writes the count of one object. */
static int spool_count(const struct refs_item *item, void *ctx)
{
    struct spool *s = ctx;
    char hex[ID_HEX + 1];

    id_to_hex(&item->id, hex);
    strbuf_addf(&s->text, "%s\"%s\": %llu", s->any ? ", " : "", hex, U(item->count));
    s->any = true;
    return s->text.len < SPOOL_PIECE ? 0 : spool_flush(s);
}

/* The freeze lock is held only while the listing begins: refs keeps the counts of that instant for
 * it. */
int view_refcounts(struct state *p, int fd)
{
    struct spool s = {.fd = fd, .text = STRBUF_INIT};
    struct refs_listing *l;
    uint64_t seq;
    int err;

    (void)seal_settle(p);
    {
        WRITE_GUARD(&p->freeze_lock);
        seq = atomic_load(&p->seq);
        err = refs_list_begin(p->refs, -1, NULL, &l);
    }
    if (err < 0)
        return err;
    strbuf_addf(&s.text, "{\"seq\": %llu, \"counts\": {", U(seq));
    err = refs_list_run(p->refs, l, spool_count, &s);
    refs_list_end(l);
    strbuf_adds(&s.text, "}}\n");
    if (err == 0)
        err = spool_flush(&s);
    strbuf_release(&s.text);
    return err;
}

/* ---- objects ---- */

int view_object(struct state *p, const struct id *id, struct view_object *ret)
{
    struct entry e;
    uint64_t number;
    bool pending;
    int err;

    (void)seal_settle(p);
    err = refs_find(p->refs, id, &number, &e, &pending);
    if (err < 0)
        return err == -EAGAIN ? -ENOENT : err;
    refs_unhold(p->refs, number);
    if (e.count == 0)
        return -ENOENT;
    *ret = (struct view_object){.id = *id, .number = number, .refs = e.count, .size = e.size};
    return 0;
}

struct view_listing {
    view_object_fn *fn;
    void *ctx;
    bool stopped;
};

static int list_one(const struct refs_item *item, void *ctx)
{
    struct view_listing *l = ctx;
    struct view_object o = {item->id, item->number, item->count, item->size};

    l->stopped = l->fn(&o, l->ctx) != 0;
    return l->stopped;
}

void view_settle(struct state *p)
{
    (void)seal_settle(p);
}

int view_objects(struct state *p, uint8_t prefix, const struct id *after, view_object_fn *fn,
                 void *ctx)
{
    struct view_listing l = {.fn = fn, .ctx = ctx};
    int err;

    err = refs_list(p->refs, prefix, after, list_one, &l);
    return l.stopped ? 0 : err;
}
