// SPDX-License-Identifier: Apache-2.0
/*
 * view_jobs: `.tally/jobs`, and how much work is left.
 */
#include "command.h"
#include "project_impl.h"
#include "view.h"
#include <stdio.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

int view_jobs(struct project *p, uint64_t after, view_job_fn *fn, void *ctx)
{
    while (job_next(p, after, &after) == 0)
        if (fn(after, ctx))
            break;
    return 0;
}

static void add_line(struct strbuf *out, const char *key, const char *value)
{
    strbuf_addf(out, "%s=", key);
    command_add_word(out, value);
    strbuf_adds(out, "\n");
}

static void add_stamp(struct strbuf *out, const char *key, int64_t ns)
{
    strbuf_addf(out, "%s=", key);
    view_add_time(out, ns);
    strbuf_adds(out, "\n");
}

const char *job_state_name(enum job_state state)
{
    static const char *const names[] = {[JOB_RUNNING] = "running",
                                        [JOB_DONE] = "done",
                                        [JOB_FAILED] = "failed",
                                        [JOB_CANCELLED] = "cancelled"};
    return names[state];
}

/* The words of a result, a line each. */
static void add_words(struct strbuf *out, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, " ");
        if (n)
            strbuf_add(out, words, n);
        if (n)
            strbuf_adds(out, "\n");
        words += n + (words[n] == ' ');
    }
}

/* By bytes where they are known: one object takes as long as a million others. */
static void add_left(const struct job *j, double seconds, struct strbuf *out)
{
    uint64_t total = j->bytes_total ? j->bytes_total - j->bytes_first : j->total;
    uint64_t done = j->bytes_total ? j->bytes_done - j->bytes_first : j->done;

    if (done && total > done && seconds > 0)
        strbuf_addf(out, "left_seconds=%.0f\n",
                    seconds * (double)(total - done) / (double)done);
}

static void add_progress(struct project *p, const struct job *j, struct strbuf *out)
{
    int64_t lasted = j->state == JOB_RUNNING ? ticks(p) - j->began : j->lasted;
    double seconds = (double)lasted / (double)NSEC_PER_SEC;

    strbuf_addf(out, "percent=%u.%u\n", j->permille / 10, j->permille % 10);
    strbuf_addf(out, "done=%llu\n", U(j->done));
    if (j->total)
        strbuf_addf(out, "total=%llu\n", U(j->total));
    if (j->bytes_total)
        strbuf_addf(out, "bytes_done=%llu\nbytes_total=%llu\n", U(j->bytes_done),
                    U(j->bytes_total));
    strbuf_addf(out, "seconds=%.1f\n", seconds);
    if (j->done && seconds > 0)
        strbuf_addf(out, "per_second=%.1f\n", (double)j->done / seconds);
    if (j->bytes_done && seconds > 0)
        strbuf_addf(out, "bytes_per_second=%.0f\n", (double)j->bytes_done / seconds);
    if (j->state == JOB_RUNNING)
        add_left(j, seconds, out);
}

/* What a trial run of GC would collect. */
static void add_lines(struct project *p, uint64_t job, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char *rest;

    if (job_get_lines(p, job, &text) < 0 || strbuf_error(&text) < 0)
        return;
    for (char *line = strtok_r(text.s, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        add_line(out, "would_collect", line);
}

int view_job(struct project *p, uint64_t job, struct strbuf *out)
{
    struct job j;
    int err = job_get(p, job, &j);

    if (err < 0)
        return err;
    strbuf_addf(out, "job=%llu\n", U(j.number));
    add_line(out, "verb", j.verb);
    add_line(out, "detail", j.detail);
    add_line(out, "state", job_state_name(j.state));
    add_progress(p, &j, out);
    if (!strcmp(j.verb, "drop"))
        strbuf_addf(out, "queue_pages=%zu\n", drops_left(p->drops));
    add_stamp(out, "started", j.started);
    if (j.state != JOB_RUNNING) {
        add_stamp(out, "ended", j.ended);
        strbuf_addf(out, "error=%s\n", j.error ? command_errno_name(-j.error) : "0");
        add_words(out, j.result);
        add_lines(p, job, out);
    }
    return strbuf_error(out);
}

void view_get_rest(struct project *p, struct view_rest *ret)
{
    struct coordinator_stats flushes;
    struct pool_stats pool;

    *ret = (struct view_rest){.jobs = jobs_running(p),
                              .unsealed = seal_waiting(p),
                              .dropped_pages = drops_left(p->drops)};
    pool_get_stats(p->pool, &pool);
    for (unsigned c = 0; c < POOL_CLASSES; c++)
        ret->pieces += pool.of[c].queued + pool.of[c].running;
    coordinator_get_stats(p->flush.coordinator, &flushes);
    MUTEX_GUARD(&p->flush.lock);
    ret->flushes = flushes.pending;
    if (ret->flushes == 0 && p->flush.durable_seq != atomic_load(&p->seq))
        ret->flushes = 1; /* one is still to come */
}
