// SPDX-License-Identifier: Apache-2.0
/* history_table: see the header. */
#include "history_table.h"

#include "array.h"
#include "bytes.h"
#include "record.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void history_init(struct history *h)
{
    *h = (struct history){.v = NULL};
    mutex_init(&h->lock, "history");
}

void history_release(struct history *h)
{
    for (size_t i = 0; i < h->count; i++)
        free(h->v[i]);
    free(h->v);
    h->v = NULL;
    h->count = h->room = 0;
}

/* ---- adding ---- */

/* Makes the row of an entry. NULL: no memory. */
static struct history_row *row_of(const struct history_entry *e)
{
    uint8_t bytes[HISTORY_ENTRY_MAX];
    size_t len = history_entry_encode(e, bytes);
    struct history_row *r = malloc(sizeof *r + len);

    if (!r)
        return NULL;
    *r = (struct history_row){
        .seq = e->seq, .time = e->time, .of = e->of, .again = e->again, .dirty = true, .len = len};
    memcpy(r->bytes, bytes, len);
    return r;
}

int history_prepare(struct history *h, const struct history_entry *e, struct history_row **ret)
{
    struct history_row *r = row_of(e);
    MUTEX_GUARD(&h->lock);

    if (!r || ARRAY_RESERVE(h->v, h->room, h->count + h->prepared + 1) < 0) {
        free(r);
        return -ENOMEM;
    }
    h->prepared++;
    *ret = r;
    return 0;
}

void history_discard(struct history *h, struct history_row *r)
{
    if (!r)
        return;
    free(r);
    MUTEX_GUARD(&h->lock);
    h->prepared--;
}

/* The place of the first entry that is not before `seq`. Needs the lock. */
static size_t place(const struct history *h, uint64_t seq)
{
    size_t from = 0, end = h->count;

    while (from < end) {
        size_t mid = from + (end - from) / 2;

        if (h->v[mid]->seq < seq)
            from = mid + 1;
        else
            end = mid;
    }
    return from;
}

/* The entry of that change; NULL: there is none. Needs the lock. */
static struct history_row *find(const struct history *h, uint64_t seq)
{
    size_t i = place(h, seq);

    return i < h->count && h->v[i]->seq == seq ? h->v[i] : NULL;
}

/* Puts the row in its place; there is room. Two threads that logged at once may come in any order.
 * Needs the lock. */
static void insert(struct history *h, struct history_row *r)
{
    struct history_row *root = r->of ? find(h, r->of) : NULL;
    size_t i = place(h, r->seq);

    memmove(&h->v[i + 1], &h->v[i], (h->count - i) * sizeof(struct history_row *));
    h->v[i] = r;
    h->count++;
    if (root && root->tip < r->seq) {
        root->tip = r->seq;
        root->undone = !r->again;
    }
}

void history_add(struct history *h, struct history_row *r, uint64_t seq)
{
    MUTEX_GUARD(&h->lock);

    r->seq = seq;
    h->prepared--;
    insert(h, r);
}

/* ---- reading ---- */

/* Fills *ret. The bytes were made by this room, or have been checked. */
static int show(const struct history_row *r, struct history_op *ret)
{
    int err = history_entry_decode(r->bytes, r->len, &ret->entry);

    ret->entry.seq = r->seq;
    ret->tip = r->tip;
    ret->undone = r->undone;
    return err;
}

int history_get(struct history *h, uint64_t seq, struct history_op *ret)
{
    MUTEX_GUARD(&h->lock);
    const struct history_row *r = find(h, seq);

    return r ? show(r, ret) : -ENOENT;
}

int history_before(struct history *h, uint64_t seq, struct history_op *ret)
{
    MUTEX_GUARD(&h->lock);
    size_t i = place(h, seq);

    return i > 0 ? show(h->v[i - 1], ret) : -ENOENT;
}

uint64_t history_root(struct history *h, uint64_t seq)
{
    MUTEX_GUARD(&h->lock);
    const struct history_row *r = find(h, seq);

    return r && r->of ? r->of : seq;
}

/* ---- commits ---- */

/* How many of the oldest go. Needs the lock. */
static size_t count_over(const struct history *h, int64_t oldest)
{
    size_t n = h->count > HISTORY_ENTRIES_MAX ? h->count - HISTORY_ENTRIES_MAX : 0;

    while (n < h->count && h->v[n]->time < oldest)
        n++;
    return n;
}

static struct history_row *copy_row(const struct history_row *r)
{
    struct history_row *copy = malloc(sizeof *r + r->len);

    if (copy) {
        *copy = *r;
        memcpy(copy->bytes, r->bytes, r->len);
    }
    return copy;
}

static size_t count_dirty(const struct history *h)
{
    size_t n = 0;

    for (size_t i = h->over; i < h->count; i++)
        n += h->v[i]->dirty;
    return n;
}

int history_freeze(struct history *h, int64_t oldest, struct history_batch *ret)
{
    size_t dirty;
    MUTEX_GUARD(&h->lock);

    *ret = (struct history_batch){.put = NULL};
    h->over = count_over(h, oldest);
    dirty = count_dirty(h);
    ret->put = dirty ? calloc(dirty, sizeof *ret->put) : NULL;
    ret->gone = h->over ? calloc(h->over, sizeof *ret->gone) : NULL;
    if ((dirty && !ret->put) || (h->over && !ret->gone))
        return -ENOMEM;
    while (ret->gones < h->over) {
        ret->gone[ret->gones] = h->v[ret->gones]->seq;
        ret->gones++;
    }
    for (size_t i = h->over; i < h->count; i++)
        if (h->v[i]->dirty) {
            ret->put[ret->puts] = copy_row(h->v[i]);
            if (!ret->put[ret->puts++])
                return -ENOMEM;
        }
    return 0;
}

void history_frozen(struct history *h)
{
    MUTEX_GUARD(&h->lock);

    for (size_t i = 0; i < h->over; i++)
        free(h->v[i]);
    if (h->over)
        memmove(h->v, h->v + h->over, (h->count - h->over) * sizeof(struct history_row *));
    h->count -= h->over;
    h->over = 0;
    for (size_t i = 0; i < h->count; i++)
        h->v[i]->dirty = false;
}

int history_write(const struct history_batch *b, struct kv_txn *t)
{
    uint8_t key[8];
    int err = 0;

    for (size_t i = 0; i < b->gones && err == 0; i++) {
        put_be64(key, b->gone[i]);
        err = kv_del(t, TABLE_HISTORY, key, sizeof key);
    }
    for (size_t i = 0; i < b->puts && err == 0; i++) {
        put_be64(key, b->put[i]->seq);
        err = kv_put(t, TABLE_HISTORY, key, sizeof key, b->put[i]->bytes, b->put[i]->len);
    }
    return err;
}

void history_batch_release(struct history_batch *b)
{
    for (size_t i = 0; i < b->puts; i++)
        free(b->put[i]);
    free(b->put);
    free(b->gone);
    *b = (struct history_batch){.put = NULL};
}

/* ---- a start ---- */

/* Takes one row of the table. */
static int load_row(struct history *h, const struct kv_each *row, uint64_t *damaged)
{
    struct history_entry e;
    struct history_row *r;
    int err = row->len == KV_DAMAGED || row->klen != 8 || row->number == 0
                  ? -EUCLEAN
                  : history_entry_decode(row->val, row->len, &e);

    if (err < 0) {
        ++*damaged;
        return 0;
    }
    e.seq = row->number;
    err = history_prepare(h, &e, &r);
    if (err < 0)
        return err;
    r->dirty = false;
    history_add(h, r, e.seq);
    return 0;
}

int history_load(struct history *h, struct kv *kv)
{
    struct kv_each e = {.table = TABLE_HISTORY};
    uint64_t damaged = 0;
    int err = kv_snap_begin(kv, &e.snap);

    if (err < 0)
        return err;
    while (kv_next(&e))
        e.err = load_row(h, &e, &damaged);
    kv_snap_end(e.snap);
    if (damaged)
        report(REPORT_WARN,
               "%llu operations in the history of namespaces are stored damaged: they are as if "
               "they were not",
               (unsigned long long)damaged);
    if (e.cut)
        report(REPORT_WARN, "the table `history` cannot be read to its end: operations behind that "
                            "are as if they were not; `tally check` says more");
    return e.cut ? 0 : e.err;
}
