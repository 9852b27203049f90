// SPDX-License-Identifier: Apache-2.0
/*
 * tried: the set of cuts that there were, each a hash: of the workload (of its seed, too, where
 * that decides what it does), whether the shard was a real directory, the write, and what was lost.
 * A pattern that loses the same as another one is the same. The two lowest bits say what it is.
 */
#include "tried.h"
#include "crash.h"
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define REAL 1u
#define RECOVERY 2u

static struct {
    uint64_t *slot; /* 0: empty */
    size_t slots, count;
    uint64_t of[4]; /* by the two bits */
    FILE *news;
} tried;

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static bool insert(uint64_t hash)
{
    size_t i = (hash >> 2) & (tried.slots - 1);

    while (tried.slot[i] && tried.slot[i] != hash)
        i = (i + 1) & (tried.slots - 1);
    if (tried.slot[i])
        return false;
    tried.slot[i] = hash;
    tried.count++;
    return true;
}

static void grow(void)
{
    uint64_t *old = tried.slot;
    size_t n = tried.slots;

    tried.slots = n ? n * 2 : 1 << 16;
    tried.slot = must(calloc(tried.slots, sizeof *tried.slot));
    tried.count = 0;
    for (size_t i = 0; i < n; i++)
        if (old[i])
            (void)insert(old[i]);
    free(old);
}

static bool add(uint64_t hash)
{
    if (tried.count * 2 >= tried.slots)
        grow();
    if (!insert(hash))
        return false;
    tried.of[hash & 3]++;
    if (tried.news && fwrite(&hash, sizeof hash, 1, tried.news) != 1)
        abort();
    return true;
}

void tried_read(FILE *f)
{
    uint64_t hash;

    while (fread(&hash, sizeof hash, 1, f) == 1)
        (void)add(hash);
}

void tried_tell(FILE *news)
{
    tried.news = news;
}

void tried_release(void)
{
    free(tried.slot);
    memset(&tried, 0, sizeof tried);
}

static uint64_t hash_of(const uint64_t *what, size_t n, unsigned kind)
{
    const char *name = now_at.workload->name;
    uint64_t first = XXH3_64bits_withSeed(name, strlen(name), w.dir ? 2 : 1);
    uint64_t hash = XXH3_64bits_withSeed(what, n * sizeof *what, first);

    hash = (hash & ~UINT64_C(3)) | kind | (w.dir ? REAL : 0);
    return hash > 3 ? hash : 4;
}

static uint64_t seed_that_counts(void)
{
    return now_at.workload->random ? now_at.seed : 0;
}

bool tried_cut(uint64_t lost)
{
    const uint64_t what[] = {seed_that_counts(), now_at.k, lost};

    return add(hash_of(what, 3, 0));
}

bool tried_recovery(uint64_t lost_before, uint64_t n, uint64_t lost)
{
    const uint64_t what[] = {seed_that_counts(), now_at.k, lost_before, n, lost};

    return add(hash_of(what, 5, RECOVERY));
}

struct tried_counts tried_counts(void)
{
    return (struct tried_counts){
        .cuts = tried.of[0] + tried.of[REAL],
        .real = tried.of[REAL],
        .recoveries = tried.of[RECOVERY] + tried.of[RECOVERY | REAL],
    };
}
