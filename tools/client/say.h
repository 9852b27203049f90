// SPDX-License-Identifier: Apache-2.0
/*
 * say: how the program speaks to who called it. Results go to standard output, sentences about
 * failures to standard error. One thread at a time, except for tally_progress(): see jobs.h.
 */
#pragma once

#include <getopt.h>

/* The verb that runs, for sentences; NULL: none yet. */
extern const char *tally_verb;

/* "tally VERB: sentence" on standard error; control characters become '?'. Returns 1, the exit
 * code. */
int tally_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tally_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line on a terminal's standard error that replaces itself; nothing elsewhere. "" clears it. */
void tally_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* getopt_long(3) that complains as "tally VERB: …". */
int tally_getopt(int argc, char **argv, const char *letters, const struct option *options);
