// SPDX-License-Identifier: Apache-2.0
/*
 * restore_plan: which sections make a namespace: the last one of it at that moment, and backwards
 * from each the one that has the instant it is the difference to, up to one that begins with an
 * empty tree.
 */
#include "restore_find.h"

#include "archive_catalogue.h"
#include "archive_read.h"
#include "array.h"
#include "command.h"
#include "shards.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int restore_moment(const char *text, int64_t now, struct restore_ask *ret)
{
    int64_t age;

    if (command_number(text, &ret->seq) == 0) {
        ret->when = RESTORE_SEQ;
        return 0;
    }
    ret->when = RESTORE_TIME;
    if (command_duration(text, &age) == 0) {
        ret->time = now - age;
        return 0;
    }
    if (command_time(text, &ret->time) < 0)
        return -EINVAL;
    if (!strchr(text, '.'))
        ret->time += NSEC_PER_SEC - 1;
    return 0;
}

/* ---- the way there ---- */

static int add_step(struct planner *r, const struct restore_step *step)
{
    struct restore_plan *plan = r->plan;
    int err = r->kept && r->kept->number && !catalogue_keeps(r->kept, step->at)
                  ? -EUCLEAN
                  : ARRAY_RESERVE(plan->steps, plan->room, plan->count + 1);

    if (err < 0)
        return err;
    plan->steps[plan->count++] = *step;
    plan->items += step->section.items;
    plan->bytes += step->section.len;
    return 0;
}

/* Is the instant that the later section is a difference to the one that the earlier section has? */
static bool fits(const struct segment_instant *from, const struct segment_instant *is)
{
    return from->ns == is->ns && from->generation == is->generation && from->seq == is->seq &&
           from->since == is->since;
}

/* Collects the steps, the last one first. */
static int collect(struct planner *r, struct restore_step step)
{
    int err = add_step(r, &step);
    int64_t none;

    while (err == 0 && step.section.from.ns) {
        const struct restore_step later = step;
        const struct segment_instant *from = &later.section.from;

        if (atomic_load(&r->p->closing))
            return -ESHUTDOWN;
        if (r->ask->interrupted && atomic_load(r->ask->interrupted))
            return -EINTR;
        if (segment_pos_compare(later.section.from_at, later.at) >= 0)
            return -EUCLEAN;
        err = planner_section(r, later.section.from_at, from, true, &step, &none);
        if (err == 0 && !fits(from, &step.section.is))
            err = -EUCLEAN;
        if (err == 0)
            err = add_step(r, &step);
    }
    return err;
}

static void reverse(struct restore_plan *plan)
{
    for (size_t i = 0, j = plan->count; i + 1 < j; i++) {
        struct restore_step step = plan->steps[i];

        plan->steps[i] = plan->steps[--j];
        plan->steps[j] = step;
    }
}

/* Plans what leads to the section of that step. */
static int make_steps(struct planner *r, const struct restore_step *step)
{
    int err = collect(r, *step);

    reverse(r->plan);
    return err;
}

/* Gives the planner the last catalogue of its lineage, which `last` gets, or that of the ask. The
 * caller releases `last`. */
static int read_kept(struct planner *r, struct catalogue *last)
{
    int err = 0;

    *last = (struct catalogue){.number = 0};
    r->kept = r->elsewhere ? NULL : r->ask->kept;
    if (!r->kept) {
        err = archive_last_catalogue(r->shard, r->plan->lineage, 0, last);
        r->kept = last;
    }
    r->plan->catalogue = r->kept->number;
    return err;
}

static int make(struct planner *r)
{
    struct restore_step step;
    struct catalogue last;
    int err = read_kept(r, &last);

    if (err == 0)
        err = planner_find(r, &step);
    if (err == 0)
        err = make_steps(r, &step);
    r->kept = NULL;
    catalogue_release(&last);
    return err;
}

/* Plans what leads to a section of a segment that is known. */
static int make_at(struct planner *r, struct segment_pos at, const struct segment_instant *of)
{
    struct restore_step step;
    int err = planner_section(r, at, of, true, &step, &r->plan->time);

    if (err < 0)
        return err;
    planner_say_last(r, &step);
    r->plan->state = at;
    return make_steps(r, &step);
}

static void say_too_early(struct planner *r)
{
    if (!r->too_early || r->why->len)
        return;
    strbuf_adds(r->why, "the archive has nothing of that moment");
    if (!r->oldest.at.epoch)
        return;
    strbuf_addf(r->why,
                ": the oldest state of lineage %u that it keeps is that of change %llu, of ",
                r->plan->lineage, (unsigned long long)r->oldest.seq);
    strbuf_add_time(r->why, r->oldest.time);
}

static void say_damaged(int err, struct strbuf *why)
{
    if (err == -EUCLEAN && why->len == 0)
        strbuf_adds(why, "what the archive has of that is damaged: see `tally archive check`");
}

int restore_find(struct shard *s, uint32_t lineage, const struct restore_ask *ask,
                 struct restore_plan *ret, struct strbuf *why)
{
    struct planner r = {.shard = s, .ask = ask, .plan = ret, .why = why};
    struct restore_step step;
    struct catalogue last;
    int err;

    *ret = (struct restore_plan){.lineage = lineage};
    err = read_kept(&r, &last);
    if (err == 0)
        err = planner_find(&r, &step);
    if (err == 0)
        err = add_step(&r, &step);
    catalogue_release(&last);
    say_too_early(&r);
    say_damaged(err, why);
    return err;
}

/* Goes to another lineage, whose objects must have the ids of this store. */
static int enter(struct planner *r, uint32_t lineage, struct archive_lineage *ret)
{
    int err = archive_read_lineage(r->shard, lineage, ret);

    if (err == -ENOENT)
        return planner_fail(r, err, "the archive has no lineage %u", lineage);
    if (err < 0)
        return err;
    if (!id_key_equal(&ret->key, &r->p->id_key))
        return planner_fail(
            r, -EINVAL,
            "lineage %u is of a store with other keys: `tally clone --lineage %u` reads it",
            lineage, lineage);
    r->plan->lineage = lineage;
    return 0;
}

/* Is the time, which is too early for the lineage, before it began, so that its parent has it? A
 * parent goes on under another store: so where the lineage does not say up to which segment the
 * parent belongs to it, only what is older than the lineage itself does. 1, 0 or -errno. */
static int is_of_parent(struct planner *r, const struct archive_lineage *l)
{
    struct segment_pos at = {0};
    struct archive_segment g;
    int err, is;

    if (l->parent == 0 || l->parent >= l->number)
        return 0;
    if (l->parent_at.epoch == 0 && r->ask->time >= l->time)
        return 0;
    err = archive_read_next(r->shard, l->number, &at, &g);
    if (err < 0)
        return err == -ENOENT ? 1 : err;
    is = r->ask->time < g.front.head.time; /* else prune has given it up since */
    archive_segment_release(&g);
    return is;
}

/* Goes to the parent, whose segments up to the one that the lineage says are a part of its history.
 */
static int enter_parent(struct planner *r, struct archive_lineage *l)
{
    r->limit = l->parent_at;
    r->too_early = false;
    r->elsewhere = true;
    return enter(r, l->parent, l);
}

/* Makes the plan in the lineage that was asked for, or in that of the archive. A time before its
 * begin is looked for in the lineage that it goes on from. */
static int make_in_lineages(struct planner *r)
{
    struct archive_lineage l = {.parent = 0};
    int err = r->ask->lineage ? enter(r, r->ask->lineage, &l) : 0, is = 1;

    if (err == 0)
        err = make(r);
    while (err == -ENOENT && r->too_early && !r->ask->lineage && r->ask->when == RESTORE_TIME) {
        is = archive_read_lineage(r->shard, r->plan->lineage, &l);
        if (is == 0)
            is = is_of_parent(r, &l);
        if (is <= 0)
            return is < 0 ? is : err;
        err = enter_parent(r, &l);
        if (err == 0)
            err = make(r);
    }
    return err;
}

/* Lends the archive to a planner. */
static int begin(struct planner *r, uint16_t archive)
{
    struct shards_info info;
    int err = shards_info_get(r->p->shards, archive, &info);

    *r->plan = (struct restore_plan){.archive = archive};
    if (err == 0 && !info.archive)
        err = -ENXIO;
    if (err == 0)
        err = shards_get(r->p->shards, archive, SHARDS_READ, &r->shard, NULL);
    if (err < 0)
        return planner_fail(r, err, "the archive cannot be asked: %s",
                            err == -ENXIO ? "there is none" : info.why);
    r->plan->lineage = info.lineage;
    return 0;
}

/* Gives it back, with the result of the planner. */
static int end(struct planner *r, int err)
{
    err = shards_said(r->p->shards, r->plan->archive, err);
    shards_put_back(r->p->shards, r->plan->archive);
    say_too_early(r);
    say_damaged(err, r->why);
    if (err < 0)
        restore_plan_release(r->plan);
    return err;
}

int restore_plan(struct state *p, uint16_t archive, const struct restore_ask *ask,
                 struct restore_plan *ret, struct strbuf *why)
{
    struct planner r = {.p = p, .ask = ask, .plan = ret, .why = why};
    int err = begin(&r, archive);

    return err < 0 ? err : end(&r, make_in_lineages(&r));
}

int restore_plan_at(struct state *p, uint16_t archive, struct segment_pos at,
                    const struct segment_instant *of, struct restore_plan *ret, struct strbuf *why)
{
    const struct restore_ask ask = {.when = RESTORE_LAST};
    struct planner r = {.p = p, .ask = &ask, .plan = ret, .why = why};
    int err = begin(&r, archive);

    return err < 0 ? err : end(&r, make_at(&r, at, of));
}

void restore_plan_release(struct restore_plan *plan)
{
    free(plan->steps);
    plan->steps = NULL;
    plan->count = plan->room = 0;
}
