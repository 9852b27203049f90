// SPDX-License-Identifier: Apache-2.0
/*
 * report: counters per level and a ring of the last messages. They are global, since an alarm may
 * come from a room that knows no store.
 */
#include "report.h"

#include "lock.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LEVELS 3

struct message {
    enum report_level level;
    char text[REPORT_TEXT];
};

static struct mutex lock = {.m = PTHREAD_MUTEX_INITIALIZER, .name = "report"};
/* These are guarded by: lock. Message n, counted from 0, is in kept[n % REPORT_KEEP]. */
static struct message kept[REPORT_KEEP];
static uint64_t total;
static uint64_t counts[LEVELS];
static report_sink_fn *sink;
static void *sink_ctx;

void report_set_sink(report_sink_fn *fn, void *ctx)
{
    MUTEX_GUARD(&lock);
    sink = fn;
    sink_ctx = ctx;
}

/* Keeps the message; returns the sink of that moment, to be called without the lock. */
static report_sink_fn *keep(enum report_level level, const char *text, void **ret_ctx)
{
    MUTEX_GUARD(&lock);
    struct message *m = &kept[total++ % REPORT_KEEP];
    m->level = level;
    memcpy(m->text, text, REPORT_TEXT);
    counts[level]++;
    *ret_ctx = sink_ctx;
    return sink;
}

void report(enum report_level level, const char *fmt, ...)
{
    char text[REPORT_TEXT] = "";
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    void *ctx;
    report_sink_fn *fn = keep(level, text, &ctx);
    if (fn)
        fn(level, text, ctx);
}

uint64_t report_count(enum report_level level)
{
    MUTEX_GUARD(&lock);
    return counts[level];
}

/* Is the text among the `n` texts already? */
static bool is_among(const char *text, char (*texts)[REPORT_TEXT], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(texts[i], text) == 0)
            return true;
    }
    return false;
}

size_t report_recent(enum report_level level, char (*out)[REPORT_TEXT], size_t max)
{
    MUTEX_GUARD(&lock);
    uint64_t have = total < REPORT_KEEP ? total : REPORT_KEEP;
    size_t n = 0;
    for (uint64_t back = 1; back <= have && n < max; back++) {
        const struct message *m = &kept[(total - back) % REPORT_KEEP];
        if (m->level >= level && !is_among(m->text, out, n))
            memcpy(out[n++], m->text, REPORT_TEXT);
    }
    return n;
}

void report_reset(void)
{
    MUTEX_GUARD(&lock);
    total = 0;
    memset(counts, 0, sizeof counts);
}
