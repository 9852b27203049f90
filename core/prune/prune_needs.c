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
#include <stdlib.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* ---- pins ---- */

int prune_read_pins(struct prune *u)
{
    int err = archive_pins_read(u->shard, &u->pins);

    return err < 0 ? prune_fail(u, err, "the pins of the archive cannot be read") : 0;
}

static bool is_known(const struct archive_pins *pins, const struct archive_pin *pin)
{
    for (size_t i = 0; i < pins->count; i++)
        if (memcmp(pins->v[i].token, pin->token, sizeof pin->token) == 0)
            return true;
    return false;
}

int prune_check_pins(struct prune *u)
{
    struct archive_pins now;
    int err = archive_pins_read(u->shard, &now);

    for (size_t i = 0; err == 0 && i < now.count; i++)
        if (!is_known(&u->pins, &now.v[i]))
            err = prune_fail(u, -EAGAIN, "a pin was put meanwhile: run it again");
    if (err == 0 || err == -EAGAIN)
        free(now.v);
    return err;
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

static int need_pins(struct prune *u, struct reach *r)
{
    int err = 0;

    for (size_t i = 0; i < u->pins.count && err == 0; i++) {
        const struct archive_pin *pin = &u->pins.v[i];

        if (pin->lineage != r->lineage)
            continue;
        err = need_place(u, r, pin, pin->at);
        if (err == 0)
            err = need_place(u, r, pin, pin->behind);
    }
    return err;
}

/* A state that a pin needs can be restored by everybody. */
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

int prune_pinned(struct prune *u)
{
    int err = need_pins(u, &u->reach);

    for (size_t i = 0; i < u->pins.count && err == 0; i++) {
        if (u->pins.v[i].lineage != u->lineage)
            continue;
        err = add_pinned(u, u->pins.v[i].at);
        if (err == 0)
            err = add_pinned(u, u->pins.v[i].behind);
    }
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

int prune_check_whole(struct prune *u)
{
    struct archive_lineage l;
    int err = 0;

    for (size_t i = 0; i < u->pins.count && err == 0; i++)
        if (u->pins.v[i].lineage == u->lineage && is_whole(&u->pins.v[i]))
            err = prune_fail(u, -EBUSY,
                             "a pin keeps all of this history: `archive pins` lists the pins");
    for (uint32_t i = u->lineage + 1; err == 0 && (err = read_lineage(u, i, &l)) == 0; i++)
        if (l.parent == u->lineage && l.why != ARCHIVE_CLONE)
            err = prune_fail(u, -EBUSY,
                             "lineage %u goes on from this one, and may name all of its contents: "
                             "nothing is deleted",
                             i);
    return err == -ENOENT ? 0 : err;
}

/* All that is kept of a lineage. What it has given up is needed only where a pin says so. */
static int read_kept(struct prune *u, struct reach *r)
{
    struct segment_pos after = {0}, last = {0};
    struct catalogue c;
    int err = archive_last_catalogue(u->shard, r->lineage, 0, &c);

    if (err < 0)
        return err;
    if (c.number) {
        r->begin = c.begin.at;
        after = (struct segment_pos){c.begin.at.epoch, c.begin.at.serial - 1};
    }
    for (uint32_t i = 0; i < c.kept_count && err == 0; i++)
        for (struct segment_pos at = {c.kept[i].epoch, c.kept[i].first};
             err == 0 && at.serial <= c.kept[i].last; at.serial++)
            err = reach_segment(r, at, NULL);
    if (err == 0)
        err = chain_last(u->shard, r->lineage, c.begin.at, &last);
    if (err == 0)
        err = reach_follow(r, after, last);
    catalogue_release(&c);
    return err;
}

static int need_child(struct prune *u, uint32_t number)
{
    struct reach r;
    int err;

    reach_init(&r, u->shard, number, &u->live);
    r.progress = u->ask->progress;
    r.ctx = u->ask->ctx;
    err = read_kept(u, &r);
    if (err == 0)
        err = need_pins(u, &r);
    reach_release(&r);
    if (err == -ENOENT || err == -EUCLEAN)
        return prune_fail(u, -EUCLEAN,
                          "lineage %u, which may need contents of this one, is damaged", number);
    return err;
}

/* A store gets contents of a lineage by a clone or a restore, and names them in a lineage that has
 * this one as an ancestor. */
int prune_children(struct prune *u)
{
    struct map64 family = MAP64_INIT;
    struct archive_lineage l;
    uint64_t is;
    int err = map64_put(&family, u->lineage, 1);

    for (uint32_t i = u->lineage + 1; err == 0 && (err = read_lineage(u, i, &l)) == 0; i++)
        if (map64_get(&family, l.parent, &is)) {
            err = map64_put(&family, i, 1);
            if (err == 0)
                err = need_child(u, i);
        }
    map64_release(&family);
    return err == -ENOENT ? 0 : err;
}

/* ---- this store ---- */

int prune_ghosts(struct prune *u)
{
    struct refs_ghosts_walk w = {.refs = u->p->refs, .shard = u->archive};
    struct entry e;
    int err;

    while ((err = refs_next_ghost(&w, &e)) == 0) {
        err = live_note(&u->live, e.kind == ENTRY_PACK, e.where);
        if (err < 0)
            break;
    }
    return err == -ENOENT ? 0 : prune_fail(u, err, "the ghosts of this store cannot be read");
}
