// SPDX-License-Identifier: Apache-2.0
/*
 * status_people: `tally status` for people. The first line says what is well and what is not, then
 * come a few numbers, and then, marked by '!', what is unusual. status_facts.h gathers the facts;
 * this is a pure function of them.
 */
#pragma once

#include "strbuf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct status_facts {
    const char *mnt;        /* where it is mounted */
    const char *text;       /* .tally/status */
    const json_t *stats;    /* .tally/stats.json */
    const json_t *jobs;     /* jobs_read_all() (jobs.h); NULL: not known */
    uint64_t inodes, bytes; /* of all namespaces together */
    bool usage_known;       /* are these two? */
    int64_t now;            /* seconds since the epoch */
};

/* Where the word of the state is in the text, and the sequence for a terminal that colours it. */
struct status_word {
    size_t at, len;
    const char *colour;
};

/* Adds the status, each line with a newline. Control characters of names stay, and nothing is
 * coloured. */
struct status_word status_people_add(const struct status_facts *f, struct strbuf *out);
