// SPDX-License-Identifier: Apache-2.0
/* compact_impl: private to compact.c, compact_pool.c, compact_rest.c and compact_shards.c, and what
 * they keep in an open store. */
#pragma once

#include "compact.h"
#include "map64.h"

struct compacting {
    _Atomic bool running;
    /* monotonic ns: when compact_if_due looked last, and when it last looked for dead bytes; 0: not
     * yet */
    _Atomic int64_t looked, weighed;
    /* runs in a row that chose packs and deleted none; each doubles the time until dead bytes are
     * looked for again */
    _Atomic unsigned vain;
    _Atomic uint64_t packs, bytes; /* packs rewritten and bytes copied since the start */
    /* In a pool: dead bytes in packs of other nodes that this store should leave, when the list of
     * marks `serial` was read. */
    _Atomic uint64_t elsewhere;
    uint64_t serial;       /* belongs to the thread of the node */
    _Atomic uint64_t seen; /* number of the last change when compact_rest_due looked last */
    /* compression_mark when all that was due was compressed last; 0: it was never */
    _Atomic uint64_t rested;
    /* Packs that have damaged records which are due: a pass that nobody asked for does not read
     * them again. Belongs to the compaction that runs. */
    struct map64 damaged;
};

/* Packs to rewrite or to leave. compact_choose sorts them: the pack with the largest dead part
 * first. */
struct compact_choice {
    struct pack_info *v;
    size_t count, room;
    uint64_t file_bytes, dead; /* of all packs that were considered, chosen or not */
};

struct compaction;
/* Moves a record that the entry of `number` names. The caller holds the number in refs. */
typedef int compact_move_fn(struct compaction *c, uint64_t number, const struct entry *at,
                            const void *data);

struct compaction {
    struct state *p;
    struct job *job;
    struct compact_result *r;
    struct compact_choice own;    /* packs in the table of this store */
    struct compact_choice others; /* in a pool: other packs that its entries name */
    struct disk *disk;            /* where packs are read now: at home, or a shard */
    uint16_t shard;               /* number of that shard; 0: home */
    compact_move_fn *move;
    struct move *within;  /* on a shard: the move that moves its records */
    uint64_t done, total; /* progress, in bytes of files */
    uint64_t at;          /* `done` when the current pack began */
    unsigned records;     /* records since the last wait for memory and room */
    bool quiet;           /* nobody asked for it: packs that are known as damaged are left out */
    bool chosen;          /* there were packs to rewrite or to leave */
    uint64_t due;         /* in compact_rest: sound records that were due */
    uint64_t written;     /* likewise: bytes of what was compressed */
    const struct map64 *found; /* likewise: how many records of each pack are due */
    uint8_t *buf;              /* PACK_RECORD_MAX bytes */
};

/* ---- compact.c ---- */

/* Is less than `below` percent of the pack alive? */
bool compact_is_below(const struct pack_info *k, unsigned below);
/* Adds a pack to the sums, and to the choice if something in it is dead. -ENOMEM */
int compact_consider(struct compact_choice *l, const struct pack_info *k);
/* Considers the closed packs at home (0), or those on a shard, in which something is alive. */
int compact_gather(struct state *p, uint16_t shard, struct compact_choice *l);
/* Sorts the choice, and shortens it to the packs that are to be rewritten. */
void compact_choose(struct compact_choice *l, unsigned below, bool thorough);
/* Looks for the number whose entry names exactly this place. 1: *ret_number has it, with a hold
 * that the caller gives back with refs_unhold, and at->stored is what the entry says; 0: there is
 * none; or -errno. */
int compact_find(struct state *p, struct entry *at, uint64_t *ret_number);
/* Visits each sound record in the file of a pack: calls c->move if an entry names exactly its
 * place. A missing file has no records and is no error. -ECANCELED. */
int compact_scan(struct compaction *c, uint64_t pack);
/* Moves the sound records of a pack that entries name, and commits that. Then the old places are
 * reclaimed, except for those that readers still hold. */
int compact_rewrite(struct compaction *c, const struct pack_info *k);

/* Commits, and deletes the old places. Those that readers of the dying still hold are deleted
 * later. */
int compact_commit(struct compaction *c);

/* Calls `fn` for each pack. A bad sector or damage concerns one pack: the others are done
 * nevertheless, and that error is returned at the end. */
typedef int compact_pack_fn(struct compaction *c, const struct pack_info *k);
int compact_all(struct compaction *c, const struct compact_choice *l, compact_pack_fn *fn);

bool compact_is_cancelled(const struct compaction *c);
/* Counts a pack at home, if it was deleted; `written` bytes were written for that. */
void compact_count(struct compaction *c, const struct pack_info *k, uint64_t written);

/* ---- compact_shards.c ---- */

/* Compacts each shard that this store may write to. An error of one shard does not keep it from the
 * others. */
int compact_shards(struct compaction *c, unsigned below, bool thorough);

/* ---- compact_rest.c ---- */

/* Compresses what is due at home, also in the open pack; nothing in a store that compresses
 * nothing. All that is to be compressed should be committed before. */
int compact_rest(struct compaction *c);
/* Has nothing changed since the last call, and may more be due than at the end of the last pass? */
bool compact_rest_due(struct state *p);

/* ---- compact_pool.c ---- */

/* Fills c->others; with nothing for a store alone. */
int compact_pool_gather(struct compaction *c);
/* Looks for another place in the pool that has those bytes and is not about to be left, and counts
 * the record in there. The caller holds the freeze lock from here until an entry names the place.
 * -ENOENT: there is none. */
int compact_adopt(struct compaction *c, const struct entry *from, const void *data,
                  struct entry *ret_place);
/* Leaves a pack of c->others: moves what this store has in it. */
int compact_pool_leave(struct compaction *c, const struct pack_info *k);
