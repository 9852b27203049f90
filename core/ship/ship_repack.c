// SPDX-License-Identifier: Apache-2.0
/*
 * ship_repack: packs of which little is used any more are emptied (ship_hold.h).
 *
 * A pack stays in the archive as long as a segment that is kept names anything of it. So what lives
 * long would keep whole packs of what does not. The contents of such packs count as not shipped:
 * the next section that names one puts its bytes again, among others that live as long. Each
 * namespace is shipped whole once, so that later sections lead to no older one, which would name
 * the old place. When the last state that needs an old section is given up, so is the pack.
 *
 * It is only done where it is worth its price. Nothing of it is noted: what a mount does not finish
 * the next prune chooses again. What cannot be read here stays where it is: the archive has it.
 */
#include "ship_hold.h"
#include "ship_impl.h"

#include <errno.h>

#define WORTH 4u             /* bytes that become free, for each one that is sent */
#define ITEM_BYTES 128u      /* of a section, about */
#define SECTION_BYTES 65536u /* a request, and what it costs to keep a segment */

static _Atomic uint64_t section_bytes = SECTION_BYTES;

void ship_repack_set_section(uint64_t bytes)
{
    atomic_store(&section_bytes, bytes);
}

void ship_repack_init(struct ship_repack *r)
{
    *r = (struct ship_repack){.packs = MAP64_INIT};
}

void ship_repack_release(struct ship_repack *r)
{
    map64_release(&r->packs);
}

/* What it costs to ship all namespaces whole. */
static uint64_t price(const struct stream *s)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct shipped *e = &s->v[i];
        const uint64_t items = e->was ? 2 * e->was->tree.usage.inodes : 0;

        if (e->was)
            bytes += atomic_load(&section_bytes) +
                     ITEM_BYTES * (items > e->note.all ? items : e->note.all);
    }
    return bytes;
}

bool ship_held_repack(struct ship_held *h, struct ship_repack *r)
{
    struct stream *s = h->s;

    mutex_held(&s->lock);
    if (r->dead_bytes / WORTH < r->live_bytes + price(s))
        return false;
    ship_repack_forget(s);
    s->sparse = r->packs;
    r->packs = (struct map64)MAP64_INIT;
    for (size_t i = 0; i < s->count; i++)
        s->v[i].whole = s->v[i].again = s->v[i].was != NULL;
    s->looked = 0;
    return true;
}

void ship_repack_forget(struct stream *s)
{
    map64_release(&s->sparse);
    map64_release(&s->staying);
    s->sparse = s->staying = (struct map64)MAP64_INIT;
}

bool ship_is_sparse(struct stream *s, uint64_t number, const struct entry *e,
                    const struct archived_place *at)
{
    uint64_t value;

    return at->in_pack && e->shard == 0 && map64_get(&s->sparse, at->where, &value) &&
           !map64_get(&s->staying, number, &value);
}

int ship_stay(struct stream *s, uint64_t number)
{
    struct archived_place at;
    int err = archived_get(s->p->archived, s->archive, number, &at);

    if (err < 0)
        return err == -ENOENT ? 0 : err;
    err = map64_put(&s->staying, number, 1);
    return err < 0 ? err : 1;
}
