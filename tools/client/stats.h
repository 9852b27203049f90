// SPDX-License-Identifier: Apache-2.0
/* stats: values of `.tally/stats.json` (client_load_stats), and what they are measured by. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define STATS_OVERDUE_S (35 * INT64_C(86400)) /* a scrub or a drill is to be made once a month */
#define STATS_LAG_MS 60000                    /* an archive that is so far behind is late */
#define STATS_FULL_PERCENT 90                 /* a disk that is so full is soon full */
#define STATS_VERY_FULL_PERCENT 98

/* The member of that key as a number; 0 if it is missing, below 0 or no number. */
uint64_t stats_number(const json_t *o, const char *key);
/* The same as a text; "" if it is missing or no text. */
const char *stats_text(const json_t *o, const char *key);
/* Is the state of a shard, or of an archive, one that needs nobody? */
bool stats_is_well(const char *state);
