// SPDX-License-Identifier: Apache-2.0
/*
 * cache_impl: what cache.c (reading and fetching), cache_files.c (names) and cache_blocks.c (what
 * is kept where) share. Private to core/cache.
 *
 *     files: tag and name -> cache_file      by a hash, which several may share
 *     blocks: file and index -> slot         slot n is at byte n * CACHE_BLOCK of the disk's file
 *     fetches: requests that are on their way to a shard
 */
#pragma once

#include "cache.h"
#include "lock.h"
#include "map64.h"

#include <sys/queue.h>

#define PIECES (CACHE_BLOCK / CACHE_PIECE)
#define NO_SLOT UINT32_MAX

/*
 *           block_reserve            block_keep            block_drop
 *   FREE ------------------> FILLING -----------> KEPT --------------> LEAVING --> FREE
 *                               '----- block_give_up ---------------------'
 *
 * In LEAVING its place on the disk is given back, after its last reader has left.
 */
enum block_state { BLOCK_FREE, BLOCK_FILLING, BLOCK_KEPT, BLOCK_LEAVING };

struct cache_block {
    struct cache_file *file; /* KEPT: whose block it is; else NULL */
    uint64_t key;            /* KEPT: in c->blocks */
    uint64_t sum[PIECES];
    uint32_t len;    /* bytes */
    uint32_t charge; /* bytes that the slot counts for; of a FREE one that could not be emptied */
    uint32_t users;  /* readers */
    uint32_t next;   /* FREE: the next free slot, or NO_SLOT */
    enum block_state state;
    bool used; /* since the hand of the clock passed */
};

/* A file that is open, or of which blocks are kept. */
struct cache_file {
    struct cache_file *next; /* with the same hash */
    uint64_t hash;
    uint64_t serial; /* a new one for each; its blocks are known by it */
    uint64_t size;   /* bytes */
    uint32_t run; /* of a small file: blocks that the last request took, if it could */
    uint32_t tag;
    uint32_t opens, blocks; /* how many of each */
    char name[];
};

/* A request for consecutive blocks. */
struct fetch {
    LIST_ENTRY(fetch) link;
    const struct cache_file *file;
    uint64_t first; /* index of the first block */
    size_t count;   /* of blocks */
    unsigned users; /* the thread that asks, and those that wait */
    bool done;      /* from now on result and buf do not change */
    ssize_t result; /* bytes in buf, or -errno */
    uint8_t *buf;
};

struct cache {
    struct disk *disk;
    const struct clock *clock;
    struct mutex lock; /* "cache": all below */
    struct cond changed; /* a fetch is done */
    uint64_t limit, bytes;
    struct map64 files, blocks;
    struct cache_block *slot;
    size_t room;            /* slots that are allocated */
    uint32_t count;         /* slots that exist */
    uint32_t free;          /* the first free one, or NO_SLOT */
    uint32_t hand;          /* of the clock */
    LIST_HEAD(, fetch) fetches;
    struct disk_file *store; /* NULL: not made yet; set once */
    bool making;             /* one thread makes it */
    bool told;               /* a failure was reported, and nothing has been kept since */
    int64_t paused_until;    /* monotonic ns: until then nothing is kept */
    int64_t looked;          /* monotonic ns: when the room of the disk was last looked at */
    uint32_t tags;
    uint64_t serials;
    struct cache_stats stats; /* without bytes and limit */
};

/* ---- cache_files.c: all need the lock ---- */

struct cache_file *file_find(struct cache *c, uint32_t tag, const char *name);
/* A new one that is open once. NULL: no memory. */
struct cache_file *file_add(struct cache *c, uint32_t tag, const char *name, uint64_t size);
/* Frees a file that is not open and has no blocks. */
void file_release(struct cache *c, struct cache_file *f);

/* ---- cache_blocks.c: all need the lock; those marked * release it meanwhile ---- */

/* The slot of a kept block, or NO_SLOT. */
uint32_t block_find(struct cache *c, const struct cache_file *f, uint64_t index);
/* * Takes a slot for `len` bytes, and drops others for it. NO_SLOT: there is no room. */
uint32_t block_reserve(struct cache *c, uint32_t len);
/* * The bytes of a reserved slot are written: it is kept, unless memory is short. */
void block_keep(struct cache *c, uint32_t slot, struct cache_file *f, uint64_t index,
                const uint64_t sum[PIECES], uint32_t len);
/* * The bytes of a reserved slot could not be written. */
void block_give_up(struct cache *c, uint32_t slot);
/* * A reader is done. */
void block_put_back(struct cache *c, uint32_t slot);
/* * Drops a kept block. Its readers go on. */
void block_drop(struct cache *c, uint32_t slot);
/* * Drops blocks while more than `bytes` count, `most` at most. */
void block_shrink(struct cache *c, uint64_t bytes, size_t most);
/* The checksum of a piece, which also says where it belongs. */
uint64_t block_sum(const void *data, size_t len, uint64_t key, size_t piece);
uint64_t block_key(const struct cache_file *f, uint64_t index);
/* Can blocks of the file have keys? */
bool block_has_key(const struct cache_file *f);
