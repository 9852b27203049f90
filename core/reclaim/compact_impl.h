// SPDX-License-Identifier: Apache-2.0
/* compact_impl: what compact.c, compact_pool.c and compact_shards.c share, and what they keep of
 * an open store. */
#pragma once

#include "compact.h"

struct compacting {
    _Atomic bool running;
    _Atomic int64_t looked; /* monotonic ns: when it was last asked whether one is due */
    _Atomic unsigned vain;  /* runs on end that got rid of no pack: the next is asked later */
    _Atomic uint64_t packs, bytes; /* rewritten, and copied, since the start */
    /* Of a pool: dead in packs of others that this store should leave, as of that list of marks. */
    _Atomic uint64_t elsewhere;
    uint64_t serial; /* the node's thread alone */
};

/* Packs to leave, the worst first. */
struct compact_choice {
    struct pack_info *v;
    size_t count, room;
    uint64_t file_bytes, dead; /* of all packs that were considered */
};

struct compaction;
/* What becomes of a record that an entry names, whose number is held: compact_move, or the like. */
typedef int compact_move_fn(struct compaction *c, uint64_t number, const struct entry *at,
                            const void *data);

struct compaction {
    struct state *p;
    struct job *job;
    struct compact_result *r;
    struct compact_choice own;    /* packs that this store's table has */
    struct compact_choice others; /* of a pool: any other that its entries name */
    struct disk *disk;            /* where packs are read now: home, or a shard's, */
    uint16_t shard;               /* whose number this is */
    compact_move_fn *move;
    struct move *within;          /* a shard: by which its records are moved */
    uint64_t done, total;         /* bytes of files */
    uint64_t at;                  /* `done` when this pack began */
    unsigned records;             /* since writers were last waited for */
    bool kept;                    /* a record stayed in this pack, of others */
    uint8_t *buf;                 /* PACK_RECORD_MAX bytes */
};

/* ---- compact.c ---- */

bool compact_is_below(const struct pack_info *k, unsigned below);
int compact_consider(struct compact_choice *l, const struct pack_info *k);
/* The worst first, and not more than needed. */
void compact_choose(struct compact_choice *l, unsigned below, bool thorough);
/* The number whose entry names that very place, held: give it back with refs_unhold. 1, 0 or
 * -errno. */
int compact_find(struct state *p, const struct entry *at, uint64_t *ret_number);
/* `number`, which is held, has `data` at `from`: from now on elsewhere. */
int compact_move(struct compaction *c, uint64_t number, const struct entry *from, const void *data);
/* One record: if an entry names that very place c->move is called. -ECANCELED. */
int compact_visit(struct compaction *c, const struct entry *at, const void *data);
/* The same of each sound one in the file of a pack; one that is not there has none. */
int compact_scan(struct compaction *c, uint64_t pack);
/* What `read` visits of a pack is moved and committed; then its old places are let go, but for
 * those that readers still hold. */
typedef int compact_read_fn(struct compaction *c, uint64_t pack);
int compact_rewrite(struct compaction *c, const struct pack_info *k, compact_read_fn *read);

/* Each of them, one after the other. A bad sector, or damage, is of one pack: the others go on, and
 * it is returned at the end. */
typedef int compact_pack_fn(struct compaction *c, const struct pack_info *k);
int compact_all(struct compaction *c, const struct compact_choice *l, compact_pack_fn *fn);

/* ---- compact_shards.c ---- */

/* Packs on each shard that this store may write to. What one shard refuses is not the others'. */
int compact_shards(struct compaction *c, unsigned below, bool thorough);
/* How much is dead in those that are below, looked at until it is enough. */
uint64_t compact_shards_dead(struct state *p, unsigned below, uint64_t enough);

/* ---- compact_pool.c ---- */

/* Fill c->others. Nothing for a store alone. */
int compact_pool_gather(struct compaction *c);
/* Another place that has those bytes already, and that is not about to be left; counted in. The
 * freeze lock is held from here until it is named. -ENOENT there is none. */
int compact_adopt(struct compaction *c, const struct entry *from, const void *data,
                  struct entry *ret_place);
/* One of c->others: move what this store has in it. */
int compact_pool_leave(struct compaction *c, const struct pack_info *k);
