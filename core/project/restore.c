// SPDX-License-Identifier: Apache-2.0
/* restore: see the header. */
#include "restore.h"
#include "array.h"
#include "bytes.h"
#include "check_impl.h"
#include "pool_node_impl.h"
#include "pool_report.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))
#define ROWS_AT_ONCE 256 /* under one hold of the gate */

struct restoring {
    struct project *p;
    const struct map64 *lost;
    struct map64 *fresh;
    uint64_t found;
};

/* ---- entries ---- */

static uint32_t biased(uint64_t refs)
{
    return refs > UINT32_MAX - RESTORE_BIAS ? UINT32_MAX : (uint32_t)refs + RESTORE_BIAS;
}

static bool last_report_names(struct project *p, const struct entry *e)
{
    const struct id key = pool_key(e);
    struct pool_report *report;
    struct pool_record r;
    int err = pool_report_open(p->shared->disk, p->shared->node, NULL, &report);

    if (err < 0)
        return false;
    err = pool_report_get(report, &key, &r);
    pool_report_close(report);
    return err == 0;
}

/* What a list of marks has that we acknowledged is about to go, unless we said that we need it. */
static bool is_given_up(struct project *p, const struct entry *e)
{
    struct pool_node *n = p->node;
    struct pool_index_stats view;

    if (!n || !entry_is_sealed(e) || e->shard)
        return false;
    mutex_held(&n->report);
    pool_index_get_stats(n->index, &view);
    return view.serial <= n->head.ack && pool_index_is_marked(n->index, e) &&
           !last_report_names(p, e);
}

static int put_now(struct restoring *r, uint64_t number, const struct entry *e)
{
    struct project *p = r->p;
    const struct pack_place at = {e->where, e->offset};
    INSTANT_GUARD(p);
    int err = project_writable(p);

    if (err == 0 && is_given_up(p, e))
        err = -EBUSY;
    if (err == 0)
        err = refs_restore(p->refs, number, e);
    if (err < 0)
        return err;
    /* Perhaps once too often, until the next recount; -ENOENT and -EBUSY are for that, too. */
    if (e->kind == ENTRY_PACK && !entry_is_ghost(e))
        (void)packs_adopt(p->packs, &at, (uint32_t)e->size);
    if (e->kind == ENTRY_SLOT)
        err = content_adopt_slot(p, number, e->size);
    if (err == 0)
        err = map64_put(r->fresh, number, 1);
    return change_done(p, NULL, err);
}

/* Between two reports: none acknowledges a list for names that were read before. */
static int put(struct restoring *r, uint64_t number, const struct entry *e)
{
    if (!r->p->node)
        return put_now(r, number, e);
    MUTEX_GUARD(&r->p->node->report);
    return put_now(r, number, e);
}

/* It has an entry meanwhile, or is not to get this one. */
static int is_refused(int err)
{
    return err == -EEXIST || err == -EBUSY || err == -EINVAL;
}

static int found(uint64_t number, const struct entry *e, const char *from, void *ctx)
{
    struct restoring *r = ctx;
    struct entry now = *e;
    int err;

    now.count = biased(e->count);
    err = put(r, number, &now);
    if (is_refused(err))
        return 0;
    if (err < 0)
        return err;
    r->found++;
    report(REPORT_NOTE, "rebuild: object number %llu is in the table again, its bytes are %s",
           U(number), from);
    return 0;
}

static int put_stubs(struct restoring *r)
{
    uint64_t number, refs, none;
    size_t at = 0;
    int err = 0;

    while (err == 0 && map64_next(r->lost, &at, &number, &refs)) {
        if (map64_get(r->fresh, number, &none))
            continue;
        err = put(r, number, &(struct entry){.kind = ENTRY_NEW, .count = biased(refs)});
        err = is_refused(err) ? 0 : err;
    }
    return err;
}

/* What check's search needs; `missing` is borrowed. */
static void begin(struct check *c, struct project *p, struct kv_snap *snap,
                  const struct map64 *lost, const struct check_options *o)
{
    *c = (struct check){.disk = p->config.disk,
                        .from = p->config.disk,
                        .snap = snap,
                        .o = o,
                        .shards = p->shards,
                        .key = p->id_key,
                        .has_key = true,
                        .missing = *lost};
}

int restore_lost(struct project *p, struct kv_snap *snap, const struct map64 *lost,
                 struct map64 *fresh, uint64_t *ret_found)
{
    struct restoring r = {.p = p, .lost = lost, .fresh = fresh};
    const struct check_options o = {.all_bytes = true, .pool = p->shared};
    struct check c;
    int err;

    begin(&c, p, snap, lost, &o);
    err = check_find_lost(&c, found, &r);
    c.missing = (struct map64)MAP64_INIT;
    check_release(&c);
    if (err == 0)
        err = put_stubs(&r);
    *ret_found = r.found;
    return err;
}

int restore_tell(struct project *p, const struct map64 *lost)
{
    uint64_t number, refs;
    size_t at = 0;

    while (map64_next(lost, &at, &number, &refs))
        met_damage(p, number, MET_ROW, 0);
    return met_tell(p);
}

/* ---- other rows ---- */

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

static bool has_row(struct kv_snap *snap, unsigned table, const void *key, size_t klen,
                    uint64_t number)
{
    const void *val;
    size_t len;
    int err = kv_snap_get(snap, table, key, klen, &val, &len);

    return err == 0 && (table != TABLE_IDS || (len == 8 && get_be64(val) == number));
}

/* Entries that the index, or the one of ghosts, does not have as it should. */
static int find_unindexed(struct kv_snap *snap, struct numbers *ret)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    int err;

    while ((err = kv_snap_walk(snap, TABLE_OBJECTS, key, klen, klen > 0, &key, &klen, &val,
                               &len)) == 0) {
        struct entry e;
        if (klen != 8 || entry_decode(val, len, &e) < 0 || !entry_is_sealed(&e) || !e.count)
            continue;
        if (has_row(snap, TABLE_IDS, e.id.b, ID_LEN, get_be64(key)) &&
            (!entry_is_ghost(&e) || has_row(snap, TABLE_GHOSTS, key, klen, 0)))
            continue;
        err = push(ret, get_be64(key));
        if (err < 0)
            return err;
    }
    return err == -ENOENT || err == -EUCLEAN ? 0 : err;
}

static int reindex_some(struct project *p, const uint64_t *v, size_t count, uint64_t *changed)
{
    uint64_t before = *changed;
    INSTANT_GUARD(p);
    int err = project_writable(p);

    for (size_t i = 0; i < count && err == 0; i++) {
        int r = refs_reindex(p->refs, v[i]);
        *changed += r > 0 ? (uint64_t)r : 0;
        err = r < 0 && r != -EUCLEAN ? r : 0;
    }
    return *changed != before ? change_done(p, NULL, err) : err;
}

static int restore_index(struct project *p, struct kv_snap *snap, uint64_t *changed)
{
    struct numbers l = {0};
    int err = find_unindexed(snap, &l);

    for (size_t i = 0; i < l.count && err == 0; i += ROWS_AT_ONCE)
        err = reindex_some(p, l.v + i, l.count - i < ROWS_AT_ONCE ? l.count - i : ROWS_AT_ONCE,
                           changed);
    free(l.v);
    return err;
}

static int correct_pack(struct project *p, uint64_t number, int64_t records, int64_t bytes,
                        uint64_t *changed)
{
    INSTANT_GUARD(p);
    int err = project_writable(p);

    if (err == 0)
        err = packs_correct(p->packs, number, records, bytes);
    if (err == -EUCLEAN || err == -ENOENT) {
        report(REPORT_WARN, "rebuild: what the table says of pack %llu could not be put right",
               U(number));
        return 0;
    }
    *changed += err == 0;
    return change_done(p, NULL, err);
}

static int compare_pack(struct project *p, struct kv_snap *snap, uint64_t number,
                        const struct lost_packs *named, bool lower, uint64_t *changed)
{
    struct pack_entry e = {0};
    uint64_t records = 0, bytes = 0;
    uint8_t key[8];
    const void *val;
    size_t len;
    int err;

    (void)map64_get(&named->records, number, &records);
    (void)map64_get(&named->bytes, number, &bytes);
    put_be64(key, number);
    err = kv_snap_get(snap, TABLE_PACKS, key, sizeof key, &val, &len);
    if (err == 0)
        err = pack_entry_decode(val, len, &e);
    if (err == -EUCLEAN || (err == -ENOENT && p->shared)) /* that of another member of the pool */
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

static int restore_packs(struct project *p, struct kv_snap *snap, bool lower, uint64_t *changed)
{
    struct lost_packs named = {.records = MAP64_INIT, .bytes = MAP64_INIT};
    const void *key = NULL, *val;
    size_t klen = 0, len, at = 0;
    uint64_t number, records, none;
    struct map64 seen = MAP64_INIT;
    int err = lost_count_packs(snap, &named);

    while (err == 0 && (err = kv_snap_walk(snap, TABLE_PACKS, key, klen, klen > 0, &key, &klen,
                                           &val, &len)) == 0) {
        if (klen != 8)
            continue;
        err = map64_put(&seen, get_be64(key), 1);
        if (err == 0)
            err = compare_pack(p, snap, get_be64(key), &named, lower, changed);
    }
    err = err == -ENOENT ? 0 : err;
    while (err == 0 && map64_next(&named.records, &at, &number, &records))
        if (!map64_get(&seen, number, &none))
            err = compare_pack(p, snap, number, &named, lower, changed);
    lost_packs_release(&named);
    map64_release(&seen);
    return err;
}

int restore_rows(struct project *p, struct kv_snap *snap, bool lower, uint64_t *changed)
{
    int err = restore_index(p, snap, changed);

    if (err == 0)
        err = restore_packs(p, snap, lower, changed);
    return err == -EUCLEAN ? 0 : err; /* a table that cannot be read to its end was told */
}
