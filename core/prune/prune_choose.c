// SPDX-License-Identifier: Apache-2.0
/*
 * prune_choose: which states are kept. All from the begin on, which is the last state that is older
 * than `archive_keep`; before it the last one of each hour, and then of each day. They are found by
 * bisection, from the begin backwards, so what lies between them is not read.
 */
#include "prune_impl.h"

#include "archive_find.h"
#include "array.h"
#include "chain.h"
#include "state.h"
#include <errno.h>

#define HOUR (3600 * NSEC_PER_SEC)
#define DAY (24 * HOUR)

/* The last ns before the hour, or the day, in which the time is. */
static int64_t before_part(int64_t time, int64_t part)
{
    int64_t into = time % part;

    return time - (into < 0 ? into + part : into) - 1;
}

static int add_state(struct prune *u, const struct spot *s)
{
    int err = ARRAY_RESERVE(u->states, u->state_room, u->state_count + 1);

    if (err == 0)
        u->states[u->state_count++] = (struct kept_state){s->at, s->seq, s->time};
    return err;
}

/* The state before `time`, of which something may be kept. -ENOENT: there is none. */
static int find_before(struct prune *u, int64_t time, const struct spot **ret)
{
    struct segment_pos at;
    int err = archive_find_time(u->shard, u->lineage, &u->base, time, &at);

    if (err == 0)
        err = reach_segment(&u->reach, at, ret);
    return err;
}

/* From the begin backwards. */
static int choose_states(struct prune *u, int64_t at)
{
    struct settings *set = &u->p->settings;
    const int64_t hourly = settings_get(set, SET_ARCHIVE_KEEP_HOURLY);
    const int64_t daily = settings_get(set, SET_ARCHIVE_KEEP_DAILY);
    const int64_t longest = hourly > daily ? hourly : daily;
    int64_t time = u->begin.time;
    int err = 0;

    while (err == 0) {
        const struct spot *s;
        int64_t limit = before_part(time, at - time < hourly ? HOUR : DAY);

        if (at - limit > longest)
            break;
        err = find_before(u, limit, &s);
        if (err < 0 || at - s->time > longest)
            break;
        time = s->time;
        err = add_state(u, s);
        if (err == 0)
            err = reach_state(&u->reach, u->states[u->state_count - 1].at);
    }
    return err == -ENOENT ? 0 : err;
}

/* The last state that is older than `archive_keep`, but never before the begin of the base, since
 * not all is there before that, and never in the last epoch that has segments (chain.h). */
static int find_begin(struct prune *u, int64_t time, struct segment_pos *ret)
{
    struct segment_pos first;
    int err = archive_find_time(u->shard, u->lineage, &u->base, time, ret);

    if (err == -ENOENT && !u->base.number)
        return -ENODATA;
    if (err < 0 && err != -ENOENT)
        return err;
    if (err == -ENOENT || segment_pos_compare(*ret, u->base.begin.at) < 0)
        *ret = u->base.begin.at;
    first = (struct segment_pos){u->end.epoch, 1};
    if (segment_pos_compare(*ret, first) > 0)
        *ret = first;
    return 0;
}

int prune_choose(struct prune *u)
{
    const int64_t at = now(u->p);
    const struct spot *s;
    struct segment_pos begin;
    int err = chain_last(u->shard, u->lineage, u->base.begin.at, &u->end);

    if (err == 0 && u->end.epoch == 0)
        err = -ENODATA;
    if (err == 0)
        err = find_begin(u, at - settings_get(&u->p->settings, SET_ARCHIVE_KEEP), &begin);
    if (err == 0)
        err = reach_segment(&u->reach, begin, &s);
    if (err < 0)
        return err;
    u->begin = (struct kept_state){s->at, s->seq, s->time};
    u->reach.begin = begin;
    err = reach_follow(&u->reach, (struct segment_pos){begin.epoch, begin.serial - 1}, u->end);
    return err < 0 ? err : choose_states(u, at);
}
