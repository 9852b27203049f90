// SPDX-License-Identifier: Apache-2.0
/*
 * compact_shards: empties packs on other shards of which little is alive. A pack there is never
 * changed. So its live records are moved within the shard, into new packs, by an ordinary move
 * (move.h), and a release deletes the pack with the last of its records.
 *
 *     for each record of the pack: does the entry of its id name this very place? then move it
 *
 * How much of a pack is dead is known from the table shard_packs alone: the bytes of its file, less
 * what the live records may take. A shard that is unreachable, full, read-only, or being drained is
 * left out.
 */
#include "compact_impl.h"
#include "move.h"
#include "shard_packs.h"
#include "shards.h"
#include <errno.h>
#include <stdlib.h>

/* ---- which ---- */

/* The next pack on that shard with live records, behind *pack. -ENOENT: there is none. */
static int next_pack(struct state *p, uint16_t shard, uint64_t *pack, struct pack_info *ret)
{
    uint16_t at = shard;
    struct pack_entry e;
    int err;

    while ((err = shard_packs_next(p->shard_packs, &at, pack, &e)) == 0 && at == shard) {
        *ret = (struct pack_info){
            .number = *pack, .entry = e, .dead = pack_entry_dead(&e), .bytes = e.file_bytes};
        if (e.live_records > 0)
            return 0;
    }
    return err < 0 ? err : -ENOENT;
}

/* Gathers the packs on one shard that have something alive. */
static int gather_packs(struct compaction *c, uint16_t shard, struct compact_choice *l)
{
    struct pack_info k;
    uint64_t pack = 0;
    int err;

    while ((err = next_pack(c->p, shard, &pack, &k)) == 0) {
        err = compact_consider(l, &k);
        if (err < 0)
            return err;
    }
    return err == -ENOENT ? 0 : err;
}

uint64_t compact_shards_dead(struct state *p, unsigned below, uint64_t enough)
{
    struct shards_info s = {.number = 0};
    uint64_t dead = 0;

    while (p->shards && dead < enough && shards_next(p->shards, s.number, &s) == 0) {
        struct pack_info k;
        uint64_t pack = 0;
        if (s.state != SHARDS_OK || s.draining)
            continue;
        while (dead < enough && next_pack(p, s.number, &pack, &k) == 0)
            dead += compact_is_below(&k, below) ? k.dead : 0;
    }
    return dead;
}

/* ---- one pack ---- */

/* Moves one record. The move reads it again, and verifies it by its id, too. */
static int move_within(struct compaction *c, uint64_t number, const struct entry *at,
                       const void *data)
{
    (void)data;
    return move_one(c->within, number, at);
}

/* Moves the records of one pack. A record that cannot be read stays where it is, and so does its
 * pack. */
static int leave(struct compaction *c, const struct pack_info *k)
{
    return compact_scan(c, k->number);
}

/* ---- one shard ---- */

/* Empties the chosen packs by one move within the shard. */
static int leave_all(struct compaction *c, const struct compact_choice *choice,
                     struct move_result *ret)
{
    int end, err = move_begin(c->p, NULL, c->shard, &c->within);

    if (err < 0)
        return err;
    c->move = move_within;
    err = compact_all(c, choice, leave);
    end = move_end(c->within, ret);
    return end < 0 ? end : err;
}

/* Counts what was gained: the packs that have no row any more. */
static void count_gone(struct compaction *c, uint16_t shard, const struct compact_choice *choice,
                       const struct move_result *moved)
{
    uint64_t gone = 0;
    struct pack_entry e;

    for (size_t i = 0; i < choice->count; i++) {
        if (shard_packs_get(c->p->shard_packs, shard, choice->v[i].number, &e) != -ENOENT)
            continue;
        c->r->packs++;
        gone += choice->v[i].entry.file_bytes;
    }
    c->r->records += moved->objects;
    c->r->bytes += moved->bytes;
    c->r->freed += gone > moved->bytes ? gone - moved->bytes : 0;
}

/* Compacts one shard. It deletes the emptied packs at once, so that they can be counted. */
static int compact_shard(struct compaction *c, uint16_t shard, const struct compact_choice *choice)
{
    struct move_result moved = {0};
    uint64_t left;
    int err = shards_get(c->p->shards, shard, SHARDS_WRITE, NULL, &c->disk);

    if (err < 0)
        return err;
    for (size_t i = 0; i < choice->count; i++)
        c->total += choice->v[i].entry.file_bytes;
    c->shard = shard;
    err = leave_all(c, choice, &moved);
    shards_put_back(c->p->shards, shard);
    (void)release_pass(c->p, shard, &left);
    count_gone(c, shard, choice, &moved);
    return err;
}

/* Does the error concern one shard alone? */
static bool is_of_shard(int err)
{
    return err == -EHOSTUNREACH || err == -EROFS || err == -EACCES || err == -ENOSPC ||
           err == -EDQUOT || err == -EBUSY || err == -ENXIO || err == -EIO || err == -EUCLEAN;
}

int compact_shards(struct compaction *c, unsigned below, bool thorough)
{
    struct shards_info s = {.number = 0};
    int err = 0;

    while (c->p->shards && err == 0 && shards_next(c->p->shards, s.number, &s) == 0) {
        struct compact_choice choice = {0};
        if (s.draining)
            continue;
        err = gather_packs(c, s.number, &choice);
        if (err == 0)
            compact_choose(&choice, below, thorough);
        if (err == 0 && choice.count)
            err = compact_shard(c, s.number, &choice);
        free(choice.v);
        if (is_of_shard(err) && !atomic_load(&c->p->readonly))
            err = 0;
    }
    return err;
}
