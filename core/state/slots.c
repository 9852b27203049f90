// SPDX-License-Identifier: Apache-2.0
/*
 * slots: makes the bytes of slots durable, and records what a frozen state says of them.
 *
 * A slot is dirty while it has changes that no finished sync has. If two threads find it dirty,
 * both sync it, the second at little cost. So no thread takes for durable what another one has
 * still to sync.
 *
 * An fsync waits only for the bytes: one sync of the file. The sums beside it are a file of their
 * own, which the next write has to remove again; they are made when a commit records the slot.
 *
 * A slot that an fsync has synced gets a credit: small writes up to that many bytes are in their
 * frames as well, and leave the slot clean. So the next fsync is one sync of the log, however many
 * slots were written to. A slot that is never synced costs no copy.
 */
#include "io.h"
#include "report.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* slots synced before one sync of their directory */
#define SYNC_AT_ONCE 256
/* A large slot is written back behind its writer, in steps. A smaller one has less to wait for, and
 * may be deleted soon. */
#define BEHIND_FROM (UINT64_C(32) << 20) /* bytes; below that nothing is written back */
#define BEHIND_STEP (UINT64_C(8) << 20)  /* bytes */
#define BEHIND_MOST (UINT64_C(64) << 20) /* bytes that one worker writes back at once */
/* A slot larger than this is first synced without its lock, so that its writers and readers need
 * not wait; then the rest is synced with the lock. */
#define SYNC_ALONE (UINT64_C(1) << 20) /* bytes */

/* ---- having one ---- */

static struct slot *slot_alloc(void)
{
    struct slot *s = calloc(1, sizeof *s);

    if (s)
        mutex_init(&s->sync, "content sync");
    return s;
}

void slot_free(struct slot *s)
{
    if (!s)
        return;
    blob_unref(s->blob);
    mutex_destroy(&s->sync);
    free(s);
}

/* Makes the slot and copies the buffer into it. From here on the entry says SLOT, so that the slot
 * is deleted with the number, whenever that is. */
static int fill(struct state *p, const struct content *c, struct slot *s)
{
    int err = blob_create_slot(p->config.disk, c->number, &s->blob);

    if (err < 0)
        return err;
    objects_follow_blob(p->objects, s->blob);
    if (c->len)
        err = blob_write(s->blob, c->data, c->len, 0);
    if (err == 0)
        err = refs_set_slot(p->refs, c->number, c->len);
    if (err < 0)
        (void)blob_unlink_slot(p->config.disk, c->number);
    return err;
}

int content_make_slot(struct state *p, struct content *c)
{
    struct slot *s = slot_alloc();
    int err = s ? fill(p, c, s) : -ENOMEM;

    if (err < 0) {
        slot_free(s);
        return err;
    }
    atomic_store(&p->contents.slot_names, true);
    MUTEX_GUARD(&p->contents.lock); /* a flush may look through the table meanwhile */
    if (content_is_listed(c)) {
        atomic_fetch_sub(&p->contents.buffered, c->room);
        atomic_fetch_add(&p->contents.slots, 1);
        atomic_fetch_add(&p->contents.stuck, c->seal_error != 0);
    }
    free(c->data);
    c->data = NULL;
    c->len = c->room = 0;
    c->slot = s;
    if (content_is_open(c))
        content_set_state(p, c, CONTENT_SLOT);
    return 0;
}

/* Counts a change of the slot. Unless the frame has the bytes (`logged`), the slot becomes
 * dirty. */
static void changed(struct state *p, struct content *c, bool logged)
{
    struct slot *s = c->slot;

    mutex_held(&p->contents.lock);
    s->changes++;
    if (logged)
        return;
    atomic_store(&s->log_left, 0);
    if (s->dirty_at)
        return;
    s->dirty_at = ++p->contents.dirtied;
    TAILQ_INSERT_TAIL(&p->contents.dirty, c, slot->dirty_next);
    atomic_fetch_add(&c->refs, 1);
}

int content_spill(struct state *p, struct content *c)
{
    int err;

    {
        MUTEX_GUARD(&c->io);
        err = c->slot ? 0 : content_make_slot(p, c);
    }
    if (err < 0)
        return err;
    MUTEX_GUARD(&p->contents.lock);
    changed(p, c, false);
    return 0;
}

/* Notes that the first `len` bytes are named, so that they are never cut off. The caller holds
 * "contents". */
static void name_bytes(struct state *p, struct slot *s, uint64_t len)
{
    mutex_held(&p->contents.lock);
    s->named = true;
    s->recorded = len > s->recorded ? len : s->recorded;
}

/* Notes the new length for the frame. If the frame does not carry the bytes, they must be synced
 * before the frame counts as durable. */
void content_slot_changed(struct txn *t, struct content *c, bool logged)
{
    const uint64_t len = blob_length(c->slot->blob);
    struct op op = {.kind = OP_CONTENT_SLOT, .number = c->number, .a = len};

    if (!logged) {
        capture_op(t, &op);
        c->slot->told = true;
    }
    MUTEX_GUARD(&t->p->contents.lock);
    name_bytes(t->p, c->slot, len);
    changed(t->p, c, logged);
}

/* A write that would leave a gap is not logged, because a replay could not fill it. Neither is one
 * of a content that the log knows only as a buffer. */
bool slot_takes_credit(struct slot *s, size_t len, uint64_t off)
{
    uint32_t left = atomic_load(&s->log_left);

    if (!s->told || len > SLOT_LOGGED_WRITE || len > left || off > blob_length(s->blob))
        return false;
    atomic_store(&s->log_left, left - (uint32_t)len);
    return true;
}

/* Takes a slot out of the dirty list. The caller gets the reference of the list. */
static void take_out(struct state *p, struct content *c)
{
    mutex_held(&p->contents.lock);
    c->slot->dirty_at = 0;
    TAILQ_REMOVE(&p->contents.dirty, c, slot->dirty_next);
}

void content_slot_clean(struct state *p, struct content *c)
{
    if (!c->slot->dirty_at)
        return;
    take_out(p, c);
    content_unref(c);
}

/* Reports a slot that cannot be opened: its file is damaged, and reads of it fail. */
static void no_slot(uint64_t number, int err)
{
    report(REPORT_ALARM, "slot %llu %s%s%s", (unsigned long long)number,
           err == -EUCLEAN ? "is damaged: shorter than the last commit says"
                           : "cannot be opened (",
           err == -EUCLEAN ? "" : strerror(-err),
           err == -EUCLEAN ? "" : "): its file cannot be read");
}

/* Opens a slot at a start. A shortage in the process (memory, open files) is returned and can be
 * tried again: the slot may be sound, and the log must not forget what it has for it. Damage is
 * reported and is no error here. */
static int load_slot(struct state *p, uint64_t number, uint64_t size)
{
    struct slot *s = slot_alloc();
    struct content *c;
    int err = s ? blob_open_slot(p->config.disk, number, size, &s->blob) : -ENOMEM;

    if (err < 0) {
        slot_free(s);
        if (io_is_short(err))
            return err;
        no_slot(number, err);
        return 0;
    }
    s->recorded = size;
    s->named = s->told = true;
    err = content_restore(p, number, 0, CONTENT_WHOLE, s);
    c = err == 0 ? content_find(p, number) : NULL;
    /* after the death of the daemon alone, only the page cache may have what frames say of it */
    if (c) {
        MUTEX_GUARD(&p->contents.lock);
        changed(p, c, false);
    }
    content_unref(c);
    return err;
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
    content_unlist(p, c, CONTENT_GONE);
    {
        MUTEX_GUARD(&p->contents.lock);
        if (c->slot)
            content_slot_clean(p, c);
        else
            map64_del(&p->contents.held, number);
    }
    content_unref(c);
}

/* ---- behind the writer ---- */

/* Work for a worker: bytes of one slot to write back. */
struct behind {
    struct state *p;
    struct content *c; /* with a reference */
    uint64_t from, len;
};

static void behind_end(struct behind *b)
{
    atomic_store(&b->p->contents.behind, false);
    content_unref(b->c);
    free(b);
}

static void behind_dropped(void *arg, int err)
{
    (void)err;
    behind_end(arg);
}

static int behind_run(void *arg)
{
    struct behind *b = arg;

    blob_flush_hint(b->c->slot->blob, b->from, b->len);
    behind_end(b);
    return 0;
}

/* Begins to write back. One worker does this at a time: on a slow disk more gathers meanwhile, and
 * the other workers stay free. */
void content_write_behind(struct state *p, struct content *c, uint64_t end)
{
    struct slot *s = c->slot;
    struct behind *b;

    if (end < BEHIND_FROM || end < s->behind + BEHIND_STEP ||
        atomic_exchange(&p->contents.behind, true))
        return;
    b = malloc(sizeof *b);
    if (!b) {
        atomic_store(&p->contents.behind, false);
        return;
    }
    *b = (struct behind){.p = p, .c = c, .from = s->behind, .len = end - s->behind};
    if (b->len > BEHIND_MOST)
        b->len = BEHIND_MOST;
    s->behind += b->len;
    atomic_fetch_add(&c->refs, 1);
    if (workers_try_submit(p->workers,
                           &(struct workers_work){.fn = behind_run,
                                                  .dropped = behind_dropped,
                                                  .arg = b,
                                                  .name = "write-behind",
                                                  .class = WORKERS_NORMAL},
                           NULL) < 0)
        behind_end(b);
}

/* ---- syncing ---- */

static bool is_cancelled(struct state *p, const struct content *c)
{
    MUTEX_GUARD(&p->contents.lock);
    return c->state == CONTENT_CANCELLED;
}

/* Syncs a slot with its sums, also one that was sealed meanwhile. */
static int sync_slot(struct state *p, struct content *c)
{
    struct blob *b = c->slot->blob;
    int err = 0;
    MUTEX_GUARD(&c->slot->sync);

    if (blob_length(b) > SYNC_ALONE)
        err = blob_sync_bytes(b);
    if (err < 0)
        return err;
    MUTEX_GUARD(&c->io);
    if (is_cancelled(p, c))
        return 0;
    err = blob_sync_slot(b);
    /* A commit needs the bytes of the slot. Sums that cannot be stored hold nothing up. */
    return err < 0 && !blob_is_suspect(b) ? blob_sync_bytes(b) : err;
}

static void blame_slot(struct state *p, const struct content *c, int err)
{
    blame_note(p, BLAME_FLUSH, err, c->number, "syncing slot %llu failed",
               (unsigned long long)c->number);
}

/* Syncs the bytes and the names of some slots. They stay dirty until both are synced. */
static int sync_some(struct state *p, struct content *const *some, size_t n)
{
    uint64_t changes[SYNC_AT_ONCE];
    int err = 0;

    {
        MUTEX_GUARD(&p->contents.lock);
        for (size_t i = 0; i < n; i++)
            changes[i] = some[i]->slot->changes;
    }
    for (size_t i = 0; i < n && err == 0; i++) {
        err = sync_slot(p, some[i]);
        if (err < 0)
            blame_slot(p, some[i], err);
        if (err < 0 && blob_is_suspect(some[i]->slot->blob))
            state_turn_readonly(p, "syncing a slot", err);
    }
    if (err == 0 && n > 0)
        err = disk_sync_dir(p->config.disk, "slots");
    if (err < 0)
        return err;
    MUTEX_GUARD(&p->contents.lock);
    for (size_t i = 0; i < n; i++) {
        struct slot *s = some[i]->slot;
        s->synced = changes[i] > s->synced ? changes[i] : s->synced;
    }
    return 0;
}

/* Syncs the bytes of one slot, for fsync. A failure is never tried again, whether the disk is full
 * or broken. The kernel reports a failure once, and its pages count as clean afterwards, so a
 * second sync would succeed wrongly. Then it is not known what the slot has, while frames that name
 * its bytes are in the log below all later ones. So the store turns read-only.
 *
 * Room reserved before the write would not help. A filesystem that allocates late has reserved the
 * room when the write returned (its ENOSPC was the writer's). If ENOSPC still comes from a sync, a
 * device has promised more than it has, and fallocate would be no promise either. A shortage in
 * this process is no failure of the disk, which was not asked. */
static int sync_bytes(struct state *p, struct content *c)
{
    int err;

    {
        MUTEX_GUARD(&c->slot->sync);
        err = is_cancelled(p, c) ? 0 : blob_sync_bytes(c->slot->blob);
    }
    if (err < 0) {
        blame_slot(p, c, err);
        if (!io_is_short(err))
            state_turn_readonly(p, "syncing a slot", err);
        return err;
    }
    MUTEX_GUARD(&p->contents.lock);
    if (!c->slot->dirty_at) /* it is still clean since it was taken out of the list */
        atomic_store(&c->slot->log_left, SLOT_LOGGED_MAX);
    return 0;
}

static uint64_t count_dirtied(struct state *p)
{
    MUTEX_GUARD(&p->contents.lock);
    return p->contents.dirtied;
}

/* Takes the first slot that was dirty at `since` out of the list, with its reference. NULL: there
 * is none. */
static struct content *take_dirty(struct state *p, uint64_t since)
{
    MUTEX_GUARD(&p->contents.lock);
    struct content *c = TAILQ_FIRST(&p->contents.dirty);

    if (!c || c->slot->dirty_at > since)
        return NULL;
    take_out(p, c);
    return c;
}

/* Undoes take_dirty with that `since`, and gives the reference back to the list. */
static void put_back_dirty(struct state *p, struct content *c, uint64_t since)
{
    {
        MUTEX_GUARD(&p->contents.lock);
        if (!c->slot->dirty_at) {
            c->slot->dirty_at = since;
            TAILQ_INSERT_HEAD(&p->contents.dirty, c, slot->dirty_next);
            return;
        }
    }
    content_unref(c); /* it was written to meanwhile */
}

/* Syncs the bytes of every dirty slot. That includes contents that are being sealed, because frames
 * still call them slots. It also includes deleted ones, because the frame of the deletion may come
 * after this sync. */
static int sync_all_bytes(struct state *p)
{
    /* without this limit a writer could keep us here for ever */
    const uint64_t since = count_dirtied(p);
    struct content *c;
    int err = 0;

    while (err == 0 && (c = take_dirty(p, since))) {
        err = sync_bytes(p, c);
        if (io_is_short(err))
            put_back_dirty(p, c, since);
        else
            content_unref(c);
    }
    return err;
}

int slots_sync_logged(struct state *p)
{
    bool names = atomic_exchange(&p->contents.slot_names, false);
    int err = sync_all_bytes(p);

    if (err == 0 && names) /* the directory has names of slots that are objects by now, too */
        err = disk_sync_dir(p->config.disk, "slots");
    if (err < 0 && names)
        atomic_store(&p->contents.slot_names, true);
    return err;
}

int slots_sync_recorded(struct state *p, const struct slot_list *l)
{
    struct content *some[SYNC_AT_ONCE];
    int err = 0;

    for (size_t i = 0; i < l->count && err == 0;) {
        size_t n = 0;
        {
            MUTEX_GUARD(&p->contents.lock);
            for (; i < l->count && n < SYNC_AT_ONCE; i++)
                if (l->v[i]->slot->changes != l->v[i]->slot->synced)
                    some[n++] = l->v[i];
        }
        err = sync_some(p, some, n);
    }
    return err;
}

void slot_list_release(struct slot_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        content_unref(l->v[i]);
    free(l->v);
    *l = (struct slot_list){0};
}

static bool is_slot(struct state *p, struct content *c, void *ctx)
{
    (void)p;
    (void)ctx;
    return c->slot;
}

int slots_record(struct state *p, struct slot_list *ret)
{
    size_t max = p->contents.count;
    int err = 0;

    rwlock_held_write(&p->freeze_lock);
    ret->freeze = ++p->contents.freezes;
    ret->v = calloc(max ? max : 1, sizeof(struct content *));
    if (!ret->v)
        return -ENOMEM;
    ret->count = contents_pick(p, is_slot, NULL, ret->v, max);
    for (size_t i = 0; i < ret->count; i++) {
        struct content *c = ret->v[i];
        uint64_t len = content_length(c);
        int set_err = refs_set_slot(p->refs, c->number, len);
        {
            MUTEX_GUARD(&p->contents.lock);
            name_bytes(p, c->slot, len);
        }
        /* It was collected or sealed just now; or its entry is damaged, which concerns its file
         * alone. */
        if (set_err < 0 && set_err != -ENOENT && set_err != -EINVAL && set_err != -EUCLEAN)
            err = set_err;
    }
    return err;
}

void slots_committed(struct state *p, const struct slot_list *l)
{
    struct content_list gone = TAILQ_HEAD_INITIALIZER(gone);
    struct content *c, *next;

    {
        MUTEX_GUARD(&p->contents.lock);
        for (c = TAILQ_FIRST(&p->contents.dirty); c; c = next) {
            next = TAILQ_NEXT(c, slot->dirty_next);
            if (content_is_listed(c) || c->slot->gone_at >= l->freeze)
                continue;
            take_out(p, c);
            TAILQ_INSERT_TAIL(&gone, c, slot->dirty_next);
        }
    }
    while ((c = TAILQ_FIRST(&gone))) { /* without the lock: closing a deleted file may take long */
        TAILQ_REMOVE(&gone, c, slot->dirty_next);
        content_unref(c);
    }
}
