// SPDX-License-Identifier: Apache-2.0
/*
 * contents: bytes that are not sealed yet, by object number: a buffer of up to `pack_limit` bytes,
 * above that a slot.
 *
 *            content_write beyond pack_limit
 *   buffer ──────────────────────────────────> slot
 *      └────────────── sealed ───────────────────┘   (seal.c; then the content leaves the table)
 *
 * A buffer that can neither be sealed nor become a slot stays one, and commits keep it (held.c).
 *
 * A slot is written in place. So after a power loss, bytes that were overwritten since the last
 * commit are the old or the new ones, as on ext4; bytes past what the commit says never show, and
 * none that it shows are cut off.
 *
 * A content's bytes change only between content_begin and content_end, and content_begin refuses
 * once sealing has started: then the writer makes a new content. Whoever holds a reference may go
 * on reading a content that has left the table: its bytes do not change any more.
 */
#include "far.h"
#include "io.h"
#include "lost_start.h"
#include "nowait.h"
#include "state.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

static struct content **bucket(struct state *p, uint64_t number)
{
    return &p->contents.bucket[number % CONTENT_BUCKETS];
}

static struct content *find(struct state *p, uint64_t number)
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
    struct content *c = find(p, number);

    if (c)
        atomic_fetch_add(&c->refs, 1);
    return c;
}

void content_unref(struct content *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    blob_unref(c->blob);
    free(c->data);
    mutex_destroy(&c->sync);
    mutex_destroy(&c->io);
    free(c);
}

static void enlist(struct state *p, struct content *c)
{
    MUTEX_GUARD(&p->contents.lock);
    struct content **b = bucket(p, c->number);

    c->next = *b;
    *b = c;
    c->listed = true;
    atomic_fetch_add(&c->refs, 1); /* the table's */
    p->contents.count++;
    atomic_fetch_add(&p->contents.slots, c->blob != NULL);
}

void content_unlist(struct state *p, struct content *c)
{
    {
        MUTEX_GUARD(&p->contents.lock);
        struct content **b = bucket(p, c->number);
        if (!c->listed)
            return;
        while (*b != c)
            b = &(*b)->next;
        *b = c->next;
        c->listed = false;
        c->gone_at = p->contents.freezes;
        p->contents.count--;
        atomic_fetch_sub(&p->contents.buffered, c->room);
        atomic_fetch_sub(&p->contents.slots, c->blob != NULL);
        atomic_fetch_sub(&p->contents.stuck, c->stuck);
    }
    content_unref(c);
}

/* Bytes on their way to a content. */
struct bytes {
    const void *buf;
    size_t len;
    uint64_t off;
    bool lent; /* they stay until they are in the log */
};

/* For the log. */
static void capture_bytes(struct txn *t, const struct content *c, const struct bytes *b)
{
    struct op op = {.kind = OP_CONTENT_WRITE,
                    .number = c->number,
                    .a = b->off,
                    .data = b->buf,
                    .len = b->len};

    if (b->lent)
        capture_op_lent(t, &op);
    else
        capture_op(t, &op);
}

/* Its slot has new bytes, which their frame has, too, or says to be there. From here on frames name
 * what it has now: nothing of it may be cut off, and where no frame has the bytes it must be synced
 * before the one that names them is called durable. */
static void slot_changed(struct txn *t, struct content *c, bool logged)
{
    struct op op = {.kind = OP_CONTENT_SLOT, .number = c->number, .a = blob_length(c->blob)};

    if (!logged) {
        capture_op(t, &op);
        c->slot_told = true;
    }
    c->named = true;
    c->recorded = op.a > c->recorded ? op.a : c->recorded;
    MUTEX_GUARD(&t->p->contents.lock);
    content_slot_changed(t->p, c, logged);
}

static struct content *create(uint64_t number, uint64_t owner, uint64_t owner_off)
{
    struct content *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->number = number;
    c->owner = owner;
    c->owner_off = owner_off;
    atomic_init(&c->refs, 1);
    mutex_init(&c->sync, "content sync");
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
    c->changing = 1; /* before anybody can find it: no sealing until content_end */
    enlist(p, c);
    capture_op(t,
               &(struct op){.kind = OP_CONTENT_NEW, .number = number, .a = owner, .b = owner_off});
    *ret_c = c;
    return 0;
}

void content_cancel(struct txn *t, struct content *c)
{
    struct state *p = t->p;
    struct entry e;

    if (refs_entry(p->refs, c->number, false, NULL, &e) < 0 || e.count > 0) {
        content_end(t, c); /* what failed had named it already */
        content_unref(c);
        return;
    }
    content_unlist(p, c); /* before anybody could take it for finished, and seal it */
    {
        MUTEX_GUARD(&c->io); /* a flush that syncs it would leave sums behind */
        c->cancelled = true;
        if (c->blob && !c->named)
            (void)blob_unlink_slot(p->config.disk, c->number);
    }
    {
        MUTEX_GUARD(&p->contents.lock);
        content_slot_clean(p, c);
    }
    refs_cancel(p->refs, c->number);
    if (c->blob && c->named) /* its name goes after the commit that names it no more */
        (void)refs_bury_slot(p->refs, c->number);
    if (t->len > 0) /* else no frame is needed: what nothing names is forgotten anyway */
        capture_op(t, &(struct op){.kind = OP_CONTENT_CANCEL, .number = c->number});
    content_unref(c);
}

void content_forget(struct state *p, uint64_t number)
{
    struct content *c = content_find(p, number);

    if (!c)
        return;
    content_unlist(p, c);
    /* A slot that no commit names need not wait for one: on a full disk there may be none. */
    if (c->blob && !c->named) { /* else it goes with its dying record */
        (void)blob_unlink_slot(p->config.disk, number);
        MUTEX_GUARD(&p->contents.lock);
        content_slot_clean(p, c);
    }
    content_unref(c);
}

bool content_begin(struct state *p, struct content *c)
{
    MUTEX_GUARD(&p->contents.lock);

    if (c->sealing || !c->listed)
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

/* Room for `need` bytes in the buffer; what is in new room is not said. */
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

/* From the buffer to a slot. The entry says SLOT from here on, so that the slot is deleted with
 * the number, whenever that is. */
static int spill(struct state *p, struct content *c)
{
    struct blob *b;
    int err = blob_create_slot(p->config.disk, c->number, &b);

    if (err < 0)
        return err;
    objects_follow_blob(p->objects, b);
    if (c->len)
        err = blob_write(b, c->data, c->len, 0);
    if (err == 0)
        err = refs_set_slot(p->refs, c->number, c->len);
    if (err < 0) {
        blob_unref(b);
        (void)blob_unlink_slot(p->config.disk, c->number);
        return err;
    }
    {
        MUTEX_GUARD(&p->contents.lock); /* a flush looks through the table meanwhile */
        c->blob = b;
        atomic_fetch_add(&p->contents.slots, 1);
    }
    atomic_fetch_sub(&p->contents.buffered, c->room);
    free(c->data);
    c->data = NULL;
    c->len = c->room = 0;
    atomic_store(&p->contents.slot_names, true);
    return 0;
}

int content_spill(struct state *p, struct content *c)
{
    int err;

    {
        MUTEX_GUARD(&c->io);
        err = c->blob || c->cancelled ? 0 : spill(p, c);
    }
    if (err < 0)
        return err;
    MUTEX_GUARD(&p->contents.lock);
    content_slot_changed(p, c, false);
    return 0;
}

static size_t buffer_limit(struct state *p)
{
    int64_t limit = settings_get(&p->settings, SET_PACK_LIMIT);
    return limit < CONTENT_BUFFER_MAX ? (size_t)limit : CONTENT_BUFFER_MAX;
}

static int write_buffer(struct state *p, struct content *c, const void *buf, size_t len,
                        uint64_t off)
{
    int err = grow(p, c, off + len);

    if (err < 0)
        return err;
    c->kept = false;
    if (off > c->len)
        memset(c->data + c->len, 0, off - c->len);
    memcpy(c->data + off, buf, len);
    if (off + len > c->len)
        c->len = off + len;
    return 0;
}

/* May the frame have these bytes of a slot, so that only the log need be synced? Not where they
 * leave a gap, which a replay could not fill; nor where a replay would take it for a buffer. */
static bool takes_credit(struct content *c, size_t len, uint64_t off)
{
    uint32_t left = atomic_load(&c->log_left);

    if (!c->slot_told || len > SLOT_LOGGED_WRITE || len > left || off > blob_length(c->blob))
        return false;
    atomic_store(&c->log_left, left - (uint32_t)len);
    return true;
}

static int write_slot(struct txn *t, struct content *c, const struct bytes *b)
{
    bool logged = takes_credit(c, b->len, b->off);
    int err = blob_write(c->blob, b->buf, b->len, b->off);

    if (err == 0 && logged)
        capture_bytes(t, c, b);
    slot_changed(t, c, err == 0 && logged); /* also a part of it */
    if (err == 0)
        content_write_behind(t->p, c, b->off + b->len);
    return err;
}

static int write_bytes(struct txn *t, struct content *c, const struct bytes *b)
{
    struct state *p = t->p;
    int err = 0;
    MUTEX_GUARD(&c->io);

    if (!c->blob && b->off + b->len > buffer_limit(p))
        err = spill(p, c);
    if (err < 0)
        return err;
    if (c->blob)
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

int content_write_lent(struct txn *t, struct content *c, const void *buf, size_t len,
                       uint64_t off)
{
    return write_bytes(t, c, &(struct bytes){buf, len, off, true});
}

static int cut_buffer(struct state *p, struct content *c, uint64_t len)
{
    int err = grow(p, c, len);

    if (err < 0)
        return err;
    c->kept = false;
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

    if (!c->blob && len > buffer_limit(p))
        err = spill(p, c);
    if (err == 0)
        err = c->blob ? blob_truncate(c->blob, len) : cut_buffer(p, c, len);
    if (c->blob)
        slot_changed(t, c, false);
    else if (err == 0)
        capture_op(t, &(struct op){.kind = OP_CONTENT_TRUNCATE, .number = c->number, .a = len});
    return err;
}

uint64_t content_length(struct content *c)
{
    MUTEX_GUARD(&c->io);
    return c->blob ? blob_length(c->blob) : c->len;
}

/* ---- reading ---- */

static ssize_t read_unsealed(struct content *c, void *buf, size_t len, uint64_t off)
{
    struct blob *b;
    ssize_t n;

    {
        MUTEX_GUARD(&c->io);
        if (!c->blob) {
            if (off >= c->len)
                return 0;
            if (len > c->len - off)
                len = c->len - off;
            memcpy(buf, c->data + off, len);
            return (ssize_t)len;
        }
        b = blob_ref(c->blob);
        n = blob_read(b, buf, len, off);
    }
    blob_unref(b);
    return n;
}

static ssize_t read_ghost(struct state *p, uint64_t number, const struct entry *e, void *buf,
                          size_t len, uint64_t off, struct reader *r)
{
    ssize_t n = r->far ? far_get(r->far, number, buf, len, off) : -ENOENT;

    if (n != -ENOENT)
        return n;
    if (!thread_may_wait() && (!r->far || r->far->gathering)) /* else a change is under way */
        return -EWOULDWAIT;
    n = objects_read(p->objects, e, buf, len, off);
    if (n >= 0 && r->far)
        far_keep(r->far, number, buf, len, (size_t)n, off);
    else if (n == -EHOSTUNREACH)
        r->away = e->shard;
    return n;
}

/* No two places of one object are the same. */
static uint64_t place_of(const struct entry *e)
{
    return e->where ^ (uint64_t)e->offset << 32 ^ (uint64_t)e->shard << 16 ^
           (uint64_t)e->kind << 60;
}

/* Of one that is not there: a shortage keeps its slot closed, or it is damaged; or it was just
 * forgotten. */
static int no_bytes(struct state *p, const struct entry *e)
{
    int err = e->kind == ENTRY_SLOT ? state_lacks(p) : 0;

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
    if (!entry_is_sealed(&e)) { /* an alias of nothing, or it was just forgotten */
        c = content_find(p, number);
        n = c ? read_unsealed(c, buf, len, off) : no_bytes(p, &e);
        content_unref(c);
    } else {
        n = entry_is_ghost(&e) ? read_ghost(p, number, &e, buf, len, off, r)
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

int content_restore(struct state *p, uint64_t number, uint64_t owner, uint64_t owner_off)
{
    struct content *c = create(number, owner, owner_off);

    if (!c)
        return -ENOMEM;
    enlist(p, c);
    content_unref(c);
    return 0;
}

/* The buffer of `number`, if it may have so many bytes. */
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

/* ---- choosing, loading, releasing ---- */

size_t contents_pick(struct state *p, bool (*want)(struct state *, struct content *, void *),
                     void *ctx, struct content **out, size_t max)
{
    size_t n = 0;
    MUTEX_GUARD(&p->contents.lock);

    for (size_t i = 0; i < CONTENT_BUCKETS && n < max && p->contents.count; i++)
        for (struct content *c = p->contents.bucket[i]; c && n < max; c = c->next)
            if (want(p, c, ctx)) {
                atomic_fetch_add(&c->refs, 1);
                out[n++] = c;
            }
    return n;
}

/* One file's damage, or the disk's there: reading it says so. */
static void no_slot(uint64_t number, int err)
{
    report(REPORT_ALARM, "slot %llu %s%s%s", (unsigned long long)number,
           err == -EUCLEAN ? "is damaged: shorter than the last commit says"
                           : "cannot be opened (",
           err == -EUCLEAN ? "" : strerror(-err),
           err == -EUCLEAN ? "" : "): its file cannot be read");
}

/* Where the process has too little for it the slot may be sound and have what a commit must not let
 * the log forget: that is the error, and it can be tried again. */
static int load_slot(struct state *p, uint64_t number, uint64_t size)
{
    struct content *c = create(number, 0, CONTENT_WHOLE);
    int err;

    if (!c)
        return -ENOMEM;
    c->recorded = size;
    c->named = c->slot_told = true;
    err = blob_open_slot(p->config.disk, number, size, &c->blob);
    if (err == 0) {
        enlist(p, c);
        /* Where the daemon alone died, only the page cache may have what frames say of it. */
        MUTEX_GUARD(&p->contents.lock);
        content_slot_changed(p, c, false);
    }
    if (err < 0 && !io_is_short(err))
        no_slot(number, err);
    content_unref(c);
    return io_is_short(err) ? err : 0;
}

int content_adopt_slot(struct state *p, uint64_t number, uint64_t size)
{
    struct content *c = content_find(p, number);
    int err = c ? 0 : load_slot(p, number, size);

    content_unref(c);
    return err;
}

void content_disown(struct state *p, uint64_t number)
{
    struct content *c = content_find(p, number);

    if (!c)
        return;
    content_unlist(p, c);
    {
        MUTEX_GUARD(&p->contents.lock);
        content_slot_clean(p, c);
        if (!c->blob)
            map64_del(&p->contents.held, number);
    }
    content_unref(c);
}

static bool is_in(struct state *p, const struct map64 *map, uint64_t number)
{
    uint64_t none;
    MUTEX_GUARD(&p->contents.lock);
    return map64_get(map, number, &none);
}

struct loading {
    struct state *p;
    uint64_t first; /* numbers before it the last commit gave */
};

/* What was replayed may be more than a sync vouches for: if power goes before it is committed, the
 * next start replays less of it, and may find the slot named. */
static int leave_for_commit(struct state *p, uint64_t number)
{
    int err = refs_bury_slot(p->refs, number);

    if (err == 0)
        refs_cancel(p->refs, number);
    return err;
}

/* A slot the commit names becomes a content again; any other was never committed, or its content
 * was sealed: it goes. So do sums that a power loss left alone. */
static int load_or_reap(const char *name, void *ctx)
{
    const struct loading *l = ctx;
    struct state *p = l->p;
    char slot[DISK_NAME_MAX + 1];
    struct entry e;
    uint64_t number;
    bool sums = blob_strip_sums(name, slot);
    int err;

    if (blob_parse_slot(slot, &number) < 0)
        return 0;
    err = refs_entry(p->refs, number, false, NULL, &e);
    if (is_in(p, &p->contents.unwritten, number))
        return 0;
    if (err == 0 && e.kind == ENTRY_SLOT && e.count > 0)
        return sums ? 0 : content_adopt_slot(p, number, e.size);
    if (err < 0 && err != -ENOENT)
        return err == -ENOMEM ? err : 0;    /* nobody knows whose it is: it stays */
    if (err == 0 && e.kind == ENTRY_SLOT) /* of a file that is deleted, or was being made whole */
        return leave_for_commit(p, number);
    if (!refs_has_slot(p->refs, number) &&
        !(err == -ENOENT && number < l->first && lost_start_keep(p)))
        (void)blob_unlink_slot(p->config.disk, number); /* else the next start does it */
    return 0;
}

static bool is_unnamed(struct state *p, struct content *c, void *ctx)
{
    struct entry e;

    (void)ctx;
    return refs_entry(p->refs, c->number, false, NULL, &e) == 0 && e.count == 0;
}

/* What the log began and no item names. */
static void cancel_unnamed(struct state *p)
{
    struct content *c;

    while (contents_pick(p, is_unnamed, NULL, &c, 1)) {
        refs_cancel(p->refs, c->number);
        content_unlist(p, c);
        content_unref(c);
    }
}

/* Of the numbers that the log began those that no item names, also where the slot is gone: the
 * daemon died while it took one back. */
static int cancel_begun(struct state *p, uint64_t first)
{
    struct entry e;
    int err = 0;

    for (uint64_t n = first; n < refs_next(p->refs) && err == 0; n++)
        if (refs_entry(p->refs, n, false, NULL, &e) == 0 && e.count == 0 && e.kind == ENTRY_SLOT)
            err = leave_for_commit(p, n);
    return err;
}

int contents_load(struct state *p, uint64_t first)
{
    struct loading l = {p, first};

    cancel_unnamed(p);
    int err = cancel_begun(p, first);
    if (err == 0)
        err = disk_list(p->config.disk, "slots", load_or_reap, &l);
    if (err < 0 && !io_is_short(err))
        state_turn_readonly(p, "looking for slots", err);
    return io_is_short(err) ? err : 0;
}

static void clean_all(struct state *p)
{
    struct content *c;

    while ((c = TAILQ_FIRST(&p->contents.dirty))) {
        TAILQ_REMOVE(&p->contents.dirty, c, dirty_next);
        content_unref(c);
    }
}

void contents_release(struct state *p)
{
    clean_all(p); /* nobody else is there any more */
    for (size_t i = 0; i < CONTENT_BUCKETS; i++)
        while (p->contents.bucket[i])
            content_unlist(p, p->contents.bucket[i]);
    map64_release(&p->contents.unwritten);
    map64_release(&p->contents.held);
}
