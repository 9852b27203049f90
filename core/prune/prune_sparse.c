// SPDX-License-Identifier: Apache-2.0
/*
 * prune_sparse: which packs are to be emptied (ship_held_repack): those of which the store needs
 * less than a quarter, by what its table says. States that are kept may need more of a pack; they
 * are given up some day, and what the store needs then is elsewhere.
 *
 * Only packs of epochs before the begin are looked at: all others are needed anyway. What a ghost
 * of this store needs stays, since its bytes are nowhere else. The choice decides about bytes and
 * requests, never about what is deleted, so nothing has to be held for it.
 */
#include "prune_impl.h"

#include "refs.h"
#include "state.h"
#include <errno.h>

#define SPARSE 4u /* a pack of which less than one part of so many is needed */
#define NEVER ((int64_t)1 << 62)

/* May that one be emptied, if little of it is needed? */
static bool is_old_pack(const struct prune *u, bool in_pack, uint64_t where)
{
    return in_pack && where >> 48 == u->lineage && (where >> 24 & 0xffffff) < u->begin.at.epoch;
}

static int add_row(struct prune *u, const struct archived_row *row, struct map64 *used)
{
    struct entry e;
    uint64_t number;
    int err;

    if (!is_old_pack(u, row->place.in_pack, row->place.where))
        return 0;
    err = refs_entry(u->p->refs, row->number, true, &number, &e);
    if (err < 0) /* it has just died */
        return err == -ENOENT ? 0 : err;
    return map64_add(used, row->place.where, (int64_t)e.size, NULL);
}

static int add_rows(struct prune *u, struct map64 *used)
{
    struct archived_row rows[ARCHIVED_AT_ONCE];
    uint64_t at = 0;
    ssize_t n;
    int err = 0;

    while (err == 0 &&
           (n = archived_list(u->p->archived, u->archive, &at, rows, ARCHIVED_AT_ONCE)) != 0) {
        err = n < 0 ? (int)n : 0;
        for (ssize_t i = 0; err == 0 && i < n; i++)
            err = add_row(u, &rows[i], used);
    }
    return err;
}

static int add_ghosts(struct prune *u, struct map64 *used)
{
    struct refs_ghosts_walk w = {.refs = u->p->refs, .shard = u->archive};
    struct entry e;
    int err;

    while ((err = refs_next_ghost(&w, &e)) == 0) {
        if (is_old_pack(u, e.kind == ENTRY_PACK, e.where))
            err = map64_put(used, e.where, (uint64_t)NEVER);
        if (err < 0)
            break;
    }
    return err == -ENOENT ? 0 : err;
}

static int choose(struct prune *u, const struct map64 *used, struct ship_repack *ret)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < u->file_count; i++) {
        const struct listed_file *f = &u->files[i];
        uint64_t bytes = 0;

        if (!is_old_pack(u, f->in_pack, f->where) || !map64_get(used, f->where, &bytes) ||
            bytes >= f->size / SPARSE)
            continue;
        err = map64_put(&ret->packs, f->where, 1);
        ret->live_bytes += bytes;
        ret->dead_bytes += f->size - bytes;
    }
    return err;
}

int prune_find_sparse(struct prune *u, struct ship_repack *ret)
{
    struct map64 used = MAP64_INIT;
    int err = add_rows(u, &used);

    if (err == 0)
        err = add_ghosts(u, &used);
    if (err == 0)
        err = choose(u, &used, ret);
    map64_release(&used);
    return err < 0 ? prune_fail(u, err, "what this store needs cannot be read") : 0;
}
