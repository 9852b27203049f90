// SPDX-License-Identifier: Apache-2.0
/* merge_sides: see the header. */
#include "merge_sides.h"

/* Lists the three by number. */
static void in_order(const struct merge_sides *s, struct ns *order[3])
{
    order[0] = s->base;
    order[1] = s->theirs;
    order[2] = s->ours;
    for (int i = 0; i < 3; i++)
        for (int j = i + 1; j < 3; j++)
            if (order[j]->number < order[i]->number) {
                struct ns *swap = order[i];

                order[i] = order[j];
                order[j] = swap;
            }
}

void merge_sides_lock(struct txn *t, const struct merge_sides *s)
{
    struct ns *order[3];

    in_order(s, order);
    for (int i = 0; i < 3; i++) {
        if (t && order[i] == s->ours)
            ns_lock(t, order[i]);
        else
            rwlock_rdlock(&order[i]->lock);
    }
}

void merge_sides_unlock(struct txn *t, const struct merge_sides *s)
{
    struct ns *order[3];

    in_order(s, order);
    for (int i = 2; i >= 0; i--) {
        if (t && order[i] == s->ours)
            ns_unlock(order[i]);
        else
            rwlock_rdunlock(&order[i]->lock);
    }
}
