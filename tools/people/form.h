// SPDX-License-Identifier: Apache-2.0
/*
 * form: in which form the program prints replies. On a terminal that is for people: sentences and
 * tables. In a pipe or a file it is for programs: key=value, as the mount gives it. --human and
 * --porcelain ask for one of these wherever standard output leads, and --json for JSON.
 *
 *     while ((o = form_getopt(argc, argv, "C:", options)) >= 0)
 *         ...
 *     if (form_is_human())
 *         call = form_call("du", args, nargs);        // people.h
 */
#pragma once

#include "people.h"

#include <getopt.h>

/* tally_getopt() (say.h) that also takes --human and --porcelain, which it notes and does not
 * return. 'j' is the value of --json, which it notes and returns. '?' after a sentence: also if two
 * of the three were given. `options` has FORM_OPTIONS_MAX elements at most, with the last. */
#define FORM_OPTIONS_MAX 48
int form_getopt(int argc, char **argv, const char *letters, const struct option *options);
/* Are replies for people? Not with --json. */
bool form_is_human(void);
/* Are colours wanted? On a terminal, unless NO_COLOR is set or TERM is "dumb". */
bool form_has_colours(void);
/* How a reply of this call is printed: as wide as the terminal, at this time. */
struct people_call form_call(const char *verb, char *const *args, int nargs);
