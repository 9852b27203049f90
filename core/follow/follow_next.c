// SPDX-License-Identifier: Apache-2.0
/*
 * follow_next: what becomes of the namespaces with the next segment; or, where that cannot be
 * known from it, with the last one.
 */
#include "follow_impl.h"

#include "shards.h"
#include <errno.h>
#include <string.h>

static bool is_of(const struct followed *e, uint32_t generation)
{
    return e && e->note.generation == generation;
}

/* The namespace that has the instant which a section is the difference to; NULL: none has. */
static const struct followed *origin_of(struct follow_of_store *f, const struct segment_section *s)
{
    const struct followed *e = follow_find(f, s->from.ns);

    return is_of(e, s->from.generation) && e->note.seq == s->from.seq &&
                   e->note.since == s->from.since
               ? e
               : NULL;
}

/* Chooses the section that leads from what is here. There may be others that lead further back.
 * *ret_from: what it is the difference to; NULL: an empty tree. -ESTALE: there is none. */
static int choose(struct follow_of_store *f, const struct archive_segment *g, uint32_t ns,
                  struct segment_section *ret, const struct followed **ret_from)
{
    int err = -ESTALE;

    *ret_from = NULL;
    for (uint32_t i = 0; i < g->front.head.sections && !*ret_from; i++) {
        const struct segment_section *s = &g->front.sections[i];

        if (s->kind != SECTION_CHANGE || s->is.ns != ns)
            continue;
        *ret_from = s->from.ns ? origin_of(f, s) : NULL;
        if (s->from.ns && !*ret_from)
            continue;
        *ret = *s;
        err = 0;
    }
    return err;
}

/* Has a section before it the same namespace? */
static bool is_repeated(const struct segment_front *front, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++)
        if (front->sections[j].is.ns == front->sections[i].is.ns)
            return true;
    return false;
}

/* A namespace that has changed, or is new. */
static int add_changed(struct state *p, struct shard *shard, const struct archive_segment *g,
                       uint32_t ns, struct follow_changes *c)
{
    struct follow_of_store *f = p->follow;
    const struct followed *e = follow_find(f, ns), *from;
    struct follow_change *v = follow_change_add(c);
    int err = v ? choose(f, g, ns, &v->section, &from) : -ENOMEM;

    if (err == 0 && e && !is_of(e, v->section.is.generation))
        err = -ESTALE; /* another namespace has the number by now */
    if (err < 0)
        return err;
    v->ns = e ? e->ns : NULL;
    c->items += v->section.items;
    if (!e || from != e || v->section.items > 0)
        return follow_draft(p, shard, g, from, v);
    return memcmp(e->note.state, v->section.state, sizeof e->note.state) == 0 ? 0 : -EUCLEAN;
}

static int add_gone(struct state *p, uint32_t ns, uint32_t generation, struct follow_changes *c)
{
    const struct followed *e = follow_find(p->follow, ns);
    struct follow_change *v;

    if (!is_of(e, generation))
        return 0;
    v = follow_change_add(c);
    if (!v)
        return -ENOMEM;
    v->section = (struct segment_section){.kind = SECTION_GONE,
                                          .is = {ns, generation, e->note.seq, e->note.since}};
    v->ns = e->ns;
    return 0;
}

static int collect(struct state *p, struct shard *shard, const struct archive_segment *g,
                   struct follow_changes *c)
{
    int err = 0;

    for (uint32_t i = 0; i < g->front.head.sections && err == 0; i++) {
        const struct segment_section *s = &g->front.sections[i];

        if (s->kind == SECTION_GONE)
            err = add_gone(p, s->is.ns, s->is.generation, c);
        else if (!is_repeated(&g->front, i))
            err = add_changed(p, shard, g, s->is.ns, c);
    }
    return err;
}

/* The changes are seen; the store is as the segment `c->at` says. */
static int apply(struct state *p, struct follow_changes *c, bool afresh)
{
    struct follow_of_store *f = p->follow;
    const uint64_t count = c->count;
    int err = follow_apply(p, c);

    if (err < 0)
        return err;
    f->at = f->pos = c->at;
    f->seq = c->seq;
    f->time = c->time;
    f->looks = 0;
    MUTEX_GUARD(&f->stats_lock);
    f->stats.at = f->at;
    f->stats.seq = f->seq;
    f->stats.time = f->time;
    f->stats.ended[0] = '\0';
    f->stats.segments += !afresh;
    f->stats.afresh += afresh;
    f->stats.namespaces += count;
    f->stats.items += c->items;
    return 0;
}

static struct follow_changes changes_of(const struct archive_segment *g)
{
    return (struct follow_changes){
        .at = g->front.head.at, .seq = g->front.head.seq, .time = g->front.head.time};
}

static int take_segment(struct state *p, struct shard *shard, const struct archive_segment *g)
{
    struct follow_changes c = changes_of(g);
    int err = segment_pos_compare(g->front.head.before, p->follow->at) == 0 ? 0 : -ESTALE;

    if (err == 0)
        err = collect(p, shard, g, &c);
    if (err == 0)
        err = apply(p, &c, false);
    follow_changes_release(p, &c);
    return err;
}

int follow_next(struct state *p, struct shard *shard)
{
    struct follow_of_store *f = p->follow;
    struct archive_segment g;
    struct segment_pos pos = f->pos;
    int err = archive_read_next(shard, f->lineage, &pos, &g);

    if (err < 0) {
        f->pos = pos; /* perhaps behind the end of an epoch */
        return err == -ENOENT ? err : shards_said(p->shards, f->archive, err);
    }
    err = follow_is_kept(p, shard, g.front.head.at);
    if (err >= 0)
        err = err ? take_segment(p, shard, &g) : -ESTALE;
    archive_segment_release(&g);
    return err;
}

/* ---- afresh ---- */

static bool is_same(const struct followed *e, const struct segment_name *name)
{
    return is_of(e, name->generation) && e->note.seq == name->seq &&
           e->note.epoch == name->at.epoch && e->note.serial == name->at.serial;
}

/* A namespace that is in the root then. */
static int add_name(struct state *p, const struct segment_name *name, struct follow_changes *c)
{
    const struct followed *e = follow_find(p->follow, name->ns);
    struct follow_change *v;
    int err = 0;

    if (is_same(e, name))
        return 0;
    if (e && !is_of(e, name->generation))
        err = add_gone(p, name->ns, e->note.generation, c);
    v = err == 0 ? follow_change_add(c) : NULL;
    if (!v)
        return -ENOMEM;
    v->at = name->at;
    v->section.kind = SECTION_CHANGE;
    v->section.is = (struct segment_instant){name->ns, name->generation, name->seq, 0};
    memcpy(v->section.name, name->name, sizeof v->section.name);
    v->ns = is_of(e, name->generation) ? e->ns : NULL;
    err = follow_draft_afresh(p, v);
    c->items += v->section.items;
    return err;
}

static bool is_named(const struct archive_names *names, const struct followed *e)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->v[i].ns == e->note.ns)
            return true;
    return false;
}

static int collect_all(struct state *p, const struct archive_names *names, struct follow_changes *c)
{
    const struct follow_of_store *f = p->follow;
    int err = 0;

    for (size_t i = 0; i < names->count && err == 0; i++)
        err = add_name(p, &names->v[i], c);
    for (size_t i = 0; i < f->count && err == 0; i++)
        if (!is_named(names, &f->v[i]))
            err = add_gone(p, f->v[i].note.ns, f->v[i].note.generation, c);
    return err;
}

/* The namespaces become what the segment `last` has. */
static int take_last(struct state *p, struct shard *shard, struct segment_pos last)
{
    struct follow_of_store *f = p->follow;
    struct archive_names names = ARCHIVE_NAMES_INIT;
    struct follow_changes c = {.count = 0};
    struct archive_segment g;
    int err = archive_read(shard, f->lineage, last, &g);

    if (err == 0) {
        c = changes_of(&g);
        archive_segment_release(&g);
        err = archive_names(shard, f->lineage, last, &names);
    }
    err = shards_said(p->shards, f->archive, err);
    if (err == 0)
        follow_pin_ahead(p, shard, last);
    if (err == 0)
        err = collect_all(p, &names, &c);
    if (err == 0)
        err = apply(p, &c, true);
    follow_changes_release(p, &c);
    archive_names_release(&names);
    return err;
}

/* The last segment that there is. 1: it is behind what was applied; 0, or an error. */
static int find_last(struct state *p, struct shard *shard, struct segment_pos *ret)
{
    struct follow_of_store *f = p->follow;
    int err;

    *ret = f->at;
    err = shards_said(p->shards, f->archive, chain_last(shard, f->lineage, f->at, ret));
    return err < 0 ? err : segment_pos_compare(*ret, f->at) > 0;
}

int follow_afresh(struct state *p, struct shard *shard)
{
    struct segment_pos last;
    int err = find_last(p, shard, &last);

    if (err <= 0)
        return err;
    err = take_last(p, shard, last);
    return err < 0 ? err : 1;
}

int follow_look(struct state *p, struct shard *shard)
{
    struct segment_pos last;
    int err = find_last(p, shard, &last);

    if (err <= 0)
        return err;
    err = follow_next(p, shard);
    if (err == -ENOENT || err == -ESTALE) /* one is missing, or given up */
        err = take_last(p, shard, last);
    return err < 0 ? err : 1;
}
