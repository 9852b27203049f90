// SPDX-License-Identifier: Apache-2.0
/*
 * follow_promote: a follower takes over. Its steps, each of which may be done again:
 *
 *     apply    all that is there: what cannot be applied is found before anything is ended
 *     claim    the next epoch: the writer is fenced, and the lineage has an end
 *     apply    what the writer has put in between
 *     succeed  a lineage with that one as its parent, and the record that the store ships there
 *
 * The record is the instant: before it the store is a follower, and after it none. What only memory
 * has, that the namespaces may be changed, comes last.
 */
#include "follow_impl.h"

#include "flush.h"
#include "ship.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TRIES 8 /* of who claims at the same time */

/* Applies all that is there. */
static int apply(struct state *p, char why[SHARD_WHY])
{
    struct follow_of_store *f = p->follow;
    int err = follow_all(p);

    if (err == 0)
        return 0;
    MUTEX_GUARD(&f->stats_lock);
    snprintf(why, SHARD_WHY, "not all that was shipped can be applied: %.200s",
             *f->stats.why ? f->stats.why : strerror(-err));
    return err;
}

/* Has the store all of the lineage, up to its end? */
static int apply_rest(struct state *p, struct segment_pos end, char why[SHARD_WHY])
{
    struct follow_of_store *f = p->follow;
    int err = 0;

    f->looks = 0; /* it is to look for what is behind a missing segment, too */
    if (segment_pos_compare(f->at, end) != 0)
        err = apply(p, why);
    if (err == 0 && segment_pos_compare(f->at, end) != 0) {
        snprintf(why, SHARD_WHY,
                 "the lineage ends with segment %llu-%llu, and the store has it up to %llu-%llu",
                 (unsigned long long)end.epoch, (unsigned long long)end.serial,
                 (unsigned long long)f->at.epoch, (unsigned long long)f->at.serial);
        err = -EUCLEAN;
    }
    return err;
}

/* Ends the lineage, and goes on in one of its own. -EAGAIN: somebody has claimed meanwhile. */
static int take_over(struct state *p, struct follow_promoted *ret, char why[SHARD_WHY])
{
    struct follow_of_store *f = p->follow;
    struct segment_pos end = {0};
    int err = ship_end_lineage(p, f->archive, &f->chain, &end, why);

    if (err == 0)
        err = apply_rest(p, end, why);
    if (err == 0)
        err = flush_sync(p); /* the record is durable at once: what was applied is before it */
    if (err < 0)
        return err;
    *ret = (struct follow_promoted){.archive = f->archive,
                                    .parent = f->lineage,
                                    .parent_at = f->at,
                                    .parent_seq = f->seq,
                                    .time = f->time};
    return ship_succeed(p, f->archive, &f->chain, f->at, f->seq, &ret->lineage, why);
}

static int promote(struct state *p, struct follow_promoted *ret, char why[SHARD_WHY])
{
    int err;

    p->follow->looks = 0; /* what is missing is found before anything is ended */
    err = apply(p, why);
    for (int i = 0; err == 0 && i < TRIES; i++) {
        err = take_over(p, ret, why);
        if (err == -EAGAIN && i + 1 < TRIES) /* the writer has come back, and is ended again */
            err = 0;
        else
            break;
    }
    if (err == 0) {
        follow_unpin(p);
        follow_end(p);
    }
    return err;
}

int follow_promote(struct state *p, struct follow_promoted *ret, char why[SHARD_WHY])
{
    int err;
    MUTEX_GUARD(&p->follow->lock);

    *why = '\0';
    if (!p->follow->on) {
        snprintf(why, SHARD_WHY, "the store follows no archive");
        return -ENOENT;
    }
    err = promote(p, ret, why);
    if (err < 0 && !*why)
        snprintf(why, SHARD_WHY, "%s", strerror(-err));
    return err;
}
