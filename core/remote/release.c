// SPDX-License-Identifier: Apache-2.0
/*
 * release: the bytes of dead ghosts go. A record of the dying leads to each; it stays until they
 * are gone, however long the shard is unreachable, and across restarts.
 *
 *     FILE    deleted, then its record is reclaimed
 *     PACK    counted out of its pack and reclaimed, under one hold of the freeze lock; with the
 *             last of its live records the pack is deleted, then its row
 *
 * Cut anywhere, the last commit has the record, or the row without live records, that leads to what
 * is there still; what is gone already is fine. Only a shard that this store may write to is
 * deleted from, and each step is one deletion: nobody waits for more than that.
 */
#include "move.h"
#include "remote_impl.h"
#include "report.h"
#include "shard_packs.h"
#include "shards.h"
#include <errno.h>
#include <string.h>

struct release {
    struct state *p;
    uint16_t shard;
    uint64_t failed; /* of this shard; they stay */
    int error;       /* of the first */
};

/* Nothing more can be done there now. */
static bool is_of_shard(int err)
{
    return err == -EHOSTUNREACH || err == -EROFS || err == -EACCES || err == -ENXIO ||
           err == -ESHUTDOWN || err == -ENOMEM;
}

static int delete(struct release *r, const struct entry *e)
{
    int err = objects_delete_remote(r->p->objects, e);

    return err == -ENOENT ? 0 : err;
}

/* ---- packs ---- */

static int delete_pack(struct release *r, uint64_t pack)
{
    const struct entry e = {.kind = ENTRY_PACK, .shard = r->shard, .where = pack};
    int err = delete(r, &e);
    READ_GUARD(&r->p->freeze_lock);

    if (err == 0)
        err = shard_packs_forget(r->p->shard_packs, r->shard, pack);
    return err == -ENOENT || err == -EBUSY ? 0 : err;
}

/* A row that is not there: the pack is gone, or an orphan. The record goes first: counted out twice
 * it would take the pack from those that are alive; not at all, it is a leak. */
static int count_out(struct release *r, const struct refs_dead *d, bool *ret_last)
{
    struct pack_entry left = {0};
    READ_GUARD(&r->p->freeze_lock);
    int err = shard_packs_get(r->p->shard_packs, r->shard, d->entry.where, &left);
    bool known = err == 0;

    *ret_last = false;
    if (err == 0 || err == -ENOENT)
        err = refs_reclaimed(r->p->refs, d, 1);
    if (err == 0 && known) {
        err = shard_packs_count_out(r->p->shard_packs, r->shard, d->entry.where, 1, d->entry.size,
                                    &left);
        *ret_last = err == 0 && left.live_records == 0;
    }
    return err;
}

static int release_record(struct release *r, const struct refs_dead *d)
{
    bool last;
    int err = count_out(r, d, &last);

    return err == 0 && last ? delete_pack(r, d->entry.where) : err;
}

/* What an earlier pass, or an incarnation that was cut off, left behind. */
static int release_empty_packs(struct release *r)
{
    uint16_t shard = r->shard;
    uint64_t pack = 0;
    struct pack_entry row;
    int err = 0;

    while (err == 0 && shard_packs_next(r->p->shard_packs, &shard, &pack, &row) == 0 &&
           shard == r->shard)
        if (row.live_records == 0)
            err = delete_pack(r, pack);
    return err;
}

/* ---- files ---- */

static int release_file(struct release *r, const struct refs_dead *d)
{
    int err = delete(r, &d->entry);

    if (err < 0)
        return err;
    READ_GUARD(&r->p->freeze_lock);
    return refs_reclaimed(r->p->refs, d, 1);
}

/* ---- one shard ---- */

static int release_one(struct release *r, const struct refs_dead *d)
{
    int err = atomic_load(&r->p->readonly) ? -EROFS : 0;

    if (err == 0)
        err = d->entry.kind == ENTRY_PACK ? release_record(r, d) : release_file(r, d);
    if (err == 0) {
        atomic_fetch_add(&r->p->releasing->released, 1);
        return 0;
    }
    r->failed++;
    if (r->error == 0)
        r->error = err;
    return is_of_shard(err) ? err : 0;
}

static int release_all(struct release *r)
{
    struct refs_dead d;
    uint64_t number = 0;
    int err = 0;

    while (err == 0 && refs_next_dead_ghost(r->p->refs, r->shard, number, &d) == 0) {
        number = d.number;
        err = release_one(r, &d);
        if (err == 0 && atomic_load(&r->p->releasing->stop))
            err = -ESHUTDOWN;
    }
    return err < 0 ? err : release_empty_packs(r);
}

static void release_shard(struct state *p, uint16_t shard)
{
    struct release r = {.p = p, .shard = shard};
    struct shard *s;
    int err = shards_get(p->shards, shard, SHARDS_WRITE, &s, NULL);

    if (err < 0)
        return; /* status has why */
    (void)release_all(&r);
    shards_put_back(p->shards, shard);
    if (r.error == 0 && p->releasing->told == shard)
        p->releasing->told = 0;
    if (r.error == 0 || is_of_shard(r.error) || p->releasing->told == shard)
        return;
    p->releasing->told = shard;
    report(REPORT_WARN, "deleting dead bytes on shard %u failed (%s): tried again later", shard,
           strerror(-r.error));
}

/* Is there anything to do there? */
static bool has_work(struct state *p, uint16_t shard)
{
    struct refs_dead d;
    struct pack_entry row;
    uint16_t at = shard;
    uint64_t pack = 0;

    if (refs_next_dead_ghost(p->refs, shard, 0, &d) == 0)
        return true;
    while (shard_packs_next(p->shard_packs, &at, &pack, &row) == 0 && at == shard)
        if (row.live_records == 0)
            return true;
    return false;
}

static uint64_t count_left(struct state *p, uint16_t shard)
{
    struct refs_dead d = {.number = 0};
    uint64_t n = 0;

    if (shard == 0)
        return refs_dead_ghosts(p->refs);
    while (refs_next_dead_ghost(p->refs, shard, d.number, &d) == 0)
        n++;
    return n;
}

int release_pass(struct state *p, uint16_t shard, uint64_t *ret_left)
{
    struct shards_info info;
    unsigned at = shard ? shard - 1u : 0;

    *ret_left = 0;
    if (!p->shards)
        return 0;
    MUTEX_GUARD(&p->releasing->lock);
    while (shards_next(p->shards, at, &info) == 0 && (shard == 0 || info.number == shard)) {
        at = info.number;
        if (has_work(p, info.number))
            release_shard(p, info.number);
    }
    *ret_left = count_left(p, shard);
    return 0;
}
