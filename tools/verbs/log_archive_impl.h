// SPDX-License-Identifier: Apache-2.0
/* What log_archive and log_fetch share. */
#pragma once

#include "catalogue.h"
#include "ctl.h"
#include "shard.h"
#include "strbuf.h"

struct asking {
    const char *url, *verb;                /* list, find, fetch */
    const char *lineage_word, *until_word; /* as they were given; NULL: they were not */
    uint64_t lineage, until;
    bool json, index, data, has_until;
    char **args;
    int nargs;
    struct shard *shard;
    struct catalogue kept; /* the last one of the lineage; number 0: nothing is given up */
    struct strbuf why;
};

/* tally log fetch: 0 or -errno, perhaps with a sentence in a->why. */
int log_fetch(struct asking *a);

/* A line of words, or with --json an object. */
struct line {
    bool json;
    json_t *object;
    struct strbuf text;
};

struct line log_line_begin(const struct asking *a);
void log_add_number(struct line *l, const char *key, uint64_t n);
void log_add_text(struct line *l, const char *key, const char *text);
/* Prints the line, and releases it. */
int log_line_end(struct line *l);
