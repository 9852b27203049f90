// SPDX-License-Identifier: Apache-2.0
/*
 * move_ship: packs objects into cargoes, gives these to the crew, and lands what was carried
 * (move_impl.h). It bounds what is on its way: by `shard_parallel`, and by memory. All of this is
 * done by the move's thread, which waits for the crew with no lock held.
 */
#include "move_impl.h"

#include "array.h"
#include "durability.h"
#include "settings.h"
#include <errno.h>
#include <stdlib.h>

#define CARGO_OBJECTS 2048u /* their entries are changed under one hold of the freeze lock */
/* Bytes; what comes home from one pack is a cargo of its own if there is as much of it. Then the
 * pack is read by one request. */
#define CARGO_MIN (UINT64_C(1) << 20)

/* ---- cargoes ---- */

static void free_cargo(struct cargo *c)
{
    objects_batch_end(c->batch);
    free(c->v);
    free(c);
}

/* Gives up a cargo that was not shipped; its objects stay where they are. */
static void unload(struct move *m, struct cargo *c)
{
    for (size_t i = 0; i < c->count; i++)
        refs_unhold(m->p->refs, c->v[i].number);
    m->to_come -= c->bytes;
    free_cargo(c);
}

static int new_cargo(struct move *m, bool small, struct cargo **ret)
{
    struct cargo *c = calloc(1, sizeof *c);
    int err = c ? 0 : -ENOMEM;

    if (err == 0 && small)
        err = objects_batch_begin(m->p->objects, &c->batch);
    if (err < 0) {
        free(c);
        return err;
    }
    c->m = m;
    *ret = c;
    return 0;
}

/* Puts an object into a cargo, which has its hold then. -EFBIG: the cargo is full. */
static int load(struct move *m, struct cargo *c, const struct move_load *l)
{
    int err = ARRAY_RESERVE(c->v, c->room, c->count + 1);

    if (err == 0 && c->batch)
        err = objects_batch_add(c->batch, l->number, &l->from);
    if (err < 0)
        return err;
    c->v[c->count++] = *l;
    c->bytes += l->from.size;
    m->to_come += l->from.size;
    return 0;
}

/* Takes a cargo off the list of those on their way. */
static void arrive(struct move *m, struct cargo *c)
{
    struct cargo **at = &m->on_way;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    m->memory -= c->memory;
    m->to_come -= c->bytes;
}

/* Bytes of a cargo that landed and are not shown as done yet. Those that are moved again are shown
 * later. */
static uint64_t left_to_show(const struct cargo *c)
{
    uint64_t shown = atomic_load(&c->part) + c->returned_bytes;

    return shown < c->bytes ? c->bytes - shown : 0;
}

/* Names the objects of a cargo that was carried. Also after the move was ended by an error, what
 * was put is named, if that is possible. */
static int land(struct move *m, struct cargo *c)
{
    int err = c->err == 0 ? state_writable(m->p) : 0;

    arrive(m, c);
    if (err < 0)
        c->err = err;
    err = move_name(m, c);
    if (err == 0)
        move_done_with(m, c->count - c->returned, left_to_show(c));
    free_cargo(c);
    return m->error = m->error ? m->error : err;
}

/* Lands what was carried; with `wait` one at least, if one is on its way. */
static int land_some(struct move *m, bool wait)
{
    struct crew_piece *piece;

    while ((piece = crew_take(m->crew, wait))) {
        wait = false;
        (void)land(m, (struct cargo *)piece);
        if (m->error == 0)
            m->error = move_commit_if_due(m);
        if (m->error)
            atomic_store(&m->stop, true);
    }
    return m->error;
}

int move_land_all(struct move *m)
{
    while (crew_under_way(m->crew))
        (void)land_some(m, true);
    return m->error;
}

/* Is as much on its way as may be? */
static bool is_full(const struct move *m, uint64_t memory)
{
    uint64_t most = (uint64_t)settings_get(&m->p->settings, SET_SHARD_PARALLEL);
    unsigned now = crew_under_way(m->crew);

    return now > 0 && (now >= most || m->memory + memory > MOVE_ON_WAY);
}

/* Waits until one more cargo may be on its way. */
static int await_room(struct move *m, uint64_t memory)
{
    while (m->error == 0 && is_full(m, memory))
        (void)land_some(m, true);
    return m->error;
}

/* Takes a number that is never used again, for the name of a file at home. */
static int fresh_number(struct state *p, uint64_t *ret)
{
    READ_GUARD(&p->freeze_lock);
    int err = refs_new(p->refs, ret);

    if (err == 0)
        refs_cancel(p->refs, *ret);
    return err;
}

/* Gives a cargo to the crew, and lands what has been carried by then. The cargo is freed in any
 * case. */
static int ship(struct move *m, struct cargo *c)
{
    int err;

    c->memory = c->batch ? objects_batch_file_bytes(c->batch) : MOVE_FILE_MEMORY;
    err = await_room(m, c->memory);
    c->floor = move_next_number(m);
    if (err == 0 && !c->batch && m->shard == 0)
        err = fresh_number(m->p, &c->fresh);
    if (err < 0) {
        unload(m, c);
        return err;
    }
    c->next = m->on_way;
    m->on_way = c;
    m->memory += c->memory;
    crew_give(m->crew, &c->piece, (unsigned)settings_get(&m->p->settings, SET_SHARD_PARALLEL));
    return land_some(m, false);
}

int move_ship_packed(struct move *m)
{
    struct cargo *c = m->packing;

    m->packing = NULL;
    return c ? ship(m, c) : 0;
}

/* ---- packing ---- */

/* Is the object the first of another pack, and is there enough of the pack before? */
static bool begins_anew(const struct move *m, const struct entry *from)
{
    const struct cargo *c = m->packing;

    return m->shard == 0 && c && c->bytes >= CARGO_MIN &&
           c->v[c->count - 1].from.where != from->where;
}

/* Adds an object to the cargo that is being packed. */
static int pack(struct move *m, const struct move_load *l)
{
    int err = begins_anew(m, &l->from) ? move_ship_packed(m) : 0;

    if (err == 0 && !m->packing)
        err = new_cargo(m, true, &m->packing);
    return err < 0 ? err : load(m, m->packing, l);
}

int move_ship_small(struct move *m, const struct move_load *l, bool *ret_taken)
{
    int err = pack(m, l);

    if (err == -EFBIG) {
        err = move_ship_packed(m);
        if (err == 0)
            err = pack(m, l);
    }
    if (err < 0)
        return err;
    *ret_taken = true;
    return m->packing->count >= CARGO_OBJECTS ? move_ship_packed(m) : 0;
}

int move_ship_large(struct move *m, const struct move_load *l, bool *ret_taken)
{
    struct cargo *c;
    int err = new_cargo(m, false, &c);

    if (err < 0)
        return err;
    err = load(m, c, l);
    if (err < 0) {
        free_cargo(c);
        return err;
    }
    *ret_taken = true;
    return ship(m, c);
}

void move_give_up(struct move *m)
{
    if (m->packing)
        unload(m, m->packing);
    m->packing = NULL;
}
