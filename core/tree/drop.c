// SPDX-License-Identifier: Apache-2.0
/*
 * drop: see the header. On disk the queue is a few chunks of page numbers. If it has changed, a
 * commit writes all of them: the queue is never long.
 */
#include "array.h"
#include "yield_cpu.h"
#include "drop.h"
#include "item.h"
#include "lock.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

#define CHUNK 4096 /* page numbers in one value */

/* Page numbers, one for each reference that is to be given back. */
struct queue {
    uint64_t *v;
    size_t from, count, room; /* the first is v[from] */
};

/* The queue as a freeze found it. If it had not changed since the freeze before, `queue` is empty
 * and not used. */
struct batch {
    struct queue queue;
    bool changed;
};

struct drops {
    struct mutex lock; /* "drops": guards the rest */
    struct mutex work; /* "drop step": one step at a time; taken before `lock` */
    struct kv *kv;
    unsigned table;
    struct pages *pages;
    struct refs *refs;
    struct queue queue;
    uint64_t pushed; /* how many drops_push put in front */
    size_t fresh;    /* of those, the ones that were never taken in hand: they stand first */
    bool in_hand; /* a page was taken out of the queue and is being worked off: its place stays free
                   * until it is worked off or put back */
    bool changed;
    struct batch batch[LAYER_BATCHES_MAX]; /* frozen ones, the oldest first */
    size_t batches;
    _Atomic uint64_t worked, freed; /* not guarded */
};

/* Make room for `more` numbers at the end. */
static int reserve(struct queue *q, size_t more)
{
    return ARRAY_RESERVE(q->v, q->room, q->from + q->count + more);
}

static void append(struct queue *q, uint64_t no)
{
    q->v[q->from + q->count++] = no;
}

/* Puts a number in front of all others, and keeps room for `more` at the end. */
static int put_in_front(struct queue *q, uint64_t no, size_t more)
{
    size_t gap = q->from ? 0 : q->count + 1;
    int err = reserve(q, gap + more);

    if (err < 0)
        return err;
    if (gap)
        memmove(q->v + gap, q->v, q->count * sizeof *q->v);
    q->from += gap;
    q->v[--q->from] = no;
    q->count++;
    return 0;
}

int drops_push(struct drops *d, uint64_t root)
{
    int err;
    MUTEX_GUARD(&d->lock);

    if (root == 0)
        return 0;
    err = put_in_front(&d->queue, root, d->in_hand);
    if (err < 0)
        return err;
    d->pushed++;
    d->fresh++;
    d->changed = true;
    return 0;
}

/* Takes the last entry of the queue in hand: drops_left still counts it until put_down. */
static bool pop(struct drops *d, uint64_t *ret_no)
{
    MUTEX_GUARD(&d->lock);

    if (d->queue.count == 0)
        return false;
    *ret_no = d->queue.v[d->queue.from + --d->queue.count];
    if (d->fresh > d->queue.count)
        d->fresh = d->queue.count;
    d->changed = true;
    d->in_hand = true;
    return true;
}

/* The entry that was taken in hand is worked off. */
static void put_down(struct drops *d)
{
    MUTEX_GUARD(&d->lock);
    d->in_hand = false;
}

/* The entry that was taken in hand goes back to its place. */
static void put_back(struct drops *d, uint64_t no)
{
    MUTEX_GUARD(&d->lock);
    append(&d->queue, no);
    d->in_hand = false;
}

/* Report that what this page named is given up. */
static void leaks(uint64_t no)
{
    report(REPORT_WARN, "dropping page %llu failed: what it held leaks until `rebuild`",
           (unsigned long long)no);
}

/* Hands on the references of a page that nothing names any more: its children become entries of the
 * queue, its objects lose a reference. It fails only before anything has changed. A reference that
 * cannot be given back leaks, because a second try would give back the others twice. */
static int dissolve(struct drops *d, struct tree_page *p)
{
    unsigned n = page_count(p->data);
    int err = 0;

    if (page_level(p->data) > 0) {
        MUTEX_GUARD(&d->lock);
        err = reserve(&d->queue, n);
        for (unsigned i = 0; i < n && err == 0; i++)
            append(&d->queue, page_child(p->data, i));
        return err;
    }
    for (unsigned i = 0; i < n; i++) {
        size_t len;
        const uint8_t *v = page_value(p->data, i, &len);
        uint64_t object = item_object(page_key(p->data, i), v, len);
        if (object && refs_unref(d->refs, object) < 0)
            err = -EUCLEAN;
    }
    if (err < 0)
        leaks(p->no);
    return 0;
}

/* Gives back one reference on a page; the last one dissolves the page and frees it. */
static int work_off(struct drops *d, uint64_t no)
{
    struct tree_page *p;
    uint32_t count;
    yield_cpu();
    /* The count goes down first: the owner of the other reference may release it at the same time,
     * and one of the two must see the zero. */
    int err = pages_add_count(d->pages, no, -1, &count);

    if (err < 0 || count > 0)
        return err;
    err = pages_get(d->pages, no, &p);
    if (err == 0) {
        err = dissolve(d, p);
        pages_put(d->pages, p);
    }
    if (err < 0)
        return err; /* a count of 0 is not stored: a second try finds 1 again */
    atomic_fetch_add(&d->freed, 1);
    if (pages_free(d->pages, no) < 0)
        leaks(no);
    return 0;
}

int drops_step(struct drops *d, unsigned budget, unsigned *ret_done)
{
    uint64_t no;
    MUTEX_GUARD(&d->work);

    *ret_done = 0;
    while (*ret_done < budget && pop(d, &no)) {
        int err = work_off(d, no);
        if (err == -EUCLEAN) {
            leaks(no);
        } else if (err < 0) {
            put_back(d, no);
            return err;
        }
        put_down(d);
        ++*ret_done;
        atomic_fetch_add(&d->worked, 1);
    }
    return 0;
}

uint64_t drops_worked(const struct drops *d)
{
    return atomic_load(&d->worked);
}

size_t drops_left(struct drops *d)
{
    MUTEX_GUARD(&d->lock);
    return d->queue.count + d->in_hand;
}

uint64_t drops_pushed(struct drops *d)
{
    MUTEX_GUARD(&d->lock);
    return d->pushed;
}

bool drops_has_older(struct drops *d, uint64_t pushed)
{
    MUTEX_GUARD(&d->lock);
    uint64_t newer = d->pushed - pushed;

    return d->fresh >= newer && d->queue.count + d->in_hand > newer;
}

uint64_t drops_freed(const struct drops *d)
{
    return atomic_load(&d->freed);
}

int drops_freeze(struct drops *d)
{
    MUTEX_GUARD(&d->lock);
    struct batch b = {.changed = d->changed};
    int err = d->batches == LAYER_BATCHES_MAX ? -EBUSY : 0;

    if (err == 0 && d->changed)
        err = reserve(&b.queue, d->queue.count);
    if (err < 0)
        return err;
    if (d->changed && d->queue.count)
        memcpy(b.queue.v, d->queue.v + d->queue.from, d->queue.count * sizeof(uint64_t));
    b.queue.count = d->changed ? d->queue.count : 0;
    d->batch[d->batches++] = b;
    d->changed = false;
    return 0;
}

/* The number of chunks that the queue takes on disk. */
static size_t chunks_of(const struct queue *q)
{
    return (q->count + CHUNK - 1) / CHUNK;
}

/* The last of the `n` oldest batches in which the queue changed; NULL: there is none. */
static const struct batch *last_changed(const struct drops *d, size_t n)
{
    while (n > 0 && !d->batch[n - 1].changed)
        n--;
    return n > 0 ? &d->batch[n - 1] : NULL;
}

/* Writes chunk `c` of the queue: up to CHUNK page numbers under one key. */
static int write_chunk(struct drops *d, const struct queue *q, size_t c, uint8_t *buf,
                       struct kv_txn *t)
{
    uint8_t key[8];
    size_t n = q->count - c * CHUNK < CHUNK ? q->count - c * CHUNK : CHUNK;

    for (size_t i = 0; i < n; i++)
        put_le64(buf + i * 8, q->v[c * CHUNK + i]);
    put_be64(key, c);
    return kv_put(t, d->table, key, sizeof key, buf, n * 8);
}

/* Deletes the committed chunks from chunk `c` on, wherever their numbers have gaps. */
static int delete_rest(struct drops *d, size_t c, struct kv_txn *t)
{
    struct kv_each e = {.table = d->table, .from = c};
    int err = kv_snap_begin(d->kv, &e.snap);

    if (err < 0)
        return err;
    while (kv_next(&e))
        e.err = kv_del(t, d->table, e.key, e.klen);
    kv_snap_end(e.snap);
    return e.err;
}

int drops_write(struct drops *d, size_t n, struct kv_txn *t)
{
    const struct batch *b = last_changed(d, n);
    uint8_t *buf;
    int err = 0;

    if (!b)
        return 0;
    buf = malloc(CHUNK * 8);
    if (!buf)
        return -ENOMEM;
    for (size_t c = 0; c < chunks_of(&b->queue) && err == 0; c++)
        err = write_chunk(d, &b->queue, c, buf, t);
    free(buf);
    return err < 0 ? err : delete_rest(d, chunks_of(&b->queue), t);
}

void drops_retire(struct drops *d, size_t n)
{
    MUTEX_GUARD(&d->lock);

    for (size_t i = 0; i < n; i++)
        free(d->batch[i].queue.v);
    d->batches -= n;
    memmove(d->batch, d->batch + n, d->batches * sizeof *d->batch);
}

/* Appends the page numbers of one stored chunk to the queue. -EUCLEAN: the chunk is damaged. */
static int load_chunk(struct queue *q, const uint8_t *val, size_t len)
{
    int err = len == 0 || len % 8 || len > CHUNK * 8 ? -EUCLEAN : reserve(q, len / 8);

    for (size_t i = 0; i < len && err == 0; i += 8) {
        append(q, get_le64(val + i));
        if (get_le64(val + i) == 0)
            err = -EUCLEAN;
    }
    return err;
}

/* Load the queue from its table. */
static int load_queue(struct drops *d)
{
    struct kv_each e = {.table = d->table, .strict = true};
    int err = kv_snap_begin(d->kv, &e.snap);

    if (err < 0)
        return err;
    while (kv_next(&e))
        e.err = load_chunk(&d->queue, e.val, e.len);
    kv_snap_end(e.snap);
    return e.err;
}

int drops_open(struct kv *kv, unsigned table, struct pages *pages, struct refs *refs,
               struct drops **ret_drops)
{
    struct drops *d = calloc(1, sizeof *d);
    int err;

    if (!d)
        return -ENOMEM;
    mutex_init(&d->lock, "drops");
    mutex_init(&d->work, "drop step");
    d->kv = kv;
    d->table = table;
    d->pages = pages;
    d->refs = refs;
    err = load_queue(d);
    if (err < 0) {
        drops_close(d);
        return err;
    }
    *ret_drops = d;
    return 0;
}

void drops_close(struct drops *d)
{
    if (!d)
        return;
    drops_retire(d, d->batches);
    free(d->queue.v);
    mutex_destroy(&d->lock);
    mutex_destroy(&d->work);
    free(d);
}
