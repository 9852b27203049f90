// SPDX-License-Identifier: Apache-2.0
/*
 * log_behind: at a place where a log has no next frame: has it ended there, or was a part of it
 * lost?
 *
 *     the page cache lived:  frames are copied one after the other, each with its checksum last. So
 *                            the end of the log is 8 zero bytes, with nothing behind them.
 *     power was lost:        everything that a completed sync covered is on the disk. A later sync
 *                            frame says up to which number a sync had completed before it. Two sync
 *                            frames mean that the first one's sync has completed. Everything else
 *                            may be on the disk in part.
 *
 * If the log contradicts this it is damaged. Frames are found by their checksums. A user who writes
 * files does not know the seed, and so cannot forge a frame, but can write bytes that look like the
 * heads of long frames. So at most EFFORT times the bytes of a segment are checksummed.
 */
#include "log_read_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Limit of the bytes that are checksummed, as a multiple of the bytes of a segment. */
#define EFFORT 64
#define BLANK 16 /* bytes; if there are so many zeros, no frame was put there */

/* What was found at the hole and behind it. */
struct behind {
    const struct log_verdict *v;
    struct log_pos hole;
    bool frames;      /* a frame of any kind was found */
    bool headless;    /* a segment with a damaged head: its frames cannot be checked */
    bool moved;       /* the segment at the hole was being renamed to the next serial */
    unsigned syncs;   /* sync frames */
    uint64_t done;    /* the highest number that was durable according to them */
    uint64_t changes; /* changes with numbers above the last whole one */
    uint64_t last;    /* the highest of those */
    uint64_t effort;  /* bytes that may still go through a checksum */
};

/* ---- one segment ---- */

/* Could this be the head of a frame behind the hole? A change needs a number that is possible
 * there. */
static bool is_likely(const struct log_reader *r, const struct behind *b, uint64_t off,
                      const struct frame_head *h)
{
    if (h->kind != FRAME_CHANGE)
        return true;
    return h->seq > b->v->last && frame_size(h->len) <= r->limit - off &&
           h->seq - b->v->last <= (r->limit / FRAME_HEAD) * (r->pos.segment - b->hole.segment + 1);
}

/* Notes a frame that was found behind the hole. */
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

/* Looks for a whole frame at `off`, and notes it. *ret_size is its length, 0 if there is none. */
static int try_frame(struct log_reader *r, struct behind *b, uint64_t off, uint64_t *ret_size)
{
    struct frame_head h;
    const uint8_t *p;
    int err = log_reader_bytes(r, off, FRAME_HEAD, &p);

    *ret_size = 0;
    if (err)
        return err;
    if (frame_peek(p, &h) || !is_likely(r, b, off, &h))
        return 0;
    uint64_t size = frame_size(h.len);

    if (size > r->limit - off || size > b->effort)
        return 0;
    b->effort -= size;
    err = log_reader_bytes(r, off, (size_t)size, &p);
    if (err)
        return err;
    if (frame_decode(p, (size_t)size, segment_seed(&r->head), off, &h))
        return 0;
    note_frame(b, &h, p);
    *ret_size = size;
    return 0;
}

/* How many bytes from `off` on are in the window. */
static size_t window_from(const struct log_reader *r, uint64_t off)
{
    return r->len && off >= r->at && off - r->at < r->len ? r->len - (size_t)(off - r->at) : 0;
}

/* Moves *off to the next place at which a frame could begin, or to the end of the segment. Most of
 * what is skipped is zeros. */
static int skip_others(struct log_reader *r, uint64_t *off)
{
    struct frame_head h;

    while (*off < r->limit && r->limit - *off >= FRAME_HEAD) {
        uint64_t left = r->limit - *off, i;
        size_t n = left < LOG_WINDOW ? (size_t)left : LOG_WINDOW, have = window_from(r, *off);
        const uint8_t *p;

        /* Use what is in the window, so that the same bytes are not read again for each frame. */
        n = have >= FRAME_HEAD ? have : n;
        int err = log_reader_bytes(r, *off, n, &p);

        if (err)
            return err;
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

/* Notes all frames of a segment from `off` on. */
static int look_through_segment(struct log_reader *r, struct behind *b, uint64_t off)
{
    uint64_t size;
    int err = 0;

    b->effort = r->limit * EFFORT;
    while ((err = skip_others(r, &off)) == 0 && off < r->limit) {
        err = try_frame(r, b, off, &size);
        if (err)
            break;
        off += size ? size : 8;
    }
    return err;
}

/* ---- all of them ---- */

/* Was a frame ever put into the segment? If not, it has 8 zeros where the first one would be. */
static int is_begun(struct log_reader *r, bool *ret)
{
    static const uint8_t zeros[8];
    const uint8_t *p;
    int err = log_reader_bytes(r, SEGMENT_HEAD, sizeof zeros, &p);

    *ret = err == 0 && memcmp(p, zeros, sizeof zeros) != 0;
    return err;
}

/* Looks for frames in one segment at the hole or behind it. */
static int look_at_segment(struct log_reader *r, struct behind *b, uint64_t serial)
{
    bool begun = false, first = serial == b->hole.segment;
    int err = log_reader_open(r, serial);

    if (err == -EUCLEAN)
        b->headless = true;
    if (err)
        return err == -ENOENT || err == -EUCLEAN ? 0 : err;
    r->pos.segment = serial;
    if (!first)
        err = is_begun(r, &begun);
    b->frames = b->frames || begun;
    if (err == 0)
        err = look_through_segment(r, b, first ? b->hole.offset : SEGMENT_HEAD);
    return err == -EUCLEAN ? 0 : err; /* the segment ends early: nothing more can be read in it */
}

/* Was the segment at the hole being renamed to the next serial? Its new name and its new head
 * become durable in any order. */
static bool is_moved(const struct log_reader *r, const struct behind *b, const struct log_file *f)
{
    uint64_t from = b->hole.segment, to = from + 1;

    return f->error == 0 && f->head.epoch == r->scan->epoch &&
           ((f->serial == to && f->head.serial == from) ||
            (f->serial == from && f->head.serial == to));
}

/* Looks through all segments from the hole on. Missing segments between them do not end the
 * search. */
static int look_behind(struct log_reader *r, struct behind *b)
{
    struct log_file *files;
    uint64_t segments = r->segments;
    size_t count;
    int err = log_files(r->disk, &files, &count);

    if (err)
        return err;
    for (size_t i = 0; i < count && err == 0; i++) {
        uint64_t serial = files[i].serial;

        b->moved = b->moved || is_moved(r, b, &files[i]);
        if (serial >= b->hole.segment)
            err = look_at_segment(r, b, serial);
    }
    free(files);
    r->segments = segments;
    return err;
}

/* ---- the verdict ---- */

/* How many of the BLANK bytes where the next frame would begin are zeros. For a segment that was
 * cut off there it is 0. */
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
    int err = look_behind(r, &b);

    if (err)
        return err;
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
    int err = look_behind(r, &b);

    v->behind = b.changes;
    v->behind_last = b.last;
    v->missing = err == 0 && r->scan->must && !b.moved;
    v->hole = v->missing ? b.hole : v->hole;
    return err ? err : b.frames || b.headless || v->missing ? -EUCLEAN : 0;
}
