// SPDX-License-Identifier: Apache-2.0
/* leaks_impl: what the files of leaks share. Nobody else includes this. */
#pragma once

#include "leaks.h"
#include "state.h"
#include "recount.h"

/* One shard, while it is looked through. */
struct shard_search {
    uint16_t number;
    int err;             /* it is not, or not to the end */
    struct shard *shard; /* NULL: it cannot be asked */
    uint64_t limit;      /* numbers from this on are given later, or on their way */
    bool unclaimed;      /* when the search began: no number of this life was given */
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
    uint64_t next_number, next_pack, next_page; /* those given later are not looked at */
    struct recount count;                       /* pages */
    struct map64 files, slots;                  /* by number: the last commit, or a change, needs it */
    struct map64 packs;                         /* in the table of the last commit, */
    struct map64 records, payload;              /* and what its entries name in each */
    char dir[sizeof "objects/ab"];              /* being listed */
    struct shard_search *shards;
    size_t shard_count, shard_room;
};

/* ---- leaks.c ---- */

struct id leak_make_key(enum leak_kind kind, const void *detail, uint64_t number);
int leaks_add(struct finding *f, const struct leak *l);
int leaks_advance(struct finding *f, uint64_t items); /* -ECANCELED */

/* ---- leaks_shards.c: the search ---- */

/* Which can be asked. Holding nothing. */
int leaks_shards_open(struct finding *f);
/* At the instant of the snapshot, with the gate held for writing. */
void leaks_shards_begin(struct finding *f);
/* The bytes of that entry, or record of the dying, are needed where they are, on another shard. */
int leaks_shards_note(struct finding *f, const struct entry *e);
int leaks_shards_note_file(struct finding *f, const struct entry *e); /* unless it is no FILE */
/* After all of them: the table shard_packs, as the last of the snapshot. */
int leaks_shards_search_table(struct finding *f);
/* What is on the shards; that may last. */
int leaks_shards_search(struct finding *f);
void leaks_shards_close(struct finding *f);

/* ---- leaks_shards_fix.c ---- */

/* As leak_is_needed and leak_remove. */
int leak_shard_is_needed(struct state *p, const struct leak *l);
int leak_shard_remove(struct state *p, const struct leak *l);
