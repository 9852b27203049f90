// SPDX-License-Identifier: Apache-2.0
/*
 * log_impl: what log.c (frames), log_make.c (segments on the disk) and log_sync.c share.
 *
 *     held:  [ 4 ][ 5 ][ 6 ]     6 is the current one; the others wait for a commit
 *     ready: [ 7 ]               made, durable, empty; appending only ever moves on to these
 *     spare: log/…03             a file no longer needed, to become 8
 *
 * THE ROOM. `reserved` is the number of bytes that callers of log_room may still append, with the
 * head of each frame and one sync frame for each. All of it fits into one segment: the current one,
 * or one that is ready. If a part of it has gone into the current segment and the log then moves
 * on, the rest is not more, so it fits into the next. So log_append makes no segment and cannot
 * fail for want of room.
 */
#pragma once

#include "lock.h"
#include "log.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#define LOG_DIRECTORY "log"
#define LOG_SEGMENT_MIN (UINT64_C(1) << 20)
#define LOG_SEGMENT_TINY (UINT64_C(16) << 10) /* what tests may ask for */
#define LOG_SYNC_SIZE (FRAME_HEAD + FRAME_SYNC_LEN)
#define LOG_END_SIZE FRAME_HEAD
/* sync frames in one segment, from which on zeros in the next one pay */
#define LOG_SYNCS_WORTH_IT 16
#define LOG_EXPECT (UINT64_C(1) << 20) /* bytes whose pages are brought at once, */
#define LOG_EXPECT_AHEAD (4 * LOG_EXPECT) /* and how far ahead of the frames */

struct segment {
    TAILQ_ENTRY(segment) next;
    uint64_t serial, size, seed; /* fixed */
    bool recycled;               /* fixed; behind its frames there are old bytes, not zeros */
    bool written;                /* fixed; none of its blocks is new to the disk */
    unsigned syncs;              /* log; sync frames in it */
    uint64_t used;               /* log; where the next frame goes */
    uint64_t expected;           /* log; its pages are in memory up to there, or on their way */
    /* log; its pages are being brought into memory: its file stays open */
    bool expecting;
    /* log; has frames that were put after the last sync of its file began */
    bool dirty;
    /* log; one for the list it is in, one for each running sync or bring_pages */
    unsigned refs;
    struct disk_file *file;      /* NULL: closed, since nothing is written to it any more */
    uint8_t *map;
};
TAILQ_HEAD(segment_list, segment);

struct waiter {
    TAILQ_ENTRY(waiter) next;
    uint64_t seq;
    bool woken, leads;
    struct cond cond;
};
TAILQ_HEAD(waiter_list, waiter);

struct log {
    struct log_config config;
    uint8_t incarnation[32];
    void (*on_synced)(void *ctx, uint64_t seq);
    void *on_synced_ctx;
    _Atomic bool broken; /* a sync failed, or a page of a segment cannot be written */

    struct mutex sync; /* "log sync": the next two */
    bool syncing;
    struct waiter_list waiters;

    struct mutex make; /* "log make": one segment made or trimmed at a time; the next seven */
    bool have_directory;
    uint64_t spare, spare_size; /* serial in its name; size 0: there is none */
    bool spare_written;
    uint64_t last_size; /* of the last file made, */
    bool last_zeroed;   /* and whether with zeros */
    uint64_t syncs_before;      /* stats.syncs when the last segment was made */
    /* callers that wait for "make"; not 0: the thread stops writing zeros */
    _Atomic unsigned hurry;

    struct mutex lock; /* "log": the rest; a leaf */
    struct cond room_freed, wanted;
    struct segment_list held, ready;
    struct segment *current; /* the last of held, or NULL */
    uint64_t seq, synced, reserved;
    bool sync_runs; /* a sync runs that has not put its frame yet */
    bool sync_due;  /* there are frames that no running or finished sync covers */
    uint64_t next_serial;
    /* where the last segment ended, while no segment exists; segment 0: none was given up */
    struct log_pos given_up;
    uint64_t prepare_at; /* once so much of the current segment is used the next one is made */
    unsigned room_waiters;
    bool want, stop; /* what the thread is asked to do: make a segment; end */
    bool expect;     /* the thread is asked to bring pages of the current segment */
    struct log_stats stats;
    pthread_t thread;
    bool has_thread; /* written with "log make" and "log" */
};

/* Are syncs in this segment frequent and slow? Needs "log". */
static inline bool segment_is_slow(const struct segment *s)
{
    return !s->written && s->syncs >= LOG_SYNCS_WORTH_IT;
}

/* ---- log.c; need "log" ---- */

/* How many bytes of frames, with their sync frames, the segment can still take. */
uint64_t segment_room(const struct log *l, const struct segment *s);
/* The first ready one whose blocks were written before, or NULL. */
struct segment *log_written_ready(const struct log *l);
/* The largest reservation that can be had now, in bytes. */
uint64_t log_room_left(const struct log *l);
/* Puts a frame into a segment that has room for it. -EIO: the disk does not take it; the log is
 * broken then, and what lies at that place is not read as a frame. */
int log_put(struct log *l, struct segment *s, struct frame_head *h, const struct iovec *iov,
            int count);

/* ---- log_make.c ---- */

void log_name(uint64_t serial, char out[DISK_NAME_MAX + 1]);
/* Makes one more ready segment, unless by now there is room for `cost` bytes beside what is
 * reserved. -EAGAIN: there is room only when others have given theirs back. With cost 0 it makes
 * one unless a segment is ready. The caller holds no lock. */
int log_make(struct log *l, uint64_t cost);
/* Gives up a reference. Needs "log". If it returns a segment, the caller closes it after it
 * released "log". */
struct segment *segment_unref(struct segment *s);
void segment_close(struct segment *s); /* NULL is fine */
/* Unmap and close the file, the rest stays. */
void segment_shut(struct segment *s);
/* Starts the thread, unless it runs. Without memory for one, each caller that needs a segment makes
 * it. The caller holds "log make", or is the only user of the log. */
void log_thread_start(struct log *l);
void log_thread_stop(struct log *l);

/* ---- log_files.c ---- */

int segment_read_head(struct disk_file *f, struct segment_head *ret);
