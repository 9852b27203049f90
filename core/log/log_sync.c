// SPDX-License-Identifier: Apache-2.0
/*
 * log_sync: one sync for all threads that wait. A thread that finds no sync running leads one,
 * which covers every frame that was there when it began; the other threads sleep. At its end the
 * leader wakes the threads whose frames are now durable, and one more thread, whose frame came too
 * late: that one leads the next sync. No thread is woken without a result.
 */
#include "log_impl.h"

#include "io.h"
#include "report.h"
#include "waits.h"
#include <errno.h>
#include <string.h>

/* the longest pause between two tries, in ns; the first one is a millisecond */
#define SHORTAGE_REST_MAX NSEC_PER_SEC

/* ---- who leads ---- */

/* Queues the caller, and sleeps until a leader wakes it. Needs "log sync", which is released while
 * it sleeps. */
static void wait_to_be_woken(struct log *l, uint64_t seq, struct waiter *w)
{
    *w = (struct waiter){.seq = seq};
    cond_init(&w->cond);
    TAILQ_INSERT_TAIL(&l->waiters, w, next);
    WAITS_GUARD(WAITS_THREAD, "a sync of the log", 0, &l->leader);
    while (!w->woken)
        cond_wait(&w->cond, &l->sync);
    cond_destroy(&w->cond);
}

/* Makes the caller the leader, or waits for one. Returns 1: the caller leads a sync; 0: another
 * thread has synced frame `seq`; -EIO: the log is broken. */
static int lead_or_wait(struct log *l, uint64_t seq)
{
    struct waiter w = {0};

    MUTEX_GUARD(&l->sync);
    if (l->broken)
        return -EIO;
    if (log_synced_seq(l) >= seq)
        return 0;
    if (l->syncing)
        wait_to_be_woken(l, seq, &w);
    else
        w.leads = l->syncing = true;
    if (!w.leads)
        return log_synced_seq(l) >= seq ? 0 : -EIO;
    atomic_store_explicit(&l->leader, waits_self(), memory_order_relaxed);
    return 1;
}

/* Take a waiter out of the queue, and wake it. */
static void wake(struct log *l, struct waiter *w)
{
    TAILQ_REMOVE(&l->waiters, w, next);
    w->woken = true;
    cond_signal(&w->cond);
}

/* Wakes the waiters whose frames are durable (all, if the log is broken), and hands the lead to the
 * first of the others. */
static void end_lead(struct log *l)
{
    struct waiter *w, *later;
    uint64_t answered = 1;

    MUTEX_GUARD(&l->sync);
    uint64_t synced = log_synced_seq(l);

    for (w = TAILQ_FIRST(&l->waiters); w; w = later) {
        later = TAILQ_NEXT(w, next);
        if (w->seq > synced && !l->broken)
            continue;
        answered++;
        wake(l, w);
    }
    w = TAILQ_FIRST(&l->waiters);
    l->syncing = w; /* with waiters left, the lead is handed to the first of them */
    if (w) {
        w->leads = true;
        wake(l, w);
    }
    MUTEX_GUARD(&l->lock);
    l->stats.sync_callers += answered;
}

/* ---- one sync ---- */

/* Begins a sync, and returns its target: the number of the last frame that is there now. */
static uint64_t begin_sync(struct log *l)
{
    MUTEX_GUARD(&l->lock);
    l->sync_runs = true;
    l->sync_due = false;
    return l->seq;
}

/* Undoes begin_sync when the `before` callback failed: the frames still need a sync. */
static void give_up_sync(struct log *l)
{
    MUTEX_GUARD(&l->lock);
    l->sync_runs = false;
    l->sync_due = true;
}

/* Asks the thread for a segment whose blocks were written before, if syncs in the current one are
 * slow: the first sync that writes a block makes the journal of the disk part of it, and takes
 * twice as long. It asks only at every LOG_SYNCS_WORTH_IT-th sync, since there may be no room for
 * another segment. */
static void want_written(struct log *l)
{
    const struct segment *s = l->current;

    if (!l->has_thread || l->want || !segment_is_slow(s) || s->syncs % LOG_SYNCS_WORTH_IT ||
        log_written_ready(l))
        return;
    l->want = true;
    cond_signal(&l->wanted);
}

/* Appends the sync frame for `target`. *ret_serial: the segment it is in; 0: no segment is current,
 * so every frame is committed and none is written. */
static int put_sync_frame(struct log *l, uint64_t target, uint64_t *ret_serial)
{
    uint8_t done[FRAME_SYNC_LEN];
    struct iovec iov = {done, sizeof done};
    struct frame_head h = {.kind = FRAME_SYNC, .len = sizeof done, .seq = target};

    MUTEX_GUARD(&l->lock);
    l->sync_runs = false;
    *ret_serial = l->current ? l->current->serial : 0;
    if (!l->current)
        return 0;
    l->current->syncs++;
    want_written(l);
    put_le64(done, l->synced);
    h.time = clock_now(l->config.clock);
    return log_put(l, l->current, &h, &iov, 1);
}

/* Takes the first dirty segment with a serial above `after` and up to `last`: it gets a reference
 * and counts as clean from here on. NULL: there is none. */
static struct segment *next_dirty(struct log *l, uint64_t after, uint64_t last)
{
    struct segment *s;

    MUTEX_GUARD(&l->lock);
    TAILQ_FOREACH(s, &l->held, next)
    if (s->serial > after && s->serial <= last && s->dirty) {
        s->dirty = false;
        s->refs++;
        return s;
    }
    return NULL;
}

/* Gives back a segment after its sync. One that is not current and is still clean gets no more
 * frames, so its mapping and its file are closed. */
static void release(struct log *l, struct segment *s)
{
    bool shut;

    {
        MUTEX_GUARD(&l->lock);
        shut = s != l->current && !s->dirty && !s->expecting;
    }
    if (shut)
        segment_shut(s);
    mutex_lock(&l->lock);
    s = segment_unref(s);
    mutex_unlock(&l->lock);
    segment_close(s);
}

/* Syncs one segment. A shortage (io_is_short) passes, so the sync is repeated until it succeeds or
 * fails otherwise: the next sync frame would vouch for this segment, and only a repeated sync makes
 * it durable. The callers wait as long. */
static int sync_one(struct log *l, struct segment *s)
{
    int64_t duration_ns = NSEC_PER_MSEC;
    int err = disk_sync(s->file);

    if (io_is_short(err))
        report(REPORT_WARN,
               "the log cannot be synced now (%s): it is tried again until it can, and who waits "
               "for it waits",
               strerror(-err));
    while (io_is_short(err)) {
        {
            MUTEX_GUARD(&l->lock);
            (void)cond_wait_for(&l->room_freed, &l->lock, duration_ns);
        }
        duration_ns = duration_ns < SHORTAGE_REST_MAX ? duration_ns * 2 : duration_ns;
        err = disk_sync(s->file);
    }
    return err;
}

/* Syncs all dirty segments up to `last`, the oldest first, so that what is durable has no hole but
 * at its end. */
static int sync_segments(struct log *l, uint64_t last)
{
    uint64_t after = 0;
    struct segment *s;
    int err = 0;

    while (err == 0 && (s = next_dirty(l, after, last))) {
        after = s->serial;
        err = sync_one(l, s);
        release(l, s);
    }
    return err;
}

/* After a sync failed, nobody knows what is durable: nothing is appended or synced any more, and
 * the owner of the log is informed. */
static void break_log(struct log *l, int err)
{
    l->broken = true;
    {
        MUTEX_GUARD(&l->lock);
        cond_broadcast(&l->room_freed);
    }
    if (l->config.fatal)
        l->config.fatal(l->config.ctx, "the log cannot be synced", err);
}

/* The leader's work: calls `before`, appends the sync frame, syncs the segments, then publishes the
 * number of the last durable frame. */
static int sync_now(struct log *l, int (*before)(void *ctx), void *ctx)
{
    uint64_t target = begin_sync(l);
    int err = before ? before(ctx) : 0;

    if (err) {
        give_up_sync(l);
        return err;
    }
    const int64_t began = clock_ticks(l->config.clock);
    uint64_t last;

    err = put_sync_frame(l, target, &last);
    if (err == 0)
        err = sync_segments(l, last);
    if (err) {
        break_log(l, err);
        return -EIO;
    }
    {
        MUTEX_GUARD(&l->lock);
        l->synced = target;
        l->stats.syncs++;
        histogram_note(&l->stats.sync_times, clock_ticks(l->config.clock) - began);
    }
    if (l->on_synced)
        l->on_synced(l->on_synced_ctx, target);
    return 0;
}

int log_sync(struct log *l, uint64_t seq, int (*before)(void *ctx), void *ctx)
{
    uint64_t last = log_seq(l);
    int err = lead_or_wait(l, seq < last ? seq : last);

    if (err <= 0)
        return err;
    err = sync_now(l, before, ctx);
    end_lead(l);
    return err;
}
