// SPDX-License-Identifier: Apache-2.0
/*
 * log: frames. A frame is copied into the mapping of its segment, and its checksum is written last.
 * So if the process dies at any moment, the page cache has either the whole frame or none.
 */
#include "log_impl.h"
#include "mapped.h"
#include "report.h"
#include "waits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- room ---- */

/* The bytes left in a segment if `syncs` sync frames and its end frame are kept free. */
static uint64_t room_beside(const struct segment *s, unsigned syncs)
{
    uint64_t kept = s->used + syncs * LOG_SYNC_SIZE + LOG_END_SIZE;

    return s->size > kept ? s->size - kept : 0;
}

/* How many bytes of frames, with their sync frames, the segment can still take. */
static uint64_t segment_room(const struct log *l, const struct segment *s)
{
    return room_beside(s, (unsigned)l->sync_runs + l->sync_due);
}

uint64_t log_room_left(const struct log *l)
{
    uint64_t most = l->current ? segment_room(l, l->current) : 0;
    const struct segment *s;

    TAILQ_FOREACH(s, &l->ready, next)
    if (segment_room(l, s) > most)
        most = segment_room(l, s);
    return most;
}

struct segment *log_written_ready(const struct log *l)
{
    struct segment *s;

    TAILQ_FOREACH(s, &l->ready, next)
    if (s->written)
        break;
    return s;
}

/* The bytes that are reserved for a frame with `bytes` bytes of content: the frame, and the sync
 * frame that it makes necessary. */
static uint64_t cost_of(size_t bytes)
{
    return frame_size(bytes) + LOG_SYNC_SIZE;
}

/* Reserves `cost` bytes if a segment has room for all reservations together. Where the current
 * segment is full enough, it also asks the thread for the next one. Needs "log". */
static bool take_room(struct log *l, uint64_t cost)
{
    mutex_held(&l->lock);
    if (l->reserved + cost > log_room_left(l))
        return false;
    l->reserved += cost;
    if (l->has_thread && TAILQ_EMPTY(&l->ready) && l->current && !l->want &&
        l->current->used >= l->prepare_at) {
        l->want = true;
        cond_signal(&l->wanted);
    }
    return true;
}

/* Called when no segment could be made, because of `err`. Waits while the reservations of others
 * take the room, then returns 0. If no segment could hold `cost` bytes even alone, returns `err` at
 * once. */
static int wait_for_others(struct log *l, uint64_t cost, int err)
{
    MUTEX_GUARD(&l->lock);
    if (err != -EAGAIN && cost > log_room_left(l))
        return err;
    l->room_waiters++;
    WAITS_GUARD(WAITS_ROOM, "room in the log", 0, NULL);
    while (l->reserved && l->reserved + cost > log_room_left(l) && !l->broken)
        cond_wait(&l->room_freed, &l->lock);
    l->room_waiters--;
    return 0;
}

/* Makes a segment, or waits for others to give room back, until `cost` bytes are reserved. */
static int wait_for_room(struct log *l, uint64_t cost)
{
    for (;;) {
        int err = log_make(l, cost);

        if (err)
            err = wait_for_others(l, cost, err);
        MUTEX_GUARD(&l->lock);
        if (err == 0 && l->broken)
            err = -EIO;
        if (err != 0 || take_room(l, cost))
            return err;
    }
}

int log_room(struct log *l, size_t bytes)
{
    uint64_t cost = cost_of(bytes);

    if (bytes > LOG_FRAME_MAX)
        return -EFBIG;
    if (l->broken)
        return -EIO;
    {
        MUTEX_GUARD(&l->lock);
        if (take_room(l, cost))
            return 0;
    }
    return wait_for_room(l, cost);
}

bool log_room_now(struct log *l, size_t bytes)
{
    if (bytes > LOG_FRAME_MAX || l->broken)
        return false;
    MUTEX_GUARD(&l->lock);
    return take_room(l, cost_of(bytes));
}

void log_room_done(struct log *l, size_t bytes)
{
    MUTEX_GUARD(&l->lock);
    if (l->reserved < cost_of(bytes))
        abort(); /* the caller broke the contract: one call for each log_room */
    l->reserved -= cost_of(bytes);
    if (l->room_waiters)
        cond_broadcast(&l->room_freed);
}

/* ---- frames ---- */

/* One frame to be copied. */
struct putting {
    const struct segment *s;
    struct frame_head *h;
    const struct iovec *iov;
    int count;
    uint64_t size, tail; /* bytes of the frame; bytes behind it that become zeros */
};

/* Copies one frame into the mapping. Runs under mapped_guard, since a full or failing disk shows as
 * SIGBUS. */
static int put_bytes(void *arg)
{
    const struct putting *p = arg;
    uint8_t *frame = p->s->map + p->s->used, *to = frame + FRAME_HEAD;

    for (int i = 0; i < p->count; i++) {
        if (p->iov[i].iov_len)
            memcpy(to, p->iov[i].iov_base, p->iov[i].iov_len);
        to += p->iov[i].iov_len;
    }
    memset(frame + p->size, 0, p->tail); /* zeros behind the last frame show that the log ends
                                          * there */
    frame_seal(frame, p->h, p->s->seed, p->s->used);
    return 0;
}

/* Puts a frame at the end of a segment. Since the segment is mapped, a write that the disk does not
 * take is a memory fault: then the log is broken, -EIO is returned, and the frame lacks its
 * checksum, which is written last. */
int log_put(struct log *l, struct segment *s, struct frame_head *h, const struct iovec *iov,
            int count)
{
    struct putting p = {
        s, h, iov, count, frame_size(h->len), s->recycled && h->kind != FRAME_END ? 16 : 0};
    int err = l->broken ? -EIO : mapped_guard(put_bytes, &p);

    if (err) {
        if (!atomic_exchange(&l->broken, true))
            report(REPORT_ALARM,
                   "the disk does not take log/%016llx at byte %llu (it fails, or is full): free "
                   "space or mend it, then mount the store again",
                   (unsigned long long)s->serial, (unsigned long long)s->used);
        cond_broadcast(&l->room_freed);
        return err;
    }
    disk_map_wrote(s->file, s->map, s->used, p.size + p.tail);
    s->used += p.size;
    s->dirty = true;
    return 0;
}

/* Ends the current segment with an end frame, and makes the first ready segment the current one. */
static int move_on(struct log *l)
{
    struct segment *s = TAILQ_FIRST(&l->ready);
    struct frame_head end = {.kind = FRAME_END, .seq = l->seq};

    int err = l->current ? log_put(l, l->current, &end, NULL, 0) : 0;

    if (err)
        return err;
    TAILQ_REMOVE(&l->ready, s, next);
    TAILQ_INSERT_TAIL(&l->held, s, next);
    l->current = s;
    l->prepare_at = s->size / 2;
    return 0;
}

/* Does a frame of `size` bytes fit into the segment, beside the sync frame that it makes due? */
static bool fits(const struct log *l, const struct segment *s, uint64_t size)
{
    return s && size <= room_beside(s, (unsigned)l->sync_runs + 1);
}

/* A segment with room for `size` bytes becomes current. -ENOSPC: there is none, nothing changed. */
static int find_place(struct log *l, uint64_t size)
{
    const struct segment *s;
    int err = 0;
    bool found = fits(l, l->current, size);

    TAILQ_FOREACH(s, &l->ready, next)
    found = found || fits(l, s, size);
    while (found && err == 0 && !fits(l, l->current, size))
        err = move_on(l);
    return found ? err : -ENOSPC;
}

/* Moves on from a current segment in which syncs are slow, once a ready one is there whose blocks
 * were written before and that has room for all reservations. */
static int leave_slow(struct log *l)
{
    const struct segment *s;
    int err = 0;

    if (!l->current || !segment_is_slow(l->current))
        return 0;
    s = log_written_ready(l);
    if (!s || l->reserved > segment_room(l, s))
        return 0;
    while (err == 0 && l->current != s)
        err = move_on(l);
    return err;
}

/* Asks the thread to bring the next pages of the current segment into memory, so that no appending
 * thread waits for the disk to read the old content of a segment that is used again. */
static void expect_more(struct log *l)
{
    const struct segment *s = l->current;

    if (!l->has_thread || l->expect || s->expected >= s->size ||
        s->expected > s->used + LOG_EXPECT_AHEAD)
        return;
    l->expect = true;
    cond_signal(&l->wanted);
}

int log_append(struct log *l, uint32_t ns, const struct iovec *iov, int count, uint64_t *ret_seq)
{
    struct frame_head h = {.kind = FRAME_CHANGE, .ns = ns};
    size_t len = 0;

    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    if (len > LOG_FRAME_MAX)
        return -EFBIG;
    h.len = (uint32_t)len;
    MUTEX_GUARD(&l->lock);
    int err = leave_slow(l);

    if (err == 0)
        err = find_place(l, frame_size(len));
    if (err)
        return err;
    h.seq = l->seq + 1;
    h.time = clock_now(l->config.clock);
    err = log_put(l, l->current, &h, iov, count);
    if (err)
        return err;
    l->seq++;
    l->sync_due = true;
    l->stats.frames++;
    l->stats.frame_bytes += frame_size(len);
    expect_more(l);
    *ret_seq = h.seq;
    return 0;
}

uint64_t log_seq(struct log *l)
{
    MUTEX_GUARD(&l->lock);
    return l->seq;
}

uint64_t log_synced_seq(struct log *l)
{
    MUTEX_GUARD(&l->lock);
    return l->synced;
}

void log_position(struct log *l, struct log_pos *ret)
{
    MUTEX_GUARD(&l->lock);
    const struct segment *s = l->current ? l->current : TAILQ_FIRST(&l->ready);

    if (s)
        *ret = (struct log_pos){s->serial, s->used};
    else if (l->given_up.segment) /* the file of that segment still has its name (log_promise.h) */
        *ret = l->given_up;
    else
        *ret = (struct log_pos){l->next_serial, SEGMENT_HEAD};
}

/* ---- life ---- */

/* The incarnation of the disk: from the configuration, or from the disk itself. */
static int read_incarnation(const struct log_config *config, uint8_t out[32])
{
    if (!config->incarnation)
        return disk_incarnation(config->disk, out);
    memcpy(out, config->incarnation, 32);
    return 0;
}

int log_open(const struct log_config *config, struct log **ret_log)
{
    struct log *l = calloc(1, sizeof *l);
    int err = l ? read_incarnation(config, l->incarnation) : -ENOMEM;

    if (err) {
        free(l);
        return err;
    }
    l->config = *config;
    l->seq = l->synced = config->seq;
    l->next_serial = config->next_segment ? config->next_segment : 1;
    mutex_init(&l->sync, "log sync");
    mutex_init(&l->make, "log make");
    mutex_init(&l->lock, "log");
    cond_init(&l->room_freed);
    cond_init(&l->wanted);
    TAILQ_INIT(&l->held);
    TAILQ_INIT(&l->ready);
    TAILQ_INIT(&l->waiters);
    if (config->background)
        log_thread_start(l);
    *ret_log = l;
    return 0;
}

/* Close all segments of a list. */
static void close_all(struct segment_list *list)
{
    struct segment *s;

    while ((s = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, s, next);
        segment_close(s);
    }
}

void log_close(struct log *l)
{
    if (!l)
        return;
    log_thread_stop(l);
    close_all(&l->held);
    close_all(&l->ready);
    cond_destroy(&l->wanted);
    cond_destroy(&l->room_freed);
    mutex_destroy(&l->lock);
    mutex_destroy(&l->make);
    mutex_destroy(&l->sync);
    free(l);
}

void log_on_synced(struct log *l, void (*fn)(void *ctx, uint64_t seq), void *ctx)
{
    l->on_synced = fn;
    l->on_synced_ctx = ctx;
}

void log_get_stats(struct log *l, struct log_stats *ret)
{
    MUTEX_GUARD(&l->lock);
    *ret = l->stats;
}
