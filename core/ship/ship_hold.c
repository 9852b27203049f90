// SPDX-License-Identifier: Apache-2.0
/*
 * ship_hold: see the header; and what a store does with catalogues that others have put.
 *
 * The rows of a store say what an archive has. A catalogue gives some of that up. The writer that
 * puts it drops its rows before. But a copy of the store may have them, and may become the writer
 * later: so each mount reads the catalogues that its record has not noted as seen, and the last one
 * also if its deletion has begun. It does so after its claim and before it ships. One that is put
 * after that is of a writer that is fenced by then; it deletes only what a catalogue has given up
 * for some time, and it looks for a later claim before: so what it deletes is in a catalogue that
 * was there when this mount read them.
 */
#include "ship_hold.h"
#include "ship_impl.h"

#include "archive_catalogue.h"
#include "archive_find.h"
#include "archive_text.h"
#include "flush.h"
#include "report.h"
#include "shards.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOOK (50 * NSEC_PER_MSEC)

/* ---- rows ---- */

static int drop_rows(struct state *p, uint16_t archive, archived_gone_fn *gone, void *ctx)
{
    READ_GUARD(&p->freeze_lock);

    return archived_drop_places(p->archived, archive, gone, ctx);
}

static bool is_given_up(const struct archived_place *place, void *ctx)
{
    return catalogue_gives_up(ctx, place->in_pack, place->where);
}

/* Drops the rows of what the catalogues from h->from on have given up, durably. */
static int drop_given_up(struct state *p, uint16_t archive, const struct honour *h,
                         struct shard *shard)
{
    int err = drop_rows(p, archive, is_given_up, (void *)&h->last);

    for (uint32_t i = h->from; err == 0 && i < h->last.number; i++) {
        struct catalogue c;

        err = archive_catalogue(shard, h->last.lineage, i, &c);
        if (err < 0)
            break;
        err = drop_rows(p, archive, is_given_up, &c);
        catalogue_release(&c);
    }
    return err < 0 ? err : flush_now(p);
}

/* A catalogue cannot be read, so nobody knows what was given up: nothing that was put before is
 * named again. */
static int distrust(struct state *p, uint16_t archive)
{
    int err;

    report(REPORT_WARN,
           "archive %u: a list of what was deleted there is damaged, or of a newer version: "
           "contents are sent again",
           archive);
    {
        READ_GUARD(&p->freeze_lock);
        err = archived_drop(p->archived, archive);
    }
    return err < 0 ? err : flush_now(p);
}

/* From which catalogue on rows are dropped. If there are newer ones than `seen`, it begins with
 * `seen` itself: this may be a copy of a store that has noted `seen`, and then put rows. If `seen`
 * is the last one, rows are dropped only if its deletion has begun: either a run of this store died
 * in it, or this is a copy. */
static int find_from(struct state *p, uint16_t archive, struct shard *shard, struct honour *h)
{
    int begun = 0;

    if (h->last.number > h->seen)
        h->from = h->seen ? h->seen : 1;
    else if (h->last.pack_count || h->last.file_count)
        begun = archive_has_begun(shard, h->lineage, h->last.number);
    if (begun == 1)
        begun = archived_any(p->archived, archive, is_given_up, &h->last);
    if (begun == 1 || begun == -EUCLEAN) /* a row that is damaged: what follows heals it */
        h->from = h->last.number;
    return begun < 0 && !h->from ? begun : h->from > 0;
}

int ship_honour_look(struct state *p, uint16_t archive, uint32_t lineage, uint32_t seen,
                     struct shard *shard, struct honour *ret)
{
    int err = archive_last_catalogue(shard, lineage, seen, &ret->last);

    ret->lineage = lineage;
    ret->seen = seen;
    ret->from = 0;
    ret->unreadable = err == -EUCLEAN || err == -EPROTO;
    ret->distrusted = ret->unreadable && ret->last.number > seen;
    if (ret->unreadable)
        return ret->distrusted;
    if (err == 0)
        err = find_from(p, archive, shard, ret);
    if (err < 0)
        catalogue_release(&ret->last);
    return err;
}

void ship_honour_release(struct honour *h)
{
    if (!h->unreadable)
        catalogue_release(&h->last);
}

static int drop_what_is_gone(struct state *p, uint16_t archive, const struct honour *h,
                             struct shard *shard)
{
    int err = 0;

    if (h->last.number == h->seen) /* so the next mount looks at it again, also if no row is left */
        err = shards_note_seen(p->shards, archive, h->seen - 1);
    if (err == 0)
        err = drop_given_up(p, archive, h, shard);
    return err == -EUCLEAN || err == -EPROTO ? distrust(p, archive) : err;
}

int ship_honour(struct state *p, uint16_t archive, struct honour *h, struct shard *shard,
                int64_t *ret_oldest)
{
    int err = h->distrusted ? distrust(p, archive)
              : h->from     ? drop_what_is_gone(p, archive, h, shard)
                            : 0;

    if (err == 0 && ret_oldest && !h->unreadable &&
        archive_oldest(shard, h->lineage, &h->last, ret_oldest) < 0)
        *ret_oldest = 0; /* it is only shown */
    ship_honour_release(h);
    return err;
}

/* ---- holding ---- */

static int refuse(int err, char why[SHARD_WHY], const char *sentence)
{
    snprintf(why, SHARD_WHY, "%s", sentence);
    return err;
}

/* Is all that this mount has put named by segments, and is it the writer? */
static int check(struct stream *s, struct shard *shard, char why[SHARD_WHY])
{
    int err = ship_round_held(s), claimed;

    if (err == -EKEYREVOKED)
        return refuse(err, why, "the archive is refused: `archive status` says why");
    if (err < 0)
        return refuse(err, why, "what is to be shipped could not be put there");
    ship_note_seen(s);
    if (s->deferred || s->made || s->unnoted || s->unseen || ship_has_cut(s))
        return refuse(-EAGAIN, why, "not all changes could be shipped yet");
    if (atomic_load(&s->p->ship->readers[s->archive]))
        return refuse(-EBUSY, why, "a restore from the archive runs");
    claimed = ship_is_claimed(s, shard);
    if (claimed < 0)
        return refuse(claimed, why, "the archive cannot be asked");
    return claimed ? refuse(-EKEYREVOKED, why, "another writer has claimed the archive") : 0;
}

/* The stream stays until it is let go. */
static struct stream *get_stream(struct state *p, uint16_t archive)
{
    READ_GUARD(&p->ship->lock);
    struct stream *s = ship_stream(p, archive);

    if (s) {
        MUTEX_GUARD(&s->stats_lock);
        s->holders++;
    }
    return s;
}

static void put_stream(struct stream *s)
{
    MUTEX_GUARD(&s->stats_lock);

    s->holders--;
    cond_broadcast(&s->advanced);
}

/* A round may take hours, so the list of streams is not locked while it is waited for. */
static int await_lock(struct stream *s, const struct ship_pause *pause)
{
    int err = 0;

    while (err == 0 && !mutex_lock_for(&s->lock, LOOK))
        err = ship_is_ending(s) ? -ESHUTDOWN : pause->fn(pause->ctx);
    return err;
}

int ship_hold(struct state *p, uint16_t archive, struct shard *shard,
              const struct ship_pause *pause, struct ship_held *ret, char why[SHARD_WHY])
{
    struct stream *s = get_stream(p, archive);
    int err;

    *ret = (struct ship_held){.p = p, .archive = archive};
    if (!s)
        return refuse(-ENXIO, why, "the store ships nothing there");
    err = await_lock(s, pause);
    if (err < 0) {
        put_stream(s);
        return refuse(err, why, "it ended while something was being sent");
    }
    ret->s = s;
    err = check(s, shard, why);
    if (err < 0) {
        ship_let_go(ret);
        return err;
    }
    ret->lineage = s->lineage;
    ret->epoch = s->chain.epoch;
    memcpy(ret->token, s->chain.who.token, sizeof ret->token);
    ret->at = s->at;
    return 0;
}

int ship_held_forget(struct ship_held *h, archived_gone_fn *gone, void *ctx)
{
    struct stream *s = h->s;
    int err = drop_rows(h->p, h->archive, gone, ctx);

    mutex_held(&s->lock);
    for (size_t i = 0; i < s->count; i++)
        ship_jumps_forget(s, &s->v[i]);
    return err < 0 ? err : flush_now(h->p);
}

int ship_held_begun(struct ship_held *h, struct shard *shard, uint32_t catalogue)
{
    int claimed = ship_is_claimed(h->s, shard);

    mutex_held(&h->s->lock);
    if (claimed)
        return claimed < 0 ? claimed : -EKEYREVOKED;
    h->s->begun = catalogue;
    return 0;
}

void ship_held_note_oldest(struct ship_held *h, int64_t time)
{
    MUTEX_GUARD(&h->s->stats_lock);

    h->s->stats.oldest = time;
}

void ship_let_go(struct ship_held *h)
{
    if (!h->s)
        return;
    mutex_unlock(&h->s->lock);
    put_stream(h->s);
    h->s = NULL;
}
