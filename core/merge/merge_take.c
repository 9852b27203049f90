// SPDX-License-Identifier: Apache-2.0
/* merge_take: see the header. The base of the merge is a draft of the namespace as it is. */
#include "merge_take.h"

#include "merge_tell.h"
#include "ns_branch.h"
#include "ns_draft.h"
#include <errno.h>

int merge_take_begin(struct state *p, struct ns *ns, struct ns *draft, struct merge_take *ret)
{
    struct ns *was;
    int err;

    *ret = (struct merge_take){.plan = {.rule = MERGE_FAIL}};
    err = ns_draft_of(p, ns, &was);
    if (err < 0)
        return err;
    ret->a.sides.base = was;
    ret->a.made = draft;
    ret->a.put = (struct merge_sides){.base = was, .theirs = draft, .ours = ns};
    merge_sides_lock(NULL, &ret->a.put);
    err = merge_plan_make(p, &ret->a.put, &ret->plan);
    merge_sides_unlock(NULL, &ret->a.put);
    return err == 0 && ret->plan.conflict_count ? -EBUSY : err;
}

int merge_take_room(struct txn *t, struct merge_take *k, size_t *ret_needs)
{
    size_t stay = 0;
    int err;

    merge_sides_lock(t, &k->a.put);
    err = merge_aside_stay(t, &k->a, &k->plan, &stay);
    merge_sides_unlock(t, &k->a.put);
    *ret_needs = OP_HEAD_MAX + stay * RENEW_ROOM;
    return err == -ESTALE ? -EBUSY : err;
}

int merge_take_put(struct txn *t, struct merge_take *k)
{
    int err;

    merge_sides_lock(t, &k->a.put);
    err = merge_aside_put(t, &k->a, &k->plan);
    merge_sides_unlock(t, &k->a.put);
    return err;
}

void merge_take_tell(struct state *p, const struct merge_take *k)
{
    merge_tell(p, k->a.put.ours, &k->plan);
}

void merge_take_end(struct state *p, struct merge_take *k)
{
    k->a.made = NULL; /* the draft is the caller's */
    merge_plan_release(&k->plan);
    merge_aside_end(p, &k->a);
}
