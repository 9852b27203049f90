// SPDX-License-Identifier: Apache-2.0
/*
 * rebuild: see the header. Each round compares one committed state with what a recount of it gives
 * (recount.h), and adds the differences to the live counts.
 */
#include "rebuild.h"
#include "array.h"
#include "bytes.h"
#include "durability.h"
#include "flush.h"
#include "job.h"
#include "pool_node.h"
#include "scrub_impl.h"
#include "state.h"
#include "recount.h"
#include "report.h"
#include "restore.h"
#include "usage_settle.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* A wrong count, and what to add to it. */
struct fix {
    uint64_t number;
    int64_t delta;
    bool page, unnamed; /* `page`: the count is a page's; `unnamed`: no reference to that page
                         * exists */
    bool alias;         /* an object's that was an alias in the snapshot */
    bool sealed;        /* an object's that has bytes of its own */
};

struct rebuild {
    struct state *p;
    struct job *job;
    bool part; /* a part of a job that reports its own progress */
    struct kv_snap *snap;
    struct recount count;
    struct map64 lost;  /* numbers without an entry -> references */
    struct map64 fresh; /* numbers that this rebuild gave an entry, whose count is too high */
    uint64_t total;     /* pages */
    struct fix *fix;
    size_t fixes, room;
    uint64_t changed;
};

#define FIXES_AT_ONCE 256 /* under one hold of the freeze lock */

/* May this count be lowered? Not if damage hides references, nor if a lost number may have been an
 * alias of the object. */
static bool may_lower(const struct rebuild *b, const struct fix *f)
{
    uint64_t none;

    if (b->count.damaged)
        return false;
    return f->page || !f->sealed || !b->lost.count || map64_get(&b->fresh, f->number, &none);
}

/* Note a wrong count, unless it may not be lowered now. */
static int fix_push(struct rebuild *b, const struct fix *f)
{
    if (f->delta == 0 && !f->unnamed)
        return 0;
    if ((f->delta < 0 || f->unnamed) && !may_lower(b, f))
        return 0;
    if (ARRAY_RESERVE(b->fix, b->room, b->fixes + 1) < 0)
        return -ENOMEM;
    b->fix[b->fixes++] = *f;
    return 0;
}

/* Called for each page of the recount: show progress, and return true to end it. */
static bool rebuild_step(uint64_t pages, void *ctx)
{
    struct rebuild *b = ctx;

    if (!b->job)
        return atomic_load(&b->p->closing);
    if (pages % 256 == 0 && !b->part) {
        job_progress(b->p, b->job, pages, b->total);
        job_progress_bytes(b->p, b->job, pages * PAGE_SIZE_BYTES, b->total * PAGE_SIZE_BYTES);
    }
    return atomic_load(&b->job->cancel);
}

/* Called for damage that the recount meets. */
static void rebuild_damage(const char *what, uint64_t number, const char *why, void *ctx)
{
    (void)ctx;
    report(REPORT_ALARM, "rebuild: %s %llu: %s", what, (unsigned long long)number, why);
}

/* Compare an object's count with the recount. A row that does not decode was reported by the
 * recount, and may be restored (restore.h). */
static int compare_object(void *ctx, uint64_t number, const void *val, size_t len)
{
    struct rebuild *b = ctx;
    uint64_t refs = 0;
    struct entry e;

    if (entry_decode(val, len, &e) < 0)
        return 0; /* the recount has reported it */
    (void)map64_get(&b->count.objects, number, &refs);
    return fix_push(b, &(struct fix){.number = number,
                                     .delta = (int64_t)refs - e.count,
                                     .alias = e.kind == ENTRY_ALIAS,
                                     .sealed = entry_is_sealed(&e)});
}

/* Compare a page's count with the recount. A page without a row of its own has count 1. */
static int compare_page(void *ctx, uint64_t no, const void *val, size_t len)
{
    struct rebuild *b = ctx;
    uint64_t refs = 0, stored = 1;
    int err;

    (void)val;
    (void)len;
    (void)map64_get(&b->count.pages, no, &refs);
    err = kv_snap_get_number(b->snap, TABLE_PAGE_COUNTS, no, &val, &len);
    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    if (err == 0 && len == 4)
        stored = get_le32(val);
    return fix_push(b, &(struct fix){.number = no,
                                     .delta = (int64_t)(refs - stored),
                                     .page = true,
                                     .unnamed = refs == 0});
}

/* Add to the count of a page. */
static int add_count(struct state *p, uint64_t no, int64_t delta)
{
    int err = 0;

    while (delta != 0 && err == 0) { /* a damaged count can be wrong by more than an int holds */
        int64_t step = delta > INT_MAX ? INT_MAX : delta < -INT_MAX ? -INT_MAX : delta;
        err = pages_add_count(p->pages, no, (int)step, NULL);
        delta -= step;
    }
    return err;
}

/* Free a page that nothing names. Its number is not used again, so no new reference can appear. */
static int free_page(struct state *p, const struct fix *f)
{
    int err = f->delta < -1 ? add_count(p, f->number, f->delta) : 0;

    return err < 0 ? err : pages_free(p->pages, f->number);
}

/* Correct the count of a page. Nobody owns surplus references, so the live count includes them. The
 * dropper releases the last of them, since it can free a page that nothing else names by now. */
static int fix_page(struct state *p, const struct fix *f)
{
    int err;

    if (f->unnamed)
        return free_page(p, f);
    if (f->delta > 0)
        return add_count(p, f->number, f->delta);
    err = add_count(p, f->number, f->delta + 1);
    return err < 0 ? err : drops_push(p->drops, f->number);
}

/* Correct the count of an object. If it became an alias after the snapshot, its wrong count was
 * added to that of its target, which is corrected, too. */
static int fix_object(struct state *p, const struct fix *f)
{
    uint64_t target = refs_resolve(p->refs, f->number);
    int err = 0;

    if (!f->alias && target != f->number)
        err = refs_correct(p->refs, target, f->delta);
    return err < 0 ? err : refs_correct(p->refs, f->number, f->delta);
}

/* Make some corrections as one instant: no change runs meanwhile. */
static int apply_some(struct rebuild *b, size_t from, size_t upto)
{
    struct state *p = b->p;
    INSTANT_TXN(t, p);
    int err = state_writable(p);

    for (size_t i = from; i < upto && err == 0; i++) {
        const struct fix *f = &b->fix[i];
        err = f->page ? fix_page(p, f) : fix_object(p, f);
        if (err == -ENOENT || err == -EOVERFLOW) { /* the count was too low, and reached zero
                                                    * meanwhile */
            report(REPORT_WARN, "rebuild: the count of %s %llu could not be corrected",
                   f->page ? "page" : "object number", (unsigned long long)f->number);
            err = 0;
            continue;
        }
        b->changed += err == 0;
    }
    return b->changed ? change_done(&t, NULL, err) : err;
}

/* Make all corrections, FIXES_AT_ONCE of them under one hold of the freeze lock, so that writers
 * do not wait for long. */
static int apply(struct rebuild *b)
{
    int err = 0;

    for (size_t i = 0; i < b->fixes && err == 0; i += FIXES_AT_ONCE)
        err = apply_some(b, i, b->fixes - i < FIXES_AT_ONCE ? b->fixes : i + FIXES_AT_ONCE);
    if (b->fixes)
        flush_kick_drops(b->p);
    return err;
}

/* Recount the snapshot, and note all wrong counts. Numbers without an entry are in b->lost. */
static int find_fixes(struct rebuild *b)
{
    struct recount_options o = {.damage = rebuild_damage, .step = rebuild_step, .ctx = b};
    int err = kv_snap_count(b->snap, TABLE_PAGES, &b->total);

    if (err == 0)
        err = recount_run(b->snap, &o, &b->count);
    if (err == 0)
        err = lost_find(b->snap, &b->count, &b->lost);
    if (err == 0)
        err = kv_each_number(b->snap, TABLE_OBJECTS, compare_object, b);
    if (err == 0)
        err = kv_each_number(b->snap, TABLE_PAGES, compare_page, b);
    return err;
}

/* One round: compare one commit with its recount and correct the differences. *found: entries that
 * were lost and have their bytes again. */
static int rebuild_round(struct rebuild *b, bool last, uint64_t *found)
{
    struct state *p = b->p;
    bool search;
    int err = flush_now(p); /* so that the snapshot has the corrections of the round before */

    if (err < 0)
        return err;
    recount_release(&b->count);
    map64_release(&b->lost);
    b->fixes = 0;
    /* Any committed state will do: it is consistent, and the live state is that state plus later
     * changes. */
    err = kv_snap_begin(p->config.kv, &b->snap);
    if (err < 0)
        return err;
    err = find_fixes(b);
    search = b->lost.count && !last;
    if (err == 0 && !search)
        err = restore_rows(p, b->snap, !b->count.damaged && !b->lost.count, &b->changed);
    if (err == 0)
        err = usage_settle(p, b->job, b->snap, true, &b->changed);
    kv_snap_end(b->snap);
    /* The search may take hours. */
    if (err == 0 && search)
        err = restore_lost(p, &b->lost, &b->fresh, found);
    return err < 0 ? err : apply(b);
}

/* Report the files whose bytes are lost, and set the job's result. */
static int tell_lost(struct rebuild *b)
{
    char text[200];
    int err = restore_tell(b->p, &b->lost);

    snprintf(text, sizeof text,
             "changed=%llu lost=%llu why=\"the bytes of %llu objects are nowhere to be found; the "
             "journal names the files\"",
             (unsigned long long)b->changed, (unsigned long long)b->lost.count,
             (unsigned long long)b->lost.count);
    if (b->job && !b->part)
        job_result(b->p, b->job, text);
    return err < 0 ? err : -EUCLEAN;
}

/* Two rounds if entries were lost: the first gives them an entry, and the second counts again with
 * them. */
static int rebuild_rounds(struct rebuild *b)
{
    uint64_t found = 0, mark = met_mark(b->p);
    int err = rebuild_round(b, false, &found);

    if (err == 0 && b->lost.count)
        err = rebuild_round(b, true, &found);
    if (err < 0)
        return err;
    b->changed += found;
    if (b->job && !b->part)
        job_progress(b->p, b->job, b->total, b->total);
    met_forget(b->p, mark, true);
    pool_node_mended(b->p);
    if (b->lost.count)
        return tell_lost(b);
    return b->count.damaged ? -EUCLEAN : 0;
}

/* Run the rounds with fresh memory. */
static int rebuild_alone(struct state *p, struct job *j, bool part, uint64_t *ret_changed)
{
    struct rebuild b = {.p = p, .job = j, .part = part};
    int err = rebuild_rounds(&b);

    if (err == 0)
        *ret_changed = b.changed;
    recount_release(&b.count);
    map64_release(&b.lost);
    map64_release(&b.fresh);
    free(b.fix);
    return err;
}

/* Recounts, for one caller at a time: two would both see a count that is too high, and both lower
 * it. A job of its own waits for the other caller; a part of other work does not. */
static int rebuild(struct state *p, struct job *j, bool part, uint64_t *ret_changed)
{
    int err = job_take_turn(p, part ? NULL : j, &p->scrub->recounting);

    if (err < 0)
        return err;
    err = rebuild_alone(p, j, part, ret_changed);
    atomic_store(&p->scrub->recounting, false);
    return err;
}

int rebuild_first_usage(struct state *p, struct job *j)
{
    struct kv_snap *snap;
    uint64_t counted = 0;
    int err = kv_snap_begin(p->config.kv, &snap);

    if (err < 0)
        return err;
    if (!atomic_exchange(&p->scrub->recounting, true)) { /* otherwise a rebuild is running, which
                                                          * does it */
        err = usage_settle(p, j, snap, false, &counted);
        atomic_store(&p->scrub->recounting, false);
    }
    kv_snap_end(snap);
    return err;
}

int rebuild_store(struct state *p, struct job *j, uint64_t *ret_changed)
{
    return rebuild(p, j, false, ret_changed);
}

int rebuild_part(struct state *p, struct job *j, uint64_t *ret_changed)
{
    return rebuild(p, j, true, ret_changed);
}
