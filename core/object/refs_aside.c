// SPDX-License-Identifier: Apache-2.0
/*
 * refs_aside: numbers that no frame of the log makes. r->aside leads from each of them to the batch
 * whose commit will have its place, or to UNPLACED. Once that batch is durable, a start finds the
 * number like any other, and it leaves the map.
 */
#include "refs_impl.h"
#include <errno.h>

#define UNPLACED UINT64_MAX

int refs_new_aside(struct refs *r, uint64_t *ret_number)
{
    uint64_t number;
    int err = refs_new(r, &number);

    if (err < 0)
        return err;
    {
        MUTEX_GUARD(&r->lock);
        err = map64_put(&r->aside, number, UNPLACED);
        if (err == 0) /* no frame speaks of it: after a death nothing else would find it */
            err = refs_make_dying(r, number, &(struct entry){.kind = ENTRY_NEW});
        if (err == 0)
            err = refs_hold_locked(r, number, +1);
    }
    if (err < 0) {
        refs_cancel(r, number);
        return err;
    }
    *ret_number = number;
    return 0;
}

void refs_drop_aside(struct refs *r, uint64_t number)
{
    refs_cancel(r, number); /* before the hold goes, so that nobody collects it */
    refs_unhold(r, number);
}

bool refs_is_aside(struct refs *r, uint64_t number)
{
    uint64_t batch;
    MUTEX_GUARD(&r->lock);

    return map64_get(&r->aside, number, &batch);
}

void refs_aside_placed(struct refs *r, uint64_t number)
{
    uint64_t batch;

    mutex_held(&r->lock);
    if (map64_get(&r->aside, number, &batch))
        (void)map64_put(&r->aside, number, r->batch); /* it is there: this needs no memory */
}

void refs_aside_retire(struct refs *r)
{
    struct map64 left = MAP64_INIT;
    uint64_t number, batch;
    size_t at = 0;
    int err = 0;

    mutex_held(&r->lock);
    while (err == 0 && map64_next(&r->aside, &at, &number, &batch))
        if (batch >= r->durable)
            err = map64_put(&left, number, batch);
    if (err < 0) { /* all of them stay until the next commit */
        map64_release(&left);
        return;
    }
    map64_release(&r->aside);
    r->aside = left;
}

int refs_find_logged(struct refs *r, const struct id *id, uint64_t *ret_number, struct entry *ret)
{
    uint64_t number;
    bool pending;
    int err = refs_find(r, id, &number, ret, &pending);

    if (err < 0)
        return err == -EAGAIN ? -ENOENT : err;
    if (refs_is_aside(r, number)) {
        refs_unhold(r, number);
        return -ENOENT;
    }
    *ret_number = number;
    return 0;
}
