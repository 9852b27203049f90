// SPDX-License-Identifier: Apache-2.0
/*
 * cache: opening and closing, and the reading of files. A read goes on from block to block:
 *
 *   the block is kept              read it from the disk, and check it
 *   a request for it is on its way wait, and copy from its memory
 *   else                           ask for it, and for what follows that is wanted and missing
 *
 * Who asked keeps the blocks after it has told those who wait. Until it has, its request stays in
 * the list, so nobody asks again. Waiters copy from the memory of the request, so they need no
 * disk.
 */
#include "cache_impl.h"

#include "report.h"
#include "waits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- requests ---- */

/* The request that has the block, or NULL. */
static struct fetch *find_fetch(struct cache *c, const struct cache_file *f, uint64_t index)
{
    struct fetch *r;

    mutex_held(&c->lock);
    LIST_FOREACH(r, &c->fetches, link)
        if (r->file == f && index >= r->first && index - r->first < r->count)
            return r;
    return NULL;
}

/* Frees a request after its last user. */
static void put_back_fetch(struct cache *c, struct fetch *r)
{
    mutex_held(&c->lock);
    if (--r->users)
        return;
    LIST_REMOVE(r, link);
    free(r->buf);
    free(r);
}

/* Copies what a request has of the bytes at `off`. */
static ssize_t copy_from(const struct fetch *r, void *buf, size_t len, uint64_t off)
{
    uint64_t at = off - r->first * CACHE_BLOCK;
    size_t n;

    if (r->result < 0)
        return r->result;
    if (at >= (uint64_t)r->result)
        return 0;
    n = (uint64_t)r->result - at < len ? (size_t)((uint64_t)r->result - at) : len;
    memcpy(buf, r->buf + at, n);
    return (ssize_t)n;
}

/* Waits for a request of another reader. */
static ssize_t await(struct cache *c, struct fetch *r, void *buf, size_t len, uint64_t off)
{
    ssize_t n;

    mutex_held(&c->lock);
    r->users++;
    WAITS_GUARD(WAITS_SHARD, "of what is read", 0, NULL);
    while (!r->done)
        cond_wait(&c->changed, &c->lock);
    mutex_unlock(&c->lock);
    n = copy_from(r, buf, len, off);
    mutex_lock(&c->lock);
    put_back_fetch(c, r);
    return n;
}

/* ---- keeping what was fetched ---- */

/* The disk cannot keep anything now. It is reported once, until something is kept again. */
static void pause(struct cache *c, int err)
{
    mutex_held(&c->lock);
    c->stats.failed++;
    c->paused_until = clock_ticks(c->clock) + CACHE_PAUSE;
    if (!c->told)
        report(REPORT_NOTE, "what is read from shards is not kept nearby for now: %s",
               strerror(-err));
    c->told = true;
}

/* Does the disk have so little room that others need all of it? */
static bool is_short(struct cache *c)
{
    const uint64_t most = UINT64_C(4) << 30;
    struct disk_space s;
    uint64_t part;

    if (disk_space(c->disk, &s) < 0 || s.blocks == 0)
        return false;
    part = s.blocks / 32 * s.block_size;
    return s.blocks_avail * s.block_size < (part < most ? part : most);
}

/* Looks at the room of the disk, once a second. If it is short all that is kept goes. Releases the
 * lock meanwhile. */
static int check_room(struct cache *c)
{
    int64_t now = clock_ticks(c->clock);
    bool none;

    mutex_held(&c->lock);
    if (c->looked && now - c->looked < NSEC_PER_SEC)
        return 0;
    c->looked = now;
    mutex_unlock(&c->lock);
    none = is_short(c);
    mutex_lock(&c->lock);
    if (!none)
        return 0;
    block_shrink(c, 0, SIZE_MAX);
    return -ENOSPC;
}

/* Makes the file, which loses its name at once. What a crash left in between is removed. */
static int make_store(struct disk *disk, struct disk_file **ret_file)
{
    static const char name[] = "cache/blocks";
    int err = disk_mkdir(disk, "cache");

    if (err < 0)
        return err;
    err = disk_unlink(disk, name);
    if (err < 0 && err != -ENOENT)
        return err;
    err = disk_open(disk, name, DISK_WRITE | DISK_CREATE | DISK_HELD, ret_file);
    if (err < 0)
        return err;
    err = disk_unlink(disk, name);
    if (err == -ENOENT) /* another cache in this directory removed it */
        err = 0;
    if (err < 0)
        disk_file_close(*ret_file);
    return err;
}

/* Is there a file to keep blocks in? Makes it if needed, and releases the lock meanwhile. -EAGAIN:
 * another thread makes it. */
static int have_store(struct cache *c)
{
    struct disk_file *file = NULL;
    int err;

    mutex_held(&c->lock);
    if (c->store)
        return 0;
    if (c->making)
        return -EAGAIN;
    c->making = true;
    mutex_unlock(&c->lock);
    err = make_store(c->disk, &file);
    mutex_lock(&c->lock);
    c->making = false;
    if (err == 0)
        c->store = file;
    return err;
}

/* Writes a block to a slot, and keeps it. */
static int keep_block(struct cache *c, struct cache_file *f, uint64_t index, const uint8_t *data,
                      uint32_t len)
{
    uint64_t sum[PIECES] = {0}, key = block_key(f, index);
    uint32_t slot = block_reserve(c, len);
    int err;

    if (slot == NO_SLOT) /* all are in use, or the limit is smaller than a block */
        return 0;
    mutex_unlock(&c->lock);
    for (uint32_t at = 0; at < len; at += CACHE_PIECE)
        sum[at / CACHE_PIECE] = block_sum(
            data + at, len - at < CACHE_PIECE ? len - at : CACHE_PIECE, key, at / CACHE_PIECE);
    err = disk_pwrite(c->store, data, len, (uint64_t)slot * CACHE_BLOCK);
    mutex_lock(&c->lock);
    if (err < 0)
        block_give_up(c, slot);
    else
        block_keep(c, slot, f, index, sum, len);
    return err;
}

/* Keeps the blocks of a request. Those that are shorter than the file says are not kept. */
static void keep(struct cache *c, struct cache_file *f, const struct fetch *r)
{
    int err = check_room(c);

    if (err == 0)
        err = have_store(c);
    for (size_t i = 0; err == 0 && i < r->count; i++) {
        uint64_t at = (r->first + i) * CACHE_BLOCK;
        uint32_t len = f->size - at < CACHE_BLOCK ? (uint32_t)(f->size - at) : CACHE_BLOCK;

        if (i * CACHE_BLOCK + len > (uint64_t)r->result)
            return;
        err = keep_block(c, f, r->first + i, r->buf + i * CACHE_BLOCK, len);
    }
    if (err == 0)
        c->told = false;
    else if (err != -EAGAIN)
        pause(c, err);
}

/* ---- fetching ---- */

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many blocks a request for a file of the size of a pack takes: twice as many as the last one
 * for that file, and all that a small one has; an eighth of what is kept at most. */
static uint64_t grown_run(const struct cache *c, struct cache_file *f)
{
    uint64_t most = min_of(CACHE_RUN_AHEAD, c->limit / CACHE_BLOCK / 8);
    uint64_t first = f->size <= (uint64_t)CACHE_RUN * CACHE_BLOCK ? CACHE_RUN : 1;

    f->run = (uint32_t)min_of(f->run ? 2 * (uint64_t)f->run : first, most ? most : 1);
    return f->run;
}

static bool is_free(struct cache *c, const struct cache_file *f, uint64_t index)
{
    return block_find(c, f, index) == NO_SLOT && !find_fetch(c, f, index);
}

/* Sets which blocks a request takes: `index` and those that are wanted behind it, up to `end`; of a
 * file of the size of a pack the aligned group around these. None is here, or fetched by another
 * request. */
static void choose_run(struct cache *c, struct cache_file *f, uint64_t index, uint64_t end,
                       struct fetch *r)
{
    uint64_t run = f->size <= SHARD_PACK_MAX ? grown_run(c, f) : 1, from = index / run * run;
    uint64_t wanted = min_of(index + CACHE_RUN, (end - 1) / CACHE_BLOCK + 1);
    uint64_t to = min_of(from + run, (f->size - 1) / CACHE_BLOCK + 1);

    if (to < wanted)
        to = wanted;
    for (r->first = index; r->first > from && is_free(c, f, r->first - 1);)
        r->first--;
    for (index++; index < to && is_free(c, f, index);)
        index++;
    r->count = index - r->first;
}

/* A new request in the list. NULL: no memory. */
static struct fetch *begin_fetch(struct cache *c, struct cache_file *f, uint64_t index,
                                 uint64_t end)
{
    struct fetch *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    choose_run(c, f, index, end, r);
    r->buf = malloc(r->count * CACHE_BLOCK);
    if (!r->buf) {
        free(r);
        return NULL;
    }
    r->file = f;
    r->users = 1;
    LIST_INSERT_HEAD(&c->fetches, r, link);
    return r;
}

/* Asks the shard for blocks, and keeps them. */
static ssize_t fetch(struct cache *c, struct cache_file *f, const struct shard_fetch *from,
                     struct fetch *r, void *buf, size_t len, uint64_t off)
{
    uint64_t start = r->first * CACHE_BLOCK, left = f->size - start;
    size_t want = left < r->count * CACHE_BLOCK ? (size_t)left : r->count * CACHE_BLOCK;
    ssize_t n;

    mutex_held(&c->lock);
    c->stats.misses++;
    mutex_unlock(&c->lock);
    n = from->range(from->ctx, r->buf, want, start);
    mutex_lock(&c->lock);
    r->result = n;
    r->done = true;
    cond_broadcast(&c->changed);
    if (n > 0)
        keep(c, f, r);
    n = copy_from(r, buf, len, off);
    put_back_fetch(c, r);
    return n;
}

/* Asks the shard for just these bytes, as nothing can be kept. Releases the lock meanwhile. */
static ssize_t pass(struct cache *c, const struct shard_fetch *from, void *buf, size_t len,
                    uint64_t off)
{
    ssize_t n;

    mutex_held(&c->lock);
    c->stats.misses++;
    mutex_unlock(&c->lock);
    n = from->range(from->ctx, buf, len, off);
    mutex_lock(&c->lock);
    return n;
}

/* ---- reading what is kept ---- */

/* Reads whole pieces of a block and checks them. -EIO: they are not what was written. */
static int read_pieces(struct cache *c, const struct cache_block *b, uint32_t slot, uint8_t *buf,
                       uint32_t from, uint32_t to)
{
    ssize_t n = disk_pread(c->store, buf, to - from, (uint64_t)slot * CACHE_BLOCK + from);

    if (n < 0)
        return (int)n;
    if ((uint32_t)n != to - from)
        return -EIO;
    for (uint32_t at = from; at < to; at += CACHE_PIECE) {
        uint32_t len = to - at < CACHE_PIECE ? to - at : CACHE_PIECE;

        if (block_sum(buf + (at - from), len, b->key, at / CACHE_PIECE) !=
            b->sum[at / CACHE_PIECE])
            return -EIO;
    }
    return 0;
}

/* Reads bytes of a block, of which `b` is a copy. */
static int read_block(struct cache *c, const struct cache_block *b, uint32_t slot, void *buf,
                      uint32_t len, uint32_t at)
{
    uint32_t from = at / CACHE_PIECE * CACHE_PIECE, end = at + len;
    uint32_t to = (end + CACHE_PIECE - 1) / CACHE_PIECE * CACHE_PIECE;
    uint8_t *pieces;
    int err;

    to = to < b->len ? to : b->len;
    if (from == at && to == end)
        return read_pieces(c, b, slot, buf, from, to);
    pieces = malloc(to - from);
    if (!pieces)
        return -ENOMEM;
    err = read_pieces(c, b, slot, pieces, from, to);
    if (err == 0)
        memcpy(buf, pieces + (at - from), len);
    free(pieces);
    return err;
}

/* Reads from a kept block, as far as it goes. 0: it was damaged, and is kept no more. Releases the
 * lock meanwhile. */
static ssize_t read_kept(struct cache *c, uint32_t slot, void *buf, size_t len, uint64_t off)
{
    struct cache_block b;
    uint32_t at = (uint32_t)(off % CACHE_BLOCK), n;
    int err;

    mutex_held(&c->lock);
    c->slot[slot].used = true;
    c->slot[slot].users++;
    b = c->slot[slot];
    n = b.len - at < len ? b.len - at : (uint32_t)len;
    mutex_unlock(&c->lock);
    err = read_block(c, &b, slot, buf, n, at);
    mutex_lock(&c->lock);
    if (err == 0)
        c->stats.hits++;
    else
        c->stats.damaged++;
    if (err < 0 && c->slot[slot].state == BLOCK_KEPT)
        block_drop(c, slot);
    block_put_back(c, slot);
    return err < 0 ? 0 : (ssize_t)n;
}

/* ---- the files of a shard ---- */

/* Can blocks of the file be kept now? */
static bool keeps(struct cache *c, const struct cache_file *f)
{
    return c->limit > 0 && block_has_key(f) && clock_ticks(c->clock) >= c->paused_until;
}

/* Reads some of the bytes, which are all within the file. 0: the shard has fewer. */
static ssize_t read_some(struct cache *c, struct cache_file *f, const struct shard_fetch *from,
                         void *buf, size_t len, uint64_t off)
{
    uint64_t index = off / CACHE_BLOCK;
    uint32_t slot = block_has_key(f) ? block_find(c, f, index) : NO_SLOT;
    struct fetch *r;
    ssize_t n;

    if (slot != NO_SLOT) {
        n = read_kept(c, slot, buf, len, off);
        if (n)
            return n;
    }
    r = find_fetch(c, f, index);
    if (r)
        return await(c, r, buf, len, off);
    r = keeps(c, f) ? begin_fetch(c, f, index, off + len) : NULL;
    return r ? fetch(c, f, from, r, buf, len, off) : pass(c, from, buf, len, off);
}

static ssize_t near_read(struct cache *c, struct cache_file *f, const struct shard_fetch *from,
                         void *buf, size_t len, uint64_t off)
{
    size_t done = 0;
    ssize_t n = 0;
    MUTEX_GUARD(&c->lock);

    if (off >= f->size)
        return 0;
    if (len > f->size - off)
        len = (size_t)(f->size - off);
    block_shrink(c, c->limit, 64); /* what a lower limit left */
    while (done < len) {
        n = read_some(c, f, from, (uint8_t *)buf + done, len - done, off + done);
        if (n <= 0)
            return n < 0 ? n : (ssize_t)done;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* The file if it is known; then it is open once more. Needs the lock. */
static struct cache_file *open_known(struct cache *c, uint32_t tag, const char *name)
{
    struct cache_file *f = file_find(c, tag, name);

    if (f)
        f->opens++;
    return f;
}

static int near_open(const struct shard_near *near, const char *name,
                     const struct shard_fetch *from, uint64_t size,
                     struct cache_file **ret_file)
{
    struct cache *c = near->cache;
    struct cache_file *f;
    int err;

    {
        MUTEX_GUARD(&c->lock);
        f = open_known(c, near->tag, name);
    }
    if (!f) {
        err = size == UINT64_MAX ? from->stat(from->ctx, &size) : 0;
        if (err < 0)
            return err;
        MUTEX_GUARD(&c->lock);
        f = open_known(c, near->tag, name); /* another thread may have asked, too */
        if (!f)
            f = file_add(c, near->tag, name, size);
    }
    *ret_file = f;
    return f ? 0 : -ENOMEM;
}

static uint64_t near_size(const struct cache_file *f)
{
    return f->size;
}

static void near_close(struct cache *c, struct cache_file *f)
{
    MUTEX_GUARD(&c->lock);

    f->opens--;
    file_release(c, f);
}

static const struct shard_near_ops near_ops = {
    .open = near_open,
    .size = near_size,
    .read = near_read,
    .close = near_close,
};

struct shard_near cache_near(struct cache *c)
{
    MUTEX_GUARD(&c->lock);

    return (struct shard_near){&near_ops, c, ++c->tags};
}

bool cache_forget(const struct shard_near *near, const char *name)
{
    struct cache *c = near->cache;
    bool any = false;
    MUTEX_GUARD(&c->lock);
    struct cache_file *f = file_find(c, near->tag, name);

    if (!f || f->blocks == 0)
        return false;
    f->opens++; /* it stays until all blocks were looked for */
    for (uint64_t i = 0; i * CACHE_BLOCK < f->size; i++) {
        uint32_t slot = block_find(c, f, i);

        if (slot != NO_SLOT) {
            block_drop(c, slot);
            any = true;
        }
    }
    f->opens--;
    file_release(c, f);
    return any;
}

/* ---- opening and closing ---- */

int cache_open(const struct cache_config *config, struct cache **ret_cache)
{
    struct cache *c = calloc(1, sizeof *c);

    if (!c)
        return -ENOMEM;
    c->disk = config->disk;
    c->clock = config->clock;
    c->limit = config->limit;
    c->free = NO_SLOT;
    c->paused_until = INT64_MIN;
    LIST_INIT(&c->fetches);
    mutex_init(&c->lock, "cache");
    cond_init(&c->changed);
    *ret_cache = c;
    return 0;
}

void cache_close(struct cache *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->count; i++) {
        struct cache_file *f = c->slot[i].file;

        if (f && --f->blocks == 0) {
            MUTEX_GUARD(&c->lock);
            file_release(c, f);
        }
    }
    disk_file_close(c->store);
    free(c->slot);
    map64_release(&c->blocks);
    map64_release(&c->files);
    cond_destroy(&c->changed);
    mutex_destroy(&c->lock);
    free(c);
}

void cache_set_limit(struct cache *c, uint64_t limit)
{
    MUTEX_GUARD(&c->lock);

    c->limit = limit;
    block_shrink(c, limit, 4096);
}

bool cache_let_go(struct cache *c)
{
    MUTEX_GUARD(&c->lock);
    uint64_t before = c->bytes;

    c->paused_until = clock_ticks(c->clock) + CACHE_PAUSE;
    block_shrink(c, 0, SIZE_MAX);
    return c->bytes < before;
}

void cache_get_stats(struct cache *c, struct cache_stats *ret)
{
    MUTEX_GUARD(&c->lock);

    *ret = c->stats;
    ret->bytes = c->bytes;
    ret->limit = c->limit;
}
