// SPDX-License-Identifier: Apache-2.0
/*
 * refs: see the header. One mutex, five layered tables. Counts are absolute values, so a commit
 * that is written twice is harmless. The only order that matters: an alias's target is counted up
 * before and counted down after the alias itself, so that its count is never too low in between.
 *
 * refs_index.c has the id side: lookup, sealing, listing; refs_ghosts.c what is on other shards;
 * this file the counts and the dying.
 */
#include "array.h"
#include "refs_impl.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

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

static int put_dying(struct refs *r, uint64_t number, const struct entry *e)
{
    uint8_t key[8], buf[ENTRY_MAX];

    put_be64(key, number);
    return layer_put(r->dying, key, buf, entry_encode(e, buf));
}

static int del_dying(struct refs *r, uint64_t number)
{
    uint8_t key[8];

    put_be64(key, number);
    return layer_del(r->dying, key);
}

static int queue_zero(struct refs *r, uint64_t number, uint64_t size)
{
    return map64_put(&r->zero, number, size);
}

int refs_make_dying(struct refs *r, uint64_t number, const struct entry *e)
{
    uint64_t none;
    bool was = map64_get(&r->zero, number, &none);
    int err = queue_zero(r, number, e->size);

    if (err == 0)
        err = put_dying(r, number, e);
    if (err < 0 && !was)
        map64_del(&r->zero, number);
    return err;
}

/* The one place where a count changes: moves the number in and out of the dying in the same step.
 * What has an entry and is among the dying is in r->zero, so a new number needs no deletion
 * there. */
int refs_change(struct refs *r, uint64_t number, struct entry *e, int64_t delta)
{
    int64_t count = (int64_t)e->count + delta;
    struct entry next = *e;
    uint64_t none;
    int err;

    if (count > UINT32_MAX)
        return -EOVERFLOW;
    if (count < 0)
        return -ENOENT;
    next.count = (uint32_t)count;
    if (e->count > 0 && count == 0) {
        err = refs_make_dying(r, number, &next);
        if (err < 0)
            return err;
    }
    err = refs_save(r, number, &next);
    if (err == 0 && e->count == 0 && count > 0 && map64_get(&r->zero, number, &none)) {
        err = del_dying(r, number);
        if (err < 0)
            (void)refs_save(r, number, e); /* over what was just put: needs no memory */
    } else if (err < 0 && e->count > 0 && count == 0) {
        (void)del_dying(r, number); /* likewise */
        map64_del(&r->zero, number);
    }
    if (err < 0)
        return err;
    if (count > 0)
        map64_del(&r->zero, number);
    if (entry_is_sealed(&next))
        r->live += (count > 0) - (uint64_t)(e->count > 0);
    *e = next;
    return 0;
}

static int change_entries(struct refs *r, uint64_t number, int64_t delta)
{
    struct entry e, target;
    int err = refs_load(r, number, &e);

    if (err < 0)
        return err;
    if (e.kind != ENTRY_ALIAS)
        return refs_change(r, number, &e, delta);
    err = refs_load(r, e.where, &target);
    if (err < 0)
        return err;
    if (delta > 0) {
        err = refs_change(r, e.where, &target, delta);
        return err < 0 ? err : refs_change(r, number, &e, delta);
    }
    err = refs_change(r, number, &e, delta);
    return err < 0 ? err : refs_change(r, e.where, &target, delta);
}

static int change_number(struct refs *r, uint64_t number, int64_t delta)
{
    int err = change_entries(r, number, delta);

    if (err == -ENOENT) {
        r->unknown_decrements += delta < 0;
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
    (void)del_dying(r, number);
    map64_del(&r->zero, number);
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

/* The number the pin of `number` stands under: its own, if it was pinned before it became an alias,
 * else its target's. 0 it is pinned, -ENOENT it is not (*ret_at is where a pin goes), -errno. */
static int find_pin(struct refs *r, uint64_t number, uint64_t *ret_at)
{
    uint8_t key[8], none;
    size_t len;
    struct entry e;
    int err;

    put_be64(key, number);
    *ret_at = number;
    err = layer_get(r->pins, key, &none, 1, &len);
    if (err != -ENOENT)
        return err;
    if (refs_load(r, number, &e) == 0 && e.kind == ENTRY_ALIAS) {
        *ret_at = e.where;
        put_be64(key, e.where);
        err = layer_get(r->pins, key, &none, 1, &len);
    }
    return err;
}

/* `lost`: also where the row of a number that was given out is lost. */
static int pin(struct refs *r, uint64_t number, bool lost)
{
    uint8_t key[8];
    uint64_t at;
    MUTEX_GUARD(&r->lock);
    int err = find_pin(r, number, &at);

    if (err != -ENOENT)
        return err;
    err = change_number(r, at, +1);
    if (err == -ENOENT && lost && number && number < r->next)
        err = 0;
    put_be64(key, at);
    if (err == 0)
        err = layer_put(r->pins, key, "", 0);
    r->pinned += err == 0;
    return err;
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
    uint64_t at;
    struct entry e;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &e);

    if (err < 0)
        return err;
    err = find_pin(r, number, &at);
    if (err < 0)
        return err == -ENOENT ? 0 : err;
    put_be64(key, at);
    err = layer_del(r->pins, key);
    if (err < 0)
        return err;
    r->pinned--;
    return change_number(r, at, -1);
}

uint64_t refs_pin_place(struct refs *r, uint64_t number)
{
    uint64_t at;
    MUTEX_GUARD(&r->lock);

    (void)find_pin(r, number, &at);
    return at;
}

bool refs_is_pinned(struct refs *r, uint64_t number)
{
    uint64_t at;
    MUTEX_GUARD(&r->lock);

    return find_pin(r, number, &at) == 0;
}

/* ---- deletion ---- */

#define COLLECT_BATCH 32 /* numbers taken out under one hold of the lock */

static int dead_reserve(struct dead_list *l, size_t more)
{
    return ARRAY_RESERVE(l->v, l->room, l->count + more);
}

static int dead_push(struct dead_list *l, const struct refs_dead *d)
{
    int err = dead_reserve(l, 1);

    if (err == 0)
        l->v[l->count++] = *d;
    return err;
}

/* There must be room (refs_freeze). */
static void dead_append(struct dead_list *to, const struct dead_list *from)
{
    if (from->count)
        memcpy(to->v + to->count, from->v, from->count * sizeof *to->v);
    to->count += from->count;
}

static size_t dead_in_batches(const struct refs *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->batches; i++)
        n += r->dead_frozen[i].count;
    return n;
}

/* Take one number out of the tables; its dying record stays until its bytes are gone. */
static int collect_one(struct refs *r, uint64_t number, const struct entry *e)
{
    uint8_t key[8];
    bool ghost = entry_is_ghost(e); /* its bytes wait for refs_next_dead_ghost */
    int err;

    put_be64(key, number);
    err = ghost ? refs_note_ghost(r, number, e, NULL)
                : dead_push(&r->dead_active, &(struct refs_dead){number, *e});
    if (err < 0)
        return err;
    if (entry_is_sealed(e) || e->kind == ENTRY_NONE)
        err = refs_unindex(r, number, &e->id);
    if (err == 0)
        err = layer_del(r->objects, key);
    if (err < 0 && ghost)
        (void)refs_note_ghost(r, number, NULL, e);
    else if (err < 0)
        r->dead_active.count--;
    if (err < 0)
        return err;
    if (ghost)
        refs_count_dead(r, e->shard, true);
    map64_del(&r->zero, number);
    return 0;
}

/* The zero-count numbers nobody holds, copied out because collecting changes the map. Each goes on
 * where the last one ended, for else many would pass by the places of all before. */
static size_t pick_zero(struct refs *r, uint64_t *out, size_t max)
{
    size_t start = r->zero_at, n = 0;
    uint64_t number, none;

    while (n < max && map64_next(&r->zero, &r->zero_at, &number, &none))
        if (!map64_get(&r->holds, number, &none))
            out[n++] = number;
    if (n == max || start == 0)
        return n;
    r->zero_at = 0;
    return pick_zero(r, out, max);
}

/* One batch, under the lock; what was taken out goes to `out`. */
static int collect_some(struct refs *r, size_t max, struct refs_dead *out, size_t *ret_count)
{
    uint64_t some[COLLECT_BATCH];
    int err = 0;
    MUTEX_GUARD(&r->lock);
    size_t n = pick_zero(r, some, max);

    *ret_count = 0;
    for (size_t i = 0; i < n && err == 0; i++) {
        struct refs_dead *d = &out[*ret_count];
        d->number = some[i];
        err = refs_load(r, some[i], &d->entry);
        if (err == -EUCLEAN) { /* it leaks, and nothing waits for it */
            report(REPORT_ALARM, "the entry of object number %llu is damaged: it is not deleted",
                   (unsigned long long)some[i]);
            map64_del(&r->zero, some[i]);
            err = 0;
            continue;
        }
        if (err == 0 && d->entry.count > 0) { /* a change that failed half-way left it queued */
            map64_del(&r->zero, some[i]);
            continue;
        }
        if (err == 0)
            err = collect_one(r, some[i], &d->entry);
        *ret_count += err == 0;
    }
    return err;
}

int refs_collect(struct refs *r, size_t max, refs_dead_fn *fn, void *ctx)
{
    struct refs_dead some[COLLECT_BATCH];
    size_t done = 0, n;
    int err = 0;

    do {
        size_t want = max - done < COLLECT_BATCH ? max - done : COLLECT_BATCH;
        mutex_let_others(&r->lock);
        err = collect_some(r, want, some, &n);
        for (size_t i = 0; i < n && fn; i++)
            fn(some[i].number, &some[i].entry, ctx);
        done += n;
        if (n < want)
            break;
    } while (done < max && err == 0);
    return done ? (int)done : err;
}

size_t refs_collected(struct refs *r, struct refs_dead *out, size_t max)
{
    MUTEX_GUARD(&r->lock);
    size_t n = r->dead_ready.count < max ? r->dead_ready.count : max;

    r->dead_ready.count -= n;
    if (n)
        memcpy(out, r->dead_ready.v + r->dead_ready.count, n * sizeof *out);
    r->burying += n;
    return n;
}

static int buried(struct refs *r, const struct refs_dead *d)
{
    int err = del_dying(r, d->number);

    if (err == 0 && entry_is_ghost(&d->entry))
        refs_count_dead(r, d->entry.shard, false);
    else if (err == 0)
        r->burying--;
    return err;
}

int refs_buried(struct refs *r, const struct refs_dead *d)
{
    size_t done;

    return refs_buried_all(r, d, 1, &done);
}

int refs_buried_all(struct refs *r, const struct refs_dead *dead, size_t count, size_t *ret_done)
{
    size_t i;
    int err = 0;
    MUTEX_GUARD(&r->lock);

    for (i = 0; i < count && err == 0; i += err == 0)
        err = buried(r, &dead[i]);
    *ret_done = i;
    return err;
}

int refs_bury_place(struct refs *r, const struct entry *place)
{
    struct entry e = *place;
    MUTEX_GUARD(&r->lock);
    uint64_t number = r->next++;
    int err;

    e.count = 0;
    err = put_dying(r, number, &e);
    if (err == 0 && entry_is_ghost(&e)) {
        refs_count_dead(r, e.shard, true);
        return 0;
    }
    return err < 0 ? err : dead_push(&r->dead_active, &(struct refs_dead){number, e});
}

static uint64_t count_dying(struct refs *r)
{
    uint64_t number, none, waiting = 0;
    size_t at = 0;

    mutex_held(&r->lock);
    while (map64_next(&r->zero, &at, &number, &none))
        waiting += !map64_get(&r->holds, number, &none);
    return waiting + r->dead_active.count + dead_in_batches(r) + r->dead_ready.count;
}

uint64_t refs_dying(struct refs *r)
{
    MUTEX_GUARD(&r->lock);
    return count_dying(r);
}

bool refs_dying_within(struct refs *r, int64_t ns, uint64_t *ret)
{
    if (!mutex_lock_for(&r->lock, ns))
        return false;
    *ret = count_dying(r);
    mutex_unlock(&r->lock);
    return true;
}

size_t refs_changes(struct refs *r)
{
    return layer_pending(r->objects) + layer_pending(r->ids) + layer_pending(r->dying) +
           layer_pending(r->pins) + layer_pending(r->ghosts);
}

/* ---- what was lost ---- */

int refs_is_dying_locked(struct refs *r, uint64_t number)
{
    uint8_t key[8], buf[ENTRY_MAX];
    size_t len;
    int err;

    mutex_held(&r->lock);
    put_be64(key, number);
    err = layer_get(r->dying, key, buf, sizeof buf, &len);
    return err == -ENOENT ? 0 : err < 0 && err != -ERANGE ? err : 1;
}

int refs_is_dying(struct refs *r, uint64_t number)
{
    MUTEX_GUARD(&r->lock);
    return refs_is_dying_locked(r, number);
}

int refs_let_go(struct refs *r, uint64_t number)
{
    struct entry e;
    uint64_t none;
    MUTEX_GUARD(&r->lock);
    int err = refs_load(r, number, &e);

    if (err == 0)
        err = refs_is_dying_locked(r, number);
    if (err < 0)
        return err;
    if (err || e.count || map64_get(&r->zero, number, &none) || map64_get(&r->holds, number, &none))
        return -EBUSY;
    return refs_make_dying(r, number, &e);
}

struct visiting {
    refs_dying_fn *fn;
    void *ctx;
};

static int visit_dying(const void *key, const void *val, size_t vlen, void *ctx)
{
    const struct visiting *v = ctx;
    struct entry e;

    if (!val)
        return 0;
    return entry_decode(val, vlen, &e) < 0 ? -EUCLEAN : v->fn(get_be64(key), &e, v->ctx);
}

int refs_new_dying(struct refs *r, refs_dying_fn *fn, void *ctx)
{
    struct visiting v = {fn, ctx};
    MUTEX_GUARD(&r->lock);

    return layer_visit_changes(r->dying, visit_dying, &v);
}

/* ---- opening, committing ---- */

/* What a crash left: numbers with count 0 wait for refs_collect again; those whose entry is gone
 * have had their removal committed, so their bytes may go at once. */
static int recover_dying(struct refs *r, struct kv_snap *s)
{
    struct kv_each e = {.snap = s, .table = r->tables.dying, .strict = true};

    while (kv_next(&e)) {
        struct refs_dead d = {.number = e.number};
        struct entry now;
        int err;

        if (e.klen != 8 || entry_decode(e.val, e.len, &d.entry) < 0)
            return -EUCLEAN;
        err = refs_load(r, d.number, &now);
        if (err == 0 && now.count == 0) {
            r->live -= entry_is_sealed(&now);
            err = queue_zero(r, d.number, d.entry.size);
        } else if (err == -ENOENT && entry_is_ghost(&d.entry)) {
            refs_count_dead(r, d.entry.shard, true);
            err = 0;
        } else if (err == -ENOENT)
            err = dead_push(&r->dead_ready, &d);
        e.err = err;
    }
    return e.err;
}

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
        err = recover_dying(r, s);
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
    map64_release(&r->zero);
    map64_release(&r->holds);
    map64_release(&r->pending);
    free(r->dead_active.v);
    for (size_t i = 0; i < r->batches; i++)
        free(r->dead_frozen[i].v);
    free(r->dead_ready.v);
    mutex_destroy(&r->lock);
    free(r);
}

static void add_retained(const struct dead_list *l, struct refs_stats *s)
{
    s->retained += l->count;
    for (size_t i = 0; i < l->count; i++)
        s->retained_bytes += l->v[i].entry.size;
}

/* Those that the next flush collects. Who holds one, not the log, keeps it. */
static void add_zero(const struct refs *r, struct refs_stats *s)
{
    uint64_t number, size, none;
    size_t at = 0;

    while (map64_next(&r->zero, &at, &number, &size)) {
        if (map64_get(&r->holds, number, &none))
            continue;
        s->retained++;
        s->retained_bytes += size;
    }
}

void refs_get_stats(struct refs *r, struct refs_stats *ret)
{
    MUTEX_GUARD(&r->lock);
    *ret = (struct refs_stats){
        .objects = r->live,
        .unknown_decrements = r->unknown_decrements,
        .dying = r->zero.count + r->dead_active.count + dead_in_batches(r) + r->dead_ready.count,
        .pinned = r->pinned,
    };
    add_zero(r, ret);
    add_retained(&r->dead_active, ret);
    for (size_t i = 0; i < r->batches; i++)
        add_retained(&r->dead_frozen[i], ret);
}

/* Now, so that refs_thaw cannot fail. */
static int reserve_ready(struct refs *r)
{
    return dead_reserve(&r->dead_ready,
                        r->dead_ready.count + dead_in_batches(r) + r->dead_active.count);
}

int refs_prepare_freeze(struct refs *r)
{
    MUTEX_GUARD(&r->lock);
    return reserve_ready(r);
}

int refs_freeze(struct refs *r)
{
    struct layer *all[] = {r->objects, r->ids, r->dying, r->pins, r->ghosts};
    MUTEX_GUARD(&r->lock);
    int err = r->batches == LAYER_BATCHES_MAX ? -EBUSY : 0;

    if (err == 0)
        err = reserve_ready(r);
    for (size_t i = 0; i < sizeof all / sizeof *all && err == 0; i++)
        err = layer_freeze(all[i]);
    if (err < 0)
        return err;
    /* What is in there is deleted after the commit of this batch. */
    r->dead_frozen[r->batches++] = r->dead_active;
    r->dead_active = (struct dead_list){0};
    return 0;
}

int refs_write(struct refs *r, size_t n, struct kv_txn *t)
{
    struct layer *all[] = {r->objects, r->ids, r->dying, r->pins, r->ghosts};
    int err = 0;

    for (size_t i = 0; i < sizeof all / sizeof *all && err == 0; i++)
        err = layer_write(all[i], n, t);
    return err;
}

void refs_thaw(struct refs *r, size_t n)
{
    MUTEX_GUARD(&r->lock);

    layer_thaw(r->objects, n);
    layer_thaw(r->ids, n);
    layer_thaw(r->dying, n);
    layer_thaw(r->pins, n);
    layer_thaw(r->ghosts, n);
    for (size_t i = 0; i < n; i++) {
        dead_append(&r->dead_ready, &r->dead_frozen[i]);
        free(r->dead_frozen[i].v);
    }
    r->batches -= n;
    memmove(r->dead_frozen, r->dead_frozen + n, r->batches * sizeof *r->dead_frozen);
}
