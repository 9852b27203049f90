// SPDX-License-Identifier: Apache-2.0
/*
 * refs_dying: the end of a number. The functions that move it, and where memory has it:
 *
 *           refs_make_dying       collect_one       refs_collected            refs_reclaimed
 *   counted ──────────────> zero ────────────> dead ───────────────> the caller ────────────> gone
 *      ^                      │                ^ ^ ^                     │
 *      └───── refs_revive ────┘                │ │ └ refs_not_reclaimed ─┘
 *                 refs_reclaim_place ──────────┘ └── refs_reclaim_slot
 *
 *     zero    a map by number, 16 bytes each, since any call may look for it and revive it; and
 *             very many may come here at once
 *     dead    a queue in the order in which they came, with the place of the bytes. Each has the
 *             number of the batch that removes its entry from the tables. Its bytes may be deleted
 *             once r->durable, the number of committed batches, is higher. So neither a freeze nor
 *             a retire has to move any of them. What could not be deleted comes to the end of the
 *             queue, as of the batch that is filled then: it is tried once per commit.
 *
 * On all the way from `zero` to the end the number has a record in the table of the dying, so that
 * a start finds it again. A slot that became an object, or was given up, is in the queue without a
 * record: a start finds its file. Dead ghosts are only in that table, and not in memory: their
 * shard may be unreachable for a long time, and there may be very many of them (refs_ghosts.c).
 */
#include "refs_impl.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

#define COLLECT_BATCH 32 /* numbers taken out under one hold of the lock */

/* An element of the queue of the dead. */
struct dead {
    STAILQ_ENTRY(dead) next;
    uint64_t batch; /* the number of the batch whose commit removes its entry */
    struct refs_dead is;
};

/* ---- count 0 ---- */

/* Writes the record of a dying number. */
static int put_dying(struct refs *r, uint64_t number, const struct entry *e)
{
    uint8_t key[8], buf[ENTRY_MAX];

    put_be64(key, number);
    return layer_put(r->dying, key, buf, entry_encode(e, buf));
}

/* Delete the record of a dying number. */
static int del_dying(struct refs *r, uint64_t number)
{
    uint8_t key[8];

    put_be64(key, number);
    return layer_del(r->dying, key);
}

/* Bytes that a number without references keeps. */
static uint64_t bytes_of(const struct entry *e)
{
    return entry_has_place(e) ? e->size : 0;
}

static bool is_held(const struct refs *r, uint64_t number)
{
    uint64_t none;

    return map64_get(&r->holds, number, &none);
}

int refs_make_dying(struct refs *r, uint64_t number, const struct entry *e)
{
    uint64_t none;
    bool was = map64_get(&r->zero, number, &none);
    int err = map64_put(&r->zero, number, bytes_of(e));

    if (err == 0)
        err = put_dying(r, number, e);
    if (err < 0 && !was)
        (void)map64_del(&r->zero, number);
    return err;
}

/* Every number that has an entry and is among the dying is in r->zero. So a number that is not
 * there has no record to delete. */
int refs_revive(struct refs *r, uint64_t number)
{
    uint64_t none;
    int err = map64_get(&r->zero, number, &none) ? del_dying(r, number) : 0;

    if (err == 0)
        (void)map64_del(&r->zero, number);
    return err;
}

/* ---- collecting ---- */

/* Takes one number out of the tables: its entry, its id and its row among the ghosts, all or none.
 * Its record among the dying stays until its bytes are gone. */
static int take_out(struct refs *r, uint64_t number, const struct entry *e)
{
    uint8_t key[8];
    int err = layer_room(r->objects, 1, 0);

    if (err == 0 && entry_is_ghost(e))
        err = layer_room(r->ghosts, 1, GHOST_ROW_LEN);
    put_be64(key, number);
    if (err == 0 && (entry_is_sealed(e) || e->kind == ENTRY_NONE))
        err = refs_unindex(r, number, &e->id);
    if (err == 0) /* there is room for the steps from here on */
        err = refs_note_ghost(r, number, e, NULL);
    if (err == 0)
        err = layer_del(r->objects, key);
    return err;
}

/* Puts a dead number at the end of the queue. A ghost is only counted, and `d` is freed: its shard
 * may be unreachable for long, so it waits in the table of the dying. */
static void add_dead(struct refs *r, struct dead *d)
{
    if (entry_is_ghost(&d->is.entry)) {
        refs_count_dead(r, d->is.entry.shard, true);
        free(d);
        return;
    }
    d->batch = r->batch;
    STAILQ_INSERT_TAIL(&r->dead, d, next);
    ++*(d->is.failed ? &r->failed : &r->waiting);
}

static struct dead *dead_create(uint64_t number, const struct entry *e)
{
    struct dead *d = malloc(sizeof *d);

    if (d)
        d->is = (struct refs_dead){.number = number, .entry = *e};
    return d;
}

/* Moves one number with count 0 out of the tables and into the queue of the dead. */
static int collect_one(struct refs *r, uint64_t number, const struct entry *e)
{
    struct dead *d = dead_create(number, e);
    int err = d ? take_out(r, number, e) : -ENOMEM;

    if (err < 0) {
        free(d);
        return err;
    }
    add_dead(r, d);
    (void)map64_del(&r->zero, number);
    return 0;
}

/* Copies up to `max` numbers that have count 0 and no holds to `out`; collecting them changes the
 * map. Each call goes on where the last one stopped: otherwise each would first walk past the empty
 * places that all calls before it left. */
static size_t pick_zero(struct refs *r, uint64_t *out, size_t max)
{
    size_t start = r->zero_at, n = 0;
    uint64_t number, none;

    while (n < max && map64_next(&r->zero, &r->zero_at, &number, &none))
        if (!is_held(r, number))
            out[n++] = number;
    if (n == max || start == 0)
        return n;
    r->zero_at = 0;
    return pick_zero(r, out, max);
}

/* Looks at one batch of up to `max` numbers under the lock, and lists what was taken out in `out`.
 * *ret_more: the batch was full. */
static int collect_some(struct refs *r, size_t max, struct refs_dead *out, size_t *ret_count,
                        bool *ret_more)
{
    uint64_t some[COLLECT_BATCH];
    int err = 0;
    MUTEX_GUARD(&r->lock);
    size_t n = pick_zero(r, some, max);

    *ret_more = n == max;
    *ret_count = 0;
    for (size_t i = 0; i < n && err == 0; i++) {
        struct refs_dead *d = &out[*ret_count];
        d->number = some[i];
        err = refs_load(r, some[i], &d->entry);
        if (err == -EUCLEAN) { /* it leaks: otherwise every flush would fail because of it */
            report(REPORT_ALARM, "the entry of object number %llu is damaged: it is not deleted",
                   (unsigned long long)some[i]);
            (void)map64_del(&r->zero, some[i]);
            err = 0;
            continue;
        }
        if (err == 0 && d->entry.count > 0) { /* a change that failed halfway has left it in
                                               * r->zero */
            (void)map64_del(&r->zero, some[i]);
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
    bool more = true;
    int err = 0;

    while (more && err == 0 && done < max) {
        size_t want = max - done < COLLECT_BATCH ? max - done : COLLECT_BATCH;
        mutex_let_others(&r->lock);
        err = collect_some(r, want, some, &n, &more);
        for (size_t i = 0; i < n && fn; i++)
            fn(some[i].number, &some[i].entry, ctx);
        done += n;
    }
    return err < 0 ? err : (int)done;
}

/* ---- reclaiming ---- */

size_t refs_collected(struct refs *r, struct refs_dead *out, size_t max)
{
    struct dead *d;
    size_t n = 0;
    MUTEX_GUARD(&r->lock);

    while (n < max && (d = STAILQ_FIRST(&r->dead)) && d->batch < r->durable) {
        STAILQ_REMOVE_HEAD(&r->dead, next);
        --*(d->is.failed ? &r->failed : &r->waiting);
        out[n++] = d->is;
        free(d);
    }
    return n;
}

int refs_not_reclaimed(struct refs *r, const struct refs_dead *dead)
{
    MUTEX_GUARD(&r->lock);
    struct dead *d = dead_create(dead->number, &dead->entry);

    if (!d)
        return -ENOMEM;
    d->is.unrecorded = dead->unrecorded;
    d->is.failed = true;
    add_dead(r, d);
    return 0;
}

int refs_reclaimed(struct refs *r, const struct refs_dead *dead, size_t count)
{
    MUTEX_GUARD(&r->lock);
    int err = layer_room(r->dying, count, ENTRY_MAX);

    for (size_t i = 0; i < count; i++) {
        if (err == 0 && !dead[i].unrecorded)
            err = del_dying(r, dead[i].number);
        if (err == 0)
            continue;
        while (i-- > 0) /* it replaces the row that was just put, for which there is room */
            if (!dead[i].unrecorded)
                (void)put_dying(r, dead[i].number, &dead[i].entry);
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        if (entry_is_ghost(&dead[i].entry))
            refs_count_dead(r, dead[i].entry.shard, false);
        if (dead[i].unrecorded) /* only now: while the file has its name, it must not be taken for
                                 * a leak */
            map64_del(&r->slots, dead[i].number);
    }
    return 0;
}

int refs_reclaim_place(struct refs *r, const struct entry *place)
{
    struct entry e = *place;
    MUTEX_GUARD(&r->lock);
    uint64_t number = r->next++;
    struct dead *d;
    int err;

    e.count = 0;
    d = dead_create(number, &e);
    err = d ? put_dying(r, number, &e) : -ENOMEM;
    if (err == 0)
        add_dead(r, d);
    else
        free(d);
    return err;
}

int refs_reclaim_slot(struct refs *r, uint64_t number)
{
    MUTEX_GUARD(&r->lock);
    struct dead *d = dead_create(number, &(struct entry){.kind = ENTRY_SLOT});
    int err = d ? map64_put(&r->slots, number, 1) : -ENOMEM;

    if (err < 0) {
        free(d);
        return err;
    }
    d->is.unrecorded = true;
    add_dead(r, d);
    return 0;
}

/* ---- looking ---- */

bool refs_has_slot(struct refs *r, uint64_t number)
{
    uint64_t none;
    MUTEX_GUARD(&r->lock);

    return map64_get(&r->slots, number, &none);
}

/* As refs_dying. Needs the lock. The held ones are counted only here, for drains, so that holds and
 * counts do not have to keep a number of them. */
static uint64_t count_dying(struct refs *r)
{
    uint64_t number, none = 0, held = 0;
    size_t at = 0;

    mutex_held(&r->lock);
    while (r->zero.count > 0 && map64_next(&r->holds, &at, &number, &none))
        held += map64_get(&r->zero, number, &none);
    return r->zero.count - held + r->waiting;
}

uint64_t refs_dying(struct refs *r)
{
    MUTEX_GUARD(&r->lock);
    return count_dying(r);
}

bool refs_dying_within(struct refs *r, int64_t duration_ns, uint64_t *ret)
{
    if (!mutex_lock_for(&r->lock, duration_ns))
        return false;
    *ret = count_dying(r);
    mutex_unlock(&r->lock);
    return true;
}

void refs_dying_stats(const struct refs *r, struct refs_stats *s)
{
    const struct dead *d;
    uint64_t number, size;
    size_t at = 0;

    s->dying = r->zero.count + r->waiting;
    s->undeleted = r->failed;
    while (map64_next(&r->zero, &at, &number, &size)) {
        if (is_held(r, number))
            continue; /* a holder keeps it, and not the log */
        s->retained++;
        s->retained_bytes += size;
    }
    STAILQ_FOREACH(d, &r->dead, next)
    if (d->batch >= r->durable && !d->is.unrecorded && !d->is.failed) {
        s->retained++;
        s->retained_bytes += bytes_of(&d->is.entry);
    }
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
    if (err || e.count || map64_get(&r->zero, number, &none) || is_held(r, number))
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

/* ---- opening ---- */

/* Recovers one record of the dying at a start. A number with count 0 waits for refs_collect again.
 * If its entry is gone, the removal was committed, so its bytes may go at once. */
static int recover_one(struct refs *r, uint64_t number, const struct entry *e)
{
    struct entry now;
    struct dead *d;
    int err = refs_load(r, number, &now);

    if (err == 0 && now.count == 0) {
        r->live -= entry_is_sealed(&now);
        return map64_put(&r->zero, number, bytes_of(e));
    }
    if (err != -ENOENT)
        return err;
    d = dead_create(number, e);
    if (!d)
        return -ENOMEM;
    add_dead(r, d);
    return 0;
}

int refs_dying_recover(struct refs *r, struct kv_snap *s)
{
    struct kv_each at = {.snap = s, .table = r->tables.dying, .strict = true};
    struct entry e;

    r->batch = 0;
    while (kv_next(&at)) {
        if (at.klen != 8 || entry_decode(at.val, at.len, &e) < 0)
            return -EUCLEAN;
        at.err = recover_one(r, at.number, &e);
    }
    r->batch = r->durable = 1; /* all records that were found are of batch 0, which is durable */
    return at.err;
}

void refs_dying_release(struct refs *r)
{
    struct dead *d;

    while ((d = STAILQ_FIRST(&r->dead))) {
        STAILQ_REMOVE_HEAD(&r->dead, next);
        free(d);
    }
    map64_release(&r->slots);
    map64_release(&r->zero);
}
