// SPDX-License-Identifier: Apache-2.0
/*
 * log_behind: where a log has no more frame that goes on: has it ended there, or was more of it
 * lost?
 *
 *     the page cache lived:  a frame is copied, its checksum comes last, and then comes the next
 *                            one. So at the end are 8 zero bytes, and nothing behind them.
 *     power was lost:        what a completed sync covered is there. A later sync frame says up to
 *                            which number one had completed; a sync frame follows another only
 *                            after that one's sync. The rest may be there in part.
 *
 * What contradicts that is damage. Frames are found by their checksums, whose seed nobody knows who
 * writes files; but such a one can make bytes that look like the heads of long frames. So for
 * changes no more than a multiple of what is there is read, and sync frames have one length.
 */
#include "log_read_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EFFORT 64 /* times the bytes that are there: so many go through a checksum at most */
#define BLANK 16  /* zeros where a frame could begin: none was put there */

struct behind {
    const struct log_verdict *v;
    struct log_pos hole;
    bool frames;      /* there is one of any kind */
    bool headless;    /* a segment of whose frames nothing can be told */
    bool moved;       /* the segment where the log goes on was becoming the next one */
    unsigned syncs;   /* sync frames */
    uint64_t done;    /* what they say was durable before */
    uint64_t changes; /* with numbers that were due */
    uint64_t last;    /* the highest of those */
    uint64_t effort;  /* bytes that may still be looked at */
};

/* ---- one segment ---- */

/* Could it be a frame behind the hole, as far as its head tells? */
static bool is_likely(const struct log_reader *r, const struct behind *b, uint64_t off,
                      const struct frame_head *h)
{
    if (h->kind != FRAME_CHANGE)
        return true;
    return h->seq > b->v->last && frame_size(h->len) <= r->limit - off &&
           h->seq - b->v->last <= (r->limit / FRAME_HEAD) * (r->pos.segment - b->hole.segment + 1);
}

static void note_frame(struct behind *b, const struct frame_head *h, const uint8_t *frame)
{
    b->frames = true;
    if (h->kind == FRAME_SYNC) {
        uint64_t done = get_le64(frame + FRAME_HEAD);

        b->syncs++;
        b->done = done > b->done ? done : b->done;
    }
    if (h->kind == FRAME_CHANGE && h->seq > b->v->last) {
        b->changes++;
        b->last = h->seq > b->last ? h->seq : b->last;
    }
}

/* 0: no frame is there; else its length. */
static int try_frame(struct log_reader *r, struct behind *b, uint64_t off, uint64_t *ret_size)
{
    struct frame_head h;
    const uint8_t *p;
    int e = log_reader_bytes(r, off, FRAME_HEAD, &p);

    *ret_size = 0;
    if (e)
        return e;
    if (frame_peek(p, &h) || !is_likely(r, b, off, &h))
        return 0;
    uint64_t size = frame_size(h.len);

    if (size > r->limit - off || size > b->effort)
        return 0;
    b->effort -= size;
    e = log_reader_bytes(r, off, (size_t)size, &p);
    if (e)
        return e;
    if (frame_decode(p, (size_t)size, segment_seed(&r->head), off, &h))
        return 0;
    note_frame(b, &h, p);
    *ret_size = size;
    return 0;
}

/* How much of it is in memory. */
static size_t window_from(const struct log_reader *r, uint64_t off)
{
    return r->len && off >= r->at && off - r->at < r->len ? r->len - (size_t)(off - r->at) : 0;
}

/* The first place from *off on where a frame could begin, or the end: most of it is zeros. */
static int skip_others(struct log_reader *r, uint64_t *off)
{
    struct frame_head h;

    while (*off < r->limit && r->limit - *off >= FRAME_HEAD) {
        uint64_t left = r->limit - *off, i;
        size_t n = left < LOG_WINDOW ? (size_t)left : LOG_WINDOW, have = window_from(r, *off);
        const uint8_t *p;

        n = have >= FRAME_HEAD ? have : n; /* nothing is read twice for each frame */
        int e = log_reader_bytes(r, *off, n, &p);

        if (e)
            return e;
        for (i = 0; i + FRAME_HEAD <= n; i += 8)
            if (frame_peek(p + i, &h) == 0) {
                *off += i;
                return 0;
            }
        *off += i;
    }
    *off = r->limit;
    return 0;
}

static int look_through_segment(struct log_reader *r, struct behind *b, uint64_t off)
{
    uint64_t size;
    int e = 0;

    b->effort = r->limit * EFFORT;
    while ((e = skip_others(r, &off)) == 0 && off < r->limit) {
        e = try_frame(r, b, off, &size);
        if (e)
            break;
        off += size ? size : 8;
    }
    return e;
}

/* ---- all of them ---- */

/* A segment is empty that no frame was put into: 8 zeros stand where its first one would. */
static int is_begun(struct log_reader *r, bool *ret)
{
    static const uint8_t zeros[8];
    const uint8_t *p;
    int e = log_reader_bytes(r, SEGMENT_HEAD, sizeof zeros, &p);

    *ret = e == 0 && memcmp(p, zeros, sizeof zeros) != 0;
    return e;
}

static int look_at_segment(struct log_reader *r, struct behind *b, uint64_t serial)
{
    bool begun = false, first = serial == b->hole.segment;
    int e = log_reader_open(r, serial);

    if (e == -EUCLEAN)
        b->headless = true;
    if (e)
        return e == -ENOENT || e == -EUCLEAN ? 0 : e;
    r->pos.segment = serial;
    if (!first)
        e = is_begun(r, &begun);
    b->frames = b->frames || begun;
    if (e == 0)
        e = look_through_segment(r, b, first ? b->hole.offset : SEGMENT_HEAD);
    return e == -EUCLEAN ? 0 : e; /* that one has no more to say */
}

/* Its new name and its new head become durable in any order. */
static bool is_moved(const struct log_reader *r, const struct behind *b, const struct log_file *f)
{
    uint64_t from = b->hole.segment, to = from + 1;

    return f->error == 0 && f->head.epoch == r->scan->epoch &&
           ((f->serial == to && f->head.serial == from) ||
            (f->serial == from && f->head.serial == to));
}

/* Missing ones between them do not hide what is behind those. */
static int look_behind(struct log_reader *r, struct behind *b)
{
    struct log_file *files;
    uint64_t segments = r->segments;
    size_t count;
    int e = log_files(r->disk, &files, &count);

    if (e)
        return e;
    for (size_t i = 0; i < count && e == 0; i++) {
        uint64_t serial = files[i].serial;

        b->moved = b->moved || is_moved(r, b, &files[i]);
        if (serial >= b->hole.segment)
            e = look_at_segment(r, b, serial);
    }
    free(files);
    r->segments = segments;
    return e;
}

/* ---- the verdict ---- */

/* How many of the bytes where the next frame would begin are zeros? More than there are: of a
 * segment that was cut off nobody knows. */
static size_t zeros_at_hole(struct log_reader *r)
{
    const uint8_t *p;
    size_t n = 0;

    if (!r->file || r->head.serial != r->pos.segment ||
        log_reader_bytes(r, r->pos.offset, BLANK, &p))
        return 0;
    while (n < BLANK && p[n] == 0)
        n++;
    return n;
}

int log_judge_hole(struct log_reader *r, struct log_verdict *v)
{
    struct behind b = {.v = v, .hole = r->pos};
    size_t zeros = zeros_at_hole(r);

    v->hole = r->pos;
    int e = look_behind(r, &b);

    if (e)
        return e;
    v->behind = b.changes;
    v->behind_last = b.last;
    v->torn = zeros < BLANK || b.syncs;
    if (r->lost)
        return -EUCLEAN;
    if (r->same_boot)
        return zeros < 8 || b.frames || b.headless ? -EUCLEAN : 0;
    return b.syncs > 1 || b.done > v->trusted ? -EUCLEAN : 0;
}

int log_judge_absence(struct log_reader *r, struct log_verdict *v)
{
    struct behind b = {.v = v, .hole = r->pos};
    int e = look_behind(r, &b);

    v->behind = b.changes;
    v->behind_last = b.last;
    v->missing = e == 0 && r->scan->must && !b.moved;
    v->hole = v->missing ? b.hole : v->hole;
    return e ? e : b.frames || b.headless || v->missing ? -EUCLEAN : 0;
}
