// SPDX-License-Identifier: Apache-2.0
/*
 * ship_backlog: what an archive that is behind holds back in the store, and the bound of that.
 *
 * While an archive cannot be asked its points hold what was deleted and overwritten since. The
 * setting archive_backlog bounds these bytes. Beyond it points are let go, those that hold the most
 * first, and no writer is stopped. The archive then gets the namespace whole, and what was between
 * is a gap: the states of the outage, which no segment would have had anyway.
 */
#include "ship_impl.h"

#include "flush.h"
#include "report.h"
#include "weigh.h"

#define LOOK_AGAIN (60 * NSEC_PER_SEC) /* a look reads pages, so there is one in so long */

#define MIB(x) ((unsigned long long)((x) >> 20))

/* Bytes that nobody holds but this point. Of one that cannot be read: 0. */
static uint64_t alone(struct stream *s, struct ns *point)
{
    size_t left = WEIGH_ITEMS;
    struct weight w;

    return point && weigh(s->p, point, false, &left, &w) == 0 ? w.whole : 0;
}

/* Weighs the points of all namespaces. */
static uint64_t weigh_all(struct stream *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s->count && !ship_is_ending(s); i++) {
        struct shipped *e = &s->v[i];

        e->held = alone(s, e->was) + alone(s, e->is);
        sum += e->held;
    }
    return sum;
}

static struct shipped *heaviest(struct stream *s)
{
    struct shipped *best = NULL;

    for (size_t i = 0; i < s->count; i++)
        if (s->v[i].held > 0 && (!best || s->v[i].held > best->held))
            best = &s->v[i];
    return best;
}

/* Lets the points of a namespace go. What a segment is made of stays, since that may be in the
 * archive already. */
static int let_go(struct stream *s, struct shipped *e)
{
    TXN(t);
    int err = txn_begin_alone(s->p, 0, &t);

    if (err == 0 && e->was)
        err = ns_point_drop(&t, e->was);
    if (err == 0 && e->is && !s->made)
        err = ns_point_drop(&t, e->is);
    return err;
}

/* Lets points go until the bound is kept. Returns the bytes that are still held. */
static uint64_t keep_bound(struct stream *s, uint64_t held, uint64_t most)
{
    struct shipped *e;

    s->gap_due =
        true; /* it is noted first: a death must not find points missing without a reason */
    ship_drop_dead(s);
    while (s->gap && held > most && (e = heaviest(s)) && let_go(s, e) == 0) {
        report(REPORT_WARN,
               "archive %u: more than archive_backlog is held for it: the points of %.80s are let "
               "go, at least %llu MiB. The archive gets that namespace whole",
               s->archive, e->section.name, MIB(e->held));
        held -= e->held;
        e->held = 0;
    }
    flush_kick_drops(s->p);
    ship_drop_dead(s);
    return held;
}

void ship_bound_backlog(struct stream *s)
{
    uint64_t most = (uint64_t)settings_get(&s->p->settings, SET_ARCHIVE_BACKLOG), held;

    mutex_held(&s->lock);
    if (!s->joined || (s->weighed && ticks(s->p) - s->weighed < LOOK_AGAIN))
        return;
    s->weighed = ticks(s->p);
    held = weigh_all(s);
    if (most > 0 && held > most)
        held = keep_bound(s, held, most);
    MUTEX_GUARD(&s->stats_lock);
    s->stats.held = held;
}

void ship_end_backlog(struct stream *s)
{
    s->weighed = 0;
    MUTEX_GUARD(&s->stats_lock);
    s->stats.held = 0;
}
