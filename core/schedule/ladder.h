// SPDX-License-Identifier: Apache-2.0
/*
 * ladder: for how long how many snapshots are kept. "15m*8 1h*24 1d*14" has three rungs: the last 8
 * quarters of an hour, the last 24 hours and the last 14 days.
 *
 * Time is cut into periods of the length of a rung, counted from the epoch. Of each period in which
 * there are snapshots a rung needs the first one, for the last `count` such periods. Periods
 * without any do not count: so a namespace that rests for a month loses nothing meanwhile. The
 * newest snapshot is always needed.
 *
 * A snapshot is due when there is none in the present period of the shortest rung.
 *
 * All functions are pure. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LADDER_RUNGS_MAX 8
#define LADDER_COUNT_MAX 1000                          /* of one rung */
#define LADDER_INTERVAL_MIN (INT64_C(60) * 1000000000) /* ns: a minute */
#define LADDER_TEXT_MAX 200                            /* bytes of the text */

struct ladder_rung {
    int64_t interval; /* ns */
    uint32_t count;
};
struct ladder {
    struct ladder_rung v[LADDER_RUNGS_MAX];
    size_t count; /* at least 1 */
};

/* Parses rungs with blanks between them; each is a duration (command.h), `*`, and how many.
 * -EINVAL: the text has another form, or is beyond a limit; *ret is as it was. */
int ladder_parse(const char *text, struct ladder *ret);
/* Which snapshots are needed? times[0 … n-1] are their times in ns since the epoch, rising; of each
 * needed[i] is set to true or false. */
void ladder_mark(const struct ladder *l, const int64_t *times, size_t n, bool *needed);
/* Is another one due at the time `now`? */
bool ladder_is_due(const struct ladder *l, const int64_t *times, size_t n, int64_t now);
