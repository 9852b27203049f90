// SPDX-License-Identifier: Apache-2.0
/*
 * top_screen: what `tally top` shows, as lines of text. Pure: top.h draws it, and gathers the
 * facts.
 */
#pragma once

#include "costs.h"

#include <jansson.h>
#include <stdint.h>

enum top_style { TOP_PLAIN, TOP_HEAD, TOP_BAD };

struct top_line {
    char *text; /* at most as wide as the screen; UTF-8, without control characters */
    enum top_style style;
};

struct top_facts {
    const char *mnt;
    const json_t *stats;         /* .tally/stats.json; NULL: the mount does not answer */
    const json_t *jobs;          /* jobs_read_all(); NULL: not known */
    const struct costs *costs; /* of the last interval */
    int64_t now;                 /* seconds since the epoch */
};

/* Writes the screen into `lines`, `rows` at most, each at most `columns` wide. Returns how many.
 * The caller frees their texts; one of NULL is missing, because there was no memory. */
size_t top_screen(const struct top_facts *f, size_t rows, size_t columns, struct top_line *lines);
