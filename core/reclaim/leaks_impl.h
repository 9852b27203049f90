// SPDX-License-Identifier: Apache-2.0
/* leaks_impl: what the files of leaks share. Nobody else includes this. */
#pragma once

#include "leaks.h"
#include "state.h"
#include "recount.h"

/* One place while it is looked through: home, whose number is 0, or another shard. */
struct place_search {
    uint16_t number;
    int err;             /* it is not looked through, or not to the end */
    struct shard *shard; /* NULL: home, or it cannot be asked */
    uint64_t files_end;  /* numbers from this on are given later, or on their way, */
    uint64_t packs_end;  /* and those of packs */
    bool unclaimed;      /* when the search began: no number of this incarnation was given */
    struct map64 files;  /* numbers that the last commit, or a change, needs */
    struct map64 packs;  /* in the table of the last commit, */
    struct map64 records, payload; /* and what its entries name in each */
};

struct finding {
    struct state *p;
    struct leaks *out;
    struct kv_snap *snap;
    leaks_step_fn *step;
    void *ctx;
    uint64_t done, total, next_step;
    uint64_t next_page;          /* those given later are not looked at */
    struct recount count;        /* pages */
    struct map64 slots;          /* by number: the last commit, or a change, needs it */
    struct place_search *places; /* home first */
    size_t place_count, place_room;
};

/* ---- leaks.c ---- */

/* `what`: as leak_what says it. `detail`: 7 bytes, or 5 where there is a shard; NULL: zeros. */
struct id leak_make_key(uint16_t shard, enum leak_kind what, const void *detail, uint64_t number);
int leaks_add(struct finding *f, const struct leak *l);
/* A file and its sums become one leak. */
void leaks_sort(struct leaks *l);

/* ---- leaks_places.c: the search in the places ---- */

/* Which can be asked. Holding nothing. */
int leaks_places_open(struct finding *f);
/* At the instant of the snapshot, with the freeze lock held for writing. */
void leaks_places_begin(struct finding *f);
/* NULL: it cannot be asked. */
struct place_search *leaks_place(struct finding *f, uint16_t number);
/* After all entries and dying ones: a table of packs, TABLE_PACKS or TABLE_SHARD_PACKS. */
int leaks_search_rows(struct finding *f, unsigned table);
/* What is there; on shards that may last. */
int leaks_search_names(struct finding *f);
void leaks_places_close(struct finding *f);

/* ---- leaks_find.c ---- */

int leaks_advance(struct finding *f, uint64_t items); /* -ECANCELED */
/* An alarm; returns -EUCLEAN. */
int leaks_damaged(const char *what, uint64_t number, const char *why);
