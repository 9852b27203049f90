// SPDX-License-Identifier: Apache-2.0
/*
 * refs_index: the ids of the refcount table: finding, sealing, listing.
 *
 * A value of the index is a number of 8 bytes. Number 0 is a chain marker: some content whose hash
 * was this id has an id further down the chain (refs.h).
 */
#include "array.h"
#include "refs_impl.h"
#include <errno.h>
#include <stdlib.h>

int refs_index_get(struct refs *r, const struct id *id, uint64_t *ret_number)
{
    uint8_t buf[8];
    size_t len;
    int err = layer_get(r->ids, id->b, buf, sizeof buf, &len);

    if (err < 0)
        return err == -ERANGE ? -EUCLEAN : err;
    if (len != 8)
        return -EUCLEAN;
    *ret_number = get_be64(buf);
    return 0;
}

int refs_index_put(struct refs *r, const struct id *id, uint64_t number)
{
    uint8_t buf[8];

    put_be64(buf, number);
    return layer_put(r->ids, id->b, buf, sizeof buf);
}

/* Takes the id of a dying number out of the index. A damaged row is taken for the row of this
 * number: no lookup succeeds by it anyway, and a dying number must not hold up a commit. */
int refs_unindex(struct refs *r, uint64_t number, const struct id *id)
{
    struct id successor;
    uint64_t at;
    int err = refs_index_get(r, id, &at);

    if (err == -ENOENT || (err == 0 && at != number))
        return 0;
    if (err < 0 && err != -EUCLEAN)
        return err;
    id_derive(r->key, id, &successor);
    err = refs_index_get(r, &successor, &at);
    if (err == -ENOENT)
        return layer_del(r->ids, id->b);
    return err < 0 && err != -EUCLEAN ? err : refs_index_put(r, id, 0);
}

int refs_find(struct refs *r, const struct id *id, uint64_t *ret_number, struct entry *ret,
              bool *ret_pending)
{
    uint64_t number, none;
    MUTEX_GUARD(&r->lock);
    int err = refs_index_get(r, id, &number);

    if (err == 0 && number == 0)
        return -EAGAIN;
    if (err < 0)
        return err;
    err = refs_load(r, number, ret);
    if (err == 0)
        err = refs_hold_locked(r, number, +1);
    if (err < 0)
        /* An entry and its id are written together, so the entry was lost. */
        return err == -ENOENT ? -EUCLEAN : err;
    *ret_number = number;
    *ret_pending = map64_get(&r->pending, number, &none);
    return 0;
}

/* ---- sealing ---- */

/* Changes the kind and size of an unsealed entry. A slot never goes back to another unsealed
 * kind. */
static int set_unsealed(struct refs *r, uint64_t number, enum entry_kind kind, uint64_t size)
{
    struct entry e;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &e);

    if (err < 0)
        return err;
    if (!entry_is_unsealed(&e) || (e.kind == ENTRY_SLOT && kind != ENTRY_SLOT))
        return -EINVAL;
    e.kind = kind;
    e.size = size;
    return refs_save(r, number, &e);
}

int refs_set_slot(struct refs *r, uint64_t number, uint64_t size)
{
    return set_unsealed(r, number, ENTRY_SLOT, size);
}

int refs_set_held(struct refs *r, uint64_t number, uint64_t size)
{
    return set_unsealed(r, number, ENTRY_HELD, size);
}

/* The bytes of the number are not synced; refs_settle says when they are. -ENOMEM */
static int set_pending(struct refs *r, uint64_t number)
{
    return map64_put(&r->pending, number, ++r->pending_serial);
}

/* Gives `number`, whose entry is `was`, the place of `place`. Its count stays, and its day never
 * falls. The ghosts and the dying are kept in step. */
static int put_place(struct refs *r, uint64_t number, const struct entry *was,
                     const struct entry *place)
{
    struct entry e = *place;
    int err;

    e.count = was->count;
    e.pinned = was->pinned;
    if (e.day < was->day)
        e.day = was->day;
    err = layer_room(r->objects, 1, ENTRY_MAX); /* its last step cannot fail then */
    if (err == 0)
        err = refs_note_ghost(r, number, was, &e);
    if (err < 0)
        return err;
    if (e.count == 0) /* it died before it was sealed, so its record among the dying must name the
                       * new place */
        err = refs_make_dying(r, number, &e);
    if (err == 0)
        err = refs_save(r, number, &e);
    if (err < 0)
        (void)refs_note_ghost(r, number, &e, was);
    return err;
}

/* An object without bytes has no row in the index, and waits for no sync. */
static int put_absent(struct refs *r, uint64_t number, const struct entry *was,
                      const struct entry *absent)
{
    int err = put_place(r, number, was, absent);

    if (err == 0)
        refs_aside_placed(r, number);
    return err;
}

int refs_seal_new(struct refs *r, uint64_t number, const struct entry *place)
{
    struct entry e;
    uint64_t at;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &e);

    if (err < 0)
        return err;
    if (!entry_is_unsealed(&e))
        return -EINVAL;
    if (place->kind == ENTRY_ABSENT)
        return put_absent(r, number, &e, place);
    err = refs_index_get(r, &place->id, &at);
    if (err == 0 && at != 0)
        return -EEXIST;
    if (err < 0 && err != -ENOENT)
        return err;
    err = layer_room(r->ids, 1, 8);
    if (err == 0)
        err = set_pending(r, number);
    if (err == 0)
        err = put_place(r, number, &e, place);
    if (err == 0)
        err = refs_index_put(r, &place->id, number);
    if (err == 0) {
        r->live += e.count > 0;
        r->stored += e.count > 0 ? place->size : 0;
        r->saved += e.count > 0 ? place->size - entry_payload(place) : 0;
        refs_aside_placed(r, number);
    }
    return err;
}

int refs_seal_alias(struct refs *r, uint64_t number, uint64_t target)
{
    struct entry e, t;
    uint64_t holds = 0;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &e);

    if (err == 0)
        err = refs_load(r, target, &t);
    if (err < 0)
        return err;
    if (!entry_is_unsealed(&e) || !entry_is_sealed(&t))
        return -EINVAL;
    err = refs_room(r, 2); /* the steps after the first cannot fail then */
    if (err == 0 && e.count > 0)
        err = refs_change(r, target, &t, e.count);
    if (err == 0 && map64_get(&r->holds, number, &holds))
        err = refs_hold_locked(r, target, (int64_t)holds);
    if (err < 0)
        return err;
    t = (struct entry){.kind = ENTRY_ALIAS, .where = target};
    return put_place(r, number, &e, &t);
}

/* Gives a sealed number another place, where its bytes may take more or less than before. */
static int replace(struct refs *r, uint64_t number, const struct entry *was,
                   const struct entry *place)
{
    /* Only a note changes, and no byte that a sync has to make durable. */
    int err = entry_same_place(was, place) ? 0 : set_pending(r, number);

    if (err == 0)
        err = put_place(r, number, was, place);
    if (err == 0 && was->count > 0)
        r->saved += (place->size - entry_payload(place)) - (was->size - entry_payload(was));
    return err;
}

int refs_move(struct refs *r, uint64_t number, const struct entry *place, struct entry *ret_old)
{
    struct entry e;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &e);

    if (err < 0)
        return err;
    if (!entry_is_sealed(&e) || !id_equal(&e.id, &place->id))
        return -EINVAL;
    *ret_old = e;
    return replace(r, number, &e, place);
}

int refs_relocate(struct refs *r, uint64_t number, const struct entry *from,
                  const struct entry *place)
{
    struct entry e;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &e);

    if (err < 0)
        return err;
    if (!entry_same_place(&e, from) || !id_equal(&e.id, &place->id))
        return -ESTALE;
    return replace(r, number, &e, place);
}

uint64_t refs_pending_mark(struct refs *r)
{
    MUTEX_GUARD(&r->lock);
    return r->pending_serial;
}

/* Without memory for the map of the rest, all numbers stay pending until the next call. */
void refs_settle(struct refs *r, uint64_t mark)
{
    struct map64 left = MAP64_INIT;
    uint64_t number, serial;
    size_t at = 0;
    int err = 0;
    MUTEX_GUARD(&r->lock);

    while (err == 0 && map64_next(&r->pending, &at, &number, &serial))
        if (serial > mark)
            err = map64_put(&left, number, serial);
    if (err < 0) {
        map64_release(&left);
        return;
    }
    map64_release(&r->pending);
    r->pending = left;
}

/* ---- listing: the uncommitted index changes, sorted, merged with a snapshot ---- */

/* A change of the index that is not committed. */
struct change {
    struct id id;
    uint64_t number; /* 0: deleted or a marker */
};

/* One listing, of one moment (refs.h). */
struct refs_listing {
    struct change *v; /* uncommitted index changes, sorted by id */
    size_t count, room;
    struct entry *entries; /* uncommitted entries, kind NONE and count 0 where deleted */
    size_t entry_count, entry_room;
    struct map64 entry_at; /* number -> index in entries */
    struct kv_snap *snap;
    int prefix;
    const struct id *after;
};

/* Does the listing want this id, by its prefix and its start? */
static bool wanted(const struct refs_listing *l, const struct id *id)
{
    return (l->prefix < 0 || id->b[0] == l->prefix) && (!l->after || id_compare(id, l->after) > 0);
}

/* Copies one uncommitted change of the index into the listing. */
static int add_change(const void *key, const void *val, size_t vlen, void *ctx)
{
    struct refs_listing *l = ctx;
    struct change c = {.number = val && vlen == 8 ? get_be64(val) : 0};

    memcpy(c.id.b, key, ID_LEN);
    if (!wanted(l, &c.id))
        return 0;
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    l->v[l->count++] = c;
    return 0;
}

/* Copies one uncommitted entry into the listing. */
static int add_entry(const void *key, const void *val, size_t vlen, void *ctx)
{
    struct refs_listing *l = ctx;
    struct entry e = {0};
    int err = val ? entry_decode(val, vlen, &e) : 0;

    if (err < 0)
        return err;
    if (ARRAY_RESERVE(l->entries, l->entry_room, l->entry_count + 1) < 0)
        return -ENOMEM;
    l->entries[l->entry_count] = e;
    return map64_put(&l->entry_at, get_be64(key), l->entry_count++);
}

static int compare_changes(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    return id_compare(&x->id, &y->id);
}

/* The entry of a number at the moment of the listing: an uncommitted one, or that of the
 * snapshot. */
static int entry_then(struct refs *r, struct refs_listing *l, uint64_t number, struct entry *ret)
{
    uint64_t at;

    if (map64_get(&l->entry_at, number, &at)) {
        *ret = l->entries[at];
        return 0;
    }
    return refs_entry_in(l->snap, r->tables.objects, number, ret);
}

/* Gives one id to `fn`, unless it is a marker, is deleted, or has count 0. */
static int list_one(struct refs *r, struct refs_listing *l, const struct id *id, uint64_t number,
                    refs_list_fn *fn, void *ctx)
{
    struct entry e;
    int err;

    if (number == 0)
        return 0;
    err = entry_then(r, l, number, &e);
    if (err == -ENOENT || (err == 0 && (e.count == 0 || !id_equal(&e.id, id))))
        return 0;
    return err < 0 ? err : fn(&(struct refs_item){*id, number, e.count, e.size}, ctx);
}

/* Walks the ids of the snapshot and the uncommitted changes side by side; where both have an id the
 * change counts. */
static int merge(struct refs *r, struct refs_listing *l, refs_list_fn *fn, void *ctx)
{
    bool after = l->after && l->after->b[0] >= l->prefix;
    struct id id = {.b = {l->prefix >= 0 ? (uint8_t)l->prefix : 0}};
    struct kv_each e = {.snap = l->snap,
                        .table = r->tables.ids,
                        .strict = true,
                        .key = after ? l->after->b : id.b,
                        .klen = ID_LEN,
                        .after = after};
    size_t i = 0;
    int stop = 0;

    while (stop == 0 && kv_next(&e)) {
        if (e.klen != ID_LEN || e.len != 8)
            return -EUCLEAN;
        memcpy(id.b, e.key, ID_LEN);
        if (!wanted(l, &id))
            break;
        for (; stop == 0 && i < l->count && id_compare(&l->v[i].id, &id) < 0; i++)
            stop = list_one(r, l, &l->v[i].id, l->v[i].number, fn, ctx);
        if (stop == 0 && i < l->count && id_equal(&l->v[i].id, &id))
            stop = list_one(r, l, &id, l->v[i++].number, fn, ctx);
        else if (stop == 0)
            stop = list_one(r, l, &id, get_be64(e.val), fn, ctx);
    }
    for (; stop == 0 && i < l->count; i++)
        stop = list_one(r, l, &l->v[i].id, l->v[i].number, fn, ctx);
    return stop ? stop : e.err;
}

void refs_list_end(struct refs_listing *l)
{
    if (!l)
        return;
    kv_snap_end(l->snap);
    map64_release(&l->entry_at);
    free(l->entries);
    free(l->v);
    free(l);
}

int refs_list_begin(struct refs *r, int prefix, const struct id *after, struct refs_listing **ret_l)
{
    struct refs_listing *l = calloc(1, sizeof *l);
    int err;

    if (!l)
        return -ENOMEM;
    l->prefix = prefix;
    l->after = after;
    {
        MUTEX_GUARD(&r->lock);
        err = layer_visit_changes(r->ids, add_change, l);
        if (err == 0)
            err = layer_visit_changes(r->objects, add_entry, l);
        if (err == 0)
            err = kv_snap_begin(r->kv, &l->snap);
    }
    if (err < 0) {
        refs_list_end(l);
        return err;
    }
    *ret_l = l;
    return 0;
}

int refs_list_run(struct refs *r, struct refs_listing *l, refs_list_fn *fn, void *ctx)
{
    if (l->count)
        qsort(l->v, l->count, sizeof *l->v, compare_changes);
    return merge(r, l, fn, ctx);
}

int refs_list(struct refs *r, int prefix, const struct id *after, refs_list_fn *fn, void *ctx)
{
    struct refs_listing *l;
    int err = refs_list_begin(r, prefix, after, &l);

    if (err < 0)
        return err;
    err = refs_list_run(r, l, fn, ctx);
    refs_list_end(l);
    return err;
}
