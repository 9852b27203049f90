// SPDX-License-Identifier: Apache-2.0
/*
 * cache: a bounded cache, on a disk of this machine, of what was read from shards that are far. A
 * second read of the same bytes asks no shard.
 *
 *     cache_open(&config, &c)
 *     near = cache_near(c)                  one for each shard; the disk of the shard gets it
 *     disk_open, disk_pread, ...            of that disk: they come here (struct shard_near_ops)
 *     cache_close(c)                        after all those files were closed
 *
 * Why it is right. A name on a shard is never used again for other bytes (DESIGN 4.7), so kept
 * bytes cannot be outdated. Only the disk of a shard reads through a cache. What changes there
 * (identity, owner, fences) is read by shard_get, which never does.
 *
 * What is kept. Files are cut into aligned blocks of CACHE_BLOCK bytes, of which the last is
 * shorter. A read asks the shard for whole blocks, up to CACHE_RUN at once. So a read of 4 KiB
 * fetches 64 times as much. That costs little: an answer of a store of objects takes 10 to 50 ms
 * whatever its length, and 256 KiB take 3 ms more at 100 MB/s. The readers above need most of it
 * anyway: a large file is checked in blocks of 128 KiB, and a pack has what was moved together.
 * So a second miss in a file of the size of a pack fetches 2 blocks, a third one 4, and so on, up
 * to CACHE_RUN_AHEAD, and to an eighth of the limit: what was moved together is read together,
 * in some order. A file of CACHE_RUN blocks or fewer is fetched whole. A file that is larger than a
 * pack is read ahead by whoever reads it in order.
 * Where nothing can be kept (limit 0, or the disk fails), just the bytes that are wanted are asked
 * for.
 *
 * Each piece of CACHE_PIECE bytes has a checksum in memory, which is checked at each read. Damaged
 * blocks are dropped and counted, and the shard is asked again.
 *
 * Bounds. Blocks that were not used lately go first (CLOCK). A block counts for the 4 KiB pages
 * that it takes, and for CHARGE_MIN (64 KiB) at least, since it takes memory as well: some 250
 * bytes with its file. Requests in flight take CACHE_RUN_AHEAD blocks of memory for each reader.
 *
 * The cache begins empty: its file has no name, so a crash leaves nothing, and nobody else can
 * change it. To keep it over a restart the index would have to be written and checked, for what a
 * few reads bring back.
 *
 * Errors: those of the shard alone. A disk that cannot be written, or has less than a 32nd of its
 * room left (4 GiB at most), makes the cache keep nothing for CACHE_PAUSE; when room is short it
 * gives back all that it has.
 *
 * Threads: any, except for open and close. Two readers of one missing block make one request: the
 * second one waits for it, and gets its bytes or its error. The lock, "cache", is a leaf, and is
 * not held while a shard or the disk is asked.
 */
#pragma once

#include "clock.h"
#include "shard.h"

#define CACHE_BLOCK (256u << 10) /* bytes */
#define CACHE_PIECE (64u << 10)  /* bytes */
#define CACHE_RUN 4u             /* blocks of one request for bytes that are wanted, at most */
#define CACHE_RUN_AHEAD 16u      /* blocks of one request for a pack, at most */
#define CACHE_PAUSE (60 * NSEC_PER_SEC)

struct cache;

struct cache_config {
    struct disk *disk; /* borrowed; its directory "cache" is made when it is first needed */
    const struct clock *clock;
    uint64_t limit; /* bytes; 0: nothing is kept */
};

struct cache_stats {
    uint64_t hits;    /* reads of a block that was kept */
    uint64_t misses;  /* requests to shards */
    uint64_t damaged; /* kept blocks that could not be read, or were not what had been written */
    uint64_t failed;  /* blocks that could not be kept, because the disk failed or was full */
    uint64_t bytes;   /* that count now */
    uint64_t limit;
};

/* -ENOMEM. The disk is not touched before the first block is kept. */
int cache_open(const struct cache_config *config, struct cache **ret_cache);
/* All files are closed, and no call runs. NULL is fine. */
void cache_close(struct cache *c);
/* Changes the limit, and drops what is beyond it: 4,096 blocks at once, others while it is used. */
void cache_set_limit(struct cache *c, uint64_t limit);
/* Gives back what is kept, and keeps nothing for CACHE_PAUSE: somebody else needs the room of the
 * disk. True: there is more room now. */
bool cache_let_go(struct cache *c);
void cache_get_stats(struct cache *c, struct cache_stats *ret);

/* What the disk of one shard reads through (struct shard_lender). Each call gives another tag, so a
 * shard that is added anew shares nothing with the one before. It may be copied. */
struct shard_near cache_near(struct cache *c);
/* Forgets what is kept of a file, whose bytes turned out to be wrong although they are what the
 * shard had sent. The size stays known while the file is open. True: there was something. */
bool cache_forget(const struct shard_near *near, const char *name);
