// SPDX-License-Identifier: Apache-2.0
/* sweep_impl: private to sweep.c, sweep_ask.c and sweep_lost.c. */
#pragma once

#include "crew.h"
#include "damage_live.h"
#include "rate.h"
#include "sweep.h"
#include "sweep_record.h"

/* Why a ghost got its verdict; the list shows it. */
enum sweep_reason {
    SWEEP_HERE,         /* keep */
    SWEEP_ZERO,         /* purge */
    SWEEP_UNREACHABLE,  /* inconclusive: the shard cannot be asked */
    SWEEP_YOUNG,        /* inconclusive: denied, and younger than grace_period */
    SWEEP_CHANGED,      /* inconclusive: it is no ghost any more */
    SWEEP_MOVED,        /* inconclusive: it moved each time that it was asked for */
    SWEEP_DENIED_YET,   /* no verdict yet: the recount decides */
    SWEEP_UNREFERENCED, /* purge: denied, and nothing refers to it */
    SWEEP_REFERENCED,   /* lost */
};

/* One ghost of a batch. */
struct sweep_ghost {
    uint64_t number;
    struct entry e; /* as it was read last */
    enum sweep_reason reason;
};

/* What a shard is asked: for the last ghost of a pack, or for a file. */
struct sweep_question {
    struct crew_piece piece; /* first */
    struct state *p;
    struct sweep_ghost *v; /* the sweep's thread: the ghosts that the answer is for */
    size_t count;
    struct entry e; /* the last of these */
    int answer;     /* 1: it is there, 0: denied, < 0: it cannot be decided */
    uint64_t size;  /* of its pack */
    struct sweep_question *next; /* the sweep's thread; of those that are free */
};

struct sweep {
    struct state *p;
    struct job *j;
    struct crew *crew; /* asks the questions that are under way */
    struct sweep_question question[CREW_MAX], *free;
    bool dry_run;
    struct strbuf *list;
    uint64_t lines; /* lines of the list, written or omitted */
    struct rate rate;
    struct ghost_report *r; /* the report so far */
    struct sweep_ghost v[SWEEP_BATCH];
    size_t count;
    struct sweep_ghost *denied; /* wait for the recount */
    size_t denied_count, denied_room;
    /* The record as it will be. Its `lost` has those that were remembered, and behind them the new
     * ones. */
    struct sweep_record record;
    uint32_t told;              /* so many of record.lost were reported */
    uint64_t lost_more;         /* lost, and there was no room in record.lost */
    bool found[SWEEP_LOST_MAX]; /* found[i]: the shard has the bytes of record.lost[i] again */
    struct map64 remembered;    /* number -> index in record.lost */
    struct damage damage;       /* the lost ones that are not reported yet */
};

/* sweep.c */

/* Called between pieces of work, with no lock held. -ECANCELED, -ESHUTDOWN: end the sweep. */
int sweep_go_on(void *sweep);
/* So many ghosts are done: rests as long as the rate demands. Errors as sweep_go_on. */
int sweep_spend(struct sweep *s, uint64_t ghosts);
/* Adds the verdicts of `v` to the report and, in the order of ids, to the list. */
void sweep_count(struct sweep *s, struct sweep_ghost *v, size_t count);
static inline int64_t sweep_now_ms(struct sweep *s)
{
    return now(s->p) / NSEC_PER_MSEC;
}

/* sweep_ask.c */

int sweep_ask_begin(struct sweep *s); /* before the first sweep_ask; -ENOMEM */
void sweep_ask_end(struct sweep *s);
/* Gives each ghost of the batch a reason. -ENOMEM, -ECANCELED, -ESHUTDOWN. */
int sweep_ask(struct sweep *s);
/* Is it still a ghost at that place, with a reference? False: g->reason says what it is now, and
 * after SWEEP_MOVED g->e is its new entry. */
bool sweep_is_there(struct sweep *s, struct sweep_ghost *g);

/* sweep_lost.c */

/* Takes over the record of earlier sweeps into s->record. */
int sweep_lost_begin(struct sweep *s);
/* Gives each denied ghost its verdict, by a recount, and reports the lost ones. */
int sweep_settle(struct sweep *s);
/* The shard has the bytes of this ghost: it is not lost any more. */
void sweep_found(struct sweep *s, uint64_t number);
/* Removes from s->record what is not lost any more. `whole`: the sweep has seen all ghosts. */
void sweep_lost_end(struct sweep *s, bool whole);
/* Is what a sweep remembered still so: a ghost on that shard, with a reference? */
bool sweep_still_lost(struct state *p, const struct sweep_lost *l);
