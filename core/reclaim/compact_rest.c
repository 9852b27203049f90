// SPDX-License-Identifier: Apache-2.0
/*
 * compact_rest: compresses records at home that are stored as they are (compression.h), once the
 * store is idle or somebody asks for a compaction:
 *
 *     gather    which packs have such records, and how many, by the entries of the last commit
 *     scan      each of these packs; a record that becomes shorter moves to the open pack, as in a
 *               compaction; of one that does not its entry notes it, so no pass tries it again
 *     commit    and the old places are reclaimed, pack by pack
 *
 * A pack all of whose records moved is deleted with the last of them. What is left of the others is
 * dead or stays, and the compaction that follows deals with them as with any pack. The open pack is
 * not closed for this: else a store that is written to now and then had a pack for each file.
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
    c->due++;
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
    c->written += to.stored;
    c->r->compressed++;
    c->r->saved += from->size - to.stored;
    return refs_reclaim_place(p->refs, from);
}

/* A due record that the scan did not find is damaged, or was removed. A closed pack has no more of
 * them: a pass that nobody asked for need not read it again. */
static int note_damaged(struct compaction *c, const struct pack_info *k, uint64_t due)
{
    uint64_t found = 0;

    if (k->bytes == 0 || !map64_get(c->found, k->number, &found) || due >= found)
        return 0;
    return map64_put(&c->p->compacting->damaged, k->number, 1);
}

static int compress_pack(struct compaction *c, const struct pack_info *k)
{
    uint64_t due = c->due, written = c->written;
    int end, err = flush_room_for(c->p, k->entry.live_bytes);

    if (err < 0)
        return err;
    c->move = compress_record;
    err = compact_scan(c, k->number);
    end = compact_commit(c); /* also after an error: without a commit both copies would stay */
    err = err < 0 ? err : end;
    if (err < 0)
        return err;
    compact_count(c, k, c->written - written);
    return note_damaged(c, k, c->due - due);
}

/* Counts the records that are due in each pack that has some. Reads all entries. */
static int find_packs(struct compaction *c, struct map64 *packs)
{
    struct state *p = c->p;
    struct kv_each each = {.table = TABLE_OBJECTS};
    int err = kv_snap_begin(p->config.kv, &each.snap);

    if (err < 0)
        return err;
    while (err == 0 && kv_next(&each)) {
        struct entry e;

        if (compact_is_cancelled(c))
            err = -ECANCELED;
        else if (each.len != KV_DAMAGED && entry_decode(each.val, each.len, &e) == 0 &&
                 e.count > 0 && compression_is_due(p, &e))
            err = map64_add(packs, e.where, 1, NULL);
    }
    kv_snap_end(each.snap);
    return err;
}

/* What is known of a pack. One that is not closed has no bytes, and what the table says of it. */
static int pack_info(struct packs *packs, uint64_t number, struct pack_info *ret)
{
    if (packs_next_closed(packs, 0, number - 1, ret) == 0 && ret->number == number)
        return 0;
    *ret = (struct pack_info){.number = number};
    return packs_get(packs, 0, number, &ret->entry);
}

/* Makes a choice of the packs that are still there. */
static int choose(struct compaction *c, struct compact_choice *l)
{
    struct pack_info k;
    uint64_t number, n;
    size_t at = 0;

    while (map64_next(c->found, &at, &number, &n)) {
        if (c->quiet && map64_get(&c->p->compacting->damaged, number, &n))
            continue;
        if (pack_info(c->p->packs, number, &k) < 0)
            continue; /* a damaged row concerns the others */
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
    int err = compression_at_rest(c->p) ? find_packs(c, &packs) : 0;

    c->found = &packs;
    if (err == 0)
        err = choose(c, &l);
    if (err == 0)
        err = compact_all(c, &l, compress_pack);
    c->found = NULL;
    map64_release(&packs);
    free(l.v);
    return err;
}

bool compact_rest_due(struct state *p)
{
    struct compacting *k = p->compacting;
    uint64_t seq = atomic_load(&p->seq), seen = atomic_exchange(&k->seen, seq);

    return seen == seq && compression_at_rest(p) && atomic_load(&k->rested) != compression_mark(p);
}
