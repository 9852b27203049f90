// SPDX-License-Identifier: Apache-2.0
/* prune_reach: see the header. */
#include "prune_reach.h"

#include "archive_read.h"
#include "array.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is needed of contents ---- */

void live_release(struct live *l)
{
    map64_release(&l->packs);
    map64_release(&l->files);
    free(l->contents);
}

static int copy_map(const struct map64 *m, struct map64 *ret)
{
    size_t at = 0;
    uint64_t key, value;
    int err = map64_reserve(ret, m->count);

    while (err == 0 && map64_next(m, &at, &key, &value))
        err = map64_put(ret, key, value);
    return err;
}

int live_copy(const struct live *l, struct live *ret)
{
    struct live copy = {.lineage = l->lineage, .old_epoch = l->old_epoch, .unsorted = l->unsorted};
    int err = copy_map(&l->packs, &copy.packs);

    if (err == 0)
        err = copy_map(&l->files, &copy.files);
    if (err == 0)
        err = ARRAY_RESERVE(copy.contents, copy.room, l->count);
    if (err < 0) {
        live_release(&copy);
        return err;
    }
    if (l->count)
        memcpy(copy.contents, l->contents, l->count * sizeof *l->contents);
    copy.count = l->count;
    *ret = copy;
    return 0;
}

static int compare_contents(const void *a, const void *b)
{
    const struct live_content *x = a, *y = b;

    if (x->where != y->where)
        return x->where < y->where ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Each content is there once afterwards. */
static void sort_contents(struct live *l)
{
    size_t n = 0;

    if (l->count)
        qsort(l->contents, l->count, sizeof *l->contents, compare_contents);
    for (size_t i = 0; i < l->count; i++)
        if (n == 0 || compare_contents(&l->contents[n - 1], &l->contents[i]) != 0)
            l->contents[n++] = l->contents[i];
    l->count = n;
    l->unsorted = false;
}

/* Segments name a content again and again, so before there is more room those that are there twice
 * go. */
static int add_content(struct live *l, const struct live_content *c)
{
    if (l->count == l->room) {
        sort_contents(l);
        if (l->count >= l->room / 2 && ARRAY_RESERVE(l->contents, l->room, 2 * l->count + 1) < 0)
            return -ENOMEM;
    }
    l->contents[l->count++] = *c;
    l->unsorted = true;
    return 0;
}

bool live_is_old(const struct live *l, uint64_t where)
{
    return where >> 48 == l->lineage && (where >> 24 & 0xffffff) < l->old_epoch;
}

int live_note(struct live *l, bool in_pack, uint64_t where, uint32_t offset, uint64_t size)
{
    int err;

    if (where >> 48 != l->lineage)
        return 0;
    err = map64_put(in_pack ? &l->packs : &l->files, where, 1);
    if (err < 0 || !in_pack || !live_is_old(l, where))
        return err;
    return add_content(l, &(struct live_content){where, offset, (uint32_t)size});
}

/* The index of the first one that is not before that place. */
static size_t find_from(struct live *l, uint64_t where, uint32_t offset)
{
    const struct live_content at = {.where = where, .offset = offset};
    size_t low = 0, high;

    if (l->unsorted)
        sort_contents(l);
    for (high = l->count; low < high;) {
        const size_t mid = low + (high - low) / 2;

        if (compare_contents(&l->contents[mid], &at) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct live_content *live_contents(struct live *l, uint64_t where, size_t *ret_count)
{
    const size_t first = find_from(l, where, 0);
    size_t end = first;

    while (end < l->count && l->contents[end].where == where)
        end++;
    *ret_count = end - first;
    return l->contents + first;
}

bool live_has(const struct live *l, bool in_pack, uint64_t where)
{
    uint64_t value;

    return map64_get(in_pack ? &l->packs : &l->files, where, &value);
}

bool live_has_content(struct live *l, bool in_pack, uint64_t where, uint32_t offset)
{
    size_t i;

    if (!live_has(l, in_pack, where) || !in_pack || !live_is_old(l, where))
        return live_has(l, in_pack, where);
    i = find_from(l, where, offset);
    return i < l->count && l->contents[i].where == where && l->contents[i].offset == offset;
}

static int note_item(const struct segment_item *i, void *ctx)
{
    const struct segment_content *c = &i->content;

    return i->has_content ? live_note(ctx, c->in_pack, c->where, c->offset, c->size) : 0;
}

static int note_contents(struct reach *r, const struct archive_segment *g)
{
    int err = archive_all_items(r->shard, g, note_item, r->live);

    r->segments++;
    return err == 0 && r->progress ? r->progress(r->segments, r->ctx) : err;
}

/* ---- spots ---- */

uint64_t reach_key(struct segment_pos at)
{
    return at.epoch << 40 | at.serial;
}

void reach_init(struct reach *r, struct shard *shard, uint32_t lineage, struct live *live)
{
    *r = (struct reach){.shard = shard, .lineage = lineage, .live = live};
}

void reach_release(struct reach *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->spots[i].hops);
        free(r->spots[i].names);
    }
    free(r->spots);
    free(r->todo);
    map64_release(&r->index);
    map64_release(&r->done);
    *r = (struct reach){.lineage = 0};
}

bool reach_has(const struct reach *r, struct segment_pos at)
{
    uint64_t i;

    return segment_pos_compare(at, r->begin) >= 0 || map64_get(&r->index, reach_key(at), &i);
}

/* Notes where the sections lead to: of each namespace the one that leads furthest back. */
static int take_hops(struct spot *s, const struct segment_front *f)
{
    s->hops = calloc(f->head.sections + 1u, sizeof *s->hops);
    if (!s->hops)
        return -ENOMEM;
    for (uint32_t i = 0; i < f->head.sections; i++) {
        const struct segment_section *x = &f->sections[i];
        const struct hop hop = {x->is.ns, x->is.generation, x->from.ns, x->from.generation,
                                x->from_at};
        size_t j = 0;

        if (x->kind != SECTION_CHANGE)
            continue;
        while (j < s->hop_count &&
               (s->hops[j].ns != hop.ns || s->hops[j].generation != hop.generation))
            j++;
        if (j == s->hop_count)
            s->hops[s->hop_count++] = hop;
        else if (segment_pos_compare(hop.from_at, s->hops[j].from_at) < 0)
            s->hops[j] = hop;
    }
    return 0;
}

static int take_names(struct spot *s, const struct segment_front *f)
{
    s->has_names = f->head.has_names;
    s->names = calloc(f->head.names + 1u, sizeof *s->names);
    if (!s->names)
        return -ENOMEM;
    for (uint32_t i = 0; i < f->head.names; i++)
        s->names[s->name_count++] = (struct hop){.from_ns = f->names[i].ns,
                                                 .from_generation = f->names[i].generation,
                                                 .from_at = f->names[i].at};
    return 0;
}

static int add_spot(struct reach *r, const struct archive_segment *g, struct segment_pos at)
{
    int err = ARRAY_RESERVE(r->spots, r->room, r->count + 1);
    struct spot *s;

    if (err < 0)
        return err;
    s = &r->spots[r->count++];
    *s = (struct spot){.at = at,
                       .before = g->front.head.before,
                       .seq = g->front.head.seq,
                       .time = g->front.head.time};
    err = take_hops(s, &g->front);
    if (err == 0)
        err = take_names(s, &g->front);
    return err < 0 ? err : map64_put(&r->index, reach_key(at), r->count);
}

/* *ret: its index. */
static int get_spot(struct reach *r, struct segment_pos at, size_t *ret)
{
    struct archive_segment g;
    uint64_t i;
    int err;

    if (map64_get(&r->index, reach_key(at), &i)) {
        *ret = (size_t)i - 1;
        return 0;
    }
    err = archive_read(r->shard, r->lineage, at, &g);
    if (err < 0)
        return err;
    err = note_contents(r, &g);
    if (err == 0)
        err = add_spot(r, &g, at);
    archive_segment_release(&g);
    *ret = r->count - 1;
    return err;
}

int reach_segment(struct reach *r, struct segment_pos at, const struct spot **ret)
{
    size_t i;
    int err = get_spot(r, at, &i);

    if (err == 0 && ret)
        *ret = &r->spots[i];
    return err;
}

static int compare_spots(const void *a, const void *b)
{
    const struct spot *x = a, *y = b;

    return segment_pos_compare(x->at, y->at);
}

void reach_sort(struct reach *r)
{
    if (r->count)
        qsort(r->spots, r->count, sizeof *r->spots, compare_spots);
    for (size_t i = 0; i < r->count; i++)
        (void)map64_put(&r->index, reach_key(r->spots[i].at), i + 1); /* the key is there */
    map64_release(&r->done);                                          /* it has the old order */
    r->done = (struct map64)MAP64_INIT;
}

/* ---- ways ---- */

/* The section of that namespace in that segment is needed. */
static int push(struct reach *r, uint32_t ns, uint32_t generation, struct segment_pos at)
{
    int err;

    if (ns == 0 || segment_pos_compare(at, r->begin) >= 0)
        return 0;
    err = ARRAY_RESERVE(r->todo, r->todo_room, r->todo_count + 1);
    if (err == 0)
        r->todo[r->todo_count++] =
            (struct hop){.from_ns = ns, .from_generation = generation, .from_at = at};
    return err;
}

static const struct hop *find_hop(const struct spot *s, uint32_t ns, uint32_t generation)
{
    for (size_t i = 0; i < s->hop_count; i++)
        if (s->hops[i].ns == ns && s->hops[i].generation == generation)
            return &s->hops[i];
    return NULL;
}

static int go_on(struct reach *r, const struct hop *to)
{
    const struct hop *hop;
    uint64_t key, done;
    size_t i;
    int err = get_spot(r, to->from_at, &i);

    if (err < 0)
        return err;
    key = (uint64_t)(i + 1) << 32 | to->from_ns;
    if (map64_get(&r->done, key, &done) && done == to->from_generation + UINT64_C(1))
        return 0;
    hop = find_hop(&r->spots[i], to->from_ns, to->from_generation);
    if (!hop || (hop->from_ns && segment_pos_compare(hop->from_at, to->from_at) >= 0))
        return -EUCLEAN;
    err = map64_put(&r->done, key, to->from_generation + UINT64_C(1));
    return err < 0 ? err : push(r, hop->from_ns, hop->from_generation, hop->from_at);
}

static int drain(struct reach *r)
{
    int err = 0;

    while (err == 0 && r->todo_count) {
        const struct hop to = r->todo[--r->todo_count];

        err = go_on(r, &to);
    }
    return err;
}

/* Needs all that a segment on the way to the list of names says. */
static int push_all(struct reach *r, size_t i)
{
    int err = 0;

    for (size_t j = 0; err == 0 && j < r->spots[i].hop_count; j++)
        err = push(r, r->spots[i].hops[j].ns, r->spots[i].hops[j].generation, r->spots[i].at);
    for (size_t j = 0; err == 0 && j < r->spots[i].name_count; j++) {
        const struct hop *n = &r->spots[i].names[j];

        err = push(r, n->from_ns, n->from_generation, n->from_at);
    }
    return err;
}

/* Both for a state before the begin, and for the begin itself. */
static int need_names(struct reach *r, struct segment_pos at)
{
    bool whole = false;
    size_t i;
    int err = 0;

    while (err == 0 && !whole && at.epoch) {
        err = get_spot(r, at, &i);
        if (err == 0)
            err = push_all(r, i);
        if (err == 0)
            whole = r->spots[i].has_names;
        if (err == 0)
            at = r->spots[i].before;
    }
    return err < 0 ? err : drain(r);
}

int reach_state(struct reach *r, struct segment_pos at)
{
    if (segment_pos_compare(at, r->begin) >= 0)
        return 0;
    return need_names(r, at);
}

/* ---- from the begin on ---- */

static int need_before(struct reach *r, const struct segment_front *f)
{
    int err = 0;

    for (uint32_t i = 0; i < f->head.sections && err == 0; i++)
        if (f->sections[i].kind == SECTION_CHANGE)
            err = push(r, f->sections[i].from.ns, f->sections[i].from.generation,
                       f->sections[i].from_at);
    for (uint32_t i = 0; i < f->head.names && err == 0; i++)
        err = push(r, f->names[i].ns, f->names[i].generation, f->names[i].at);
    /* the way to the list of names leads before the begin */
    if (err == 0 && segment_pos_compare(f->head.at, r->begin) == 0 && !f->head.has_names)
        err = need_names(r, f->head.before);
    return err;
}

int reach_follow(struct reach *r, struct segment_pos after, struct segment_pos last)
{
    struct segment_pos at = after;
    int err = 0;

    while (err == 0 && segment_pos_compare(at, last) < 0) {
        struct archive_segment g;

        err = archive_read_next(r->shard, r->lineage, &at, &g);
        if (err < 0)
            return err;
        err = note_contents(r, &g);
        if (err == 0)
            err = need_before(r, &g.front);
        archive_segment_release(&g);
    }
    return err < 0 ? err : drain(r);
}
