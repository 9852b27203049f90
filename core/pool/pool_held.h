// SPDX-License-Identifier: Apache-2.0
/*
 * pool_held: which keys a pool holds bytes of, and their removal by a collector.
 *
 * Held are the files of objects/ (found by a listing; their sums belong to them), and those records
 * of packs that an index lists and that were not removed. When a pack is closed for good, its node
 * makes the index; if the node is retired, another node makes it. Nothing else counts as held. What
 * is not listed (a pack without an index, a file of another name, what a short listing left out) is
 * not collected, so it stays.
 *
 *     packs/<n>          the records
 *     packs/<n>.index    all sound records that it had when it was closed; immutable
 *     packs/<n>.dead     offsets of the removed records. If it is lost or damaged, the keys are
 *                        held again; no node can name them, so they are removed again
 *
 * A removal does this, in this order. It removes object files, each after its sums. Then, for each
 * pack, it overwrites the heads of removed records with zeros, makes holes of runs of at least 64
 * KiB, syncs the pack, and writes the new dead list durably. So no bytes that are not held can be
 * taken for an object. On a disk of whole files (disk_is_whole) no pack is changed: the dead list
 * alone says what was removed, and who scans a pack asks it (pool_dead_read). There the space of
 * removed records comes back with their pack; members leave one of which little is left
 * (compact_pool.c). A pack is removed at once, durably, if all of its records are dead and it
 * has nothing else; then its dead list and its index are removed. (Bytes between records that are
 * neither a record nor zeros count as something else: they may be a damaged record that is needed.)
 * After a loss of power in between, everything that is left is held or is found again. The next
 * removal removes the index and the dead list of a pack that does not exist any more.
 *
 * The caller has made sure that no node needs the keys: an earlier list marked them, every node has
 * acknowledged that list, and no node names them. To remove a key that is not held does nothing,
 * and a removed key is never held again, but after a loss of power.
 *
 * Errors: 0 or -errno; -EUCLEAN: a damaged index. Two places with the same key (one in 2^64 of
 * equal contents) are held as one: if either is needed, both stay. Threads: any. Two removals at
 * once do no harm, but may leave a key for the next cycle.
 */
#pragma once

#include "disk.h"
#include "entry.h"
#include "id.h"
#include "pool_dir.h"

struct pool_held_key {
    struct id key;
    uint8_t rest[8]; /* the second half of the object's id; the key has the first */
};
struct pool_held {
    struct pool_held_key *keys; /* ascending */
    size_t count, room;
    uint64_t unindexed; /* packs that have no index (yet), and so are not listed */
};

/* Called with the number of keys seen so far. True ends the call with -ECANCELED. May be NULL. */
typedef bool pool_step_fn(void *ctx, uint64_t n);

/* Lists all keys, each once, in 24 bytes each. The caller releases *ret, also after an error, when
 * it is empty. `why` says what is damaged or could not be read; "" after success. */
int pool_held_list(struct disk *disk, pool_step_fn *step, void *ctx, struct pool_held *ret,
                   char why[POOL_WHY]);
void pool_held_release(struct pool_held *h);
/* The whole id of the object with that key; all zeros: the key is not held. */
struct id pool_held_whole(const struct pool_held *h, const struct id *key);

/* A pack from which records were removed, and that still holds others. */
struct pool_held_pack {
    uint64_t number;
    uint64_t bytes; /* bytes of its file, with holes */
    uint64_t held;  /* the part of these that its held records take */
};
/* Calls `fn` for each such pack, by rising number. They are found by their dead lists. A pack
 * without one holds all of its records and is left out; so is a pack whose index cannot be read.
 * `fn` must not remove anything. A result other than 0 of `fn` ends the walk and is returned. */
typedef int pool_held_pack_fn(const struct pool_held_pack *k, void *ctx);
int pool_held_packs(struct disk *disk, pool_held_pack_fn *fn, void *ctx);
/* Calls `fn` for the held records of one pack, by rising offset, as sealed entries with count 0. A
 * result other than 0 ends the walk and is returned. -ENOENT, -EUCLEAN: those of its index. */
typedef int pool_held_record_fn(const struct entry *at, void *ctx);
int pool_held_records(struct disk *disk, uint64_t pack, pool_held_record_fn *fn, void *ctx);

/* The offsets of the records that were removed from one pack. */
struct pool_dead {
    uint32_t *v; /* rising */
    size_t count;
};
/* Reads the dead list of a pack. One that is missing or damaged has nothing: then these records are
 * held again. The caller releases *ret, which is empty after an error. */
int pool_dead_read(struct disk *disk, uint64_t pack, struct pool_dead *ret);
bool pool_dead_has(const struct pool_dead *d, uint32_t offset);
void pool_dead_release(struct pool_dead *d);

struct pool_removed {
    uint64_t files, records; /* removed keys of each kind */
    uint64_t packs;          /* removed pack files */
    uint64_t bytes;          /* bytes of these files, packs, and of holes */
};

/* Removes these keys (ascending, each once). `node` is the node of this process. done[i] (may be
 * NULL) becomes 1 if keys[i] was held and is not any more; after a loss of power it may be held
 * again. After an error it goes on with what does not depend on it, and returns the first error. */
int pool_held_remove(struct disk *disk, unsigned node, const struct id *keys, size_t count,
                     uint8_t *done, struct pool_removed *ret);

/* Is that pack still appended to, or not durable yet? */
typedef bool pool_is_open_fn(void *ctx, uint64_t pack);

/* Makes the index of each pack of node `owner` that has none, or a damaged one, and is not open.
 * `node` is the node of this process; it differs from `owner` only if the owner is retired. is_open
 * NULL: no pack is open. When it returns 0 the indexes are durable. *ret_made (may be NULL): how
 * many were made. After an error it goes on with the next pack, and returns the first error. */
int pool_index_packs(struct disk *disk, unsigned node, unsigned owner, pool_is_open_fn *is_open,
                     void *ctx, unsigned *ret_made);
/* The same for the own packs that have no index at all, as a list of all names says. What it leaves
 * out pool_index_packs makes. */
int pool_index_new_packs(struct disk *disk, unsigned node, pool_is_open_fn *is_open, void *ctx);
/* The same for one own pack, which is not open; nothing is listed. A pack that was removed is no
 * error. */
int pool_index_pack(struct disk *disk, unsigned node, uint64_t pack);
