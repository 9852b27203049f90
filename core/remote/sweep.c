// SPDX-License-Identifier: Apache-2.0
/*
 * sweep: see the header. This file has one sweep, batch by batch, and decides when one begins.
 * sweep_ask.c asks the shards, and sweep_lost.c handles what they deny.
 */
#include "array.h"
#include "durability.h"
#include "job.h"
#include "move.h"
#include "remote_impl.h"
#include "report.h"
#include "sweep_impl.h"
#include "sweep_record.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

/* ---- going on ---- */

int sweep_go_on(void *sweep)
{
    struct sweep *s = sweep;

    if (s->j)
        return job_pause(s->p, s->j, 0);
    return atomic_load(&s->p->closing) ? -ESHUTDOWN : 0;
}

int sweep_spend(struct sweep *s, uint64_t ghosts)
{
    if (!s->j)
        return sweep_go_on(s);
    return job_pay(s->p, s->j, &s->rate, ghosts, SET_SWEEP_RATE);
}

/* Shows the report so far in the job and in the status. */
static void publish(struct sweep *s)
{
    if (s->j)
        job_progress(s->p, s->j, s->r->checked, refs_ghosts(s->p->refs));
    MUTEX_GUARD(&s->p->sweep->lock);
    s->p->sweep->now = *s->r;
}

/* ---- verdicts ---- */

enum ghost_verdict { GHOST_KEEP, GHOST_PURGE, GHOST_INCONCLUSIVE, GHOST_LOST };

/* The verdict that follows from a reason; see the table in sweep.h. */
static enum ghost_verdict verdict_of(enum sweep_reason reason)
{
    switch (reason) {
    case SWEEP_HERE:
        return GHOST_KEEP;
    case SWEEP_ZERO:
    case SWEEP_UNREFERENCED:
        return GHOST_PURGE;
    case SWEEP_REFERENCED:
        return GHOST_LOST;
    default:
        return GHOST_INCONCLUSIVE;
    }
}

/* Adds a line for a ghost to the list, unless it is simply kept or the list is full. */
static void list_ghost(struct sweep *s, const struct sweep_ghost *g)
{
    static const char *const verdicts[] = {[GHOST_KEEP] = "keep",
                                           [GHOST_PURGE] = "purge",
                                           [GHOST_INCONCLUSIVE] = "inconclusive",
                                           [GHOST_LOST] = "lost"};
    static const char *const reasons[] = {[SWEEP_HERE] = "has-it",
                                          [SWEEP_ZERO] = "count-0",
                                          [SWEEP_UNREACHABLE] = "cannot-be-asked",
                                          [SWEEP_YOUNG] = "denied-but-young",
                                          [SWEEP_CHANGED] = "changed-meanwhile",
                                          [SWEEP_MOVED] = "moved-meanwhile",
                                          [SWEEP_DENIED_YET] = "denied-but-not-counted",
                                          [SWEEP_UNREFERENCED] = "denied-and-unreferenced",
                                          [SWEEP_REFERENCED] = "denied"};
    char hex[ID_HEX + 1];

    if (!s->list || g->reason == SWEEP_HERE || s->lines++ >= SWEEP_LINES)
        return;
    id_to_hex(&g->e.id, hex);
    strbuf_addf(s->list, "verdict=%s object=%s shard=%u refs=%u size=%llu reason=%s\n",
                verdicts[verdict_of(g->reason)], hex, g->e.shard, g->e.count, U(g->e.size),
                reasons[g->reason]);
}

static void add_counts(struct ghost_report *sum, const struct ghost_report *r)
{
    sum->checked += r->checked;
    sum->purged += r->purged;
    sum->kept += r->kept;
    sum->inconclusive += r->inconclusive;
    sum->lost += r->lost;
}

static void count_one(struct ghost_report *r, enum ghost_verdict verdict)
{
    r->checked++;
    r->purged += verdict == GHOST_PURGE;
    r->inconclusive += verdict == GHOST_INCONCLUSIVE;
    r->kept += verdict == GHOST_KEEP || verdict == GHOST_LOST;
    r->lost += verdict == GHOST_LOST;
}

static int compare_ids(const void *a, const void *b)
{
    return id_compare(&((const struct sweep_ghost *)a)->e.id,
                      &((const struct sweep_ghost *)b)->e.id);
}

void sweep_count(struct sweep *s, struct sweep_ghost *v, size_t count)
{
    qsort(v, count, sizeof *v, compare_ids);
    for (size_t i = 0; i < count; i++) {
        list_ghost(s, &v[i]);
        if (v[i].reason == SWEEP_HERE)
            sweep_found(s, v[i].number);
        count_one(s->r, verdict_of(v[i].reason));
    }
    publish(s);
}

/* ---- a batch ---- */

/* Gathers the next batch of ghosts behind *number. A ghost with count 0 that is held is left out:
 * it is open somewhere, and is purged after the last close. */
static int gather_ghosts(struct sweep *s, uint64_t *number)
{
    struct refs_ghosts_walk w = {.refs = s->p->refs, .number = *number};
    struct sweep_ghost *g;
    int err = 0;

    s->count = 0;
    while (s->count < SWEEP_BATCH && err == 0) {
        g = &s->v[s->count];
        err = refs_next_ghost(&w, &g->e);
        if (err < 0)
            break;
        *number = g->number = w.number;
        s->count += g->e.count > 0 || refs_holds(s->p->refs, g->number) == 0;
    }
    return err == -ENOENT ? 0 : err;
}

/* Lets ghosts with count 0 go, so that the next flush removes them. Normally they are among the
 * dying already; after some failure one is not. */
static int let_go(struct sweep *s)
{
    struct state *p = s->p;
    bool any = false;
    INSTANT_TXN(t, p);
    int err = state_writable(p);

    for (size_t i = 0; i < s->count && err == 0; i++)
        if (s->v[i].reason == SWEEP_ZERO)
            any |= refs_let_go(p->refs, s->v[i].number) == 0;
    return any && err == 0 ? state_changed(&t, NULL) : err;
}

/* Moves the denied ghosts of the batch to the list that waits for the recount. */
static int take_denied(struct sweep *s)
{
    size_t kept = 0;

    if (ARRAY_RESERVE(s->denied, s->denied_room, s->denied_count + s->count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < s->count; i++)
        if (s->v[i].reason == SWEEP_DENIED_YET)
            s->denied[s->denied_count++] = s->v[i];
        else
            s->v[kept++] = s->v[i];
    s->count = kept;
    return 0;
}

static bool has_zeros(const struct sweep *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->v[i].reason == SWEEP_ZERO)
            return true;
    return false;
}

/* Gives each ghost of the batch a verdict, but for the denied ones. */
static int sweep_batch(struct sweep *s)
{
    int err = sweep_ask(s);

    if (err == 0 && !s->dry_run && has_zeros(s))
        err = let_go(s);
    if (err == 0)
        err = take_denied(s);
    if (err == 0)
        sweep_count(s, s->v, s->count);
    if (err == 0 && s->denied_count >= SWEEP_DENIED)
        err = sweep_settle(s);
    return err;
}

/* Runs batch after batch until there are no more ghosts, and then settles the denied ones. */
static int sweep_all(struct sweep *s)
{
    uint64_t number = 0;
    int err;

    publish(s);
    for (;;) {
        err = sweep_go_on(s);
        if (err == 0)
            err = gather_ghosts(s, &number);
        if (err < 0)
            return err;
        if (s->count == 0)
            return sweep_settle(s);
        err = sweep_batch(s);
        if (err < 0)
            return err;
    }
}

/* ---- one sweep ---- */

/* Writes the record. After -EIO the state of the tables is not known, so the store turns
 * read-only. */
static void save(struct state *p, const struct sweep_record *r)
{
    int err = atomic_load(&p->readonly) ? 0 : sweep_record_save(p->config.kv, r);

    if (err == -EIO)
        state_turn_readonly(p, "remembering what a sweep found", err);
    else if (err < 0)
        report(REPORT_WARN, "what a sweep found cannot be remembered (%s)", strerror(-err));
}

/* Makes s->record the record of the store. Only a whole sweep counts as one and becomes the last
 * one. */
static void remember(struct sweep *s, bool whole)
{
    struct sweep_record *r = &s->record;
    struct state *p = s->p;

    add_counts(&r->total, s->r);
    if (whole) {
        r->ended = now(p);
        r->last = *s->r;
        r->sweeps++;
    }
    {
        MUTEX_GUARD(&p->sweep->lock);
        r->purged = p->sweep->record.purged + atomic_exchange(&p->sweep->purged, 0);
        p->sweep->record = *r;
    }
    save(p, r);
}

/* Commits the removals from the tables, and wakes the thread that deletes on the shards. */
static int finish_purge(struct sweep *s)
{
    int err = s->r->purged ? flush_now(s->p) : 0;

    if (s->r->purged)
        shards_thread_kick(s->p);
    return err;
}

/* Runs all of a sweep. What an interrupted sweep has found is remembered, too. */
static int run_sweep(struct sweep *s)
{
    int err = sweep_lost_begin(s);

    shards_look_now(s->p, SHARDS_LOOK_MOST);
    if (err == 0)
        err = sweep_all(s);
    if (s->dry_run)
        return err;
    sweep_lost_end(s, err == 0);
    remember(s, err == 0);
    return err < 0 ? err : finish_purge(s);
}

static void say_more(struct sweep *s)
{
    if (s->lines > SWEEP_LINES)
        strbuf_addf(s->list, "and %llu more\n", U(s->lines - SWEEP_LINES));
}

static void release(struct sweep *s)
{
    sweep_ask_end(s);
    free(s->denied);
    map64_release(&s->remembered);
    damage_release(&s->damage);
    free(s);
}

/* Claims the only sweep that may run. -EBUSY: another one runs; or the error of the damaged
 * record. */
static int may_begin(struct state *p, struct job *j, bool dry_run)
{
    int err = dry_run ? 0 : state_writable(p);
    MUTEX_GUARD(&p->sweep->lock);

    if (err < 0 || p->sweep->damage)
        return err < 0 ? err : p->sweep->damage;
    if (p->sweep->running)
        return -EBUSY;
    p->sweep->running = true;
    p->sweep->job = j ? j->number : 0;
    p->sweep->now = (struct ghost_report){0};
    p->sweep->begun = now(p);
    return 0;
}

static void is_over(struct state *p)
{
    MUTEX_GUARD(&p->sweep->lock);
    p->sweep->running = false;
    p->sweep->job = 0;
}

/* Raises the alarm after a sweep that damage has ended. */
static void say_error(int err)
{
    if (err == -EUCLEAN || err == -EIO)
        report(REPORT_ALARM,
               "a sweep cannot go on: a ghost, or the table of them, cannot be read (%s); `tally "
               "check` says more, and --repair puts right what can be",
               strerror(-err));
}

int sweep_store(struct state *p, struct job *j, bool dry_run, struct strbuf *list_to,
                struct ghost_report *ret)
{
    struct sweep *s = calloc(1, sizeof *s);
    int err = s ? sweep_ask_begin(s) : -ENOMEM;

    if (err == 0)
        err = may_begin(p, j, dry_run);
    *ret = (struct ghost_report){0};
    if (err < 0) {
        if (s)
            sweep_ask_end(s);
        free(s);
        return err;
    }
    s->p = p;
    s->j = j;
    s->dry_run = dry_run;
    s->list = list_to;
    s->r = ret;
    rate_init(&s->rate, p->clock);
    err = run_sweep(s);
    if (!dry_run && ret->purged)
        report(REPORT_NOTE, "sweep: %llu of %llu ghosts that nothing needs were deleted",
               U(ret->purged), U(ret->checked));
    say_more(s);
    say_error(err);
    release(s);
    is_over(p);
    return err;
}

/* ---- as a job ---- */

static void say_result(struct state *p, struct job *j, const struct ghost_report *r)
{
    char text[200];

    snprintf(text, sizeof text, "checked=%llu purged=%llu kept=%llu inconclusive=%llu lost=%llu",
             U(r->checked), U(r->purged), U(r->kept), U(r->inconclusive), U(r->lost));
    job_result(p, j, text);
}

int sweep_job(struct state *p, struct job *j, void *arg)
{
    const struct sweep_asked a = arg ? *(struct sweep_asked *)arg : (struct sweep_asked){0};
    struct strbuf lines = STRBUF_INIT;
    struct ghost_report r;
    int err;

    free(arg);
    err = sweep_store(p, j, a.dry_run, a.list ? &lines : NULL, &r);
    if (err != -EBUSY)
        say_result(p, j, &r);
    if (lines.len && strbuf_error(&lines) == 0)
        job_lines(p, j, strbuf_detach(&lines, NULL));
    strbuf_release(&lines);
    return err;
}

/* Has sweep_interval passed? A last sweep in the future means that the clock was set back: then a
 * sweep is due. */
static bool is_due(struct state *p)
{
    int64_t every = settings_get(&p->settings, SET_SWEEP_INTERVAL), last, t = now(p);
    MUTEX_GUARD(&p->sweep->lock);

    last = p->sweep->begun > p->sweep->record.ended ? p->sweep->begun : p->sweep->record.ended;
    return !p->sweep->running && !p->sweep->damage && (last > t || t - last >= every);
}

void sweep_if_due(struct state *p)
{
    if (refs_ghosts(p->refs) == 0 || !is_due(p) || state_writable(p) < 0)
        return;
    {
        MUTEX_GUARD(&p->sweep->lock);
        p->sweep->begun = now(p); /* counts even if the job cannot start */
    }
    (void)job_try(p, "sweep", "", &(struct job_work){.fn = sweep_job, .alone = true});
}

/* ---- what is remembered ---- */

int sweep_open(struct state *p)
{
    int err = sweep_record_load(p->config.kv, &p->sweep->record);

    if (err == -ENOMEM)
        return err;
    if (err < 0)
        report(
            REPORT_ALARM,
            "what sweeps remembered is damaged (%s): no ghost is looked for, and what was lost is "
            "not known; `tally check --repair` begins it anew",
            strerror(-err));
    p->sweep->damage = err;
    return 0;
}

void sweep_note_purged(struct state *p)
{
    atomic_fetch_add(&p->sweep->purged, 1);
}

void sweep_close(struct state *p)
{
    struct sweep_record *r = &p->sweep->record;

    if (p->sweep->damage || atomic_load(&p->sweep->purged) == 0)
        return;
    r->purged += atomic_exchange(&p->sweep->purged, 0);
    save(p, r);
}

/* Counts what is remembered as lost and still is; copies the first of them to `some` (may be
 * NULL). */
static uint64_t count_lost(struct state *p, const struct sweep_record *r, struct sweep_status *some)
{
    uint64_t lost = r->lost_more;

    for (size_t i = 0; i < r->lost_count; i++) {
        if (!sweep_still_lost(p, &r->lost[i]))
            continue;
        lost++;
        if (some && some->shown < SWEEP_LOST_SHOWN)
            some->some[some->shown++] = r->lost[i];
    }
    return lost;
}

/* Copies the record, so that it can be read without "sweep": refs has a lock of its own. */
static int copy_record(struct state *p, struct sweep_record **ret)
{
    struct sweep_record *r = malloc(sizeof *r);

    if (!r)
        return -ENOMEM;
    MUTEX_GUARD(&p->sweep->lock);
    *r = p->sweep->record;
    *ret = r;
    return 0;
}

void sweep_get(struct state *p, struct sweep_status *ret)
{
    struct sweep_record *r;

    *ret = (struct sweep_status){.damage = p->sweep->damage};
    if (copy_record(p, &r) < 0)
        return;
    ret->ended = r->ended;
    ret->last = r->last;
    ret->total = r->total;
    ret->sweeps = r->sweeps;
    ret->purged = r->purged + atomic_load(&p->sweep->purged);
    ret->lost = count_lost(p, r, ret);
    free(r);
    MUTEX_GUARD(&p->sweep->lock);
    ret->running = p->sweep->running;
    ret->job = p->sweep->job;
    ret->now = p->sweep->now;
}

uint64_t sweep_lost_count(struct state *p)
{
    struct sweep_status s;

    sweep_get(p, &s);
    return s.lost;
}

bool sweep_is_lost(struct state *p, uint64_t number)
{
    struct sweep_lost found = {0};
    {
        MUTEX_GUARD(&p->sweep->lock);
        const struct sweep_record *r = &p->sweep->record;
        for (size_t i = 0; i < r->lost_count && !found.number; i++)
            if (r->lost[i].number == number)
                found = r->lost[i];
    }
    return found.number && sweep_still_lost(p, &found);
}
