// SPDX-License-Identifier: Apache-2.0
/*
 * log_make: segments as files. A segment is made before it is needed. When a commit has all of its
 * changes its file is used again for a new segment. A segment's head and name are durable before
 * the first frame is put into it, and serials have no gaps. So recovery can tell a segment that
 * was lost from one that never existed.
 */
#include "log_impl.h"
#include "mapped.h"

#include "io.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SEGMENT_UNIT UINT64_C(4096) /* bytes: the size of a segment is a multiple of this */
#define SHARE_OF_DISK 16            /* a segment takes at most this part of the disk (1/16) */
#define SHARE_OF_FREE 4             /* a segment takes at most this part of the free space (1/4) */
/* bytes of reservations that one segment is made for at most, except for a single larger one */
#define TOGETHER_MAX (UINT64_C(2) * LOG_FRAME_MAX)
#define FIRST_SIZE (UINT64_C(4) << 20) /* bytes of the first segment, which callers wait for */
#define GROWTH 4                       /* a segment is at most so many times as large as the last */
#define ZEROS ((size_t)32 << 10)       /* bytes of zeros that one write writes */
#define ZEROS_SYNCED (128 * ZEROS)     /* bytes of zeros that are synced at once */

void log_name(uint64_t serial, char out[DISK_NAME_MAX + 1])
{
    snprintf(out, DISK_NAME_MAX + 1, LOG_DIRECTORY "/%016" PRIx64, serial);
}

/* ---- one segment ---- */

void segment_shut(struct segment *s)
{
    if (s->map)
        mapped_remove(s->map);
    if (s->file)
        disk_unmap(s->file, s->map, s->size);
    disk_file_close(s->file);
    s->file = NULL;
    s->map = NULL;
}

void segment_close(struct segment *s)
{
    if (!s)
        return;
    segment_shut(s);
    free(s);
}

struct segment *segment_unref(struct segment *s)
{
    return --s->refs ? NULL : s;
}

/* ---- making ---- */

/* Round up to a multiple of SEGMENT_UNIT. */
static uint64_t round_up(uint64_t n)
{
    return (n + SEGMENT_UNIT - 1) / SEGMENT_UNIT * SEGMENT_UNIT;
}

/* The smallest size of a segment; less than LOG_SEGMENT_MIN only where the configuration says
 * so. */
static uint64_t smallest(const struct log *l)
{
    return l->config.segment_size < LOG_SEGMENT_MIN ? LOG_SEGMENT_TINY : LOG_SEGMENT_MIN;
}

/* The size of a new segment, never less than `least`. It is bounded by a share of the disk and of
 * its free space; with a thread the first segments are small, since callers wait for them. */
static uint64_t usual_size(const struct log *l, uint64_t least)
{
    uint64_t size = l->config.segment_size;
    struct disk_space space;

    if (disk_space(l->config.disk, &space) == 0) {
        uint64_t all = space.blocks * space.block_size / SHARE_OF_DISK;
        uint64_t left = space.blocks_avail * space.block_size / SHARE_OF_FREE;

        size = size < all ? size : all;
        size = size < left ? size : left;
    }
    if (l->has_thread && size > l->last_size * GROWTH)
        size = l->last_size ? l->last_size * GROWTH : size < FIRST_SIZE ? size : FIRST_SIZE;
    size = size / SEGMENT_UNIT * SEGMENT_UNIT;
    size = size > smallest(l) ? size : smallest(l);
    return size > least ? size : least;
}

/* Creates and allocates the file of a segment. Where the disk is full at the usual size, the
 * smallest size is tried. */
static int create_file(struct log *l, struct segment *s, uint64_t least)
{
    char name[DISK_NAME_MAX + 1];
    int err;

    log_name(s->serial, name);
    err = disk_open(l->config.disk, name, DISK_WRITE | DISK_CREATE, &s->file);
    if (err == -EEXIST &&
        (err = disk_unlink(l->config.disk, name)) == 0) /* the file is left over from
                                                                       * a failed attempt */
        err = disk_open(l->config.disk, name, DISK_WRITE | DISK_CREATE, &s->file);
    if (err)
        return err;
    s->size = usual_size(l, least);
    err = disk_allocate(s->file, s->size);
    if (io_is_full(err)) { /* a quota, which disk_space does not show: leave the rest of it to
                          * others */
        s->size = least > smallest(l) ? least : smallest(l);
        err = disk_allocate(s->file, s->size);
    }
    return err;
}

/* Writes zeros over the whole segment, or as far as there is time (`hurry` ends it). Without that
 * the first sync that writes a block makes the journal of the disk part of it, and takes twice as
 * long. The pieces are small because the page cache keeps the bytes of one write in one folio, and
 * a store through the mapping makes the whole folio dirty: with pieces of 1 MiB every sync of the
 * log wrote as much, and took four times as long. No thread that waits for a segment waits for the
 * zeros. */
static int write_zeros(struct log *l, struct segment *s)
{
    static const uint8_t zeros[ZEROS];
    uint64_t off;
    int err = 0;

    for (off = 0; off < s->size && err == 0; off += ZEROS) {
        size_t n = s->size - off < ZEROS ? (size_t)(s->size - off) : ZEROS;

        if (off > 0 && atomic_load(&l->hurry))
            break;
        err = disk_pwrite(s->file, zeros, n, off);
        if (err == 0 && off % ZEROS_SYNCED == ZEROS_SYNCED - ZEROS)
            err = disk_sync(s->file);
    }
    s->written = err == 0 && off >= s->size;
    return io_is_full(err) ? 0 : err; /* a full disk that copies on write: it has no room for the
                                   * zeros */
}

/* Are syncs so frequent that zeros pay? They double the bytes that are written for the log, so with
 * rare syncs they would only cost. */
static bool zeros_are_worth_it(struct log *l)
{
    uint64_t syncs;
    bool slow;

    if (!l->has_thread)
        return false;
    {
        MUTEX_GUARD(&l->lock);
        syncs = l->stats.syncs - l->syncs_before;
        l->syncs_before = l->stats.syncs;
        slow = l->current && segment_is_slow(l->current);
    }
    return l->last_size == 0 || slow || syncs >= LOG_SYNCS_WORTH_IT;
}

/* Creates the file of a segment, with zeros if they pay. The first one with zeros is small,
 * because somebody syncs in a segment without zeros meanwhile, and waits less for a small one. */
static int create_segment(struct log *l, struct segment *s, bool zeros, uint64_t least)
{
    if (zeros && !l->last_zeroed)
        l->last_size = 0;
    int err = create_file(l, s, least);

    if (err == 0) {
        l->last_size = s->size;
        l->last_zeroed = zeros;
    }
    return err == 0 && zeros ? write_zeros(l, s) : err;
}

/* Count `n` segments of `size` bytes (n may be negative) in the statistics. */
static void count_segment(struct log *l, int64_t n, uint64_t size)
{
    MUTEX_GUARD(&l->lock);
    l->stats.segments += (uint64_t)n;
    l->stats.bytes += (uint64_t)n * size;
}

/* Renames the spare file to the name of the new segment. -ENOENT: somebody has removed the file,
 * so there is no spare one. */
static int take_spare(struct log *l, struct segment *s)
{
    char from[DISK_NAME_MAX + 1], to[DISK_NAME_MAX + 1];
    int err;

    log_name(l->spare, from);
    log_name(s->serial, to);
    s->size = l->spare_size;
    s->recycled = true;
    s->written = l->spare_written;
    l->spare_size = 0;
    l->spare_written = false;
    count_segment(l, -1, s->size);
    err = disk_rename(l->config.disk, from, to);
    if (err == -ENOENT)
        s->recycled = s->written = false;
    return err ? err : disk_open(l->config.disk, to, DISK_WRITE, &s->file);
}

/* The serial of the segment before this one, which stays until a commit has all of it. 0: there is
 * none; the segment before was given up. */
static uint64_t before(struct log *l, const struct segment *s)
{
    MUTEX_GUARD(&l->lock);

    return l->current || !TAILQ_EMPTY(&l->ready) ? s->serial - 1 : 0;
}

/* Writes an empty first frame, so that the log ends there, and then the head; then makes all of it
 * durable. The head comes last: a segment with a new head and an old frame behind it would look
 * like damage. */
static int write_head(struct log *l, struct segment *s)
{
    struct segment_head h = {
        .serial = s->serial, .epoch = l->config.epoch, .seq = log_seq(l), .size = s->size};
    uint8_t bytes[SEGMENT_HEAD] = {0}, end[FRAME_HEAD] = {0};

    h.after = before(l, s);
    if (getrandom(&h.salt, sizeof h.salt, 0) != sizeof h.salt)
        return -EIO;
    memcpy(h.incarnation, l->incarnation, sizeof h.incarnation);
    segment_head_encode(&h, bytes);
    s->seed = segment_seed(&h);
    s->used = SEGMENT_HEAD;
    int err = s->recycled ? disk_pwrite(s->file, end, sizeof end, SEGMENT_HEAD) : 0;

    if (err == 0)
        err = disk_pwrite(s->file, bytes, sizeof bytes, 0);
    if (err == 0)
        err = disk_sync(s->file);
    return err ? err : disk_sync_dir(l->config.disk, LOG_DIRECTORY);
}

/* Makes the directory of the log once, durably. */
static int make_directory(struct log *l)
{
    int err = l->have_directory ? 0 : disk_mkdir(l->config.disk, LOG_DIRECTORY);

    if (err == 0 && !l->have_directory)
        err = disk_sync_dir(l->config.disk, "");
    l->have_directory = err == 0;
    return err;
}

/* Gives the segment a file: the spare one, if it is large enough and syncs in it are fast, else a
 * new one. A spare one in which syncs would be slow is used only where there is no room for a new
 * file. */
static int take_file(struct log *l, struct segment *s, uint64_t least)
{
    bool zeros = zeros_are_worth_it(l), spare = l->spare_size >= least;
    char name[DISK_NAME_MAX + 1];
    int err, full;

    if (spare && (l->spare_written || !zeros)) {
        err = take_spare(l, s);
        if (err == 0 || s->recycled)
            return err;
        spare = false;
    }
    full = create_segment(l, s, zeros, least);
    if (!spare || !io_is_full(full))
        return full;
    segment_shut(s);
    log_name(s->serial, name);
    disk_unlink(l->config.disk, name);
    err = take_spare(l, s);
    return err == 0 || s->recycled ? err : full;
}

/* Gives a segment its file, its durable head, and its mapping. */
static int fill_segment(struct log *l, struct segment *s, uint64_t least)
{
    int err = make_directory(l);
    void *map;

    if (err == 0)
        err = take_file(l, s, least);
    if (err == 0)
        err = write_head(l, s);
    if (err == 0)
        err = disk_map(s->file, 0, s->size, &map);
    if (err)
        return err;
    s->map = map;
    mapped_add(map, s->size, LOG_DIRECTORY);
    s->expected = s->size < LOG_EXPECT ? s->size : LOG_EXPECT;
    disk_map_ahead(s->file, 0, s->expected);
    return 0;
}

/* Undoes take_file after a failure. A new file is deleted. A spare file gets its former name back,
 * since it may be the only file that the log has. */
static void give_back_file(struct log *l, struct segment *s, const char *name)
{
    char former[DISK_NAME_MAX + 1];

    if (!s->recycled) {
        disk_unlink(l->config.disk, name);
        return;
    }
    log_name(l->spare, former);
    int err = disk_rename(l->config.disk, name, former);

    if (err && err != -ENOENT)
        return;
    l->spare_size = s->size;
    l->spare_written = s->written;
    count_segment(l, 1, s->size);
}

/* Makes a segment with at least `least` bytes, and puts it into the list of ready ones. Needs "log
 * make". */
static int make_segment(struct log *l, uint64_t least)
{
    struct segment *s = calloc(1, sizeof *s);
    char name[DISK_NAME_MAX + 1];

    if (!s)
        return -ENOMEM;
    s->serial = l->next_serial;
    s->refs = 1;
    int err = fill_segment(l, s, least);

    if (err) {
        log_name(s->serial, name);
        give_back_file(l, s, name);
        segment_close(s);
        return err;
    }
    count_segment(l, 1, s->size);
    MUTEX_GUARD(&l->lock);
    TAILQ_INSERT_TAIL(&l->ready, s, next);
    l->next_serial++;
    return 0;
}

/* Takes "log make" for a caller that waits: the thread, which may be writing zeros under that lock,
 * stops doing so. */
static void lock_in_a_hurry(struct log *l)
{
    atomic_fetch_add(&l->hurry, 1);
    mutex_lock(&l->make);
    atomic_fetch_sub(&l->hurry, 1);
}

/* Is there a ready segment to go on in, and one with fast syncs if those in the current one are
 * slow? */
static bool have_next(const struct log *l)
{
    return !TAILQ_EMPTY(&l->ready) &&
           (!l->current || !segment_is_slow(l->current) || log_written_ready(l));
}

/* As log_make. The check is made again under the lock, since another caller may have made a segment
 * meanwhile. Needs "log make". */
static int make_if_due(struct log *l, uint64_t cost)
{
    uint64_t need;

    {
        MUTEX_GUARD(&l->lock);
        need = l->reserved + cost;
        if (cost ? need <= log_room_left(l) : have_next(l))
            return 0;
        if (need > TOGETHER_MAX && need > cost)
            return -EAGAIN;
    }
    return make_segment(l, round_up(SEGMENT_HEAD + need + 2 * LOG_SYNC_SIZE + LOG_END_SIZE));
}

int log_make(struct log *l, uint64_t cost)
{
    if (cost)
        lock_in_a_hurry(l);
    else
        mutex_lock(&l->make);
    int err = make_if_due(l, cost);

    if (cost && l->config.background)
        log_thread_start(l);
    mutex_unlock(&l->make);
    return err;
}

/* ---- trimming ---- */

/* Keeps the file of a trimmed segment as the spare file, or deletes it. Of this file and the
 * present spare file the one with fast syncs is kept, or else the larger one. `last`: there is no
 * other segment, so this file must keep its name. Needs "log make". */
static void keep_or_unlink(struct log *l, uint64_t serial, uint64_t size, bool written, bool last)
{
    char name[DISK_NAME_MAX + 1];
    uint64_t gone = serial, gone_size = size;

    if (last || (written != l->spare_written ? written : size > l->spare_size)) {
        gone = l->spare;
        gone_size = l->spare_size;
        l->spare = serial;
        l->spare_size = size;
        l->spare_written = written;
    }
    if (gone_size == 0)
        return;
    log_name(gone, name);
    disk_unlink(l->config.disk, name);
    count_segment(l, -1, gone_size);
}

/* May the current segment be trimmed? Only if everything in the log is committed, the segment is
 * more than half full, and no other segment or reservation exists. */
static bool can_give_up_current(const struct log *l, const struct log_pos *pos)
{
    const struct segment *s = l->current;

    return s && pos->segment == s->serial && pos->offset == s->used && s->used > s->size / 2 &&
           l->reserved == 0 && TAILQ_EMPTY(&l->ready);
}

/* Takes the oldest held segment before `pos` out of the list. NULL: there is none. */
static struct segment *take_trimmed(struct log *l, const struct log_pos *pos)
{
    MUTEX_GUARD(&l->lock);
    struct segment *s = TAILQ_FIRST(&l->held);

    if (!s || (s == l->current ? !can_give_up_current(l, pos) : s->serial >= pos->segment))
        return NULL;
    TAILQ_REMOVE(&l->held, s, next);
    if (s == l->current) {
        l->current = NULL;
        l->given_up = *pos;
    }
    return s;
}

void log_trim(struct log *l, const struct log_pos *pos)
{
    struct segment *s;

    lock_in_a_hurry(l);
    while ((s = take_trimmed(l, pos))) {
        uint64_t serial = s->serial, size = s->size;
        bool last = serial == pos->segment;
        bool written = s->written || s->used > size - size / 8;

        mutex_lock(&l->lock);
        s = segment_unref(s);
        mutex_unlock(&l->lock);
        segment_close(s);
        keep_or_unlink(l, serial, size, written, last);
    }
    mutex_unlock(&l->make);
}

/* ---- the thread: it makes the next segment, and brings pages of the current one into memory
 * ---- */

/* Brings the next LOG_EXPECT bytes of the current segment into memory. A reference keeps the
 * segment mapped meanwhile. */
static void bring_pages(struct log *l)
{
    struct segment *s;
    uint64_t off;

    {
        MUTEX_GUARD(&l->lock);
        l->expect = false;
        s = l->current;
        if (!s || s->expected >= s->size)
            return;
        s->refs++;
        s->expecting = true;
        off = s->expected > s->used ? s->expected : s->used;
        s->expected = off + LOG_EXPECT < s->size ? off + LOG_EXPECT : s->size;
    }
    disk_map_ahead(s->file, off, LOG_EXPECT);
    mutex_lock(&l->lock);
    s->expecting = false;
    s = segment_unref(s);
    mutex_unlock(&l->lock);
    segment_close(s);
}

/* The thread: makes the next segment, or brings pages of the current one, whenever it is asked
 * to. */
static void *thread_main(void *arg)
{
    struct log *l = arg;

    mutex_lock(&l->lock);
    while (!l->stop) {
        if (!l->want && !l->expect) {
            cond_wait(&l->wanted, &l->lock);
            continue;
        }
        bool make = l->want, bring = l->expect;
        mutex_unlock(&l->lock);
        if (bring)
            bring_pages(l);
        if (!make) {
            mutex_lock(&l->lock);
            continue;
        }
        int err = log_make(l, 0);

        mutex_lock(&l->lock);
        l->want = false;
        if (err && l->current) /* most likely there is no room: do not try again at once */
            l->prepare_at = l->current->used + l->current->size / 16;
    }
    mutex_unlock(&l->lock);
    return NULL;
}

void log_thread_start(struct log *l)
{
    if (l->has_thread)
        return;
    MUTEX_GUARD(&l->lock);
    l->has_thread = pthread_create(&l->thread, NULL, thread_main, l) == 0;
}

void log_thread_stop(struct log *l)
{
    if (!l->has_thread)
        return;
    atomic_fetch_add(&l->hurry, 1);
    {
        MUTEX_GUARD(&l->lock);
        l->stop = true;
        cond_signal(&l->wanted);
    }
    pthread_join(l->thread, NULL);
    l->has_thread = false;
}
