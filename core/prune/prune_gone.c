// SPDX-License-Identifier: Apache-2.0
/* prune_gone: what is there, and what of it nobody needs: the next catalogue. */
#include "prune_impl.h"

#include "array.h"
#include "chain_find.h"
#include "objects.h"
#include "packs.h"
#include "shard_thin.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is there ---- */

static int take_name(const char *name, uint64_t size, void *ctx)
{
    struct prune *u = ctx;
    struct listed_file f = {.size = size};
    enum objects_name kind = objects_parse_name(name, &f.id, &f.where);
    int err;

    if ((kind != OBJECTS_PACK && kind != OBJECTS_FILE) || f.where >> 48 != u->lineage)
        return 0;
    err = ARRAY_RESERVE(u->files, u->file_room, u->file_count + 1);
    f.in_pack = kind == OBJECTS_PACK;
    if (err == 0)
        u->files[u->file_count++] = f;
    return err;
}

static int compare_files(const void *a, const void *b)
{
    const struct listed_file *x = a, *y = b;

    if (x->in_pack != y->in_pack)
        return x->in_pack ? -1 : 1;
    return (x->where > y->where) - (x->where < y->where);
}

/* A file and its sums are listed as two, and so are a pack and its thin one: they become one. */
static void join(struct listed_file *to, const struct listed_file *f)
{
    to->size += f->size;
    to->thin_size += f->thin_size;
    to->has_thin |= f->has_thin;
}

static void join_listed(struct prune *u)
{
    size_t n = 0;

    for (size_t i = 0; i < u->file_count; i++)
        if (n > 0 && compare_files(&u->files[n - 1], &u->files[i]) == 0)
            join(&u->files[n - 1], &u->files[i]);
        else
            u->files[n++] = u->files[i];
    u->file_count = n;
}

/* Other names are not ours, and are left alone. */
static int take_body(const char *name, uint64_t size, void *ctx)
{
    struct prune *u = ctx;
    struct segment_pos at;

    (void)size;
    return archive_body_parse(name, u->lineage, &at) < 0 ? 0
                                                         : map64_put(&u->bodies, reach_key(at), 1);
}

static int list_bodies(struct prune *u)
{
    char dir[ARCHIVE_NAME_MAX + 1];

    archive_bodies_dir(u->lineage, dir);
    return shard_list(u->shard, dir, take_body, u);
}

static int take_thin(const char *name, uint64_t size, void *ctx)
{
    struct prune *u = ctx;
    struct listed_file f = {.in_pack = true, .has_thin = true, .thin_size = size};
    int err;

    if (pack_parse_name(name + strlen(SHARD_THIN_DIR "/"), &f.where) < 0 ||
        f.where >> 48 != u->lineage)
        return 0;
    err = ARRAY_RESERVE(u->files, u->file_room, u->file_count + 1);
    if (err == 0)
        u->files[u->file_count++] = f;
    return err;
}

int prune_list(struct prune *u)
{
    int err = shard_list(u->shard, SHARD_PACK_DIR, take_name, u);

    if (err == 0)
        err = shard_list(u->shard, SHARD_THIN_DIR, take_thin, u);
    if (err == 0)
        err = shard_list(u->shard, "objects", take_name, u);
    if (err == 0)
        err = list_bodies(u);
    if (err < 0)
        return prune_fail(u, err, "the archive cannot be listed");
    if (u->file_count)
        qsort(u->files, u->file_count, sizeof *u->files, compare_files);
    join_listed(u);
    return 0;
}

/* ---- runs ---- */

struct runs {
    struct kept_run *v;
    size_t count, room;
};

/* Adds a place behind all others. */
static int add_place(struct runs *r, struct segment_pos at)
{
    struct kept_run *last = r->count ? &r->v[r->count - 1] : NULL;
    int err;

    if (last && last->epoch == at.epoch && last->last + 1 == at.serial) {
        last->last++;
        return 0;
    }
    err = ARRAY_RESERVE(r->v, r->room, r->count + 1);
    if (err == 0)
        r->v[r->count++] = (struct kept_run){at.epoch, at.serial, at.serial};
    return err;
}

/* Adds those of first … last before the begin that nobody needs. The first segment of an epoch
 * stays. `next`: the first spot that may be among them. */
static int add_unneeded(struct prune *u, struct runs *r, uint64_t epoch, uint64_t first,
                        uint64_t last, size_t *next)
{
    const struct reach *x = &u->reach;
    int err = 0;

    if (epoch == u->begin.at.epoch && last >= u->begin.at.serial)
        last = u->begin.at.serial - 1;
    if (epoch > u->begin.at.epoch) /* all from the begin on is kept */
        return 0;

    for (uint64_t serial = first < 2 ? 2 : first; err == 0 && serial <= last;) {
        const struct segment_pos at = {epoch, serial};
        uint64_t end = last;

        while (*next < x->count && segment_pos_compare(x->spots[*next].at, at) < 0)
            ++*next;
        if (*next < x->count && x->spots[*next].at.epoch == epoch &&
            x->spots[*next].at.serial <= last)
            end = x->spots[*next].at.serial - 1;
        if (serial <= end) {
            err = ARRAY_RESERVE(r->v, r->room, r->count + 1);
            if (err == 0)
                r->v[r->count++] = (struct kept_run){epoch, serial, end};
        }
        serial = end == last ? last + 1 : end + 2;
    }
    return err;
}

/* The last segment of an epoch before the last one that has any: it has a terminator. `hint`: a
 * serial from which on none is missing. 0: it has none. */
static int last_of_epoch(struct prune *u, uint64_t epoch, uint64_t hint, uint64_t *ret)
{
    struct chain_find f = {.shard = u->shard, .lineage = u->lineage};
    enum chain_kind kind = CHAIN_SEGMENT;
    uint64_t last = 0;
    int err = chain_last_serial(&f, epoch, hint, &last);

    if (err == 0)
        err = chain_look(&f, (struct segment_pos){epoch, last}, &kind);
    if (err == 0 && kind != CHAIN_END)
        err = -EUCLEAN;
    *ret = last - 1;
    return err;
}

/* What nobody needs of the segments from the begin of the base, where none is missing, to ours. */
static int collect_new(struct prune *u, struct runs *r, size_t *next)
{
    const struct segment_pos from = u->base.number ? u->base.begin.at : (struct segment_pos){1, 1};
    int err = 0;

    for (uint64_t e = from.epoch; err == 0 && e <= u->begin.at.epoch; e++) {
        uint64_t first = e == from.epoch ? from.serial : 1, last = u->begin.at.serial - 1;

        if (e < u->begin.at.epoch)
            err = last_of_epoch(u, e, first, &last);
        if (err == 0)
            err = add_unneeded(u, r, e, first, last, next);
    }
    return err;
}

static int compare_runs(const void *a, const void *b)
{
    const struct kept_run *x = a, *y = b;

    return segment_pos_compare((struct segment_pos){x->epoch, x->first},
                               (struct segment_pos){y->epoch, y->first});
}

/* Makes one of two runs that overlap. */
static void join_runs(struct runs *r)
{
    size_t n = 0;

    if (r->count)
        qsort(r->v, r->count, sizeof *r->v, compare_runs);
    for (size_t i = 0; i < r->count; i++) {
        struct kept_run *last = n ? &r->v[n - 1] : NULL;

        if (last && last->epoch == r->v[i].epoch && r->v[i].first <= last->last + 1)
            last->last = last->last > r->v[i].last ? last->last : r->v[i].last;
        else
            r->v[n++] = r->v[i];
    }
    r->count = n;
}

/* Adds the runs of what a catalogue keeps, as far as they are before the begin of the base. */
static int add_kept(struct prune *u, const struct catalogue *c, struct runs *r)
{
    const struct segment_pos begin = u->base.begin.at;

    for (uint32_t i = 0; i < c->kept_count; i++) {
        struct kept_run run = c->kept[i];

        if (run.epoch == begin.epoch && run.last >= begin.serial)
            run.last = begin.serial - 1;
        if (run.epoch > begin.epoch || run.first > run.last)
            break;
        if (ARRAY_RESERVE(r->v, r->room, r->count + 1) < 0)
            return -ENOMEM;
        r->v[r->count++] = run;
    }
    return 0;
}

/* What there is before the begin of the base is what that keeps, and what was given up by it and
 * kept by the last one, since somebody needed it. */
static int collect_gone(struct prune *u, struct runs *r)
{
    struct runs there = {.count = 0};
    size_t next = 0;
    int err = u->base.number ? add_kept(u, &u->base, &there) : 0;

    if (err == 0 && u->base.number)
        err = add_kept(u, &u->last, &there);
    join_runs(&there);
    for (size_t i = 0; err == 0 && i < there.count; i++)
        err = add_unneeded(u, r, there.v[i].epoch, there.v[i].first, there.v[i].last, &next);
    free(there.v);
    return err == 0 ? collect_new(u, r, &next) : err;
}

static int collect_kept(struct prune *u, struct runs *r)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < u->reach.count; i++)
        if (segment_pos_compare(u->reach.spots[i].at, u->begin.at) < 0)
            err = add_place(r, u->reach.spots[i].at);
    return err;
}

/* ---- the catalogue ---- */

static int compare_states(const void *a, const void *b)
{
    const struct kept_state *x = a, *y = b;

    return segment_pos_compare(x->at, y->at);
}

/* A pack beside its thin one: if that has all that is needed, a deletion that was broken off goes
 * on with both; else the pack stays whole. In either case it is not given up once more. */
static bool is_to_be_given_up(struct prune *u, const struct listed_file *f)
{
    const enum prune_fate fate = prune_fate(u, f);

    return fate == PRUNE_DELETE || (fate == PRUNE_THIN && !f->has_thin);
}

static int add_packs(struct prune *u, uint64_t epoch, struct catalogue *c)
{
    c->packs = calloc(u->file_count + 1, sizeof *c->packs);
    c->files = calloc(u->file_count + 1, sizeof *c->files);
    if (!c->packs || !c->files)
        return -ENOMEM;
    for (size_t i = 0; i < u->file_count; i++) {
        const struct listed_file *f = &u->files[i];
        struct pack_run *last = c->pack_count ? &c->packs[c->pack_count - 1] : NULL;

        if ((f->where >> 24 & 0xffffff) >= epoch || !is_to_be_given_up(u, f) ||
            c->pack_count == CATALOGUE_PACKS || c->file_count == CATALOGUE_FILES)
            continue;
        if (!f->in_pack)
            c->files[c->file_count++] = (struct kept_file){f->id, f->where};
        else if (last && last->last + 1 == f->where)
            last->last++;
        else
            c->packs[c->pack_count++] = (struct pack_run){f->where, f->where};
        c->bytes += f->size + f->thin_size - prune_needed_bytes(u, f);
    }
    return 0;
}

static int add_segments(struct prune *u, struct catalogue *c)
{
    struct runs kept = {.count = 0}, gone = {.count = 0};
    int err = collect_kept(u, &kept);

    if (err == 0)
        err = collect_gone(u, &gone);
    c->kept = kept.v;
    c->gone = gone.v;
    c->kept_count = (uint32_t)kept.count;
    c->gone_count = (uint32_t)gone.count;
    if (err == 0 && (kept.count > CATALOGUE_RUNS || gone.count > CATALOGUE_RUNS ||
                     u->state_count > CATALOGUE_STATES))
        return prune_fail(u, -EFBIG,
                          "more states are to be kept than can be noted: `set "
                          "archive_keep_hourly` or `archive_keep_daily` lower");
    return err;
}

int prune_make(struct prune *u, uint64_t epoch, struct catalogue *ret)
{
    struct catalogue c = {.lineage = u->lineage,
                          .number = u->last.number + 1,
                          .time = now(u->p),
                          .begin = u->begin,
                          .state_count = (uint32_t)u->state_count};
    int err;

    if (u->state_count)
        qsort(u->states, u->state_count, sizeof *u->states, compare_states);
    c.states = calloc(u->state_count + 1, sizeof *c.states);
    if (c.states && u->state_count)
        memcpy(c.states, u->states, u->state_count * sizeof *c.states);
    reach_sort(&u->reach);
    err = c.states ? add_segments(u, &c) : -ENOMEM;
    if (err == 0)
        err = add_packs(u, epoch, &c);
    if (err < 0)
        catalogue_release(&c);
    else
        *ret = c;
    return err;
}

/* ---- what is gone ---- */

bool prune_is_gone(const struct archived_place *place, void *ctx)
{
    struct prune *u = ctx;

    return catalogue_gives_up(u->doing, place->in_pack, place->where) &&
           !live_has_content(&u->live, place->in_pack, place->where, place->offset);
}
