// SPDX-License-Identifier: Apache-2.0
/*
 * release: deletes the bytes of dead ghosts. A record of the dying leads to the bytes of each
 * ghost. The record stays until they are deleted, however long the shard is unreachable, and across
 * restarts.
 *
 *     FILE    the file is deleted, then its record is reclaimed
 *     PACK    the record is reclaimed and counted out of its pack, under one hold of the freeze
 *             lock; after the last of its live records the pack is deleted, then its row
 *
 * Interrupted anywhere, the last commit has the record, or the row without live records, that leads
 * to what still exists. To delete what is deleted already is no error. Bytes are deleted only from
 * a shard that this store may write to. Each step is one deletion, so nobody waits for more than
 * that.
 */
#include "move.h"
#include "remote_impl.h"
#include "report.h"
#include "shards.h"
#include <errno.h>
#include <string.h>

struct release {
    struct state *p;
    uint16_t shard;
    uint64_t failed; /* ghosts of this shard that could not be deleted, and stay */
    int error;       /* -errno of the first of them */
};

/* After such an error nothing more can be done on this shard now. */
static bool is_of_shard(int err)
{
    return err == -EHOSTUNREACH || err == -EROFS || err == -EACCES || err == -ENXIO ||
           err == -ESHUTDOWN || err == -ENOMEM;
}

/* ---- packs ---- */

/* Deletes a pack without live records, and then its row. */
static int delete_pack(struct release *r, uint64_t pack)
{
    const struct entry e = {.kind = ENTRY_PACK, .shard = r->shard, .where = pack};
    int err = objects_delete_remote(r->p->objects, &e);
    READ_GUARD(&r->p->freeze_lock);

    if (err == 0)
        err = packs_forget(r->p->packs, r->shard, pack);
    return err == -ENOENT || err == -EBUSY ? 0 : err;
}

/* Reclaims the record of a dead ghost in a pack, and counts it out of the pack. The record goes
 * first. A ghost that is counted out twice would make the pack seem emptier than it is; one that is
 * not counted out is only a leak. If the pack has no row, it was deleted, or is an orphan. */
static int count_out(struct release *r, const struct refs_dead *d, bool *ret_last)
{
    struct pack_entry left = {0};
    READ_GUARD(&r->p->freeze_lock);
    int err = packs_get(r->p->packs, r->shard, d->entry.where, &left);
    bool known = err == 0;

    *ret_last = false;
    if (err == 0 || err == -ENOENT)
        err = refs_reclaimed(r->p->refs, d, 1);
    if (err == 0 && known) {
        err = packs_count_out(r->p->packs, r->shard, d->entry.where, 1, d->entry.size, &left);
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

/* Finds the next pack on a shard without live records. -ENOENT: there is no more. */
static int next_empty(struct state *p, uint16_t shard, struct pack_info *k)
{
    int err;

    do
        err = packs_next_closed(p->packs, shard, k->number, k);
    while (err == 0 && k->entry.live_records > 0);
    return err;
}

/* Deletes packs without live records that an earlier pass, or an interrupted incarnation, left
 * behind. */
static int release_empty_packs(struct release *r)
{
    struct pack_info k = {.number = 0};
    int err = 0;

    while (err == 0 && (err = next_empty(r->p, r->shard, &k)) == 0)
        err = delete_pack(r, k.number);
    return err == -ENOENT ? 0 : err;
}

/* ---- files ---- */

/* Deletes a file, and then its record. Interrupted in between, the record leads to a missing file,
 * which is fine. */
static int release_file(struct release *r, const struct refs_dead *d)
{
    int err = objects_delete_remote(r->p->objects, &d->entry);

    if (err < 0)
        return err;
    READ_GUARD(&r->p->freeze_lock);
    return refs_reclaimed(r->p->refs, d, 1);
}

/* ---- one shard ---- */

/* Deletes the bytes of one dead ghost. It returns only errors after which the shard is given up for
 * this pass. */
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

/* Deletes all dead ghosts of the shard, and then empty packs. After an error of one ghost it goes
 * on with the next. */
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

/* Runs a pass on one shard. A failure is reported once for each shard, until a pass on it succeeds.
 * A shard that cannot be used is not reported here: the status shows why. */
static void release_shard(struct state *p, uint16_t shard)
{
    struct release r = {.p = p, .shard = shard};
    struct shard *s;
    uint64_t none;
    int err = shards_get(p->shards, shard, SHARDS_WRITE, &s, NULL);

    if (err < 0)
        return; /* the status shows why */
    (void)release_all(&r);
    shards_put_back(p->shards, shard);
    if (r.error == 0)
        (void)map64_del(&p->releasing->told, shard);
    if (r.error == 0 || is_of_shard(r.error) || map64_get(&p->releasing->told, shard, &none))
        return;
    (void)map64_put(&p->releasing->told, shard, 1); /* without memory it is reported again */
    report(REPORT_WARN, "deleting dead bytes on shard %u failed (%s): tried again later", shard,
           strerror(-r.error));
}

/* Has the shard dead ghosts, or packs without live records? */
static bool has_work(struct state *p, uint16_t shard)
{
    struct refs_dead d;

    return refs_next_dead_ghost(p->refs, shard, 0, &d) == 0 ||
           next_empty(p, shard, &(struct pack_info){.number = 0}) == 0;
}

/* Counts the dead ghosts that stay on the shard, or on all. */
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
