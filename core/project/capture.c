// SPDX-License-Identifier: Apache-2.0
/*
 * capture: the change a thread is making, reached through a thread-local pointer, so that trees and
 * contents can note what happens to them without knowing whose change it is.
 */
#include "array.h"
#include "io.h"
#include "log_promise.h"
#include "project_impl.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ROOM_SLACK ((size_t)64 * 1024) /* bytes of operations beside the data of a change */
#define LENT_MIN 512                   /* bytes of data that are cheaper to copy */

static _Thread_local struct capture *current;
static _Thread_local size_t room_left; /* of what change_room got; frames that it was not enough for
                                          are a mistake of this program */
static _Thread_local struct change_room *memory; /* whose memory the next change notes into */

/* ---- noting ---- */

/* What change_room got before the change began: to note it cannot fail for want of memory. */
static void use_memory(struct capture *c)
{
    struct change_room *m = memory;

    if (!m || !m->memory || c->data)
        return;
    c->data = m->memory;
    c->room = m->bytes;
    c->borrowed = true;
    memcpy(c->data, c->small, c->len);
}

static int grow(struct capture *c, size_t room)
{
    uint8_t *data = realloc(c->borrowed ? NULL : c->data, room);

    if (!data)
        return -ENOMEM;
    if (!c->data || c->borrowed)
        memcpy(data, c->data ? c->data : c->small, c->len);
    c->data = data;
    c->room = room;
    c->borrowed = false;
    return 0;
}

static int reserve(struct capture *c, size_t more)
{
    size_t need = c->len + more, room;

    if (need > CAPTURE_INLINE)
        use_memory(c);
    room = c->data ? c->room : CAPTURE_INLINE;
    if (need <= room)
        return 0;
    while (room < need)
        room *= 2;
    return grow(c, room);
}

static void add(struct capture *c, const void *bytes, size_t len)
{
    memcpy((c->data ? c->data : c->small) + c->len, bytes, len);
    c->len += len;
}

static void lend(struct capture *c, const struct op *op)
{
    c->lent[c->lent_count++] = (struct capture_lent){c->len, op->len, op->data};
    c->lent_len += op->len;
}

static void note(const struct op *op, bool lent)
{
    struct capture *c = current;
    uint8_t head[OP_HEAD_MAX];
    size_t n = op_encode(op, head);

    assert(c); /* a change outside of a guard */
    if (!c)
        return;
    lent = lent && op->len >= LENT_MIN && c->lent_count < CAPTURE_LENT;
    if (reserve(c, n + (lent ? 0 : op->len)) < 0) {
        c->error = -ENOMEM;
        return;
    }
    add(c, head, n);
    if (lent)
        lend(c, op);
    else if (op->len)
        add(c, op->data, op->len);
}

void capture_op(struct project *p, const struct op *op)
{
    if (p->log)
        note(op, false);
}

void capture_op_lent(struct project *p, const struct op *op)
{
    if (p->log)
        note(op, true);
}

bool capture_pending(void)
{
    return current && current->len > 0;
}

/* ---- trees ---- */

static void tap_put(const struct tree_tap *tap, struct key k, const void *val, size_t len)
{
    const struct capture_tap *t = (const struct capture_tap *)tap;

    note(&(struct op){.kind = OP_PUT, .ns = t->ns, .key = k, .data = val, .len = len}, false);
}

static void tap_del(const struct tree_tap *tap, struct key k)
{
    const struct capture_tap *t = (const struct capture_tap *)tap;

    note(&(struct op){.kind = OP_DEL, .ns = t->ns, .key = k}, false);
}

void capture_tap_init(struct capture_tap *t, uint32_t ns)
{
    *t = (struct capture_tap){.tap = {.put = tap_put, .del = tap_del}, .ns = ns};
}

/* ---- namespaces ---- */

static void ns_op(struct project *p, const struct ns *ns, enum op_kind kind, uint32_t from)
{
    uint8_t record[NS_RECORD_MAX];
    size_t len = ns_record_encode(ns, 0, record);

    capture_op(p, &(struct op){
                      .kind = kind, .ns = ns->number, .number = from, .data = record, .len = len});
}

void capture_ns_put(struct project *p, const struct ns *ns)
{
    ns_op(p, ns, OP_NS_PUT, 0);
}

void capture_ns_branch(struct project *p, const struct ns *ns, const struct ns *from)
{
    ns_op(p, ns, OP_NS_BRANCH, from->number);
}

/* ---- frames ---- */

static void note_seq(struct project *p, uint64_t seq)
{
    uint64_t last = atomic_load(&p->seq);

    while (last < seq && !atomic_compare_exchange_weak(&p->seq, &last, seq))
        ;
}

/* Contents that waited for their frame may be sealed now. */
static void end_held(struct capture *c)
{
    for (size_t i = 0; i < c->held_count; i++) {
        content_end(c->p, c->held[i]);
        content_unref(c->held[i]);
    }
    c->held_count = 0;
}

/* What was noted, with what was lent in between; returns how many pieces it is in. */
static int gather(struct capture *c, struct iovec iov[2 * CAPTURE_LENT + 1])
{
    uint8_t *noted = c->data ? c->data : c->small;
    size_t at = 0;
    int n = 0;

    for (size_t i = 0; i < c->lent_count; i++) {
        const struct capture_lent *lent = &c->lent[i];

        iov[n++] = (struct iovec){noted + at, lent->at - at};
        iov[n++] = (struct iovec){(void *)(uintptr_t)lent->data, lent->len};
        at = lent->at;
    }
    iov[n++] = (struct iovec){noted + at, c->len - at};
    return n;
}

/* The log ends where a change is missing: no frame comes after it. */
static int append(struct project *p, struct capture *c, uint32_t ns, uint64_t *ret_seq)
{
    struct iovec iov[2 * CAPTURE_LENT + 1];
    size_t size = frame_size(c->len + c->lent_len);

    if (c->error)
        return c->error;
    if (atomic_load(&p->readonly))
        return -EROFS;
#ifndef __OPTIMIZE__ /* where users are, the log itself says whether there is room */
    assert(size <= room_left);
#endif
    room_left -= size < room_left ? size : room_left;
    return log_append(p->log, ns, iov, gather(c, iov), ret_seq);
}

/* Nothing is noted any more. */
static void forget(struct capture *c)
{
    c->len = c->lent_len = c->lent_count = 0;
    c->error = 0;
}

int capture_emit(struct project *p, uint32_t ns, uint64_t *ret_seq)
{
    struct capture *c = current;
    int err;

    *ret_seq = atomic_load(&p->seq);
    if (!p->log)
        *ret_seq = atomic_fetch_add(&p->seq, 1) + 1;
    if (!p->log || !c || (c->len == 0 && c->error == 0))
        return 0;
    rwlock_held(&p->gate);
    err = append(p, c, ns, ret_seq);
    if (err < 0) /* memory has a change that no recovery would know */
        project_turn_readonly(p, "logging a change", err);
    else
        note_seq(p, *ret_seq);
    atomic_fetch_add(&p->flush.logged, c->len + c->lent_len);
    forget(c);
    end_held(c);
    return err;
}

/* The first ones take no memory. */
static int hold(struct capture *c, struct content *content)
{
    struct content **more = c->held == c->few ? NULL : c->held;

    if (c->held_count == c->held_room) {
        if (ARRAY_RESERVE(more, c->held_room, c->held_count + 1) < 0)
            return -ENOMEM;
        if (c->held == c->few)
            memcpy(more, c->few, sizeof c->few);
        c->held = more;
    }
    c->held[c->held_count++] = content;
    return 0;
}

bool capture_defer_end(struct content *c)
{
    struct capture *now = current;

    if (!now || now->len == 0)
        return false;
    if (hold(now, c) < 0) {
        now->error = -ENOMEM; /* there will be no frame that it had to wait for */
        return false;
    }
    atomic_fetch_add(&c->refs, 1);
    return true;
}

void capture_rest(struct ns *ns)
{
    if (current && (current->len || current->error))
        (void)project_changed(current->p, ns);
}

/* ---- guards ---- */

void change_enter(struct capture *c, struct project *p, bool instant)
{
    assert(!current);
    if (instant)
        rwlock_wrlock(&p->gate);
    else
        rwlock_rdlock(&p->gate);
    c->p = p;
    c->instant = instant;
    c->data = NULL;
    c->room = 0;
    c->borrowed = false;
    forget(c);
    c->held = c->few;
    c->held_count = 0;
    c->held_room = CAPTURE_HELD;
    current = c;
}

void change_leave(struct capture *c)
{
    struct project *p = c->p;
    uint64_t seq;

    assert(current == c);
    if (c->len || c->error) /* what a failed change left */
        (void)capture_emit(p, 0, &seq);
    assert(c->len == 0 && c->held_count == 0);
    current = NULL;
    if (!c->borrowed)
        free(c->data);
    if (c->held != c->few)
        free(c->held);
    if (c->instant)
        rwlock_wrunlock(&p->gate);
    else
        rwlock_rdunlock(&p->gate);
}

void ns_guard_enter(struct ns *ns)
{
    rwlock_wrlock(&ns->lock);
}

void ns_guard_leave(struct ns **ns)
{
    capture_rest(*ns);
    rwlock_wrunlock(&(*ns)->lock);
}

/* ---- room ---- */

/* Of a thread that is ahead: `room` is what its next change gets. */
static _Thread_local bool is_ahead;
static _Thread_local struct change_room ahead_room;

static size_t room_for(size_t bytes)
{
    return bytes + ROOM_SLACK;
}

static void use_room(struct change_room *r)
{
    room_left = r->bytes;
    memory = r;
}

/* Before the first frame: that there is a log must not be a secret of its files. */
static int promise(struct project *p)
{
    int err;

    if (atomic_load(&p->promised))
        return 0;
    err = log_promise_save(p->config.kv, p->epoch);
    if (err == -EIO) /* as after any commit that failed so */
        project_turn_readonly(p, "a commit", err);
    if (err == 0)
        atomic_store(&p->promised, true);
    return err;
}

/* Of the room in the log that was got: the memory, too, or neither. */
static int have_room(struct project *p, size_t bytes, struct change_room *ret)
{
    uint8_t *data = malloc(bytes);

    if (!data) {
        log_room_done(p->log, bytes);
        return -ENOMEM;
    }
    *ret = (struct change_room){p, bytes, data};
    use_room(ret);
    return 0;
}

/* The room that was taken ahead, if it is as much. */
static bool take_ahead(size_t want, struct change_room *ret)
{
    if (!ahead_room.p || ahead_room.bytes < want)
        return false;
    *ret = ahead_room;
    use_room(ret);
    ahead_room = (struct change_room){.p = NULL};
    return true;
}

/* No frame can be written: of this start, until what it recovered is committed; or there is no
 * log. */
static bool is_refused(struct project *p)
{
    return atomic_load(&p->unsettled) || (!p->log && atomic_load(&p->readonly));
}

int change_room(struct project *p, size_t bytes, struct change_room *ret)
{
    size_t want = room_for(bytes);
    int err;

    assert(!current && !ret->p);
    if (is_refused(p))
        return -EROFS;
    if (!p->log || take_ahead(want, ret))
        return 0;
    change_room_done(&ahead_room); /* too little: nobody waits for room who keeps some */
    err = log_room(p->log, want);
    if (io_is_full(err)) {
        err = project_flush(p); /* the commit trims the log */
        if (err == 0)
            err = log_room(p->log, want);
    }
    if (err < 0)
        return err;
    err = promise(p);
    if (err < 0) {
        log_room_done(p->log, want);
        return err;
    }
    return have_room(p, want, ret);
}

void change_room_done(struct change_room *r)
{
    if (r->p)
        log_room_done(r->p->log, r->bytes);
    room_left = r->p ? 0 : room_left;
    memory = r->p ? NULL : memory;
    free(r->memory);
    r->memory = NULL;
    r->p = NULL;
}

bool change_room_now(struct project *p, struct change_room *ret)
{
    size_t want = room_for(0);

    assert(!current && !ret->p);
    if (is_refused(p))
        return false;
    if (!p->log || take_ahead(want, ret))
        return true;
    return atomic_load(&p->promised) && log_room_now(p->log, want) && have_room(p, want, ret) == 0;
}

bool change_ahead(struct project *p, size_t bytes)
{
    size_t want = room_for(bytes);

    assert(!current && !is_ahead);
    if (is_refused(p) || !flush_lets_go_on(p) || (p->log && !atomic_load(&p->promised)))
        return false;
    if (p->log && (!log_room_now(p->log, want) || have_room(p, want, &ahead_room) < 0))
        return false;
    room_left = 0; /* until a change takes it */
    memory = NULL;
    is_ahead = true;
    return true;
}

void change_ahead_end(void)
{
    is_ahead = false;
    change_room_done(&ahead_room);
}

bool change_is_ahead(void)
{
    return is_ahead;
}
