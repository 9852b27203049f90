// SPDX-License-Identifier: Apache-2.0
/* capture: see the header. */
#include "history_by.h"
#include "state.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define BORROWED_MIN 512 /* bytes; smaller data is copied, which costs less than a piece */

/* ---- noting ---- */

/* Uses the memory that was reserved with the room in the log. So noting a change cannot fail for
 * want of memory. */
static void use_memory(struct txn *t)
{
    if (!t->reserved.memory || t->data)
        return;
    t->data = t->reserved.memory->bytes;
    t->room = t->reserved.bytes;
    t->borrowed = true;
    memcpy(t->data, t->small, t->len);
}

/* Gives the txn a larger buffer of its own. The reserved memory stays, and is freed with the
 * room. */
static int grow(struct txn *t, size_t room)
{
    uint8_t *data = realloc(t->borrowed ? NULL : t->data, room);

    if (!data)
        return -ENOMEM;
    if (!t->data || t->borrowed)
        memcpy(data, t->data ? t->data : t->small, t->len);
    t->data = data;
    t->room = room;
    t->borrowed = false;
    return 0;
}

/* Makes room for `more` bytes of operations: first in `small`, then in the reserved memory, then in
 * a buffer. */
static int reserve(struct txn *t, size_t more)
{
    size_t need = t->len + more, room;

    if (need > CAPTURE_INLINE)
        use_memory(t);
    room = t->data ? t->room : CAPTURE_INLINE;
    if (need <= room)
        return 0;
    while (room < need)
        room *= 2;
    return grow(t, room);
}

static void add_bytes(struct txn *t, const void *bytes, size_t len)
{
    memcpy((t->data ? t->data : t->small) + t->len, bytes, len);
    t->len += len;
}

/* Notes where borrowed data is to be inserted. */
static void lend(struct txn *t, const struct op *op)
{
    t->pieces[t->borrowed_count++] = (struct capture_borrowed){t->len, op->len, op->data};
    t->borrowed_len += op->len;
}

/* Encodes the request that the change serves, as the first operation of a frame. Returns its
 * length; 0: there is none. */
static size_t encode_request(const struct txn *t, uint8_t out[OP_HEAD_MAX])
{
    return t->len == 0 && t->request
               ? op_encode(&(struct op){.kind = OP_REQUEST, .a = t->request}, out)
               : 0;
}

/* Appends an operation. What the change has no room for is a program error, which is kept for
 * capture_emit: the tree is changed already. */
static void note_op(struct txn *t, const struct op *op, bool borrowed)
{
    uint8_t head[2 * OP_HEAD_MAX];
    size_t n;

    assert(t); /* otherwise a tree is changed that no change has locked */
    n = encode_request(t, head);
    n += op_encode(op, head + n);
    borrowed = borrowed && op->len >= BORROWED_MIN && t->borrowed_count < CAPTURE_BORROWED;
    if (reserve(t, n + (borrowed ? 0 : op->len)) < 0) {
        t->error = -ENOMEM;
        return;
    }
    add_bytes(t, head, n);
    if (borrowed)
        lend(t, op);
    else if (op->len)
        add_bytes(t, op->data, op->len);
}

void capture_op(struct txn *t, const struct op *op)
{
    if (t->p->log)
        note_op(t, op, false);
}

void capture_op_borrowed(struct txn *t, const struct op *op)
{
    if (t->p->log)
        note_op(t, op, true);
}

/* ---- trees ---- */

static void observe_put(const struct tree_observer *observer, struct key k, const void *val,
                        size_t len)
{
    const struct capture_observer *c = (const struct capture_observer *)observer;

    note_op(c->txn, &(struct op){.kind = OP_PUT, .ns = c->ns, .key = k, .data = val, .len = len},
            false);
}

static void observe_del(const struct tree_observer *observer, struct key k)
{
    const struct capture_observer *c = (const struct capture_observer *)observer;

    note_op(c->txn, &(struct op){.kind = OP_DEL, .ns = c->ns, .key = k}, false);
}

void capture_observer_init(struct capture_observer *t, uint32_t ns)
{
    *t = (struct capture_observer){.observer = {.put = observe_put, .del = observe_del}, .ns = ns};
}

/* ---- namespaces ---- */

/* Notes the record of a namespace. */
static void ns_op(struct txn *t, const struct ns *ns, enum op_kind kind, uint32_t from)
{
    uint8_t record[NS_RECORD_MAX];
    struct ns_fields f;
    size_t len;

    ns_get_fields(ns, &f);
    f.root = 0; /* no commit has that root, and replaying the log counts again */
    f.usage = (struct usage){0};
    len = ns_record_encode(ns->number, &f, record);
    capture_op(t, &(struct op){
                      .kind = kind, .ns = ns->number, .number = from, .data = record, .len = len});
}

void capture_ns_put(struct txn *t, const struct ns *ns)
{
    ns_op(t, ns, OP_NS_PUT, 0);
}

void capture_ns_branch(struct txn *t, const struct ns *ns, const struct ns *from)
{
    ns_op(t, ns, OP_NS_BRANCH, from->number);
}

/* ---- the history ---- */

int capture_history(struct txn *t, const struct history_entry *e)
{
    struct history_entry full = *e;

    assert(!t->history); /* a frame is one operation */
    full.time = now(t->p);
    history_by_sign(&full);
    return history_prepare(&t->p->history, &full, &t->history);
}

void capture_no_history(struct txn *t)
{
    history_discard(&t->p->history, t->history);
    t->history = NULL;
}

/* The frame is there. */
static void add_history(struct txn *t, uint64_t seq)
{
    if (t->history)
        history_add(&t->p->history, t->history, seq);
    t->history = NULL;
}

void capture_note_history(struct txn *t)
{
    if (t->history)
        capture_op(
            t, &(struct op){.kind = OP_HISTORY, .data = t->history->bytes, .len = t->history->len});
}

/* ---- frames ---- */

/* Raises p->seq to `seq`, unless another thread has raised it further. */
static void note_seq(struct state *p, uint64_t seq)
{
    uint64_t last = atomic_load(&p->seq);

    while (last < seq && !atomic_compare_exchange_weak(&p->seq, &last, seq))
        ;
}

/* The frame is in the log: contents that waited for it may be sealed. */
static void end_held(struct txn *t)
{
    for (size_t i = 0; i < t->held_count; i++) {
        content_let_go(t->p, t->held[i]);
        content_unref(t->held[i]);
    }
    t->held_count = 0;
    if (t->bars)
        atomic_fetch_sub(&t->p->contents.barred, 1);
    t->bars = false;
}

/* Lists what was noted and what was borrowed, in order. Returns the number of pieces. */
static int gather_pieces(struct txn *t, struct iovec iov[2 * CAPTURE_BORROWED + 1])
{
    uint8_t *noted = t->data ? t->data : t->small;
    size_t at = 0;
    int n = 0;

    for (size_t i = 0; i < t->borrowed_count; i++) {
        const struct capture_borrowed *borrowed = &t->pieces[i];

        iov[n++] = (struct iovec){noted + at, borrowed->at - at};
        iov[n++] = (struct iovec){(void *)(uintptr_t)borrowed->data, borrowed->len};
        at = borrowed->at;
    }
    iov[n++] = (struct iovec){noted + at, t->len - at};
    return n;
}

/* Appends one frame. After a change that is missing in the log no frame may follow: the store is
 * read-only then. */
static int append(struct txn *t, uint32_t ns, uint64_t *ret_seq)
{
    struct state *p = t->p;
    struct iovec iov[2 * CAPTURE_BORROWED + 1];
    size_t size = frame_size(t->len + t->borrowed_len);

    if (t->error)
        return t->error;
    if (atomic_load(&p->readonly))
        return -EROFS;
#ifndef __OPTIMIZE__ /* in an optimised build the log itself checks the room */
    assert(size <= t->room_left);
#endif
    t->room_left -= size < t->room_left ? size : t->room_left;
    return log_append(p->log, ns, iov, gather_pieces(t, iov), ret_seq);
}

/* Forgets all that is noted. */
static void forget(struct txn *t)
{
    capture_no_history(t);
    t->len = t->borrowed_len = t->borrowed_count = 0;
    t->error = 0;
}

int capture_emit(struct txn *t, uint32_t ns, uint64_t *ret_seq)
{
    struct state *p = t->p;
    int err;

    *ret_seq = atomic_load(&p->seq);
    if (!p->log) {
        *ret_seq = atomic_fetch_add(&p->seq, 1) + 1;
        add_history(t, *ret_seq);
    }
    if (!p->log || (t->len == 0 && t->error == 0))
        return 0;
    rwlock_held(&p->freeze_lock);
    err = append(t, ns, ret_seq);
    if (err == 0) {
        note_seq(p, *ret_seq);
        add_history(t, *ret_seq);
    } else /* memory has a change that no recovery would know of */
        state_turn_readonly(p, "logging a change", err);
    atomic_fetch_add(&p->logged, t->len + t->borrowed_len);
    forget(t);
    end_held(t);
    return err;
}

void capture_forget(struct txn *t)
{
    assert(t->held_count == 0 && !t->bars);
    forget(t);
}

/* More contents than CAPTURE_HELD would take memory, of which there may be none. Then sealing as a
 * whole waits. */
bool capture_defer_end(struct txn *t, struct content *c)
{
    if (t->len == 0)
        return false;
    if (t->held_count < CAPTURE_HELD) {
        t->held[t->held_count++] = c;
        atomic_fetch_add(&c->refs, 1);
        return true;
    }
    if (!t->bars)
        atomic_fetch_add(&t->p->contents.barred, 1);
    t->bars = true;
    return false;
}

void capture_rest(struct txn *t, struct ns *ns)
{
    capture_no_history(t);
    if (t->len || t->error)
        (void)state_changed(t, ns);
}
