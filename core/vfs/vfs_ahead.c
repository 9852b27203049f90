// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_ahead: see the header. A piece has a reference for its window, for the thread that reads it,
 * and for each reader that waits for it; with the last one it is freed.
 */
#include "vfs_ahead.h"

#include "nowait.h"
#include "state.h"
#include "thread.h"
#include "waits.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ahead_piece {
    struct state *p;
    struct ahead_piece *next; /* guarded by: ahead; in its window, by offset */
    uint64_t object, off;
    size_t len;    /* bytes that are asked for */
    uint8_t *data; /* `len` bytes */
    ssize_t n;     /* guarded by: ahead; bytes that came, or -errno */
    bool done;     /* guarded by: ahead; `n` is known, and `data` does not change any more */
    unsigned refs; /* guarded by: ahead */
};

void aheads_init(struct aheads *all)
{
    mutex_init(&all->lock, "ahead");
    cond_init(&all->changed);
    TAILQ_INIT(&all->files);
}

void aheads_stop(struct state *p)
{
    MUTEX_GUARD(&p->aheads->lock);
    while (p->aheads->under_way > 0)
        cond_wait(&p->aheads->changed, &p->aheads->lock);
}

/* ---- pieces: all but read_piece need the lock ---- */

static void unref_piece(struct aheads *all, struct ahead_piece *piece)
{
    mutex_held(&all->lock);
    if (--piece->refs > 0)
        return;
    all->pieces--;
    free(piece->data);
    free(piece);
}

/* The thread of a piece. The object has a hold meanwhile, so that it is there. */
static void *read_piece(void *arg)
{
    struct ahead_piece *piece = arg;
    struct state *p = piece->p;
    struct aheads *all = p->aheads;
    struct reader r = {.remote = NULL};
    ssize_t n = refs_hold(p->refs, piece->object);

    if (n == 0) {
        n = content_read(p, piece->object, piece->data, piece->len, piece->off, &r);
        refs_unhold(p->refs, piece->object);
    }
    MUTEX_GUARD(&all->lock);
    piece->n = n;
    piece->done = true;
    unref_piece(all, piece);
    all->under_way--;
    cond_broadcast(&all->changed);
    return NULL;
}

static struct ahead_piece *make_piece(struct state *p, uint64_t object, uint64_t off, size_t len)
{
    struct ahead_piece *piece = calloc(1, sizeof *piece);

    if (piece)
        piece->data = malloc(len);
    if (!piece || !piece->data) {
        free(piece);
        return NULL;
    }
    piece->p = p;
    piece->object = object;
    piece->off = off;
    piece->len = len;
    return piece;
}

/* Begins to read a piece. NULL: there is no memory or no thread for it. */
static struct ahead_piece *begin_piece(struct state *p, uint64_t object, uint64_t off, size_t len)
{
    struct ahead_piece *piece = make_piece(p, object, off, len);

    if (!piece)
        return NULL;
    if (thread_start(NULL, read_piece, piece) < 0) {
        free(piece->data);
        free(piece);
        return NULL;
    }
    piece->refs = 2; /* of the window, and of the thread, which waits for the lock */
    p->aheads->pieces++;
    p->aheads->under_way++;
    return piece;
}

/* ---- windows; need the lock ---- */

/* Removes the pieces that end at `upto` or before. */
static void drop_upto(struct aheads *all, struct ahead *a, uint64_t upto)
{
    while (a->first && a->first->off + a->first->len <= upto) {
        struct ahead_piece *piece = a->first;
        a->first = piece->next;
        unref_piece(all, piece);
        if (!a->first)
            TAILQ_REMOVE(&all->files, a, list);
    }
}

/* Notes a read. True: it goes on where others have ended. */
static bool goes_on(struct aheads *all, struct ahead *a, uint64_t object, uint64_t off, size_t len)
{
    bool is_near = a->object == object && off + AHEAD_BEHIND >= a->next &&
                   off <= a->next + AHEAD_PIECE && a->next > a->begun;

    if (!is_near) {
        drop_upto(all, a, UINT64_MAX);
        a->object = object;
        a->begun = off;
        a->next = off + len;
        return false;
    }
    if (off + len > a->next)
        a->next = off + len;
    if (a->next > AHEAD_BEHIND)
        drop_upto(all, a, a->next - AHEAD_BEHIND);
    return true;
}

/* Makes room for one more piece: with too many in memory, the file that was read longest ago loses
 * its window. False: there is no room. */
static bool has_room(struct aheads *all, const struct ahead *a, unsigned most)
{
    struct ahead *oldest = TAILQ_FIRST(&all->files);

    if (all->under_way >= most)
        return false;
    if (all->pieces >= AHEAD_MOST && oldest && oldest != a)
        drop_upto(all, oldest, UINT64_MAX);
    return all->pieces < AHEAD_MOST;
}

/* Reads ahead up to `end`, or as far as there is room. `link` is where the next piece goes. */
static void read_upto(struct state *p, struct ahead *a, uint64_t from, uint64_t end, unsigned most,
                      struct ahead_piece **link)
{
    bool was_empty = !a->first;

    while (from < end && has_room(p->aheads, a, most)) {
        uint64_t len = end - from < AHEAD_PIECE ? end - from : AHEAD_PIECE;
        *link = begin_piece(p, a->object, from, (size_t)len);
        if (!*link)
            break;
        link = &(*link)->next;
        from += len;
    }
    if (was_empty && a->first)
        TAILQ_INSERT_TAIL(&p->aheads->files, a, list);
}

/* Reads ahead as much as was read in order, `most` pieces at most. `size` is that of the object. */
static void extend(struct state *p, struct ahead *a, uint64_t size, unsigned most)
{
    uint64_t from = a->next, run = (a->next - a->begun + AHEAD_PIECE - 1) / AHEAD_PIECE, end;
    struct ahead_piece **link = &a->first;

    for (; *link; link = &(*link)->next)
        if ((*link)->off + (*link)->len > from)
            from = (*link)->off + (*link)->len;
    end = a->next + (run < most ? run : most) * AHEAD_PIECE;
    if (most > 1 && a->is_slow && end >= from + AHEAD_PIECE)
        read_upto(p, a, from, end < size ? end : size, most, link);
    if (a->first) { /* this file was read last */
        TAILQ_REMOVE(&p->aheads->files, a, list);
        TAILQ_INSERT_TAIL(&p->aheads->files, a, list);
    }
}

/* Waits for the piece with the byte at `off`, and gives a reference to it. NULL: that byte was not
 * read ahead. */
static struct ahead_piece *await_piece(struct aheads *all, struct ahead *a, uint64_t object,
                                       uint64_t off)
{
    struct ahead_piece *piece = a->object == object ? a->first : NULL;

    while (piece && piece->off + piece->len <= off)
        piece = piece->next;
    if (!piece || off < piece->off)
        return NULL;
    piece->refs++;
    WAITS_GUARD(WAITS_SHARD, "of what is read", 0, NULL);
    while (!piece->done)
        cond_wait(&all->changed, &all->lock);
    if (piece->n > 0 && (uint64_t)piece->n > off - piece->off)
        return piece;
    unref_piece(all, piece);
    return NULL;
}

/* ---- readers ---- */

/* The size of an object that is worth reading ahead: a large one, on another shard. 0: it is
 * not. */
static uint64_t size_of(struct state *p, uint64_t object)
{
    uint64_t number;
    struct entry e;

    if (refs_entry(p->refs, object, true, &number, &e) < 0 || !entry_is_ghost(&e) ||
        e.kind != ENTRY_FILE)
        return 0;
    return e.size;
}

/* Copies what was read ahead at `off`, without the lock. Returns how many bytes; 0: nothing was. */
static size_t copy_some(struct state *p, struct ahead *a, uint64_t object, void *buf, size_t len,
                        uint64_t off)
{
    struct ahead_piece *piece;
    size_t n;

    mutex_lock(&p->aheads->lock);
    piece = await_piece(p->aheads, a, object, off);
    mutex_unlock(&p->aheads->lock);
    if (!piece)
        return 0;
    n = (size_t)piece->n - (size_t)(off - piece->off);
    if (n > len)
        n = len;
    memcpy(buf, piece->data + (off - piece->off), n);
    mutex_lock(&p->aheads->lock);
    unref_piece(p->aheads, piece);
    mutex_unlock(&p->aheads->lock);
    return n;
}

ssize_t ahead_read(struct state *p, struct ahead *a, uint64_t object, void *buf, size_t len,
                   uint64_t off)
{
    uint64_t size = thread_may_wait() ? size_of(p, object) : 0;
    size_t done = 0, n = 1;

    if (size <= AHEAD_PIECE)
        return -ENOENT;
    {
        MUTEX_GUARD(&p->aheads->lock);
        if (goes_on(p->aheads, a, object, off, len))
            extend(p, a, size, (unsigned)settings_get(&p->settings, SET_SHARD_PARALLEL));
    }
    while (done < len && n > 0) {
        n = copy_some(p, a, object, (char *)buf + done, len - done, off + done);
        done += n;
    }
    return done == len ? (ssize_t)len : -ENOENT;
}

void ahead_took(struct state *p, struct ahead *a, int64_t duration_ns)
{
    MUTEX_GUARD(&p->aheads->lock);
    a->is_slow = duration_ns > AHEAD_WORTH;
}

void ahead_drop(struct state *p, struct ahead *a)
{
    if (a->object == 0) /* no read of the file was noted, and none runs now */
        return;
    MUTEX_GUARD(&p->aheads->lock);
    drop_upto(p->aheads, a, UINT64_MAX);
}
