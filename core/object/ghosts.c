// SPDX-License-Identifier: Apache-2.0
/*
 * ghosts: see the header. A hash table with open addressing, linear, at most two thirds full; what
 * follows a stub that goes moves up (no marks of the dead are left).
 */
#include "ghosts.h"
#include "bytes.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 16

struct slot {
    struct ghost stub;
    bool used;
};

struct ghosts {
    struct slot *slots;
    size_t room; /* a power of two */
    size_t count;
    uint64_t purged;
    int64_t last_sweep;
};

/* ---- the table ---- */

int ghosts_create(struct ghosts **ret_ghosts)
{
    struct ghosts *g = calloc(1, sizeof *g);

    if (!g)
        return -ENOMEM;
    g->room = ROOM_MIN;
    g->slots = calloc(g->room, sizeof *g->slots);
    if (!g->slots) {
        free(g);
        return -ENOMEM;
    }
    *ret_ghosts = g;
    return 0;
}

void ghosts_destroy(struct ghosts *g)
{
    if (g)
        free(g->slots);
    free(g);
}

/* Ids are hashes, but somebody may choose them. */
static size_t home_of(const struct id *id, size_t room)
{
    uint64_t h = (get_be64(id->b) ^ get_be64(id->b + 8)) * UINT64_C(0x9E3779B97F4A7C15);

    return (size_t)(h >> 32) & (room - 1);
}

/* Where it is, or the free place where it would be. */
static size_t place_of(const struct slot *slots, size_t room, const struct id *id)
{
    size_t at = home_of(id, room);

    while (slots[at].used && !id_equal(&slots[at].stub.id, id))
        at = (at + 1) & (room - 1);
    return at;
}

static struct ghost *find(const struct ghosts *g, const struct id *id)
{
    struct slot *s = &g->slots[place_of(g->slots, g->room, id)];

    return s->used ? &s->stub : NULL;
}

static int grow(struct ghosts *g)
{
    size_t room = g->room * 2;
    struct slot *slots = room > g->room ? calloc(room, sizeof *slots) : NULL;

    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < g->room; i++)
        if (g->slots[i].used)
            slots[place_of(slots, room, &g->slots[i].stub.id)] = g->slots[i];
    free(g->slots);
    g->slots = slots;
    g->room = room;
    return 0;
}

int ghosts_insert(struct ghosts *g, const struct ghost *stub)
{
    struct ghost *there = find(g, &stub->id);
    int err = !there && (g->count + 1) * 3 > g->room * 2 ? grow(g) : 0;

    if (err < 0)
        return err;
    if (there) {
        *there = *stub;
        return 0;
    }
    g->slots[place_of(g->slots, g->room, &stub->id)] = (struct slot){*stub, true};
    g->count++;
    return 0;
}

/* May what is at `at`, and begins to be looked for at `home`, move to the free place? */
static bool may_move(size_t home, size_t free_at, size_t at)
{
    return free_at <= at ? home <= free_at || home > at : home <= free_at && home > at;
}

static void purge(struct ghosts *g, const struct id *id)
{
    size_t hole = place_of(g->slots, g->room, id), at = hole;

    g->slots[hole].used = false;
    g->count--;
    g->purged++;
    for (;;) {
        at = (at + 1) & (g->room - 1);
        if (!g->slots[at].used)
            return;
        if (!may_move(home_of(&g->slots[at].stub.id, g->room), hole, at))
            continue;
        g->slots[hole] = g->slots[at];
        g->slots[at].used = false;
        hole = at;
    }
}

void ghosts_incr(struct ghosts *g, const struct id *id)
{
    struct ghost *stub = find(g, id);

    if (stub && stub->count < UINT32_MAX)
        stub->count++;
}

bool ghosts_decr(struct ghosts *g, const struct id *id)
{
    struct ghost *stub = find(g, id);

    if (!stub || stub->count == UINT32_MAX)
        return false;
    if (stub->count > 0)
        stub->count--;
    if (stub->count > 0)
        return false;
    purge(g, id);
    return true;
}

int ghosts_resolve(const struct ghosts *g, const struct id *id)
{
    const struct ghost *stub = find(g, id);

    return stub ? stub->shard : -1;
}

const struct ghost *ghosts_get(const struct ghosts *g, const struct id *id)
{
    return find(g, id);
}

size_t ghosts_length(const struct ghosts *g)
{
    return g->count;
}

uint64_t ghosts_purged(const struct ghosts *g)
{
    return g->purged;
}

int64_t ghosts_last_sweep(const struct ghosts *g)
{
    return g->last_sweep;
}

/* ---- all of them ---- */

static int by_shard_and_id(const void *a, const void *b)
{
    const struct ghost *x = a, *y = b;

    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    return id_compare(&x->id, &y->id);
}

/* A copy, so that the table may change while it is worked off. Free it. */
static int sorted(const struct ghosts *g, struct ghost **ret_v)
{
    struct ghost *v = calloc(g->count + 1, sizeof *v);
    size_t n = 0;

    if (!v)
        return -ENOMEM;
    for (size_t i = 0; i < g->room; i++)
        if (g->slots[i].used)
            v[n++] = g->slots[i].stub;
    qsort(v, n, sizeof *v, by_shard_and_id);
    *ret_v = v;
    return 0;
}

int ghosts_list(const struct ghosts *g, ghosts_fn *fn, void *ctx)
{
    size_t n = g->count;
    struct ghost *v;
    int r = sorted(g, &v);

    if (r < 0)
        return r;
    for (size_t i = 0; i < n && r == 0; i++)
        r = fn(&v[i], ctx);
    free(v);
    return r;
}

static int sweep_one(struct ghosts *g, const struct ghost *stub, ghosts_verify_fn *verify,
                     void *ctx, struct ghost_report *ret)
{
    int verdict = stub->count == 0 ? GHOST_PURGE : verify(stub, ctx);

    if (verdict < 0)
        return verdict;
    ret->checked++;
    if (verdict == GHOST_PURGE) {
        purge(g, &stub->id);
        ret->purged++;
    } else if (verdict == GHOST_INCONCLUSIVE) {
        ret->inconclusive++;
    } else {
        ret->kept++;
        ret->lost += verdict == GHOST_LOST;
    }
    return 0;
}

int ghosts_sweep(struct ghosts *g, ghosts_verify_fn *verify, void *ctx, int64_t now_ms,
                 struct ghost_report *ret)
{
    size_t n = g->count;
    struct ghost *v;
    int err = sorted(g, &v);

    *ret = (struct ghost_report){0};
    if (err < 0)
        return err;
    for (size_t i = 0; i < n && err == 0; i++)
        err = sweep_one(g, &v[i], verify, ctx, ret);
    if (err == 0)
        g->last_sweep = now_ms;
    free(v);
    return err;
}
