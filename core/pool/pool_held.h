// SPDX-License-Identifier: Apache-2.0
/*
 * pool_held: which keys a pool holds bytes of, and their removal by a collector.
 *
 * Held are: the files of objects/ (a listing; their sums belong to them), and those records of
 * packs that an index lists, less those that were removed. An index is made when a pack is closed
 * for ever, by the node whose pack it is, or for it when it is retired. Nothing else is held: what
 * is not listed (a pack without an index, a file of another name, what a short listing left out)
 * is not collected, so it stays.
 *
 *     packs/<n>          the records
 *     packs/<n>.index    all sound ones there were when it was closed; immutable
 *     packs/<n>.dead     offsets of those that were removed. Lost or damaged it is as good as none:
 *                        the keys are held again, nobody can name them, they are removed again
 *
 * Removal, in this order: object files, sums first; then of each pack: the heads of its records
 * that go become zeros and runs of at least 64 KiB holes, durably; then the new dead list,
 * durably. So nobody can take for an object what is not held any more. A pack is removed at once,
 * durably, if all of its records are dead and it has nothing else; then its dead list and its
 * index are removed. (Bytes between records that are no record and not zeros count as something
 * else: they may be a damaged record that is needed.) After a loss of power in between, everything
 * that is left is held or is found again; the next removal removes the index and the dead list of
 * a pack that is gone.
 *
 * The caller has made sure that nobody needs the keys: an earlier list marked them, every node has
 * acknowledged that list, and no node names them. Removing a key that is gone already does
 * nothing, and a key never comes back.
 *
 * Errors: 0 or -errno; -EUCLEAN a damaged index. Two places that share a key (one in 2^64 of equal
 * contents) are held as one: either needed keeps both. Threads: any; two removals at once harm
 * nothing, but may leave a key for the next cycle.
 */
#pragma once

#include "disk.h"
#include "entry.h"
#include "id.h"
#include "pool_dir.h"

struct pool_held_key {
    struct id key;
    uint8_t rest[8]; /* of the object's id, whose first half the key has */
};
struct pool_held {
    struct pool_held_key *keys; /* ascending */
    size_t count, room;
    uint64_t unindexed; /* packs that are not listed because they have no index (yet) */
};

/* Return true to end with -ECANCELED; `n` keys, or packs, were seen so far. NULL: never. */
typedef bool pool_step_fn(void *ctx, uint64_t n);

/* All keys, each once: 24 bytes each. *ret is the caller's to release, also on failure, when it is
 * empty. `why` names what is damaged, or could not be read; "" after success. */
int pool_held_list(struct disk *disk, pool_step_fn *step, void *ctx, struct pool_held *ret,
                   char why[POOL_WHY]);
void pool_held_release(struct pool_held *h);
/* The whole id of the object with that key; all zeros: it is not held. */
struct id pool_held_whole(const struct pool_held *h, const struct id *key);

/* A pack from which records were removed, and that holds others still. */
struct pool_held_pack {
    uint64_t number;
    uint64_t bytes; /* of its file, holes among them */
    uint64_t held;  /* of these: what its records take that are held */
};
/* Each of them, by rising number, from the dead lists alone: one that has none holds all of its
 * records, and is passed over, as is one whose index cannot be read. `fn` must not remove. Non-zero
 * from it ends this and is returned. */
typedef int pool_held_pack_fn(const struct pool_held_pack *k, void *ctx);
int pool_held_packs(struct disk *disk, pool_held_pack_fn *fn, void *ctx);
/* The records of one pack that are held, by rising offset, as sealed entries with count 0;
 * likewise. -ENOENT, -EUCLEAN: of its index. */
typedef int pool_held_record_fn(const struct entry *at, void *ctx);
int pool_held_records(struct disk *disk, uint64_t pack, pool_held_record_fn *fn, void *ctx);

struct pool_removed {
    uint64_t files, records; /* keys of each kind that went */
    uint64_t packs;          /* files that went */
    uint64_t bytes;          /* of files, of packs, and of holes made */
};

/* Remove these keys (ascending, all different), from the directory of `node`, whose process this
 * is. done[i] (may be NULL) becomes 1 where keys[i] was held and is not any more; after a loss of
 * power it may be again. Goes on after an error with what does not depend on it, and returns the
 * first one. */
int pool_held_remove(struct disk *disk, unsigned node, const struct id *keys, size_t count,
                     uint8_t *done, struct pool_removed *ret);

/* Is that pack still appended to, or not yet durable? */
typedef bool pool_is_open_fn(void *ctx, uint64_t pack);

/* Make the index of each pack of node `owner` that has none, or a damaged one, and is not open.
 * `node`: whose process this is; another than the owner only when that one is retired. is_open
 * NULL: none is. Durable with 0. *ret_made (may be NULL): how many. Goes on after an error with
 * the next pack, and returns the first one. */
int pool_index_packs(struct disk *disk, unsigned node, unsigned owner, pool_is_open_fn *is_open,
                     void *ctx, unsigned *ret_made);
