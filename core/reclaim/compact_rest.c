// SPDX-License-Identifier: Apache-2.0
/*
 * compact_rest: compresses records at home that are stored as they are (compression.h), once the
 * store is idle or somebody asks for a compaction:
 *
 *     gather    which packs have such records, by the entries of the last commit
 *     scan      each of these packs; a record that becomes shorter moves to the open pack, as in a
 *               compaction; of one that does not its entry notes it, so no pass tries it again
 *     commit    and the old places are reclaimed, pack by pack
 *
 * A pack all of whose records moved is deleted with the last of them. What is left of the others is
 * dead or stays, and a compaction deals with them as with any pack.
 */
#include "compact_impl.h"

#include "array.h"
#include "compression.h"
#include "flush.h"
#include "map64.h"
#include "yield_cpu.h"
#include <errno.h>
#include <stdlib.h>

/* Moves a record, if that makes it shorter. */
static int compress_record(struct compaction *c, uint64_t number, const struct entry *from,
                           const void *data)
{
    struct state *p = c->p;
    struct entry to;

    if (!compression_is_due(p, from))
        return 0;
    yield_cpu();
    READ_GUARD(&p->freeze_lock);
    int shorter = objects_compress(p->objects, from, data, &to);

    if (shorter < 0)
        return shorter;
    int err = refs_relocate(p->refs, number, from, &to);

    if (err < 0 && shorter)
        (void)refs_reclaim_place(p->refs, &to);
    if (err < 0)
        return err == -ESTALE || err == -ENOENT ? 0 : err; /* healed or collected meanwhile */
    if (!shorter)
        return 0;
    c->r->compressed++;
    c->r->saved += from->size - to.stored;
    return refs_reclaim_place(p->refs, from);
}

static int compress_pack(struct compaction *c, const struct pack_info *k)
{
    int end, err = flush_room_for(c->p, k->entry.live_bytes);

    if (err < 0)
        return err;
    c->move = compress_record;
    err = compact_scan(c, k->number);
    end = compact_commit(c); /* also after an error: without a commit both copies would stay */
    return err < 0 ? err : end;
}

/* Notes the packs that have records which are due. Reads all entries. */
static int find_packs(struct state *p, struct map64 *packs)
{
    struct kv_each each = {.table = TABLE_OBJECTS};
    int err = kv_snap_begin(p->config.kv, &each.snap);

    if (err < 0)
        return err;
    while (err == 0 && kv_next(&each)) {
        struct entry e;

        if (atomic_load(&p->closing))
            err = -ECANCELED;
        else if (each.len != KV_DAMAGED && entry_decode(each.val, each.len, &e) == 0 &&
                 e.count > 0 && compression_is_due(p, &e))
            err = map64_put(packs, e.where, 1);
    }
    kv_snap_end(each.snap);
    return err;
}

/* Makes a choice of the packs that are still there. */
static int choose(struct compaction *c, const struct map64 *packs, struct compact_choice *l)
{
    struct pack_info k = {.number = 0};
    uint64_t number, one;
    size_t at = 0;

    while (map64_next(packs, &at, &number, &one)) {
        if (packs_get(c->p->packs, 0, number, &k.entry) < 0)
            continue; /* a damaged row concerns the others */
        k.number = number;
        if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
            return -ENOMEM;
        l->v[l->count++] = k;
        c->total += k.entry.file_bytes;
    }
    return 0;
}

int compact_rest(struct compaction *c)
{
    struct map64 packs = MAP64_INIT;
    struct compact_choice l = {.v = NULL};
    int err = compression_at_rest(c->p) ? find_packs(c->p, &packs) : 0;

    if (err == 0)
        err = choose(c, &packs, &l);
    map64_release(&packs);
    if (err == 0)
        err = compact_all(c, &l, compress_pack);
    free(l.v);
    return err;
}

bool compact_rest_due(struct state *p)
{
    struct compacting *k = p->compacting;
    uint64_t seq = atomic_load(&p->seq), seen = atomic_exchange(&k->seen, seq);

    return seen == seq && atomic_load(&k->rested) != seq && compression_at_rest(p);
}
