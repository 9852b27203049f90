// SPDX-License-Identifier: Apache-2.0
/*
 * recover: putting a store together again after a start, and making it durable through the log.
 *
 *     trees, counts, drops as committed
 *     replay            what the log has behind that commit (replay.c)
 *     orphans dropped   nobody has them open any more
 *     dead deleted      bytes whose removal was committed
 *     slots             those that entries name are opened, others go
 *     objects           files and packs that no table knows go
 *     log opened        in the next epoch: no frame of before is ever read again
 *     flush             has all of it; then the old segments go
 *
 * Until that flush everything may be cut off and done again: nothing is deleted that the replay
 * would need. A store that was closed has no segments, and needs no flush.
 */
#include "project_impl.h"
#include "replay.h"
#include "report.h"
#include <errno.h>

static void on_fatal(void *ctx, const char *what, int err)
{
    project_turn_readonly(ctx, what, err);
}

/* Was it closed? Then its log goes on as if it had never been, without a commit. */
static bool was_closed(const struct state *s, const struct log_report *r)
{
    return r->segments == 0 && r->next_segment <= s->log_segment + 1;
}

static int open_log(struct project *p, const struct state *s, const struct log_report *r)
{
    struct log_config config = {
        .disk = p->config.disk,
        .clock = p->clock,
        .seq = atomic_load(&p->seq),
        .next_segment = r->next_segment,
        .segment_size = p->config.log_segment
                            ? p->config.log_segment
                            : (uint64_t)settings_get(&p->settings, SET_LOG_SEGMENT),
        .background = p->config.background,
        .fatal = on_fatal,
        .ctx = p,
    };

    int err;

    p->epoch = s->epoch + !was_closed(s, r);
    config.epoch = p->epoch;
    err = log_open(&config, &p->log);
    if (err == 0)
        log_on_synced(p->log, durable_advanced, p);
    return err;
}

/* What the log speaks of is committed; then its old segments are not needed. */
int project_settle(struct project *p)
{
    int err = p->recovered ? flush_run(p, SEAL_BUFFERS) : 0;

    return err < 0 || !p->recovered ? err : log_reap(p->config.disk, p->epoch);
}

static int delete_dead(struct project *p)
{
    struct refs_dead d;
    int err = 0;

    while (err == 0 && refs_collected(p->refs, &d, 1)) {
        err = objects_delete(p->objects, &d);
        if (err == 0)
            err = refs_buried(p->refs, &d);
    }
    return err;
}

int project_recover(struct project *p, const struct state *s)
{
    struct log_report r;
    int err;

    p->orphans.tree = (struct tree){.pages = p->pages, .refs = p->refs, .root = s->orphan_root};
    p->orphans.next_ino = s->orphan_next ? s->orphan_next : 1;
    err = replay_log(p, s, &r);
    if (err < 0 && p->config.log_refused)
        *p->config.log_refused = true;
    if (err == 0)
        err = drops_push(p->drops, p->orphans.tree.root);
    if (err < 0)
        return err;
    p->orphans.tree.root = 0;
    err = delete_dead(p);
    if (err == 0)
        err = contents_load(p, s->next_number);
    if (err == 0)
        err = objects_reap(p->objects);
    if (err == 0)
        err = open_log(p, s, &r);
    if (err < 0)
        return err;
    ns_table_tap(p);
    p->recovered = !was_closed(s, &r);
    return 0;
}

/* ---- durable ---- */

uint64_t project_durable(struct project *p)
{
    uint64_t committed, synced = p->log ? log_synced_seq(p->log) : 0;
    MUTEX_GUARD(&p->flush.lock);

    committed = p->flush.durable_seq;
    return synced > committed ? synced : committed;
}

void project_on_durable(struct project *p, void (*fn)(void *ctx, uint64_t seq), void *ctx)
{
    p->on_durable = fn;
    p->on_durable_ctx = ctx;
    atomic_store(&p->durable_told, project_durable(p));
}

void durable_advanced(void *ctx, uint64_t seq)
{
    struct project *p = ctx;
    uint64_t told = atomic_load(&p->durable_told);

    while (told < seq && !atomic_compare_exchange_weak(&p->durable_told, &told, seq))
        ;
    if (told < seq && p->on_durable)
        p->on_durable(p->on_durable_ctx, seq);
}

static int sync_slots(void *ctx)
{
    return slots_sync_logged(ctx);
}

int project_sync(struct project *p)
{
    uint64_t seq = atomic_load(&p->seq);

    if (atomic_load(&p->readonly))
        return -EROFS;
    {
        MUTEX_GUARD(&p->flush.lock);
        if (seq <= p->flush.durable_seq)
            return 0;
    }
    return log_sync(p->log, seq, sync_slots, p);
}
