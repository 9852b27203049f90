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
#include "job.h"
#include "json_text.h"
#include "kept.h"
#include "latency.h"
#include "log.h"
#include "move.h"
#include "pool_node.h"
#include "scrub_record.h"
#include "state.h"
#include "report.h"
#include "scrub.h"
#include "view_numbers.h"
#include "view_pool.h"
#include "view_archive.h"
#include "view_follow.h"
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

/* ---- the facts ---- */

/* All numbers that the texts show, gathered by gather_facts. */
struct facts {
    size_t unsealed, dirty, buffered, drops, jobs, jobs_queued, refs_changes;
    size_t namespaces, verifying; /* in the root; those that verify what is opened */
    size_t kept[NS_KIND_END];     /* hidden namespaces by kind */
    uint64_t seq, durable, healed, collisions, kv_bytes;
    uint64_t disk_bytes, disk_free; /* of the disk at home; 0: not known */
    uint64_t trash_frees;           /* kept_alone: they are in disk_free */
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

static void count_namespaces(struct state *p, struct facts *f)
{
    READ_GUARD(&p->names.lock);

    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (const struct ns *ns = p->names.by_name[i]; ns; ns = ns->by_name_next) {
            f->namespaces += !ns->target;
            f->verifying += ns->verify;
        }
    for (const struct ns *ns = NULL; (ns = ns_next_hidden(p, ns));)
        f->kept[ns->hidden.kind]++;
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
                        .kv_bytes = kv_disk_bytes(p->config.kv),
                        .readonly = atomic_load(&p->readonly)};
    count_namespaces(p, f);
    f->trash_frees = kept_alone(p).bytes;
    measure_disk(p, f);
    gc_store_get_stats(p, &f->gc);
    compact_get_stats(p, &f->compaction);
    refs_get_stats(p->refs, &f->refs);
    packs_get_stats(p->packs, &f->packs);
    workers_get_stats(p->workers, &f->workers);
    objects_get_counts(p->objects, &f->healed, &f->collisions);
    scrub_get(p, &f->scrub, &f->scrub_running);
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
        if (!sentence)
            sentence = view_archive_trouble(p);
        if (!sentence)
            sentence = view_follow_trouble(p);
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
    strbuf_addf(out, "namespaces  %zu\n", f->namespaces);
    view_ns_flushes(p, out);
    strbuf_addf(out, "kept        dropped=%zu bases=%zu snapshots=%zu trash_frees=%llu\n",
                f->kept[NS_TRASH], f->kept[NS_ORIGIN], f->kept[NS_SNAPSHOT], U(f->trash_frees));
    strbuf_addf(out,
                "objects     %llu pinned=%llu dying=%llu undeleted=%llu retained=%llu "
                "retained_bytes=%llu\n",
                U(f->refs.objects), U(f->refs.pinned), U(f->refs.dying), U(f->refs.undeleted),
                U(f->refs.retained), U(f->refs.retained_bytes));
    strbuf_addf(out, "packs       %llu live_bytes=%llu dead_bytes=%llu file_bytes=%llu\n",
                U(f->packs.packs), U(f->packs.live_bytes), U(f->packs.dead_bytes),
                U(f->packs.file_bytes));
    strbuf_addf(out, "metadata    kv_bytes=%llu\n", U(f->kv_bytes));
    strbuf_addf(out, "disk        bytes=%llu free_bytes=%llu\n", U(f->disk_bytes), U(f->disk_free));
    strbuf_addf(out, "drops       pending_pages=%zu\n", f->drops);
    strbuf_addf(out, "gc          cycles=%llu leaks=%llu leaked_bytes=%llu collected=%llu%s\n",
                U(f->gc.cycles), U(f->gc.leaks), U(f->gc.leaked_bytes), U(f->gc.collected),
                gc_store_damage(p) ? " damaged=1" : "");
    view_pool_status(p, out);
    view_sweep_status(p, out);
    view_archive_status(p, out);
    view_follow_status(p, out);
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

/* Appends what the edge counts, which files the kernel reads by itself, and who verifies them. */
static void add_edge(const struct facts *f, const struct view_edge *edge, struct strbuf *out)
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
                f->passthroughs.sealed_by_disk, f->verifying);
}

/* ---- stats.json and metrics ---- */

static void add_numbers(struct state *p, const struct facts *f, struct view_numbers *n)
{
    const struct view_number numbers[] = {
        {"pid", VIEW_NO_METRIC, (uint64_t)getpid(), NULL},
        {"uptime_seconds", VIEW_GAUGE, (uint64_t)((ticks(p) - p->opened) / NSEC_PER_SEC),
         "Time since the store was opened."},
        {"seq", VIEW_GAUGE, f->seq, "Number of the last change."},
        {"durable_seq", VIEW_GAUGE, f->durable, "All changes up to this one are on disk."},
        {"namespaces", VIEW_GAUGE, f->namespaces, "Namespaces in the root of the mount."},
        {"kept_dropped", VIEW_GAUGE, f->kept[NS_TRASH],
         "Dropped namespaces that can be taken back."},
        {"kept_bases", VIEW_GAUGE, f->kept[NS_ORIGIN],
         "Earlier states of namespaces that branches were made of."},
        {"kept_snapshots", VIEW_GAUGE, f->kept[NS_SNAPSHOT], "Snapshots."},
        {"trash_frees_bytes", VIEW_GAUGE, f->trash_frees,
         "Bytes that emptying the trash would give back at once."},
        {"objects", VIEW_GAUGE, f->refs.objects,
         "Objects with at least one reference, on all shards."},
        {"stored_bytes", VIEW_GAUGE, f->refs.stored,
         "Bytes of all objects with a reference, each counted once, on all shards."},
        {"pinned_objects", VIEW_GAUGE, f->refs.pinned, "Objects that are kept by a pin."},
        {"dying_objects", VIEW_GAUGE, f->refs.dying,
         "Objects without a reference that the next commit lets go."},
        {"undeleted_objects", VIEW_GAUGE, f->refs.undeleted,
         "Objects whose bytes could not be deleted yet."},
        {"retained_objects", VIEW_GAUGE, f->refs.retained,
         "Objects that are kept until a commit is durable."},
        {"retained_bytes", VIEW_GAUGE, f->refs.retained_bytes,
         "Bytes of objects that are kept until a commit is durable."},
        {"packs", VIEW_GAUGE, f->packs.packs, "Pack files."},
        {"pack_live_records", VIEW_GAUGE, f->packs.live_records, "Small objects in packs."},
        {"pack_live_bytes", VIEW_GAUGE, f->packs.live_bytes, "Bytes of small objects in packs."},
        {"pack_dead_bytes", VIEW_GAUGE, f->packs.dead_bytes,
         "Bytes in packs that nothing needs; compaction frees them."},
        {"pack_file_bytes", VIEW_GAUGE, f->packs.file_bytes, "Sizes of all pack files."},
        {"kv_bytes", VIEW_GAUGE, f->kv_bytes, "Size of the file of the metadata tables."},
        {"disk_bytes", VIEW_GAUGE, f->disk_bytes, "Size of the disk of the store."},
        {"disk_free_bytes", VIEW_GAUGE, f->disk_free, "Free bytes of the disk of the store."},
        {"dirty_pages_bytes", VIEW_GAUGE, f->dirty,
         "Pages of trees in memory that are not written yet."},
        {"buffered_bytes", VIEW_GAUGE, f->buffered,
         "File contents in memory that are not sealed yet."},
        {"uncommitted_counts", VIEW_GAUGE, f->refs_changes,
         "Reference counts that changed since the last commit."},
        {"unsealed_files", VIEW_GAUGE, f->unsealed, "Closed files that are not objects yet."},
        {"drops_pending_pages", VIEW_GAUGE, f->drops,
         "Pages of dropped namespaces that are still to be worked off."},
        {"dropped_pages", VIEW_COUNTER, drops_freed(p->drops),
         "Pages of dropped namespaces that were worked off."},
        {"jobs_running", VIEW_GAUGE, f->jobs, "Jobs that run."},
        {"jobs_queued", VIEW_GAUGE, f->jobs_queued, "Jobs that wait for their turn."},
        {"gc_cycles", VIEW_COUNTER, f->gc.cycles, "GC cycles of the store since it was made."},
        {"gc_collected", VIEW_COUNTER, f->gc.collected,
         "Objects and files that GC cycles have deleted."},
        {"compacted_packs", VIEW_COUNTER, f->compaction.packs, "Packs that were rewritten."},
        {"compacted_bytes", VIEW_COUNTER, f->compaction.bytes,
         "Bytes that moved when packs were rewritten."},
        {"leaks", VIEW_GAUGE, f->gc.leaks,
         "Things that take space and are needed by nothing, which the next GC cycles delete."},
        {"leaked_bytes", VIEW_GAUGE, f->gc.leaked_bytes, "Bytes of leaks."},
        {"last_scrub_seconds", VIEW_TIME, (uint64_t)(f->scrub.ended / NSEC_PER_SEC),
         "When the last complete scrub ended, since the epoch; 0: never."},
        {"scrub_damaged", VIEW_GAUGE, f->scrub.last.damaged,
         "Damaged objects, pages and entries that the last scrub found."},
        {"healed_objects", VIEW_COUNTER, f->healed,
         "Damaged objects that were replaced by equal bytes that somebody wrote."},
        {"collisions", VIEW_COUNTER, f->collisions, "Different contents that had the same id."},
        {"unknown_decrements", VIEW_COUNTER, f->refs.unknown_decrements,
         "References that were given back although there was none."},
        {"passthrough_files", VIEW_GAUGE, f->passthroughs.open,
         "Files that the kernel reads by itself now."},
        {"passthrough_files_closed", VIEW_GAUGE, f->passthroughs.closed,
         "Files that the kernel read by itself, that are closed and may still be mapped."},
        {"alarms", VIEW_COUNTER, report_count(REPORT_ALARM), "Alarms in the journal."},
        {"warnings", VIEW_COUNTER, report_count(REPORT_WARN), "Warnings in the journal."},
        {"commits", VIEW_COUNTER, f->flush.commits, "Commits."},
        {"failed_commits", VIEW_COUNTER, f->flush.failed,
         "Commits that failed and are tried again."},
        {"last_commit_seconds", VIEW_TIME, (uint64_t)(f->flush.last_commit / NSEC_PER_SEC),
         "When the last commit ended, since the epoch."},
        {"pending_flushes", VIEW_GAUGE, f->flush.flushes.pending,
         "Flushes that are begun and not committed."},
        {"flush_permits", VIEW_GAUGE, f->flush.flushes.permits,
         "How many flushes may be under way at once."},
        {"flush_permits_used", VIEW_GAUGE, f->flush.flushes.used, "Flushes that are under way."},
        {"flush_permit_waiters", VIEW_GAUGE, f->flush.flushes.waiting,
         "Flushes that wait until they may begin."},
        {"oldest_flush_ms", VIEW_GAUGE, (uint64_t)(f->flush.flushes.oldest_ns / NSEC_PER_MSEC),
         "Age of the oldest flush that is under way."},
        {"given_up_flushes", VIEW_COUNTER, f->flush.flushes.given_up,
         "Flushes that were given up."},
        {"writers_waiting", VIEW_GAUGE, f->flush.waiting,
         "Threads that wait until enough was flushed."},
        {"writers_waited_ms", VIEW_COUNTER, (uint64_t)(f->flush.waited_ns / NSEC_PER_MSEC),
         "Time that threads have waited until enough was flushed."},
    };

    view_add_numbers(n, numbers, sizeof numbers / sizeof *numbers);
}

#define WORKER_NUMBERS 6

/* The numbers of one class of workers. */
static void list_class(const struct workers_class_stats *s,
                       struct view_number ret[static WORKER_NUMBERS])
{
    const struct view_number numbers[WORKER_NUMBERS] = {
        {"queued", VIEW_GAUGE, s->queued, "Tasks that wait for a worker thread."},
        {"running", VIEW_GAUGE, s->running, "Tasks that a worker thread runs."},
        {"waiting", VIEW_GAUGE, s->waiting, "Tasks that wait for something else."},
        {"resting", VIEW_GAUGE, s->resting, "Tasks that make a pause."},
        {"done", VIEW_COUNTER, s->done, "Tasks that have ended."},
        {"waited_milliseconds", VIEW_COUNTER, (uint64_t)(s->waited_ns / NSEC_PER_MSEC),
         "Time that tasks have waited for a worker thread."},
    };

    memcpy(ret, numbers, sizeof numbers);
}

/* Adds the numbers of all classes: in JSON an object for each class, in metrics a label. */
static void add_workers(struct view_numbers *n, const struct workers_stats *s)
{
    const struct view_number threads[] = {{"threads", VIEW_NO_METRIC, s->threads, NULL},
                                          {"long_threads", VIEW_NO_METRIC, s->long_threads, NULL}};
    struct view_number of[WORKERS_CLASSES][WORKER_NUMBERS];
    struct view_numbers workers = view_add_group(n, "workers", "workers_");

    for (unsigned c = 0; c < WORKERS_CLASSES; c++)
        list_class(&s->of[c], of[c]);
    for (unsigned c = 0; n->json && c < WORKERS_CLASSES; c++) {
        struct view_numbers class = view_add_group(&workers, workers_class_names[c], "");
        view_add_numbers(&class, of[c], WORKER_NUMBERS);
    }
    for (unsigned i = 0; !n->json && i < WORKER_NUMBERS; i++) {
        struct view_count counts[WORKERS_CLASSES];
        for (unsigned c = 0; c < WORKERS_CLASSES; c++)
            counts[c] = (struct view_count){workers_class_names[c], of[c][i].value};
        view_add_labelled(&workers, of[0][i], "class", counts, WORKERS_CLASSES);
    }
    view_add_numbers(&workers, threads, 2);
}

/* Adds what the edge counts. */
static void add_requests(struct view_numbers *n, const struct view_edge *edge)
{
    const struct view_number waiting = {"waiting_requests", VIEW_GAUGE, edge->waiting,
                                        "Requests of the kernel that are not answered yet."};
    const struct view_number longest = {
        "longest_wait_seconds", VIEW_GAUGE, (uint64_t)(edge->longest_wait / NSEC_PER_SEC),
        "How long the oldest request that is not answered has waited."};

    view_add_numbers(n, &waiting, 1);
    if (n->json) {
        view_add_json(n, longest.key, json_real((double)edge->longest_wait / 1e9));
        view_add_json(n, "transport", json_string(edge->transport));
        view_add_json(n, "passthrough", json_text(edge->passthrough));
        view_add_json(n, "mounted", json_text(edge->mounted ? edge->mounted : ""));
    } else {
        view_add_numbers(n, &longest, 1);
    }
    view_add_labelled(
        n,
        (struct view_number){
            "requests", VIEW_COUNTER, 0,
            "Requests that the kernel has sent, those for the directory .tally included."},
        "op", edge->requests, edge->request_kinds);
}

/* Adds how long requests took, by kind, and syncs of the log. */
static void add_latencies(struct state *p, struct view_numbers *n)
{
    const struct view_number requests = {"request_duration", VIEW_HISTOGRAM, 0,
                                         "How long requests took, by kind, without those for the "
                                         "directory .tally."};
    const struct view_number syncs = {"log_sync_duration", VIEW_HISTOGRAM, 0,
                                      "How long a sync of the log took on the disk."};
    struct view_numbers group = view_add_group(n, requests.key, n->prefix);
    struct log_stats log = {0};
    struct histogram h;
    const char *name;

    view_begin_histogram(&group, &requests);
    for (uint32_t kind = 0; kind < LATENCY_KINDS; kind++)
        if ((name = latency_get(p->latency, kind, &h)))
            view_add_histogram(&group, &requests, "op", name, &h);
    if (p->log)
        log_get_stats(p->log, &log);
    view_begin_histogram(n, &syncs);
    view_add_histogram(n, &syncs, NULL, NULL, &log.sync_times);
}

/* Adds all numbers, and in JSON what is no number. */
static void add_all(struct state *p, const struct facts *f, const struct view_edge *edge,
                    struct view_numbers *n)
{
    const struct view_number ok = {"ok", VIEW_GAUGE, strcmp(view_state(p, NULL), "ok") == 0,
                                   "1: the first line of the status says that all is well."};
    const struct view_number readonly = {"read_only", VIEW_GAUGE, f->readonly,
                                         "1: nothing can be changed, since something failed."};

    add_numbers(p, f, n);
    if (n->json) {
        view_add_json(n, "label", json_text(p->label));
        view_add_json(n, "state", json_string(view_state(p, NULL)));
        view_add_json(n, "read_only", json_boolean(f->readonly));
        view_add_json(n, "last_flush_errno", json_integer(-f->flush.error));
    } else {
        view_add_numbers(n, &ok, 1);
        view_add_numbers(n, &readonly, 1);
    }
    add_workers(n, &f->workers);
    add_latencies(p, n);
    view_pool_numbers(p, n);
    view_sweep_numbers(p, n);
    view_archive_numbers(p, n);
    view_follow_numbers(p, n);
    if (edge)
        add_requests(n, edge);
}

/* Makes the text of stats.json. A failure of any part is one of memory. */
static int stats(struct state *p, const struct facts *f, const struct view_edge *edge,
                 struct strbuf *out)
{
    bool failed = false;
    struct view_numbers n = {.json = json_object(), .prefix = "", .failed = &failed};
    char *text = NULL;

    if (n.json)
        add_all(p, f, edge, &n);
    if (n.json && !failed)
        text = json_dumps(n.json, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(n.json);
    if (!text)
        return -ENOMEM;
    strbuf_adds(out, text);
    strbuf_adds(out, "\n");
    free(text);
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
        add_all(p, &f, edge, &(struct view_numbers){.metrics = out, .prefix = ""});
        return strbuf_error(out);
    case VIEW_STATUS:
        break;
    }
    status(p, &f, out);
    if (edge)
        add_edge(&f, edge, out);
    return strbuf_error(out);
}

/* ---- the refcount table ---- */

struct dump {
    FILE *out;
    bool any; /* a count was written already */
};

/* Writes the count of one object. */
static int write_count(const struct refs_item *item, void *ctx)
{
    struct dump *d = ctx;
    char hex[ID_HEX + 1];
    const char *comma = d->any ? ", " : "";

    id_to_hex(&item->id, hex);
    d->any = true;
    return fprintf(d->out, "%s\"%s\": %llu", comma, hex, U(item->count)) < 0 ? -errno : 0;
}

/* The freeze lock is held only while the listing begins: refs keeps the counts of that instant for
 * it. */
int view_refcounts(struct state *p, FILE *out)
{
    struct dump d = {.out = out};
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
    if (fprintf(out, "{\"seq\": %llu, \"counts\": {", U(seq)) < 0)
        err = -errno;
    if (err == 0)
        err = refs_list_run(p->refs, l, write_count, &d);
    refs_list_end(l);
    if (err == 0 && (fputs("}}\n", out) < 0 || fflush(out) != 0))
        err = -errno;
    return err;
}

/* ---- objects ---- */

int view_object(struct state *p, const struct id *id, struct view_object *ret)
{
    struct entry e;
    uint64_t number;
    int err;

    (void)seal_settle(p);
    err = refs_find_logged(p->refs, id, &number, &e);
    if (err < 0)
        return err;
    refs_unhold(p->refs, number);
    if (e.count == 0)
        return -ENOENT;
    *ret = (struct view_object){.id = *id, .number = number, .refs = e.count, .size = e.size};
    return 0;
}

int view_object_numbered(struct state *p, uint64_t number, struct view_object *ret)
{
    struct entry e;
    int err = refs_entry(p->refs, number, false, NULL, &e);

    if (err < 0)
        return err;
    if (e.count == 0 || !(entry_is_sealed(&e) || e.kind == ENTRY_NONE))
        return -ENOENT;
    *ret = (struct view_object){.id = e.id, .number = number, .refs = e.count, .size = e.size};
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
