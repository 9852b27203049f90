// SPDX-License-Identifier: Apache-2.0
/*
 * leaks_find: the search for leaks. One snapshot of the last commit says which pages, packs and
 * files are named. Then the names in each place are listed (leaks_places.c). The list is sorted,
 * and its users ask again for each leak.
 */
#include "leaks_impl.h"
#include "lost.h"
#include "report.h"
#include <errno.h>
#include <inttypes.h>

#define STEP_EVERY 1024 /* items between two calls of the step */

int leaks_advance(struct finding *f, uint64_t items)
{
    f->done += items;
    if (!f->step || f->done < f->next_step)
        return 0;
    f->next_step = f->done + STEP_EVERY;
    return f->step(f->ctx, f->done, f->total) ? -ECANCELED : 0;
}

int leaks_damaged(const char *what, uint64_t number, const char *why)
{
    report(REPORT_ALARM, "gc: %s %" PRIu64 ": %s: nothing is collected", what, number, why);
    return -EUCLEAN;
}

/* ---- pages ---- */

static void page_damage(const char *what, uint64_t number, const char *why, void *ctx)
{
    (void)ctx;
    (void)leaks_damaged(what, number, why);
}

static bool page_step(uint64_t pages, void *ctx)
{
    struct finding *f = ctx;

    (void)pages;
    return leaks_advance(f, 1) < 0;
}

/* Adds a page that no root leads to, unless its number was given after the search began. */
static int note_page(struct finding *f, uint64_t no, const void *val, size_t len)
{
    uint64_t refs;

    (void)val;
    (void)len;
    if (no == 0 || no >= f->next_page || map64_get(&f->count.pages, no, &refs))
        return 0;
    return leaks_add(
        f, &(struct leak){.key = leak_make_key(0, LEAK_PAGE, NULL, no), .bytes = PAGE_SIZE_BYTES});
}

/* ---- tables ---- */

/* Has the table a row for that number? 1, 0 or -errno. A damaged row counts as one. */
static int in_snapshot(struct finding *f, unsigned table, uint64_t number)
{
    const void *val;
    size_t len;
    int err = kv_snap_get_number(f->snap, table, number, &val, &len);
    return err == -ENOENT ? 0 : err < 0 && err != -EUCLEAN ? err : 1;
}

static int need_record(struct place_search *s, const struct entry *e)
{
    int err = map64_add(&s->records, e->where, 1, NULL);

    return err < 0 ? err : map64_add(&s->payload, e->where, (int64_t)entry_payload(e), NULL);
}

/* Notes the bytes that an entry names as needed. */
static int note_place(struct finding *f, uint64_t number, const struct entry *e)
{
    struct place_search *s = leaks_place(f, entry_is_ghost(e) ? e->shard : 0);

    if (!s)
        return 0;
    switch (e->kind) {
    case ENTRY_FILE:
        return map64_put(&s->files, e->where, 1);
    case ENTRY_PACK:
        return need_record(s, e);
    case ENTRY_SLOT:
        return map64_put(&f->slots, number, 1);
    default:
        return 0;
    }
}

/* Notes what an entry names. An entry with count 0 that is not among the dying is a leak itself. */
static int note_entry(struct finding *f, uint64_t number, const void *val, size_t len)
{
    struct entry e;
    int err = entry_decode(val, len, &e);

    if (err < 0 || number == 0 || (entry_is_sealed(&e) && e.where == 0))
        return leaks_damaged("object", number, "its entry does not decode");
    err = note_place(f, number, &e);
    if (err == 0 && e.count == 0 && number < f->places[0].files_end) {
        err = in_snapshot(f, TABLE_DYING, number);
        if (err == 0)
            return leaks_add(f, &(struct leak){.key = leak_make_key(0, LEAK_ENTRY, NULL, number)});
    }
    return err < 0 ? err : leaks_advance(f, 1);
}

/* Notes what a dying record names, unless the number still has an entry: that was noted already. */
static int note_dying(struct finding *f, uint64_t number, const void *val, size_t len)
{
    struct entry e;
    int err = entry_decode(val, len, &e);

    if (err < 0 || number == 0 || (entry_is_sealed(&e) && e.where == 0))
        return leaks_damaged("dying object", number, "its record does not decode");
    err = in_snapshot(f, TABLE_OBJECTS, number);
    return err < 0 ? err : err ? 0 : note_place(f, number, &e);
}

/* Notes what died since the last commit. Packs are left out: their rows and entries are compared
 * within the snapshot. */
static int note_new_dying(uint64_t number, const struct entry *e, void *ctx)
{
    struct finding *f = ctx;

    return e->kind == ENTRY_PACK || (e->kind == ENTRY_FILE && e->where == 0)
               ? 0
               : note_place(f, number, e);
}

typedef int note_fn(struct finding *f, uint64_t number, const void *val, size_t len);

/* Calls `fn` for each row of a table. A key of another length is damage, and ends the search. */
static int each(struct finding *f, unsigned table, note_fn *fn)
{
    struct kv_each e = {.snap = f->snap, .table = table};

    while (kv_next(&e))
        e.err = e.klen == 8 ? fn(f, e.number, e.val, e.len)
                            : leaks_damaged("table", table, "a key is not 8 bytes");
    return e.err;
}

/* Reads all tables of the snapshot. Damage in a tree could hide a need, so it ends the search. */
static int search_tables(struct finding *f)
{
    struct recount_options o = {
        .damage = page_damage, .step = page_step, .pages_only = true, .ctx = f};
    int err = recount_run(f->snap, &o, &f->count);

    if (err == 0 && f->count.damaged)
        err = -EUCLEAN;
    if (err == 0)
        err = each(f, TABLE_PAGES, note_page);
    if (err == 0)
        err = each(f, TABLE_OBJECTS, note_entry);
    if (err == 0)
        err = each(f, TABLE_DYING, note_dying);
    if (err == 0)
        err = leaks_search_rows(f, TABLE_PACKS);
    return err < 0 ? err : leaks_search_rows(f, TABLE_SHARD_PACKS);
}

/* ---- together ---- */

/* Takes what changed since the last commit, the limits of numbers and the snapshot at one instant:
 * the freeze lock is held for writing. */
static int begin_finding(struct finding *f)
{
    struct state *p = f->p;
    WRITE_GUARD(&p->freeze_lock);
    int err = refs_new_dying(p->refs, note_new_dying, f);

    f->next_page = pages_next(p->pages);
    leaks_places_begin(f);
    return err < 0 ? err : kv_snap_begin(p->config.kv, &f->snap);
}

/* Estimates the work, for the progress: a page is much cheaper than an object. */
static void guess_total(struct finding *f)
{
    uint64_t pages = 0, objects = 0;

    (void)kv_snap_count(f->snap, TABLE_PAGES, &pages);
    (void)kv_snap_count(f->snap, TABLE_OBJECTS, &objects);
    f->total = pages / 64 + objects + 256;
}

static bool guard_step(uint64_t pages, void *ctx)
{
    struct finding *f = ctx;

    return f->step && pages % STEP_EVERY == 0 && f->step(f->ctx, f->done, f->total);
}

/* Leaked bytes could belong to an entry that was lost, and an entry without a count could be what a
 * lost alias leads to. So if the list has more than pages, all trees are searched for lost entries
 * (lost.h). */
static int guard(struct finding *f)
{
    bool bytes = false;

    for (size_t i = 0; i < f->out->count && !bytes; i++)
        bytes = leak_kind(&f->out->v[i].key) != LEAK_PAGE;
    return bytes ? lost_guard(f->p->config.kv, guard_step, f) : 0;
}

int leaks_find(struct state *p, leaks_step_fn *step, void *ctx, struct leaks *ret)
{
    struct finding f = {.p = p, .out = ret, .step = step, .ctx = ctx};
    int err;

    *ret = (struct leaks){0};
    err = leaks_places_open(&f);
    if (err == 0)
        err = begin_finding(&f);
    if (err == 0) {
        guess_total(&f);
        err = search_tables(&f);
    }
    kv_snap_end(f.snap);
    if (err == 0)
        err = leaks_search_names(&f);
    if (err == 0)
        err = guard(&f);
    leaks_places_close(&f);
    recount_release(&f.count);
    map64_release(&f.slots);
    leaks_sort(ret);
    return err;
}
