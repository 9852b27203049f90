// SPDX-License-Identifier: Apache-2.0
/* ship_succeed: a store takes over from another one that ships to the archive which it reads. */
#include "ship_impl.h"

#include "archive_read.h"
#include "chain_find.h"
#include "flush.h"
#include "report.h"
#include "shards.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The archive, for some requests; given back by end_asking. */
static int begin_asking(struct state *p, uint16_t number, struct shards_info *info,
                        struct shard **ret, char why[SHARD_WHY])
{
    int err = shards_info_get(p->shards, number, info);

    if (err == 0)
        err = shards_get(p->shards, number, SHARDS_READ, ret, NULL);
    if (err < 0 && !*why)
        snprintf(why, SHARD_WHY, "the archive cannot be reached: %s", strerror(-err));
    return err;
}

static int end_asking(struct state *p, uint16_t number, int err)
{
    err = shards_said(p->shards, number, err);
    shards_put_back(p->shards, number);
    return err;
}

/* ---- the end of a lineage ---- */

/* Has somebody claimed an epoch behind that of the chain? 1, 0 or -errno. */
static int is_claimed_again(struct shard *shard, const struct chain *c)
{
    struct chain_find f = {.shard = shard, .lineage = c->lineage};
    uint64_t last = 0;
    int err = chain_last_epoch(&f, c->epoch, &last);

    return err < 0 ? err : last > c->epoch;
}

static int claim(struct state *p, struct shard *shard, uint32_t lineage, struct chain *c,
                 struct segment_pos *ret_end, char why[SHARD_WHY])
{
    struct archive_claim who;
    int again = c->claimed ? is_claimed_again(shard, c) : 0;
    int err = again < 0 ? again : ship_fill_who(p, &who);

    if (err < 0)
        return err;
    if (!c->epoch || again) /* a claim that failed goes on with its own number */
        chain_init(c, shard, lineage, &who, 0);
    c->shard = shard;
    return chain_claim(c, ret_end, why);
}

int ship_end_lineage(struct state *p, uint16_t number, struct chain *c, struct segment_pos *ret_end,
                     char why[SHARD_WHY])
{
    char reason[SHARD_WHY] = "";
    struct shards_info info;
    struct shard *shard;
    int err;

    *why = '\0';
    err = begin_asking(p, number, &info, &shard, why);
    if (err < 0)
        return err;
    err = end_asking(p, number, claim(p, shard, info.lineage, c, ret_end, reason));
    if (err < 0)
        snprintf(why, SHARD_WHY, "no epoch can be claimed there: %.150s",
                 *reason ? reason : strerror(-err));
    return err;
}

/* ---- the lineage that follows ---- */

/* Is it one that this store has begun so, and that nobody ships in? 1, 0 or -errno. */
static int is_begun(struct shard *shard, const struct archive_lineage *l,
                    const struct archive_lineage *want)
{
    struct chain_find f = {.shard = shard, .lineage = l->number};
    uint64_t epoch = 0;
    int err;

    if (l->why != want->why || l->parent != want->parent ||
        segment_pos_compare(l->parent_at, want->parent_at) != 0 ||
        memcmp(l->store, want->store, sizeof l->store) != 0)
        return 0;
    err = chain_last_epoch(&f, 0, &epoch);
    return err < 0 ? err : epoch == 0;
}

/* Uses the lineage that a call which was cut off has put, or puts one. */
static int find_or_put(struct state *p, struct shard *shard, struct archive_lineage *l)
{
    struct archive_lineage other;
    int err = 0, is = 0;

    for (uint32_t n = l->parent + 1; is == 0; n++) {
        err = archive_read_lineage(shard, n, &other);
        if (err == -EUCLEAN || err == -EPROTO)
            continue;
        if (err < 0)
            break;
        is = is_begun(shard, &other, l);
    }
    if (is == 1)
        l->number = other.number;
    if (is != 0)
        return is == 1 ? 0 : is;
    return err == -ENOENT ? ship_begin_lineage(p, shard, l) : err;
}

static int is_taken(struct shard *shard, const struct archive_lineage *l, char why[SHARD_WHY])
{
    uint32_t other;
    int err = archive_successor(shard, l->parent, l->store, l->number, &other);

    if (err < 0 || !other)
        return err;
    snprintf(why, SHARD_WHY,
             "another store has taken over, as lineage %u: `tally clone --lineage %u` and `mount "
             "-o follow` follow that one",
             other, other);
    return -EBUSY;
}

/* Of several stores that take over at once the one with the lowest number goes on. A writer that
 * claims looks for a successor after its claim (ship_join.c), and here a later claim is looked for
 * after the lineage is there: so one of both sees the other. -EAGAIN: somebody has claimed. */
static int begin_lineage(struct state *p, struct shard *shard, const struct chain *c,
                         struct archive_lineage *l, char why[SHARD_WHY])
{
    int err, again;

    store_id_of(p->id_key.secret, p->created, p->shared ? p->shared->node : 0, l->store);
    l->number = UINT32_MAX;
    err = is_taken(shard, l, why);
    if (err == 0)
        err = find_or_put(p, shard, l);
    if (err == 0)
        err = is_taken(shard, l, why);
    if (err < 0)
        return err;
    again = is_claimed_again(shard, c);
    return again == 1 ? -EAGAIN : again;
}

int ship_succeed(struct state *p, uint16_t number, const struct chain *c, struct segment_pos at,
                 uint64_t seq, uint32_t *ret_lineage, char why[SHARD_WHY])
{
    struct archive_lineage l = {.why = ARCHIVE_PROMOTE, .parent_at = at, .parent_seq = seq};
    struct shards_info info;
    struct shard *shard;
    int err;
    MUTEX_GUARD(&p->ship->change);

    *why = '\0';
    err = begin_asking(p, number, &info, &shard, why);
    if (err < 0)
        return err;
    l.parent = info.lineage;
    err = end_asking(p, number, begin_lineage(p, shard, c, &l, why));
    if (err < 0 && !*why)
        snprintf(why, SHARD_WHY, "no lineage can be made there: %s", strerror(-err));
    if (err == 0)
        err = ship_honour_parent(p, number, &info, why);
    if (err == 0)
        err = shards_set_lineage(p->shards, number, l.number);
    if (err < 0)
        return err;
    *ret_lineage = l.number;
    WRITE_GUARD(&p->ship->lock);
    err = ship_begin_stream(p, number);
    if (err < 0) /* it is the writer of that lineage in any case */
        report(REPORT_WARN, "archive %u: nothing is shipped there before the next mount (%s)",
               number, strerror(-err));
    return 0;
}
