// SPDX-License-Identifier: Apache-2.0
/*
 * report: messages to people about facts that no return value can carry (alarms, warnings).
 *
 * Libraries return errors and print nothing. Only facts that no caller has asked about are
 * reported: a damaged object that was healed, an unknown id in a decrement. The program installs
 * one sink for them. The last REPORT_KEEP messages stay readable for `status`. Threads: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum report_level {
    REPORT_NOTE,  /* worth a line in the journal */
    REPORT_WARN,  /* something leaks or was left out; the text says how to repair it */
    REPORT_ALARM, /* data was or is damaged; the message stays in status */
};

#define REPORT_KEEP 32  /* messages */
#define REPORT_TEXT 256 /* bytes of a message, with its NUL; a longer one is cut */

/* Called without a lock, by the thread that reports. */
typedef void report_sink_fn(enum report_level level, const char *text, void *ctx);

/* Installs the sink. NULL, the default: messages are only kept. */
void report_set_sink(report_sink_fn *fn, void *ctx);
void report(enum report_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* How many messages of that level came since the start. */
uint64_t report_count(enum report_level level);
/* Copies up to `max` messages of at least `level`, the newest first and equal texts once. Returns
 * how many. */
size_t report_recent(enum report_level level, char (*out)[REPORT_TEXT], size_t max);
/* For tests: forgets all counts and messages. */
void report_reset(void);
