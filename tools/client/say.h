// SPDX-License-Identifier: Apache-2.0
/*
 * say: prints messages of the program to the user. Results go to standard output, sentences about
 * failures to standard error. One thread at a time, except for tally_progress() (see jobs.h).
 */
#pragma once

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The verb that runs, which sentences name; NULL: none yet. */
extern const char *tally_verb;

/* Prints "tally VERB: sentence" on standard error, with '?' for control characters. tally_fail
 * returns 1, the exit code. */
int tally_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tally_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Prints a result on standard output. On a terminal '?' replaces its control characters, in place;
 * a file or a pipe gets the bytes as they are. */
void tally_print(char *text, size_t len);
/* Prints JSON on standard output, and a newline. `flags`: JSON_INDENT(n) or JSON_COMPACT. */
void tally_print_json(const json_t *value, size_t flags);
/* Shows a line on standard error that replaces the one before, with '?' for control characters, cut
 * where the terminal ends. "" clears it. Without a terminal nothing is shown. A line that is there
 * already is not drawn again, and of the lines of one format at most five are drawn in a second:
 * the others are lost. */
void tally_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* So many columns of such a line are shown. */
size_t tally_progress_width(void);
/* Is it time to show such a line again? Never in the first second after the first call, and then
 * five times a second. */
bool tally_progress_is_due(void);
/* getopt_long(3), whose error messages begin with "tally VERB: ". */
int tally_getopt(int argc, char **argv, const char *letters, const struct option *options);
