// SPDX-License-Identifier: Apache-2.0
/*
 * refs: see the header. One mutex guards five layered tables. Counts are absolute values, so a
 * commit that is written twice does no harm. One order matters: the target of an alias is counted
 * up before the alias, and down after it, so that its count is never too low in between.
 *
 * This file counts, holds and pins, and does the table's part in a commit. refs_index.c has the
 * ids: lookup, sealing, listing. refs_dying.c has numbers with count 0, and refs_ghosts.c bytes on
 * other shards.
 */
#include "refs_impl.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

/* Reads and decodes the entry of a number. -ENOENT: it has none; -EUCLEAN: the entry is damaged. */
int refs_load(struct refs *r, uint64_t number, struct entry *ret)
{
    uint8_t key[8], buf[ENTRY_MAX];
    size_t len;
    int err;

    mutex_held(&r->lock);
    put_be64(key, number);
    err = layer_get(r->objects, key, buf, sizeof buf, &len);
    if (err < 0)
        return err == -ERANGE ? -EUCLEAN : err;
    return entry_decode(buf, len, ret);
}

int refs_save(struct refs *r, uint64_t number, const struct entry *e)
{
    uint8_t key[8], buf[ENTRY_MAX];

    mutex_held(&r->lock);
    put_be64(key, number);
    return layer_put(r->objects, key, buf, entry_encode(e, buf));
}

/* The one place where a count changes. In the same step it puts the number among the dying (count
 * 0), or takes it out (count above 0). After an error neither has changed. */
int refs_change(struct refs *r, uint64_t number, struct entry *e, int64_t delta)
{
    int64_t count = (int64_t)e->count + delta;
    bool dies = e->count > 0 && count == 0;
    struct entry next = *e;
    int err;

    if (count > UINT32_MAX)
        return -EOVERFLOW;
    if (count < 0)
        return -ENOENT;
    next.count = (uint32_t)count;
    err = dies ? refs_make_dying(r, number, &next) : 0;
    if (err < 0)
        return err;
    err = refs_save(r, number, &next);
    if (err < 0 && dies)
        (void)refs_revive(r, number); /* it replaces the row that was just put, which needs no
                                       * memory */
    if (err == 0 && count > 0) {
        err = refs_revive(r, number);
        if (err < 0)
            (void)refs_save(r, number, e); /* this needs no memory either */
    }
    if (err < 0)
        return err;
    if (entry_is_sealed(&next)) {
        uint64_t more = (count > 0) - (uint64_t)(e->count > 0);

        r->live += more;
        r->stored += more * next.size;
        r->saved += more * (next.size - entry_payload(&next));
    }
    *e = next;
    return 0;
}

int refs_room(struct refs *r, size_t numbers)
{
    int err = layer_room(r->objects, numbers, ENTRY_MAX);

    if (err == 0)
        err = layer_room(r->dying, numbers, ENTRY_MAX);
    if (err == 0)
        err = map64_reserve(&r->zero, r->zero.count + numbers);
    return err == 0 ? map64_reserve(&r->holds, r->holds.count + numbers) : err;
}

/* Changes the count of a number, and for an alias that of its target, too: the target is counted up
 * before the alias, and down after it. */
static int change_entries(struct refs *r, uint64_t number, int64_t delta)
{
    struct entry e, target;
    int err = refs_load(r, number, &e);

    if (err < 0)
        return err;
    if (e.kind != ENTRY_ALIAS)
        return refs_change(r, number, &e, delta);
    err = refs_load(r, e.where, &target);
    if (err == 0)
        err = refs_room(r, 2);
    if (err < 0)
        return err;
    if (delta > 0) {
        err = refs_change(r, e.where, &target, delta);
        return err < 0 ? err : refs_change(r, number, &e, delta);
    }
    err = refs_change(r, number, &e, delta);
    return err < 0 ? err : refs_change(r, e.where, &target, delta);
}

/* As change_entries, and reports a number that has no entry. */
static int change_number(struct refs *r, uint64_t number, int64_t delta)
{
    int err = change_entries(r, number, delta);

    if (err == -ENOENT) {
        r->unknown_decrements += delta < 0;
        r->stored_doubtful = true;
        report(REPORT_WARN,
               "object number %llu is not counted in the refcount table; `rebuild` repairs",
               (unsigned long long)number);
    }
    return err;
}

int refs_ref(struct refs *r, uint64_t number)
{
    MUTEX_GUARD(&r->lock);
    return change_number(r, number, +1);
}

/* As refs_resolve and refs_ref one after the other, but with each entry looked up once. */
static int ref_resolved(struct refs *r, uint64_t *number)
{
    struct entry e;
    int err = refs_load(r, *number, &e);

    if (err == 0 && e.kind == ENTRY_ALIAS) {
        *number = e.where;
        err = refs_load(r, *number, &e);
    }
    return err == 0 && e.kind != ENTRY_ALIAS ? refs_change(r, *number, &e, +1)
                                             : change_number(r, *number, +1);
}

/* Counts up all numbers that are not 0; after an error it undoes those it has done. A lost number
 * was reported and is skipped. */
static int ref_all(struct refs *r, uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int err = numbers[i] ? ref_resolved(r, &numbers[i]) : 0;
        if (err == 0 || err == -ENOENT)
            continue;
        while (i-- > 0)
            if (numbers[i])
                (void)change_entries(r, numbers[i], -1);
        return err;
    }
    return 0;
}

int refs_ref_all(struct refs *r, uint64_t *numbers, size_t count)
{
    MUTEX_GUARD(&r->lock);

    layer_gets_begin(r->objects);
    int err = ref_all(r, numbers, count);
    layer_gets_end(r->objects);
    return err;
}

int refs_unref(struct refs *r, uint64_t number)
{
    MUTEX_GUARD(&r->lock);
    return change_number(r, number, -1);
}

int refs_correct(struct refs *r, uint64_t number, int64_t delta)
{
    struct entry e;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &e);

    r->stored_doubtful = true;
    return err < 0 ? err : refs_change(r, number, &e, delta);
}

int refs_new(struct refs *r, uint64_t *ret_number)
{
    struct entry e = {.kind = ENTRY_NEW};
    MUTEX_GUARD(&r->lock);
    int err = refs_save(r, r->next, &e);

    if (err < 0)
        return err;
    *ret_number = r->next++;
    return 0;
}

int refs_new_at(struct refs *r, uint64_t number)
{
    struct entry e = {.kind = ENTRY_NEW}, old;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &old);

    if (err != -ENOENT)
        return err < 0 ? err : -EEXIST;
    err = refs_save(r, number, &e);
    if (err == 0 && number >= r->next)
        r->next = number + 1;
    return err;
}

void refs_cancel(struct refs *r, uint64_t number)
{
    uint8_t key[8];
    MUTEX_GUARD(&r->lock);

    put_be64(key, number);
    (void)layer_del(r->objects, key);
    (void)refs_revive(r, number);
    (void)map64_del(&r->aside, number);
}

uint64_t refs_next(struct refs *r)
{
    MUTEX_GUARD(&r->lock);
    return r->next;
}

int refs_entry_in(struct kv_snap *s, unsigned table, uint64_t number, struct entry *ret)
{
    const void *val;
    size_t len;
    int err = kv_snap_get_number(s, table, number, &val, &len);

    return err < 0 ? err : entry_decode(val, len, ret);
}

int refs_entry(struct refs *r, uint64_t number, bool follow, uint64_t *ret_number,
               struct entry *ret)
{
    struct entry e;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &e);

    if (err == 0 && follow && e.kind == ENTRY_ALIAS) {
        number = e.where;
        err = refs_load(r, number, &e);
    }
    if (err < 0)
        return err;
    if (ret_number)
        *ret_number = number;
    *ret = e;
    return 0;
}

uint64_t refs_resolve(struct refs *r, uint64_t number)
{
    struct entry e;
    MUTEX_GUARD(&r->lock);

    return refs_load(r, number, &e) == 0 && e.kind == ENTRY_ALIAS ? e.where : number;
}

/* ---- holds ---- */

int refs_hold_locked(struct refs *r, uint64_t number, int64_t delta)
{
    struct entry e;
    uint64_t left;
    int err;

    mutex_held(&r->lock);
    err = map64_add(&r->holds, number, delta, &left);
    if (err < 0)
        return err;
    if (left == 0)
        map64_del(&r->holds, number);
    if (refs_load(r, number, &e) == 0 && e.kind == ENTRY_ALIAS)
        return refs_hold_locked(r, e.where, delta);
    return 0;
}

int refs_hold(struct refs *r, uint64_t number)
{
    MUTEX_GUARD(&r->lock);
    return refs_hold_locked(r, number, +1);
}

void refs_unhold(struct refs *r, uint64_t number)
{
    MUTEX_GUARD(&r->lock);
    (void)refs_hold_locked(r, number, -1);
}

uint64_t refs_holds(struct refs *r, uint64_t number)
{
    uint64_t n = 0;
    MUTEX_GUARD(&r->lock);

    return map64_get(&r->holds, number, &n) ? n : 0;
}

/* ---- pins ---- */

/* A pin is noted twice, so that neither a lost row nor a lost entry ends it: by a row among the
 * pins, and in the entry. Entries of older versions have no note. */
struct place {
    uint64_t at;    /* the number under which the pin stands, or would stand */
    bool row, note; /* both false: it is not pinned */
};

int refs_pin_row(struct refs *r, uint64_t number)
{
    uint8_t key[8], none;
    size_t len;

    put_be64(key, number);
    return layer_get(r->pins, key, &none, 1, &len);
}

/* Looks for a pin under that very number. */
static int look_at_pin(struct refs *r, uint64_t number, struct place *ret)
{
    struct entry e;
    int err = refs_pin_row(r, number);
    bool note = refs_load(r, number, &e) == 0 && e.pinned;
    *ret = (struct place){number, err == 0, note};
    return err == -ENOENT || (err == -EUCLEAN && note) ? 0 : err;
}

/* Finds the pin of `number`: under its own number, if it was pinned before it became an alias, else
 * under that of its target. Returns 0 or -errno. */
static int find_pin(struct refs *r, uint64_t number, struct place *ret)
{
    struct entry e;
    int err = look_at_pin(r, number, ret);

    if (err < 0 || ret->row || ret->note)
        return err;
    if (refs_load(r, number, &e) == 0 && e.kind == ENTRY_ALIAS)
        err = look_at_pin(r, e.where, ret);
    return err;
}

/* Sets or clears the note in the entry, if there is one that can be read. After a change of the
 * count this needs no memory. */
static int note_pin(struct refs *r, uint64_t number, bool pinned)
{
    struct entry e;
    int err = refs_load(r, number, &e);

    if (err < 0 || e.pinned == pinned)
        return err == -ENOENT || err == -EUCLEAN ? 0 : err;
    e.pinned = pinned;
    return refs_save(r, number, &e);
}

static int put_pin_row(struct refs *r, uint64_t number)
{
    uint8_t key[8];

    put_be64(key, number);
    int err = layer_put(r->pins, key, "", 0);
    r->pinned += err == 0;
    return err;
}

/* Pins a number: one more count, a row in the table of pins, and a note in its entry. With `lost` a
 * number that was given out but has lost its entry is pinned, too, without a count. */
static int pin(struct refs *r, uint64_t number, bool lost)
{
    struct place p;
    MUTEX_GUARD(&r->lock);
    int err = find_pin(r, number, &p);

    if (err == 0 && !p.row && !p.note) {
        err = change_number(r, p.at, +1);
        if (err == -ENOENT && lost && number && number < r->next)
            err = 0;
    }
    if (err == 0 && !p.row)
        err = put_pin_row(r, p.at);
    return err == 0 && !p.note ? note_pin(r, p.at, true) : err;
}

int refs_pin(struct refs *r, uint64_t number)
{
    return pin(r, number, false);
}

int refs_pin_again(struct refs *r, uint64_t number)
{
    return pin(r, number, true);
}

int refs_unpin(struct refs *r, uint64_t number)
{
    uint8_t key[8];
    struct place p = {0};
    struct entry e;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &e);

    if (err == 0)
        err = find_pin(r, number, &p);
    if (err < 0 || (!p.row && !p.note))
        return err;
    put_be64(key, p.at);
    err = layer_del(r->pins, key); /* also one that cannot be read */
    if (err < 0)
        return err;
    r->pinned -= p.row;
    err = note_pin(r, p.at, false);
    return err < 0 ? err : change_number(r, p.at, -1);
}

int refs_restore_pin(struct refs *r, uint64_t number)
{
    struct place p;
    MUTEX_GUARD(&r->lock);
    int err = look_at_pin(r, number, &p);

    if (err < 0 || p.row == p.note)
        return err;
    err = p.note ? put_pin_row(r, number) : note_pin(r, number, true);
    return err < 0 ? err : 1;
}

uint64_t refs_pin_place(struct refs *r, uint64_t number)
{
    struct place p;
    MUTEX_GUARD(&r->lock);

    (void)find_pin(r, number, &p);
    return p.at;
}

bool refs_is_pinned(struct refs *r, uint64_t number)
{
    struct place p;
    MUTEX_GUARD(&r->lock);

    return find_pin(r, number, &p) == 0 && (p.row || p.note);
}

size_t refs_changes(struct refs *r)
{
    return layer_pending(r->objects) + layer_pending(r->ids) + layer_pending(r->dying) +
           layer_pending(r->pins) + layer_pending(r->ghosts);
}

/* ---- opening, committing ---- */

/* Loads what memory holds of the committed tables: the dying, the ghosts, and the numbers of the
 * statistics. */
static int recover(struct refs *r)
{
    struct kv_snap *s;
    uint64_t ids = 0;
    int err = kv_snap_begin(r->kv, &s);

    if (err < 0)
        return err;
    err = kv_snap_count(s, r->tables.ids, &ids);
    r->live = ids;
    mutex_lock(&r->lock);
    if (err == 0)
        err = refs_dying_recover(r, s);
    if (err == 0)
        err = refs_ghosts_recover(r, s);
    mutex_unlock(&r->lock);
    if (err == 0)
        err = kv_snap_count(s, r->tables.pins, &r->pinned);
    kv_snap_end(s);
    return err;
}

int refs_open(struct kv *kv, const struct refs_tables *tables, const struct id_key *key,
              uint64_t next, struct refs **ret_refs)
{
    struct refs *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return -ENOMEM;
    mutex_init(&r->lock, "refs");
    STAILQ_INIT(&r->dead);
    r->kv = kv;
    r->tables = *tables;
    r->key = key;
    r->next = next ? next : 1;
    err = layer_create(kv, tables->objects, 8, &r->objects);
    if (err == 0)
        err = layer_create(kv, tables->ids, ID_LEN, &r->ids);
    if (err == 0)
        err = layer_create(kv, tables->dying, 8, &r->dying);
    if (err == 0)
        err = layer_create(kv, tables->pins, 8, &r->pins);
    if (err == 0)
        err = layer_create(kv, tables->ghosts, 8, &r->ghosts);
    if (err == 0)
        err = recover(r);
    if (err < 0) {
        refs_close(r);
        return err;
    }
    *ret_refs = r;
    return 0;
}

/* Adds what a committed entry counts as stored. */
static void add_stored(const void *val, size_t len, struct refs_sums *sums)
{
    struct entry e;

    if (len == KV_DAMAGED || entry_decode(val, len, &e) < 0 || !entry_is_sealed(&e) || e.count == 0)
        return;
    sums->stored += e.size;
    sums->saved += e.size - entry_payload(&e);
}

int refs_begin_stored(struct refs *r, const struct refs_sums *known)
{
    struct kv_each e = {.table = r->tables.objects};
    struct refs_sums sums = {.stored = 0};
    int err = known ? 0 : kv_snap_begin(r->kv, &e.snap);

    if (err < 0)
        return err;
    if (known)
        sums = *known;
    while (!known && kv_next(&e))
        add_stored(e.val, e.len, &sums);
    if (!known)
        kv_snap_end(e.snap);
    mutex_lock(&r->lock);
    r->stored += sums.stored;
    r->saved += sums.saved;
    mutex_unlock(&r->lock);
    return e.cut ? 0 : e.err;
}

void refs_close(struct refs *r)
{
    if (!r)
        return;
    layer_destroy(r->objects);
    layer_destroy(r->ids);
    layer_destroy(r->dying);
    layer_destroy(r->pins);
    layer_destroy(r->ghosts);
    refs_ghosts_release(r);
    refs_dying_release(r);
    map64_release(&r->holds);
    map64_release(&r->pending);
    map64_release(&r->aside);
    mutex_destroy(&r->lock);
    free(r);
}

void refs_get_stats(struct refs *r, struct refs_stats *ret)
{
    MUTEX_GUARD(&r->lock);
    *ret = (struct refs_stats){
        .objects = r->live,
        .stored = r->stored,
        .saved = r->saved,
        .unknown_decrements = r->unknown_decrements,
        .pinned = r->pinned,
    };
    refs_dying_stats(r, ret);
}

bool refs_get_sums(struct refs *r, struct refs_sums *ret)
{
    MUTEX_GUARD(&r->lock);
    *ret = (struct refs_sums){.objects = r->live, .stored = r->stored, .saved = r->saved};
    return !r->stored_doubtful;
}

int refs_freeze(struct refs *r)
{
    struct layer *all[] = {r->objects, r->ids, r->dying, r->pins, r->ghosts};
    MUTEX_GUARD(&r->lock);
    int err = 0;

    for (size_t i = 0; i < sizeof all / sizeof *all && err == 0; i++)
        err = layer_freeze(all[i]); /* all layers have equally many batches, so only the first can
                                     * return -EBUSY */
    r->batch += err == 0;
    return err;
}

int refs_write(struct refs *r, size_t n, struct kv_txn *t)
{
    struct layer *all[] = {r->objects, r->ids, r->dying, r->pins, r->ghosts};
    int err = 0;

    for (size_t i = 0; i < sizeof all / sizeof *all && err == 0; i++)
        err = layer_write(all[i], n, t);
    return err;
}

void refs_retire(struct refs *r, size_t n)
{
    MUTEX_GUARD(&r->lock);

    layer_retire(r->objects, n);
    layer_retire(r->ids, n);
    layer_retire(r->dying, n);
    layer_retire(r->pins, n);
    layer_retire(r->ghosts, n);
    r->durable += n;
    if (r->aside.count)
        refs_aside_retire(r);
}
