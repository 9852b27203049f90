// SPDX-License-Identifier: Apache-2.0
/*
 * log: the ordered record of every change since the last commit (DESIGN 4.6).
 *
 *     log_open(&config, &log)                    empty, in epoch config.epoch
 *     log_room(log, bytes)                       before any lock: room for a frame, or why not
 *     log_append(log, &ops, &seq)                under the locks of what it changes; no system call
 *     log_room_done(log, bytes)                  after it, and where nothing was appended
 *     log_sync(log, seq, before, ctx)            fsync: every frame up to seq is durable
 *     log_position(log, &pos) ... log_trim(log, &pos)      what a commit covers, after it
 *
 * Segments are files "log/<16 hex>", preallocated and mapped; a frame is copied into the page cache
 * of its segment before log_append returns. Frames have consecutive sequence numbers; a sync frame
 * has that of the last frame it vouches for.
 *
 * A commit notes log_position with its number and epoch; the next start reads from there
 * (log_read), commits, and begins a new epoch.
 *
 * Errors: 0 or -errno. Threads: any. Locks inside: "log sync", "log make", "log" (a leaf).
 */
#pragma once

#include "clock.h"
#include "disk.h"
#include "frame.h"
#include "strbuf.h"
#include <stdbool.h>
#include <sys/uio.h>

struct log;

struct log_pos {
    uint64_t segment; /* serial */
    uint64_t offset;  /* of a frame in it */
};

struct log_config {
    struct disk *disk; /* borrowed */
    const struct clock *clock;
    uint64_t epoch; /* of this recovery; frames of any other epoch are not read */
    uint64_t seq;   /* number of the last frame of the epoch before */
    uint64_t next_segment;
    const uint8_t *incarnation; /* 32 bytes that disk_incarnation gave before; NULL: it is asked */
    uint64_t segment_size; /* bytes; less where the disk is small or full, and at first */
    bool background;       /* a thread keeps the next segment ready; tests make it when needed */
    /* Called once, when the log can no longer be trusted since a sync failed. The log holds none of
     * its locks then; those of the caller of log_sync are held. */
    void (*fatal)(void *ctx, const char *what, int err);
    void *ctx;
};

/* Opens an empty log. No file is made before the first frame. If the thread cannot be started now,
 * that is tried again with each segment that a caller waits for. -ENOMEM; without `incarnation` the
 * errors of disk_incarnation, too. */
int log_open(const struct log_config *config, struct log **ret_log);
/* Stops its thread, unmaps. Files stay. NULL is fine. */
void log_close(struct log *l);

#define LOG_FRAME_MAX (64u << 20) /* bytes of a frame's payload */

/* Reserves room for one frame with a payload of at most `bytes` bytes, beside the room of all other
 * callers; the room is kept until log_room_done. Called before a change takes its locks: it waits
 * for a new segment and for other callers, so the caller holds no lock and no other room. -ENOSPC,
 * -EDQUOT: there is no room before a commit has trimmed the log; -EFBIG: more than LOG_FRAME_MAX;
 * -EIO. */
int log_room(struct log *l, size_t bytes);
/* The same without waiting. False: there is none at once. */
bool log_room_now(struct log *l, size_t bytes);
/* Exactly once after each log_room that returned 0, with the same number, whether or not a frame
 * was appended. Locks may be held. */
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

/* Where the next frame goes. The caller shuts out appends. */
void log_position(struct log *l, struct log_pos *ret);
/* Called when a commit has everything before `pos`. Whole segments before it are deleted, or kept
 * to be used again; the log keeps the file that it needs to go on when the disk is full. */
void log_trim(struct log *l, const struct log_pos *pos);
/* Delete every file of the log: no frame is needed any more, and no change will come. */
int log_remove(struct disk *d);

struct log_stats {
    uint64_t segments, bytes;        /* on disk */
    uint64_t frames, frame_bytes;    /* appended since log_open */
    uint64_t syncs, sync_callers;    /* log_sync calls that were answered by those syncs */
    int64_t last_sync_ns, waited_ns; /* duration of the last one; callers' waits for room */
};
/* For tests and benchmarks. */
void log_get_stats(struct log *l, struct log_stats *ret);

/* ---- recovery and listing (log_read.c, log_files.c, log_text.c) ---- */

struct log_frame {
    struct log_pos pos;
    uint64_t seq;
    int64_t time; /* ns since the epoch */
    uint32_t ns;  /* the namespace that was changed; 0: the root */
    bool sync;    /* a sync frame: no payload; visited only with log_scan.all */
    bool tail;    /* recovery would not take it; only with log_scan.all */
    const void *payload;
    size_t len;
};
typedef int log_frame_fn(const struct log_frame *f, void *ctx); /* non-zero stops */

struct log_scan {
    uint64_t epoch, seq; /* as the last commit says: frames of this epoch behind this number */
    struct log_pos pos;  /* where the first of them would be */
    struct log_pos end;  /* segment 0: none; else nothing from there on is looked at */
    bool all;    /* for listing: whatever number comes first, sync frames and the tail, too */
    bool must;   /* there is a log: with none of its files it is lost (log_promise.h) */
    bool accept; /* damage is no error: the frames before it count, what is behind is given up */
};
struct log_report {
    uint64_t segments, frames, last_seq; /* frames visited; the number of the last (or scan.seq) */
    uint64_t next_segment;               /* above every serial seen */
    uint8_t incarnation[32]; /* of the disk, by which that was decided */
    bool same_boot;     /* the disk's page cache lived: every whole frame counted */
    bool torn;          /* something behind the last frame that counts was cut off */
    struct log_pos end; /* where that is, or the damage */
    bool missing;       /* none of its files is there, which is damage, too */
    bool damaged;         /* there is damage; the next three are of it */
    uint64_t whole;       /* the number of the last frame before the damage */
    uint64_t behind;      /* how many whole changes are behind the damage */
    uint64_t behind_last; /* the highest number among these; 0: there are none */
};
/* Checks all frames first, then visits those that count, in order: all whole ones when the disk is
 * the same mount of the same boot as when they were written, else those that the last sync frame
 * below which every frame is whole vouches for. -EUCLEAN: damage (a hole where a frame must have
 * been: a completed sync vouched for it, or the page cache lived), reported with segment and offset
 * in ret->end; nothing is visited then, unless scan.accept.
 *
 * So a mount is refused, nothing is changed, and replay.c raises the alarm that says what would be
 * lost (log_describe_loss); `tally check --repair` mounts with scan.accept, which gives that up. */
int log_read(struct disk *d, const struct log_scan *scan, log_frame_fn *fn, void *ctx,
             struct log_report *ret);
/* Tests: the scan that lists the frames that an open log still has. -ENOENT: it has none. */
int log_scan_now(struct log *l, struct log_scan *ret);

struct log_file {
    uint64_t serial; /* as its name says */
    uint64_t bytes;  /* its size */
    int error;       /* 0: `head` is good; -ENOENT: has none yet; -EUCLEAN, -EPROTO, -EIO */
    struct segment_head head;
};
/* Every segment there is, by serial. *ret_files is to be freed. */
int log_files(struct disk *d, struct log_file **ret_files, size_t *ret_count);
/* Each segment gets a second name, durably: log/damaged.<16 hex>. If another segment has that name,
 * a number is put behind it. Nothing in this room deletes files with such names. */
int log_keep(struct disk *d);
/* Delete all files of the log but sound segments of `epoch`. The last recovery is committed, and no
 * frame of `epoch` was appended yet. */
int log_reap(struct disk *d, uint64_t epoch);
/* The same while the log is open: only segments of epochs before `epoch` are deleted. */
int log_reap_earlier(struct disk *d, uint64_t epoch);
/* What an operation of a frame of namespace `ns` does, in words: "write 4096 bytes of content 77".
 */
void log_describe_op(const struct op *op, uint32_t ns, struct strbuf *out);
/* The number that the kernel gave the request that made the frame; 0: it was made for none. */
uint64_t log_frame_request(const struct log_frame *f);
/* All of a frame's, at most `max` of them. -EUCLEAN: an operation is none; those before are there.
 */
int log_describe(const struct log_frame *f, size_t max, struct strbuf *out);
/* Which changes damage costs: "changes 8 to 12 (3 of them ...)". */
void log_describe_loss(const struct log_report *r, struct strbuf *out);
