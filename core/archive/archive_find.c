// SPDX-License-Identifier: Apache-2.0
/*
 * archive_find: see the header. Both look for the last segment of the history that is not behind a
 * limit: first the epoch, backwards from the last one, and then the serial in it.
 */
#include "archive_find.h"

#include "archive_read.h"
#include "chain.h"
#include <errno.h>
#include <stdlib.h>

struct limit {
    bool by_time;
    int64_t time; /* not behind: at most this */
    uint64_t seq; /* not behind: less than this */
};

/* Reads where the segment, which must be there, is in the history, and whether it is not behind the
 * limit. */
static int look(struct shard *s, uint32_t lineage, struct segment_pos at, const struct limit *l,
                bool *ret_within, struct segment_pos *ret_before)
{
    struct archive_segment g;
    int err = archive_read(s, lineage, at, &g);

    if (err < 0)
        return err == -ENOENT ? -EUCLEAN : err;
    *ret_within = l->by_time ? g.front.head.time <= l->time : g.front.head.seq < l->seq;
    *ret_before = g.front.head.before;
    archive_segment_release(&g);
    return 0;
}

/* The last serial from `low`, which is within, to before `high`, which is not, that is within. */
static int bisect(struct shard *s, uint32_t lineage, uint64_t epoch, uint64_t low, uint64_t high,
                  const struct limit *l, uint64_t *ret)
{
    while (high - low > 1) {
        uint64_t mid = low + (high - low) / 2;
        struct segment_pos before;
        bool within;
        int err = look(s, lineage, (struct segment_pos){epoch, mid}, l, &within, &before);

        if (err < 0)
            return err;
        if (within)
            low = mid;
        else
            high = mid;
    }
    *ret = low;
    return 0;
}

/* The last segment within the limit, from `first` to `last`, between which none is missing; none:
 * {0, 0}. */
static int find(struct shard *s, uint32_t lineage, struct segment_pos first,
                struct segment_pos last, const struct limit *l, struct segment_pos *ret)
{
    struct segment_pos before;
    bool within;
    int err = 0;

    *ret = (struct segment_pos){0};
    while (last.epoch && segment_pos_compare(last, first) >= 0) {
        uint64_t low = last.epoch == first.epoch ? first.serial : 1;

        err = look(s, lineage, last, l, &within, &before);
        if (err < 0 || within) {
            *ret = last;
            return err;
        }
        err = look(s, lineage, (struct segment_pos){last.epoch, low}, l, &within, &before);
        if (err < 0)
            return err;
        if (within) {
            ret->epoch = last.epoch;
            return bisect(s, lineage, last.epoch, low, last.serial, l, &ret->serial);
        }
        last = before;
    }
    return 0;
}

/* Where everything is there from: the begin of the catalogue. */
static struct segment_pos first_of(const struct catalogue *c)
{
    return c->number ? c->begin.at : (struct segment_pos){1, 1};
}

/* The last state of the catalogue that is within: not after `time`, and without a change after
 * `seq`. */
static int find_state(const struct catalogue *c, int64_t time, uint64_t seq,
                      struct segment_pos *ret)
{
    uint32_t i = c->state_count;

    while (i > 0 && (c->states[i - 1].time > time || c->states[i - 1].seq > seq))
        i--;
    if (i == 0)
        return -ENOENT;
    *ret = c->states[i - 1].at;
    return 0;
}

int archive_find_time_before(struct shard *s, uint32_t lineage, const struct catalogue *c,
                             int64_t time, struct segment_pos last, struct segment_pos *ret)
{
    const struct limit l = {.by_time = true, .time = time};
    int err;

    if (c->number && time < c->begin.time)
        return find_state(c, time, UINT64_MAX, ret);
    err = find(s, lineage, first_of(c), last, &l, ret);
    return err == 0 && ret->epoch == 0 ? -ENOENT : err;
}

int archive_find_time(struct shard *s, uint32_t lineage, const struct catalogue *c, int64_t time,
                      struct segment_pos *ret)
{
    struct segment_pos last = {0};
    int err = chain_last(s, lineage, c->begin.at, &last);

    return err < 0 ? err : archive_find_time_before(s, lineage, c, time, last, ret);
}

/* The segment behind `at`, which is not `last`. */
static int next(struct shard *s, uint32_t lineage, struct segment_pos *at)
{
    void *bytes;
    ssize_t n = chain_next(s, lineage, at, &bytes);

    if (n < 0)
        return n == -ENOENT ? -EUCLEAN : (int)n;
    free(bytes);
    return 0;
}

int archive_find_seq(struct shard *s, uint32_t lineage, const struct catalogue *c, uint64_t seq,
                     struct segment_pos *ret)
{
    const struct limit l = {.seq = seq};
    struct segment_pos last = {0};
    int err;

    if (c->number && seq < c->begin.seq)
        return find_state(c, INT64_MAX, seq, ret);
    if (c->number && seq == c->begin.seq) {
        *ret = c->begin.at;
        return 0;
    }
    err = chain_last(s, lineage, c->begin.at, &last);
    if (err < 0 || last.epoch == 0)
        return err < 0 ? err : -ENOENT;
    err = find(s, lineage, first_of(c), last, &l, ret);
    if (err < 0 || segment_pos_compare(*ret, last) == 0)
        return err;
    return next(s, lineage, ret);
}

int archive_oldest(struct shard *s, uint32_t lineage, const struct catalogue *c, int64_t *ret)
{
    struct segment_pos at = {0};
    struct archive_segment g;
    int err;

    *ret = catalogue_oldest(c);
    if (c->number)
        return 0;
    err = archive_read_next(s, lineage, &at, &g);
    if (err < 0)
        return err == -ENOENT ? 0 : err;
    *ret = g.front.head.time;
    archive_segment_release(&g);
    return 0;
}
