// SPDX-License-Identifier: Apache-2.0
/* lanes: see the header. */
#include "lanes.h"

#include <stdbool.h>
#include <stdlib.h>

enum { LANES_MOST = 64 };

static int compare(const void *a, const void *b)
{
    const struct lane *x = a, *y = b;
    if (x->from != y->from) {
        return x->from < y->from ? -1 : 1;
    }
    if (x->to != y->to) {
        return x->to < y->to ? -1 : 1;
    }
    return (x->of > y->of) - (x->of < y->of);
}

void lanes_assign(struct lane *v, size_t count, int most)
{
    size_t end[LANES_MOST] = {0}; /* the row behind the last line of each lane */
    most = most > LANES_MOST ? LANES_MOST : most;
    if (count > 1) {
        qsort(v, count, sizeof(*v), compare);
    }
    for (size_t i = 0; i < count; i++) {
        int lane = 0;
        while (lane < most - 1 && end[lane] > v[i].from) {
            lane++;
        }
        v[i].number = lane;
        end[lane] = v[i].to + 1 > end[lane] ? v[i].to + 1 : end[lane];
    }
}
