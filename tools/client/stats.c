// SPDX-License-Identifier: Apache-2.0
#include "stats.h"

#include <string.h>

uint64_t stats_number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    const double x = json_number_value(v);
    return x <= 0 ? 0 : json_is_integer(v) ? (uint64_t)json_integer_value(v) : (uint64_t)x;
}

const char *stats_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

bool stats_is_well(const char *state)
{
    return strcmp(state, "ok") == 0 || strcmp(state, "new") == 0;
}
