// SPDX-License-Identifier: Apache-2.0
/*
 * jobs: what a mount's .tally/jobs says, and a bar that shows how far a job is.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* A job's file as an object: numbers where they are numbers. NULL: there is none (any more). */
json_t *jobs_read(const char *mnt, uint64_t number);
/* All of them, by their numbers. NULL: .tally/jobs cannot be read (errno). */
json_t *jobs_read_all(const char *mnt);
/* "rebuild 42.0%, 1200 of 2857, 310/s, 5 s left", from such an object. */
void jobs_describe(const json_t *job, char *out, size_t room);

/* On a terminal's standard error, until bar_stop, redrawn five times a second by a thread of its
 * own: nothing else is to be written meanwhile. Without a terminal, or when it has to: nothing. */
struct bar;
struct bar *bar_start(const char *mnt, uint64_t number);
void bar_stop(struct bar *b); /* NULL is fine */
