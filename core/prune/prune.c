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

/* The last catalogue of which something may be deleted: what one has marked, and nobody has begun
 * to delete, is all there. */
static int read_base(struct prune *u)
{
    uint32_t number = u->last.number;
    int begun = 0;

    while (number > 0 && (begun = archive_has_begun(u->shard, u->lineage, number)) == 0)
        number--;
    u->begun = number > 0 && number == u->last.number;
    if (begun < 0 || number == 0)
        return begun < 0 ? begun : 0;
    return archive_catalogue(u->shard, u->lineage, number, &u->base);
}

static int read_catalogues(struct prune *u)
{
    int err = archive_last_catalogue(u->shard, u->lineage, 0, &u->last);

    if (err == 0)
        err = read_base(u);
    return err < 0 ? prune_fail(u, err, "what was marked cannot be read") : 0;
}

static bool marks_something(const struct catalogue *c)
{
    return c->gone_count || c->pack_count || c->file_count;
}

/* How long it is until what is marked may be deleted. */
static int read_wait(struct prune *u)
{
    const int64_t grace = settings_get(&u->p->settings, SET_ARCHIVE_GRACE);
    char name[ARCHIVE_NAME_MAX + 1];
    int64_t age = 0;
    int err;

    if (!u->last.number || !marks_something(&u->last) || u->begun)
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
        err = prune_children(u);
    if (err == 0)
        err = prune_list(u);
    return err == -ENOENT ? prune_fail(u, -EUCLEAN,
                                       "something that is to be kept is not there: see `archive "
                                       "check`")
                          : err;
}

/* Holds what is shipped, and looks at what was put since the survey, and at this store. */
static int hold(struct prune *u, struct ship_held *h)
{
    char why[SHARD_WHY] = "";
    int err = ship_hold(u->p, u->archive, u->shard, h, why);

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
        err = prune_check_pins(u);
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

static int delete_marked(struct prune *u)
{
    struct ship_held h;
    int err = hold(u, &h);

    if (err < 0)
        return err;
    err = forget(u, &h, &u->last);
    if (err == 0)
        err = archive_begin_deleting(u->shard, u->lineage, u->last.number);
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
}

static int put_mark(struct prune *u, struct ship_held *h, const struct catalogue *c)
{
    int err = forget(u, h, c);

    if (err == 0)
        err = archive_put_catalogue(u->shard, c);
    if (err == 0)
        err = shards_note_seen(u->p->shards, u->archive, c->number);
    if (err == -EEXIST)
        err = prune_fail(u, -EAGAIN, "another run has marked something meanwhile");
    if (err == 0) {
        note_kept(u, c);
        ship_held_note_oldest(h, u->r->oldest);
        u->r->marked_bytes = c->bytes;
        u->r->wait = marks_something(c) ? settings_get(&u->p->settings, SET_ARCHIVE_GRACE) : 0;
    }
    return err;
}

/* `deleted`: this run has deleted, so what the last catalogue says is not so any more. */
static int mark(struct prune *u, bool deleted)
{
    struct catalogue c = {.number = 0};
    struct ship_held h;
    int err = hold(u, &h);

    if (err < 0)
        return err;
    err = prune_make(u, h.epoch, &c);
    if (err == 0 && (deleted || marks_something(&c)))
        err = put_mark(u, &h, &c);
    ship_let_go(&h);
    catalogue_release(&c);
    return err;
}

/* ---- a run ---- */

static int run(struct prune *u)
{
    bool deletes;
    int err = read_catalogues(u);

    if (err == 0)
        err = read_wait(u);
    note_kept(u, &u->last);
    u->r->marked_bytes = u->last.bytes;
    if (err < 0 || u->r->wait > 0)
        return err;
    err = prune_read_pins(u);
    if (err == 0)
        err = prune_check_whole(u);
    if (err == 0)
        err = survey(u);
    if (err < 0)
        return err == -ENODATA ? 0 : err;
    deletes = u->last.number && marks_something(&u->last);
    if (deletes)
        err = delete_marked(u);
    if (err == 0 && deletes)
        err = after_delete(u);
    return err < 0 ? err : mark(u, deletes);
}

static void release(struct prune *u)
{
    catalogue_release(&u->last);
    catalogue_release(&u->base);
    reach_release(&u->reach);
    live_release(&u->live);
    free(u->pins.v);
    free(u->states);
    free(u->files);
}

/* Opens the way by which is deleted, and looks whether it leads to the same archive. */
static int open_deleter(struct prune *u, const uint8_t id[ARCHIVE_ID_LEN])
{
    char why[SHARD_WHY] = "";
    struct archive_format there;
    int err = shard_open(u->ask->with, 0, &u->deleter, why);

    if (err < 0) {
        u->deleter = NULL;
        return prune_fail(u, err, "%s: %s", u->ask->with, *why ? why : strerror(-err));
    }
    err = archive_read_format(u->deleter, &there);
    if (err == 0 && memcmp(there.id, id, sizeof there.id) != 0)
        err = -EINVAL;
    return prune_fail(u, err, "%s is not the archive that the store ships to", u->ask->with);
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
    if (err < 0 && err != -EAGAIN && err != -EBUSY && err != -EKEYREVOKED && err != -ECANCELED)
        err = shards_said(p->shards, archive, err);
    shards_put_back(p->shards, archive);
    release(&u);
    return err;
}
