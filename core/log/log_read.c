// SPDX-License-Identifier: Apache-2.0
/*
 * log_read: finds the frames that count in a log that was not closed.
 *
 *     [frame 7][frame 8][sync 8][frame 9][ hole ][frame 11][sync 11 (8 was durable)]
 *                               ^                ^ if the page cache lived, frames count up to the
 *                               |                  hole
 *                               ' after a loss of power, frames count up to here
 *
 * At the first place without a next frame log_behind.c decides, by what lies behind it, whether
 * that place is the end of the log or damage.
 */
#include "log_read_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- one segment ---- */

static void reader_release(struct log_reader *r)
{
    disk_file_close(r->file);
    r->file = NULL;
    free(r->window);
    r->window = NULL;
}

/* The error for a segment without a head. -ENOENT: it never had a frame, since a new file is all
 * zeros; -EUCLEAN: it has a frame, so it once had a head. */
static int why_no_head(struct disk_file *f)
{
    uint8_t bytes[FRAME_HEAD] = {0};
    struct frame_head h;
    ssize_t n = disk_pread(f, bytes, sizeof bytes, SEGMENT_HEAD);

    return n < 0 ? (int)n : frame_peek(bytes, &h) ? -ENOENT : -EUCLEAN;
}

/* Makes the reader read the file `f`, which it owns from then on, if its head is that of the
 * segment. -ENOENT: it is another segment. */
static int use_file(struct log_reader *r, uint64_t serial, struct disk_file *f)
{
    struct segment_head h;
    struct disk_stat stat;
    int err = segment_read_head(f, &h);

    if (err)
        return err == -ENOENT ? why_no_head(f) : err;
    if (h.serial != serial || h.epoch != r->scan->epoch)
        return -ENOENT; /* the file is being renamed for another segment, or is of another epoch */
    err = disk_fstat(f, &stat);
    if (err)
        return err;
    disk_file_close(r->file);
    r->file = f;
    r->head = h;
    r->limit = h.size < stat.size ? h.size : stat.size;
    r->len = 0;
    if (r->segments++ == 0)
        r->same_boot = memcmp(h.incarnation, r->now, sizeof r->now) == 0 ||
                       memcmp(h.incarnation, r->mount, sizeof r->mount) == 0;
    return 0;
}

int log_reader_open(struct log_reader *r, uint64_t serial)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;

    log_name(serial, name);
    int err = disk_open(r->disk, name, DISK_READ, &f);

    if (err)
        return err;
    err = use_file(r, serial, f);
    if (err)
        disk_file_close(f);
    return err;
}

/* Makes the window large enough for `len` bytes. */
static int make_window(struct log_reader *r, size_t len)
{
    size_t room = len > LOG_WINDOW ? len : LOG_WINDOW;
    uint8_t *p = r->room >= room ? r->window : realloc(r->window, room);

    if (!p)
        return -ENOMEM;
    r->window = p;
    r->room = r->room >= room ? r->room : room;
    return 0;
}

int log_reader_bytes(struct log_reader *r, uint64_t off, size_t len, const uint8_t **ret)
{
    if (off > r->limit || len > r->limit - off)
        return -EUCLEAN;
    if (r->len == 0 || off < r->at || off + len > r->at + r->len) {
        int err = make_window(r, len);

        if (err)
            return err;
        ssize_t n = disk_pread(r->file, r->window, r->room, off);

        r->len = 0;
        if (n < 0)
            return (int)n;
        if ((size_t)n < len)
            return -EUCLEAN;
        r->at = off;
        r->len = (size_t)n;
    }
    *ret = r->window + (off - r->at);
    return 0;
}

/* Reads and checks the whole frame at `off`. *ret is borrowed until the next read. */
static int frame_at(struct log_reader *r, uint64_t off, struct frame_head *h, const uint8_t **ret)
{
    int err = log_reader_bytes(r, off, FRAME_HEAD, ret);

    if (err == 0)
        err = frame_peek(*ret, h);
    if (err == 0 && h->len > LOG_FRAME_MAX)
        err = -EUCLEAN;
    if (err == 0)
        err = log_reader_bytes(r, off, (size_t)frame_size(h->len), ret);
    return err ? err
               : frame_decode(*ret, (size_t)frame_size(h->len), segment_seed(&r->head), off, h);
}

/* ---- frame after frame ---- */

/* Has the reader reached the end of the scan? */
static bool at_end(const struct log_reader *r)
{
    const struct log_pos *end = &r->scan->end;

    return end->segment && (r->pos.segment > end->segment ||
                            (r->pos.segment == end->segment && r->pos.offset >= end->offset));
}

/* Opens the first segment of the scan. It may be missing, if it was given up when all of it was
 * committed; then the scan begins with the next segment, whose head says whether that is so. */
static int open_first(struct log_reader *r)
{
    int err = log_reader_open(r, r->pos.segment);

    while (err == -ENOENT && !at_end(r)) {
        if (!r->scan->end.segment && r->pos.segment > r->scan->pos.segment)
            break;
        r->pos = (struct log_pos){r->pos.segment + 1, SEGMENT_HEAD};
        err = log_reader_open(r, r->pos.segment);
    }
    if (err == 0 && r->scan->must && r->head.after && r->head.after >= r->scan->pos.segment) {
        r->pos = r->scan->pos;
        err = -EUCLEAN;
    }
    if (err == -EUCLEAN)
        r->lost = true;
    return err;
}

/* Opens the segment after the one that has ended. */
static int open_next(struct log_reader *r)
{
    r->pos = (struct log_pos){r->pos.segment + 1, 0};
    if (r->scan->end.segment && r->pos.segment > r->scan->end.segment)
        return -ENOENT;
    int err = log_reader_open(r, r->pos.segment);

    if (err == -ENOENT || err == -EUCLEAN) {
        /* The head was durable before the segment before it ended, so the segment was lost. */
        r->lost = true;
        return -EUCLEAN;
    }
    r->pos.offset = SEGMENT_HEAD;
    return err;
}

/* Is this the frame that is due? A sync frame has the number of a frame before it; a change has the
 * next number. Changes that are committed are passed over. */
static bool in_order(const struct log_reader *r, const struct frame_head *h)
{
    if (!r->begun && r->scan->all)
        return true;
    if (h->kind == FRAME_SYNC)
        return h->seq <= r->last;
    return h->seq == r->last + 1 || (!r->begun && h->seq <= r->scan->seq);
}

/* Describes a frame in *ret, and moves the reader behind it. */
static void pass_frame(struct log_reader *r, const struct frame_head *h, const uint8_t *frame,
                       struct log_frame *ret)
{
    bool sync = h->kind == FRAME_SYNC;

    *ret = (struct log_frame){.pos = r->pos,
                              .seq = h->seq,
                              .time = h->time,
                              .ns = h->ns,
                              .sync = sync,
                              .payload = sync ? NULL : frame + FRAME_HEAD,
                              .len = sync ? 0 : h->len};
    r->pos.offset += frame_size(h->len);
    if (h->seq > r->scan->seq && !sync) {
        r->last = h->seq;
        r->begun = true;
    }
}

/* Does the segment that is open begin with the frame that is due, or with its end frame? 0 or
 * -EUCLEAN. */
static int starts_with_due(struct log_reader *r)
{
    struct frame_head h;
    const uint8_t *frame;
    int err = frame_at(r, SEGMENT_HEAD, &h, &frame);

    if (err)
        return err;
    if (h.kind == FRAME_END)
        return h.seq <= r->last ? 0 : -EUCLEAN;
    return h.kind == FRAME_CHANGE && h.seq == r->last + 1 ? 0 : -EUCLEAN;
}

/* Goes on behind a hole, if the next segment begins with the frame that is due: then only the end
 * frame is lost. A segment that was given up, with everything in it committed, has no end frame.
 * -EUCLEAN: the log does not go on there. */
static int go_on_behind_hole(struct log_reader *r)
{
    struct log_pos hole = r->pos;
    uint64_t segments = r->segments;

    if (r->scan->end.segment && hole.segment >= r->scan->end.segment)
        return -EUCLEAN;
    int err = log_reader_open(r, hole.segment + 1);

    if (err == 0)
        err = starts_with_due(r);
    if (err == 0) {
        r->pos = (struct log_pos){hole.segment + 1, SEGMENT_HEAD};
        return 0;
    }
    if (err != -EUCLEAN && err != -ENOENT)
        return err;
    err = log_reader_open(r, hole.segment);
    r->segments = segments;
    return err ? err : -EUCLEAN;
}

/* Reads the frame at r->pos or, where its segment has ended, the first frame of the next
 * segment. */
static int whole_frame(struct log_reader *r, struct frame_head *h, const uint8_t **ret)
{
    int err = 0;

    for (;;) {
        if (at_end(r))
            return -ENOENT;
        if (!r->file)
            err = open_first(r);
        if (err)
            return err;
        err = frame_at(r, r->pos.offset, h, ret);
        if (err == 0 && h->kind != FRAME_END)
            return 0;
        if (err == 0)
            err = open_next(r);
        else if (err == -EUCLEAN)
            err = go_on_behind_hole(r);
        if (err)
            return err;
    }
}

/* Reads the next frame that counts. -ENOENT: there is no more to read; -EUCLEAN: the frame that is
 * due is not at r->pos. */
static int next_frame(struct log_reader *r, struct log_frame *ret)
{
    struct frame_head h;
    const uint8_t *frame;

    for (;;) {
        int err = whole_frame(r, &h, &frame);

        if (err)
            return err;
        if (!in_order(r, &h))
            return -EUCLEAN;
        pass_frame(r, &h, frame, ret);
        if (ret->sync || ret->seq > r->scan->seq)
            return 0;
    }
}

/* ---- the whole ---- */

/* Reads all frames, and decides where the log ends: the last whole frame, the last one that a sync
 * frame vouches for, and whether anything is damaged. */
static int verify(struct log_reader *r, struct log_verdict *v)
{
    struct log_frame f;
    int err;

    while ((err = next_frame(r, &f)) == 0)
        if (f.sync && f.seq > v->trusted)
            v->trusted = f.seq;
    v->last = r->last;
    v->hole = r->pos;
    /* No file was found: was there never one, or is the log lost? */
    if (err == -ENOENT && !r->file) {
        r->pos = r->scan->pos;
        err = log_judge_absence(r, v);
    } else if (err == -EUCLEAN) {
        err = log_judge_hole(r, v);
    }
    return err == -ENOENT ? 0 : err;
}

/* Visits the frames up to number `until`, and with scan.all those behind it, too (as `tail`). */
static int visit_frame(struct log_reader *r, uint64_t until, log_frame_fn *fn, void *ctx,
                       struct log_report *ret)
{
    struct log_frame f;
    int err = 0;

    ret->end = r->pos;
    while (err == 0 && (r->scan->all || r->last < until) && (err = next_frame(r, &f)) == 0) {
        f.tail = f.seq > until;
        if (f.sync && !r->scan->all)
            continue;
        err = fn(&f, ctx);
        if (f.sync || f.tail)
            continue;
        ret->frames++;
        ret->last_seq = f.seq;
        ret->end = r->pos;
    }
    if (r->scan->all && (err == -EUCLEAN || err == -ENOENT))
        return 0; /* the end of the log, or the hole that was found before */
    return err;
}

/* A reader at the beginning of the scan. */
static struct log_reader reader(struct disk *d, const struct log_scan *scan)
{
    return (struct log_reader){.disk = d, .scan = scan, .pos = scan->pos, .last = scan->seq};
}

/* The first pass of log_read: checks all frames and visits none. */
static int examine(struct disk *d, const struct log_scan *scan, struct log_verdict *v,
                   struct log_report *ret)
{
    struct log_reader r = reader(d, scan);
    int err = disk_incarnation(d, r.now);

    if (err == 0)
        err = disk_incarnation_of_mount(d, r.mount);
    if (err == 0)
        err = verify(&r, v);
    memcpy(ret->incarnation, r.now, sizeof r.now);
    ret->segments = r.segments;
    ret->same_boot = r.same_boot;
    reader_release(&r);
    return err;
}

/* The serial behind the highest of any file of the log. */
static int count_segments(struct disk *d, uint64_t *ret_next)
{
    struct log_file *files;
    size_t count;
    int err = log_files(d, &files, &count);

    if (err)
        return err;
    *ret_next = count ? files[count - 1].serial + 1 : 0;
    free(files);
    return 0;
}

int log_read(struct disk *d, const struct log_scan *scan, log_frame_fn *fn, void *ctx,
             struct log_report *ret)
{
    struct log_verdict v = {.last = scan->seq, .trusted = scan->seq};
    struct log_report report = {.last_seq = scan->seq};
    int err = count_segments(d, &report.next_segment);
    int bad = err ? err : examine(d, scan, &v, &report);

    if (report.next_segment <= scan->pos.segment)
        report.next_segment = scan->pos.segment + 1;
    uint64_t until = report.same_boot ? v.last : v.trusted;

    if (bad == -EUCLEAN && scan->accept)
        until = v.last;
    report.missing = v.missing;
    report.torn = v.torn || until < v.last;
    report.damaged = bad == -EUCLEAN;
    report.whole = v.last;
    report.behind = v.behind;
    report.behind_last = v.behind_last;
    if (bad == 0 || (bad == -EUCLEAN && (scan->all || scan->accept))) {
        struct log_reader r = reader(d, scan);

        err = visit_frame(&r, until, fn, ctx, &report);
        reader_release(&r);
    }
    if (bad == -EUCLEAN)
        report.end = v.hole;
    *ret = report;
    return bad && !(bad == -EUCLEAN && scan->accept) ? bad : err;
}

int log_scan_now(struct log *l, struct log_scan *ret)
{
    MUTEX_GUARD(&l->lock);
    const struct segment *first = TAILQ_FIRST(&l->held), *last = l->current;

    if (!first || !last)
        return -ENOENT;
    *ret = (struct log_scan){.epoch = l->config.epoch,
                             .pos = {first->serial, SEGMENT_HEAD},
                             .end = {last->serial, last->used},
                             .all = true};
    return 0;
}
