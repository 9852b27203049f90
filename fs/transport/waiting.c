// SPDX-License-Identifier: Apache-2.0
/* waiting: 16 short lists, each with its own lock, so that threads seldom wait for one another. */
#include "waiting.h"

#include "array.h"
#include "lock.h"
#include "requests.h"

#include <errno.h>
#include <stdlib.h>

#define LISTS 16

struct request {
    struct waiting_request r;
    int64_t since; /* monotonic ns */
};

struct list {
    struct mutex lock;  /* "waiting" */
    struct request *v;  /* guarded by: lock */
    size_t count, room; /* guarded by: lock */
};

struct waiting {
    const struct clock *clock;
    struct list list[LISTS];
};

static struct list *list_of(struct waiting *w, uint64_t unique)
{
    return &w->list[unique / 2 % LISTS]; /* the kernel numbers requests in steps of two */
}

void waiting_add(struct waiting *w, const struct waiting_request *r)
{
    if (!w)
        return;
    const struct request one = {.r = *r, .since = clock_ticks(w->clock)};
    struct list *l = list_of(w, r->unique);
    MUTEX_GUARD(&l->lock);
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) == 0)
        l->v[l->count++] = one;
}

void waiting_hand(struct waiting *w, uint64_t unique, int worker)
{
    if (!w)
        return;
    struct list *l = list_of(w, unique);
    MUTEX_GUARD(&l->lock);
    for (size_t i = 0; i < l->count; i++)
        if (l->v[i].r.unique == unique)
            l->v[i].r.worker = worker;
}

/* The order of a list does not matter, so the last one takes the place of the removed one. */
bool waiting_done(struct waiting *w, uint64_t unique, struct waiting_request *ret)
{
    if (!w)
        return false;
    const int64_t now = clock_ticks(w->clock);
    struct list *l = list_of(w, unique);
    MUTEX_GUARD(&l->lock);
    for (size_t i = 0; i < l->count; i++)
        if (l->v[i].r.unique == unique) {
            *ret = l->v[i].r;
            ret->took = now - l->v[i].since;
            l->v[i] = l->v[--l->count];
            return true;
        }
    return false;
}

/* ---- looking ---- */

/* Counts the requests and finds the one that has waited longest. The lists are looked at one after
 * the other, so the result is not of one instant. */
void waiting_describe(struct waiting *w, struct view_edge *ret)
{
    if (!w)
        return;
    const int64_t now = clock_ticks(w->clock);
    for (size_t n = 0; n < LISTS; n++) {
        struct list *l = &w->list[n];
        MUTEX_GUARD(&l->lock);
        ret->waiting += l->count;
        for (size_t i = 0; i < l->count; i++)
            if (now - l->v[i].since >= ret->longest_wait) {
                ret->longest_wait = now - l->v[i].since;
                ret->longest_kind = requests_name(l->v[i].r.opcode);
            }
    }
}

size_t waiting_late(struct waiting *w, int64_t least, struct waiting_request *ret, size_t max)
{
    if (!w)
        return 0;
    const int64_t now = clock_ticks(w->clock);
    size_t count = 0;
    for (size_t n = 0; n < LISTS; n++) {
        struct list *l = &w->list[n];
        MUTEX_GUARD(&l->lock);
        for (size_t i = 0; i < l->count; i++) {
            if (now - l->v[i].since < least)
                continue;
            if (count < max) {
                ret[count] = l->v[i].r;
                ret[count].took = now - l->v[i].since;
            }
            count++;
        }
    }
    return count;
}

/* ---- its life ---- */

int waiting_new(const struct clock *clock, struct waiting **ret_w)
{
    struct waiting *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->clock = clock;
    for (size_t n = 0; n < LISTS; n++)
        mutex_init(&w->list[n].lock, "waiting");
    *ret_w = w;
    return 0;
}

void waiting_free(struct waiting *w)
{
    if (!w)
        return;
    for (size_t n = 0; n < LISTS; n++) {
        free(w->list[n].v);
        mutex_destroy(&w->list[n].lock);
    }
    free(w);
}
