// SPDX-License-Identifier: Apache-2.0
/*
 * sweep_lost: handles ghosts whose shard, asked again, denies the bytes.
 *
 * A count may be too high, so a recount comes first and corrects counts (recount.h). A ghost with
 * count 0 after it is referenced by nothing, and is purged like any other. The rest is lost. A loss
 * is reported with the paths of the files that use it, and only what was reported is remembered. So
 * it is reported once, or, if that was interrupted, again by the next sweep.
 */
#include "rebuild.h"
#include "recount.h"
#include "remote_impl.h"
#include "report.h"
#include "sweep_impl.h"
#include "sweep_record.h"
#include <errno.h>
#include <stdio.h>

#define U(x) ((unsigned long long)(x))

/* ---- counting ---- */

/* Gives a denied ghost its verdict by the counts as they are now. */
static void judge(struct sweep *s, struct sweep_ghost *g)
{
    if (sweep_is_there(s, g))
        g->reason = SWEEP_REFERENCED;
    else if (g->reason == SWEEP_ZERO)
        g->reason = SWEEP_UNREFERENCED;
}

/* Corrects the counts of the store, and judges all denied ghosts. If another rebuild runs they stay
 * without a verdict until the next sweep. */
static int judge_by_rebuild(struct sweep *s)
{
    uint64_t changed;
    int err = rebuild_part(s->p, s->j, &changed);

    if (err == -EBUSY) /* another rebuild runs */
        return 0;
    /* damage in the trees: counts are too high rather than too low */
    if (err < 0 && err != -EUCLEAN)
        return err;
    for (size_t i = 0; i < s->denied_count; i++)
        judge(s, &s->denied[i]);
    return 0;
}

static bool stop_recount(uint64_t pages, void *ctx)
{
    (void)pages;
    return sweep_go_on(ctx) < 0;
}

/* Judges a denied ghost by a recount of the last commit. A ghost that this commit does not have is
 * younger, and gets no verdict. */
static void judge_dry(struct sweep *s, struct sweep_ghost *g, struct kv_snap *snap,
                      const struct recount *count)
{
    const void *val;
    uint64_t refs = 0;
    size_t len;

    if (kv_snap_get_number(snap, TABLE_OBJECTS, g->number, &val, &len) < 0)
        return;
    (void)map64_get(&count->objects, g->number, &refs);
    judge(s, g);
    if (g->reason == SWEEP_REFERENCED && refs == 0 && !count->damaged)
        g->reason = SWEEP_UNREFERENCED;
}

/* For a dry run: recounts a snapshot, and changes no count. */
static int judge_all_dry(struct sweep *s)
{
    struct recount_options o = {.step = stop_recount, .ctx = s};
    struct recount count = {0};
    struct kv_snap *snap;
    int err = kv_snap_begin(s->p->config.kv, &snap);

    if (err < 0)
        return err;
    err = recount_run(snap, &o, &count);
    for (size_t i = 0; i < s->denied_count && err == 0; i++)
        judge_dry(s, &s->denied[i], snap, &count);
    recount_release(&count);
    kv_snap_end(snap);
    return err;
}

/* ---- telling ---- */

/* Raises an alarm with this line, and adds it to the list. */
static void say(const char *line, void *ctx)
{
    struct sweep *s = ctx;

    damage_alarm("sweep", line);
    if (s->list && s->lines++ < SWEEP_LINES)
        strbuf_addf(s->list, "%s\n", line);
}

/* Reports one lost object; the paths of its files follow. */
static void say_lost(struct sweep *s, const struct sweep_lost *l)
{
    char hex[ID_HEX + 1], line[160];

    id_to_hex(&l->id, hex);
    snprintf(line, sizeof line, "object %s is lost: shard %u does not have its bytes any more", hex,
             l->shard);
    say(line, s);
}

/* Reports the new lost ghosts, and the paths of the files that use them. Only after that do they
 * count as reported. */
static int report_lost(struct sweep *s)
{
    int err;

    for (uint32_t i = s->told; i < s->record.lost_count; i++)
        say_lost(s, &s->record.lost[i]);
    err = damage_tell(s->p, &s->damage, say, sweep_go_on, s);
    if (err == 0)
        s->told = s->record.lost_count;
    return err;
}

/* ---- remembering ---- */

int sweep_lost_begin(struct sweep *s)
{
    int err = 0;
    {
        MUTEX_GUARD(&s->p->sweep->lock);
        s->record = s->p->sweep->record;
    }
    s->told = s->record.lost_count;
    for (uint32_t i = 0; i < s->told && err == 0; i++)
        err = map64_put(&s->remembered, s->record.lost[i].number, i);
    return err;
}

void sweep_found(struct sweep *s, uint64_t number)
{
    uint64_t i;

    if (map64_get(&s->remembered, number, &i))
        s->found[i] = true;
}

/* Adds a lost ghost to the record, if it is not there yet. Reports before DAMAGE_AT_ONCE are
 * gathered. */
static int remember(struct sweep *s, const struct sweep_ghost *g)
{
    struct sweep_record *r = &s->record;
    char hex[ID_HEX + 1], name[56];
    uint64_t known;
    int err;

    if (map64_get(&s->remembered, g->number, &known))
        return 0;
    if (r->lost_count == SWEEP_LOST_MAX) {
        s->lost_more++;
        return 0;
    }
    if (s->damage.count >= DAMAGE_AT_ONCE) {
        err = report_lost(s);
        if (err < 0)
            return err;
    }
    id_to_hex(&g->e.id, hex);
    snprintf(name, sizeof name, "object %s", hex);
    err = damage_add(&s->damage, DAMAGE_OBJECT, g->number, name);
    if (err == 0)
        err = map64_put(&s->remembered, g->number, r->lost_count);
    if (err == 0)
        r->lost[r->lost_count++] =
            (struct sweep_lost){g->number, g->e.id, g->e.shard, now(s->p)};
    return err;
}

int sweep_settle(struct sweep *s)
{
    int err = s->denied_count == 0 ? 0 : s->dry_run ? judge_all_dry(s) : judge_by_rebuild(s);

    for (size_t i = 0; i < s->denied_count && err == 0; i++)
        if (!s->dry_run && s->denied[i].reason == SWEEP_REFERENCED)
            err = remember(s, &s->denied[i]);
    if (err == 0)
        err = report_lost(s);
    for (size_t i = 0, n; i < s->denied_count && err == 0; i += n) {
        n = s->denied_count - i < SWEEP_BATCH ? s->denied_count - i : SWEEP_BATCH;
        sweep_count(s, s->denied + i, n);
    }
    s->denied_count = 0;
    return err;
}

bool sweep_still_lost(struct state *p, const struct sweep_lost *l)
{
    struct entry e;

    return refs_entry(p->refs, l->number, false, NULL, &e) == 0 && entry_is_ghost(&e) &&
           e.shard == l->shard && e.count > 0;
}

void sweep_lost_end(struct sweep *s, bool whole)
{
    struct sweep_record *r = &s->record;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < s->told; i++)
        if (!s->found[i] && sweep_still_lost(s->p, &r->lost[i]))
            r->lost[kept++] = r->lost[i];
    r->lost_count = kept;
    if (s->lost_more > r->lost_more)
        report(REPORT_ALARM, "sweep: %llu more objects are lost; `tally sweep --list` names them",
               U(s->lost_more));
    if (whole || s->lost_more > r->lost_more)
        r->lost_more = s->lost_more;
}
