// SPDX-License-Identifier: Apache-2.0
/* growth_table: see the header. */
#include "growth_table.h"

#include "array.h"
#include "bytes.h"
#include "record.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void growth_init(struct growth *g)
{
    *g = (struct growth){.v = NULL};
    mutex_init(&g->lock, "growth");
}

void growth_release(struct growth *g)
{
    free(g->v);
    g->v = NULL;
    g->count = g->room = 0;
}

/* The place of the first sample that is not before `time`. Needs the lock. */
static size_t place(const struct growth *g, int64_t time)
{
    size_t from = 0, end = g->count;

    while (from < end) {
        size_t mid = from + (end - from) / 2;

        if (g->v[mid].time < time)
            from = mid + 1;
        else
            end = mid;
    }
    return from;
}

bool growth_is_due(struct growth *g, int64_t now)
{
    MUTEX_GUARD(&g->lock);
    size_t i = place(g, now + 1);

    return now > 0 && (i == 0 || now - g->v[i - 1].time >= GROWTH_EVERY);
}

/* ---- commits ---- */

/* What a clock that says `now` proves. */
struct proof {
    int64_t now;  /* so late it is at least */
    uint64_t seq; /* what is in the future of `now` and was taken before this change is wrong */
};

/* Asks the samples that are as old as GROWTH_AHEAD: only they are believed. Needs the lock. */
static struct proof prove(const struct growth *g, int64_t now)
{
    size_t n = place(g, now - GROWTH_AHEAD + 1);
    struct proof p = {.now = n ? g->v[n - 1].time + GROWTH_AHEAD : now};

    for (size_t i = 0; i < n; i++)
        if (g->v[i].seq > p.seq)
            p.seq = g->v[i].seq;
    return p;
}

/* Collects the times of the samples that are not kept at `now`. There is room for all. Needs the
 * lock. */
static void thin(const struct growth *g, int64_t now, struct growth_batch *b)
{
    size_t over = g->count >= GROWTH_ROWS_MAX ? g->count - GROWTH_ROWS_MAX + 1 : 0;
    struct proof p = prove(g, now);
    int64_t before = 0;

    for (size_t i = 0; i < g->count; i++) {
        const struct growth_sample *s = &g->v[i];
        bool wrong = s->time > now + GROWTH_AHEAD && s->seq < p.seq;

        if (i >= over && !wrong && growth_is_kept(s->time, before, p.now))
            before = s->time;
        else
            b->gone[b->gones++] = s->time;
    }
}

int growth_freeze(struct growth *g, const struct growth_sample *sample, struct growth_batch *ret)
{
    int err;
    MUTEX_GUARD(&g->lock);

    *ret = (struct growth_batch){.gone = NULL};
    if (!sample)
        return 0;
    err = ARRAY_RESERVE(g->v, g->room, g->count + 1);
    if (err < 0)
        return err;
    ret->gone = calloc(g->count + 1, sizeof *ret->gone);
    if (!ret->gone)
        return -ENOMEM;
    ret->put = *sample;
    thin(g, sample->time, ret);
    return 0;
}

/* Takes the sample of that time out, if it is there. Needs the lock. */
static void take_out(struct growth *g, int64_t time)
{
    size_t i = place(g, time);

    if (i == g->count || g->v[i].time != time)
        return;
    memmove(&g->v[i], &g->v[i + 1], (g->count - i - 1) * sizeof *g->v);
    g->count--;
}

void growth_frozen(struct growth *g, const struct growth_batch *b)
{
    size_t i;
    MUTEX_GUARD(&g->lock);

    if (b->put.time == 0)
        return;
    for (size_t k = 0; k < b->gones; k++)
        take_out(g, b->gone[k]);
    take_out(g, b->put.time);
    i = place(g, b->put.time);
    memmove(&g->v[i + 1], &g->v[i], (g->count - i) * sizeof *g->v);
    g->v[i] = b->put;
    g->count++;
}

int growth_write(const struct growth_batch *b, struct kv_txn *t)
{
    uint8_t key[8], val[GROWTH_SAMPLE_LEN];
    int err = 0;

    for (size_t i = 0; i < b->gones && err == 0; i++) {
        put_be64(key, (uint64_t)b->gone[i]);
        err = kv_del(t, TABLE_GROWTH, key, sizeof key);
    }
    if (err < 0 || b->put.time == 0)
        return err;
    put_be64(key, (uint64_t)b->put.time);
    growth_sample_encode(&b->put, val);
    return kv_put(t, TABLE_GROWTH, key, sizeof key, val, GROWTH_SAMPLE_LEN);
}

void growth_batch_release(struct growth_batch *b)
{
    free(b->gone);
    *b = (struct growth_batch){.gone = NULL};
}

/* ---- reading ---- */

int growth_from(struct growth *g, int64_t time, struct growth_sample *ret)
{
    MUTEX_GUARD(&g->lock);
    size_t i = place(g, time);

    if (i == g->count)
        return -ENOENT;
    *ret = g->v[i];
    return 0;
}

/* ---- a start ---- */

/* Takes one row of the table; rows come in the order of their times. Needs the lock. */
static int load_row(struct growth *g, const struct kv_each *row, uint64_t *damaged)
{
    struct growth_sample s = {.time = (int64_t)row->number};
    int err = row->len == KV_DAMAGED || row->klen != 8 || row->number == 0 ||
                      row->number > GROWTH_TIME_MAX
                  ? -EUCLEAN
                  : growth_sample_decode(row->val, row->len, &s);

    if (err < 0) {
        ++*damaged;
        return 0;
    }
    err = ARRAY_RESERVE(g->v, g->room, g->count + 1);
    if (err == 0)
        g->v[g->count++] = s;
    return err;
}

int growth_load(struct growth *g, struct kv *kv)
{
    struct kv_each e = {.table = TABLE_GROWTH};
    uint64_t damaged = 0;
    int err = kv_snap_begin(kv, &e.snap);

    if (err < 0)
        return err;
    mutex_lock(&g->lock);
    while (kv_next(&e))
        e.err = load_row(g, &e, &damaged);
    mutex_unlock(&g->lock);
    kv_snap_end(e.snap);
    if (damaged || e.cut)
        report(REPORT_WARN, "some samples of how the store has grown are stored damaged: they are "
                            "as if they were not");
    return e.cut ? 0 : e.err;
}
