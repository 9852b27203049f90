// SPDX-License-Identifier: Apache-2.0
/*
 * move_name: gives objects whose bytes are at the target their new places (move_impl.h). Nobody
 * waits for a shard here, so the freeze lock may be held.
 *
 * All records of a pack are counted, and their entries changed, under one hold of the freeze lock.
 * Otherwise the first record could die, and its pack be deleted, before the last record is counted.
 */
#include "move_impl.h"

#include "archived.h"
#include "array.h"
#include "compression.h"
#include "shards.h"
#include <errno.h>

/* ---- the freeze lock is held ---- */

/* Lets a place join the dying, so that its bytes are deleted after the next commit. */
static int retire_place(struct move *m, const struct entry *place)
{
    m->changed = true;
    return refs_reclaim_place(m->p->refs, place);
}

/* What comes home from an archive is there still: so it is not sent there again, and no restore
 * compares its bytes. Without the row both would be done, so an error does no harm. The row is put
 * while the object is a ghost yet: so a prune, which looks at ghosts and then at rows, sees one of
 * both. True: there is a row. */
static bool note_archived(struct move *m, uint64_t number, const struct entry *from)
{
    const struct archived_place at = {
        .in_pack = from->kind == ENTRY_PACK, .where = from->where, .offset = from->offset};
    struct entry is;

    return shards_is_archive(m->p->shards, from->shard) &&
           refs_entry(m->p->refs, number, false, NULL, &is) == 0 && entry_same_place(&is, from) &&
           archived_put(m->p->archived, from->shard, number, &at) == 0;
}

/* Gives the object its new place, if it still is where it was read. If it is not, the new place is
 * retired. -ESTALE: it was healed or moved meanwhile. */
static int name(struct move *m, uint64_t number, const struct entry *from, const struct entry *to)
{
    const bool noted = note_archived(m, number, from);
    int err = refs_relocate(m->p->refs, number, from, to);

    if (err < 0 && noted)
        archived_forget(m->p->archived, number);
    if (err < 0) {
        (void)retire_place(m, to);
        return err == -ENOENT ? move_skip(m) : err; /* it was deleted meanwhile */
    }
    m->r.objects++;
    m->r.bytes += from->size;
    m->r.stored += entry_payload(to);
    m->uncommitted += from->size;
    return retire_place(m, from); /* after an error the old place stays counted until a GC cycle */
}

/* Counts in the pack of a batch, with all its records. */
static int count_in(struct move *m, const struct objects_batch *b)
{
    const struct objects_record *r;
    uint64_t bytes = 0, where = 0;
    uint32_t n = 0;

    for (size_t i = 0; (r = objects_batch_get(b, i)); i++) {
        if (r->err < 0)
            continue;
        bytes += entry_payload(&r->to);
        where = r->to.where;
        n++;
    }
    return n ? packs_count_in(m->p->packs, m->shard, where, n, bytes, objects_batch_file_bytes(b))
             : 0;
}

/* Names all records of a pack. After an error in between, the places of the remaining records are
 * retired: what was counted in must be counted out. */
static int name_pack(struct move *m, const struct objects_batch *b)
{
    const struct objects_record *r;
    READ_GUARD(&m->p->freeze_lock);
    int err = count_in(m, b);

    if (err < 0)
        return err; /* the pack is an orphan */
    for (size_t i = 0; (r = objects_batch_get(b, i)); i++) {
        if (r->err < 0)
            continue;
        if (err == 0)
            err = name(m, r->number, &r->from, &r->to);
        else
            (void)retire_place(m, &r->to);
        if (err == -ESTALE)
            err = move_skip(m);
    }
    return err;
}

/* Appends an object to the open pack at home, and names it there. */
static int bring_home(struct move *m, const struct objects_record *r)
{
    struct entry to;
    READ_GUARD(&m->p->freeze_lock);
    int err =
        objects_append(m->p->objects, &r->from, r->data, compression_to_copy(m->p, &r->from), &to);

    return err < 0 ? err : name(m, r->number, &r->from, &to);
}

static int name_file(struct move *m, const struct cargo *c)
{
    READ_GUARD(&m->p->freeze_lock);
    return name(m, c->v[0].number, &c->v[0].from, &c->to);
}

/* ---- what became of each object ---- */

/* The nth object of a cargo has its new place, or could not be read or named, with `err`. Its hold
 * goes, unless it is moved again. */
static int settle(struct move *m, struct cargo *c, size_t nth, int err)
{
    const struct move_load *l = &c->v[nth];
    bool taken = false;

    if (err == -ESTALE)
        err = move_again(m, l, &taken);
    else if (err < 0)
        err = move_fail(m, 1, err);
    if (taken) {
        c->returned++;
        c->returned_bytes += l->from.size;
    } else {
        refs_unhold(m->p->refs, l->number);
    }
    return err;
}

/* Ends the small objects of a cargo, of which those for a shard are named already. After an error
 * that ends the move the others that were to come home stay where they are. */
static int settle_batch(struct move *m, struct cargo *c)
{
    int end, err = 0;

    for (size_t i = 0; i < c->count; i++) {
        const struct objects_record *r = objects_batch_get(c->batch, i);
        int its = r->err;
        if (its == 0 && m->shard == 0 && err == 0)
            its = bring_home(m, r);
        end = settle(m, c, i, its);
        err = err < 0 ? err : end;
    }
    return err;
}

/* Nothing of the cargo was carried. */
static int settle_failed(struct move *m, struct cargo *c)
{
    if (!c->batch)
        return settle(m, c, 0, c->err);
    for (size_t i = 0; i < c->count; i++)
        refs_unhold(m->p->refs, c->v[i].number);
    return move_fail(m, c->count, c->err);
}

int move_name(struct move *m, struct cargo *c)
{
    int end, err = 0;

    if (c->err < 0)
        return settle_failed(m, c);
    if (!c->batch)
        return settle(m, c, 0, name_file(m, c));
    if (m->shard)
        err = name_pack(m, c->batch);
    end = settle_batch(m, c);
    return err < 0 ? err : end;
}
