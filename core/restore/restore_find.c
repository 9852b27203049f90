// SPDX-License-Identifier: Apache-2.0
/* restore_find: see the header. */
#include "restore_find.h"

#include "archive_find.h"
#include "archive_read.h"
#include "array.h"
#include "chain.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

int planner_fail(struct planner *r, int err, const char *fmt, ...)
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
    bool apart;   /* there were segments between them, which may be given up */
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

/* Before the begin of the catalogue. */
static void find_kept_seq(struct planner *r, struct around *ret)
{
    const struct catalogue *c = r->kept;
    uint32_t i = c->state_count;

    while (i > 0 && c->states[i - 1].seq > r->ask->seq)
        i--;
    if (i > 0) {
        ret->at = c->states[i - 1].at;
        ret->seq = c->states[i - 1].seq;
    }
    if (ret->seq < r->ask->seq)
        ret->next = i < c->state_count ? c->states[i].at : c->begin.at;
    ret->apart = true;
}

/* A change is most often between two segments. The one before it says which names there were; the
 * one behind it may have namespaces that have not changed since. */
static int find_seq(struct planner *r, struct around *ret)
{
    struct segment_pos found, before, none;
    int err;

    if (r->kept->number && r->ask->seq < r->kept->begin.seq) {
        find_kept_seq(r, ret);
        return 0;
    }
    err = archive_find_seq(r->shard, r->plan->lineage, r->kept, r->ask->seq, &found);
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

/* The oldest state that can be restored. If it cannot be read nothing is said of it. */
static int too_early(struct planner *r)
{
    const struct catalogue *c = r->kept;
    struct segment_pos at = {0};
    struct archive_segment g;

    r->too_early = true;
    r->oldest = !c->number       ? (struct kept_state){at, 0, 0}
                : c->state_count ? c->states[0]
                                 : c->begin;
    if (c->number || archive_read_next(r->shard, r->plan->lineage, &at, &g) < 0)
        return -ENOENT;
    r->oldest = (struct kept_state){at, g.front.head.seq, g.front.head.time};
    archive_segment_release(&g);
    return -ENOENT;
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
        if (err == -ENOENT)
            return too_early(r);
        if (err == 0 && r->limit.epoch && segment_pos_compare(ret->at, r->limit) > 0)
            ret->at = r->limit;
        break;
    default:
        err = chain_last(r->shard, lineage, ret->at, &ret->at);
        if (err == 0 && ret->at.epoch == 0)
            err = -ENOENT;
    }
    if (err == -ENOENT)
        return planner_fail(r, err, "the archive has nothing yet");
    return err;
}

/* The section of a segment that is of the namespace, as planner_section. */
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

int planner_section(struct planner *r, struct segment_pos at, const struct segment_instant *of,
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

/* Adds what a segment has of namespaces that have changed. */
static int take_changed(const struct archive_segment *g, struct archive_names *ret)
{
    int err = 0;

    for (uint32_t i = 0; i < g->front.head.sections && err == 0; i++) {
        const struct segment_section *s = &g->front.sections[i];

        if (s->kind != SECTION_CHANGE)
            continue;
        err = ARRAY_RESERVE(ret->v, ret->room, ret->count + 1);
        if (err < 0)
            return err;
        ret->v[ret->count] = (struct segment_name){.ns = s->is.ns,
                                                   .generation = s->is.generation,
                                                   .seq = s->is.seq,
                                                   .at = g->front.head.at};
        memcpy(ret->v[ret->count++].name, s->name, sizeof s->name);
    }
    return err;
}

/* The namespaces that the segment behind the moment says something of: it has changed them, or, if
 * others were between them, they were there then. */
static int read_behind(struct planner *r, const struct around *a, struct archive_names *ret)
{
    struct archive_segment g;
    int err;

    if (a->apart)
        return archive_names(r->shard, r->plan->lineage, a->next, ret);
    err = archive_read(r->shard, r->plan->lineage, a->next, &g);
    r->plan->requests++;
    if (err < 0)
        return err;
    err = take_changed(&g, ret);
    archive_segment_release(&g);
    return err;
}

/* Had the namespace been there under that name when the change was made, though the segment before
 * it does not know of it? `n` is what the segment behind it says. */
static bool is_new(struct planner *r, const struct around *a, const struct archive_names *names,
                   const struct segment_name *n)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->v[i].ns == n->ns && names->v[i].generation == n->generation)
            return false;
    return n->seq > a->seq && strcmp(n->name, r->ask->name) == 0;
}

/* Is that a later instant of the namespace? If it has not changed since it may have another name,
 * or be frozen by now, and it is not known since when. */
static bool is_later(const struct segment_name *name, const struct segment_name *n)
{
    return n->ns == name->ns && n->generation == name->generation && n->seq > name->seq;
}

/* Looks in the segment behind the moment for what had the name, and has not changed between the
 * moment and that segment. 1: *ret is it; 0: there is no such thing. */
static int look_behind(struct planner *r, const struct around *a, const struct archive_names *names,
                       const struct segment_name *name, struct restore_step *ret)
{
    struct archive_names behind = ARCHIVE_NAMES_INIT;
    int err = read_behind(r, a, &behind), is = 0;

    for (size_t i = 0; i < behind.count && err == 0 && !is; i++) {
        const struct segment_name *n = &behind.v[i];

        if (n->seq > r->ask->seq)
            continue;
        is = name ? is_later(name, n) : is_new(r, a, names, n);
        if (is)
            *ret = (struct restore_step){.at = n->at,
                                         .section.is = {.ns = n->ns, .generation = n->generation}};
    }
    archive_names_release(&behind);
    return err < 0 ? err : is;
}

/* The last section of a namespace that is not behind the change that was asked for. */
static int find_section_of(struct planner *r, const struct segment_name *name,
                           struct restore_step *ret)
{
    struct segment_instant of = {name->ns, name->generation, name->seq, 0};
    int64_t *time = &r->plan->time;
    int err = planner_section(r, name->at, &of, false, ret, time);

    while (err == 0 && r->ask->when == RESTORE_SEQ && ret->section.is.seq > r->ask->seq) {
        of = ret->section.from;
        if (of.ns != name->ns || of.generation != name->generation)
            return planner_fail(r, -ENOENT,
                                "the archive has %s from change %llu on, and nothing of it before",
                                r->ask->name, U(ret->section.is.seq));
        err = planner_section(r, ret->section.from_at, &of, false, ret, time);
    }
    return err;
}

/* ---- what is not there any more ---- */

#define LOOK_BACK 1000    /* segments */
#define LOOK_BACK_KEPT 64 /* kept states before the begin of a catalogue */

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

static void say_had(struct planner *r, uint64_t seq, int64_t time)
{
    strbuf_addf(r->why, ": it had it last at change %llu, of ", U(seq));
    strbuf_add_time(r->why, time);
    strbuf_addf(r->why, ": %s@%llu", r->ask->name, U(seq));
}

/* The last kept state before the begin of the catalogue that has the name. */
static void say_when_kept(struct planner *r)
{
    const struct catalogue *c = r->kept;
    bool found = false;

    for (uint32_t i = 0; i < LOOK_BACK_KEPT && i < c->state_count && !found; i++) {
        const struct kept_state *s = &c->states[c->state_count - 1 - i];
        struct archive_names names = ARCHIVE_NAMES_INIT;
        int err = archive_names(r->shard, r->plan->lineage, s->at, &names);

        found = err == 0 && archive_name_find(&names, r->ask->name);
        archive_names_release(&names);
        if (err < 0)
            return;
        if (found)
            say_had(r, s->seq, s->time);
    }
}

/* Says when there was a namespace of that name last: before the segment in which it is gone, or in
 * the last segment that has it. */
static void say_when(struct planner *r, struct segment_pos at)
{
    struct archive_segment g;
    bool gone = false, found = false;

    for (int i = 0; i < LOOK_BACK && at.epoch && !found; i++) {
        if (segment_pos_compare(at, r->kept->begin.at) < 0) {
            say_when_kept(r);
            return;
        }
        if (archive_read(r->shard, r->plan->lineage, at, &g) < 0)
            return;
        found = gone || has_name(&g.front, r->ask->name);
        gone = is_gone(&g.front, r->ask->name);
        if (found)
            say_had(r, g.front.head.seq, g.front.head.time);
        at = g.front.head.before;
        archive_segment_release(&g);
    }
}

static int no_such_name(struct planner *r, const struct around *a)
{
    if (a->at.epoch == 0)
        return too_early(r);
    if (r->ask->when != RESTORE_LAST)
        return planner_fail(r, -ENOENT, "there was no namespace %s at that moment", r->ask->name);
    (void)planner_fail(r, -ENOENT, "the archive has no namespace %s now", r->ask->name);
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
    r->plan->state = is == 1 ? a->next : a->at;
    if (is == 0)
        err = find_section_of(r, name, ret);
    if (err == 0) {
        const struct segment_instant of = ret->section.is;

        err = planner_section(r, ret->at, &of, true, ret, &r->plan->time);
    }
    return err;
}

void planner_say_last(struct planner *r, const struct restore_step *last)
{
    r->plan->at = last->at;
    r->plan->seq = last->section.is.seq;
    r->plan->frozen = last->section.frozen;
    r->plan->lost = last->section.lost;
}

int planner_find(struct planner *r, struct restore_step *ret)
{
    struct archive_names names = ARCHIVE_NAMES_INIT;
    struct around around;
    int err = find_segments(r, &around);

    if (err == 0)
        err = archive_names(r->shard, r->plan->lineage, around.at, &names);
    if (err == 0)
        err = find_moment(r, &around, &names, ret);
    archive_names_release(&names);
    if (err < 0)
        return err;
    planner_say_last(r, ret);
    return 0;
}
