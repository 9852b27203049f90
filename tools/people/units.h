// SPDX-License-Identifier: Apache-2.0
/*
 * units: numbers as people read them. Pure functions: what is "now", and the time zone, come from
 * the caller and from TZ.
 *
 *     unit_bytes(1395864371, text);                       1.3 GiB
 *     unit_count(83731, text);                            83,731
 *     unit_noun(2, "branch|branches", text);              2 branches
 *     unit_duration(200000, text);                        3 min 20 s
 *     unit_time("2026-11-27T13:58:00Z", now, text);       2026-11-27 14:58 (5 min ago)
 *
 * Each writes a text with an end into `out`, which has room for UNIT_TEXT bytes, and returns it.
 */
#pragma once

#include <stdint.h>

#define UNIT_TEXT 96

/* A size with a binary prefix and at most three digits: "0 B", "1023 B", "1.3 GiB", "412 MiB". It
 * is rounded. What would need a fourth digit gets the next prefix: 1023 MiB are "1 GiB". */
char *unit_bytes(uint64_t bytes, char out[static UNIT_TEXT]);
/* A number with a comma before each three digits. */
char *unit_count(uint64_t n, char out[static UNIT_TEXT]);
/* A number and what it counts: "no files", "1 file", "2 files". `noun` is the singular, or
 * "SINGULAR|PLURAL" if the plural has more than an s. */
char *unit_noun(uint64_t n, const char *noun, char out[static UNIT_TEXT]);
/* A duration in its two largest units: "0 ms", "850 ms", "3.2 s", "3 min 20 s", "2 d 4 h". Less
 * than 0 counts as 0. */
char *unit_duration(int64_t ms, char out[static UNIT_TEXT]);
/* A time of a reply, as local time with its distance from `now`, in seconds since the epoch:
 * "(5 min ago)" or "(in 2 d)". A text that is no time, as "never", stays as it is. */
char *unit_time(const char *stamp, int64_t now, char out[static UNIT_TEXT]);
/* The distance alone: "5 min ago", "in 2 d", "now". */
char *unit_ago(const char *stamp, int64_t now, char out[static UNIT_TEXT]);
/* The time alone. */
char *unit_moment(const char *stamp, char out[static UNIT_TEXT]);
