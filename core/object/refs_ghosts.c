// SPDX-License-Identifier: Apache-2.0
/*
 * refs_ghosts: the refcount table's ghosts: an index of the entries whose bytes are on other
 * shards, which is changed in the same step as these entries; and the dead ghosts, whose bytes wait
 * to be deleted there.
 *
 * A walk in the order of numbers has to look through all changes that are not committed, and these
 * are in no order. So it reads ahead: REFS_GHOSTS_AHEAD numbers at a time. Each number is looked up
 * again when its turn comes, so a ghost that is gone by then does no harm.
 */
#include "refs_impl.h"
#include "report.h"
#include <errno.h>

int refs_ghost_row(struct refs *r, uint64_t number, struct ghost_row *ret)
{
    uint8_t key[8], buf[GHOST_ROW_LEN];
    size_t len;
    int err;

    put_be64(key, number);
    err = layer_get(r->ghosts, key, buf, sizeof buf, &len);
    if (err < 0)
        return err == -ERANGE ? -EUCLEAN : err;
    return ghost_row_decode(buf, len, ret);
}

/* ---- kept with the entries ---- */

/* Counts a ghost in (`sign` 1) or out (-1), with its bytes. It cannot fail for a shard that was
 * counted before. */
static int count_ghost(struct refs *r, const struct ghost_row *row, int64_t sign)
{
    int err = map64_add(&r->ghost.count, row->shard, sign, NULL);

    if (err < 0)
        return err;
    err = map64_add(&r->ghost.bytes, row->shard, sign * (int64_t)row->size, NULL);
    if (err < 0)
        (void)map64_add(&r->ghost.count, row->shard, -sign, NULL);
    else
        atomic_fetch_add(&r->ghost.all, (uint64_t)sign);
    return err;
}

static struct ghost_row row_of(const struct entry *e)
{
    return (struct ghost_row){e->shard, e->size};
}

int refs_note_ghost(struct refs *r, uint64_t number, const struct entry *before,
                    const struct entry *now)
{
    bool was = before && entry_is_ghost(before), is = now && entry_is_ghost(now);
    struct ghost_row row;
    uint8_t key[8], buf[GHOST_ROW_LEN];
    int err;

    mutex_held(&r->lock);
    if (!was && !is)
        return 0;
    put_be64(key, number);
    if (is) {
        row = row_of(now);
        err = count_ghost(r, &row, +1);
        if (err < 0)
            return err;
        ghost_row_encode(&row, buf);
        err = layer_put(r->ghosts, key, buf, sizeof buf);
        if (err < 0) {
            (void)count_ghost(r, &row, -1);
            return err;
        }
    } else {
        err = layer_room(r->ghosts, 1, GHOST_ROW_LEN); /* also for a caller that undoes this */
        if (err == 0)
            err = layer_del(r->ghosts, key);
        if (err < 0)
            return err;
    }
    if (!was)
        return 0;
    row = row_of(before);
    return count_ghost(r, &row, -1);
}

int refs_set_lastuse(struct refs *r, uint64_t number, uint16_t day)
{
    struct entry e;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &e);

    if (err == 0 && e.kind == ENTRY_ALIAS) {
        number = e.where;
        err = refs_load(r, number, &e);
    }
    if (err < 0 || !entry_is_sealed(&e) || e.day >= day)
        return err;
    e.day = day;
    return refs_save(r, number, &e);
}

/* ---- opening ---- */

int refs_ghosts_recover(struct refs *r, struct kv_snap *s)
{
    struct kv_each e = {.snap = s, .table = r->tables.ghosts};

    mutex_held(&r->lock);
    while (kv_next(&e)) {
        struct ghost_row row;

        if (e.klen != 8 || ghost_row_decode(e.val, e.len, &row) < 0) {
            if (!r->ghost.damaged)
                report(REPORT_ALARM, "the table of ghosts is damaged; `check` says more");
            r->ghost.damaged = true;
            continue;
        }
        e.err = count_ghost(r, &row, +1);
    }
    return e.err;
}

void refs_ghosts_release(struct refs *r)
{
    map64_release(&r->ghost.count);
    map64_release(&r->ghost.bytes);
    map64_release(&r->ghost.dead_on);
}

/* ---- finding them ---- */

/* Reads the next numbers of ghosts, committed or not. -ENOENT: there are none. */
static int read_ahead(struct refs_ghosts_walk *w)
{
    struct refs *r = w->refs;
    uint8_t after[8];
    int err = 0;

    w->at = w->count = 0;
    put_be64(after, w->number);
    if (atomic_load(&r->ghost.all))
        err = layer_keys(r->ghosts, after, w->ahead, REFS_GHOSTS_AHEAD, &w->count);
    else if (r->ghost.damaged)
        err = -EUCLEAN;
    return err == 0 && w->count == 0 ? -ENOENT : err;
}

/* One step of a walk: to the next ghost. Returns 0: it is on the shard; 1: it is not, or is gone;
 * -ENOENT: the end; -errno. */
static int step(struct refs_ghosts_walk *w, struct entry *ret)
{
    struct refs *r = w->refs;
    struct ghost_row row;
    MUTEX_GUARD(&r->lock);
    int err = w->at == w->count ? read_ahead(w) : 0;

    if (err < 0)
        return err;
    w->number = get_be64(w->ahead[w->at++]);
    err = refs_ghost_row(r, w->number, &row);
    if (err < 0)
        return err == -ENOENT ? 1 : err;
    if (w->shard && row.shard != w->shard)
        return 1;
    err = refs_load(r, w->number, ret);
    if (err < 0)
        return err == -ENOENT ? -EUCLEAN : err;
    return ret->shard == row.shard && entry_is_ghost(ret) ? 0 : -EUCLEAN;
}

int refs_next_ghost(struct refs_ghosts_walk *w, struct entry *ret)
{
    int err;

    do /* each step takes the lock anew: there may be very many ghosts of other shards */
        err = step(w, ret);
    while (err == 1);
    return err;
}

uint64_t refs_ghosts(struct refs *r)
{
    return atomic_load(&r->ghost.all);
}

int refs_ghosts_on(struct refs *r, uint16_t shard, uint64_t *ret_count, uint64_t *ret_bytes)
{
    uint64_t count = 0, bytes = 0;
    MUTEX_GUARD(&r->lock);

    if (r->ghost.damaged)
        return -EUCLEAN;
    (void)map64_get(&r->ghost.count, shard, &count);
    (void)map64_get(&r->ghost.bytes, shard, &bytes);
    *ret_count = count;
    *ret_bytes = bytes;
    return 0;
}

/* ---- the dead ---- */

void refs_count_dead(struct refs *r, uint16_t shard, bool more)
{
    uint64_t there = 0;

    mutex_held(&r->lock);
    r->ghost.dead += more ? 1 : -UINT64_C(1);
    (void)map64_get(&r->ghost.dead_on, shard, &there);
    if (more || there)
        (void)map64_add(&r->ghost.dead_on, shard, more ? 1 : -1, NULL);
}

uint64_t refs_dead_ghosts(struct refs *r)
{
    MUTEX_GUARD(&r->lock);
    return r->ghost.dead;
}

uint64_t refs_dead_ghosts_on(struct refs *r, uint16_t shard)
{
    uint64_t dead = 0;
    MUTEX_GUARD(&r->lock);

    (void)map64_get(&r->ghost.dead_on, shard, &dead);
    return dead;
}

/* Is a number that is dead in the snapshot still dead now? It may have been reclaimed since the
 * commit. 1, 0 or -errno. */
static int is_still_dead(struct refs *r, uint64_t number)
{
    struct entry e;
    uint8_t key[8], buf[ENTRY_MAX];
    size_t len;
    MUTEX_GUARD(&r->lock);
    int err;

    put_be64(key, number);
    err = layer_get(r->dying, key, buf, sizeof buf, &len);
    if (err < 0)
        return err == -ENOENT ? 0 : err;
    err = refs_load(r, number, &e);
    return err == 0 ? 0 : err == -ENOENT ? 1 : err;
}

/* Is the number without an entry, both in the snapshot and now? Then a commit has the removal, and
 * the bytes may go. 1, 0 or -errno. */
static int is_dead(struct refs *r, struct kv_snap *s, const struct refs_dead *d)
{
    const void *val;
    size_t len;
    int err = kv_snap_get_number(s, r->tables.objects, d->number, &val, &len);
    if (err != -ENOENT)
        return err;
    return is_still_dead(r, d->number);
}

/* The first dead ghost behind `number` in the committed table of the dying. A damaged record is
 * passed over. */
static int next_dead(struct refs *r, struct kv_snap *s, uint16_t shard, uint64_t number,
                     struct refs_dead *ret)
{
    struct kv_each e = {.snap = s, .table = r->tables.dying, .from = number, .after = true};

    while (kv_next(&e)) {
        struct refs_dead d = {.number = e.number};
        int err;

        if (e.klen != 8 || entry_decode(e.val, e.len, &d.entry) < 0)
            continue; /* it leaks; a check reports its number */
        if (!entry_is_ghost(&d.entry) || (shard && d.entry.shard != shard))
            continue;
        err = is_dead(r, s, &d);
        if (err == 1)
            *ret = d;
        if (err != 0)
            return err < 0 ? err : 0;
    }
    return e.err < 0 ? e.err : -ENOENT;
}

int refs_next_dead_ghost(struct refs *r, uint16_t shard, uint64_t number, struct refs_dead *ret)
{
    struct kv_snap *s;
    int err;

    if (refs_dead_ghosts(r) == 0)
        return -ENOENT;
    err = kv_snap_begin(r->kv, &s);
    if (err < 0)
        return err;
    err = next_dead(r, s, shard, number, ret);
    kv_snap_end(s);
    return err;
}
