// SPDX-License-Identifier: Apache-2.0
/* leaks_impl: private to the files of leaks. */
#pragma once

#include "leaks.h"
#include "state.h"
#include "recount.h"

/* One place while it is searched: home, with number 0, or another shard. */
struct place_search {
    uint16_t number;
    /* Of an archive only rows of packs are judged. Others put things there, too, so its names are
     * not listed, and nothing is deleted there. */
    bool archive;
    int err; /* -errno: it was not searched, or not to the end */
    /* the driver, used until leaks_places_close; NULL: home, an archive, or it cannot be asked */
    struct shard *shard;
    uint64_t files_end; /* numbers of files from this on are given later, or may be on their way */
    uint64_t packs_end; /* the same for packs */
    bool unclaimed;     /* when the search began, no number of this incarnation had been given */
    struct map64 files; /* numbers of files that the last commit, or a change, needs */
    struct map64 packs; /* packs in the table of the last commit */
    struct map64 records, payload; /* what its entries name in each pack */
};

struct finding {
    struct state *p;
    struct leaks *out;
    struct kv_snap *snap;
    leaks_step_fn *step;
    void *ctx;
    uint64_t done, total, next_step;
    uint64_t next_page;          /* pages from this number on are not looked at */
    struct recount count;        /* references on pages */
    struct map64 slots;          /* numbers of slots that the last commit, or a change, needs */
    struct place_search *places; /* home comes first */
    size_t place_count, place_room;
};

/* ---- leaks.c ---- */

/* Makes a key. `what` is FILE, PACK, … as leak_what returns it. `detail` has 7 bytes, or 5 on a
 * shard; NULL: zeros. */
struct id leak_make_key(uint16_t shard, enum leak_kind what, const void *detail, uint64_t number);
/* Appends a copy to the list. -ENOMEM */
int leaks_add(struct finding *f, const struct leak *l);
/* Sorts the list by key, and makes one leak of a file and its sums. */
void leaks_sort(struct leaks *l);

/* ---- leaks_places.c: the search in the places ---- */

/* Finds out which places can be asked. The caller holds no lock. */
int leaks_places_open(struct finding *f);
/* Sets the limits of all places. The caller holds the freeze lock for writing, from here until it
 * has the snapshot. */
void leaks_places_begin(struct finding *f);
/* The place with that number; NULL: it cannot be asked. */
struct place_search *leaks_place(struct finding *f, uint16_t number);
/* Searches a table of packs, TABLE_PACKS or TABLE_SHARD_PACKS. Called after all entries and dying
 * records were noted. */
int leaks_search_rows(struct finding *f, unsigned table);
/* Lists the names in each place. On shards that may take long. */
int leaks_search_names(struct finding *f);
void leaks_places_close(struct finding *f);

/* ---- leaks_find.c ---- */

/* counts items that were looked at, and calls the step; -ECANCELED */
int leaks_advance(struct finding *f, uint64_t items);
/* Raises an alarm about damage, and returns -EUCLEAN. */
int leaks_damaged(const char *what, uint64_t number, const char *why);
