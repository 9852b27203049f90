// SPDX-License-Identifier: Apache-2.0
/*
 * jobs: reads .tally/jobs of a mount, and shows a bar with the progress of a job.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the file of a job as a JSON object, with numbers as numbers; the caller frees it. NULL:
 * there is no such job (any more), or its file cannot be read (errno; EUCLEAN: it is no file of the
 * mount, but a symlink or a FIFO, for example). */
json_t *jobs_read(const char *mnt, uint64_t number);
/* Reads all jobs as an array in the order of their numbers; the caller frees it. NULL: .tally/jobs
 * cannot be read (errno). */
json_t *jobs_read_all(const char *mnt);
/* A text of such an object; "" if it has none. */
const char *jobs_text(const json_t *job, const char *key);
/* Describes such an object: "rebuild 42.0%, 1200 of 2857, 310/s, 0:05 left". */
void jobs_describe(const json_t *job, char *out, size_t room);
/* A bar before a text: "[######....] scrub 60.0%". Where it would not fit into `width` columns with
 * all of the text it is shorter, or is left out. */
void bar_line(double percent, const char *text, size_t width, char *out, size_t room);

/* Shows the bar on standard error, if that is a terminal, until bar_stop. A thread draws it again
 * five times a second, so nothing else may write there meanwhile. NULL: there is no bar, because it
 * is no terminal or there is no memory or thread. */
struct bar;
struct bar *bar_start(const char *mnt, uint64_t number);
/* The same for what is no job: how long it has taken is shown, from the second second on. The time
 * begins with the first call. */
struct bar *bar_start_clock(void);
void bar_stop(struct bar *b); /* NULL is fine */
