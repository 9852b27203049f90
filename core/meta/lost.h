// SPDX-License-Identifier: Apache-2.0
/*
 * lost: rows of the tables that are gone although pages or other rows need them, and counts that
 * are not what a recount gives. Of one committed state, which is consistent in itself.
 *
 *     lost_find(snap, &count, &numbers)    after recount_run: object numbers without an entry
 *     lost_guard(kv, ...)                   before bytes that no entry names are deleted
 *     lost_look(kv, &o)                    all of it, for a scrub
 *
 * An entry that is NEW and has a count is what a rebuild left where it found no bytes: as good as
 * lost. Errors: 0 or -errno: -ENOMEM, -EIO, -ECANCELED.
 */
#pragma once

#include "entry.h"
#include "map64.h"
#include "recount.h"

/* By this much too high is the count of an entry that was put back: nobody knows its references, until
 * a rebuild counts them. */
#define RESTORE_BIAS (UINT32_C(1) << 20)

bool lost_is_stub(const struct entry *e);
/* Number -> references, of what is named and has no entry that decodes. */
int lost_find(struct kv_snap *snap, const struct recount *count, struct map64 *ret);
/* -EUCLEAN, and alarms: some number is lost, or may be, for damage hides a part of the trees; and
 * unnamed bytes may be its. Walks all trees; `step` as in recount.h. */
int lost_guard(struct kv *kv, bool (*step)(uint64_t pages, void *ctx), void *ctx);

struct lost_look {
    /* `refs` references exist, and no entry. What these return but 0 ends the look. */
    int (*lost)(uint64_t number, uint64_t refs, void *ctx);
    int (*wrong)(const char *what, const char *why, void *ctx);
    bool (*step)(uint64_t pages, void *ctx);
    bool pool; /* packs that the table does not have may be others' */
    void *ctx;
};
int lost_look(struct kv *kv, const struct lost_look *o);

/* What entries, and the dying without one, name in packs at home. */
struct lost_packs {
    struct map64 records, bytes; /* by pack */
};
int lost_count_packs(struct kv_snap *snap, struct lost_packs *ret);
void lost_packs_release(struct lost_packs *p);
