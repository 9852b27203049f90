// SPDX-License-Identifier: Apache-2.0
/* txn: see the header. capture.c has what a txn notes. */
#include "txn.h"

#include "io.h"
#include "log_promise.h"
#include "nowait.h"
#include "state.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SPARE_MAX ((size_t)1024 * 1024) /* bytes; larger memory of a change is not kept */
#define ROOM_SLACK ((size_t)64 * 1024)  /* bytes of operations beside the data of a change */

/* ---- room ---- */

/* The request of the kernel that this thread serves. */
static _Thread_local uint64_t request;

void txn_set_request(uint64_t unique)
{
    request = unique;
}

uint64_t txn_request(void)
{
    return request;
}

static size_t room_for(size_t bytes)
{
    return bytes + ROOM_SLACK;
}

/* Promises in the tables, before the first frame, that a log must exist (log_promise.h). */
static int promise(struct state *p)
{
    int err;

    if (atomic_load(&p->promised))
        return 0;
    err = log_promise_save(p->config.kv, p->epoch);
    if (err == -EIO) /* as after any commit that failed so */
        state_turn_readonly(p, "a commit", err);
    if (err == 0)
        atomic_store(&p->promised, true);
    return err;
}

/* The memory of the last change, if it is large enough, or new memory. NULL: there is none. */
static struct txn_memory *take_memory(struct state *p, size_t bytes)
{
    struct txn_memory *m = atomic_exchange(&p->spare, NULL);

    if (m && m->size >= bytes)
        return m;
    free(m);
    m = malloc(sizeof(*m) + bytes);
    if (m)
        m->size = bytes;
    return m;
}

/* Gets the memory for room in the log that was reserved. Without memory the room is given back. */
static int have_room(struct state *p, size_t bytes, struct txn_room *ret)
{
    struct txn_memory *m = take_memory(p, bytes);

    if (!m) {
        log_room_done(p->log, bytes);
        return -ENOMEM;
    }
    *ret = (struct txn_room){p, bytes, m};
    return 0;
}

/* Gives the room in the log back, and keeps the memory for the next change. */
static void room_done(struct txn_room *r)
{
    struct txn_memory *m = r->memory;

    if (r->p)
        log_room_done(r->p->log, r->bytes);
    if (m && m->size <= SPARE_MAX)
        m = atomic_exchange(&r->p->spare, m);
    free(m);
    *r = (struct txn_room){.p = NULL};
}

/* The reason why no frame can be written: what this start recovered is not committed yet, or there
 * is no log. 0: one can be. */
static int refused(struct state *p)
{
    if (atomic_load(&p->unsettled))
        return state_refuses(p);
    return !p->log && atomic_load(&p->readonly) ? -EROFS : 0;
}

/* Reserves room in the log. If the log is full, a flush is run: its commit trims the log. */
static int wait_for_room(struct state *p, size_t want)
{
    int err = log_room(p->log, want);

    if (io_is_full(err)) {
        err = p->hooks->flush(p); /* its commit trims the log */
        if (err == 0)
            err = log_room(p->log, want);
    }
    if (err < 0)
        return err;
    err = promise(p);
    if (err < 0)
        log_room_done(p->log, want);
    return err;
}

/* Reserves room and memory. `wait` false: at once, or -EWOULDWAIT. */
static int take_room(struct state *p, size_t bytes, bool wait, struct txn_room *ret)
{
    size_t want = room_for(bytes);
    int err = refused(p);

    *ret = (struct txn_room){.p = NULL};
    if (err < 0 || !p->log)
        return err;
    if (wait)
        err = wait_for_room(p, want);
    else
        err = atomic_load(&p->promised) && log_room_now(p->log, want) ? 0 : -EWOULDWAIT;
    return err < 0 ? err : have_room(p, want, ret);
}

/* ---- beginning and ending ---- */

/* Takes the freeze lock. A commit that begins holds it for writing while it seals the last
 * contents, and that writes to the disk, which may take for ever. So with `wait` false the lock is
 * taken if it is free. False: it was not. */
static bool take_freeze_lock(struct state *p, bool alone, bool wait)
{
    if (!wait)
        return alone ? rwlock_trywrlock(&p->freeze_lock) : rwlock_tryrdlock(&p->freeze_lock);
    if (alone)
        rwlock_wrlock(&p->freeze_lock);
    else
        rwlock_rdlock(&p->freeze_lock);
    return true;
}

/* Sets the fields. `small` and the arrays, whose counts are 0, are left as they are: clearing them
 * would cost time in every change. */
static void open_txn(struct state *p, const struct txn_room *room, bool alone, struct txn *t)
{
    t->p = p;
    t->ns = NULL;
    t->remote = NULL;
    t->alone = alone;
    t->request = request;
    t->reserved = *room;
    t->room_left = room->bytes;
    t->data = NULL;
    t->borrowed = t->bars = false;
    t->len = t->room = 0;
    t->borrowed_count = t->borrowed_len = 0;
    t->error = 0;
    t->history = NULL;
    t->held_count = 0;
}

/* Reserves the room first, because that may wait, and takes the freeze lock then. */
static int begin_txn(struct state *p, size_t bytes, bool wait, bool alone, struct txn *ret)
{
    struct txn_room room;
    int err = take_room(p, bytes, wait, &room);

    if (err < 0)
        return err;
    if (!take_freeze_lock(p, alone, wait)) {
        room_done(&room);
        return -EWOULDWAIT;
    }
    open_txn(p, &room, alone, ret);
    return 0;
}

int txn_begin(struct state *p, size_t bytes, struct txn *ret)
{
    return begin_txn(p, bytes, thread_may_wait(), false, ret);
}

int txn_begin_alone(struct state *p, size_t bytes, struct txn *ret)
{
    return begin_txn(p, bytes, thread_may_wait(), true, ret);
}

int txn_begin_now(struct state *p, struct txn *ret)
{
    return begin_txn(p, 0, false, false, ret);
}

void txn_open(struct state *p, bool alone, struct txn *ret)
{
    (void)take_freeze_lock(p, alone, true);
    open_txn(p, &(struct txn_room){.p = NULL}, alone, ret);
}

void txn_end(struct txn *t)
{
    struct state *p = t->p;
    uint64_t seq;

    if (!p)
        return;
    capture_no_history(t);
    if (t->len || t->error) /* what a failed change left */
        (void)capture_emit(t, 0, &seq);
    assert(t->len == 0 && t->held_count == 0 && !t->bars);
    t->p = NULL;
    if (!t->borrowed)
        free(t->data);
    if (t->alone)
        rwlock_wrunlock(&p->freeze_lock);
    else
        rwlock_rdunlock(&p->freeze_lock);
    room_done(&t->reserved);
    ns_put(p, t->ns);
}

/* ---- the trees it changes ---- */

void ns_lock(struct txn *t, struct ns *ns)
{
    rwlock_wrlock(&ns->lock);
    ns->observer.txn = t;
}

void ns_unlock(struct ns *ns)
{
    ns->observer.txn = NULL;
    rwlock_wrunlock(&ns->lock);
}

void ns_guard_leave(struct ns **ns)
{
    capture_rest((*ns)->observer.txn, *ns);
    ns_unlock(*ns);
}

void orphans_lock(struct txn *t, struct ns *of)
{
    struct orphans *o = &t->p->orphans;

    rwlock_held_write(&of->lock);
    rwlock_wrlock(&o->lock);
    o->observer.txn = t;
    o->of = of;
    o->before = o->tree.usage;
}

void orphans_unlock(struct orphans *o)
{
    usage_add(&o->of->unlinked, o->tree.usage);
    usage_take(&o->of->unlinked, o->before);
    o->of = NULL;
    o->observer.txn = NULL;
    rwlock_wrunlock(&o->lock);
}

void orphans_guard_leave(struct orphans **o)
{
    orphans_unlock(*o);
}
