// SPDX-License-Identifier: Apache-2.0
/*
 * log_read: what can be trusted of a log that nobody closed.
 *
 *     [frame 7][frame 8][sync 8][frame 9][ hole ][frame 11][sync 11 (8 was durable)]
 *                               ^ after a loss of power: up to here. The page cache lived: up to
 *                                 the hole.
 *
 * A sync frame also says what was durable when it was made. So one behind a hole tells whether the
 * hole was vouched for: then the disk has lost what it had, which is damage; else the hole is what
 * a sync left that nobody was told of.
 */
#include "log_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW (256u << 10) /* bytes read at once; more for a larger frame */
#define BLANK 16            /* zeros where a frame could begin: none was put there */

struct reader {
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
    bool lost;         /* a segment that was used is not there */
    uint64_t segments; /* opened */
    uint8_t incarnation[32];
};

/* ---- one segment ---- */

static void reader_release(struct reader *r)
{
    disk_file_close(r->file);
    r->file = NULL;
    free(r->window);
    r->window = NULL;
}

static int use_file(struct reader *r, uint64_t serial, struct disk_file *f)
{
    struct segment_head h;
    struct disk_stat stat;
    int e = segment_read_head(f, &h);

    if (e)
        return e;
    if (h.serial != serial || h.epoch != r->scan->epoch)
        return -ENOENT; /* a file on its way to another name, or of another life */
    e = disk_fstat(f, &stat);
    if (e)
        return e;
    disk_file_close(r->file);
    r->file = f;
    r->head = h;
    r->limit = h.size < stat.size ? h.size : stat.size;
    r->len = 0;
    if (r->segments++ == 0)
        memcpy(r->incarnation, h.incarnation, sizeof r->incarnation);
    return 0;
}

/* -ENOENT: it is not there, or was never used in this epoch; -EUCLEAN: its head is damaged. */
static int open_segment(struct reader *r, uint64_t serial)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;

    log_name(serial, name);
    int e = disk_open(r->disk, name, DISK_READ, &f);

    if (e)
        return e;
    e = use_file(r, serial, f);
    if (e)
        disk_file_close(f);
    return e;
}

static int make_window(struct reader *r, size_t len)
{
    size_t room = len > WINDOW ? len : WINDOW;
    uint8_t *p = r->room >= room ? r->window : realloc(r->window, room);

    if (!p)
        return -ENOMEM;
    r->window = p;
    r->room = r->room >= room ? r->room : room;
    return 0;
}

/* Valid until the next call. -EUCLEAN: beyond the end. */
static int bytes_at(struct reader *r, uint64_t off, size_t len, const uint8_t **ret)
{
    if (off > r->limit || len > r->limit - off)
        return -EUCLEAN;
    if (r->len == 0 || off < r->at || off + len > r->at + r->len) {
        int e = make_window(r, len);

        if (e)
            return e;
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

static int frame_at(struct reader *r, uint64_t off, struct frame_head *h, const uint8_t **ret)
{
    int e = bytes_at(r, off, FRAME_HEAD, ret);

    if (e == 0)
        e = frame_peek(*ret, h);
    if (e == 0 && h->len > LOG_FRAME_MAX)
        e = -EUCLEAN;
    if (e == 0)
        e = bytes_at(r, off, (size_t)frame_size(h->len), ret);
    return e ? e : frame_decode(*ret, (size_t)frame_size(h->len), segment_seed(&r->head), off, h);
}

/* ---- frame after frame ---- */

static bool at_end(const struct reader *r)
{
    const struct log_pos *end = &r->scan->end;

    return end->segment && (r->pos.segment > end->segment ||
                            (r->pos.segment == end->segment && r->pos.offset >= end->offset));
}

/* The first segment may be one that was given up with everything in it committed. */
static int open_first(struct reader *r)
{
    int e = open_segment(r, r->pos.segment);

    while (e == -ENOENT && !at_end(r)) {
        if (!r->scan->end.segment && r->pos.segment > r->scan->pos.segment)
            break;
        r->pos = (struct log_pos){r->pos.segment + 1, SEGMENT_HEAD};
        e = open_segment(r, r->pos.segment);
    }
    if (e == -EUCLEAN)
        r->lost = true;
    return e;
}

static int open_next(struct reader *r)
{
    r->pos = (struct log_pos){r->pos.segment + 1, 0};
    if (r->scan->end.segment && r->pos.segment > r->scan->end.segment)
        return -ENOENT;
    int e = open_segment(r, r->pos.segment);

    if (e == -ENOENT || e == -EUCLEAN) {
        r->lost = true; /* its head was durable before the one before it ended */
        return -EUCLEAN;
    }
    r->pos.offset = SEGMENT_HEAD;
    return e;
}

static bool in_order(const struct reader *r, const struct frame_head *h)
{
    if (!r->begun && r->scan->all)
        return true;
    if (h->kind == FRAME_SYNC)
        return h->seq <= r->last;
    return h->seq == r->last + 1 || (!r->begun && h->seq <= r->scan->seq);
}

static void pass_frame(struct reader *r, const struct frame_head *h, const uint8_t *frame,
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

/* Is the first frame of the segment that is open the one due, or its end? */
static int starts_with_due(struct reader *r)
{
    struct frame_head h;
    const uint8_t *frame;
    int e = frame_at(r, SEGMENT_HEAD, &h, &frame);

    if (e)
        return e;
    return h.kind == FRAME_END || (h.kind == FRAME_CHANGE && h.seq == r->last + 1) ? 0 : -EUCLEAN;
}

/* A hole at the end of a segment, where the next one goes on with the number due, is of its end
 * alone; one that was given up, everything in it being committed, has none. */
static int go_on_behind_hole(struct reader *r)
{
    struct log_pos hole = r->pos;
    uint64_t segments = r->segments;

    if (r->scan->end.segment && hole.segment >= r->scan->end.segment)
        return -EUCLEAN;
    int e = open_segment(r, hole.segment + 1);

    if (e == 0)
        e = starts_with_due(r);
    if (e == 0) {
        r->pos = (struct log_pos){hole.segment + 1, SEGMENT_HEAD};
        return 0;
    }
    if (e != -EUCLEAN && e != -ENOENT)
        return e;
    e = open_segment(r, hole.segment);
    r->segments = segments;
    return e ? e : -EUCLEAN;
}

/* The frame at r->pos, or, where its segment has ended, the first one behind that. */
static int whole_frame(struct reader *r, struct frame_head *h, const uint8_t **ret)
{
    int e = 0;

    for (;;) {
        if (at_end(r))
            return -ENOENT;
        if (!r->file)
            e = open_first(r);
        if (e)
            return e;
        e = frame_at(r, r->pos.offset, h, ret);
        if (e == 0 && h->kind != FRAME_END)
            return 0;
        if (e == 0)
            e = open_next(r);
        else if (e == -EUCLEAN)
            e = go_on_behind_hole(r);
        if (e)
            return e;
    }
}

/* -ENOENT: there is no more to look at. -EUCLEAN: at r->pos there is no frame that goes on. */
static int next_frame(struct reader *r, struct log_frame *ret)
{
    struct frame_head h;
    const uint8_t *frame;

    for (;;) {
        int e = whole_frame(r, &h, &frame);

        if (e)
            return e;
        if (!in_order(r, &h))
            return -EUCLEAN;
        pass_frame(r, &h, frame, ret);
        if (ret->sync || ret->seq > r->scan->seq)
            return 0;
    }
}

/* ---- behind a hole ---- */

struct behind {
    unsigned syncs; /* sync frames */
    uint64_t done;  /* what they say was durable before */
};

/* Only sync frames: they are as long as they are, so nothing in a file's bytes can send us far. */
static int look_through_segment(struct reader *r, uint64_t off, struct behind *b)
{
    const size_t size = (size_t)frame_size(FRAME_SYNC_LEN);
    uint64_t seed = segment_seed(&r->head);
    const uint8_t *p;

    while (off < r->limit && r->limit - off >= size) {
        size_t n = r->limit - off < WINDOW ? (size_t)(r->limit - off) : WINDOW, i;
        int e = bytes_at(r, off, n, &p);

        if (e)
            return e;
        for (i = 0; i + size <= n; i += 8) {
            struct frame_head h;

            if (frame_peek(p + i, &h) || h.kind != FRAME_SYNC ||
                frame_decode(p + i, size, seed, off + i, &h))
                continue;
            uint64_t done = get_le64(p + i + FRAME_HEAD);

            b->syncs++;
            b->done = done > b->done ? done : b->done;
        }
        off += i;
    }
    return 0;
}

static int look_behind(struct reader *r, struct behind *b)
{
    uint64_t off = r->pos.offset;
    int e = 0;

    for (uint64_t serial = r->pos.segment; b->syncs < 2; serial++, off = SEGMENT_HEAD) {
        if (serial > r->pos.segment)
            e = open_segment(r, serial);
        if (e == 0)
            e = look_through_segment(r, off, b);
        if (e && e != -EUCLEAN) /* that one has nothing to say */
            return e == -ENOENT ? 0 : e;
    }
    return 0;
}

static bool is_blank(struct reader *r)
{
    static const uint8_t zeros[BLANK];
    const uint8_t *p;

    return bytes_at(r, r->pos.offset, BLANK, &p) == 0 && memcmp(p, zeros, BLANK) == 0;
}

/* ---- the whole ---- */

struct verdict {
    uint64_t last;    /* frame that is whole */
    uint64_t trusted; /* frame that a sync vouches for */
    bool torn;
    bool synced_behind; /* a sync frame is behind the hole */
    struct log_pos hole;
};

static int judge_hole(struct reader *r, struct verdict *v)
{
    struct behind b = {0};

    v->hole = r->pos;
    if (r->lost)
        return -EUCLEAN;
    bool blank = is_blank(r);
    int e = look_behind(r, &b);

    if (e)
        return e;
    if (b.syncs > 1 || b.done > v->last)
        return -EUCLEAN;
    if (b.done > v->trusted)
        v->trusted = b.done;
    v->torn = !blank || b.syncs;
    v->synced_behind = b.syncs;
    return 0;
}

static int verify(struct reader *r, struct verdict *v)
{
    struct log_frame f;
    int e;

    while ((e = next_frame(r, &f)) == 0)
        if (f.sync && f.seq > v->trusted)
            v->trusted = f.seq;
    v->last = r->last;
    v->hole = r->pos;
    if (e == -EUCLEAN)
        e = judge_hole(r, v);
    return e == -ENOENT ? 0 : e;
}

/* Visits frames up to `until`, and with scan.all those behind it. */
static int visit(struct reader *r, uint64_t until, log_frame_fn *fn, void *ctx,
                 struct log_report *ret)
{
    struct log_frame f;
    int e = 0;

    ret->end = r->pos;
    while (e == 0 && (r->scan->all || r->last < until) && (e = next_frame(r, &f)) == 0) {
        f.tail = f.seq > until;
        if (f.sync && !r->scan->all)
            continue;
        e = fn(&f, ctx);
        if (f.sync || f.tail)
            continue;
        ret->frames++;
        ret->last_seq = f.seq;
        ret->end = r->pos;
    }
    if (r->scan->all && (e == -EUCLEAN || e == -ENOENT))
        return 0; /* the end, or the hole that is known */
    return e;
}

static struct reader reader(struct disk *d, const struct log_scan *scan)
{
    return (struct reader){.disk = d, .scan = scan, .pos = scan->pos, .last = scan->seq};
}

static int examine(struct disk *d, const struct log_scan *scan, struct verdict *v,
                   struct log_report *ret)
{
    struct reader r = reader(d, scan);
    uint8_t now[32];
    int e = verify(&r, v);

    ret->segments = r.segments;
    reader_release(&r);
    int e2 = disk_incarnation(d, now);

    if (e2)
        return e2;
    ret->same_boot = r.segments && memcmp(now, r.incarnation, sizeof now) == 0;
    /* Frames are copied one after the other, and nothing of them was lost: only the last can be torn. */
    return e == 0 && ret->same_boot && v->synced_behind ? -EUCLEAN : e;
}

static int count_segments(struct disk *d, uint64_t *ret_next)
{
    struct log_file *files;
    size_t count;
    int e = log_files(d, &files, &count);

    if (e)
        return e;
    *ret_next = count ? files[count - 1].serial + 1 : 0;
    free(files);
    return 0;
}

int log_read(struct disk *d, const struct log_scan *scan, log_frame_fn *fn, void *ctx,
             struct log_report *ret)
{
    struct verdict v = {.last = scan->seq, .trusted = scan->seq};
    struct log_report report = {.last_seq = scan->seq};
    int e = count_segments(d, &report.next_segment);
    int bad = e ? e : examine(d, scan, &v, &report);

    if (report.next_segment <= scan->pos.segment)
        report.next_segment = scan->pos.segment + 1;
    uint64_t until = report.same_boot ? v.last : v.trusted;

    report.torn = v.torn || until < v.last;
    if (bad == 0 || (bad == -EUCLEAN && scan->all)) {
        struct reader r = reader(d, scan);

        e = visit(&r, until, fn, ctx, &report);
        reader_release(&r);
    }
    if (bad == -EUCLEAN)
        report.end = v.hole;
    *ret = report;
    return bad ? bad : e;
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
