// SPDX-License-Identifier: Apache-2.0
/*
 * change: the end of a change of an open store; when no change is taken any more; and what the
 * mount is to report to the kernel.
 */
#include "state.h"
#include "report.h"
#include "stuck.h"
#include <errno.h>
#include <string.h>

int state_changed(struct txn *t, struct ns *ns)
{
    uint64_t seq;
    int err;

    capture_note_history(t);
    err = capture_emit(t, ns ? ns->number : 0, &seq);

    if (err == 0 && ns) {
        ns->seq = seq;
        ns->dirty = true;
    }
    return err;
}

int state_writable(struct state *p)
{
    if (atomic_load_explicit(&p->closing, memory_order_relaxed))
        return -ESHUTDOWN;
    if (atomic_load_explicit(&p->readonly, memory_order_relaxed))
        return -EROFS;
    return atomic_load_explicit(&p->unsettled, memory_order_relaxed) ? state_refuses(p) : 0;
}

int state_root_writable(struct state *p)
{
    return atomic_load(&p->follows) ? -EROFS : state_writable(p);
}

uint64_t state_seq(struct state *p)
{
    return atomic_load(&p->seq);
}

/* ---- events ---- */

/* Ends the events. When it returns, no call of an event runs, and none will begin. */
static void end_events(struct state *p)
{
    MUTEX_GUARD(&p->events_lock);

    atomic_store(&p->events_end, true);
    atomic_store(&p->has_events, false);
    while (atomic_load(&p->in_events) > 0)
        cond_wait(&p->events_left, &p->events_lock);
    atomic_store(&p->events_end, false);
}

void state_watch_patience(struct state *p, void (*fn)(void *ctx, int64_t ns), void *ctx)
{
    settings_watch(&p->settings, SET_WATCHDOG_PATIENCE, fn, ctx);
    fn(ctx, settings_get(&p->settings, SET_WATCHDOG_PATIENCE));
}

struct latency *state_latency(struct state *p)
{
    return p->latency;
}

struct profile *state_profile(struct state *p)
{
    return p->profile;
}

void state_set_events(struct state *p, const struct state_events *events)
{
    end_events(p);
    if (!events)
        return;
    p->events = *events;
    atomic_store(&p->has_events, true);
}

/* Ends the call that enter_events began, and wakes end_events after the last one. */
static void leave_events(struct state *p)
{
    if (atomic_fetch_sub(&p->in_events, 1) > 1 || !atomic_load(&p->events_end))
        return;
    MUTEX_GUARD(&p->events_lock);
    cond_broadcast(&p->events_left);
}

/* The events to call, until leave_events; NULL: there are none. */
static const struct state_events *enter_events(struct state *p)
{
    if (!atomic_load(&p->has_events))
        return NULL;
    atomic_fetch_add(&p->in_events, 1);
    if (atomic_load(&p->has_events)) /* otherwise end_events may not have seen us */
        return &p->events;
    leave_events(p);
    return NULL;
}

void event_stale(struct state *p, uint64_t nodeid)
{
    const struct state_events *e = enter_events(p);

    if (!e)
        return;
    if (e->stale)
        e->stale(e->ctx, nodeid);
    leave_events(p);
}

void event_name(struct state *p, uint64_t nodeid, const char *name)
{
    const struct state_events *e = enter_events(p);

    if (!e)
        return;
    if (e->name)
        e->name(e->ctx, nodeid, name);
    leave_events(p);
}

void event_bytes(struct state *p, uint64_t nodeid)
{
    const struct state_events *e = enter_events(p);

    if (!e)
        return;
    if (e->bytes)
        e->bytes(e->ctx, nodeid);
    leave_events(p);
}

void event_rights(struct state *p, uint64_t nodeid)
{
    const struct state_events *e = enter_events(p);

    if (!e)
        return;
    if (e->rights)
        e->rights(e->ctx, nodeid);
    leave_events(p);
}

void event_write_back(struct state *p, uint64_t nodeid)
{
    const struct state_events *e = enter_events(p);

    if (!e)
        return;
    if (e->write_back)
        e->write_back(e->ctx, nodeid);
    leave_events(p);
}

bool event_describe(struct state *p, struct view_edge *ret)
{
    const struct state_events *e = enter_events(p);
    bool described = e && e->describe;

    if (!e)
        return false;
    if (described)
        e->describe(e->ctx, ret);
    leave_events(p);
    return described;
}

static void event_stop(struct state *p)
{
    const struct state_events *e = enter_events(p);

    if (!e)
        return;
    if (e->stop)
        e->stop(e->ctx);
    leave_events(p);
}

void store_record_freeze(struct state *p, const struct log_pos *pos, uint8_t out[STORE_RECORD_LEN])
{
    struct store_record s = {.seq = atomic_load(&p->seq),
                             .epoch = p->epoch,
                             .log_segment = pos->segment,
                             .log_offset = pos->offset,
                             .next_page = pages_next(p->pages),
                             .next_number = refs_next(p->refs),
                             .next_pack = packs_next(p->packs),
                             .next_ns = p->names.next,
                             .orphan_root = p->orphans.tree.root,
                             .orphan_next = p->orphans.next_ino,
                             .next_ino = atomic_load(&p->next_ino)};

    rwlock_held_write(&p->freeze_lock);
    store_record_encode(&s, out);
}

/* Pins or unpins a number. The frame names the place where the pin is kept, so that replaying it
 * does not depend on what was an alias at that time. The names lock keeps the frames of two pins in
 * order. */
int state_pin(struct state *p, uint64_t number, bool pin)
{
    TXN(t);
    struct op op = {.kind = pin ? OP_PIN : OP_UNPIN};
    int err = txn_begin(p, 0, &t);

    if (err < 0)
        return err;
    WRITE_GUARD(&p->names.lock);
    op.number = refs_pin_place(p->refs, number);
    err = pin ? refs_pin(p->refs, number) : refs_unpin(p->refs, number);
    if (err < 0)
        return err;
    capture_op(&t, &op);
    return state_changed(&t, NULL);
}

void state_turn_readonly(struct state *p, const char *what, int err)
{
    blame_note(p, BLAME_FLUSH, err, 0, "%s failed", what);
    if (atomic_exchange(&p->readonly, true))
        return;
    atomic_store(&p->readonly_err, err);
    atomic_store(&p->readonly_what, what);
    report(REPORT_ALARM, "%s failed (%s): the store is read-only now", what, strerror(-err));
    if (settings_get(&p->settings, SET_ON_FATAL) == ON_FATAL_EXIT)
        event_stop(p);
}

int state_lacks(struct state *p)
{
    return atomic_load(&p->lacks);
}

int state_refuses(struct state *p)
{
    int err = state_lacks(p);

    if (err < 0)
        p->hooks->kick(p);
    return err < 0 ? err : -EROFS;
}
