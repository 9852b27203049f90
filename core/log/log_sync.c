// SPDX-License-Identifier: Apache-2.0
/*
 * log_sync: one sync for all who wait. Who finds none running leads one, for everybody whose frames
 * were there when it began; the others sleep. At its end those it was for are woken, and the first
 * of those who came too late, to lead the next: nobody is woken for nothing.
 */
#include "log_impl.h"

#include "io.h"
#include "report.h"
#include <errno.h>
#include <string.h>

#define SHORTAGE_REST_MAX NSEC_PER_SEC /* between two tries; at first a 1,000th */

/* ---- who leads ---- */

static void wait_to_be_woken(struct log *l, uint64_t seq, struct waiter *w)
{
    *w = (struct waiter){.seq = seq};
    cond_init(&w->cond);
    TAILQ_INSERT_TAIL(&l->waiters, w, next);
    while (!w->woken)
        cond_wait(&w->cond, &l->sync);
    cond_destroy(&w->cond);
}

/* 1: the caller leads a sync. 0: synced, by another. */
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
    if (w.leads)
        return 1;
    return log_synced_seq(l) >= seq ? 0 : -EIO;
}

static void wake(struct log *l, struct waiter *w)
{
    TAILQ_REMOVE(&l->waiters, w, next);
    w->woken = true;
    cond_signal(&w->cond);
}

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
    l->syncing = w != NULL; /* handed on */
    if (w) {
        w->leads = true;
        wake(l, w);
    }
    MUTEX_GUARD(&l->lock);
    l->stats.sync_callers += answered;
}

/* ---- one sync ---- */

/* What the sync is for: every frame that there is. */
static uint64_t begin_sync(struct log *l)
{
    MUTEX_GUARD(&l->lock);
    l->sync_runs = true;
    l->sync_due = false;
    return l->seq;
}

static void give_up_sync(struct log *l)
{
    MUTEX_GUARD(&l->lock);
    l->sync_runs = false;
    l->sync_due = true;
}

/* A sync that is the first to write a block makes the disk's own journal part of it, and takes
 * twice as long: who syncs often gets a segment that was written before. Not tried each time: there
 * may be no room for one. */
static void want_written(struct log *l)
{
    const struct segment *s = l->current;

    if (!l->has_thread || l->want || !segment_is_slow(s) || s->syncs % LOG_SYNCS_WORTH_IT ||
        log_written_ready(l))
        return;
    l->want = true;
    cond_signal(&l->wanted);
}

/* *ret_serial: where it is; 0: no segment is there that could have one. */
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

/* The first dirty segment behind `after`, referenced and taken to be clean. */
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

/* Synced, and nothing more will come: it needs no mapping. */
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

/* A shortage passes, and only what is asked for again in this sync is sure to be durable before the
 * next sync frame, which would say so. So whoever waits for it waits as long as it lasts. */
static int sync_one(struct log *l, struct segment *s)
{
    int64_t duration_ns = NSEC_PER_MSEC;
    int r = disk_sync(s->file);

    if (io_is_short(r))
        report(REPORT_WARN,
               "the log cannot be synced now (%s): it is tried again until it can, and who waits "
               "for it waits",
               strerror(-r));
    while (io_is_short(r)) {
        {
            MUTEX_GUARD(&l->lock);
            (void)cond_wait_for(&l->room_freed, &l->lock, duration_ns);
        }
        duration_ns = duration_ns < SHORTAGE_REST_MAX ? duration_ns * 2 : duration_ns;
        r = disk_sync(s->file);
    }
    return r;
}

/* Older ones first: what is durable has no holes but at its end. */
static int sync_segments(struct log *l, uint64_t last)
{
    uint64_t after = 0;
    struct segment *s;
    int r = 0;

    while (r == 0 && (s = next_dirty(l, after, last))) {
        after = s->serial;
        r = sync_one(l, s);
        release(l, s);
    }
    return r;
}

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

static int sync_now(struct log *l, int (*before)(void *ctx), void *ctx)
{
    uint64_t target = begin_sync(l);
    int r = before ? before(ctx) : 0;

    if (r) {
        give_up_sync(l);
        return r;
    }
    int64_t started = clock_ticks(l->config.clock);
    uint64_t last;

    r = put_sync_frame(l, target, &last);
    if (r == 0)
        r = sync_segments(l, last);
    if (r) {
        break_log(l, r);
        return -EIO;
    }
    {
        MUTEX_GUARD(&l->lock);
        l->synced = target;
        l->stats.syncs++;
        l->stats.last_sync_ns = clock_ticks(l->config.clock) - started;
    }
    if (l->on_synced)
        l->on_synced(l->on_synced_ctx, target);
    return 0;
}

int log_sync(struct log *l, uint64_t seq, int (*before)(void *ctx), void *ctx)
{
    uint64_t last = log_seq(l);
    int r = lead_or_wait(l, seq < last ? seq : last);

    if (r <= 0)
        return r;
    r = sync_now(l, before, ctx);
    end_lead(l);
    return r;
}
