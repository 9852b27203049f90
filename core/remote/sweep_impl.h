// SPDX-License-Identifier: Apache-2.0
/* sweep_impl: what sweep.c, sweep_ask.c and sweep_lost.c share. Nobody else includes this. */
#pragma once

#include "damage.h"
#include "rate.h"
#include "sweep.h"
#include "sweep_record.h"

/* Why a ghost got its verdict, for the list. */
enum sweep_reason {
    SWEEP_HERE,         /* keep */
    SWEEP_ZERO,         /* purge */
    SWEEP_AWAY,         /* inconclusive: the shard cannot be asked */
    SWEEP_YOUNG,        /* inconclusive */
    SWEEP_CHANGED,      /* inconclusive: it is no ghost any more */
    SWEEP_MOVED,        /* inconclusive: it is somewhere else, again and again */
    SWEEP_DENIED_YET,   /* no verdict yet: the recount has to tell */
    SWEEP_UNREFERENCED, /* purge */
    SWEEP_REFERENCED,   /* lost */
};

struct sweep_ghost {
    uint64_t number;
    struct entry e;
    enum sweep_reason reason;
};

struct sweep {
    struct state *p;
    struct job *j;
    bool dry_run;
    struct strbuf *list;
    uint64_t lines; /* said or left out */
    struct rate rate;
    struct ghost_report *r;
    struct sweep_ghost v[SWEEP_BATCH];
    size_t count;
    struct sweep_ghost *denied;
    size_t denied_count, denied_room;
    struct sweep_record record; /* to be; `lost` is what was remembered, and what is new behind it: */
    uint32_t told;              /* so many of them are told */
    uint64_t lost_more;         /* new, and not among them */
    bool found[SWEEP_LOST_MAX]; /* of record.lost: they are back */
    struct map64 remembered;    /* number -> index in record.lost */
    struct damage damage;       /* those that are not told yet */
};

/* sweep.c */

/* Told between pieces of work, holding nothing: -ECANCELED, -ESHUTDOWN. */
int sweep_go_on(void *sweep);
/* So many ghosts are done with: rest as long as the rate demands. */
int sweep_spend(struct sweep *s, uint64_t ghosts);
/* `v` has verdicts: into the report and, in the order of ids, into the list. */
void sweep_count(struct sweep *s, struct sweep_ghost *v, size_t count);
static inline int64_t sweep_now_ms(struct sweep *s)
{
    return now(s->p) / NSEC_PER_MSEC;
}

/* sweep_ask.c: a reason for each ghost of the batch. -ECANCELED and the like. */
int sweep_ask(struct sweep *s);
/* Is it a ghost of that place now, that somebody refers to? Else that is its reason, and after
 * SWEEP_MOVED g->e is the new one. */
bool sweep_is_there(struct sweep *s, struct sweep_ghost *g);

/* sweep_lost.c */

int sweep_lost_begin(struct sweep *s);
/* What the shards denied gets its verdict, by a recount. */
int sweep_settle(struct sweep *s);
/* It has its bytes. */
void sweep_found(struct sweep *s, uint64_t number);
/* What is over is forgotten, and what is new and told is remembered. `whole`: the sweep saw all. */
void sweep_lost_end(struct sweep *s, bool whole);
/* Is that what a sweep said of it, still? */
bool sweep_still_lost(struct state *p, const struct sweep_lost *l);
