// SPDX-License-Identifier: Apache-2.0
/* prune_needs: what others need of a lineage, and what this store needs (prune.h). */
#include "prune_impl.h"

#include "archive_catalogue.h"
#include "archive_read.h"
#include "array.h"
#include "chain.h"
#include "refs.h"
#include "state.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* ---- pins ---- */

static int read_pins(struct prune *u, struct archive_pins *ret)
{
    char token[2 * ARCHIVE_TOKEN_LEN + 1];
    int err = archive_pins_read(u->shard, ret);

    if (err == -EUCLEAN || err == -EPROTO) {
        archive_token_format(ret->bad, token);
        return prune_fail(u, err,
                          "the pin %s cannot be read, and may need anything: see `archive "
                          "unpin`",
                          token);
    }
    return err < 0 ? prune_fail(u, err, "the pins of the archive cannot be read") : 0;
}

int prune_read_pins(struct prune *u)
{
    return read_pins(u, &u->pins);
}

static bool is_known(const struct archive_pins *pins, const struct archive_pin *pin)
{
    for (size_t i = 0; i < pins->count; i++)
        if (memcmp(pins->v[i].token, pin->token, sizeof pin->token) == 0)
            return true;
    return false;
}

static bool is_whole(const struct archive_pin *pin)
{
    return pin->at.epoch == 0 && pin->behind.epoch == 0;
}

static int need_place(struct prune *u, struct reach *r, const struct archive_pin *pin,
                      struct segment_pos at)
{
    char token[2 * ARCHIVE_TOKEN_LEN + 1];
    int err = at.epoch ? reach_state(r, at) : 0;

    archive_token_format(pin->token, token);
    if (err == -ENOENT || err == -EUCLEAN)
        return prune_fail(u, -EUCLEAN, "what the pin %s needs is not all there", token);
    return err;
}

static int need_pin(struct prune *u, struct reach *r, const struct archive_pin *pin)
{
    int err = need_place(u, r, pin, pin->at);

    return err < 0 ? err : need_place(u, r, pin, pin->behind);
}

static int need_pins(struct prune *u, struct reach *r)
{
    int err = 0;

    for (size_t i = 0; i < u->pins.count && err == 0; i++)
        if (u->pins.v[i].lineage == r->lineage)
            err = need_pin(u, r, &u->pins.v[i]);
    return err;
}

/* A state that a pin needs can be restored by everybody, so it is among those that are kept. */
static int add_pinned(struct prune *u, struct segment_pos at)
{
    const struct spot *s;
    int err;

    if (at.epoch == 0 || segment_pos_compare(at, u->begin.at) >= 0)
        return 0;
    for (size_t i = 0; i < u->state_count; i++)
        if (segment_pos_compare(u->states[i].at, at) == 0)
            return 0;
    err = reach_segment(&u->reach, at, &s);
    if (err == 0)
        err = ARRAY_RESERVE(u->states, u->state_room, u->state_count + 1);
    if (err == 0)
        u->states[u->state_count++] = (struct kept_state){s->at, s->seq, s->time};
    return err;
}

static int add_states(struct prune *u, const struct archive_pin *pin)
{
    int err = add_pinned(u, pin->at);

    return err < 0 ? err : add_pinned(u, pin->behind);
}

int prune_pinned(struct prune *u)
{
    int err = need_pins(u, &u->reach);

    for (size_t i = 0; i < u->pins.count && err == 0; i++)
        if (u->pins.v[i].lineage == u->lineage)
            err = add_states(u, &u->pins.v[i]);
    return err;
}

static int need_new_pin(struct prune *u, const struct archive_pin *pin)
{
    int err;

    if (pin->lineage != u->lineage || is_whole(pin))
        return prune_fail(u, -EAGAIN, "a pin was put meanwhile: run it again");
    err = need_pin(u, &u->reach, pin);
    return err < 0 ? err : add_states(u, pin);
}

int prune_new_pins(struct prune *u)
{
    struct archive_pins now;
    int err = read_pins(u, &now);

    if (err < 0)
        return err;
    for (size_t i = 0; err == 0 && i < now.count; i++)
        if (!is_known(&u->pins, &now.v[i]))
            err = need_new_pin(u, &now.v[i]);
    free(u->pins.v);
    u->pins = now;
    return err;
}

/* ---- other lineages ---- */

static int read_lineage(struct prune *u, uint32_t number, struct archive_lineage *ret)
{
    int err = archive_read_lineage(u->shard, number, ret);

    if (err < 0 && err != -ENOENT)
        return prune_fail(u, err, "lineage %u cannot be read", number);
    return err;
}

static void check_pins(struct prune *u)
{
    for (size_t i = 0; i < u->pins.count && !u->whole; i++)
        u->whole = u->pins.v[i].lineage == u->lineage && is_whole(&u->pins.v[i]);
    if (u->whole)
        snprintf(u->whole_why, sizeof u->whole_why,
                 "a pin keeps all of this history: `archive pins` lists the pins");
}

int prune_check_whole(struct prune *u)
{
    struct archive_lineage l;
    int err = 0;

    check_pins(u);
    for (uint32_t i = u->lineage + 1; !u->whole && (err = read_lineage(u, i, &l)) == 0; i++) {
        if (l.parent != u->lineage || l.why == ARCHIVE_CLONE)
            continue;
        u->whole = true;
        snprintf(u->whole_why, sizeof u->whole_why,
                 "lineage %u goes on from this one, and may name all of its contents: nothing is "
                 "deleted",
                 i);
    }
    return err == -ENOENT ? 0 : err;
}

/* The segments that a catalogue keeps before `begin`. */
static int read_runs(struct reach *r, const struct catalogue *c, struct segment_pos begin)
{
    int err = 0;

    for (uint32_t i = 0; i < c->kept_count; i++)
        for (struct segment_pos at = {c->kept[i].epoch, c->kept[i].first};
             err == 0 && at.serial <= c->kept[i].last && segment_pos_compare(at, begin) < 0;
             at.serial++)
            err = reach_segment(r, at, NULL);
    return err;
}

/* All that is there of a lineage: what is marked, and not begun to be deleted, may be kept again.
 * What was deleted is needed only where a pin says so. */
static int read_kept(struct prune *u, struct reach *r, const struct catalogue *last,
                     const struct catalogue *base)
{
    struct segment_pos after = {0}, end = {0};
    int err = read_runs(r, base, base->begin.at);

    if (err == 0)
        err = read_runs(r, last, base->begin.at);
    if (base->number) {
        r->begin = base->begin.at;
        after = (struct segment_pos){base->begin.at.epoch, base->begin.at.serial - 1};
    }
    if (err == 0)
        err = chain_last(u->shard, r->lineage, base->begin.at, &end);
    return err < 0 ? err : reach_follow(r, after, end);
}

static int need_kept(struct prune *u, struct reach *r)
{
    struct catalogue last = {.number = 0}, base = {.number = 0};
    int err = archive_last_catalogue(u->shard, r->lineage, 0, &last);

    if (err == 0)
        err = prune_read_base(u, r->lineage, last.number, &base);
    if (err == 0)
        err = read_kept(u, r, &last, &base);
    catalogue_release(&last);
    catalogue_release(&base);
    return err;
}

static int need_other(struct prune *u, uint32_t number)
{
    struct reach r;
    int err;

    reach_init(&r, u->shard, number, &u->live);
    r.progress = u->ask->progress;
    r.ctx = u->ask->ctx;
    err = need_kept(u, &r);
    if (err == 0)
        err = need_pins(u, &r);
    reach_release(&r);
    if (err == -ENOENT || err == -EUCLEAN)
        return prune_fail(u, -EUCLEAN,
                          "lineage %u, which may need contents of this one, is damaged", number);
    return err;
}

/* A store gets contents of a lineage by a clone or a restore, which is refused where the keys of
 * the ids differ, and may name them in a lineage of its own. */
int prune_others(struct prune *u)
{
    struct archive_lineage own, l;
    int err = read_lineage(u, u->lineage, &own);

    for (uint32_t i = 1; err == 0 && (err = read_lineage(u, i, &l)) == 0; i++)
        if (i != u->lineage && id_key_equal(&own.key, &l.key))
            err = need_other(u, i);
    return err == -ENOENT ? 0 : err;
}

/* ---- readers ---- */

/* The segments that a catalogue keeps before its begin, but for those that are noted already. */
static int read_others(struct reach *r, const struct catalogue *c, const struct reach *noted)
{
    int err = 0;

    for (uint32_t i = 0; i < c->kept_count; i++)
        for (struct segment_pos at = {c->kept[i].epoch, c->kept[i].first};
             err == 0 && at.serial <= c->kept[i].last; at.serial++)
            if (!reach_has(noted, at))
                err = reach_segment(r, at, NULL);
    return err;
}

int prune_note_last(struct prune *u)
{
    const struct kept_state *begin = &u->last.begin;
    struct reach r;
    int err;

    reach_init(&r, u->shard, u->lineage, &u->live); /* its begin is 0: it follows nothing */
    r.progress = u->ask->progress;
    r.ctx = u->ask->ctx;
    err = read_others(&r, &u->last, &u->reach);
    if (err == 0 && segment_pos_compare(begin->at, u->begin.at) < 0)
        err = reach_follow(&r, (struct segment_pos){begin->at.epoch, begin->at.serial - 1},
                           u->begin.at);
    reach_release(&r);
    return err;
}

/* ---- this store ---- */

int prune_ghosts(struct prune *u)
{
    struct refs_ghosts_walk w = {.refs = u->p->refs, .shard = u->archive};
    struct entry e;
    int err;

    while ((err = refs_next_ghost(&w, &e)) == 0) {
        err = live_note(&u->live, e.kind == ENTRY_PACK, e.where, e.offset, e.size);
        if (err < 0)
            break;
    }
    return err == -ENOENT ? 0 : prune_fail(u, err, "the ghosts of this store cannot be read");
}
