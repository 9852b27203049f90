// SPDX-License-Identifier: Apache-2.0
/* view_status: see the header. */
#include "view_status.h"
#include "command.h"
#include "log.h"
#include "pool_node.h"
#include "report.h"
#include "scrub.h"
#include "state.h"
#include "view.h"
#include "view_archive.h"
#include "view_facts.h"
#include "view_follow.h"
#include "view_pool.h"
#include "view_sweep.h"
#include <stdio.h>
#include <string.h>

/* recent alarms and warnings that the status lists */
#define ALARMS_SHOWN 8
#define U(x) ((unsigned long long)(x))

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
static void add_scrub(const struct view_facts *f, struct strbuf *out)
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
static void add_scrub_alarm(const struct view_facts *f, struct strbuf *out)
{
    if (f->scrub.last.damaged)
        strbuf_addf(out,
                    "            the last scrub found %llu damaged objects, pages or entries\n",
                    U(f->scrub.last.damaged));
}

/* The first condition that holds is reported; the worst come first. */
const char *view_state(struct state *p, const struct view_edge *edge, struct strbuf *why)
{
    const bool hangs = edge && edge->is_stuck;
    const int line = hangs ? (int)strcspn(edge->stuck, "\n") : 0;
    const char *sentence = NULL, *detail = "", *what = atomic_load(&p->readonly_what);
    char failed[256];
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
    } else if (hangs) {
        snprintf(failed, sizeof failed, "%.*s", line, edge->stuck);
        sentence = failed;
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

static void add_state(struct state *p, const struct view_edge *edge, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    const char *state = view_state(p, edge, &why);

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

/* Each line begins with its subject in a column of 12 characters. */
static void add_lines(struct state *p, const struct view_facts *f, const struct view_edge *edge,
                      struct strbuf *out)
{
    strbuf_addf(out, "store       %s\n", *p->label ? p->label : "(no label)");
    add_state(p, edge, out);
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
    strbuf_addf(out, "packs       %llu live_bytes=%llu dead_bytes=%llu file_bytes=%llu",
                U(f->packs.packs), U(f->packs.live_bytes), U(f->packs.dead_bytes),
                U(f->packs.file_bytes));
    if (f->refs.saved)
        strbuf_addf(out, " saved_bytes=%llu", U(f->refs.saved));
    strbuf_adds(out, "\n");
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

/* Appends what hangs, a line each. */
static void add_stuck_lines(const struct view_edge *edge, struct strbuf *out)
{
    for (const char *s = edge->stuck; *s;) {
        const size_t len = strcspn(s, "\n");
        strbuf_addf(out, "            %.*s\n", (int)len, s);
        s += len + (s[len] == '\n');
    }
}

/* Appends what the edge counts, which files the kernel reads by itself, and who verifies them. */
static void add_edge(const struct view_facts *f, const struct view_edge *edge, struct strbuf *out)
{
    if (edge->mounted && *edge->mounted)
        strbuf_addf(out, "mounted     %s\n", edge->mounted);
    strbuf_addf(out, "requests    by %s\n", edge->transport);
    strbuf_addf(out, "waiting     %zu", edge->waiting);
    if (edge->longest_kind)
        strbuf_addf(out, ", the longest for %lld s (%s)",
                    (long long)(edge->longest_wait / NSEC_PER_SEC), edge->longest_kind);
    strbuf_adds(out, edge->is_stuck ? ": ALARM\n" : "\n");
    add_stuck_lines(edge, out);
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

void view_status(struct state *p, const struct view_facts *f, const struct view_edge *edge,
                 struct strbuf *out)
{
    add_lines(p, f, edge, out);
    if (edge)
        add_edge(f, edge, out);
}
