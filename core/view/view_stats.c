// SPDX-License-Identifier: Apache-2.0
/* view_stats: see the header. */
#include "view_stats.h"
#include "json_text.h"
#include "latency.h"
#include "log.h"
#include "report.h"
#include "state.h"
#include "view.h"
#include "view_archive.h"
#include "view_facts.h"
#include "view_follow.h"
#include "view_ns.h"
#include "view_numbers.h"
#include "view_pool.h"
#include "view_sweep.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_numbers(struct state *p, const struct view_facts *f, struct view_numbers *n)
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
        {"saved_bytes", VIEW_GAUGE, f->refs.saved,
         "Bytes of these that compression saves: they take so much less where they are."},
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

    const struct view_number stuck[] = {
        {"stuck_requests", VIEW_GAUGE, edge->stuck_requests,
         "Requests that hang for longer than watchdog_patience."},
        {"stuck_threads", VIEW_GAUGE, edge->stuck_threads,
         "Threads that hang for longer than watchdog_patience, and serve none of these requests."}};

    view_add_numbers(n, &waiting, 1);
    view_add_numbers(n, stuck, 2);
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
static void add_all(struct state *p, const struct view_facts *f, const struct view_edge *edge,
                    struct view_numbers *n)
{
    const struct view_number ok = {"ok", VIEW_GAUGE, strcmp(view_state(p, edge, NULL), "ok") == 0,
                                   "1: the first line of the status says that all is well."};
    const struct view_number readonly = {"read_only", VIEW_GAUGE, f->readonly,
                                         "1: nothing can be changed, since something failed."};

    add_numbers(p, f, n);
    if (n->json) {
        view_add_json(n, "label", json_text(p->label));
        view_add_json(n, "state", json_string(view_state(p, edge, NULL)));
        view_add_json(n, "read_only", json_boolean(f->readonly));
        view_add_json(n, "last_flush_errno", json_integer(-f->flush.error));
    } else {
        view_add_numbers(n, &ok, 1);
        view_add_numbers(n, &readonly, 1);
    }
    add_workers(n, &f->workers);
    add_latencies(p, n);
    view_ns_numbers(p, n);
    view_pool_numbers(p, n);
    view_sweep_numbers(p, n);
    view_archive_numbers(p, n);
    view_follow_numbers(p, n);
    if (edge)
        add_requests(n, edge);
}

/* A failure of any part is one of memory. */
int view_stats_json(struct state *p, const struct view_facts *f, const struct view_edge *edge,
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

int view_metrics(struct state *p, const struct view_facts *f, const struct view_edge *edge,
                 struct strbuf *out)
{
    struct view_numbers n = {.metrics = out, .prefix = ""};

    add_all(p, f, edge, &n);
    return strbuf_error(out);
}
