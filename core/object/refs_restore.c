// SPDX-License-Identifier: Apache-2.0
/* refs_restore: put lost rows of the refcount table back (refs.h). */
#include "refs_impl.h"
#include <errno.h>

/* The number to which the index leads. *ret_number is 0 if it leads to none, or cannot be read. */
static int leads_to(struct refs *r, const struct id *id, uint64_t *ret_number)
{
    int err = refs_index_get(r, id, ret_number);

    if (err != -ENOENT && err != -EUCLEAN)
        return err;
    *ret_number = 0;
    return 0;
}

/* Does the id belong to another object in the index? 1, 0 or -errno; a damaged entry counts as
 * another object. */
static int id_is_taken(struct refs *r, uint64_t number, const struct id *id)
{
    struct entry other;
    uint64_t at;
    int err = leads_to(r, id, &at);

    if (err < 0 || at == 0 || at == number)
        return err;
    err = refs_load(r, at, &other);
    if (err == 0)
        return entry_is_sealed(&other) && id_equal(&other.id, id);
    return err == -ENOENT ? 0 : err == -EUCLEAN ? 1 : err;
}

/* May a row be put there? 0: there is none, or it cannot be read, or it is an entry without bytes,
 * whose count is right and is kept in *ret, and its pin. -EEXIST: there is a good one. */
static int look_at_row(struct refs *r, uint64_t number, const struct entry *e, struct entry *ret)
{
    struct entry now;
    int err = refs_load(r, number, &now);

    ret->pinned = refs_pin_row(r, number) == 0;
    if (err == -ENOENT || err == -EUCLEAN)
        return 0;
    if (err == 0 && now.kind == ENTRY_NEW && now.count > 0 && e->kind != ENTRY_NEW) {
        ret->count = now.count;
        ret->pinned |= now.pinned;
        return 0;
    }
    return err < 0 ? err : -EEXIST;
}

/* Puts a sealed entry back, with its rows in the index and among the ghosts. */
static int put_sealed(struct refs *r, uint64_t number, const struct entry *e)
{
    int err = refs_note_ghost(r, number, NULL, e);

    if (err == 0)
        err = refs_index_put(r, &e->id, number);
    if (err == 0)
        err = refs_save(r, number, e);
    if (err < 0)
        (void)refs_note_ghost(r, number, e, NULL);
    return err;
}

int refs_restore(struct refs *r, uint64_t number, const struct entry *e)
{
    struct entry now = *e;
    MUTEX_GUARD(&r->lock);
    int taken = 0, err = number == 0 || number >= r->next ? -EINVAL : 0;

    if (err == 0)
        err = look_at_row(r, number, e, &now);
    if (err == 0)
        err = refs_is_dying_locked(r, number) ? -EBUSY : 0;
    if (err == 0 && entry_is_sealed(e))
        taken = id_is_taken(r, number, &e->id);
    if (err < 0 || taken)
        return err < 0 ? err : taken < 0 ? taken : -EEXIST;
    r->stored_doubtful = true;
    if (!entry_is_sealed(e))
        return refs_save(r, number, &now);
    err = put_sealed(r, number, &now);
    if (err == 0) {
        r->live += now.count > 0;
        r->stored += now.count > 0 ? now.size : 0;
        r->saved += now.count > 0 ? now.size - entry_payload(&now) : 0;
    }
    return err;
}

int refs_reindex(struct refs *r, uint64_t number)
{
    struct entry e;
    struct ghost_row row;
    uint64_t at;
    MUTEX_GUARD(&r->lock);
    int taken, put = 0, err = refs_load(r, number, &e);

    if (err < 0 || !entry_is_sealed(&e) || e.count == 0)
        return err == -ENOENT ? 0 : err;
    err = leads_to(r, &e.id, &at);
    taken = err < 0 ? err : id_is_taken(r, number, &e.id);
    if (taken == 0 && at != number) {
        err = refs_index_put(r, &e.id, number);
        put += err == 0;
    }
    if (err == 0 && taken >= 0 && entry_is_ghost(&e) &&
        refs_ghost_row(r, number, &row) == -ENOENT) {
        err = refs_note_ghost(r, number, NULL, &e);
        put += err == 0;
    }
    return err < 0 ? err : taken < 0 ? taken : put;
}
