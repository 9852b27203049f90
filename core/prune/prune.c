// SPDX-License-Identifier: Apache-2.0
/* prune: see the header. This file has the order of a run. */
#include "prune_impl.h"

#include "archive_catalogue.h"
#include "archive_read.h"
#include "shards.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int prune_fail(struct prune *u, int err, const char *fmt, ...)
{
    va_list ap;

    if (err == 0 || u->why->len)
        return err;
    va_start(ap, fmt);
    strbuf_vaddf(u->why, fmt, ap);
    va_end(ap);
    return err;
}

/* ---- catalogues ---- */

int prune_read_base(struct prune *u, uint32_t lineage, uint32_t number, struct catalogue *ret)
{
    int begun = 0;

    *ret = (struct catalogue){.number = 0};
    while (number > 0 && (begun = archive_has_begun(u->shard, lineage, number)) == 0)
        number--;
    if (begun < 0 || number == 0)
        return begun < 0 ? begun : 0;
    return archive_catalogue(u->shard, lineage, number, ret);
}

static int read_catalogues(struct prune *u)
{
    int err = archive_last_catalogue(u->shard, u->lineage, 0, &u->last);

    if (err == 0)
        err = prune_read_base(u, u->lineage, u->last.number, &u->base);
    u->begun = u->last.number && u->base.number == u->last.number;
    return err < 0 ? prune_fail(u, err, "what was marked cannot be read") : 0;
}

/* How many segments, packs and files it gives up. */
static uint64_t marked_by(const struct catalogue *c)
{
    uint64_t count = c->file_count;

    for (uint32_t i = 0; i < c->gone_count; i++)
        count += c->gone[i].last - c->gone[i].first + 1;
    for (uint32_t i = 0; i < c->pack_count; i++)
        count += c->packs[i].last - c->packs[i].first + 1;
    return count;
}

/* How long it is until what is marked may be deleted. */
static int read_wait(struct prune *u)
{
    const int64_t grace = settings_get(&u->p->settings, SET_ARCHIVE_GRACE);
    char name[ARCHIVE_NAME_MAX + 1];
    int64_t age = 0;
    int err;

    if (!marked_by(&u->last) || u->begun)
        return 0;
    archive_kept_name(u->lineage, u->last.number, name);
    err = shard_age(u->shard, name, &age);
    u->r->wait = age < grace ? grace - age : 0;
    return err < 0 ? prune_fail(u, err, "the age of %s cannot be read", name) : 0;
}

/* ---- the survey ---- */

static int survey(struct prune *u)
{
    int err = prune_choose(u);

    if (err == 0)
        err = prune_pinned(u);
    if (err == 0)
        err = prune_others(u);
    if (err == 0)
        err = prune_list(u);
    return err == -ENOENT ? prune_fail(u, -EUCLEAN,
                                       "something that is to be kept is not there: see `archive "
                                       "check`")
                          : err;
}

static int look_on(void *ctx)
{
    const struct prune *u = ctx;

    return u->ask->progress ? u->ask->progress(u->reach.segments, u->ask->ctx) : 0;
}

/* Holds what is shipped, and looks at what was put since the survey, and at this store. */
static int hold(struct prune *u, struct ship_held *h)
{
    const struct ship_pause pause = {.fn = look_on, .ctx = u};
    char why[SHARD_WHY] = "";
    int err = ship_hold(u->p, u->archive, u->shard, &pause, h, why);

    if (err < 0)
        return prune_fail(u, err, "%s", why);
    if (h->lineage != u->lineage)
        err = prune_fail(u, -EAGAIN, "the store ships to another history by now");
    if (err == 0)
        err = reach_follow(&u->reach, u->end, h->at);
    if (err == 0)
        u->end = h->at;
    if (err == 0)
        err = prune_ghosts(u);
    if (err == 0)
        err = prune_new_pins(u);
    if (err < 0)
        ship_let_go(h);
    return err;
}

/* ---- deleting ---- */

static int forget(struct prune *u, struct ship_held *h, const struct catalogue *c)
{
    int err;

    u->doing = c;
    err = ship_held_forget(h, prune_is_gone, u);
    return err < 0 ? prune_fail(u, err, "what is given up cannot be forgotten here") : 0;
}

static int begin_deleting(struct prune *u, struct ship_held *h)
{
    int err = forget(u, h, &u->last);

    if (err == 0 && !u->begun)
        err = archive_begin_deleting(u->shard, u->lineage, u->last.number, h->token);
    if (err == 0) /* a writer sees that the deletion has begun, or its claim is seen here */
        err = ship_held_begun(h, u->shard, u->last.number);
    if (err == -EKEYREVOKED)
        return prune_fail(u, err, "another writer has claimed the archive");
    return err == -EEXIST ? prune_fail(u, -EAGAIN, "another run has begun to delete: run it again")
                          : err;
}

static int delete_marked(struct prune *u)
{
    struct ship_held h;
    int err = hold(u, &h);

    if (err < 0)
        return err;
    err = begin_deleting(u, &h);
    ship_let_go(&h);
    return err < 0 ? err : prune_delete(u);
}

/* What a catalogue has marked, and a pin or somebody else needs, stays, and is among what is kept
 * from then on: the next catalogue says so. */
static int after_delete(struct prune *u)
{
    int err = 0;

    if (u->begun)
        return 0;
    u->begun = true;
    catalogue_release(&u->base);
    err = archive_catalogue(u->shard, u->lineage, u->last.number, &u->base);
    return err;
}

/* ---- marking ---- */

static void note_kept(struct prune *u, const struct catalogue *c)
{
    u->r->catalogue = c->number;
    u->r->states = c->state_count;
    u->r->oldest = catalogue_oldest(c);
    u->r->marked = marked_by(c);
    u->r->marked_bytes = c->bytes;
}

/* Returns 1. */
static int put_mark(struct prune *u, struct ship_held *h, const struct catalogue *c)
{
    int err = forget(u, h, c);

    if (err == 0)
        err = archive_put_catalogue(u->shard, c);
    if (err == 0)
        err = shards_note_seen(u->p->shards, u->archive, c->number);
    if (err == -EEXIST)
        err = prune_fail(u, -EAGAIN, "another run has marked something meanwhile");
    if (err < 0)
        return err;
    note_kept(u, c);
    ship_held_note_oldest(h, u->r->oldest);
    u->r->wait = u->r->marked ? settings_get(&u->p->settings, SET_ARCHIVE_GRACE) : 0;
    return 1;
}

/* Does it keep something that the last one gives up, and that is still there? */
static bool takes_back(struct prune *u, const struct catalogue *c)
{
    const struct catalogue *last = &u->last;

    for (uint32_t i = 0; i < last->gone_count; i++)
        for (struct segment_pos at = {last->gone[i].epoch, last->gone[i].first};
             at.serial <= last->gone[i].last; at.serial++)
            if (catalogue_keeps(c, at))
                return true;
    for (size_t i = 0; i < u->file_count; i++) {
        const struct listed_file *f = &u->files[i];

        if (catalogue_gives_up(last, f->in_pack, f->where) && prune_fate(u, f) == PRUNE_KEEP &&
            (f->size || !f->has_thin))
            return true;
    }
    return false;
}

/* When a catalogue is put: if it marks anything; always; only if it takes something back. */
enum mark_when { MARK_MORE, MARK_ALWAYS, MARK_BACK };

static bool is_to_be_put(struct prune *u, const struct catalogue *c, enum mark_when when)
{
    return when == MARK_ALWAYS || (when == MARK_MORE && marked_by(c)) ||
           (u->last.number && !u->begun && takes_back(u, c));
}

/* Returns 1 if a catalogue was put. */
static int mark(struct prune *u, enum mark_when when)
{
    struct catalogue c = {.number = 0};
    struct ship_held h;
    int err = hold(u, &h);

    if (err < 0)
        return err;
    err = prune_make(u, h.epoch, &c);
    if (err == 0 && is_to_be_put(u, &c, when))
        err = put_mark(u, &h, &c);
    ship_let_go(&h);
    catalogue_release(&c);
    return err;
}

/* ---- a run ---- */

/* What is needed again is taken back first, by a new catalogue, which restarts the grace period of
 * everything that is still marked. While a grace period runs nothing is added, since that would
 * restart it, too. After a deletion the last catalogue is out of date, so a new one is put. */
static int delete_and_mark(struct prune *u)
{
    int err = u->last.number && !u->begun ? mark(u, MARK_BACK) : 0;

    if (err != 0 || u->r->wait > 0 || (u->whole && !u->begun))
        return err;
    if (!marked_by(&u->last))
        return mark(u, MARK_MORE);
    err = delete_marked(u);
    if (err == 0)
        err = after_delete(u);
    return err < 0 ? err : mark(u, MARK_ALWAYS);
}

static int run(struct prune *u)
{
    int err = read_catalogues(u);

    if (err == 0)
        err = read_wait(u);
    note_kept(u, &u->last);
    if (err == 0)
        err = prune_read_pins(u);
    if (err == 0)
        err = prune_check_whole(u);
    if (err == 0) /* what was begun before somebody needed all that was left goes on */
        err = u->whole && !marked_by(&u->last) ? -ENODATA : survey(u);
    if (err == 0)
        err = delete_and_mark(u);
    if (err > 0 || err == -ENODATA)
        err = 0;
    return err == 0 && u->whole ? prune_fail(u, -EBUSY, "%s", u->whole_why) : err;
}

static void release(struct prune *u)
{
    catalogue_release(&u->last);
    catalogue_release(&u->base);
    reach_release(&u->reach);
    live_release(&u->live);
    map64_release(&u->bodies);
    free(u->pins.v);
    free(u->states);
    free(u->files);
}

/* Opens the archive with the credentials that are used to delete, and looks whether it is the same
 * archive. */
static int open_deleter(struct prune *u, const uint8_t id[ARCHIVE_ID_LEN])
{
    char why[SHARD_WHY] = "";
    struct archive_format there;
    int err = shard_open(u->ask->with, 0, &u->deleter, why);

    u->deleter_failed = err < 0;
    if (err < 0) {
        u->deleter = NULL;
        return prune_fail(u, err, "%s: %s", u->ask->with, *why ? why : strerror(-err));
    }
    err = archive_read_format(u->deleter, &there);
    u->deleter_failed = err < 0;
    if (err < 0 && err != -ENOENT)
        return prune_fail(u, err, "%s cannot be asked which archive it is", u->ask->with);
    if (err < 0 || memcmp(there.id, id, sizeof there.id) != 0)
        return prune_fail(u, -EINVAL, "%s is not the archive that the store ships to",
                          u->ask->with);
    return 0;
}

static void close_deleter(struct prune *u)
{
    if (u->deleter && u->deleter != u->shard)
        shard_close(u->deleter);
}

int prune_run(struct state *p, uint16_t archive, const struct prune_ask *ask,
              struct prune_result *ret, struct strbuf *why)
{
    struct prune u = {.p = p, .archive = archive, .ask = ask, .r = ret, .why = why};
    struct shards_info info;
    int err = state_writable(p);

    *ret = (struct prune_result){0};
    if (err == 0)
        err = shards_info_get(p->shards, archive, &info);
    if (err == 0 && !info.ships)
        return prune_fail(&u, -EROFS, "only the store that ships there may delete there");
    if (err == 0)
        err = shards_get(p->shards, archive, SHARDS_READ, &u.shard, NULL);
    if (err < 0)
        return prune_fail(&u, err, "the archive cannot be asked");
    u.lineage = u.live.lineage = info.lineage;
    reach_init(&u.reach, u.shard, u.lineage, &u.live);
    u.reach.progress = ask->progress;
    u.reach.ctx = ask->ctx;
    u.deleter = u.shard;
    if (ask->with)
        err = open_deleter(&u, info.id);
    if (err == 0)
        err = run(&u);
    close_deleter(&u);
    if (err < 0 && !u.deleter_failed && err != -EAGAIN && err != -EBUSY && err != -EINVAL &&
        err != -EKEYREVOKED && err != -ECANCELED)
        err = shards_said(p->shards, archive, err);
    shards_put_back(p->shards, archive);
    release(&u);
    return err;
}
