// SPDX-License-Identifier: Apache-2.0
/*
 * log_read_impl: what log_read.c and log_behind.c share. log_read.c goes from frame to frame. Where
 * no frame goes on it asks log_behind.c: is that the end of the log, or was something lost (a
 * hole)? What follows from a hole is in log.h, at log_read.
 */
#pragma once

#include "log_impl.h"

#define LOG_WINDOW (256u << 10) /* bytes read at once; more for a larger frame */

struct log_reader {
    struct disk *disk;
    const struct log_scan *scan;
    struct disk_file *file;
    struct segment_head head; /* of that file, as the next three */
    uint64_t limit;           /* bytes that there are */
    uint64_t at;              /* of the window */
    size_t len;
    uint8_t *window;
    size_t room;
    struct log_pos pos;
    uint64_t last;     /* number of the last whole frame */
    bool begun;        /* there was one */
    bool lost;         /* a segment that was used is not there, or has no head */
    bool same_boot;    /* the disk's page cache lived since the first segment was made */
    uint64_t segments; /* opened */
    uint8_t now[32];   /* the disk's incarnation */
};

/* The segment of that number is what is read from now on. -ENOENT: it is not there, or was never
 * used in this epoch; -EUCLEAN: its head is damaged. Another stays open then. */
int log_reader_open(struct log_reader *r, uint64_t serial);
/* Valid until the next call. -EUCLEAN: beyond the end. */
int log_reader_bytes(struct log_reader *r, uint64_t off, size_t len, const uint8_t **ret);

struct log_verdict {
    uint64_t last;                /* number of the last frame that is whole */
    uint64_t trusted;             /* number of the last frame that a sync vouches for */
    bool missing;                 /* the files of the log are gone */
    bool torn;                    /* something that is not whole was cut off */
    struct log_pos hole;          /* what comes first that is no frame */
    uint64_t behind, behind_last; /* whole changes behind it; the highest number of them */
};

/* At r->pos no frame goes on: is that the end of the log, or damage (-EUCLEAN)? Moves the
 * reader. */
int log_judge_hole(struct log_reader *r, struct log_verdict *v);
/* There is no segment where the log should go on, at r->pos: was there none (0), or is it lost? */
int log_judge_absence(struct log_reader *r, struct log_verdict *v);
