// SPDX-License-Identifier: Apache-2.0
/*
 * move_impl: what move.c, move_ship.c, move_carry.c and move_name.c share. Private to them.
 *
 * A *cargo* is a part of a move that is on its way by itself: one large object, or the small ones
 * of one pack.
 *
 *     packing --ship--> carried by a thread of the crew --land--> named by the move's thread
 *     (move_ship.c)     (move_carry.c)                            (move_name.c)
 */
#pragma once

#include "crew.h"
#include "move.h"
#include "objects_batch.h"

/* Pieces of memory that a large object takes on its way, about. */
#define MOVE_FILE_MEMORY (UINT64_C(2) << 20)

/* An object that is to be moved. The move has a hold of its number. */
struct move_load {
    uint64_t number;
    struct entry from;
    bool only_there; /* it is moved only if it still is at `from` (compaction) */
    unsigned tries;  /* how often its bytes were elsewhere when they were read */
};

struct cargo {
    struct crew_piece piece; /* first */
    struct move *m;
    struct move_load *v; /* `count` objects */
    size_t count, room;
    uint64_t bytes;              /* of the objects */
    uint64_t memory;             /* it takes so much, about */
    uint64_t floor;              /* no number that it has taken on the target is lower */
    struct objects_batch *batch; /* of small objects; NULL: v[0] is a large one */
    uint64_t fresh;              /* of a large one that goes home: the number for its file */
    /* set by the crew */
    struct entry to;       /* of a large one: where its copy is */
    int err;               /* 0, or why nothing was carried */
    _Atomic uint64_t part; /* so many of `bytes` are shown as done */
    /* set by move_name: objects that are moved once more */
    uint64_t returned, returned_bytes;
    struct cargo *next; /* the move's thread; among those that are on their way */
};

struct move {
    struct state *p;
    struct job *job; /* may be NULL */
    uint16_t shard;
    struct crew *crew;
    _Atomic bool stop; /* the crew gives up what it does */
    /* All that follows belongs to the move's thread, but for `bytes`, `floor` and `next`. */
    struct move_result r;
    int error;               /* the error that ended the move, or 0 */
    struct cargo *packing;   /* small objects are added to it; NULL: none were */
    struct cargo *on_way;    /* a list of those that were shipped and are not named yet */
    uint64_t memory;         /* of these */
    uint64_t to_come;        /* bytes of objects that are packed or on their way */
    struct move_load *again; /* those whose bytes were elsewhere: they are read once more */
    size_t again_count, again_room;
    uint64_t uncommitted;   /* bytes at new places that no commit has yet */
    bool changed;           /* a commit is needed */
    int64_t committed;      /* time of the last commit, monotonic ns */
    uint64_t seen;          /* objects that are done, for the progress */
    _Atomic uint64_t bytes; /* bytes that are done, for the progress */
    uint64_t floor;         /* guarded by: move; see move_in_flight */
    struct move *next;      /* guarded by: move */
};

/* ---- move.c ---- */

/* The lowest number that was not given yet at the target. */
uint64_t move_next_number(struct move *m);
void move_done_with(struct move *m, uint64_t objects, uint64_t bytes); /* shows progress */
/* Commits if much was named since the last commit, or that is long ago. */
int move_commit_if_due(struct move *m);

bool move_is_cancelled(struct state *p, struct job *j);
/* Counts `objects` as failed and returns 0, or returns an error that ends the move. */
int move_fail(struct move *m, uint64_t objects, int err);
int move_skip(struct move *m); /* counts one as skipped; returns 0 */
/* The bytes of this object were elsewhere: it is moved once more, or counts as failed if that was
 * so too often. It takes over the hold if *ret_taken. Errors as move_fail. */
int move_again(struct move *m, const struct move_load *l, bool *ret_taken);

/* ---- move_ship.c: in the move's thread, with no lock held. After an error m->error tells what it
 * concerns: if it is set, the whole move; else this object alone ---- */

/* Take over the hold of a small object (in a pack), or of a large one (a file), and send it on its
 * way. They may wait for others that are on their way. *ret_taken: the hold was taken over. */
int move_ship_small(struct move *m, const struct move_load *l, bool *ret_taken);
int move_ship_large(struct move *m, const struct move_load *l, bool *ret_taken);
int move_ship_packed(struct move *m); /* small objects that still wait for others */
int move_land_all(struct move *m);    /* waits until nothing is on its way */
void move_give_up(struct move *m);    /* what was not shipped stays where it is */

/* ---- move_carry.c: in a thread of the crew, with no lock held ---- */

crew_work_fn move_carry;

/* ---- move_name.c: in the move's thread, with no lock held ---- */

/* Gives the objects of a cargo that was carried their new places, and gives up their holds. What
 * could not be carried or named counts as failed, or is moved again. It returns errors that end the
 * whole move. */
int move_name(struct move *m, struct cargo *c);
