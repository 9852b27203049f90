// SPDX-License-Identifier: Apache-2.0
/*
 * slots: making the bytes of slots durable, and what a frozen state says of them.
 *
 * A slot is dirty while it has changes that no finished sync has. Two who find it dirty both sync
 * it, the second at little cost: so nobody takes for durable what another is still about to sync.
 *
 * What fsync waits for is the bytes: one sync of the file. The sums beside it, a file of their own
 * that the next write has to take away again, are made when a commit records the slot.
 *
 * A slot that was synced so gets a credit: small writes up to that many bytes go into their frames
 * as well, and leave it clean, so that the next fsync is one sync of the log, however many slots
 * were written to. Who never syncs pays for no copy.
 */
#include "io.h"
#include "report.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SYNC_AT_ONCE 256
/* Written back behind its writer, in steps; who writes less waits for less, and may delete it
 * soon */
#define BEHIND_FROM (UINT64_C(32) << 20) /* bytes a slot has before that begins */
#define BEHIND_STEP (UINT64_C(8) << 20)  /* bytes */
#define BEHIND_MOST (UINT64_C(64) << 20) /* bytes that one worker begins with at once */
/* So much is synced without keeping its writers and readers waiting; then the rest of it with. */
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

/* The entry says SLOT from here on, so that the slot is deleted with the number, whenever that
 * is. */
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
    MUTEX_GUARD(&p->contents.lock); /* a flush looks through the table meanwhile */
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

/* Dirty, or, where the frame has the bytes, as it was. */
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

/* Nothing of those bytes may be cut off from here on. */
static void name_bytes(struct state *p, struct slot *s, uint64_t len)
{
    mutex_held(&p->contents.lock);
    s->named = true;
    s->recorded = len > s->recorded ? len : s->recorded;
}

/* Where no frame has the bytes they must be synced before the one that names them is called
 * durable. */
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

/* Not where they leave a gap, which a replay could not fill; nor where a replay would take it for a
 * buffer. */
bool slot_takes_credit(struct slot *s, size_t len, uint64_t off)
{
    uint32_t left = atomic_load(&s->log_left);

    if (!s->told || len > SLOT_LOGGED_WRITE || len > left || off > blob_length(s->blob))
        return false;
    atomic_store(&s->log_left, left - (uint32_t)len);
    return true;
}

/* Out of the list; its reference is the caller's. */
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
    if (c) { /* where the daemon alone died, only the page cache may have what frames say of it */
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

struct behind {
    struct state *p;
    struct content *c; /* referenced */
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

/* One at a time: where the disk is slow, more gathers meanwhile, and no other worker waits for
 * it. */
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

/* One that was sealed meanwhile is synced. */
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
    /* A commit needs its bytes. Sums beside it that cannot be stored hold nobody up. */
    return err < 0 && !blob_is_suspect(b) ? blob_sync_bytes(b) : err;
}

static void blame_slot(struct state *p, const struct content *c, int err)
{
    blame_note(p, BLAME_FLUSH, err, c->number, "syncing slot %llu failed",
               (unsigned long long)c->number);
}

/* Bytes and names of some slots, which stay dirty until both are synced. */
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

/* No failure is tried again, a disk that is full no more than one that is broken: the kernel has
 * told it once, its pages count as clean now, and a second sync would say that all is well. So
 * nobody knows what the slot has, while frames that name its bytes stand in the log, below those of
 * all others. Room kept for it beforehand would help nothing: a filesystem that allocates late has
 * reserved the room when the write returned (that ENOSPC was the writer's), and where it still
 * comes up here, from a device that promises more than is behind it, fallocate is promised nothing.
 * A shortage is no failure of the disk: it was not asked. */
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
    if (!c->slot->dirty_at) /* since it was taken out of the list */
        atomic_store(&c->slot->log_left, SLOT_LOGGED_MAX);
    return 0;
}

static uint64_t count_dirtied(struct state *p)
{
    MUTEX_GUARD(&p->contents.lock);
    return p->contents.dirtied;
}

/* The first that is dirty since then, taken out of the list with its reference. NULL: none is. */
static struct content *take_dirty(struct state *p, uint64_t since)
{
    MUTEX_GUARD(&p->contents.lock);
    struct content *c = TAILQ_FIRST(&p->contents.dirty);

    if (!c || c->slot->dirty_at > since)
        return NULL;
    take_out(p, c);
    return c;
}

/* As it was before take_dirty with that `since`, with its reference. */
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
    content_unref(c); /* somebody wrote meanwhile */
}

/* Of each that has new ones: of what is being sealed, too, the frames speak as of slots; and of
 * what was deleted, since the frame that says so may come after the sync. */
static int sync_all_bytes(struct state *p)
{
    const uint64_t since = count_dirtied(p); /* else who goes on writing would keep us here */
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

    if (err == 0 && names) /* also of those that are objects by now */
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
    return c->slot != NULL;
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
        int r = refs_set_slot(p->refs, c->number, len);
        {
            MUTEX_GUARD(&p->contents.lock);
            name_bytes(p, c->slot, len);
        }
        /* Collected or sealed just now; or its entry is damaged, which is its file's matter. */
        if (r < 0 && r != -ENOENT && r != -EINVAL && r != -EUCLEAN)
            err = r;
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
    while ((c = TAILQ_FIRST(&gone))) { /* closing a file that is deleted may take long */
        TAILQ_REMOVE(&gone, c, slot->dirty_next);
        content_unref(c);
    }
}
