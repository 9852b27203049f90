// SPDX-License-Identifier: Apache-2.0
/*
 * world_shard: the other shards of the store that is cut. What is written there is counted with all
 * other writes, so a move is cut at each of its steps, wherever that is. In memory they are as stores
 * of objects behind a driver that loses some answers, always the same, and sends those puts and
 * deletes again.
 */
#include "blob.h"
#include "crash.h"
#include "packs.h"
#include "shard_mem.h"
#include "shards.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void world_shard_url(uint16_t shard, char out[SHARD_URL_MAX + 1])
{
    if (w.dir)
        snprintf(out, SHARD_URL_MAX + 1, "dir:%.600s/shard%u", w.dir, shard);
    else
        snprintf(out, SHARD_URL_MAX + 1, "mem:crash%u", shard);
}

static struct shard_mem *place[SHARDS + 1];
static const struct shard_mem_odds odds = {
    .seed = 3, .per_mille = {[SHARD_MEM_REPEATED] = 250, [SHARD_MEM_LATE_EXISTS] = 100}};

void world_shards_create(void)
{
    char name[16];

    shard_mem_register();
    for (unsigned i = 1; i <= SHARDS; i++) {
        snprintf(name, sizeof name, w.dir ? "shard%u" : "crash%u", i);
        if (w.dir)
            CHECK(mkdirat(w.dirfd, name, 0700) == 0 && fsync(w.dirfd) == 0);
        else
            CHECK(shard_mem_create(name, &w.fault, &place[i]) == 0);
        if (place[i])
            shard_mem_set_odds(place[i], &odds);
    }
}

void world_shards_destroy(void)
{
    for (unsigned i = 1; i <= SHARDS; i++) {
        shard_mem_destroy(place[i]);
        place[i] = NULL;
    }
}

uint64_t world_shards_sum(void)
{
    uint64_t sum = 0;

    for (unsigned i = 1; i <= SHARDS && !w.dir; i++)
        sum = sum * 1000003 + shard_mem_count(place[i]) * 31 + shard_mem_used(place[i]);
    return sum;
}

/* ---- what is there ---- */

static struct shard *look_at(uint16_t shard)
{
    char url[SHARD_URL_MAX + 1], why[SHARD_WHY];
    struct shard *s;

    world_shard_url(shard, url);
    CHECK(shard_open(url, SHARD_READONLY, &s, why) == 0);
    return s;
}

struct looking {
    uint16_t shard;
    uint64_t unnamed, all, fences;
};

static bool is_of(const struct entry *e, const char *name)
{
    char want[DISK_NAME_MAX + 1], sums[DISK_NAME_MAX + 8];

    if (e->kind == ENTRY_PACK) {
        pack_name(e->where, want);
        return !strcmp(name, want);
    }
    blob_object_name(&e->id, e->where, want);
    snprintf(sums, sizeof sums, "%s.sums", want);
    return !strcmp(name, want) || !strcmp(name, sums);
}

/* Does a ghost's entry lead to it? */
static bool is_named(uint16_t shard, const char *name)
{
    struct refs_ghosts_walk walk = {.refs = w.p->refs, .shard = shard};
    struct entry e;
    int err;

    while ((err = refs_next_ghost(&walk, &e)) == 0)
        if (is_of(&e, name))
            return true;
    CHECK(err == -ENOENT);
    return false;
}

static int on_name(const char *name, uint64_t size, void *ctx)
{
    struct looking *l = ctx;

    if (!strncmp(name, "claims/", 7)) {
        l->fences++;
        return 0;
    }
    l->all++;
    if (!w.p || is_named(l->shard, name))
        return 0;
    fprintf(stderr, "shard %u: nothing names %s, of %llu bytes\n", l->shard, name,
            (unsigned long long)size);
    l->unnamed++;
    return 0;
}

static struct looking look_for(uint16_t shard)
{
    static const char *const dirs[] = {"packs", "objects", "claims"};
    struct looking l = {.shard = shard};
    struct shard *s = look_at(shard);

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        CHECK(shard_list(s, dirs[i], on_name, &l) == 0);
    shard_close(s);
    CHECK(l.fences <= 1); /* of who was cut while taking the fence, until the next one */
    return l;
}

void world_shards_are_tight(void)
{
    for (uint16_t i = 1; i <= SHARDS; i++)
        CHECK(look_for(i).unnamed == 0);
}

void world_shards_are_empty(void)
{
    for (uint16_t i = 1; i <= SHARDS; i++)
        CHECK(look_for(i).all == 0);
}
