// SPDX-License-Identifier: Apache-2.0
/*
 * prune_choose: which states are kept. All from the begin on, which is the last state that is older
 * than `archive_keep`; before it the last one of each hour, and then of each day. They are found by
 * bisection, from the begin backwards, so what lies between them is not read.
 */
#include "prune_impl.h"

#include "archive_find.h"
#include "archive_read.h"
#include "array.h"
#include "chain.h"
#include "state.h"
#include <errno.h>

#define HOUR (3600 * NSEC_PER_SEC)
#define DAY (24 * HOUR)
#define CLOCK_DIFFERS DAY

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

/* What is to be kept must be there. */
static int must_be_there(int err)
{
    return err == -ENOENT ? -EUCLEAN : err;
}

/* The last state that is not after `time`, of those before `from`. -ENOENT: there is none. */
static int find_before(struct prune *u, int64_t time, struct segment_pos from,
                       const struct spot **ret)
{
    struct segment_pos at;
    int err = archive_find_time_before(u->shard, u->lineage, &u->base, time, from, &at);

    return err < 0 ? err : must_be_there(reach_segment(&u->reach, at, ret));
}

static int keep_state(struct prune *u, const struct spot *s)
{
    int err = add_state(u, s);

    return err < 0 ? err : must_be_there(reach_state(&u->reach, s->at));
}

/* From the begin backwards. */
static int choose_states(struct prune *u, int64_t at)
{
    struct settings *set = &u->p->settings;
    const int64_t hourly = settings_get(set, SET_ARCHIVE_KEEP_HOURLY);
    const int64_t daily = settings_get(set, SET_ARCHIVE_KEEP_DAILY);
    const int64_t longest = hourly > daily ? hourly : daily;
    struct kept_state last = u->begin;
    int err = 0;

    while (err == 0) {
        const struct spot *s;
        int64_t limit = before_part(last.time, at - last.time < hourly ? HOUR : DAY);

        if (at - limit > longest)
            break;
        err = find_before(u, limit, last.at, &s);
        if (err < 0 || at - s->time > longest)
            break;
        last = (struct kept_state){s->at, s->seq, s->time};
        err = keep_state(u, s);
    }
    return err == -ENOENT ? 0 : err;
}

/* ---- all states ---- */

/* The first segment of the lineage. -ENODATA: there is none. */
static int find_first(struct prune *u, struct segment_pos *ret)
{
    struct archive_segment g;
    int err;

    *ret = (struct segment_pos){0};
    err = archive_read_next(u->shard, u->lineage, ret, &g);
    if (err == 0)
        archive_segment_release(&g);
    return err == -ENOENT ? -ENODATA : err;
}

/* Everything whose deletion has not begun. */
static int choose_all(struct prune *u, struct segment_pos *ret)
{
    int err = 0;

    if (!u->base.number)
        return find_first(u, ret);
    *ret = u->base.begin.at;
    u->reach.begin = u->base.begin.at; /* what is before it is followed to its end */
    for (uint32_t i = 0; i < u->base.state_count && err == 0; i++) {
        const struct spot *s;

        err = reach_segment(&u->reach, u->base.states[i].at, &s);
        if (err == 0)
            err = keep_state(u, s);
    }
    return must_be_there(err);
}

/* ---- the begin ---- */

/* The last state that is older than `archive_keep`, but never before the begin of the base, since
 * not all is there before that, and never in the last epoch that has segments (chain.h). -ENODATA:
 * nothing is so old. */
static int find_begin(struct prune *u, int64_t time, struct segment_pos *ret)
{
    struct segment_pos first;
    int err = archive_find_time_before(u->shard, u->lineage, &u->base, time, u->end, ret);

    if (err == -ENOENT && !u->base.number)
        return u->last.number ? find_first(u, ret) : -ENODATA;
    if (err < 0 && err != -ENOENT)
        return err;
    if (err == -ENOENT || segment_pos_compare(*ret, u->base.begin.at) < 0)
        *ret = u->base.begin.at;
    first = (struct segment_pos){u->end.epoch, 1};
    if (segment_pos_compare(*ret, first) > 0)
        *ret = first;
    return 0;
}

/* Does the clock of this machine agree with that of the archive about the age of a segment? A wrong
 * clock would give up what is young, and mark that with a time in the future. */
static int check_age(struct prune *u, int64_t now, struct segment_pos at)
{
    char name[ARCHIVE_NAME_MAX + 1];
    struct archive_segment g;
    int64_t age = 0, mine;
    int err = archive_read(u->shard, u->lineage, at, &g);

    if (err < 0)
        return must_be_there(err);
    mine = now - g.front.head.time;
    archive_segment_release(&g);
    archive_segment_name(u->lineage, at, name);
    err = shard_age(u->shard, name, &age);
    if (err == 0 && (mine - age > CLOCK_DIFFERS || age - mine > CLOCK_DIFFERS))
        err =
            prune_fail(u, -EAGAIN,
                       "by the clock of this machine segment %llu-%llu is %lld s old, and by that "
                       "of the archive %lld s: is one of them wrong, or was the archive copied?",
                       (unsigned long long)at.epoch, (unsigned long long)at.serial,
                       (long long)(mine / NSEC_PER_SEC), (long long)(age / NSEC_PER_SEC));
    return err;
}

static int choose_begin(struct prune *u, int64_t at, struct segment_pos *ret)
{
    int err = chain_last(u->shard, u->lineage, u->base.begin.at, &u->end);

    if (err < 0 || u->end.epoch == 0)
        return err < 0 ? err : -ENODATA;
    if (u->whole)
        return choose_all(u, ret);
    err = check_age(u, at, u->end);
    if (err == 0)
        err = find_begin(u, at - settings_get(&u->p->settings, SET_ARCHIVE_KEEP), ret);
    return err;
}

int prune_choose(struct prune *u)
{
    const int64_t at = now(u->p);
    struct segment_pos begin;
    const struct spot *s;
    int err = choose_begin(u, at, &begin);

    if (err == 0 && !u->whole) /* before anything is noted */
        u->live.old_epoch = begin.epoch;
    if (err == 0)
        err = must_be_there(reach_segment(&u->reach, begin, &s));
    if (err < 0)
        return err;
    u->begin = (struct kept_state){s->at, s->seq, s->time};
    u->reach.begin = begin;
    err = must_be_there(
        reach_follow(&u->reach, (struct segment_pos){begin.epoch, begin.serial - 1}, u->end));
    return err < 0 || u->whole ? err : choose_states(u, at);
}
