// SPDX-License-Identifier: Apache-2.0
/*
 * compact_shards: empties packs on other shards of which little is alive. A pack there is never
 * changed. So its live records are moved within the shard, into new packs, by an ordinary move
 * (move.h), and a release deletes the pack with the last of its records.
 *
 *     for each record of the pack: does the entry of its id name this very place? then move it
 *
 * How much of a pack is dead is known from its row alone: the bytes of its file, less what the live
 * records may take. A shard that is unreachable, full, read-only, or being drained is
 * left out, and so is an archive.
 */
#include "compact_impl.h"
#include "move.h"
#include "shards.h"
#include <errno.h>
#include <stdlib.h>

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
        if (packs_get(c->p->packs, shard, choice->v[i].number, &e) != -ENOENT)
            continue;
        c->r->packs++;
        gone += choice->v[i].entry.file_bytes;
    }
    c->r->records += moved->objects;
    c->r->bytes += moved->stored;
    c->r->freed += gone > moved->stored ? gone - moved->stored : 0;
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
    c->chosen = true;
    c->shard = shard;
    err = leave_all(c, choice, &moved);
    c->shard = 0;
    c->disk = c->p->config.disk;
    c->within = NULL;
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
        if (s.draining || s.archive)
            continue;
        err = compact_gather(c->p, s.number, &choice);
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
