// SPDX-License-Identifier: Apache-2.0
/* durability: fsync through the log. flush_now is in flusher.c, flush_drain in drain.c. */
#include "durability.h"
#include "flush_impl.h"
#include "state.h"
#include <errno.h>

uint64_t flush_durable(struct state *p)
{
    bool has_log = p->log && !atomic_load(&p->unsettled);
    uint64_t committed, synced = has_log ? log_synced_seq(p->log) : 0;
    MUTEX_GUARD(&p->flush->lock);

    committed = p->flush->durable_seq;
    return synced > committed ? synced : committed;
}

/* Called by log_sync before it syncs: the slots that frames speak of. */
static int sync_slots(void *ctx)
{
    return slots_sync_logged(ctx);
}

/* Make all changes so far durable, by the log if possible. What a start recovered needs a
 * commit. */
static int sync_all(struct state *p)
{
    uint64_t seq = atomic_load(&p->seq);

    {
        MUTEX_GUARD(&p->flush->lock);
        if (seq <= p->flush->durable_seq)
            return 0;
    }
    if (atomic_load(&p->unsettled))
        return flush_now(p);
    return log_sync(p->log, seq, sync_slots, p);
}

int flush_sync(struct state *p)
{
    int err;

    if (atomic_load(&p->readonly)) /* the reason was reported */
        return -EROFS;
    err = sync_all(p);
    blame_sync(p, err);
    return err;
}
