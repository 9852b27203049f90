// SPDX-License-Identifier: Apache-2.0
/*
 * lost: rows of the tables that are missing although pages or other rows need them, and counts that
 * differ from a recount. Each function reads one committed state, which is consistent in itself.
 *
 *     lost_find(snap, &count, &numbers)    after recount_run: object numbers without an entry
 *     lost_guard(kv, ...)                   before bytes that no entry names are deleted
 *     lost_look(kv, &o)                     all of these, for a scrub
 *
 * A rebuild that finds no bytes for a number leaves an entry of kind NEW with a count. Such an
 * entry counts as lost, too. Errors: 0 or -errno: -ENOMEM, -EIO, -ECANCELED (a `step` returned
 * true).
 */
#pragma once

#include "entry.h"
#include "map64.h"
#include "recount.h"

/* Added to the count of an entry that was put back without a recount: its references are not known
 * until a rebuild counts them, and too high a count deletes nothing. */
#define RESTORE_BIAS (UINT32_C(1) << 20)

/* Fills *ret with number -> references for each number that `count` names and that has no entry, a
 * damaged one, or one without bytes, as a rebuild leaves it. The caller releases *ret. */
int lost_find(struct kv_snap *snap, const struct recount *count, struct map64 *ret);
/* Asks whether bytes that no entry names may be deleted. -EUCLEAN, with an alarm: some number is
 * lost, or damage hides a part of the trees, so those bytes could belong to it. Walks all trees;
 * `step` is that of recount.h. */
int lost_guard(struct kv *kv, bool (*step)(uint64_t pages, void *ctx), void *ctx);

/* Notes durably that rows of any table may be lost, those of namespaces, too, and nobody knows
 * which: a part of the file with the tables could not be read. Every later recount is `damaged`, so
 * nothing that looks unused is freed. A repair that is asked to free leaks removes the note
 * (repair.h). How many bytes are stored is counted by the next start. */
int lost_rows_note(struct kv *kv);

struct lost_look {
    /* Called for each number that has `refs` references and no entry. A result other than 0 of this
     * or of `wrong` ends the look and is returned. */
    int (*lost)(uint64_t number, uint64_t refs, void *ctx);
    /* Called for each row that is missing or has a wrong count: `what` names the row, `why` says
     * what is wrong and how to repair it. */
    int (*wrong)(const char *what, const char *why, void *ctx);
    /* As in recount.h. */
    bool (*step)(uint64_t pages, void *ctx);
    bool pool; /* a pack that the table does not have may be that of another store */
    void *ctx;
};
/* Looks for all of it, and reports by `o`. What scrubs of other tables report (an entry or a whole
 * table that is damaged) is skipped here. It takes one snapshot for the whole walk. */
int lost_look(struct kv *kv, const struct lost_look *o);

/* What entries name in packs at home, and the dying that have no entry any more. */
struct lost_packs {
    struct map64 records, bytes; /* pack number -> live records, and live bytes */
};
/* Counts into *ret, which the caller has set to zeros and releases. */
int lost_count_packs(struct kv_snap *snap, struct lost_packs *ret);
void lost_packs_release(struct lost_packs *p);
