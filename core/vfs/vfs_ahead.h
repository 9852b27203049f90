// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_ahead: reads ahead of who reads a large object on another shard in order, so that several
 * pieces of it are asked for at once.
 *
 *     n = ahead_read(p, &f->ahead, object, buf, len, off)    before the shard is asked
 *     ahead_drop(p, &f->ahead)                               the file is closed
 *
 * Each open file has a window of pieces of AHEAD_PIECE bytes. It begins with the second read that
 * goes on where others have ended, is as large as what was read in order by then, up to
 * `shard_parallel` pieces, and goes when a read is elsewhere. The kernel sends reads of one file
 * that overtake one another, so what is AHEAD_BEHIND bytes behind the last one still is in order,
 * and is kept.
 *
 * A shard that has answered the reader's own last request within AHEAD_WORTH, as a disk of this
 * machine does from its cache, is not read ahead: that would cost more than it gains.
 *
 * Bounds, for all files of a store: `shard_parallel` pieces are under way, with 1 none; and
 * AHEAD_MOST are kept. At that limit the file that was read longest ago loses its window.
 *
 * Each piece is read, and verified, by a thread of its own, which belongs to no file: whoever
 * closes a file does not wait for its shard. A piece that cannot be read counts as not read ahead,
 * so the reader's own request says what is wrong.
 *
 * Threads: any; several may read one file. The caller holds no lock. The lock inside, "ahead", is
 * a leaf, and is not held while a shard is asked.
 */
#pragma once

#include "lock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#define AHEAD_PIECE (UINT64_C(1) << 20) /* bytes */
#define AHEAD_WORTH 1000000             /* ns */
#define AHEAD_BEHIND (4 * AHEAD_PIECE)
#define AHEAD_MOST 64 /* pieces in memory, under way or not taken yet */

struct state;
struct ahead_piece;

/* The window of an open file; all zeros at first. Guarded by: ahead */
struct ahead {
    TAILQ_ENTRY(ahead) list;   /* in aheads.files while it has pieces */
    struct ahead_piece *first; /* by offset */
    uint64_t object;           /* that was read last; 0: none */
    bool is_slow;              /* its shard took longer than AHEAD_WORTH */
    uint64_t begun, next;      /* bytes of it that were read in order: from, to */
};

/* What a store keeps of all windows. */
struct aheads {
    struct mutex lock; /* "ahead", a leaf: guards the fields below */
    struct cond changed;
    TAILQ_HEAD(, ahead) files; /* with pieces; the one that was read longest ago is the first */
    unsigned pieces;           /* in memory */
    unsigned under_way;        /* of these, those that a thread reads */
};

void aheads_init(struct aheads *all);
/* Waits for the threads. No file is open, and no thread reads. */
void aheads_stop(struct state *p);

/* The bytes of a sealed object that were read ahead; waits for those that are under way. It has
 * what comes behind them read ahead. Returns `len`; or -ENOENT: not all of them were read ahead,
 * and the caller reads them. */
ssize_t ahead_read(struct state *p, struct ahead *a, uint64_t object, void *buf, size_t len,
                   uint64_t off);
/* Called after the caller has read them itself: that took so long. */
void ahead_took(struct state *p, struct ahead *a, int64_t duration_ns);
/* Forgets the window. No thread reads the file. */
void ahead_drop(struct state *p, struct ahead *a);
