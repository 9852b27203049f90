// SPDX-License-Identifier: Apache-2.0
/*
 * compact_pool: leaves packs of a pool that the table of this store does not have. Other members
 * wrote them, or this store wrote them and has released all that it had there. Only the pool knows
 * what is dead in them: what cycles have removed (pool_held.h). Where little is left, each member
 * that still names some of it leaves the pack:
 *
 *     for each sound record: does the entry of its id name this very place?
 *     if the pool has the bytes at another place, compare them, and name that place
 *     otherwise copy them to the store's own open pack
 *
 * The rest is as for any compaction (compact.c). Nothing is deleted here: the next report does not
 * name the old places any more, and when all members have left, cycles remove the records and the
 * pack.
 *
 * Another place is found as a seal finds one: in a view of reports, with the freeze lock held from
 * the look to the change of the entry (pool_index.h). So it is no place that may be about to be
 * removed. Packs that are being left are no better than the one at hand, and are passed over. Two
 * members that leave a pack at the same time do not see each other's copies before they have
 * reported. Then the bytes exist twice, as after two writes at once.
 */
#include "compact_impl.h"
#include "flush.h"
#include "pool_held.h"
#include "pool_node.h"
#include <errno.h>

/* ---- which ---- */

static struct pack_info info_of(const struct pool_held_pack *k)
{
    return (struct pack_info){.number = k->number,
                              .entry.file_bytes = k->bytes,
                              .dead = k->bytes - k->held,
                              .bytes = k->bytes};
}

/* Does an entry of this store name the record? 1 ends the walk, since one such record is enough. */
static int is_named(const struct entry *at, void *ctx)
{
    struct state *p = ctx;
    struct entry e = *at;
    uint64_t number;
    int named = atomic_load(&p->closing) ? -ECANCELED : compact_find(p, &e, &number);

    if (named == 1)
        refs_unhold(p->refs, number);
    return named;
}

/* Is the pack not in this store's table, and does it have something that this store needs? A pack
 * that is deleted meanwhile, or cannot be read, does not concern it. */
static int concerns(struct state *p, uint64_t pack)
{
    int known = pool_number_node(pack) == p->shared->node ? packs_is_known(p->packs, pack) : 0;
    int named;

    if (known != 0)
        return known < 0 ? known : 0;
    named = pool_held_records(p->shared->disk, pack, is_named, p);
    return named == -ENOENT || named == -EUCLEAN || named == -EIO ? 0 : named;
}

/* Considers one pack of the pool, if it concerns this store. */
static int gather_one(const struct pool_held_pack *k, void *ctx)
{
    struct compaction *c = ctx;
    struct pack_info info = info_of(k);
    int ours = concerns(c->p, k->number);

    return ours <= 0 ? ours : compact_consider(&c->others, &info);
}

int compact_pool_gather(struct compaction *c)
{
    if (!c->p->shared)
        return 0;
    pool_node_refresh(c->p);
    return pool_held_packs(c->p->shared->disk, gather_one, c);
}

/* ---- one record ---- */

static bool has_pack(const struct compact_choice *l, uint64_t pack)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->v[i].number == pack)
            return true;
    return false;
}

/* Is the place in a pack that this run empties? */
static bool is_left(const struct compaction *c, const struct entry *e)
{
    return e->kind == ENTRY_PACK && (has_pack(&c->own, e->where) || has_pack(&c->others, e->where));
}

/* A place that cannot be read or counted in is passed over: the bytes can be written beside it. */
int compact_adopt(struct compaction *c, const struct entry *from, const void *data,
                  struct entry *ret_place)
{
    struct state *p = c->p;

    for (unsigned nth = 0; pool_node_find(p, &from->id, from->size, nth, ret_place) == 0; nth++) {
        const struct pack_place at = pack_place_of(ret_place);
        if (is_left(c, ret_place) ||
            objects_are_at(p->objects, ret_place, data, (uint32_t)from->size) != 1)
            continue;
        if (ret_place->kind != ENTRY_PACK || packs_adopt(p->packs, &at, (uint32_t)from->size) == 0)
            return 0;
    }
    return -ENOENT;
}

/* ---- one pack ---- */

/* A damaged record stays where it is, and then the pack is not counted as left. Neither is a pack
 * whose records cannot be listed. */
int compact_pool_leave(struct compaction *c, const struct pack_info *k)
{
    uint64_t records = c->r->records;
    int err = compact_rewrite(c, k);

    if (err == 0 && c->r->records > records)
        c->r->packs += concerns(c->p, k->number) == 0;
    return err;
}

/* ---- by itself ---- */

struct looking {
    struct state *p;
    unsigned below;
    uint64_t dead;
};

/* Counts the dead bytes of one pack that this store should leave. */
static int look_at(const struct pool_held_pack *k, void *ctx)
{
    struct looking *l = ctx;
    struct pack_info info = info_of(k);
    int ours = compact_is_below(&info, l->below) ? concerns(l->p, k->number) : 0;

    if (ours > 0)
        l->dead += info.dead;
    return ours < 0 ? ours : 0;
}

/* Only cycles remove records, and each publishes a list first. So nothing has changed without a
 * newer list. What a cycle removes after this store has read its list is seen with the next one. */
void compact_look_at_pool(struct state *p, uint64_t serial)
{
    struct looking l = {.p = p, .below = (unsigned)settings_get(&p->settings, SET_COMPACT_BELOW)};

    if (l.below == 0 || serial == p->compacting->serial)
        return;
    if (pool_held_packs(p->shared->disk, look_at, &l) < 0)
        return;
    p->compacting->serial = serial;
    atomic_store(&p->compacting->elsewhere, l.dead);
}
