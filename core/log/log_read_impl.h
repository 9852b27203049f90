// SPDX-License-Identifier: Apache-2.0
/*
 * log_read_impl: what log_read.c and log_behind.c share. log_read.c reads frame after frame. Where
 * no frame follows it asks log_behind.c whether that is the end of the log, or whether something
 * was lost there (a hole). log_read in log.h says what follows from a hole.
 */
#pragma once

#include "log_impl.h"

#define LOG_WINDOW (256u << 10) /* bytes that are read at once, except for a larger frame */

struct log_reader {
    struct disk *disk;
    const struct log_scan *scan;
    struct disk_file *file;
    struct segment_head head; /* head of `file` */
    uint64_t limit;           /* bytes of `file` that can be read */
    uint64_t at;              /* offset of the window in `file` */
    size_t len;               /* bytes in the window */
    uint8_t *window;          /* of `room` bytes */
    size_t room;
    struct log_pos pos;       /* where the next frame is expected */
    uint64_t last;     /* number of the last whole frame */
    bool begun;        /* a frame behind scan.seq was read */
    bool lost;         /* a segment that was in use is missing, or has a damaged head */
    bool same_boot;    /* the disk's page cache lived since the first segment was made */
    uint64_t segments; /* segments opened so far */
    uint8_t now[32];   /* the disk's incarnation */
    uint8_t mount[32]; /* and what older versions called that: disk_incarnation_of_mount */
};

/* Makes the reader read the segment of that number. After an error the segment that was open
 * stays open. -ENOENT: it is not there, or was never used in this epoch; -EUCLEAN: its head is
 * damaged. */
int log_reader_open(struct log_reader *r, uint64_t serial);
/* Reads `len` bytes at `off`. *ret is valid until the next call. -EUCLEAN: beyond the end. */
int log_reader_bytes(struct log_reader *r, uint64_t off, size_t len, const uint8_t **ret);

struct log_verdict {
    uint64_t last;                /* number of the last frame that is whole */
    uint64_t trusted;             /* number of the last frame that a sync vouches for */
    bool missing;                 /* the files of the log are gone */
    bool torn;                    /* something that is not whole was cut off */
    struct log_pos hole;          /* the first place without a whole frame */
    /* How many whole changes are behind the hole, and the highest number of these. */
    uint64_t behind, behind_last;
};

/* Decides whether r->pos, where the log has no next frame, is its end (0) or damage (-EUCLEAN).
 * Moves the reader. */
int log_judge_hole(struct log_reader *r, struct log_verdict *v);
/* Called when no segment exists at r->pos, where the log should go on. 0: there never was one;
 * -EUCLEAN: it is lost. */
int log_judge_absence(struct log_reader *r, struct log_verdict *v);
