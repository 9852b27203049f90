// SPDX-License-Identifier: Apache-2.0
/*
 * follow_keep: what the archive keeps for a follower: is what stands behind the last segment still
 * whole, and pins.
 *
 * A segment may be there while its contents are deleted: the first one of each epoch stays. So
 * whoever comes back asks for the last catalogue. Whoever has seen a moment ago that nothing was
 * behind the last segment asks nobody: what is there by now is younger than any `archive_grace`.
 *
 * A store that follows all the time needs no pin, since the last state is always kept. The pin is
 * for the time in which it does not follow. So a new one is put when it stops, if something was
 * applied since the one before, and every PIN_EVERY in case that it does not stop in order; each
 * leaves two names in the archive for good. An earlier pin ends when the store is what the later
 * one says.
 */
#include "follow_impl.h"

#include "archive_catalogue.h"
#include "array.h"
#include "report.h"
#include "restore_pin.h"
#include "shards.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SURE (30 * NSEC_PER_SEC) /* half of the shortest `archive_grace` */
#define PIN_EVERY (6 * 3600 * NSEC_PER_SEC)
#define PIN_RETRY (600 * NSEC_PER_SEC) /* after a pin could not be put */
#define TRIES 4

/* Is it less than that since `time`? A clock that was set back says no. */
static bool is_within(struct state *p, int64_t time, int64_t duration)
{
    const int64_t age = now(p) - time;

    return time && age >= 0 && age < duration;
}

/* ---- what was given up ---- */

static int read_kept(struct state *p, struct shard *shard)
{
    struct follow_of_store *f = p->follow;
    const int64_t began = now(p);
    struct catalogue c;
    int err = archive_catalogue_is_last(shard, f->lineage, f->kept.number);

    if (err == 0) {
        err = archive_last_catalogue(shard, f->lineage, f->kept.number, &c);
        if (err == 0) {
            catalogue_release(&f->kept);
            f->kept = c;
        }
    }
    if (err < 0)
        return shards_said(p->shards, f->archive, err);
    f->sure = began;
    return 0;
}

bool follow_is_sure(struct state *p, int64_t duration)
{
    return is_within(p, p->follow->sure, duration);
}

int follow_is_kept(struct state *p, struct shard *shard, struct segment_pos at)
{
    struct follow_of_store *f = p->follow;
    int err = follow_is_sure(p, SURE) ? 0 : read_kept(p, shard);

    return err < 0 ? err : f->kept.number == 0 || catalogue_keeps(&f->kept, at);
}

/* Can the state be restored, by the last catalogue? */
static bool is_state(const struct catalogue *c, struct segment_pos at)
{
    if (c->number == 0 || segment_pos_compare(at, c->begin.at) >= 0)
        return true;
    for (uint32_t i = 0; i < c->state_count; i++)
        if (segment_pos_compare(c->states[i].at, at) == 0)
            return true;
    return false;
}

/* ---- pins ---- */

/* Keeps those of `pins` that this store has put for what it follows. */
static void keep_own(struct state *p, struct archive_pins *pins)
{
    struct archive_pin own;
    size_t n = 0;

    restore_pin_init(p, p->follow->lineage, &own);
    for (size_t i = 0; i < pins->count; i++)
        if (pins->v[i].lineage == own.lineage &&
            memcmp(pins->v[i].store, own.store, sizeof own.store) == 0)
            pins->v[n++] = pins->v[i];
    pins->count = n;
}

static int know_pins(struct state *p, struct shard *shard)
{
    struct follow_of_store *f = p->follow;
    int err = f->pins_known ? 0 : archive_pins_read(shard, &f->pins);

    if (err == 0 && !f->pins_known)
        keep_own(p, &f->pins);
    f->pins_known = err == 0;
    return err;
}

static bool has_pin(const struct follow_of_store *f, struct segment_pos at)
{
    for (size_t i = 0; i < f->pins.count; i++)
        if (segment_pos_compare(f->pins.v[i].at, at) == 0)
            return true;
    return false;
}

/* Was one of a state behind `after` put within that time? */
static bool has_recent(struct state *p, struct segment_pos after, int64_t duration)
{
    const struct archive_pins *pins = &p->follow->pins;

    for (size_t i = 0; i < pins->count; i++)
        if (segment_pos_compare(pins->v[i].at, after) > 0 &&
            is_within(p, pins->v[i].time, duration))
            return true;
    return false;
}

/* Puts a pin of a state that is kept. 0: there is no right to, or the state is given up. */
static int put_pin(struct state *p, struct shard *shard, struct segment_pos at)
{
    struct follow_of_store *f = p->follow;
    struct archive_pin pin;
    int err = ARRAY_RESERVE(f->pins.v, f->pins.room, f->pins.count + 1), put = -ESTALE;

    for (int i = 0; i < TRIES && err == 0 && put == -ESTALE; i++) {
        err = read_kept(p, shard);
        if (err < 0 || !is_state(&f->kept, at))
            return err;
        restore_pin_init(p, f->lineage, &pin);
        pin.at = at;
        put = restore_pin_put(shard, &pin, f->kept.number);
    }
    f->unpinned = put == 0;
    if (put == 1)
        f->pins.v[f->pins.count++] = pin;
    return err < 0 ? err : put;
}

/* No pin can be put now. The store follows without one. */
static void note_failed(struct state *p, int err)
{
    struct follow_of_store *f = p->follow;

    if (err < 0 && !f->pin_failed)
        report(REPORT_WARN,
               "no pin could be put into the archive that is followed (%s): that is tried again",
               strerror(-err));
    f->pin_failed = now(p);
}

static void try_pin(struct state *p, struct shard *shard, struct segment_pos at)
{
    int err = put_pin(p, shard, at);

    if (err == 1)
        p->follow->pin_failed = 0;
    else
        note_failed(p, err);
}

/* May one be put now? It also finds out which ones there are. */
static bool may_pin(struct state *p, struct shard *shard)
{
    struct follow_of_store *f = p->follow;
    int err;

    if (f->unpinned || is_within(p, f->pin_failed, PIN_RETRY))
        return false;
    err = know_pins(p, shard);
    if (err < 0)
        note_failed(p, err);
    return err == 0;
}

/* Ends the pins before the last one that is not ahead of the store. What cannot be ended now is
 * ended later. */
static void end_earlier(struct follow_of_store *f, struct shard *shard)
{
    struct segment_pos last = {0};
    size_t n = 0;

    for (size_t i = 0; i < f->pins.count; i++)
        if (segment_pos_compare(f->pins.v[i].at, f->at) <= 0 &&
            segment_pos_compare(f->pins.v[i].at, last) > 0)
            last = f->pins.v[i].at;
    for (size_t i = 0; i < f->pins.count; i++)
        if (segment_pos_compare(f->pins.v[i].at, last) >= 0 ||
            archive_pin_end(shard, f->pins.v[i].token) < 0)
            f->pins.v[n++] = f->pins.v[i];
    f->pins.count = n;
}

void follow_pin_ahead(struct state *p, struct shard *shard, struct segment_pos at)
{
    const struct follow_of_store *f = p->follow;

    /* one that fails again and again does not put one each time */
    if (may_pin(p, shard) && !has_pin(f, at) && !has_recent(p, f->at, PIN_RETRY))
        try_pin(p, shard, at);
}

void follow_pin(struct state *p, struct shard *shard, bool stops)
{
    struct follow_of_store *f = p->follow;
    const struct segment_pos any = {0};

    if (f->at.epoch == 0 || !may_pin(p, shard))
        return;
    if (!has_pin(f, f->at) && (stops || !has_recent(p, any, PIN_EVERY)))
        try_pin(p, shard, f->at);
    end_earlier(f, shard);
}

/* ---- the end ---- */

static int end_all(struct state *p, struct shard *shard)
{
    struct archive_pins pins;
    int err = archive_pins_read(shard, &pins);

    if (err < 0)
        return err;
    keep_own(p, &pins);
    for (size_t i = 0; i < pins.count && err == 0; i++)
        err = archive_pin_end(shard, pins.v[i].token);
    free(pins.v);
    return err;
}

void follow_unpin(struct state *p)
{
    struct follow_of_store *f = p->follow;
    struct shard *shard;
    int err = shards_get(p->shards, f->archive, SHARDS_READ, &shard, NULL);

    if (err == 0) {
        err = shards_said(p->shards, f->archive, end_all(p, shard));
        shards_put_back(p->shards, f->archive);
    }
    if (err < 0)
        report(REPORT_WARN,
               "the pin of the follower could not be ended (%s): `tally archive pins` shows it",
               strerror(-err));
    follow_keep_release(f);
}

void follow_keep_release(struct follow_of_store *f)
{
    catalogue_release(&f->kept);
    f->kept = (struct catalogue){.number = 0};
    free(f->pins.v);
    f->pins = (struct archive_pins){.count = 0};
    f->pins_known = false;
}
