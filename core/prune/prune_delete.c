// SPDX-License-Identifier: Apache-2.0
/*
 * prune_delete: deletes what the last catalogue has given up and nobody needs: first segments with
 * their bodies, and then the contents that they named. Then packs of which little is needed are
 * thinned.
 *
 * Up to `shard_parallel` deletions are under way, each made by a thread of a crew.
 */
#include "prune_impl.h"

#include "crew.h"
#include "objects.h"
#include "report.h"
#include "settings.h"
#include "shard_thin.h"
#include "state.h"
#include "sums.h"
#include <errno.h>
#include <string.h>

struct deletion {
    struct crew_piece piece; /* first */
    struct shard *shard;
    char name[DISK_NAME_MAX + 1];
    uint64_t size; /* of contents */
    bool counts;   /* in the result */
    int err;       /* set by the crew */
    struct deletion *next;
};

struct deleting {
    struct prune *u;
    struct crew *crew;
    struct deletion v[CREW_MAX], *free;
    int err; /* the first one */
};

/* In a thread of the crew. */
static void delete_name(struct crew_piece *piece)
{
    struct deletion *t = (struct deletion *)piece;

    t->err = shard_delete(t->shard, t->name);
}

static void count_one(struct deleting *d, const struct deletion *t)
{
    struct prune *u = d->u;
    int err = t->err == -ENOENT ? 0 : t->err;

    if (t->err == 0 && t->counts) {
        u->r->deleted++;
        u->r->deleted_bytes += t->size;
    }
    if (err < 0 && d->err == 0) {
        u->deleter_failed = true;
        d->err = prune_fail(u, err, "%s cannot be deleted", t->name);
    }
    if (d->err == 0 && u->ask->progress)
        d->err = u->ask->progress(u->reach.segments, u->ask->ctx);
}

/* Waits until fewer than `most` are under way. */
static void take_down_to(struct deleting *d, unsigned most)
{
    while (crew_under_way(d->crew) >= most) {
        struct deletion *t = (struct deletion *)crew_take(d->crew, true);

        count_one(d, t);
        t->next = d->free;
        d->free = t;
    }
}

/* `size`: SIZE_UNCOUNTED for what belongs to another name. */
#define SIZE_UNCOUNTED UINT64_MAX

static int give(struct deleting *d, const char *name, uint64_t size)
{
    unsigned most = (unsigned)settings_get(&d->u->p->settings, SET_SHARD_PARALLEL);
    struct deletion *t;

    take_down_to(d, most);
    if (d->err < 0)
        return d->err;
    t = d->free;
    d->free = t->next;
    *t = (struct deletion){.shard = d->u->deleter,
                           .size = size == SIZE_UNCOUNTED ? 0 : size,
                           .counts = size != SIZE_UNCOUNTED};
    memcpy(t->name, name, strlen(name) + 1);
    crew_give(d->crew, &t->piece, most);
    return 0;
}

static int delete_segment(struct deleting *d, struct segment_pos at)
{
    char name[ARCHIVE_NAME_MAX + 1];
    uint64_t is;
    int err;

    archive_segment_name(d->u->lineage, at, name);
    err = give(d, name, 0);
    if (err < 0 || !map64_get(&d->u->bodies, reach_key(at), &is))
        return err;
    archive_body_name(d->u->lineage, at, name);
    return give(d, name, SIZE_UNCOUNTED);
}

static int delete_segments(struct deleting *d)
{
    const struct catalogue *c = &d->u->last;
    int err = 0;

    for (uint32_t i = 0; i < c->gone_count; i++) {
        struct segment_pos at = {c->gone[i].epoch, c->gone[i].first};

        for (; err == 0 && at.serial <= c->gone[i].last; at.serial++)
            if (at.serial > 1 && !reach_has(&d->u->reach, at))
                err = delete_segment(d, at);
    }
    return err;
}

static int delete_file(struct deleting *d, const struct listed_file *f)
{
    const struct entry e = {.kind = f->in_pack ? ENTRY_PACK : ENTRY_FILE,
                            .id = f->id,
                            .where = f->where,
                            .shard = d->u->archive};
    char name[DISK_NAME_MAX + 1], sums[DISK_NAME_MAX + 1], thin[DISK_NAME_MAX + 1];
    int err;

    objects_file_name(&e, f->where, name);
    if (f->in_pack && f->has_thin && !f->size && shard_thin_name(name, thin))
        return give(d, thin, f->thin_size);
    err = give(d, name, f->size);
    if (err == 0 && f->in_pack && f->has_thin && shard_thin_name(name, thin))
        err = give(d, thin, SIZE_UNCOUNTED);
    if (err == 0 && !f->in_pack && sums_name(name, sums) == 0)
        err = give(d, sums, SIZE_UNCOUNTED);
    return err;
}

/* A pack that is given up, and of which something is needed. */
static int thin_one(struct deleting *d, struct listed_file *f)
{
    struct listed_file whole = {.where = f->where, .size = f->size, .in_pack = true};
    int err = prune_thin(d->u, f);

    if (err <= 0)
        return err;
    whole.size -= f->thin_size < whole.size ? f->thin_size : whole.size; /* so much is gained */
    f->size = 0;
    f->has_thin = true;
    d->u->r->thinned++;
    return delete_file(d, &whole);
}

static enum prune_fate fate(struct prune *u, const struct listed_file *f)
{
    return catalogue_gives_up(&u->last, f->in_pack, f->where) ? prune_fate(u, f) : PRUNE_KEEP;
}

/* Those that are to be deleted leave the list of what is there. `packs`: packs, too. */
static int delete_files(struct deleting *d, bool packs)
{
    struct prune *u = d->u;
    size_t n = 0;
    int err = 0;

    for (size_t i = 0; i < u->file_count; i++) {
        const struct listed_file f = u->files[i];

        if (err == 0 && (packs || !f.in_pack) && fate(u, &f) == PRUNE_DELETE)
            err = delete_file(d, &f);
        else
            u->files[n++] = f;
    }
    u->file_count = n;
    return err;
}

/* It needs room in the archive, so it comes after what makes room. */
static int thin_packs(struct deleting *d)
{
    struct prune *u = d->u;
    int err = 0;

    for (size_t i = 0; err == 0 && i < u->file_count; i++) {
        if (fate(u, &u->files[i]) != PRUNE_THIN)
            continue;
        err = thin_one(d, &u->files[i]);
        if (err == 0 && u->ask->progress)
            err = u->ask->progress(u->reach.segments, u->ask->ctx);
    }
    return err;
}

/* Contents go after all segments that named them. */
static int delete_all(struct deleting *d, bool packs)
{
    int err = delete_segments(d);

    take_down_to(d, 1);
    if (err == 0 && d->err == 0)
        err = delete_files(d, packs);
    take_down_to(d, 1);
    if (err == 0 && d->err == 0 && packs)
        err = thin_packs(d);
    take_down_to(d, 1);
    return err < 0 ? err : d->err;
}

static int delete_by_crew(struct prune *u, bool packs)
{
    struct deleting d = {.u = u};
    int err = crew_open(delete_name, &d.crew);

    if (err < 0)
        return err;
    for (size_t i = 0; i < CREW_MAX; i++) {
        d.v[i].next = d.free;
        d.free = &d.v[i];
    }
    err = delete_all(&d, packs);
    crew_close(d.crew);
    return err;
}

/* What readers need until the next catalogue is put is needed in the deletion, and not for that
 * catalogue. */
int prune_delete(struct prune *u)
{
    const struct live needed = u->live;
    int err;

    if (!u->last.pack_count)
        return delete_by_crew(u, true);
    err = live_copy(&needed, &u->live);
    if (err < 0)
        return err;
    err = prune_note_last(u);
    if (err == 0)
        err = delete_by_crew(u, true);
    else if (err == -ENOENT ||
             err == -EUCLEAN) /* a state that the last catalogue keeps is damaged */
        err = delete_by_crew(u, false);
    live_release(&u->live);
    u->live = needed;
    return err;
}
