// SPDX-License-Identifier: Apache-2.0
/*
 * sweep: see the header. Here: one sweep, batch by batch, and when one begins. How shards are asked
 * is in sweep_ask.c, what becomes of what they deny in sweep_lost.c.
 */
#include "array.h"
#include "move.h"
#include "report.h"
#include "sweep_impl.h"
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

static void publish(struct sweep *s)
{
    if (s->j)
        job_progress(s->p, s->j, s->r->checked, refs_ghosts(s->p->refs));
    MUTEX_GUARD(&s->p->sweep.lock);
    s->p->sweep.now = *s->r;
}

/* ---- verdicts ---- */

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

static void list(struct sweep *s, const struct sweep_ghost *g)
{
    static const char *const verdicts[] = {[GHOST_KEEP] = "keep",
                                           [GHOST_PURGE] = "purge",
                                           [GHOST_INCONCLUSIVE] = "inconclusive",
                                           [GHOST_LOST] = "lost"};
    static const char *const reasons[] = {[SWEEP_HERE] = "has-it",
                                          [SWEEP_ZERO] = "count-0",
                                          [SWEEP_AWAY] = "cannot-be-asked",
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

static void add(struct ghost_report *sum, const struct ghost_report *r)
{
    sum->checked += r->checked;
    sum->purged += r->purged;
    sum->kept += r->kept;
    sum->inconclusive += r->inconclusive;
    sum->lost += r->lost;
}

struct verdicts {
    const struct sweep_ghost *v; /* in the order of ids */
    size_t count;
};

static int compare_ids(const void *a, const void *b)
{
    return id_compare(&((const struct sweep_ghost *)a)->e.id,
                      &((const struct sweep_ghost *)b)->e.id);
}

static int verify(const struct ghost *stub, void *ctx)
{
    const struct verdicts *v = ctx;
    const struct sweep_ghost key = {.e.id = stub->id},
                             *g = bsearch(&key, v->v, v->count, sizeof *v->v, compare_ids);

    return (int)verdict_of(g->reason);
}

/* Those that stay leave the table, too: it is the next batch's. */
static int renew_table(struct sweep *s)
{
    ghosts_destroy(s->table);
    s->table = NULL;
    return ghosts_create(&s->table);
}

int sweep_count(struct sweep *s, struct sweep_ghost *v, size_t count)
{
    struct verdicts verdicts = {v, count};
    struct ghost_report r = {0};
    int err = renew_table(s);

    qsort(v, count, sizeof *v, compare_ids);
    for (size_t i = 0; i < count && err == 0; i++) {
        bool zero = v[i].reason == SWEEP_ZERO;
        const struct ghost stub = {v[i].e.id, v[i].e.shard, zero ? 0 : v[i].e.count,
                                   (int64_t)v[i].e.created};
        list(s, &v[i]);
        if (v[i].reason == SWEEP_HERE)
            sweep_found(s, v[i].number);
        err = ghosts_insert(s->table, &stub);
    }
    if (err == 0)
        err = ghosts_sweep(s->table, verify, &verdicts, sweep_now_ms(s), &r);
    add(s->r, &r);
    publish(s);
    return err;
}

/* ---- a batch ---- */

/* Behind *number. Who is held at count 0 is open somewhere, and goes by itself afterwards. */
static int gather(struct sweep *s, uint64_t *number)
{
    struct sweep_ghost *g;
    int err = 0;

    s->count = 0;
    while (s->count < SWEEP_BATCH && err == 0) {
        g = &s->v[s->count];
        err = refs_next_ghost(s->p->refs, 0, *number, &g->number, &g->e);
        if (err < 0)
            break;
        *number = g->number;
        s->count += g->e.count > 0 || refs_holds(s->p->refs, g->number) == 0;
    }
    return err == -ENOENT ? 0 : err;
}

/* Those with count 0 are dying, so that the next flush takes them out; by some failure one is
 * not. */
static int let_go(struct sweep *s)
{
    struct project *p = s->p;
    bool any = false;
    INSTANT_GUARD(p);
    int err = project_writable(p);

    for (size_t i = 0; i < s->count && err == 0; i++)
        if (s->v[i].reason == SWEEP_ZERO)
            any |= refs_let_go(p->refs, s->v[i].number) == 0;
    return any && err == 0 ? project_changed(p, NULL) : err;
}

/* What was denied is put aside. */
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

static int sweep_batch(struct sweep *s)
{
    int err = sweep_ask(s);

    if (err == 0 && !s->dry_run && has_zeros(s))
        err = let_go(s);
    if (err == 0)
        err = take_denied(s);
    if (err == 0)
        err = sweep_count(s, s->v, s->count);
    if (err == 0 && s->denied_count >= SWEEP_DENIED)
        err = sweep_settle(s);
    return err;
}

static int sweep_all(struct sweep *s)
{
    uint64_t number = 0;
    int err;

    publish(s);
    for (;;) {
        err = sweep_go_on(s);
        if (err == 0)
            err = gather(s, &number);
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

static void save(struct project *p, const struct sweep_record *r)
{
    int err = atomic_load(&p->readonly) ? 0 : sweep_record_save(p->config.kv, r);

    if (err == -EIO)
        project_turn_readonly(p, "remembering what a sweep found", err);
    else if (err < 0)
        report(REPORT_WARN, "what a sweep found cannot be remembered (%s)", strerror(-err));
}

/* As it is from now on. */
static void remember(struct sweep *s, bool whole)
{
    struct sweep_record *r = &s->record;
    struct project *p = s->p;

    add(&r->total, s->r);
    if (whole) {
        r->ended = now(p);
        r->last = *s->r;
        r->sweeps++;
    }
    {
        MUTEX_GUARD(&p->sweep.lock);
        r->purged = p->sweep.record.purged + atomic_exchange(&p->sweep.purged, 0);
        p->sweep.record = *r;
    }
    save(p, r);
}

/* What nobody needs goes from the tables now, and from the shards soon. */
static int finish_purge(struct sweep *s)
{
    int err = s->r->purged ? project_flush(s->p) : 0;

    if (s->r->purged)
        shards_thread_kick(s->p);
    return err;
}

static int run(struct sweep *s)
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
    ghosts_destroy(s->table);
    free(s->denied);
    map64_release(&s->remembered);
    damage_release(&s->damage);
    free(s);
}

static int may_begin(struct project *p, struct job *j, bool dry_run)
{
    int err = dry_run ? 0 : project_writable(p);
    MUTEX_GUARD(&p->sweep.lock);

    if (err < 0 || p->sweep.damage)
        return err < 0 ? err : p->sweep.damage;
    if (p->sweep.running)
        return -EBUSY;
    p->sweep.running = true;
    p->sweep.job = j ? j->number : 0;
    p->sweep.now = (struct ghost_report){0};
    p->sweep.begun = now(p);
    return 0;
}

static void is_over(struct project *p)
{
    MUTEX_GUARD(&p->sweep.lock);
    p->sweep.running = false;
    p->sweep.job = 0;
}

static void say_error(int err)
{
    if (err == -EUCLEAN || err == -EIO)
        report(REPORT_ALARM,
               "a sweep cannot go on: a ghost, or the table of them, cannot be read (%s); `tally "
               "check` says more, and --repair puts right what can be",
               strerror(-err));
}

int project_sweep(struct project *p, struct job *j, bool dry_run, struct strbuf *list_to,
                  struct ghost_report *ret)
{
    struct sweep *s = calloc(1, sizeof *s);
    int err = s ? may_begin(p, j, dry_run) : -ENOMEM;

    *ret = (struct ghost_report){0};
    if (err < 0) {
        free(s);
        return err;
    }
    s->p = p;
    s->j = j;
    s->dry_run = dry_run;
    s->list = list_to;
    s->r = ret;
    rate_init(&s->rate, p->clock);
    err = run(s);
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

static void say_result(struct project *p, struct job *j, const struct ghost_report *r)
{
    char text[200];

    snprintf(text, sizeof text, "checked=%llu purged=%llu kept=%llu inconclusive=%llu lost=%llu",
             U(r->checked), U(r->purged), U(r->kept), U(r->inconclusive), U(r->lost));
    job_result(p, j, text);
}

int sweep_job(struct project *p, struct job *j, void *arg)
{
    const struct sweep_asked a = arg ? *(struct sweep_asked *)arg : (struct sweep_asked){0};
    struct strbuf lines = STRBUF_INIT;
    struct ghost_report r;
    int err;

    free(arg);
    pool_io_idle(true);
    err = project_sweep(p, j, a.dry_run, a.list ? &lines : NULL, &r);
    if (err != -EBUSY)
        say_result(p, j, &r);
    if (lines.len && strbuf_error(&lines) == 0)
        job_lines(p, j, strbuf_detach(&lines, NULL));
    strbuf_release(&lines);
    return err;
}

/* A last one that is yet to come is the clock's fault. */
static bool is_due(struct project *p)
{
    int64_t every = settings_get(&p->settings, SET_SWEEP_INTERVAL), last, t = now(p);
    MUTEX_GUARD(&p->sweep.lock);

    last = p->sweep.begun > p->sweep.record.ended ? p->sweep.begun : p->sweep.record.ended;
    return !p->sweep.running && !p->sweep.damage && (last > t || t - last >= every);
}

void sweep_if_due(struct project *p)
{
    if (refs_ghosts(p->refs) == 0 || !is_due(p) || project_writable(p) < 0)
        return;
    {
        MUTEX_GUARD(&p->sweep.lock);
        p->sweep.begun = now(p); /* whatever becomes of it */
    }
    (void)job_try(p, "sweep", "", sweep_job, NULL);
}

/* ---- what is remembered ---- */

int sweep_open(struct project *p)
{
    int err = sweep_record_load(p->config.kv, &p->sweep.record);

    if (err == -ENOMEM)
        return err;
    if (err < 0)
        report(
            REPORT_ALARM,
            "what sweeps remembered is damaged (%s): no ghost is looked for, and what was lost is "
            "not known; `tally check --repair` begins it anew",
            strerror(-err));
    p->sweep.damage = err;
    return 0;
}

void sweep_note_purged(struct project *p)
{
    atomic_fetch_add(&p->sweep.purged, 1);
}

void sweep_close(struct project *p)
{
    struct sweep_record *r = &p->sweep.record;

    if (p->sweep.damage || atomic_load(&p->sweep.purged) == 0)
        return;
    r->purged += atomic_exchange(&p->sweep.purged, 0);
    save(p, r);
}

static uint64_t count_lost(struct project *p, const struct sweep_record *r,
                           struct sweep_status *some)
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

/* The list is looked through with no lock held: refs has its own. */
static int copy_record(struct project *p, struct sweep_record **ret)
{
    struct sweep_record *r = malloc(sizeof *r);

    if (!r)
        return -ENOMEM;
    MUTEX_GUARD(&p->sweep.lock);
    *r = p->sweep.record;
    *ret = r;
    return 0;
}

void sweep_get(struct project *p, struct sweep_status *ret)
{
    struct sweep_record *r;

    *ret = (struct sweep_status){.damage = p->sweep.damage};
    if (copy_record(p, &r) < 0)
        return;
    ret->ended = r->ended;
    ret->last = r->last;
    ret->total = r->total;
    ret->sweeps = r->sweeps;
    ret->purged = r->purged + atomic_load(&p->sweep.purged);
    ret->lost = count_lost(p, r, ret);
    free(r);
    MUTEX_GUARD(&p->sweep.lock);
    ret->running = p->sweep.running;
    ret->job = p->sweep.job;
    ret->now = p->sweep.now;
}

uint64_t sweep_lost_count(struct project *p)
{
    struct sweep_status s;

    sweep_get(p, &s);
    return s.lost;
}

bool sweep_is_lost(struct project *p, uint64_t number)
{
    struct sweep_lost found = {0};
    {
        MUTEX_GUARD(&p->sweep.lock);
        const struct sweep_record *r = &p->sweep.record;
        for (size_t i = 0; i < r->lost_count && !found.number; i++)
            if (r->lost[i].number == number)
                found = r->lost[i];
    }
    return found.number && sweep_still_lost(p, &found);
}
