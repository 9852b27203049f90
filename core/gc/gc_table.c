// SPDX-License-Identifier: Apache-2.0
/* gc_table: objects in the order of their ids, in one array, with 32 bytes for each. */
#include "gc_impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Reserves exactly what is needed: the table is the largest structure of the coordinator, and grows
 * once a cycle. */
int gc_table_reserve(struct gc_table *t, size_t more)
{
    size_t need, bytes;
    void *v;

    if (__builtin_add_overflow(t->count, more, &need) ||
        __builtin_mul_overflow(need, sizeof *t->v, &bytes))
        return -ENOMEM;
    if (need <= t->room)
        return 0;
    v = realloc(t->v, bytes);
    if (!v)
        return -ENOMEM;
    t->v = v;
    t->room = need;
    return 0;
}

void gc_table_squeeze(struct gc_table *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->count; i++)
        if (t->v[i].state != GC_NONE)
            t->v[kept++] = t->v[i];
    t->count = kept;
}

/* Merges from the back, so that no object is moved twice. */
void gc_table_merge(struct gc_table *t, const struct gc_table *found)
{
    size_t a = t->count, b = found->count, to = a + b;

    t->count = to;
    while (b > 0) {
        bool old = a > 0 && id_compare(&t->v[a - 1].id, &found->v[b - 1].id) > 0;
        t->v[--to] = old ? t->v[--a] : found->v[--b];
    }
}
