// SPDX-License-Identifier: Apache-2.0
/* prune_impl: what the prune*.c files share. */
#pragma once

#include "archive_pins.h"
#include "archive_text.h"
#include "catalogue.h"
#include "prune.h"
#include "prune_reach.h"
#include "ship_hold.h"
#include "strbuf.h"

/* A pack, or a file with its sums. */
struct listed_file {
    struct id id; /* of a file */
    uint64_t where;
    uint64_t size;      /* bytes of the pack or the file; 0: it is not there */
    uint64_t thin_size; /* bytes of the thin pack (shard_thin.h) */
    bool has_thin;      /* the thin pack is there: after a run that died both are */
    bool in_pack;
    bool cannot_thin; /* this run has tried to thin the pack */
};

struct prune {
    struct state *p;
    uint16_t archive;
    uint32_t lineage;
    struct shard *shard;
    struct shard *deleter; /* the same, or another way to it */
    const struct prune_ask *ask;
    struct prune_result *r;
    struct strbuf *why;

    struct catalogue last; /* the last one; number 0: there is none */
    struct catalogue base; /* the last one whose deletion has begun; likewise */
    bool begun;            /* that is so of `last` */
    bool whole;            /* a pin, or another lineage, needs all of the lineage, */
    char whole_why[200];   /* as this sentence says */
    bool deleter_failed;   /* an error is of what deletes, and not of the archive as such */
    struct archive_pins pins;

    struct segment_pos end; /* the last segment that `reach` has seen */
    struct kept_state begin;
    struct kept_state *states;
    size_t state_count, state_room;
    struct live live;
    struct reach reach;

    struct listed_file *files; /* packs and files of the lineage that are there */
    size_t file_count, file_room;
    struct map64 bodies;           /* those of segments that are there, by reach_key */
    const struct catalogue *doing; /* whose contents are given up now (prune_is_gone) */
};

/* The last catalogue up to `number` whose deletion has begun; its number is 0 if there is none.
 * Nothing that is only marked has been deleted. */
int prune_read_base(struct prune *u, uint32_t lineage, uint32_t number, struct catalogue *ret);
int prune_fail(struct prune *u, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- prune_choose.c ---- */

/* Where all is kept from, and which states before that. -ENODATA: nothing is so old that it might
 * be given up, and nothing was. */
int prune_choose(struct prune *u);

/* ---- prune_needs.c ---- */

int prune_read_pins(struct prune *u);
/* What pins need that were not there when they were read. -EAGAIN: a pin of another lineage, or of
 * all of this one, was put meanwhile. */
int prune_new_pins(struct prune *u);
/* Is the lineage kept as a whole, by a pin or since another one goes on from it? Then u->whole and
 * u->whole_why are set. */
int prune_check_whole(struct prune *u);
/* What pins need, and what other lineages name whose stores may have contents of this one. */
int prune_pinned(struct prune *u);
int prune_others(struct prune *u);
/* Notes what the last catalogue keeps, and this run does not: until there is another one a reader
 * may still come for it. -ENOENT, -EUCLEAN: not all of it is there. */
int prune_note_last(struct prune *u);
/* What ghosts of this store need. */
int prune_ghosts(struct prune *u);

/* ---- prune_gone.c ---- */

int prune_list(struct prune *u);
/* Makes the next catalogue, from all that was found. `epoch`: of packs and files of this one and
 * later ones none is given up. */
int prune_make(struct prune *u, uint64_t epoch, struct catalogue *ret);
/* For ship_held_forget, with a struct prune: is the content given up by u->doing, and not needed?
 * The rows of what is needed stay: a writer names one place of an object as long as it can. */
bool prune_is_gone(const struct archived_place *place, void *ctx);

/* ---- prune_thin.c ---- */

/* What becomes of a pack or a file that was given up, or that may be: it is needed by nobody;
 * little of it is needed, and only that is to be kept; all of it is to be kept. */
enum prune_fate { PRUNE_DELETE, PRUNE_THIN, PRUNE_KEEP };

enum prune_fate prune_fate(struct prune *u, const struct listed_file *f);
/* How many bytes of a pack are needed. 0: none, or it is not known (it is not of an old epoch, or
 * no pack). */
uint64_t prune_needed_bytes(struct prune *u, const struct listed_file *f);
/* Makes the thin pack of a pack, which can be deleted then, and sets f->thin_size. Returns 1. 0: it
 * cannot be done: that was reported, and the pack is kept as a whole in this run (f->cannot_thin).
 * -errno: the run ends. */
int prune_thin(struct prune *u, struct listed_file *f);

/* ---- prune_delete.c ---- */

/* Deletes what u->last has given up and nobody needs. */
int prune_delete(struct prune *u);
