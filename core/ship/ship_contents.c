// SPDX-License-Identifier: Apache-2.0
/*
 * ship_contents: bytes of objects go to the archive: small ones together in packs, each large one
 * as a file, as a move puts them on a shard (remote/move.h). A crew carries them, since most of the
 * time is spent waiting for the archive; this thread notes where they are.
 */
#include "ship_impl.h"

#include "crew.h"
#include "objects_batch.h"
#include "shards.h"
#include <errno.h>
#include <stdlib.h>

#define TRIES 4 /* passes over the objects: those that were moved meanwhile come again */
#define PARCEL_OBJECTS 4096u /* objects of one pack, at most */
/* Memory of what is on its way. */
#define ON_WAY_MAX ((unsigned)((UINT64_C(256) << 20) / (2 * SHARD_PACK_MAX)))

/* What is put by one request, or one object with a file of its own. */
struct parcel {
    struct crew_piece piece; /* first */
    struct stream *s;
    struct objects_batch *batch; /* of small objects; NULL: the others are set */
    uint64_t number;
    bool again; /* it was lost before */
    struct entry from, to;
    int err;     /* set by the crew; of a batch: not one of reading an object */
    bool source; /* `err` is one of reading the object */
};

struct shipping {
    struct stream *s;
    struct crew *crew;
    struct parcel *packing; /* small objects are added to it; NULL: none were */
    size_t packed;
    bool again; /* they were lost before */
    bool away;  /* bytes are on a shard that cannot be asked, and are waited for */
    int err;    /* the first error */
};

/* The object that a number stands for, and its entry. */
static int resolve(struct stream *s, uint64_t number, uint64_t *ret_number, struct entry *ret)
{
    int err = refs_entry(s->p->refs, number, true, ret_number, ret);

    return err == 0 && !entry_is_sealed(ret) && ret->kind != ENTRY_ABSENT ? -EAGAIN : err;
}

bool ship_is_loss(int err)
{
    return err == -EIO || err == -EUCLEAN || err == -ENODATA || err == -EPROTO || err == -EREMOTE;
}

/* Where the archive has it. A ghost that is there itself needs no row. */
static int place_of(struct stream *s, uint64_t number, const struct entry *e,
                    struct archived_place *ret)
{
    if (e->shard != s->archive)
        return archived_get(s->p->archived, s->archive, number, ret);
    *ret = (struct archived_place){
        .in_pack = e->kind == ENTRY_PACK, .where = e->where, .offset = e->offset};
    return 0;
}

int ship_has(struct stream *s, uint64_t number, const struct entry *e, struct segment_content *ret)
{
    struct archived_place at = {.where = 0};
    int err = place_of(s, number, e, &at);

    if (err < 0)
        return err == -ENOENT ? 0 : err;
    ret->in_pack = at.in_pack;
    ret->where = at.where;
    ret->offset = at.offset;
    return 1;
}

int ship_place(struct stream *s, uint64_t number, const struct entry *e,
               struct segment_content *ret)
{
    uint64_t none;
    int has = ship_has(s, number, e, ret);

    if (has == 0)
        return map64_get(&s->lost, number, &none) ? 0 : -ENOENT;
    return has < 0 ? has : 0;
}

/* ---- in a thread of the crew ---- */

/* A copy has failed. Was it because of the source? That is read once more to find out. */
static bool is_of_source(struct objects *o, const struct entry *from, int err)
{
    uint8_t byte;

    if (err == -EHOSTUNREACH)
        return objects_is_remote(o, from) &&
               objects_read(o, from, &byte, sizeof byte, 0) == -EHOSTUNREACH;
    return ship_is_loss(err) && ship_is_loss(objects_verify(o, from));
}

/* What was lost is read before, since a copy that fails leaves sums in the archive. */
static void carry_file(struct objects *o, struct parcel *c)
{
    c->err = c->again ? objects_verify(o, &c->from) : 0;
    c->source = c->err < 0;
    if (c->err < 0)
        return;
    c->err = objects_copy_file(o, c->s->archive, 0, &c->from, NULL, &c->to);
    c->source = c->err < 0 && is_of_source(o, &c->from, c->err);
}

static void carry(struct crew_piece *piece)
{
    struct parcel *c = (struct parcel *)piece;
    struct objects *o = c->s->p->objects;

    if (!c->batch) {
        carry_file(o, c);
        return;
    }
    c->err = objects_batch_load(c->batch, NULL);
    if (c->err == 0)
        c->err = objects_batch_put(c->batch, c->s->archive);
}

/* ---- in the thread of the stream ---- */

/* Notes where the archive has an object. */
static int note(struct shipping *w, uint64_t number, const struct entry *to)
{
    const struct archived_place at = {
        .in_pack = to->kind == ENTRY_PACK, .where = to->where, .offset = to->offset};
    int err;
    {
        READ_GUARD(&w->s->p->freeze_lock);
        err = archived_put(w->s->p->archived, w->s->archive, number, &at);
    }
    if (err < 0)
        return err;
    w->s->has_put = true;
    MUTEX_GUARD(&w->s->stats_lock);
    w->s->stats.contents++;
    w->s->stats.content_bytes += to->size;
    return 0;
}

/* Has a shard been away for so long that its bytes are not waited for any more? */
static bool is_away_for_long(const struct stream *s)
{
    return s->away && ticks(s->p) - s->away_since > SHIP_AWAY;
}

/* An object could not be read. What was moved meanwhile comes again in the next pass; if its bytes
 * are lost it is shipped without them. */
static int unread(struct shipping *w, uint64_t number, int err)
{
    if (err == -ESTALE)
        return 0;
    if (err == -EHOSTUNREACH && !is_away_for_long(w->s)) {
        w->away = true;
        return 0;
    }
    w->away = w->away || err == -EHOSTUNREACH;
    return ship_is_loss(err) || err == -EHOSTUNREACH ? map64_put(&w->s->lost, number, 1) : err;
}

static int note_batch(struct shipping *w, const struct parcel *c)
{
    const struct objects_record *r;
    int err = 0;

    for (size_t i = 0; err == 0 && (r = objects_batch_get(c->batch, i)); i++)
        err = r->err < 0 ? unread(w, r->number, r->err) : note(w, r->number, &r->to);
    return err;
}

static void land(struct shipping *w, struct parcel *c)
{
    int err = c->source || c->err == -ESTALE ? unread(w, c->number, c->err) : c->err;

    if (c->err == 0)
        err = c->batch ? note_batch(w, c) : note(w, c->number, &c->to);
    if (w->err == 0)
        w->err = err;
    objects_batch_end(c->batch);
    free(c);
}

static unsigned most_under_way(const struct shipping *w)
{
    unsigned most = (unsigned)settings_get(&w->s->p->settings, SET_SHARD_PARALLEL);

    return most < ON_WAY_MAX ? most : ON_WAY_MAX;
}

static void send(struct shipping *w, struct parcel *c)
{
    struct crew_piece *piece;

    while (crew_under_way(w->crew) >= most_under_way(w) && (piece = crew_take(w->crew, true)))
        land(w, (struct parcel *)piece);
    crew_give(w->crew, &c->piece, most_under_way(w));
}

static void send_packed(struct shipping *w)
{
    if (w->packing)
        send(w, w->packing);
    w->packing = NULL;
    w->packed = 0;
}

static int new_parcel(struct shipping *w, bool small, struct parcel **ret)
{
    struct parcel *c = calloc(1, sizeof *c);
    int err = !c ? -ENOMEM : small ? objects_batch_begin(w->s->p->objects, &c->batch) : 0;

    if (err < 0) {
        free(c);
        return err;
    }
    c->s = w->s;
    *ret = c;
    return 0;
}

static int pack(struct shipping *w, uint64_t number, const struct entry *from)
{
    int err = w->packing ? 0 : new_parcel(w, true, &w->packing);

    if (err == 0)
        err = objects_batch_add(w->packing->batch, number, from);
    w->packed += err == 0;
    return err;
}

static int ship_small(struct shipping *w, uint64_t number, const struct entry *from)
{
    int err = pack(w, number, from);

    if (err == -EFBIG) {
        send_packed(w);
        err = pack(w, number, from);
    }
    if (w->packed >= PARCEL_OBJECTS)
        send_packed(w);
    return err;
}

static int ship_large(struct shipping *w, uint64_t number, const struct entry *from)
{
    struct parcel *c;
    int err = new_parcel(w, false, &c);

    if (err < 0)
        return err;
    c->number = number;
    c->again = w->again;
    c->from = *from;
    send(w, c);
    return 0;
}

/* Sends one object on its way, unless the archive has it. `seen`: those that were in this pass. */
static int ship_one(struct shipping *w, uint64_t number, struct map64 *seen)
{
    struct archived_place at;
    struct entry e;
    uint64_t before;
    int err;

    if (map64_get(&w->s->lost, number, &before)) /* it has no id */
        return 0;
    err = resolve(w->s, number, &number, &e);
    if (err < 0)
        return w->again ? 0 : err;
    if (map64_get(seen, number, &before))
        return 0;
    err = map64_put(seen, number, 1);
    if (err < 0)
        return err;
    err = place_of(w->s, number, &e, &at);
    if (err != -ENOENT || map64_get(&w->s->lost, number, &before))
        return err == -ENOENT ? 0 : err;
    if (e.kind == ENTRY_ABSENT)
        return unread(w, number, -ENODATA);
    return e.kind == ENTRY_PACK ? ship_small(w, number, &e) : ship_large(w, number, &e);
}

/* One pass over all objects. */
static int pass(struct shipping *w, const uint64_t *numbers, size_t count)
{
    struct map64 seen = MAP64_INIT;
    struct crew_piece *piece;

    w->away = false;
    for (size_t i = 0; i < count && w->err == 0; i++) {
        int err = ship_is_ending(w->s) ? -ESHUTDOWN : ship_one(w, numbers[i], &seen);

        if (err < 0)
            w->err = err;
    }
    send_packed(w);
    while ((piece = crew_take(w->crew, true)))
        land(w, (struct parcel *)piece);
    map64_release(&seen);
    return w->err;
}

/* Has the archive all of them, but for those that are lost? 0, -ENOENT, or an error. */
static int look(struct stream *s, const uint64_t *numbers, size_t count)
{
    struct archived_place at;
    struct entry e;
    uint64_t number, none;
    int err = 0;

    for (size_t i = 0; i < count && err == 0; i++) {
        if (map64_get(&s->lost, numbers[i], &none))
            continue;
        err = resolve(s, numbers[i], &number, &e);
        if (err == 0)
            err = place_of(s, number, &e, &at);
        if (err == -ENOENT && map64_get(&s->lost, number, &none))
            err = 0;
    }
    return err;
}

/* Passes over the objects until the archive has them, or until that is of no use. */
static int put_all(struct shipping *w, const uint64_t *numbers, size_t count)
{
    int err = crew_open(carry, &w->crew);

    for (unsigned i = 0; i < TRIES && err == 0; i++) {
        err = pass(w, numbers, count);
        if (err == 0 && (w->away || look(w->s, numbers, count) == 0))
            break;
    }
    crew_close(w->crew);
    return err == 0 ? look(w->s, numbers, count) : err;
}

/* Notes since when bytes on a shard are waited for. */
static void note_away(struct stream *s, bool away)
{
    if (away && !s->away)
        s->away_since = ticks(s->p);
    s->away = away;
}

int ship_objects(struct stream *s, const uint64_t *numbers, size_t count)
{
    struct shipping w = {.s = s};
    int err = look(s, numbers, count);

    if (err == 0)
        return 0;
    err = put_all(&w, numbers, count);
    note_away(s, w.away);
    if (err == -ENOENT && w.away)
        return ship_fail(s, -EHOSTUNREACH, "contents are on a shard that cannot be asked");
    return err < 0 ? ship_fail(s, err, "contents cannot be put there") : 0;
}

int ship_objects_again(struct stream *s, const uint64_t *numbers, size_t count)
{
    struct shipping w = {.s = s, .again = true};
    int err;

    map64_release(&s->lost);
    s->lost = (struct map64)MAP64_INIT;
    err = put_all(&w, numbers, count);
    return err < 0 && err != -ENOENT && err != -EAGAIN && err != -EUCLEAN
               ? ship_fail(s, err, "contents that it lacks cannot be put there")
               : 0;
}
