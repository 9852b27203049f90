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
 *
 * What fails here is no reason to keep somebody from their files. Only without a sound log, or the
 * memory to replay it, nobody knows what the files are: then the store is not opened. Else:
 *
 *     what should go cannot be deleted      it stays, until the next start, or a check
 *     one slot cannot be opened             its file is EIO
 *     a slot lacks what the log has for it  its file is EIO; the store is read-only, since a commit
 *                                           would let the log go
 *     no slot can be found, no log begun    the store is read-only
 *     the flush fails                       no change until another one has done it
 */
#include "lost_start.h"
#include "project_impl.h"
#include "replay.h"
#include "report.h"
#include <errno.h>
#include <string.h>

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

static void is_kept(const char *what, int err)
{
    if (err < 0)
        report(REPORT_WARN, "%s cannot be deleted (%s): kept until the next mount, or a check",
               what, strerror(-err));
}

/* What the log speaks of is committed; then its old segments are not needed. */
void project_settle(struct project *p)
{
    int err = p->recovered ? flush_run(p, SEAL_BUFFERS) : 0;

    if (err == 0) {
        is_kept("an old segment of the log", p->recovered ? log_reap(p->config.disk, p->epoch) : 0);
        return;
    }
    atomic_store(&p->unsettled_told, true);
    if (!atomic_load(&p->readonly))
        report(
            REPORT_ALARM,
            "what was recovered from the log cannot be committed (%s): it can be read, and nothing "
            "can be changed until it is; that is tried again",
            strerror(-err));
}

void project_settled(struct project *p)
{
    if (!atomic_exchange(&p->unsettled, false) || !atomic_load(&p->unsettled_told))
        return;
    is_kept("an old segment of the log", log_reap_earlier(p->config.disk, p->epoch));
    report(REPORT_NOTE, "what was recovered from the log is committed: changes go on");
}

static void delete_dead(struct project *p)
{
    struct refs_dead d;
    int err = 0, failed = 0;

    while (refs_collected(p->refs, &d, 1)) {
        err = objects_delete(p->objects, &d);
        if (err == 0)
            err = refs_buried(p->refs, &d);
        failed = err < 0 ? err : failed;
    }
    is_kept("what nothing refers to", failed);
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
    delete_dead(p);
    err = contents_load(p, s->next_number);
    if (err < 0)
        return err;
    is_kept("an object file that nothing names",
            objects_reap(p->objects, s->next_number, lost_start_keep, p));
    err = open_log(p, s, &r);
    if (err < 0)
        project_turn_readonly(p, "beginning a log", err);
    ns_table_tap(p);
    p->recovered = !was_closed(s, &r);
    if (p->recovered)
        atomic_store(&p->promised, false); /* that was of the epoch before */
    atomic_store(&p->unsettled, p->recovered);
    return 0;
}

/* ---- durable ---- */

uint64_t project_durable(struct project *p)
{
    bool has_log = p->log && !atomic_load(&p->unsettled);
    uint64_t committed, synced = has_log ? log_synced_seq(p->log) : 0;
    MUTEX_GUARD(&p->flush.lock);

    committed = p->flush.durable_seq;
    return synced > committed ? synced : committed;
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
    if (atomic_load(&p->unsettled))
        return project_flush(p);
    return log_sync(p->log, seq, sync_slots, p);
}
