// SPDX-License-Identifier: Apache-2.0
/* restore: see the header. */
#include "restore.h"
#include "array.h"
#include "bytes.h"
#include "check_search.h"
#include "flush.h"
#include "pool_node.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))
#define ROWS_AT_ONCE 256 /* under one hold of the freeze lock */

/* One call of restore_lost. */
struct restoring {
    struct state *p;
    const struct map64 *lost;
    struct map64 *fresh;
    uint64_t found;
};

/* ---- entries ---- */

/* The count of a restored entry: too high by RESTORE_BIAS (restore.h). */
static uint32_t biased(uint64_t refs)
{
    return refs > UINT32_MAX - RESTORE_BIAS ? UINT32_MAX : (uint32_t)refs + RESTORE_BIAS;
}

/* Is the entry's pack record dead? It belonged to another number, and its bytes are being
 * reclaimed. */
static bool is_dead(struct state *p, const struct entry *e)
{
    return e->kind == ENTRY_PACK && !entry_is_ghost(e) &&
           packs_is_dead(p->packs, &(struct pack_place){.pack = e->where, .offset = e->offset});
}

/* Register the content of an unsealed entry, which reading it needs. */
static int adopt_content(struct state *p, uint64_t number, const struct entry *e)
{
    if (e->kind == ENTRY_SLOT)
        return content_adopt_slot(p, number, e->size);
    return e->kind == ENTRY_HELD ? held_adopt(p, number, e->size) : 0;
}

/* Register the content, then the entry: an entry without a content would be lost to the next
 * rebuild, too. */
static int put_entry(struct state *p, uint64_t number, const struct entry *e)
{
    struct content *c = content_find(p, number);
    int err = c ? 0 : adopt_content(p, number, e);

    if (err == 0) {
        err = refs_restore(p->refs, number, e);
        if (err < 0 && !c)
            content_disown(p, number);
    }
    content_unref(c);
    return err;
}

/* Give the number an entry, as one instant. -EBUSY: the entry's place is being reclaimed, so
 * another place is searched for. */
static int put_now(struct restoring *r, uint64_t number, const struct entry *e)
{
    struct state *p = r->p;
    const struct pack_place at = pack_place_of(e);
    INSTANT_TXN(t, p);
    int err = state_writable(p);

    if (err == 0 && (pool_node_gave_up(p, e) || is_dead(p, e)))
        err = -EBUSY;
    if (err == 0)
        err = put_entry(p, number, e);
    if (err < 0)
        return err;
    /* Count the record in its pack. It may be counted already; the next recount corrects that. So
     * -ENOENT and -EBUSY are no errors here. */
    if (e->kind == ENTRY_PACK && !entry_is_ghost(e))
        (void)packs_adopt(p->packs, &at, (uint32_t)e->size);
    return change_done(&t, NULL, map64_put(r->fresh, number, 1));
}

/* As put_now, while no report of the pool's node begins: a report could acknowledge that the pool
 * may remove the place of this entry. */
static int put_guarded(struct restoring *r, uint64_t number, const struct entry *e)
{
    int err;

    pool_node_pause(r->p);
    err = put_now(r, number, e);
    pool_node_resume(r->p);
    return err;
}

/* Was the entry refused, because the number has an entry by now or must not get this one? */
static int is_refused(int err)
{
    return err == -EEXIST || err == -EBUSY || err == -EINVAL;
}

/* Called by the search for each number whose bytes were found. 1: look on for another place. */
static int found(uint64_t number, const struct entry *e, const char *from, void *ctx)
{
    struct restoring *r = ctx;
    struct entry now = *e;
    int err;

    now.count = biased(e->count);
    err = put_guarded(r, number, &now);
    if (is_refused(err))
        return err == -EBUSY;
    if (err < 0)
        return err;
    r->found++;
    report(REPORT_NOTE, "rebuild: object number %llu is in the table again, its bytes are %s",
           U(number), from);
    return 0;
}

/* Give each number whose bytes were not found an entry without bytes. */
static int put_stubs(struct restoring *r)
{
    uint64_t number, refs, none;
    size_t at = 0;
    int err = 0;

    while (err == 0 && map64_next(r->lost, &at, &number, &refs)) {
        if (map64_get(r->fresh, number, &none))
            continue;
        err = put_guarded(r, number, &(struct entry){.kind = ENTRY_NEW, .count = biased(refs)});
        err = is_refused(err) ? 0 : err;
    }
    return err;
}

int restore_lost(struct state *p, const struct map64 *lost, struct map64 *fresh,
                 uint64_t *ret_found)
{
    struct restoring r = {.p = p, .lost = lost, .fresh = fresh};
    const struct check_search s = {.disk = p->config.disk,
                                   .kv = p->config.kv,
                                   .key = &p->id_key,
                                   .missing = lost,
                                   .shards = p->shards,
                                   .pool = p->shared};
    int err;

    (void)flush_reclaim_dead(p, SIZE_MAX); /* delete the bytes that are dead by now, so that the
                                            * search does not find these */
    err = check_find_lost(&s, found, &r);
    if (err == 0)
        err = put_stubs(&r);
    *ret_found = r.found;
    return err;
}

int restore_tell(struct state *p, const struct map64 *lost)
{
    return met_lost_all(p, lost);
}

/* ---- other rows ---- */

/* Object numbers. */
struct numbers {
    uint64_t *v;
    size_t count, room;
};

static int push(struct numbers *l, uint64_t number)
{
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    l->v[l->count++] = number;
    return 0;
}

/* Is there such a row? In the index it must lead to `number`. */
static bool has_row(struct kv_snap *snap, unsigned table, const void *key, size_t klen,
                    uint64_t number)
{
    const void *val;
    size_t len;
    int err = kv_snap_get(snap, table, key, klen, &val, &len);

    return err == 0 && (table != TABLE_IDS || (len == 8 && get_be64(val) == number));
}

/* Find pins that lack their row or the note in their entry (refs_restore_pin). */
static int find_half_pins(struct kv_snap *snap, struct numbers *ret)
{
    struct kv_each row = {.snap = snap, .table = TABLE_OBJECTS};
    struct kv_each pin = {.snap = snap, .table = TABLE_PINS};
    struct entry e;

    while (kv_next(&row))
        if (row.klen == 8 && entry_decode(row.val, row.len, &e) == 0 && e.pinned &&
            !has_row(snap, TABLE_PINS, row.key, row.klen, 0))
            row.err = push(ret, row.number);
    while (kv_next(&pin))
        if (refs_entry_in(snap, TABLE_OBJECTS, pin.number, &e) == 0 && !e.pinned && pin.len == 0)
            pin.err = push(ret, pin.number);
    return row.err && !row.cut ? row.err : pin.cut ? 0 : pin.err;
}

/* Find entries whose row in the index, or in the index of ghosts, is missing or wrong. */
static int find_unindexed(struct kv_snap *snap, struct numbers *ret)
{
    struct kv_each row = {.snap = snap, .table = TABLE_OBJECTS};

    while (kv_next(&row)) {
        struct entry e;
        if (row.klen != 8 || entry_decode(row.val, row.len, &e) < 0 || !entry_is_sealed(&e) ||
            !e.count)
            continue;
        if (!has_row(snap, TABLE_IDS, e.id.b, ID_LEN, row.number) ||
            (entry_is_ghost(&e) && !has_row(snap, TABLE_GHOSTS, row.key, row.klen, 0)))
            row.err = push(ret, row.number);
    }
    return row.cut ? 0 : row.err;
}

typedef int mend_fn(struct refs *r, uint64_t number);

/* Restore rows of some objects by `fn`, which returns how many, as one instant. */
static int mend_some(struct state *p, const uint64_t *v, size_t count, mend_fn *fn,
                     uint64_t *changed)
{
    uint64_t before = *changed;
    INSTANT_TXN(t, p);
    int err = state_writable(p);

    for (size_t i = 0; i < count && err == 0; i++) {
        int mended = fn(p->refs, v[i]);
        *changed += mended > 0 ? (uint64_t)mended : 0;
        err = mended < 0 && mended != -EUCLEAN ? mended : 0;
    }
    return *changed != before ? change_done(&t, NULL, err) : err;
}

/* Restore missing rows that `find` finds and `fn` puts back. */
static int restore_by(struct state *p, struct kv_snap *snap,
                      int (*find)(struct kv_snap *snap, struct numbers *ret), mend_fn *fn,
                      uint64_t *changed)
{
    struct numbers l = {0};
    int err = find(snap, &l);

    for (size_t i = 0; i < l.count && err == 0; i += ROWS_AT_ONCE)
        err = mend_some(p, l.v + i, l.count - i < ROWS_AT_ONCE ? l.count - i : ROWS_AT_ONCE, fn,
                        changed);
    free(l.v);
    return err;
}

/* Add the differences to the live row of a pack, as one instant. */
static int correct_pack(struct state *p, uint64_t number, int64_t records, int64_t bytes,
                        uint64_t *changed)
{
    INSTANT_TXN(t, p);
    int err = state_writable(p);

    if (err == 0)
        err = packs_correct(p->packs, number, records, bytes);
    if (err == -EUCLEAN || err == -ENOENT) {
        report(REPORT_WARN, "rebuild: what the table says of pack %llu could not be put right",
               U(number));
        return 0;
    }
    *changed += err == 0;
    return change_done(&t, NULL, err);
}

/* Compare the row of one pack with what the entries of the snapshot name in it. */
static int compare_pack(struct state *p, struct kv_snap *snap, uint64_t number,
                        const struct lost_packs *named, bool lower, uint64_t *changed)
{
    struct pack_entry e = {0};
    uint64_t records = 0, bytes = 0;
    const void *val;
    size_t len;
    int err;

    (void)map64_get(&named->records, number, &records);
    (void)map64_get(&named->bytes, number, &bytes);
    err = kv_snap_get_number(snap, TABLE_PACKS, number, &val, &len);
    if (err == 0)
        err = pack_entry_decode(val, len, &e);
    if (err == -EUCLEAN || (err == -ENOENT && p->shared)) /* the pack of another member of the pool
                                                           * has no row here */
        return 0;
    if (err < 0 && err != -ENOENT)
        return err;
    if (records == e.live_records && bytes == e.live_bytes)
        return 0;
    if (!lower && (records < e.live_records || bytes < e.live_bytes))
        return 0;
    return correct_pack(p, number, (int64_t)records - e.live_records,
                        (int64_t)bytes - (int64_t)e.live_bytes, changed);
}

/* Compare all packs: those with a row, and those that entries name without a row. */
static int restore_packs(struct state *p, struct kv_snap *snap, bool lower, uint64_t *changed)
{
    struct lost_packs named = {.records = MAP64_INIT, .bytes = MAP64_INIT};
    struct kv_each e = {.snap = snap, .table = TABLE_PACKS};
    uint64_t number, records, none;
    struct map64 seen = MAP64_INIT;
    size_t at = 0;
    int err;

    e.err = lost_count_packs(snap, &named);
    while (kv_next(&e)) {
        if (e.klen != 8)
            continue;
        e.err = map64_put(&seen, e.number, 1);
        if (e.err == 0)
            e.err = compare_pack(p, snap, e.number, &named, lower, changed);
    }
    err = e.err;
    while (err == 0 && map64_next(&named.records, &at, &number, &records))
        if (!map64_get(&seen, number, &none))
            err = compare_pack(p, snap, number, &named, lower, changed);
    lost_packs_release(&named);
    map64_release(&seen);
    return err;
}

int restore_rows(struct state *p, struct kv_snap *snap, bool lower, uint64_t *changed)
{
    int err = restore_by(p, snap, find_unindexed, refs_reindex, changed);

    if (err == 0)
        err = restore_by(p, snap, find_half_pins, refs_restore_pin, changed);
    if (err == 0)
        err = restore_packs(p, snap, lower, changed);
    return err == -EUCLEAN ? 0 : err; /* the recount has reported a table that cannot be read */
}
