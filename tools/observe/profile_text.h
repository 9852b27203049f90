// SPDX-License-Identifier: Apache-2.0
/* profile_text: costs as people and as programs read it. Pure functions. */
#pragma once

#include "costs.h"

#include <jansson.h>

/* Adds three tables: by kind of request, by namespace and by program, with `most` rows each at
 * most. `width` of the terminal, 0: any. -ENOMEM. */
int profile_text(const struct costs *s, size_t most, size_t width, struct strbuf *out);
/* The same as an object, with all rows; the caller frees it. NULL: no memory. */
json_t *profile_json(const struct costs *s);
/* A duration of so many us in three digits at most: "8 us", "1.2 ms", "3.4 s". */
#define PROFILE_TIME 24
char *profile_time(uint64_t us, char out[static PROFILE_TIME]);
