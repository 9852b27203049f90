// SPDX-License-Identifier: Apache-2.0
/*
 * view_jobs: the files of `.tally/jobs`: state, progress, rate and result of jobs.
 */
#include "command.h"
#include "job.h"
#include "state.h"
#include "strbuf.h"
#include "view.h"
#include <stdio.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

int view_jobs(struct state *p, uint64_t after, view_job_fn *fn, void *ctx)
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

static void add_stamp(struct strbuf *out, const char *key, int64_t time_ns)
{
    strbuf_addf(out, "%s=", key);
    strbuf_add_time(out, time_ns);
    strbuf_adds(out, "\n");
}

const char *job_state_name(enum job_state state)
{
    static const char *const names[] = {[JOB_QUEUED] = "queued",
                                        [JOB_RUNNING] = "running",
                                        [JOB_DONE] = "done",
                                        [JOB_FAILED] = "failed",
                                        [JOB_CANCELLED] = "cancelled"};
    return names[state];
}

/* Appends the first word of `word` as a line, and returns what follows it. Blanks in quotes belong
 * to a word. A result that was cut off may lack the closing quote, which is added. */
static const char *add_word(struct strbuf *out, const char *word)
{
    bool quoted = false;
    size_t n = 0;

    while (word[n] && (quoted || word[n] != ' ') && (word[n] != '\\' || word[n + 1])) {
        quoted ^= word[n] == '"';
        n += word[n] == '\\' ? 2 : 1;
    }
    if (n) {
        strbuf_add(out, word, n);
        strbuf_adds(out, quoted ? "\"\n" : "\n");
    }
    return word + n + (word[n] != 0);
}

/* Appends the words of a result, one a line. */
static void add_words(struct strbuf *out, const char *words)
{
    while (*words)
        words = add_word(out, words);
}

/* Appends the estimated time left. It is computed from bytes if they are known, because one large
 * object takes as long as a million small ones. */
static void add_left(const struct job *j, double seconds, struct strbuf *out)
{
    uint64_t total = j->bytes_total ? j->bytes_total - j->bytes_first : j->total;
    uint64_t done = j->bytes_total ? j->bytes_done - j->bytes_first : j->done;

    if (done && total > done && seconds > 0)
        strbuf_addf(out, "left_seconds=%.0f\n",
                    seconds * (double)(total - done) / (double)done);
}

/* Appends the progress of a job, and its rates. */
static void add_progress(struct state *p, const struct job *j, struct strbuf *out)
{
    int64_t lasted = job_is_over(j) ? j->lasted : ticks(p) - j->began;
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

/* Appends the lines that a job left: what a dry run of GC would collect, or the ghosts that a sweep
 * lists. */
static void add_lines(struct state *p, const struct job *j, struct strbuf *out)
{
    const char *key = strcmp(j->verb, "sweep") ? "would_collect" : "ghost";
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char *rest;

    if (job_get_lines(p, j->number, &text) < 0 || strbuf_error(&text) < 0)
        return;
    for (char *line = strtok_r(text.s, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        add_line(out, key, line);
}

int view_job(struct state *p, uint64_t job, struct strbuf *out)
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
    if (job_is_over(&j)) {
        add_stamp(out, "ended", j.ended);
        strbuf_addf(out, "error=%s\n", j.error ? command_errno_name(-j.error) : "0");
        add_words(out, j.result);
        add_lines(p, &j, out);
    }
    return strbuf_error(out);
}
