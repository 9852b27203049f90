// SPDX-License-Identifier: Apache-2.0
/*
 * log_impl: what log.c (frames), log_make.c (segments on the disk) and log_sync.c share.
 *
 *     held:  [ 4 ][ 5 ][ 6 ]     6 is the current one; the others wait for a commit
 *     ready: [ 7 ]               made, durable, empty; appending only ever moves on to these
 *     spare: log/…03             a file no longer needed, to become 8
 *
 * THE ROOM. What callers of log_room may still append, with the heads and one sync frame for each,
 * is `reserved`. It always fits into the current segment, or into one ready segment: whatever part
 * of it goes into the current one and those before, the rest is not more. So appending needs to
 * make nothing, and cannot fail.
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
#define LOG_SYNCS_WORTH_IT 16 /* in one segment: the next is written before */
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
    bool expecting;              /* log; or being brought: its file stays open */
    bool dirty;                  /* log; has frames that no sync began after */
    unsigned refs;               /* log; held or ready is one, a running sync another */
    struct disk_file *file;      /* NULL: shut, nothing is written to it any more */
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
    uint64_t syncs_before;      /* stats.syncs then */
    _Atomic unsigned hurry;     /* who waits for "make" */

    struct mutex lock; /* "log": the rest; a leaf */
    struct cond room_freed, wanted;
    struct segment_list held, ready;
    struct segment *current; /* the last of held, or NULL */
    uint64_t seq, synced, reserved;
    bool sync_runs; /* and has not put its frame yet */
    bool sync_due;  /* there are frames that no sync is for */
    uint64_t next_serial;
    struct log_pos given_up; /* the end of the last segment that was, while there is none */
    uint64_t prepare_at; /* once so much of the current segment is used the next one is made */
    unsigned room_waiters;
    bool want, stop; /* of the thread: make a segment; end */
    bool expect;     /* and: bring pages of the current one */
    struct log_stats stats;
    pthread_t thread;
    bool has_thread; /* written with "log make" and "log" */
};

/* Syncs in it are frequent, and slow. Needs "log". */
static inline bool segment_is_slow(const struct segment *s)
{
    return !s->written && s->syncs >= LOG_SYNCS_WORTH_IT;
}

/* ---- log.c; need "log" ---- */

/* Bytes of frames, their sync frames included, that it takes. */
uint64_t segment_room(const struct log *l, const struct segment *s);
/* The first ready one whose blocks were written before, or NULL. */
struct segment *log_written_ready(const struct log *l);
/* The most that one change can count on. */
uint64_t log_room_left(const struct log *l);
/* A frame into a segment that has room for it. -EIO: the disk does not take it, and the log is
 * broken: nothing but a frame that is none lies there. */
int log_put(struct log *l, struct segment *s, struct frame_head *h, const struct iovec *iov,
            int count);

/* ---- log_make.c ---- */

void log_name(uint64_t serial, char out[DISK_NAME_MAX + 1]);
/* Unless there is room by now for `cost` beside what is reserved: one more ready segment. -EAGAIN:
 * only when others are done. Cost 0: unless there is a ready one. Holding nothing. */
int log_make(struct log *l, uint64_t cost);
/* Give up a reference. Needs "log"; what it returns is to be closed without it. */
struct segment *segment_unref(struct segment *s);
void segment_close(struct segment *s); /* NULL is fine */
/* Unmap and close the file, the rest stays. */
void segment_shut(struct segment *s);
/* Unless it runs. Where there is too little for one, whoever needs a segment makes it. Holding "log
 * make", or nobody else is there. */
void log_thread_start(struct log *l);
void log_thread_stop(struct log *l);

/* ---- log_files.c ---- */

int segment_read_head(struct disk_file *f, struct segment_head *ret);
