// SPDX-License-Identifier: Apache-2.0
/*
 * contents: bytes that are not sealed yet, by object number. They are in a buffer of up to
 * `pack_limit` bytes, and above that in a slot (slots.c). A buffer that can neither be sealed nor
 * become a slot stays a buffer, and commits keep its bytes (held.c). content.h draws the states of
 * a content.
 *
 * A slot is written in place. So after a loss of power, bytes that were overwritten since the last
 * commit are the old or the new ones, as on ext4. Bytes past the length in the commit never show,
 * and none before it are cut off.
 *
 * The bytes of a content change only between content_begin and content_end, and content_begin
 * refuses once sealing has started: then the writer makes a new content. A thread with a reference
 * may go on reading a content that has left the table: its bytes do not change any more.
 */
#include "remote_bytes.h"
#include "io.h"
#include "lost_start.h"
#include "nowait.h"
#include "state.h"
#include "report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct content **bucket(struct state *p, uint64_t number)
{
    return &p->contents.bucket[number % CONTENT_BUCKETS];
}

/* Finds a content in the table, without a reference. The caller holds "contents". */
static struct content *find_content(struct state *p, uint64_t number)
{
    struct content *c = *bucket(p, number);

    mutex_held(&p->contents.lock);
    while (c && c->number != number)
        c = c->next;
    return c;
}

struct content *content_find(struct state *p, uint64_t number)
{
    MUTEX_GUARD(&p->contents.lock);
    struct content *c = find_content(p, number);

    if (c)
        atomic_fetch_add(&c->refs, 1);
    return c;
}

void content_unref(struct content *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    slot_free(c->slot);
    free(c->data);
    mutex_destroy(&c->io);
    free(c);
}

/* ---- what it is ---- */

#define TO(state) (1u << CONTENT_##state)
#define OUT (TO(CANCELLED) | TO(GONE))
static const struct {
    const char *name;
    unsigned moves;
} states[] = {
    [CONTENT_NEW] = {"NEW", TO(BUFFER) | TO(SLOT)},
    [CONTENT_BUFFER] = {"BUFFER", TO(HELD) | TO(SLOT) | TO(SEALING) | OUT},
    [CONTENT_HELD] = {"HELD", TO(BUFFER) | TO(SLOT) | TO(SEALING) | OUT},
    [CONTENT_SLOT] = {"SLOT", TO(SEALING) | OUT},
    [CONTENT_SEALING] = {"SEALING", TO(BUFFER) | TO(HELD) | TO(SLOT) | TO(SEALED) | TO(GONE)},
    [CONTENT_SEALED] = {"SEALED", 0},
    [CONTENT_CANCELLED] = {"CANCELLED", 0},
    [CONTENT_GONE] = {"GONE", 0},
};

/* A move that is not drawn is a program error: the process ends, before wrong bytes become
 * durable. */
static _Noreturn void die(const struct content *c, const char *what, enum content_state to)
{
    fprintf(stderr, "content %llu, %s: %s %s\n", (unsigned long long)c->number,
            states[c->state].name, what, states[to].name);
    abort();
}

/* Aborts if the fields of a content do not fit its state. */
static void content_assert(const struct content *c)
{
    const bool slot = c->slot, changing = c->changing > 0;
    const bool fits[] = {
        [CONTENT_NEW] = true,
        [CONTENT_BUFFER] = !slot,
        [CONTENT_HELD] = !slot,
        [CONTENT_SLOT] = slot && !c->data,
        [CONTENT_SEALING] = !changing,
        [CONTENT_SEALED] = !changing,
        [CONTENT_CANCELLED] = changing,
        [CONTENT_GONE] = true,
    };

    if (!fits[c->state])
        die(c, "its fields are not those of", c->state);
}

void content_set_state(struct state *p, struct content *c, enum content_state to)
{
    mutex_held(&p->contents.lock);
    if (!(states[c->state].moves & 1u << to))
        die(c, "there is no move to", to);
    c->state = to;
    content_assert(c);
}

/* ---- the table ---- */

/* Puts a new content into the table, which takes a reference. */
static void enlist(struct state *p, struct content *c)
{
    MUTEX_GUARD(&p->contents.lock);
    struct content **b = bucket(p, c->number);

    content_set_state(p, c, c->slot ? CONTENT_SLOT : CONTENT_BUFFER);
    c->next = *b;
    *b = c;
    atomic_fetch_add(&c->refs, 1); /* the reference of the table */
    p->contents.count++;
    atomic_fetch_add(&p->contents.slots, !!c->slot);
}

void content_unlist(struct state *p, struct content *c, enum content_state to)
{
    {
        MUTEX_GUARD(&p->contents.lock);
        struct content **b = bucket(p, c->number);
        if (!content_is_listed(c))
            return;
        while (*b != c)
            b = &(*b)->next;
        *b = c->next;
        content_set_state(p, c, to);
        p->contents.count--;
        atomic_fetch_sub(&p->contents.buffered, c->room);
        if (c->slot) {
            c->slot->gone_at = p->contents.freezes;
            atomic_fetch_sub(&p->contents.slots, 1);
            atomic_fetch_sub(&p->contents.stuck, c->seal_error != 0);
        }
    }
    content_unref(c);
}

/* Bytes that are written to a content. */
struct bytes {
    const void *buf;
    size_t len;
    uint64_t off;
    bool borrowed; /* the caller keeps them until they are in the log */
};

/* Notes the bytes for the frame. */
static void capture_bytes(struct txn *t, const struct content *c, const struct bytes *b)
{
    struct op op = {.kind = OP_CONTENT_WRITE,
                    .number = c->number,
                    .a = b->off,
                    .data = b->buf,
                    .len = b->len};

    if (b->borrowed)
        capture_op_borrowed(t, &op);
    else
        capture_op(t, &op);
}

/* Allocates a content in state NEW, with one reference. */
static struct content *create(uint64_t number, uint64_t owner, uint64_t owner_off)
{
    struct content *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->number = number;
    c->owner = owner;
    c->owner_off = owner_off;
    atomic_init(&c->refs, 1);
    mutex_init(&c->io, "content");
    return c;
}

int content_new(struct txn *t, uint64_t owner, uint64_t owner_off, struct content **ret_c)
{
    struct state *p = t->p;
    uint64_t number;
    struct content *c;
    int err = refs_new(p->refs, &number);

    if (err < 0)
        return err;
    c = create(number, owner, owner_off);
    if (!c) {
        refs_cancel(p->refs, number);
        return -ENOMEM;
    }
    c->changed = ticks(p);
    c->changing = 1; /* set before anybody can find it: it is not sealed before content_end */
    enlist(p, c);
    capture_op(t,
               &(struct op){.kind = OP_CONTENT_NEW, .number = number, .a = owner, .b = owner_off});
    *ret_c = c;
    return 0;
}

/* Gives up the slot of a content that left the table. The name of a slot that no commit names is
 * removed at once: on a full disk there may be no further commit. The name of a cancelled one is
 * removed after the commit that does not name it any more; the others, with the record of the
 * dying. */
static void leave_slot(struct state *p, struct content *c)
{
    bool cancelled = c->state == CONTENT_CANCELLED, named;

    {
        MUTEX_GUARD(&p->contents.lock);
        if (!c->slot)
            return;
        named = c->slot->named;
        if (cancelled || !named)
            content_slot_clean(p, c);
    }
    if (!named)
        (void)blob_unlink_slot(p->config.disk, c->number);
    else if (cancelled)
        (void)refs_reclaim_slot(p->refs, c->number);
}

void content_cancel(struct txn *t, struct content *c)
{
    struct state *p = t->p;
    struct entry e;

    if (refs_entry(p->refs, c->number, false, NULL, &e) < 0 || e.count > 0) {
        content_end(t, c); /* the change that failed had named it already */
        content_unref(c);
        return;
    }
    {
        MUTEX_GUARD(&c->io); /* otherwise a flush that syncs it would leave its sums behind */
        content_unlist(p, c, CONTENT_CANCELLED); /* first, so that nobody takes it for finished */
        leave_slot(p, c);
    }
    refs_cancel(p->refs, c->number);
    if (t->len > 0) /* otherwise no frame is needed: what nothing names is forgotten anyway */
        capture_op(t, &(struct op){.kind = OP_CONTENT_CANCEL, .number = c->number});
    content_unref(c);
}

void content_forget(struct state *p, uint64_t number)
{
    struct content *c = content_find(p, number);

    if (!c)
        return;
    content_unlist(p, c, CONTENT_GONE);
    leave_slot(p, c);
    content_unref(c);
}

bool content_begin(struct state *p, struct content *c, uint64_t valid)
{
    MUTEX_GUARD(&p->contents.lock);

    content_assert(c);
    if (!content_is_open(c) || (c->slot && c->slot->recorded > valid))
        return false;
    c->changing++;
    return true;
}

void content_end(struct txn *t, struct content *c)
{
    if (!capture_defer_end(t, c))
        content_let_go(t->p, c);
}

void content_let_go(struct state *p, struct content *c)
{
    MUTEX_GUARD(&p->contents.lock);
    c->changing--;
    c->changed = ticks(p);
}

/* ---- changing; between begin and end, c->io held ---- */

/* Makes room for `need` bytes in the buffer. The new bytes are undefined. */
static int grow(struct state *p, struct content *c, size_t need)
{
    size_t room = c->room ? c->room : 256;
    uint8_t *data;

    while (room < need)
        room *= 2;
    if (room == c->room)
        return 0;
    data = realloc(c->data, room);
    if (!data)
        return -ENOMEM;
    atomic_fetch_add(&p->contents.buffered, room - c->room);
    c->data = data;
    c->room = room;
    return 0;
}

/* The bytes are about to differ from those that a commit has. */
static void no_longer_held(struct state *p, struct content *c)
{
    if (c->state != CONTENT_HELD)
        return;
    MUTEX_GUARD(&p->contents.lock);
    content_set_state(p, c, CONTENT_BUFFER);
}

static size_t buffer_limit(struct state *p)
{
    int64_t limit = settings_get(&p->settings, SET_PACK_LIMIT);
    return limit < CONTENT_BUFFER_MAX ? (size_t)limit : CONTENT_BUFFER_MAX;
}

/* Writes to the buffer; a gap before the bytes becomes zeros. */
static int write_buffer(struct state *p, struct content *c, const void *buf, size_t len,
                        uint64_t off)
{
    int err = grow(p, c, off + len);

    if (err < 0)
        return err;
    no_longer_held(p, c);
    if (off > c->len)
        memset(c->data + c->len, 0, off - c->len);
    memcpy(c->data + off, buf, len);
    if (off + len > c->len)
        c->len = off + len;
    return 0;
}

/* Writes to the slot, and notes the bytes, or only the length, for the frame. */
static int write_slot(struct txn *t, struct content *c, const struct bytes *b)
{
    bool logged = slot_takes_credit(c->slot, b->len, b->off);
    int err = blob_write(c->slot->blob, b->buf, b->len, b->off);

    if (err == 0 && logged)
        capture_bytes(t, c, b);
    content_slot_changed(t, c, err == 0 && logged); /* also after an error: a part may be written */
    if (err == 0)
        content_write_behind(t->p, c, b->off + b->len);
    return err;
}

/* Writes to the buffer or the slot. A buffer that would become too large becomes a slot first. */
static int write_bytes(struct txn *t, struct content *c, const struct bytes *b)
{
    struct state *p = t->p;
    int err = 0;
    MUTEX_GUARD(&c->io);

    if (!c->slot && b->off + b->len > buffer_limit(p))
        err = content_make_slot(p, c);
    if (err < 0)
        return err;
    if (c->slot)
        return write_slot(t, c, b);
    err = write_buffer(p, c, b->buf, b->len, b->off);
    if (err == 0)
        capture_bytes(t, c, b);
    return err;
}

int content_write(struct txn *t, struct content *c, const void *buf, size_t len, uint64_t off)
{
    return write_bytes(t, c, &(struct bytes){buf, len, off, false});
}

int content_write_borrowed(struct txn *t, struct content *c, const void *buf, size_t len,
                           uint64_t off)
{
    return write_bytes(t, c, &(struct bytes){buf, len, off, true});
}

/* Sets the length of a buffer; new bytes are zeros. */
static int cut_buffer(struct state *p, struct content *c, uint64_t len)
{
    int err = grow(p, c, len);

    if (err < 0)
        return err;
    no_longer_held(p, c);
    if (len > c->len)
        memset(c->data + c->len, 0, len - c->len);
    c->len = len;
    return 0;
}

int content_truncate(struct txn *t, struct content *c, uint64_t len)
{
    struct state *p = t->p;
    int err = 0;
    MUTEX_GUARD(&c->io);

    if (!c->slot && len > buffer_limit(p))
        err = content_make_slot(p, c);
    if (err == 0)
        err = c->slot ? blob_truncate(c->slot->blob, len) : cut_buffer(p, c, len);
    if (c->slot)
        content_slot_changed(t, c, false);
    else if (err == 0)
        capture_op(t, &(struct op){.kind = OP_CONTENT_TRUNCATE, .number = c->number, .a = len});
    return err;
}

uint64_t content_length(struct content *c)
{
    MUTEX_GUARD(&c->io);
    return c->slot ? blob_length(c->slot->blob) : c->len;
}

/* ---- reading ---- */

/* Reads from the buffer or the slot. The bytes of a slot are read under its io, since they may
 * change. */
static ssize_t read_unsealed(struct content *c, void *buf, size_t len, uint64_t off)
{
    struct blob *b;
    ssize_t n;

    {
        MUTEX_GUARD(&c->io);
        if (!c->slot) {
            if (off >= c->len)
                return 0;
            if (len > c->len - off)
                len = c->len - off;
            memcpy(buf, c->data + off, len);
            return (ssize_t)len;
        }
        b = blob_ref(c->slot->blob);
        n = blob_read(b, buf, len, off);
    }
    blob_unref(b);
    return n;
}

/* Reads from a shard, or from what was gathered there before. */
static ssize_t read_remote(struct state *p, uint64_t number, const struct entry *e, void *buf,
                           size_t len, uint64_t off, struct reader *r)
{
    ssize_t n = r->remote ? remote_bytes_get(r->remote, number, buf, len, off) : -ENOENT;

    if (n != -ENOENT)
        return n;
    if (r->near)
        return -EAGAIN;
    if (!thread_may_wait())
        return -EWOULDWAIT;
    n = objects_read(p->objects, e, buf, len, off);
    if (n == -EHOSTUNREACH)
        r->unreachable = e->shard;
    if (n < 0 || !r->remote)
        return n;
    int err = remote_bytes_keep(r->remote, number, buf, len, (size_t)n, off);
    return err < 0 ? err : n;
}

/* A number for the place of an object, so that met.c sees that it has moved. Two places of one
 * object never have the same. */
static uint64_t place_of(const struct entry *e)
{
    return e->where ^ (uint64_t)e->offset << 32 ^ (uint64_t)e->shard << 16 ^
           (uint64_t)e->kind << 60;
}

/* The error for bytes that are not in memory and have no place. A shortage keeps the slot closed;
 * or it is damaged; or it was forgotten just now; or the bytes were never in this store
 * (ABSENT). */
static int no_bytes(struct state *p, const struct entry *e)
{
    int err = e->kind == ENTRY_SLOT ? state_lacks(p) : 0;

    if (e->kind == ENTRY_ABSENT)
        return -EREMOTE;
    if (e->kind != ENTRY_SLOT && e->kind != ENTRY_HELD)
        return -ENOENT;
    return err < 0 ? err : -EUCLEAN;
}

ssize_t content_read(struct state *p, uint64_t number, void *buf, size_t len, uint64_t off,
                     struct reader *r)
{
    struct content *c = content_find(p, number);
    struct entry e;
    ssize_t n;
    int err;

    if (c) {
        n = read_unsealed(c, buf, len, off);
        content_unref(c);
        return n;
    }
    err = refs_entry(p->refs, number, true, &number, &e);
    if (err == -ENOENT)
        r->absent = refs_resolve(p->refs, number);
    if (err < 0)
        return err;
    if (!entry_is_sealed(&e)) { /* an alias of nothing, or it was forgotten just now */
        c = content_find(p, number);
        n = c ? read_unsealed(c, buf, len, off) : no_bytes(p, &e);
        content_unref(c);
    } else {
        n = objects_is_remote(p->objects, &e)
                ? read_remote(p, number, &e, buf, len, off, r)
                : objects_read(p->objects, &e, buf, len, off);
    }
    if (n == -ENOENT)
        r->absent = number;
    else if (n == -EUCLEAN)
        met_damage(p, number, MET_BYTES, place_of(&e));
    else if (n >= 0)
        met_read(p, number, place_of(&e));
    return n;
}

/* ---- from the log ---- */

int content_restore(struct state *p, uint64_t number, uint64_t owner, uint64_t owner_off,
                    struct slot *slot)
{
    struct content *c = create(number, owner, owner_off);

    if (!c) {
        slot_free(slot);
        return -ENOMEM;
    }
    c->slot = slot;
    enlist(p, c);
    content_unref(c);
    return 0;
}

/* The buffer of `number`, if it may have so many bytes. It has a reference. */
static int find_buffer(struct state *p, uint64_t number, uint64_t off, uint64_t len,
                       struct content **ret_c)
{
    if (off > CONTENT_BUFFER_MAX || len > CONTENT_BUFFER_MAX - off)
        return -EUCLEAN;
    *ret_c = content_find(p, number);
    return *ret_c ? 0 : -ENOENT;
}

int content_restore_bytes(struct state *p, uint64_t number, const void *buf, size_t len,
                          uint64_t off)
{
    struct content *c;
    int err = find_buffer(p, number, off, len, &c);

    if (err < 0)
        return err;
    {
        MUTEX_GUARD(&c->io);
        err = write_buffer(p, c, buf, len, off);
    }
    content_unref(c);
    return err;
}

int content_restore_length(struct state *p, uint64_t number, uint64_t len)
{
    struct content *c;
    int err = find_buffer(p, number, len, 0, &c);

    if (err < 0)
        return err;
    {
        MUTEX_GUARD(&c->io);
        err = cut_buffer(p, c, len);
    }
    content_unref(c);
    return err;
}

/* ---- choosing, releasing ---- */

size_t contents_pick(struct state *p, content_want_fn *want, void *ctx, struct content **out,
                     size_t max)
{
    size_t at = 0;

    return contents_pick_next(p, want, ctx, out, max, &at);
}

size_t contents_pick_next(struct state *p, content_want_fn *want, void *ctx, struct content **out,
                          size_t max, size_t *at)
{
    struct content *c = NULL;
    size_t n = 0;
    MUTEX_GUARD(&p->contents.lock);

    if (p->contents.count == 0)
        *at = CONTENT_BUCKETS;
    for (; !c && *at < CONTENT_BUCKETS; *at += !c) /* a bucket that is left amid begins anew */
        for (c = p->contents.bucket[*at]; c && n < max; c = c->next)
            if (want(p, c, ctx)) {
                atomic_fetch_add(&c->refs, 1);
                out[n++] = c;
            }
    return n;
}

void contents_release(struct state *p)
{
    struct content *c;

    {
        MUTEX_GUARD(&p->contents.lock);
        while ((c = TAILQ_FIRST(&p->contents.dirty)))
            content_slot_clean(p, c);
    }
    for (size_t i = 0; i < CONTENT_BUCKETS; i++)
        while (p->contents.bucket[i])
            content_unlist(p, p->contents.bucket[i], CONTENT_GONE);
    map64_release(&p->contents.unwritten);
    map64_release(&p->contents.held);
}
