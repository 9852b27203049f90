// SPDX-License-Identifier: Apache-2.0
/*
 * cache_blocks: which blocks are kept, in which slots of the disk's file, and which of them go.
 *
 * A hand goes round over the slots (CLOCK). It passes a block that was used since it was last
 * there, and drops one that was not. The place of a dropped block is punched, so what is counted is
 * what the disk has. Where the disk cannot punch, the slot still counts, and is taken again.
 */
#include "cache_impl.h"

#include "array.h"
#include "id.h"

#include <string.h>

#define CHARGE_MIN (64u << 10)
#define PAGE 4096u
#define INDEX_BITS 24 /* of a key: 2^24 blocks are 4 TiB */

bool block_has_key(const struct cache_file *f)
{
    return f->size <= (uint64_t)CACHE_BLOCK << INDEX_BITS && f->serial >> (64 - INDEX_BITS) == 0;
}

uint64_t block_key(const struct cache_file *f, uint64_t index)
{
    return f->serial << INDEX_BITS | index;
}

uint64_t block_sum(const void *data, size_t len, uint64_t key, size_t piece)
{
    return id_checksum(data, len, key * PIECES + piece);
}

uint32_t block_find(struct cache *c, const struct cache_file *f, uint64_t index)
{
    uint64_t slot;

    mutex_held(&c->lock);
    return map64_get(&c->blocks, block_key(f, index), &slot) ? (uint32_t)slot : NO_SLOT;
}

/* ---- dropping ---- */

/* Gives back the place of a slot that is LEAVING and has no readers. Releases the lock
 * meanwhile. */
static void empty(struct cache *c, uint32_t slot)
{
    int err;

    mutex_unlock(&c->lock);
    err = disk_punch(c->store, (uint64_t)slot * CACHE_BLOCK, CACHE_BLOCK);
    mutex_lock(&c->lock);
    struct cache_block *b = &c->slot[slot];

    if (err == 0) {
        c->bytes -= b->charge;
        b->charge = 0;
    }
    b->state = BLOCK_FREE;
    b->next = c->free;
    c->free = slot;
}

void block_drop(struct cache *c, uint32_t slot)
{
    struct cache_block *b = &c->slot[slot];
    struct cache_file *f = b->file;

    mutex_held(&c->lock);
    (void)map64_del(&c->blocks, b->key);
    b->file = NULL;
    b->state = BLOCK_LEAVING;
    f->blocks--;
    file_release(c, f);
    if (b->users == 0)
        empty(c, slot);
}

void block_put_back(struct cache *c, uint32_t slot)
{
    struct cache_block *b = &c->slot[slot];

    mutex_held(&c->lock);
    if (--b->users == 0 && b->state == BLOCK_LEAVING)
        empty(c, slot);
}

/* Drops the block that the hand finds. False: there is none that can go. */
static bool drop_one(struct cache *c)
{
    for (uint64_t steps = 0; steps < 2 * (uint64_t)c->count; steps++) {
        uint32_t slot = c->hand < c->count ? c->hand : 0;
        struct cache_block *b = &c->slot[slot];

        c->hand = slot + 1;
        if (b->state != BLOCK_KEPT || b->users)
            continue;
        if (!b->used) {
            block_drop(c, slot);
            return true;
        }
        b->used = false;
    }
    return false;
}

void block_shrink(struct cache *c, uint64_t bytes, size_t most)
{
    for (size_t n = 0; n < most && c->bytes > bytes; n++)
        if (!drop_one(c))
            return;
}

/* ---- keeping ---- */

static uint32_t charge_of(uint32_t len)
{
    uint32_t pages = (len + PAGE - 1) / PAGE * PAGE;

    return pages < CHARGE_MIN ? CHARGE_MIN : pages;
}

/* Makes sure that there is a free slot. */
static bool have_free(struct cache *c)
{
    if (c->free != NO_SLOT)
        return true;
    if (c->count == NO_SLOT || ARRAY_RESERVE(c->slot, c->room, (size_t)c->count + 1) < 0)
        return false;
    c->slot[c->count] = (struct cache_block){.next = NO_SLOT};
    c->free = c->count++;
    return true;
}

/* How many more bytes count if a free slot is taken for that many. */
static uint32_t growth(const struct cache_block *b, uint32_t charge)
{
    return b->charge < charge ? charge - b->charge : 0;
}

uint32_t block_reserve(struct cache *c, uint32_t len)
{
    uint32_t charge = charge_of(len), slot;
    struct cache_block *b;

    mutex_held(&c->lock);
    while (have_free(c) && c->bytes + growth(&c->slot[c->free], charge) > c->limit)
        if (!drop_one(c))
            return NO_SLOT;
    if (c->free == NO_SLOT)
        return NO_SLOT;
    slot = c->free;
    b = &c->slot[slot];
    c->free = b->next;
    c->bytes += growth(b, charge);
    b->charge += growth(b, charge);
    b->state = BLOCK_FILLING;
    return slot;
}

void block_give_up(struct cache *c, uint32_t slot)
{
    mutex_held(&c->lock);
    c->slot[slot].state = BLOCK_LEAVING;
    empty(c, slot);
}

void block_keep(struct cache *c, uint32_t slot, struct cache_file *f, uint64_t index,
                const uint64_t sum[PIECES], uint32_t len)
{
    struct cache_block *b = &c->slot[slot];
    uint64_t key = block_key(f, index);

    mutex_held(&c->lock);
    if (block_find(c, f, index) != NO_SLOT || map64_put(&c->blocks, key, slot) < 0) {
        block_give_up(c, slot);
        return;
    }
    b->file = f;
    b->key = key;
    b->len = len;
    b->used = true;
    b->state = BLOCK_KEPT;
    memcpy(b->sum, sum, sizeof b->sum);
    f->blocks++;
}
