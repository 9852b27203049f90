// SPDX-License-Identifier: Apache-2.0
/*
 * move: objects to other shards, home again, and from pack to pack of one shard.
 *
 *     read, verified -> put at the target, durable -> read back -> entry and packs changed under
 *     the freeze lock, the old place among the dying -> commit -> the old bytes go
 *
 * Interrupted anywhere the entry names bytes that are there, once. What was put and never named is
 * an orphan that a GC cycle finds. Nothing of it is in the log: until the commit all is where the
 * last one says.
 *
 * Small objects go in packs of SHARD_PACK_MAX at most, large ones each as a file of its own;
 * commits come every MOVE_COMMIT bytes. One object that cannot be moved (damaged, unreadable) stays
 * and is counted as failed; the others go on. A target that is full or away ends it, with what was
 * done.
 */
#pragma once

#include "job.h"
#include "state.h"

#define MOVE_COMMIT (UINT64_C(64) << 20)

struct move_result {
    uint64_t objects, bytes; /* moved */
    uint64_t skipped;        /* there already, gone meanwhile, or not sealed */
    uint64_t failed;         /* stayed where they are */
    int error;               /* why the first of these did */
};

/* A move on its way: `move_one` for each object, by one thread, then move_end, also after an
 * error. */
struct move;
/* `shard` 0: home. -ENXIO, -EHOSTUNREACH, -EROFS (the target's or the store's), -EBUSY it is being
 * drained. `j` may be NULL. */
int move_begin(struct state *p, struct job *j, uint16_t shard, struct move **ret_move);
/* Move what `number` (no alias) is, if it is sealed and not there yet. `from`, unless NULL: only if
 * it still is at that place; then also within the target (compaction). Only errors that end the
 * whole are returned: -ECANCELED, -ENOSPC, -EHOSTUNREACH, -EROFS, -ENOMEM. */
int move_one(struct move *m, uint64_t number, const struct entry *from);
/* Put and commit what is left; frees it. *ret is what was done in all. */
int move_end(struct move *m, struct move_result *ret);

/* For GC cycles: what has a number from this on, on `shard`, may have been put there by a move
 * without a commit that names it yet, or is about to be; nothing below it is. UINT64_MAX: no move
 * is at work there. A move counts from before its first number is given until all it put is
 * committed, reclaimed, or given up, for an orphan. The freeze lock is held (write): then this,
 * refs and shard_packs are of one instant. */
uint64_t move_in_flight(struct state *p, uint16_t shard);

/* What a person named (control_shard.c, move_select.c), each object once; non-zero from `fn` ends
 * it. */
typedef int move_select_fn(uint64_t number, void *ctx);
struct move_selection {
    const char *const *words; /* PATH or ID each; or NULL: */
    size_t count;
    int64_t idle;    /* ns since the last open; < 0: does not matter */
    uint64_t larger; /* bytes */
    int on;          /* only those that are on that shard; -1: on any */
};
/* Holding nothing. `why` gets a sentence about a word that is none. `fn` NULL: only words are
 * looked at, whether they are some. -EUCLEAN, at the end: a part was hidden by damage. */
int move_select(struct state *p, const struct move_selection *s, move_select_fn *fn, void *ctx,
                char why[256]);

/* ---- release.c ---- */

/* Delete the bytes of dead ghosts on `shard` (0: on all), as many as there are, or until that shard
 * cannot be asked: then the others go on. *ret_left: dead ones of those shards that stay; of small
 * ones only those whose pack is not known to be dead yet. Holding nothing. */
int release_pass(struct state *p, uint16_t shard, uint64_t *ret_left);

/* ---- shards_thread.c: looks for shards that are unreachable, releases, begins sweeps ---- */

int shards_thread_start(struct state *p);
void shards_thread_stop(struct state *p);
/* Settings that it waits by. At the start. */
void shards_thread_watch(struct state *p);
void shards_thread_kick(struct state *p); /* there is something to release */
/* Whoever is about to say that a shard is unreachable, or to leave it out for that, asks it anew
 * first: those that cannot be read are looked for, by a thread of its own, and at most `most` ns
 * waited for them. Where all can be read it costs nothing. Holding nothing. */
void shards_look_now(struct state *p, int64_t most);
#define SHARDS_LOOK_MOST (2 * NSEC_PER_SEC)       /* for who was asked to use it */
#define SHARDS_LOOK_BRIEFLY (100 * NSEC_PER_MSEC) /* for a view */
/* One turn of it, for tests and stores without threads. */
void shards_step(struct state *p);
