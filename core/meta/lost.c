// SPDX-License-Identifier: Apache-2.0
/* lost: see the header. Where damage hides a part of the trees, references may be hidden as well.
 * So a count that is higher than the recount proves nothing then, and is not reported. */
#include "lost.h"
#include "bytes.h"
#include "packs.h"
#include "record.h"
#include "refs.h"
#include "report.h"
#include "stored_record.h"
#include <errno.h>
#include <stdio.h>

#define U(x) ((unsigned long long)(x))

/* Is this the entry that a rebuild left where it found no bytes? */
static bool is_stub(const struct entry *e)
{
    return e->kind == ENTRY_NEW && e->count > 0;
}

int lost_find(struct kv_snap *snap, const struct recount *count, struct map64 *ret)
{
    uint64_t number, refs;
    size_t at = 0;
    int err = 0;

    while (err == 0 && map64_next(&count->objects, &at, &number, &refs)) {
        struct entry e;
        err = refs ? refs_entry_in(snap, TABLE_OBJECTS, number, &e) : 0;
        if (err == -ENOENT || err == -EUCLEAN || (err == 0 && refs && is_stub(&e)))
            err = map64_put(ret, number, refs);
    }
    return err;
}

/* Recounts the committed state, and raises an alarm if a number is lost or may be hidden. */
static int find_any(struct kv_snap *snap, bool (*step)(uint64_t pages, void *ctx), void *ctx)
{
    struct recount_options o = {.step = step, .ctx = ctx};
    struct map64 lost = MAP64_INIT;
    struct recount count;
    uint64_t number, refs;
    size_t at = 0;
    int err = recount_run(snap, &o, &count);

    if (err == 0)
        err = lost_find(snap, &count, &lost);
    if (err == 0 && count.damaged) {
        report(
            REPORT_ALARM,
            "damage hides a part of the trees, and what that names: nothing that could be its is "
            "deleted; `scrub` says where it is");
        err = -EUCLEAN;
    } else if (err == 0 && map64_next(&lost, &at, &number, &refs)) {
        report(
            REPORT_ALARM,
            "object number %llu and %zu others are named, and the table of objects does not say "
            "where their bytes are: nothing that could be theirs is deleted; `rebuild` looks for "
            "them",
            U(number), lost.count - 1);
        err = -EUCLEAN;
    }
    map64_release(&lost);
    recount_release(&count);
    return err;
}

int lost_guard(struct kv *kv, bool (*step)(uint64_t pages, void *ctx), void *ctx)
{
    struct kv_snap *snap;
    int err = kv_snap_begin(kv, &snap);

    if (err < 0)
        return err;
    err = find_any(snap, step, ctx);
    kv_snap_end(snap);
    return err;
}

int lost_rows_note(struct kv *kv)
{
    struct kv_txn *t;
    int err = kv_txn_begin(kv, &t);

    if (err < 0)
        return err;
    err = kv_put(t, TABLE_META, LOST_ROWS, sizeof LOST_ROWS - 1, "", 0);
    return kv_end(t, err < 0 ? err : stored_record_put(NULL, t));
}

/* ---- packs ---- */

struct counting {
    struct kv_snap *snap;
    struct lost_packs *packs;
};

/* Counts one entry into its pack. An entry without a pack at home counts nowhere. */
static int count_place(struct lost_packs *p, const struct entry *e)
{
    int err;

    if (e->kind != ENTRY_PACK || entry_is_ghost(e))
        return 0;
    err = map64_add(&p->records, e->where, 1, NULL);
    return err < 0 ? err : map64_add(&p->bytes, e->where, (int64_t)entry_payload(e), NULL);
}

static int count_entry(void *ctx, uint64_t number, const void *val, size_t len)
{
    struct counting *c = ctx;
    struct entry e;

    (void)number;
    return entry_decode(val, len, &e) < 0 ? 0 : count_place(c->packs, &e);
}

/* Counts a record of the dying, unless the number still has an entry: that was counted already. */
static int count_dying(void *ctx, uint64_t number, const void *val, size_t len)
{
    struct counting *c = ctx;
    struct entry e, now;
    int err = entry_decode(val, len, &e);

    if (err == 0 && e.kind == ENTRY_PACK)
        err = refs_entry_in(c->snap, TABLE_OBJECTS, number, &now);
    return err == -ENOENT ? count_place(c->packs, &e) : err == -EUCLEAN ? 0 : err;
}

int lost_count_packs(struct kv_snap *snap, struct lost_packs *ret)
{
    struct counting c = {snap, ret};
    int err = kv_each_number(snap, TABLE_OBJECTS, count_entry, &c);

    return err < 0 ? err : kv_each_number(snap, TABLE_DYING, count_dying, &c);
}

void lost_packs_release(struct lost_packs *p)
{
    map64_release(&p->records);
    map64_release(&p->bytes);
}

/* ---- for a scrub ---- */

struct look {
    const struct lost_look *o;
    struct kv_snap *snap;
    struct recount count;
    struct lost_packs packs;
    bool incomplete; /* references may be hidden, so a count that is too high may be right */
};

/* Reports a stored count that differs from the recount. */
static int tell_count(struct look *l, const char *what, uint64_t stored, uint64_t refs)
{
    char why[128];

    if (stored == refs || (stored > refs && l->incomplete))
        return 0;
    snprintf(why, sizeof why, "the table says %llu, and there are %llu; `rebuild` mends it",
             U(stored), U(refs));
    return l->o->wrong(what, why, l->o->ctx);
}

/* Does the index lead from the id of the entry to its number? */
static int look_at_index(struct look *l, uint64_t number, const struct entry *e)
{
    char hex[ID_HEX + 1], what[64];
    const void *val;
    size_t len;
    int err = kv_snap_get(l->snap, TABLE_IDS, e->id.b, ID_LEN, &val, &len);

    if (err < 0 && err != -ENOENT)
        return err == -EUCLEAN ? 0 : err; /* a damaged row is reported by scrub_values */
    if (err == 0 && (len != 8 || get_be64(val) == number))
        return 0;
    id_to_hex(&e->id, hex);
    snprintf(what, sizeof what, "the index entry of object %s", hex);
    return l->o->wrong(what,
                       err < 0 ? "it is not there; `rebuild` puts it back"
                               : "it leads to something else; `rebuild` mends it",
                       l->o->ctx);
}

/* Has the ghost a row in the table of ghosts? */
static int look_at_ghost(struct look *l, uint64_t number)
{
    const void *val;
    char what[64];
    size_t len;
    int err = kv_snap_get_number(l->snap, TABLE_GHOSTS, number, &val, &len);
    if (err != -ENOENT)
        return err == -EUCLEAN ? 0 : err;
    snprintf(what, sizeof what, "the entry of object number %llu in the table of ghosts",
             U(number));
    return l->o->wrong(what, "it is not there; `rebuild` puts it back", l->o->ctx);
}

/* Has a pinned object its row among the pins? */
static int look_at_pin(struct look *l, uint64_t number)
{
    const void *val;
    char what[64];
    size_t len;
    int err = kv_snap_get_number(l->snap, TABLE_PINS, number, &val, &len);

    if (err != -ENOENT)
        return err == -EUCLEAN ? 0 : err;
    snprintf(what, sizeof what, "the pin of object number %llu", U(number));
    return l->o->wrong(what, "it is not there; `rebuild` puts it back", l->o->ctx);
}

/* Compares the count of one entry with the recount, and looks for the rows that belong to it. */
static int look_at_entry(void *ctx, uint64_t number, const void *val, size_t len)
{
    struct look *l = ctx;
    uint64_t refs = 0;
    struct entry e;
    char what[64];
    int err;

    if (entry_decode(val, len, &e) < 0 || is_stub(&e))
        return 0; /* look_at_lost reports a stub, the scrub a damaged entry */
    (void)map64_get(&l->count.objects, number, &refs);
    snprintf(what, sizeof what, "the count of object number %llu", U(number));
    err = tell_count(l, what, e.count, refs);
    if (err == 0 && e.pinned)
        err = look_at_pin(l, number);
    if (err == 0 && entry_is_sealed(&e))
        err = look_at_index(l, number, &e);
    return err == 0 && entry_is_ghost(&e) ? look_at_ghost(l, number) : err;
}

/* Compares the counts of pages with the recount. A page without a row has the count 1. */
static int look_at_page_counts(struct look *l)
{
    uint64_t no, refs;
    size_t at = 0;
    int err = 0;

    while (err == 0 && map64_next(&l->count.pages, &at, &no, &refs)) {
        const void *val;
        char what[64];
        size_t len;
        err = kv_snap_get_number(l->snap, TABLE_PAGE_COUNTS, no, &val, &len);
        snprintf(what, sizeof what, "the count of page %llu", U(no));
        if (err == -ENOENT || (err == 0 && len == 4))
            err = tell_count(l, what, err == 0 ? get_le32(val) : 1, refs);
        else
            err = err == -EUCLEAN ? 0 : err;
    }
    return err;
}

/* Compares the live records of a pack, and its live bytes if the records are right: one report for
 * a pack is enough. */
static int look_at_pack(struct look *l, uint64_t number, const struct pack_entry *e)
{
    uint64_t records = 0, bytes = 0;
    char what[64];
    int err;

    (void)map64_get(&l->packs.records, number, &records);
    (void)map64_get(&l->packs.bytes, number, &bytes);
    snprintf(what, sizeof what, "the count of live records of pack %llu", U(number));
    err = tell_count(l, what, e->live_records, records);
    if (err < 0 || e->live_records != records)
        return err;
    snprintf(what, sizeof what, "the count of live bytes of pack %llu", U(number));
    return tell_count(l, what, e->live_bytes, bytes);
}

static int look_at_pack_row(void *ctx, uint64_t number, const void *val, size_t len)
{
    struct pack_entry e;

    return pack_entry_decode(val, len, &e) < 0 ? 0 : look_at_pack(ctx, number, &e);
}

/* Reports the packs that entries name and the table of packs does not have. In a pool such a pack
 * may be another store's, so nothing is reported there. */
static int look_for_packs(struct look *l)
{
    uint64_t number, records;
    size_t at = 0, len;
    const void *val;
    char what[64];
    int err = 0;

    while (err == 0 && !l->o->pool && map64_next(&l->packs.records, &at, &number, &records)) {
        err = kv_snap_get_number(l->snap, TABLE_PACKS, number, &val, &len);
        if (err == -ENOENT) {
            snprintf(what, sizeof what, "the entry of pack %llu in the table of packs", U(number));
            err = l->o->wrong(what, "it is not there; `rebuild` puts it back", l->o->ctx);
        }
        err = err == -EUCLEAN ? 0 : err;
    }
    return err;
}

/* Reports the lost numbers, and finds out whether references may be hidden (`incomplete`). */
static int look_at_lost(struct look *l)
{
    struct map64 lost = MAP64_INIT;
    uint64_t number, refs;
    size_t at = 0;
    int err = lost_find(l->snap, &l->count, &lost);

    l->incomplete = l->count.damaged || lost.count > 0;
    while (err == 0 && map64_next(&lost, &at, &number, &refs)) {
        struct entry e;
        /* a damaged entry is reported elsewhere */
        if (refs_entry_in(l->snap, TABLE_OBJECTS, number, &e) != -EUCLEAN)
            err = l->o->lost(number, refs, l->o->ctx);
    }
    map64_release(&lost);
    return err;
}

/* The numbers come first, because `incomplete` decides which counts are reported. */
static int look_at_all(struct look *l)
{
    struct recount_options o = {.step = l->o->step, .ctx = l->o->ctx};
    int err = recount_run(l->snap, &o, &l->count);

    if (err == 0)
        err = look_at_lost(l);
    if (err == 0)
        err = look_at_page_counts(l);
    if (err == 0)
        err = kv_each_number(l->snap, TABLE_OBJECTS, look_at_entry, l);
    if (err == 0)
        err = lost_count_packs(l->snap, &l->packs);
    if (err == 0)
        err = kv_each_number(l->snap, TABLE_PACKS, look_at_pack_row, l);
    return err < 0 ? err : look_for_packs(l);
}

int lost_look(struct kv *kv, const struct lost_look *o)
{
    struct look l = {.o = o};
    int err = kv_snap_begin(kv, &l.snap);

    if (err < 0)
        return err;
    err = look_at_all(&l);
    if (err == -EUCLEAN) /* a table that cannot be read to its end; scrub_values reports it */
        err = 0;
    kv_snap_end(l.snap);
    recount_release(&l.count);
    lost_packs_release(&l.packs);
    return err;
}
