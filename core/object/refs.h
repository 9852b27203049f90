// SPDX-License-Identifier: Apache-2.0
/*
 * refs: the refcount table of one store (CONTRACTS section 1).
 *
 * What counts: items in live tree pages that name the object, and pins. Invariant: a count is never
 * too low. Count 0 means safe to delete, unconditionally.
 *
 *   objects  number -> entry (count, size, id, place)      all five are kv tables
 *   ids      id -> number (0: a chain marker, see below)   with layers in front (layer.h)
 *   dying    number -> entry, for numbers whose count is 0 or whose entry is gone already
 *   pins     number -> nothing; the entry notes it, too
 *   ghosts   number -> shard and size (ghost_row) of the entries whose bytes are on another shard:
 *            to find them, and to sum them up, by
 *
 * The life of a number, with the call that makes each step:
 *
 *   refs_new ─> NEW ──refs_set_held──> HELD ──refs_set_slot──> SLOT
 *                ├────refs_set_slot──────┼───────────────────────┤
 *                ├────refs_seal_new──────┴───────────────────────┼──> PACK / FILE <──┐ counts of
 *                └────refs_seal_alias────────────────────────────┴──> ALIAS ─────────┘ aliases, too
 *
 *   count 0 ──> dying (still found by id, revived by any increment)
 *           ──refs_collect──> entry and id gone, dying record stays     not revivable any more
 *           ──commit──> refs_collected, then the bytes are deleted and, by refs_reclaimed, the
 *                       dying record: of a file the bytes first, of a pack the record first
 *
 * An entry is *pending* from refs_seal_new until the refs_settle of a sync that began after it: its
 * bytes are not durable yet, so a dedup hit on it is put off. `holds` (open handles, seals in
 * flight) delay refs_collect and are not in the count.
 *
 * Ids that collide form a chain id -> id_derive(id) -> …; removing an id whose successor is in
 * use leaves a marker, so that the rest of the chain is still found.
 *
 * Errors: 0 or -errno. -ENOENT unknown, -EOVERFLOW a count would pass 2^32-1 (nothing changed),
 * -EUCLEAN a stored entry is damaged, -EIO, -ENOMEM.
 * Threads: any; one mutex inside ("refs"), a leaf but for kv reads.
 */
#pragma once

#include "entry.h"
#include "kv.h"
#include <stdbool.h>
#include <stddef.h>

struct refs;

struct refs_tables {
    unsigned objects, ids, dying, pins, ghosts;
};

struct refs_dead {
    uint64_t number;
    struct entry entry; /* where the bytes are */
    bool unrecorded;    /* a slot without a record among the dying: a start finds it by its name */
    bool failed;        /* deleting its bytes failed before (refs_not_reclaimed) */
};

/* `key` is borrowed. `next` is the first number never used (refs_next gives it back for the
 * commit). Zero-count entries left by a crash are queued for refs_collect. */
int refs_open(struct kv *kv, const struct refs_tables *tables, const struct id_key *key,
              uint64_t next, struct refs **ret_refs);
void refs_close(struct refs *r); /* NULL is fine */
uint64_t refs_next(struct refs *r);

/* ---- by number ---- */

/* A fresh number with an entry NEW and count 0. */
int refs_new(struct refs *r, uint64_t *ret_number);
/* Makes the entry of that very number, which a frame of the log names. -EEXIST: it is in use. */
int refs_new_at(struct refs *r, uint64_t number);
/* Give back a number that no item ever named (count 0, never committed). */
void refs_cancel(struct refs *r, uint64_t number);
/* One more, or one fewer, reference. The target of an alias is counted along. An unknown number is
 * a fault: it is reported, and -ENOENT returned. */
int refs_ref(struct refs *r, uint64_t number);
int refs_unref(struct refs *r, uint64_t number);
/* refs_ref of each number that is not 0, all or none; a live page names them. An alias is replaced
 * in `numbers` by its target, and the target alone is counted. A number whose entry is lost is not
 * counted, with a warning, until a rebuild: so the damage of one file does not keep others from
 * being changed. */
int refs_ref_all(struct refs *r, uint64_t *numbers, size_t count);
/* The entry of a number; with `follow` an alias's target (and its number). */
int refs_entry(struct refs *r, uint64_t number, bool follow, uint64_t *ret_number,
               struct entry *ret);
/* The entry that a snapshot has in `table`, that of entries or of the dying. -ENOENT, -EUCLEAN. */
int refs_entry_in(struct kv_snap *s, unsigned table, uint64_t number, struct entry *ret);
/* If `number` is an alias, its target; else itself. Never fails. */
uint64_t refs_resolve(struct refs *r, uint64_t number);
/* Finds an object by its id, and takes a hold on it, which the caller gives back with refs_unhold.
 * *ret_pending: its bytes are not synced yet. -ENOENT: the id is unknown; -EAGAIN: it is a chain
 * marker; -EUCLEAN: the index or the entry is damaged, or the entry that the index leads to is
 * lost. */
int refs_find(struct refs *r, const struct id *id, uint64_t *ret_number, struct entry *ret,
              bool *ret_pending);
int refs_hold(struct refs *r, uint64_t number);
void refs_unhold(struct refs *r, uint64_t number);
uint64_t refs_holds(struct refs *r, uint64_t number);

/* ---- numbers that no frame has ----
 *
 * A draft is made aside: its changes are not in the log. So until a commit has an object that a
 * draft stored, no frame may name it, since a start would not find it: it is *aside*. A content
 * that equals it is sealed after that commit (objects.h), and nobody finds it by its id.
 */

/* As refs_new, for a content of a draft. The caller has a hold on the number, which is among the
 * dying until an item names it. */
int refs_new_aside(struct refs *r, uint64_t *ret_number);
/* Gives back such a number that no item names, with the hold: as refs_cancel. */
void refs_drop_aside(struct refs *r, uint64_t number);
bool refs_is_aside(struct refs *r, uint64_t number);
/* As refs_find, for who shows the object to people or names it in a frame. -ENOENT also if the id
 * is a chain marker, and if the number is aside. */
int refs_find_logged(struct refs *r, const struct id *id, uint64_t *ret_number, struct entry *ret);

/* ---- sealing ---- */

/* The bytes of `number` are in its slot from now on, `size` of them as of this commit. */
int refs_set_slot(struct refs *r, uint64_t number, uint64_t size);
/* The commit itself keeps the bytes of `number`, `size` of them, since there is no other place for
 * them. -EINVAL: the number is sealed, or in a slot. */
int refs_set_held(struct refs *r, uint64_t number, uint64_t size);
/* `number`'s bytes now are at `place` (kind, id, size, where, offset of *place), or nowhere:
 * ABSENT. -EEXIST the id was taken meanwhile. The entry is pending, but for an ABSENT one. */
int refs_seal_new(struct refs *r, uint64_t number, const struct entry *place);
/* `number`'s bytes equal those of `target` (sealed, held by the caller). */
int refs_seal_alias(struct refs *r, uint64_t number, uint64_t target);
/* Healing: the bytes of `number` are damaged at their place; sound ones are at `place` from now on.
 * The old place is returned; the caller gives it to refs_reclaim_place, so that it is deleted after
 * the next commit. */
int refs_move(struct refs *r, uint64_t number, const struct entry *place, struct entry *ret_old);
/* Compaction: the bytes of `number` were copied to `place`, where they are from now on. -ESTALE:
 * they are not where `from` says any more, and nothing was changed. */
int refs_relocate(struct refs *r, uint64_t number, const struct entry *from,
                  const struct entry *place);
/* Queue bytes that no number names (an old place, a lost race) for deletion after the next commit.
 * The record of the dying gets a fresh number. */
int refs_reclaim_place(struct refs *r, const struct entry *place);
/* Queue the slot of a number whose entry says SLOT no more, for deletion after the next commit. It
 * has no record: after a crash a start finds the slot itself. -ENOMEM. */
int refs_reclaim_slot(struct refs *r, uint64_t number);
/* Does the slot of that number wait for its deletion (refs_reclaim_slot)? */
bool refs_has_slot(struct refs *r, uint64_t number);
/* Before a sync: what is pending now. */
uint64_t refs_pending_mark(struct refs *r);
/* After it: what was pending when the mark was taken is durable. */
void refs_settle(struct refs *r, uint64_t mark);

/* Notes that the object was opened on that day (days since 1970): its lastuse. It never falls; an
 * earlier day, or an object that is not sealed, changes nothing. */
int refs_set_lastuse(struct refs *r, uint64_t number, uint16_t day);

/* ---- ghosts ---- */

/* A walk over the ghosts, in the order of their numbers:
 *
 *     struct refs_ghosts_walk w = {.refs = r};
 *     while ((err = refs_next_ghost(&w, &e)) == 0)
 *         look(w.number, &e);
 *
 * It also finds those with count 0. Uncommitted changes count, but a ghost that is new among the
 * numbers that were read ahead is left to the next walk. */
#define REFS_GHOSTS_AHEAD 256
struct refs_ghosts_walk {
    struct refs *refs;
    uint16_t shard;  /* 0: any */
    uint64_t number; /* of the ghost; before the first call: the walk begins behind it */
    uint8_t ahead[REFS_GHOSTS_AHEAD][8];
    size_t at, count; /* of `ahead` */
};
/* -ENOENT: the end. -EUCLEAN: a row of a ghost is damaged, or its entry. */
int refs_next_ghost(struct refs_ghosts_walk *w, struct entry *ret);
/* How many ghosts there are, in all; and on one shard, with their bytes. */
uint64_t refs_ghosts(struct refs *r);
int refs_ghosts_on(struct refs *r, uint16_t shard, uint64_t *ret_count, uint64_t *ret_bytes);
/* Dead ghosts: the first record of the dying behind `number` whose bytes are on `shard` (0: any but
 * home) and whose entry is gone, if a commit has both. The caller deletes its bytes and calls
 * refs_reclaimed. refs_collected never returns these. -ENOENT: there is none. */
int refs_next_dead_ghost(struct refs *r, uint16_t shard, uint64_t number, struct refs_dead *ret);
uint64_t refs_dead_ghosts(struct refs *r); /* how many; not among refs_dying */
uint64_t refs_dead_ghosts_on(struct refs *r, uint16_t shard);

/* ---- pins ---- */

int refs_pin(struct refs *r, uint64_t number); /* repeats are fine */
/* As refs_pin, for a frame of the log: a number that was given out and has lost its entry is
 * pinned, too, uncounted. */
int refs_pin_again(struct refs *r, uint64_t number);
int refs_unpin(struct refs *r, uint64_t number); /* not pinned is fine */
/* Puts back what is lost of a pin that stands under that very number: its row, or the note in its
 * entry, which older versions did not write. The count stays. 1: it was put back, 0 or -errno. */
int refs_restore_pin(struct refs *r, uint64_t number);
/* The number under which the pin of `number` stands, or would stand (see aliases). */
uint64_t refs_pin_place(struct refs *r, uint64_t number);
bool refs_is_pinned(struct refs *r, uint64_t number);

/* ---- deletion ---- */

/* Takes out up to `max` numbers with count 0 and no holds. `fn` is called with each, so that the
 * caller can drop what memory holds of it. Returns how many, fewer than `max` if no more are there;
 * or -errno: some may have been taken out all the same. */
typedef void refs_dead_fn(uint64_t number, const struct entry *e, void *ctx);
int refs_collect(struct refs *r, size_t max, refs_dead_fn *fn, void *ctx);
/* After a commit: lists at most `max` places whose removal it carried. The caller deletes their
 * bytes now. Returns how many. */
size_t refs_collected(struct refs *r, struct refs_dead *out, size_t max);
/* Removes records of the dying, all or none. The bytes of a file or a ghost are gone by then; bytes
 * in a pack are counted out by the caller next, in the same commit. */
int refs_reclaimed(struct refs *r, const struct refs_dead *dead, size_t count);
/* Puts back what refs_collected gave, whose bytes could not be deleted: refs_collected gives it
 * again after a later commit. Until then refs_dying leaves it out, and the stats count it as
 * undeleted. -ENOMEM: it is not put back, and the next start finds it. */
int refs_not_reclaimed(struct refs *r, const struct refs_dead *dead);
/* Numbers with count 0 that nobody holds, plus dead ones whose bytes still have to be deleted,
 * except where that failed. */
uint64_t refs_dying(struct refs *r);
/* As refs_dying, but waits at most `duration_ns` for the lock "refs". False: it was not free, as
 * happens with a slow disk. */
bool refs_dying_within(struct refs *r, int64_t duration_ns, uint64_t *ret);
/* Is there a record of `number` among the dying? Also of one whose entry is gone, until it is
 * reclaimed. 1, 0 or -errno. */
int refs_is_dying(struct refs *r, uint64_t number);
/* Puts a number with count 0 among the dying, if a failure kept it out. -EBUSY: its count is not 0,
 * it is held, or it is dying already. -ENOENT. */
int refs_let_go(struct refs *r, uint64_t number);
/* Visits the records of the dying that no commit has yet. A result of `fn` other than 0 stops the
 * visit and is returned; `fn` must not call refs. -EUCLEAN. */
typedef int refs_dying_fn(uint64_t number, const struct entry *e, void *ctx);
int refs_new_dying(struct refs *r, refs_dying_fn *fn, void *ctx);
/* Uncommitted changes in all its tables. */
size_t refs_changes(struct refs *r);

/* ---- repair, listings ---- */

/* Adds `delta` to a count that a recount found wrong. -ENOENT: the number has no entry, and none
 * can be made up. */
int refs_correct(struct refs *r, uint64_t number, int64_t delta);

/* `number`, which is named, has no entry that can be read, or one without bytes (NEW, with a count,
 * which stays): from now on it is `e`, and the index and the ghosts have it, too. -EEXIST it has
 * one, or its id is that of another object; -EBUSY it is among the dying; -EINVAL no such number
 * was given. */
int refs_restore(struct refs *r, uint64_t number, const struct entry *e);
/* Puts back the rows of the index and of the ghosts that the entry should have. Returns how many
 * were put back, or -errno. */
int refs_reindex(struct refs *r, uint64_t number);

struct refs_stats {
    uint64_t objects; /* sealed, count > 0 */
    uint64_t stored;  /* the bytes of these, here and on other shards */
    uint64_t saved;   /* by how many bytes these are shorter where they are (entry_payload) */
    uint64_t unknown_decrements;
    uint64_t dying, pinned;
    uint64_t undeleted; /* dead ones whose bytes could not be deleted so far; not among `dying` */
    /* Objects without references or holds that are kept all the same: until a commit covers their
     * removal, the log may be replayed, and its changes name them. */
    uint64_t retained, retained_bytes;
};
void refs_get_stats(struct refs *r, struct refs_stats *ret);
/* The first three of these, which takes no time. False: the bytes are not known for sure, since a
 * number had no entry, or it or its count was put right (refs_restore, refs_correct): the next
 * start has to count them. */
struct refs_sums {
    uint64_t objects, stored, saved;
};
bool refs_get_sums(struct refs *r, struct refs_sums *ret);
/* Right after refs_open: so many bytes are stored and saved as of the last commit. NULL: nobody
 * knows, and all rows are read to count them. -ENOMEM, -EIO */
int refs_begin_stored(struct refs *r, const struct refs_sums *known);

/* Sealed or counted ids with count > 0, in id order, ids > after (NULL: all), while id byte 0
 * is `prefix` (-1: all). One consistent moment, copied before `fn` is first called. */
struct refs_item {
    struct id id;
    uint64_t number, count, size;
};
typedef int refs_list_fn(const struct refs_item *item, void *ctx);
int refs_list(struct refs *r, int prefix, const struct id *after, refs_list_fn *fn, void *ctx);
/* The same in two steps, for a caller that must tie the moment to something else: begin copies the
 * uncommitted changes (short), run walks. `after` is borrowed until the end. */
struct refs_listing;
int refs_list_begin(struct refs *r, int prefix, const struct id *after,
                    struct refs_listing **ret_l);
int refs_list_run(struct refs *r, struct refs_listing *l, refs_list_fn *fn, void *ctx);
void refs_list_end(struct refs_listing *l); /* NULL is fine */

/* ---- its part in a commit: layer.h; freeze with all changes shut out ---- */
int refs_freeze(struct refs *r); /* needs no memory */
int refs_write(struct refs *r, size_t n, struct kv_txn *t);
void refs_retire(struct refs *r, size_t n);
