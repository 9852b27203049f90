// SPDX-License-Identifier: Apache-2.0
/*
 * move: moves objects to other shards, home again, and from pack to pack of one shard.
 *
 *     read and verify -> put at the target, durable -> check it there -> change entry and packs
 *     under the freeze lock, the old place joins the dying -> commit -> delete the old bytes
 *
 * Interrupted anywhere, the entry names bytes that exist, at one place. What was put and is named
 * by no entry is an orphan, which a GC cycle finds. A move writes nothing to the log: until the
 * commit everything is where the last commit has it.
 *
 * Small objects go in packs of at most SHARD_PACK_MAX bytes; a large one goes as a file of its own.
 * Up to `shard_parallel` packs and files are on their way at once, of at most MOVE_ON_WAY bytes of
 * memory, and as many again while they are read and compared. So one that is slow keeps no other
 * from going on. What comes home from packs is read by one request for each run of neighbours.
 *
 * A move commits every MOVE_COMMIT bytes. An object that cannot be moved (it is damaged or
 * unreadable) stays where it is and counts as failed, and the others go on. A target that is full
 * or unreachable ends the move, and what was done stays done.
 */
#pragma once

#include "job.h"
#include "state.h"

#define MOVE_COMMIT (UINT64_C(64) << 20)
#define MOVE_ON_WAY (UINT64_C(128) << 20)

struct move_result {
    uint64_t objects, bytes; /* moved; `bytes` are those of the objects */
    uint64_t stored;         /* the bytes that they take at the target, which may be compressed */
    uint64_t skipped;        /* at the target already, deleted meanwhile, or not sealed */
    uint64_t failed;         /* objects that stay because of an error */
    int error;               /* -errno of the first of these; 0: none */
};

/* A move in progress. The caller calls move_one for each object, on one thread, and then move_end,
 * also after an error. */
struct move;
/* Begins a move to `shard` (0: home), and waits while another one has that target. -ENXIO: there is
 * no such shard; -EINVAL: it is an archive, where nothing is moved; -EHOSTUNREACH; -EROFS: the
 * target or the store is read-only; -EBUSY: the shard is being drained; -ECANCELED. `j` may be
 * NULL. The caller holds no lock. */
int move_begin(struct state *p, struct job *j, uint16_t shard, struct move **ret_move);
/* Sends the object `number` (not an alias) on its way, if it is sealed and not at the target yet.
 * It is there after a later call, at the latest after move_end. If `from` is not NULL the object is
 * moved only if it still is at that place; then a move within the target is possible, too
 * (compaction). It returns only errors that end the whole move, of this object or of one before:
 * -ECANCELED, -ENOSPC, -EDQUOT, -EHOSTUNREACH, -EROFS, -ENOMEM. The caller holds no lock. */
int move_one(struct move *m, uint64_t number, const struct entry *from);
/* Puts and commits what is left, and frees the move, also after an error. *ret is the result of the
 * whole move. */
int move_end(struct move *m, struct move_result *ret);

/* For GC cycles: the lowest number on `shard` that a move in progress may have given to bytes that
 * no commit names yet. It has given no lower one to such bytes. UINT64_MAX: no move has
 * that target. A move counts from before its first number is given until all that it has put is
 * committed, reclaimed, or left as an orphan. The caller holds the freeze lock for writing: then
 * this, refs and packs are of one instant. */
uint64_t move_in_flight(struct state *p, uint16_t shard);

/* The objects that a person named (control_shard.c, move_select.c). `fn` is called once for each
 * object; a result other than 0 ends the selection. */
typedef int move_select_fn(uint64_t number, void *ctx);
struct move_selection {
    const char *const *words; /* each a PATH or an ID; NULL: the fields below select */
    size_t count;
    int64_t idle;    /* ns since the last open, at least; < 0: any */
    uint64_t larger; /* bytes; only larger objects */
    int on;          /* only objects on that shard; -1: on any */
};
/* Calls `fn` for each selected object. With `fn` NULL it only checks that each word names
 * something. `why` gets a sentence about a word that names nothing. -EUCLEAN, returned at the end:
 * damage hid a part of the selection. The caller holds no lock. */
int move_select(struct state *p, const struct move_selection *s, move_select_fn *fn, void *ctx,
                char why[256]);

/* Brings home all that is selected. `j` may be NULL. Errors of move_select, move_begin and
 * move_end; also the error of the first object that stayed where it was. */
int move_home(struct state *p, struct job *j, const struct move_selection *s,
              struct move_result *ret, char why[256]);

/* ---- release.c ---- */

/* Deletes the bytes of dead ghosts on `shard` (0: on all); of those in an archive only what the
 * store knows of them, without asking the archive. It goes on until all are deleted, or
 * that shard cannot be asked; then it goes on with the other shards. *ret_left: how many dead
 * ghosts of those shards are left. A small ghost is not left once it is counted out of its pack,
 * although its bytes stay until the pack is deleted. Takes "release", and the freeze lock for
 * reading. The caller holds no lock. */
int release_pass(struct state *p, uint16_t shard, uint64_t *ret_left);

/* ---- shards_thread.c: looks for shards that are unreachable, releases, begins sweeps ---- */

int shards_thread_start(struct state *p);
void shards_thread_stop(struct state *p);
/* Watches the settings that the thread depends on. Called once, by the start. */
void shards_thread_watch(struct state *p);
void shards_thread_kick(struct state *p); /* wakes the thread: there is something to release */
/* Call it before the state of a shard is shown, or a shard is left out because it is unreachable.
 * It has a thread of its own ask the shards in doubt (shards.h), and waits for the answers for at
 * most `most` ns. It returns at once if no shard is in doubt. The caller holds no lock. */
void shards_look_now(struct state *p, int64_t most);
#define SHARDS_LOOK_MOST (2 * NSEC_PER_SEC)       /* for a command that uses a shard */
#define SHARDS_LOOK_BRIEFLY (100 * NSEC_PER_MSEC) /* for a view */
/* One turn of the thread, for tests and for stores without threads. */
void shards_step(struct state *p);
