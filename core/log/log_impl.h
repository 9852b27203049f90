// SPDX-License-Identifier: Apache-2.0
/*
 * log_impl: what log.c (frames), log_make.c (segments on the disk) and log_sync.c share.
 *
 *     held:  [ 4 ][ 5 ][ 6 ]     6 is the current one; the others wait for a commit
 *     ready: [ 7 ]               made, durable, empty; appending only ever moves on to these
 *     spare: log/…03             a file no longer needed, to become 8
 *
 * THE ROOM. `reserved` is the number of bytes that callers of log_room may still append, with the
 * head of each frame and one sync frame for each. One segment has room for all of `reserved`: the
 * current one, or one that is ready. If the log moves on to a ready segment, what is still reserved
 * is not more than before, so it fits there. So log_append never makes a segment, and cannot fail
 * for lack of room.
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
/* After so many sync frames in one segment it pays to write zeros over the next one. */
#define LOG_SYNCS_WORTH_IT 16
#define LOG_EXPECT (UINT64_C(1) << 20) /* bytes that are brought into memory at once */
#define LOG_EXPECT_AHEAD (4 * LOG_EXPECT) /* bytes behind the frames that are to be in memory */

/* A segment: a file of the log that is mapped. "log; …" at a field: the lock "log" guards it. */
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
    struct disk_file *file;      /* NULL: the file is closed, since nothing is written to it any
                                  * more */
    uint8_t *map;
};
TAILQ_HEAD(segment_list, segment);

/* A thread that waits in log_sync; on its stack. guarded by: "log sync" */
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

    struct mutex sync;          /* "log sync" */
    _Atomic int leader;         /* the thread that leads a sync; of the last one, if none does */
    bool syncing;               /* sync; a thread leads a sync, or was handed the lead */
    struct waiter_list waiters; /* sync */

    struct mutex make;          /* "log make": one segment is made or trimmed at a time */
    bool have_directory;        /* make; the directory of the log exists durably */
    uint64_t spare, spare_size; /* make; serial in its name, bytes; size 0: there is none */
    bool spare_written;         /* make; as segment.written */
    uint64_t last_size;         /* make; bytes of the last new file */
    bool last_zeroed;           /* make; zeros were written over the last new file */
    uint64_t syncs_before;      /* make; stats.syncs when the last segment was made */
    /* Number of callers that wait for "log make". If it is not 0 the thread stops writing zeros. */
    _Atomic unsigned hurry;

    struct mutex lock; /* "log", a leaf: guards all fields below */
    struct cond room_freed, wanted;
    struct segment_list held, ready;
    struct segment *current; /* the last segment of `held`, or NULL */
    uint64_t seq, synced, reserved;
    bool sync_runs; /* a sync runs that has not put its frame yet */
    bool sync_due;  /* there are frames that no running or finished sync covers */
    uint64_t next_serial;
    /* Where the last segment ended, if it was given up and no segment exists now; segment 0: none
     * was given up. */
    struct log_pos given_up;
    uint64_t prepare_at; /* when so many bytes of the current segment are used, the next one is
                          * made */
    unsigned room_waiters;
    bool want, stop; /* the thread is asked to make a segment; to end */
    bool expect;     /* the thread is asked to bring pages of the current segment */
    struct log_stats stats;
    pthread_t thread;
    bool has_thread; /* written with "log make" and "log" held */
};

/* Are syncs in this segment frequent and slow? Needs "log". */
static inline bool segment_is_slow(const struct segment *s)
{
    return !s->written && s->syncs >= LOG_SYNCS_WORTH_IT;
}

/* ---- log.c; need "log" ---- */

/* The first ready segment whose blocks were written before, or NULL. */
struct segment *log_written_ready(const struct log *l);
/* The largest reservation that can be had now, in bytes. */
uint64_t log_room_left(const struct log *l);
/* Puts a frame into a segment that has room for it. -EIO: the disk does not take it. Then the log
 * is broken, and nothing at that place is read as a frame. */
int log_put(struct log *l, struct segment *s, struct frame_head *h, const struct iovec *iov,
            int count);

/* ---- log_make.c ---- */

/* The path of the segment file with that serial. */
void log_name(uint64_t serial, char out[DISK_NAME_MAX + 1]);
/* Makes one more ready segment, unless there is room for `cost` bytes beside all reservations by
 * now. -EAGAIN: no segment is made that large, and the caller waits until others give room back.
 * With `cost` 0 it makes one unless a segment is ready. The caller holds no lock. */
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

/* Reads the head of a segment. -ENOENT: it was never written; -EUCLEAN, -EPROTO, -EIO. */
int segment_read_head(struct disk_file *f, struct segment_head *ret);
