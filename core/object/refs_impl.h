// SPDX-License-Identifier: Apache-2.0
/* refs_impl: what the files of refs share. Nobody else includes this. */
#pragma once

#include "bytes.h"
#include "layer.h"
#include "lock.h"
#include "map64.h"
#include "refs.h"
#include <stdatomic.h>
#include <sys/queue.h>

struct refs_ghosts {
    struct map64 count, bytes; /* shard -> what its ghosts are */
    _Atomic uint64_t all;      /* changed under the lock */
    uint64_t dead;        /* records of the dying without an entry, that lead to other shards, */
    struct map64 dead_on; /* shard -> of these; for people: without memory some are missing */
    bool damaged;         /* a row does not decode, so nobody knows how many there are */
};

struct refs {
    struct mutex lock; /* "refs": guards everything below */
    struct kv *kv;
    struct refs_tables tables;
    const struct id_key *key;
    struct layer *objects, *ids, *dying, *pins, *ghosts;
    uint64_t next;        /* first number never used */
    struct map64 zero;    /* numbers whose count is 0 and whose entry exists -> bytes */
    size_t zero_at;       /* place in `zero` at which refs_collect goes on */
    struct map64 holds;   /* number -> open handles and seals in flight */
    struct map64 pending; /* numbers whose bytes are not synced -> when they were added */
    uint64_t pending_serial;
    struct map64 aside;       /* refs_aside.c */
    STAILQ_HEAD(, dead) dead; /* collected, the oldest first (refs_dying.c) */
    size_t waiting, failed;   /* elements of `dead`: that were not tried yet, and that failed */
    /* Slots without a record whose file has its name still: those in `dead`, and those that are
     * being deleted. A number may be in `slots` and in `zero`, or twice in `dead`: its slot waits,
     * and so does the object that was sealed from it. So these maps cannot be one. */
    struct map64 slots;
    uint64_t batch, durable; /* the number of the batch that is filled now; so many are committed */
    struct refs_ghosts ghost;
    uint64_t live;        /* sealed entries with count > 0 */
    uint64_t stored;      /* the bytes of these, modulo 2^64; 0 until refs_begin_stored */
    uint64_t saved;       /* likewise, by how many bytes these are shorter where they are */
    bool stored_doubtful; /* a row was lost or wrong: `stored` may have its bytes, or may not */
    uint64_t pinned;
    uint64_t unknown_decrements;
};

/* All need r->lock. */
int refs_load(struct refs *r, uint64_t number, struct entry *ret);
int refs_save(struct refs *r, uint64_t number, const struct entry *e);
int refs_change(struct refs *r, uint64_t number, struct entry *e, int64_t delta);
/* Makes room, so that a change of so many entries, of their holds and of their records among the
 * dying needs no memory. -ENOMEM: no change was made. */
int refs_room(struct refs *r, size_t numbers);
int refs_hold_locked(struct refs *r, uint64_t number, int64_t delta);
/* Is there a row among the pins? 0, -ENOENT, -errno */
int refs_pin_row(struct refs *r, uint64_t number);
/* The number that an id leads to; 0: the id is a chain marker. -ENOENT, -EUCLEAN */
int refs_index_get(struct refs *r, const struct id *id, uint64_t *ret_number);
int refs_index_put(struct refs *r, const struct id *id, uint64_t number);
/* Take the id out of the index, leaving a marker if its chain goes on. */
int refs_unindex(struct refs *r, uint64_t number, const struct id *id);

/* ---- refs_aside.c: need r->lock ---- */

/* The number has its place, which the next batch to be frozen has. */
void refs_aside_placed(struct refs *r, uint64_t number);
/* Batches have become durable. */
void refs_aside_retire(struct refs *r);

/* ---- refs_dying.c: all but the first need r->lock ---- */

void refs_dying_release(struct refs *r);
int refs_dying_recover(struct refs *r, struct kv_snap *s);
/* Puts a number with the entry `e`, of count 0, into the table of the dying and into r->zero: into
 * both or neither. */
int refs_make_dying(struct refs *r, uint64_t number, const struct entry *e);
/* Takes a number out of both, if it is there. */
int refs_revive(struct refs *r, uint64_t number);
int refs_is_dying_locked(struct refs *r, uint64_t number); /* as refs_is_dying */
/* Sets what the stats say of the dying. */
void refs_dying_stats(const struct refs *r, struct refs_stats *s);

/* ---- refs_ghosts.c: all but the first need r->lock ---- */

void refs_ghosts_release(struct refs *r);
int refs_ghosts_recover(struct refs *r, struct kv_snap *s);
/* Called before the entry of `number` is saved as `now`, where it was `before` (NULL: there is
 * none). With the two exchanged it undoes the call, which cannot fail. */
int refs_note_ghost(struct refs *r, uint64_t number, const struct entry *before,
                    const struct entry *now);
int refs_ghost_row(struct refs *r, uint64_t number, struct ghost_row *ret); /* -ENOENT, -EUCLEAN */
/* Counts the dead ghosts of a shard: one more, or one fewer. */
void refs_count_dead(struct refs *r, uint16_t shard, bool more);
