// SPDX-License-Identifier: Apache-2.0
/*
 * log: the ordered record of every change since the last commit (DESIGN 4.6).
 *
 *     log_open(&config, &log)            opens an empty log, in epoch config.epoch
 *     log_room(log, bytes)               before any lock: reserves room for a frame
 *     log_append(log, ns, iov, n, &seq)  under the locks of the change; makes no system call
 *     log_room_done(log, bytes)          after log_append, or if nothing was appended
 *     log_sync(log, seq, before, ctx)    fsync: makes every frame up to `seq` durable
 *     log_position(log, &pos)            where the frames end that a commit will have
 *     log_trim(log, &pos)                after that commit
 *
 * Segments are files "log/<16 hex>", preallocated and mapped; a frame is copied into the page cache
 * of its segment before log_append returns. Frames have consecutive sequence numbers. A sync frame
 * has the number of the last frame that it vouches for.
 *
 * A commit stores log_position with its number and epoch. The next start reads the log from there
 * (log_read), commits, and begins a new epoch.
 *
 * Errors: 0 or -errno. Threads: any. Locks inside: "log sync", "log make", "log" (a leaf).
 */
#pragma once

#include "clock.h"
#include "disk.h"
#include "frame.h"
#include "histogram.h"
#include "strbuf.h"
#include <stdbool.h>
#include <sys/uio.h>

struct log;

/* A place in the log. */
struct log_pos {
    uint64_t segment; /* serial of the segment */
    uint64_t offset;  /* of a frame, in bytes from the beginning of the segment */
};

struct log_config {
    struct disk *disk; /* borrowed */
    const struct clock *clock;
    uint64_t epoch; /* the epoch that this start begins; frames of other epochs are not read */
    uint64_t seq;   /* number of the last frame of the epoch before */
    uint64_t next_segment;
    const uint8_t *incarnation; /* 32 bytes from an earlier disk_incarnation; NULL: log_open calls
                                 * it */
    uint64_t segment_size; /* bytes; segments are smaller on a small or full disk, and the first
                            * ones always */
    bool background;       /* a thread makes the next segment in advance; false (tests): it is made
                            * when it is needed */
    /* Called once, when a sync has failed and the log can no longer be trusted. It is called
     * without locks of the log, but with those of the caller of log_sync. */
    void (*fatal)(void *ctx, const char *what, int err);
    void *ctx;
};

/* Opens an empty log. No file is made before the first frame. If its thread cannot be started now,
 * each caller that has to wait for a segment tries again. -ENOMEM; without `incarnation` the
 * errors of disk_incarnation, too. */
int log_open(const struct log_config *config, struct log **ret_log);
/* Closes the log: stops its thread and unmaps its segments. The files stay. NULL is fine. */
void log_close(struct log *l);

#define LOG_FRAME_MAX (64u << 20) /* bytes of a frame's payload */

/* Reserves room for one frame with a payload of at most `bytes` bytes, beside the room of all other
 * callers; the room is kept until log_room_done. Called before a change takes its locks: it waits
 * for a new segment and for other callers, so the caller holds no lock and no other room. -ENOSPC,
 * -EDQUOT: there is no room before a commit has trimmed the log; -EFBIG: more than LOG_FRAME_MAX;
 * -EIO. */
int log_room(struct log *l, size_t bytes);
/* As log_room, without waiting. False: there is no room at once. */
bool log_room_now(struct log *l, size_t bytes);
/* Gives the room back. Called exactly once after each log_room that returned 0, with the same
 * number, whether a frame was appended or not. The caller may hold locks. */
void log_room_done(struct log *l, size_t bytes);
/* Appends one frame. `iov` is its payload: encoded operations. It cannot fail for lack of room
 * between log_room and log_room_done (otherwise -ENOSPC, and nothing is written). -EIO: the disk
 * does not take the frame; no later frame or sync will succeed. */
int log_append(struct log *l, uint32_t ns, const struct iovec *iov, int count, uint64_t *ret_seq);
uint64_t log_seq(struct log *l);        /* of the last frame */
uint64_t log_synced_seq(struct log *l); /* every frame up to it is durable in the log */

/* Makes every frame up to `seq` durable. Many callers share one sync: one of them does it for all
 * that were waiting when it began. `before` is called first, without locks of the log, to sync what
 * the frames up to now name (slots); its error is returned and nothing is synced. After a failed
 * sync of the log itself every call fails with -EIO. */
int log_sync(struct log *l, uint64_t seq, int (*before)(void *ctx), void *ctx);
/* `fn` is called after each sync with the number of the last frame that is durable with all before
 * it. Set once, before the first frame. */
void log_on_synced(struct log *l, void (*fn)(void *ctx, uint64_t seq), void *ctx);

/* The place of the next frame. The caller makes sure that nothing is appended meanwhile. */
void log_position(struct log *l, struct log_pos *ret);
/* Called when a commit has everything before `pos`. Whole segments before it are deleted, or kept
 * to be used again; the log keeps the file that it needs to go on when the disk is full. */
void log_trim(struct log *l, const struct log_pos *pos);
/* Delete every file of the log: no frame is needed any more, and no change will come. */
int log_remove(struct disk *d);

struct log_stats {
    uint64_t segments, bytes;     /* on disk */
    uint64_t frames, frame_bytes; /* appended since log_open */
    uint64_t syncs, sync_callers; /* syncs; calls of log_sync that these syncs answered */
    struct histogram sync_times;  /* how long each of them took on the disk */
};
void log_get_stats(struct log *l, struct log_stats *ret);

/* ---- recovery and listing (log_read.c, log_files.c, log_text.c) ---- */

struct log_frame {
    struct log_pos pos;
    uint64_t seq;
    int64_t time; /* ns since the epoch */
    uint32_t ns;  /* the namespace that was changed; 0: the root */
    bool sync;    /* a sync frame: no payload; visited only with log_scan.all */
    bool tail;    /* recovery would not use it; visited only with log_scan.all */
    const void *payload;
    size_t len;
};
typedef int log_frame_fn(const struct log_frame *f, void *ctx); /* non-zero stops */

struct log_scan {
    uint64_t epoch, seq; /* from the last commit: frames of this epoch with higher numbers are
                          * visited */
    struct log_pos pos;  /* where the first of them would be */
    struct log_pos end;  /* nothing from there on is read; segment 0: there is no such end */
    bool all;    /* for listing: any first number is accepted; sync frames and the tail are
                  * visited, too */
    bool must;   /* a log must exist: if all its files are missing that is damage (log_promise.h) */
    bool accept; /* damage is no error: the frames before it count, and those behind it are given
                  * up */
};
struct log_report {
    uint64_t segments, frames, last_seq; /* opened; visited; number of the last visited frame, or
                                          * scan.seq */
    uint64_t next_segment;               /* above every serial seen */
    uint8_t incarnation[32]; /* the disk's incarnation now, which same_boot comes from */
    bool same_boot;     /* the disk's page cache lived: every whole frame counted */
    bool torn;          /* something behind the last frame that counts was cut off */
    struct log_pos end; /* the end of the frames that count, or the place of the damage */
    bool missing;       /* none of its files is there, which is damage, too */
    bool damaged;         /* the log is damaged; only then the next three are set */
    uint64_t whole;       /* the number of the last frame before the damage */
    uint64_t behind;      /* how many whole changes are behind the damage */
    uint64_t behind_last; /* the highest number among these; 0: there are none */
};
/* Checks all frames first, and then visits those that count, in order. Which frames count depends
 * on the disk. If its filesystem was mounted all the time since they were written, all whole frames
 * count. Otherwise power may have been lost: then the frames count that a sync frame vouches for,
 * as long as every frame up to that sync frame is whole.
 *
 * -EUCLEAN: the log is damaged: there is a hole where a frame must have been, since a completed
 * sync vouched for it, or since the page cache lived. ret->end is the place of the damage. No
 * frame is visited then, unless scan.accept is set. So a mount is refused and changes nothing,
 * and replay.c raises an alarm that says what would be lost (log_describe_loss). `tally check
 * --repair` mounts with scan.accept, which gives up what is behind the damage. */
int log_read(struct disk *d, const struct log_scan *scan, log_frame_fn *fn, void *ctx,
             struct log_report *ret);
/* Tests: the scan that lists the frames that an open log still has. -ENOENT: it has none. */
int log_scan_now(struct log *l, struct log_scan *ret);

struct log_file {
    uint64_t serial; /* as its name says */
    uint64_t bytes;  /* its size */
    int error;       /* 0: `head` is sound; -ENOENT: the file has no head yet; -EUCLEAN, -EPROTO,
                      * -EIO */
    struct segment_head head;
};
/* Lists all segments, ascending by serial. The caller frees *ret_files. */
int log_files(struct disk *d, struct log_file **ret_files, size_t *ret_count);
/* Gives each segment a second name, durably: log/damaged.<16 hex>. If another segment has that
 * name already, a number is added to it. Nothing in this room deletes files with such names. */
int log_keep(struct disk *d);
/* Deletes all files of the log except sound segments of `epoch`. Called when the last recovery is
 * committed, and before a frame of `epoch` is appended. */
int log_reap(struct disk *d, uint64_t epoch);
/* Describes an operation of a frame of namespace `ns` in words: "write 4096 bytes of content
 * 77". */
void log_describe_op(const struct op *op, uint32_t ns, struct strbuf *out);
#define LOG_TIME 64 /* bytes */
/* A time as "2026-11-22T08:30:00.123456789Z". Returns `out`. */
const char *log_time(int64_t time_ns, char out[LOG_TIME]);
/* The kernel's number of the request that made the frame; 0: no request made it. */
uint64_t log_frame_request(const struct log_frame *f);
/* Describes all operations of a frame, at most `max` of them. -EUCLEAN: one of them does not
 * decode; those before it are in `out`. */
int log_describe(const struct log_frame *f, size_t max, struct strbuf *out);
/* Describes the changes that are lost with the damage: "changes 8 to 12 (3 of them ...)". */
void log_describe_loss(const struct log_report *r, struct strbuf *out);
