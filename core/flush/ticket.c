// SPDX-License-Identifier: Apache-2.0
/* ticket: see the header. */
#include "ticket.h"
#include "lock.h"
#include "waits.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* See the header. */
struct ticket {
    _Atomic unsigned refs;
    uint64_t number, snapshot; /* fixed before others see it */
    const struct clock *clock;
    struct mutex lock; /* "ticket": guards the rest */
    struct cond changed;
    bool done, dropped;
    int error;       /* once done: the error that the flush ended with, or 0 */
    int attempt;     /* error of the last failed attempt */
    uint64_t failed; /* number of failed attempts */
};

struct ticket *ticket_create(const struct clock *clock)
{
    struct ticket *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    t->clock = clock;
    mutex_init(&t->lock, "ticket");
    cond_init(&t->changed);
    return t;
}

struct ticket *ticket_ref(struct ticket *t)
{
    atomic_fetch_add(&t->refs, 1);
    return t;
}

void ticket_unref(struct ticket *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
        return;
    mutex_destroy(&t->lock);
    cond_destroy(&t->changed);
    free(t);
}

void ticket_set(struct ticket *t, uint64_t number, uint64_t snapshot)
{
    t->number = number;
    t->snapshot = snapshot;
}

uint64_t ticket_number(const struct ticket *t)
{
    return t->number;
}

uint64_t ticket_snapshot(const struct ticket *t)
{
    return t->snapshot;
}

void ticket_resolve(struct ticket *t, int error, bool dropped)
{
    MUTEX_GUARD(&t->lock);

    if (t->done)
        return;
    t->done = true;
    t->dropped = dropped;
    t->error = error;
    cond_broadcast(&t->changed);
}

void ticket_tell(struct ticket *t, int error)
{
    MUTEX_GUARD(&t->lock);

    t->attempt = error;
    t->failed++;
    cond_broadcast(&t->changed);
}

const char *ticket_describe(int err)
{
    const char *text = strerrordesc_np(-err);

    return text ? text : "unknown error";
}

/* Appends a sentence about the error `err` of a wait to `why`, and returns `err`. */
static int explain(const struct ticket *t, int err, struct strbuf *why)
{
    if (!why || err == 0)
        return err;
    if (err == -ETIMEDOUT || err == -EINTR)
        strbuf_addf(why, "flush %llu is not through yet", (unsigned long long)t->number);
    else if (t->dropped)
        strbuf_addf(why, "dropped before completion: %s", ticket_describe(err));
    else
        strbuf_addf(why, "flush stream failed: %s", ticket_describe(err));
    if ((err == -ETIMEDOUT || err == -EINTR) && t->failed)
        strbuf_addf(why, "; %llu tries failed, the last with: %s", (unsigned long long)t->failed,
                    ticket_describe(t->attempt));
    return err;
}

/* Is the wait over? 0: the flush is finalized; < 0: the wait ends with this error; 1: wait at most
 * *ret_nap ns and ask again. Needs the lock. */
static int await_state(struct ticket *t, bool patient, int64_t until,
                       const _Atomic bool *interrupted, int64_t *ret_nap)
{
    int64_t left = until < 0 ? TICKET_LOOK_EVERY : until - clock_ticks(t->clock);

    if (t->done && t->error == 0)
        return 0;
    if (!patient && t->failed) /* this error says more than that of a flush that was given up */
        return t->attempt;
    if (t->done)
        return t->error;
    if (interrupted && atomic_load(interrupted))
        return -EINTR;
    if (left <= 0)
        return -ETIMEDOUT;
    *ret_nap = left < TICKET_LOOK_EVERY ? left : TICKET_LOOK_EVERY;
    return 1;
}

int ticket_wait(struct ticket *t, bool patient, int64_t timeout, const _Atomic bool *interrupted,
                struct strbuf *why)
{
    int64_t until = timeout < 0 ? -1 : clock_ticks(t->clock) + timeout, nap = 0;
    MUTEX_GUARD(&t->lock);
    WAITS_GUARD(WAITS_ROOM, "a flush", 0, NULL); /* tried again as long as it fails */
    int err;

    while ((err = await_state(t, patient, until, interrupted, &nap)) > 0)
        (void)cond_wait_for(&t->changed, &t->lock, nap);
    return explain(t, err, why);
}
