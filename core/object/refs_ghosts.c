// SPDX-License-Identifier: Apache-2.0
/*
 * refs_ghosts: the refcount table's ghosts: an index of the entries whose bytes are on other
 * shards, which is changed in the same step as these entries; and the dead ghosts, whose bytes wait
 * to be deleted there.
 *
 * A walk in the order of numbers has to look through all changes that are not committed, and these
 * are in no order. So it reads ahead: GHOSTS_AHEAD numbers at a time. Each number is looked up
 * again when its turn comes, so a ghost that is gone by then does no harm. A ghost that is added
 * among these numbers discards them.
 */
#include "refs_impl.h"
#include "report.h"
#include <errno.h>
#include <string.h>

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

/* Drops what was read ahead where a new ghost now stands in between. */
static void forget_ahead(struct refs *r, uint64_t number)
{
    for (size_t i = 0; i < GHOST_WALKS; i++)
        if (r->ghost.ahead[i].from < number && number <= r->ghost.ahead[i].to)
            r->ghost.ahead[i] = (struct ghosts_ahead){0};
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
    if (was) {
        row = row_of(before);
        return count_ghost(r, &row, -1);
    }
    forget_ahead(r, number);
    return 0;
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

/* Inserts a number in order. If there are too many the highest one falls off. */
static void insert(struct ghosts_ahead *a, uint64_t number)
{
    size_t i = a->count;

    while (i > 0 && a->v[i - 1] > number)
        i--;
    if (i == GHOSTS_AHEAD || (i > 0 && a->v[i - 1] == number))
        return;
    if (a->count == GHOSTS_AHEAD)
        a->count--;
    memmove(a->v + i + 1, a->v + i, (a->count - i) * sizeof *a->v);
    a->v[i] = number;
    a->count++;
}

static int insert_change(const void *key, const void *val, size_t vlen, void *ctx)
{
    struct ghosts_ahead *a = ctx;
    uint64_t number = get_be64(key);

    (void)vlen;
    if (val && number > a->from)
        insert(a, number);
    return 0;
}

/* Inserts the committed ghosts behind a->from, until they are higher than all that fit. */
static int insert_committed(struct refs *r, struct ghosts_ahead *a)
{
    struct kv_each e = {.table = r->tables.ghosts, .from = a->from, .after = true};
    int err = kv_snap_begin(r->kv, &e.snap);

    if (err < 0)
        return err;
    while (kv_next(&e))
        if (e.klen != 8)
            e.err = -EUCLEAN;
        else if (a->count == GHOSTS_AHEAD && e.number >= a->v[GHOSTS_AHEAD - 1])
            break;
        else
            insert(a, e.number);
    kv_snap_end(e.snap);
    return e.err;
}

/* Reads the next GHOSTS_AHEAD numbers of ghosts behind `number`, committed or not. */
static int read_ahead(struct refs *r, struct ghosts_ahead *a, uint64_t number)
{
    int err;

    *a = (struct ghosts_ahead){.from = number};
    err = layer_visit_changes(r->ghosts, insert_change, a);
    if (err == 0)
        err = insert_committed(r, a);
    if (err < 0)
        *a = (struct ghosts_ahead){0};
    else
        a->to = a->count == GHOSTS_AHEAD ? a->v[GHOSTS_AHEAD - 1] : UINT64_MAX;
    return err;
}

/* Finds the numbers that were read ahead of `number`; if no walk has them, they are read, in place
 * of the least recently used ones. */
static int get_ahead(struct refs *r, uint64_t number, struct ghosts_ahead **ret)
{
    struct ghosts_ahead *a = r->ghost.ahead, *oldest = a;
    int err = 0;

    for (size_t i = 0; i < GHOST_WALKS; i++, a++) {
        if (a->to > 0 && a->from <= number && number < a->to)
            break;
        if (a->used < oldest->used)
            oldest = a;
    }
    if (a == r->ghost.ahead + GHOST_WALKS) {
        a = oldest;
        err = read_ahead(r, a, number);
    }
    a->used = ++r->ghost.tick;
    *ret = a;
    return err;
}

/* One step of a walk: from *number to the next ghost. Returns 0: it is on `shard`; 1: it is not, or
 * is gone; -ENOENT: the end; -errno. */
static int step(struct refs *r, uint16_t shard, uint64_t *number, struct entry *ret)
{
    struct ghosts_ahead *a;
    struct ghost_row row;
    MUTEX_GUARD(&r->lock);
    int err = atomic_load(&r->ghost.all) ? get_ahead(r, *number, &a)
              : r->ghost.damaged         ? -EUCLEAN
                                         : -ENOENT;
    size_t low = 0, high = err == 0 ? a->count : 0;

    if (err < 0)
        return err;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (a->v[mid] > *number)
            high = mid;
        else
            low = mid + 1;
    }
    if (low == a->count)
        return -ENOENT;
    *number = a->v[low];
    err = refs_ghost_row(r, *number, &row);
    if (err < 0)
        return err == -ENOENT ? 1 : err;
    if (shard && row.shard != shard)
        return 1;
    err = refs_load(r, *number, ret);
    if (err < 0)
        return err == -ENOENT ? -EUCLEAN : err;
    return ret->shard == row.shard && entry_is_ghost(ret) ? 0 : -EUCLEAN;
}

int refs_next_ghost(struct refs *r, uint16_t shard, uint64_t number, uint64_t *ret_number,
                    struct entry *ret)
{
    struct entry e;
    int err;

    do /* each step takes the lock anew: there may be very many ghosts of other shards */
        err = step(r, shard, &number, &e);
    while (err == 1);
    if (err < 0)
        return err;
    *ret_number = number;
    *ret = e;
    return 0;
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
