// SPDX-License-Identifier: Apache-2.0
/*
 * restore_plan: which sections make a namespace: the last one of it at that moment, and backwards
 * from each the one that has the instant it is the difference to, up to one that begins with an
 * empty tree.
 */
#include "ns_restore.h"

#include "archive_catalogue.h"
#include "archive_find.h"
#include "archive_read.h"
#include "array.h"
#include "chain.h"
#include "command.h"
#include "shards.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

int restore_moment(const char *text, struct restore_ask *ret)
{
    if (command_number(text, &ret->seq) == 0) {
        ret->when = RESTORE_SEQ;
        return 0;
    }
    if (command_time(text, &ret->time) < 0)
        return -EINVAL;
    if (!strchr(text, '.'))
        ret->time += NSEC_PER_SEC - 1;
    ret->when = RESTORE_TIME;
    return 0;
}

struct planner {
    struct state *p;
    struct shard *shard;
    const struct restore_ask *ask;
    struct restore_plan *plan;
    struct strbuf *why;
    struct segment_pos limit; /* nothing behind it belongs to the history; none: all does */
    bool too_early;           /* the moment is before the begin of the lineage */
    bool elsewhere;           /* it is a lineage that the one of the ask goes on from */
    const struct catalogue
        *kept; /* the last catalogue, or that of the ask; NULL: it is not looked at */
};

static int fail(struct planner *r, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fail(struct planner *r, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    strbuf_vaddf(r->why, fmt, ap);
    va_end(ap);
    return err;
}

/* ---- the moment ---- */

/* The moment is at or behind the segment `at`, and before `next`. None: {0, 0}. */
struct around {
    struct segment_pos at, next;
    uint64_t seq; /* number of the last change that `at` has; 0: it is none */
};

/* Reads the number of the last change that a segment has, and which one is before it. */
static int read_head(struct planner *r, struct segment_pos at, uint64_t *ret_seq,
                     struct segment_pos *ret_before)
{
    struct archive_segment g;
    int err = archive_read(r->shard, r->plan->lineage, at, &g);

    r->plan->requests++;
    if (err < 0)
        return err;
    *ret_seq = g.front.head.seq;
    *ret_before = g.front.head.before;
    archive_segment_release(&g);
    return 0;
}

/* A change is most often between two segments. The one before it says which names there were; the
 * one behind it may have namespaces that have not changed since. */
static int find_seq(struct planner *r, struct around *ret)
{
    struct segment_pos found, before, none;
    int err = archive_find_seq(r->shard, r->plan->lineage, r->kept, r->ask->seq, &found);

    if (err == 0)
        err = read_head(r, found, &ret->seq, &before);
    if (err < 0)
        return err;
    ret->at = found;
    if (ret->seq < r->ask->seq) /* else there would be one behind it */
        r->plan->last_seq = ret->seq;
    if (ret->seq <= r->ask->seq)
        return 0;
    ret->at = before;
    ret->next = found;
    ret->seq = 0;
    return before.epoch ? read_head(r, before, &ret->seq, &none) : 0;
}

/* Finds the segments between which the namespace is looked for. */
static int find_segments(struct planner *r, struct around *ret)
{
    uint32_t lineage = r->plan->lineage;
    int err;

    *ret = (struct around){.seq = 0};
    switch (r->ask->when) {
    case RESTORE_SEQ:
        err = find_seq(r, ret);
        break;
    case RESTORE_TIME:
        err = archive_find_time(r->shard, lineage, r->kept, r->ask->time, &ret->at);
        r->too_early = err == -ENOENT;
        if (err == 0 && r->limit.epoch && segment_pos_compare(ret->at, r->limit) > 0)
            ret->at = r->limit;
        break;
    default:
        err = chain_last(r->shard, lineage, ret->at, &ret->at);
        if (err == 0 && ret->at.epoch == 0)
            err = -ENOENT;
    }
    if (err == -ENOENT && r->too_early)
        return err;
    if (err == -ENOENT)
        return fail(r, err, "the archive has nothing %s",
                    r->ask->when == RESTORE_LAST ? "yet" : "of that moment");
    return err;
}

/* The section of a segment that is of the namespace; if there are several the one that leads
 * furthest back (`far`), or least. -EUCLEAN: there is none. */
static int find_section(const struct archive_segment *g, uint32_t ns, uint32_t generation, bool far,
                        struct segment_section *ret)
{
    int err = -EUCLEAN;

    for (uint32_t i = 0; i < g->front.head.sections; i++) {
        const struct segment_section *s = &g->front.sections[i];

        if (s->kind != SECTION_CHANGE || s->is.ns != ns || s->is.generation != generation ||
            (err == 0 && (segment_pos_compare(s->from_at, ret->from_at) < 0) != far))
            continue;
        *ret = *s;
        err = 0;
    }
    return err;
}

static int read_section(struct planner *r, struct segment_pos at, const struct segment_instant *of,
                        bool far, struct restore_step *ret, int64_t *ret_time)
{
    struct archive_segment g;
    int err = archive_read(r->shard, r->plan->lineage, at, &g);

    r->plan->requests++;
    if (err < 0)
        return err;
    ret->at = at;
    memcpy(ret->sum, g.sum, sizeof ret->sum);
    *ret_time = g.front.head.time;
    err = find_section(&g, of->ns, of->generation, far, &ret->section);
    archive_segment_release(&g);
    return err;
}

/* Had the namespace been there under that name when the change was made, though the segment before
 * it does not know of it? `s` is what the segment behind it says. */
static bool is_new(struct planner *r, const struct around *a, const struct archive_names *names,
                   const struct segment_section *s)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->v[i].ns == s->is.ns && names->v[i].generation == s->is.generation)
            return false;
    return s->is.seq > a->seq && strcmp(s->name, r->ask->name) == 0;
}

/* Is that a later instant of the namespace? If it has not changed since it may have another name,
 * or be frozen by now, and it is not known since when. */
static bool is_later(const struct segment_name *name, const struct segment_section *s)
{
    return s->is.ns == name->ns && s->is.generation == name->generation && s->is.seq > name->seq;
}

/* Looks in the segment behind the moment for what had the name, and has not changed between the
 * moment and that segment. 1: *ret is it; 0: there is no such thing. */
static int look_behind(struct planner *r, const struct around *a, const struct archive_names *names,
                       const struct segment_name *name, struct restore_step *ret)
{
    struct archive_segment g;
    int err = archive_read(r->shard, r->plan->lineage, a->next, &g), is = 0;

    r->plan->requests++;
    if (err < 0)
        return err;
    for (uint32_t i = 0; i < g.front.head.sections && !is; i++) {
        const struct segment_section *s = &g.front.sections[i];

        if (s->kind != SECTION_CHANGE || s->is.seq > r->ask->seq)
            continue;
        is = name ? is_later(name, s) : is_new(r, a, names, s);
        if (is)
            *ret = (struct restore_step){.at = a->next, .section = *s};
    }
    if (is)
        r->plan->time = g.front.head.time;
    archive_segment_release(&g);
    return is;
}

/* The last section of a namespace that is not behind the change that was asked for. */
static int find_section_of(struct planner *r, const struct segment_name *name,
                           struct restore_step *ret)
{
    struct segment_instant of = {name->ns, name->generation, name->seq, 0};
    int64_t *time = &r->plan->time;
    int err = read_section(r, name->at, &of, false, ret, time);

    while (err == 0 && r->ask->when == RESTORE_SEQ && ret->section.is.seq > r->ask->seq) {
        of = ret->section.from;
        if (of.ns != name->ns || of.generation != name->generation)
            return fail(r, -ENOENT,
                        "the archive has %s from change %llu on, and nothing of it before",
                        r->ask->name, U(ret->section.is.seq));
        err = read_section(r, ret->section.from_at, &of, false, ret, time);
    }
    return err;
}

/* ---- what is not there any more ---- */

#define LOOK_BACK 1000 /* segments */

static bool has_name(const struct segment_front *f, const char *name)
{
    for (uint32_t i = 0; i < f->head.sections; i++)
        if (f->sections[i].kind == SECTION_CHANGE && strcmp(f->sections[i].name, name) == 0)
            return true;
    for (uint32_t i = 0; i < f->head.names; i++)
        if (strcmp(f->names[i].name, name) == 0)
            return true;
    return false;
}

static bool is_gone(const struct segment_front *f, const char *name)
{
    for (uint32_t i = 0; i < f->head.sections; i++)
        if (f->sections[i].kind == SECTION_GONE && strcmp(f->sections[i].name, name) == 0)
            return true;
    return false;
}

/* Says when there was a namespace of that name last: before the segment in which it is gone, or in
 * the last segment that has it. */
static void say_when(struct planner *r, struct segment_pos at)
{
    struct archive_segment g;
    bool gone = false, found = false;

    for (int i = 0; i < LOOK_BACK && at.epoch && !found; i++) {
        if (archive_read(r->shard, r->plan->lineage, at, &g) < 0)
            return;
        found = gone || has_name(&g.front, r->ask->name);
        gone = is_gone(&g.front, r->ask->name);
        if (found) {
            strbuf_addf(r->why, ": it had it last at change %llu, of ", U(g.front.head.seq));
            strbuf_add_time(r->why, g.front.head.time);
            strbuf_addf(r->why, ": %s@%llu", r->ask->name, U(g.front.head.seq));
        }
        at = g.front.head.before;
        archive_segment_release(&g);
    }
}

static int no_such_name(struct planner *r, const struct around *a)
{
    if (r->ask->when != RESTORE_LAST)
        return fail(r, -ENOENT, "there was no namespace %s at that moment", r->ask->name);
    (void)fail(r, -ENOENT, "the archive has no namespace %s now", r->ask->name);
    say_when(r, a->at);
    return -ENOENT;
}

/* Finds the section that has the namespace at the moment, and leads furthest back. */
static int find_moment(struct planner *r, const struct around *a, const struct archive_names *names,
                       struct restore_step *ret)
{
    const struct segment_name *name = archive_name_find(names, r->ask->name);
    int is = a->next.epoch ? look_behind(r, a, names, name, ret) : 0;
    int err = is < 0 ? is : 0;

    if (is == 0 && !name)
        return no_such_name(r, a);
    if (is == 0)
        err = find_section_of(r, name, ret);
    if (err == 0) {
        const struct segment_instant of = ret->section.is;

        err = read_section(r, ret->at, &of, true, ret, &r->plan->time);
    }
    return err;
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
        err = read_section(r, later.section.from_at, from, true, &step, &none);
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

static void say_last(struct restore_plan *plan, const struct restore_step *last)
{
    plan->at = last->at;
    plan->seq = last->section.is.seq;
    plan->frozen = last->section.frozen;
    plan->lost = last->section.lost;
}

/* Finds the last step, and says in the plan what it leads to. */
static int find_last(struct planner *r, struct restore_step *ret)
{
    struct archive_names names = ARCHIVE_NAMES_INIT;
    struct around around;
    int err;

    err = find_segments(r, &around);

    if (err == 0)
        err = archive_names(r->shard, r->plan->lineage, around.at, &names);
    if (err == 0)
        err = find_moment(r, &around, &names, ret);
    archive_names_release(&names);
    if (err < 0)
        return err;
    say_last(r->plan, ret);
    return 0;
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
        err = find_last(r, &step);
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
    int err = read_section(r, at, of, true, &step, &r->plan->time);

    if (err < 0)
        return err;
    say_last(r->plan, &step);
    return make_steps(r, &step);
}

static void say_too_early(struct planner *r)
{
    if (r->too_early && r->why->len == 0)
        strbuf_adds(r->why, "the archive has nothing of that moment");
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
        err = find_last(&r, &step);
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
        return fail(r, err, "the archive has no lineage %u", lineage);
    if (err < 0)
        return err;
    if (!id_key_equal(&ret->key, &r->p->id_key))
        return fail(r, -EINVAL,
                    "lineage %u is of a store with other keys: `tally clone --lineage %u` reads it",
                    lineage, lineage);
    r->plan->lineage = lineage;
    return 0;
}

/* Makes the plan in the lineage that was asked for, or in that of the archive. A time before its
 * begin is looked for in the lineage that it goes on from. */
static int make_in_lineages(struct planner *r)
{
    struct archive_lineage l = {.parent = 0};
    int err = r->ask->lineage ? enter(r, r->ask->lineage, &l) : 0;

    if (err == 0)
        err = make(r);
    while (err == -ENOENT && r->too_early && !r->ask->lineage) {
        const uint32_t child = r->plan->lineage;

        if (archive_read_lineage(r->shard, child, &l) < 0 || l.parent == 0 || l.parent >= child)
            break;
        r->limit = l.parent_at;
        r->too_early = false;
        r->elsewhere = true;
        err = enter(r, l.parent, &l);
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
        return fail(r, err, "the archive cannot be asked: %s",
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
