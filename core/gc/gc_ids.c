// SPDX-License-Identifier: Apache-2.0
/*
 * gc_ids: linear probing at a load of at most 2/3, deletion by shifting back, as map64 does it. Ids
 * are hashes already: eight bytes of one say where it belongs.
 */
#include "bytes.h"
#include "gc_impl.h"
#include <errno.h>
#include <stdlib.h>

static size_t home(const struct gc_ids *s, const struct id *id)
{
    return (size_t)((get_le64(id->b) * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (s->room - 1);
}

/* The slot of `id`, or the free one where it would go. Needs room. */
static size_t find(const struct gc_ids *s, const struct id *id)
{
    size_t i = home(s, id);

    while (s->used[i] && !id_equal(&s->slots[i], id))
        i = (i + 1) & (s->room - 1);
    return i;
}

static int grow(struct gc_ids *s)
{
    struct gc_ids bigger = {.room = s->room ? s->room * 2 : 64, .count = s->count};

    bigger.slots = calloc(bigger.room, sizeof *bigger.slots);
    bigger.used = calloc(bigger.room, 1);
    if (!bigger.slots || !bigger.used) {
        free(bigger.slots);
        free(bigger.used);
        return -ENOMEM;
    }
    for (size_t i = 0; i < s->room; i++)
        if (s->used[i]) {
            size_t at = find(&bigger, &s->slots[i]);
            bigger.slots[at] = s->slots[i];
            bigger.used[at] = 1;
        }
    gc_ids_release(s);
    *s = bigger;
    return 0;
}

void gc_ids_release(struct gc_ids *s)
{
    free(s->slots);
    free(s->used);
    *s = (struct gc_ids){0};
}

bool gc_ids_has(const struct gc_ids *s, const struct id *id)
{
    return s->count && s->used[find(s, id)];
}

int gc_ids_add(struct gc_ids *s, const struct id *id)
{
    size_t i;
    int err = s->count * 3 >= s->room * 2 ? grow(s) : 0;

    if (err < 0)
        return err;
    i = find(s, id);
    s->count += !s->used[i];
    s->slots[i] = *id;
    s->used[i] = 1;
    return 0;
}

bool gc_ids_del(struct gc_ids *s, const struct id *id)
{
    size_t i, j, mask = s->room - 1;

    if (!gc_ids_has(s, id))
        return false;
    i = find(s, id);
    for (j = (i + 1) & mask; s->used[j]; j = (j + 1) & mask) {
        size_t h = home(s, &s->slots[j]);
        /* May slot j move to i? Only if its home is not cyclically in (i, j]. */
        if (((j - h) & mask) >= ((j - i) & mask)) {
            s->slots[i] = s->slots[j];
            i = j;
        }
    }
    s->used[i] = 0;
    s->count--;
    return true;
}

int gc_ids_add_all(struct gc_ids *s, const struct gc_ids *from)
{
    int err = 0;

    for (size_t i = 0; i < from->room && err == 0; i++)
        if (from->used[i])
            err = gc_ids_add(s, &from->slots[i]);
    return err;
}
