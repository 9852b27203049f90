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
 * In an archive nothing is deleted: the record, or the row, goes at once, also while the archive is
 * unreachable.
 *
 * Interrupted anywhere, the last commit has the record, or the row without live records, that leads
 * to what still exists. To delete what is deleted already is no error. Bytes are deleted only from
 * a shard that this store may write to. Each step is one deletion, so nobody waits for more than
 * that.
 *
 * Up to `shard_parallel` deletions are under way, each made by a thread of a crew. The thread of
 * the pass reclaims records, and forgets rows, after the deletion that goes before.
 */
#include "crew.h"
#include "move.h"
#include "remote_impl.h"
#include "report.h"
#include "shards.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A deletion: of a file, or of a pack without live records. */
struct deletion {
    struct crew_piece piece; /* first */
    struct objects *objects;
    struct refs_dead d;    /* of a pack: the record that was its last, or only its place */
    bool is_ghost;         /* a dead ghost is counted as released with it */
    int err;               /* set by the crew */
    struct deletion *next; /* the pass; of those that are free */
};

struct release {
    struct state *p;
    uint16_t shard;
    bool archive;    /* nothing is deleted there */
    uint64_t failed; /* ghosts of this shard that could not be deleted, and stay */
    int error;       /* -errno of the first of them */
    int given_up;    /* the error after which this shard is given up for this pass, or 0 */
    struct crew *crew;
    struct deletion deletion[CREW_MAX], *free;
};

/* After such an error nothing more can be done on this shard now. */
static bool is_of_shard(int err)
{
    return err == -EHOSTUNREACH || err == -EROFS || err == -EACCES || err == -ENXIO ||
           err == -ESHUTDOWN || err == -ENOMEM;
}

/* ---- deletions ---- */

/* In a thread of the crew, which changes nothing but the deletion. */
static void delete_bytes(struct crew_piece *piece)
{
    struct deletion *t = (struct deletion *)piece;

    t->err = objects_delete_remote(t->objects, &t->d.entry);
}

/* The bytes of a file are deleted; its record goes. Interrupted before that, the record leads to a
 * missing file, which is fine. */
static int end_file(struct release *r, const struct refs_dead *d)
{
    READ_GUARD(&r->p->freeze_lock);
    return refs_reclaimed(r->p->refs, d, 1);
}

/* A pack is deleted; its row goes. */
static int end_pack(struct release *r, uint64_t pack)
{
    READ_GUARD(&r->p->freeze_lock);
    int err = packs_forget(r->p->packs, r->shard, pack);

    return err == -ENOENT || err == -EBUSY ? 0 : err;
}

/* One dead ghost was released, or failed with `err`. */
static void count_one(struct release *r, int err)
{
    if (err == 0) {
        atomic_fetch_add(&r->p->releasing->released, 1);
        return;
    }
    r->failed++;
    if (r->error == 0)
        r->error = err;
    if (is_of_shard(err))
        r->given_up = err;
}

/* Ends a deletion, of which `err` is the result. */
static void end_one(struct release *r, const struct refs_dead *d, bool is_ghost, int err)
{
    if (err == 0)
        err = d->entry.kind == ENTRY_PACK ? end_pack(r, d->entry.where) : end_file(r, d);
    if (is_ghost)
        count_one(r, err);
    else if (err < 0)
        r->given_up = err;
}

/* Waits for a deletion, and ends it. */
static void take_one(struct release *r)
{
    struct deletion *t = (struct deletion *)crew_take(r->crew, true);

    end_one(r, &t->d, t->is_ghost, t->err);
    t->next = r->free;
    r->free = t;
}

static void take_down_to(struct release *r, unsigned most)
{
    while (crew_under_way(r->crew) >= most)
        take_one(r);
}

/* Gives the crew a deletion, as soon as there may be one more. In an archive it is done already. */
static void give(struct release *r, const struct refs_dead *d, bool is_ghost)
{
    unsigned most = (unsigned)settings_get(&r->p->settings, SET_SHARD_PARALLEL);
    struct deletion *t;

    if (r->archive) {
        end_one(r, d, is_ghost, 0);
        return;
    }
    take_down_to(r, most);
    t = r->free;
    r->free = t->next;
    *t = (struct deletion){.objects = r->p->objects, .d = *d, .is_ghost = is_ghost};
    crew_give(r->crew, &t->piece, most);
    if (most == 1)
        take_one(r);
}

/* ---- packs ---- */

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
        err = packs_count_out(r->p->packs, r->shard, d->entry.where, 1, entry_payload(&d->entry),
                              &left);
        *ret_last = err == 0 && left.live_records == 0;
    }
    return err;
}

/* After the last live record the pack is deleted. */
static void release_record(struct release *r, const struct refs_dead *d)
{
    bool last;
    int err = count_out(r, d, &last);

    if (err == 0 && last)
        give(r, d, true);
    else
        count_one(r, err);
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
static void release_empty_packs(struct release *r)
{
    struct pack_info k = {.number = 0};

    while (r->given_up == 0 && next_empty(r->p, r->shard, &k) == 0) {
        const struct entry place = {.kind = ENTRY_PACK, .shard = r->shard, .where = k.number};
        give(r, &(struct refs_dead){.entry = place}, false);
    }
    take_down_to(r, 1);
}

/* ---- one shard ---- */

/* Deletes the bytes of one dead ghost, or gives the crew their deletion. */
static void release_one(struct release *r, const struct refs_dead *d)
{
    if (atomic_load(&r->p->readonly))
        count_one(r, -EROFS);
    else if (d->entry.kind == ENTRY_PACK)
        release_record(r, d);
    else
        give(r, d, true);
}

/* Deletes all dead ghosts of the shard, and then empty packs. After an error of one ghost it goes
 * on with the next. */
static void release_all(struct release *r)
{
    struct refs_dead d;
    uint64_t number = 0;

    while (r->given_up == 0 && refs_next_dead_ghost(r->p->refs, r->shard, number, &d) == 0) {
        number = d.number;
        release_one(r, &d);
        if (r->given_up == 0 && atomic_load(&r->p->releasing->stop))
            r->given_up = -ESHUTDOWN;
    }
    take_down_to(r, 1);
    release_empty_packs(r);
}

/* As release_all, with a crew. -ENOMEM. */
static int release_by_crew(struct release *r)
{
    int err = crew_open(delete_bytes, &r->crew);

    if (err < 0)
        return err;
    for (size_t i = 0; i < CREW_MAX; i++) {
        r->deletion[i].next = r->free;
        r->free = &r->deletion[i];
    }
    release_all(r);
    crew_close(r->crew);
    return 0;
}

/* Reports a failure once for each shard, until a pass on it succeeds. That a shard cannot be used
 * is not reported here: the status shows why. */
static void tell(struct state *p, const struct release *r)
{
    uint64_t none;

    if (r->error == 0)
        (void)map64_del(&p->releasing->told, r->shard);
    if (r->error == 0 || is_of_shard(r->error) || map64_get(&p->releasing->told, r->shard, &none))
        return;
    (void)map64_put(&p->releasing->told, r->shard, 1); /* without memory it is reported again */
    report(REPORT_WARN, "deleting dead bytes on shard %u failed (%s): tried again later", r->shard,
           strerror(-r->error));
}

/* Runs a pass on one shard that can be written, or on an archive. Without memory it is left to a
 * later one. */
static void release_on(struct state *p, uint16_t shard, bool archive)
{
    struct release *r = calloc(1, sizeof *r);

    if (r) {
        r->p = p;
        r->shard = shard;
        r->archive = archive;
        if (release_by_crew(r) == 0)
            tell(p, r);
    }
    free(r);
}

/* The same, if something can be released. If not the status shows why. */
static void release_shard(struct state *p, const struct shards_info *info)
{
    if (info->archive) {
        if (!atomic_load(&p->readonly))
            release_on(p, info->number, true);
        return;
    }
    if (shards_get(p->shards, info->number, SHARDS_WRITE, NULL, NULL) < 0)
        return;
    release_on(p, info->number, false);
    shards_put_back(p->shards, info->number);
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
            release_shard(p, &info);
    }
    *ret_left = count_left(p, shard);
    return 0;
}
