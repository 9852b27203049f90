// SPDX-License-Identifier: Apache-2.0
/* restore_try: all of a restore but showing it: does it work? */
#include "ns_restore.h"

#include "ns_branch.h"
#include "ns_draft.h"
#include "ns_point.h"
#include "restore_pin.h"
#include "state.h"
#include "tree_item.h"
#include <errno.h>
#include <string.h>

/* Compares the sum of what is held here of the instant with that of the plan. The tree is read
 * through a draft: who changes the point does not wait. */
static int compare_point(struct state *p, struct ns *point, const struct segment_section *last)
{
    uint8_t sum[SEGMENT_STATE_LEN];
    struct ns *draft;
    uint64_t absent;
    int err = ns_draft_of(p, point, &draft);

    if (err < 0)
        return err;
    err = tree_item_sum(p, &draft->tree, sum, &absent);
    ns_draft_drop(p, draft);
    return err == 0 && memcmp(sum, last->state, sizeof sum) != 0 ? -EUCLEAN : err;
}

static bool is_instant(const struct ns *point, const struct segment_instant *is)
{
    return point->hidden.of.ns == is->ns && point->hidden.of.generation == is->generation &&
           point->hidden.of.seq == is->seq && point->hidden.since == is->since;
}

/* If a point here is the instant it has the tree that was restored. Where contents are lost it is
 * not compared: the point may have some without an id. */
static int compare_here(struct state *p, const struct restore_plan *plan,
                        struct restore_result *ret, struct strbuf *why)
{
    const struct segment_section *last = &plan->steps[plan->count - 1].section;
    struct ns_point note;
    struct ns *point;
    int err = 0;

    for (uint32_t at = 0; err == 0 && !plan->lost && ns_point_next(p, at, &point, &note) == 0;) {
        at = point->number;
        if (is_instant(point, &last->is)) {
            err = compare_point(p, point, last);
            ret->compared |= err == 0;
            err = err == -ENOENT ? 0 : err; /* the next segment has taken its place */
        }
        ns_put(p, point);
    }
    if (err == -EUCLEAN && why->len == 0)
        strbuf_adds(why, "the archive has another tree than the one that is held here");
    return err;
}

int restore_try(struct state *p, const struct restore_plan *plan, unsigned read,
                restore_progress_fn *progress, void *ctx, struct restore_result *ret,
                struct strbuf *why)
{
    struct ns *draft;
    int err = restore_begin(p, plan, why);

    *ret = (struct restore_result){0};
    if (err < 0)
        return err;
    err = ns_draft(p, "drill", &draft);
    if (err == 0) {
        err = restore_load(p, plan, draft, read, progress, ctx, ret, why);
        if (err == 0)
            err = compare_here(p, plan, ret, why);
        ns_draft_drop(p, draft);
    }
    restore_end(p, plan);
    return err;
}
