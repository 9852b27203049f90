// SPDX-License-Identifier: Apache-2.0
/*
 * report: how the library tells people about what no return value can carry (alarms, warnings).
 *
 * Libraries return errors and stay silent; only facts that no caller asked about come here: a
 * damaged object that was healed, an unknown id in a decrement. The program installs one sink; the
 * last REPORT_KEEP messages stay readable for `status`. Threads: all calls may come from any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum report_level {
    REPORT_NOTE,  /* worth a line in the journal */
    REPORT_WARN,  /* something leaks or was left out; names the way to mend it */
    REPORT_ALARM, /* data was or is damaged; stays in status */
};

#define REPORT_KEEP 32
#define REPORT_TEXT 256

typedef void report_sink_fn(enum report_level level, const char *text, void *ctx);

/* Install the one sink; NULL for silence (the default). */
void report_set_sink(report_sink_fn *fn, void *ctx);
void report(enum report_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* How many of that level since start. */
uint64_t report_count(enum report_level level);
/* Newest first: copies up to `max` messages of at least `level`, each text once; returns how
 * many. */
size_t report_recent(enum report_level level, char (*out)[REPORT_TEXT], size_t max);
/* Tests: forget everything counted and kept. */
void report_reset(void);
