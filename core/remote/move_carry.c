// SPDX-License-Identifier: Apache-2.0
/*
 * move_carry: what a thread of the crew does with a cargo: it reads the bytes, puts them at the
 * target, durably, and checks them there. No entry names the new place yet, and the thread changes
 * nothing but its cargo. Small objects that go home are read only: appending them to the open pack
 * is of one step with naming them (move_name.c).
 */
#include "job.h"
#include "move_impl.h"

#include "compression.h"
#include <errno.h>

/* Shows progress, and tells whether to go on. Most bytes are read twice, from the source and back
 * from the target, so each read counts half. */
static int pace(uint64_t bytes, void *ctx)
{
    struct cargo *c = ctx;
    struct move *m = c->m;
    uint64_t part = atomic_load(&c->part), more = bytes / 2;

    if (more > c->bytes - part)
        more = c->bytes - part;
    atomic_store(&c->part, part + more);
    more += atomic_fetch_add(&m->bytes, more);
    if (m->job) {
        job_lend_priority(m->p, m->job);
        job_progress_bytes(m->p, m->job, more, 0);
    }
    return atomic_load(&m->stop) || move_is_cancelled(m->p, m->job) ? -ECANCELED : 0;
}

/* Without memory they go as they are. */
static void compress(struct move *m, struct objects_batch *b)
{
    if (compression_is_allowed(m->p))
        (void)objects_batch_compress(b, settings_get(&m->p->settings, SET_COMPRESSION) !=
                                            COMPRESSION_OFF);
}

void move_carry(struct crew_piece *piece)
{
    struct cargo *c = (struct cargo *)piece;
    struct move *m = c->m;
    const struct blob_pace slowly = {pace, c};

    c->err = pace(0, c);
    if (c->err == 0 && c->batch)
        c->err = objects_batch_load(c->batch, &slowly);
    if (c->err == 0 && c->batch && m->shard)
        compress(m, c->batch);
    if (c->err == 0 && c->batch && m->shard)
        c->err = objects_batch_put(c->batch, m->shard);
    if (c->err == 0 && !c->batch)
        c->err =
            objects_copy_file(m->p->objects, m->shard, c->fresh, &c->v[0].from, &slowly, &c->to);
}
