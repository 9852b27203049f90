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
#include "state.h"
#include <errno.h>
#include <stdlib.h>

#define SYNC_AT_ONCE 256
/* Written back behind its writer, in steps; who writes less waits for less, and may delete it
 * soon */
#define BEHIND_FROM (UINT64_C(32) << 20) /* bytes a slot has before that begins */
#define BEHIND_STEP (UINT64_C(8) << 20)  /* bytes */
#define BEHIND_MOST (UINT64_C(64) << 20) /* bytes that one worker begins with at once */
/* So much is synced without keeping its writers and readers waiting; then the rest of it with. */
#define SYNC_ALONE (UINT64_C(1) << 20) /* bytes */

void content_slot_changed(struct state *p, struct content *c, bool logged)
{
    mutex_held(&p->contents.lock);
    if (!c->blob)
        return;
    c->slot_changes++;
    if (logged)
        return;
    c->slot_unlogged = c->slot_changes;
    atomic_store(&c->log_left, 0);
    if (c->dirty)
        return;
    c->dirty = true;
    c->dirty_at = ++p->contents.dirtied;
    TAILQ_INSERT_TAIL(&p->contents.dirty, c, dirty_next);
    atomic_fetch_add(&c->refs, 1);
}

void content_slot_clean(struct state *p, struct content *c)
{
    mutex_held(&p->contents.lock);
    if (!c->dirty)
        return;
    c->dirty = false;
    TAILQ_REMOVE(&p->contents.dirty, c, dirty_next);
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

    blob_flush_hint(b->c->blob, b->from, b->len);
    behind_end(b);
    return 0;
}

/* One at a time: where the disk is slow, more gathers meanwhile, and no other worker waits for
 * it. */
void content_write_behind(struct state *p, struct content *c, uint64_t end)
{
    struct behind *b;

    if (end < BEHIND_FROM || end < c->behind + BEHIND_STEP ||
        atomic_exchange(&p->contents.behind, true))
        return;
    b = malloc(sizeof *b);
    if (!b) {
        atomic_store(&p->contents.behind, false);
        return;
    }
    *b = (struct behind){.p = p, .c = c, .from = c->behind, .len = end - c->behind};
    if (b->len > BEHIND_MOST)
        b->len = BEHIND_MOST;
    c->behind += b->len;
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

static bool is_dirty(struct state *p, struct content *c, void *ctx)
{
    (void)ctx;
    mutex_held(&p->contents.lock);
    return c->blob && c->slot_changes != c->slot_synced;
}

/* One that was sealed meanwhile is synced. */
static int sync_slot(struct content *c)
{
    int err = 0;
    MUTEX_GUARD(&c->sync);

    if (blob_length(c->blob) > SYNC_ALONE)
        err = blob_sync_bytes(c->blob);
    if (err < 0)
        return err;
    MUTEX_GUARD(&c->io);
    if (c->cancelled)
        return 0;
    err = blob_sync_slot(c->blob);
    /* A commit needs its bytes. Sums beside it that cannot be stored hold nobody up. */
    return err < 0 && !blob_is_suspect(c->blob) ? blob_sync_bytes(c->blob) : err;
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
            changes[i] = some[i]->slot_changes;
    }
    for (size_t i = 0; i < n && err == 0; i++) {
        err = sync_slot(some[i]);
        if (err < 0)
            blame_slot(p, some[i], err);
        if (err < 0 && blob_is_suspect(some[i]->blob))
            state_turn_readonly(p, "syncing a slot", err);
    }
    if (err == 0 && n > 0)
        err = disk_sync_dir(p->config.disk, "slots");
    if (err < 0)
        return err;
    MUTEX_GUARD(&p->contents.lock);
    for (size_t i = 0; i < n; i++) {
        struct content *c = some[i];
        c->slot_synced = changes[i] > c->slot_synced ? changes[i] : c->slot_synced;
        c->slot_durable = changes[i] > c->slot_durable ? changes[i] : c->slot_durable;
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
    uint64_t changes;
    int err;

    {
        MUTEX_GUARD(&p->contents.lock);
        changes = c->slot_changes;
    }
    {
        MUTEX_GUARD(&c->sync);
        err = c->cancelled ? 0 : blob_sync_bytes(c->blob);
    }
    if (err < 0) {
        blame_slot(p, c, err);
        if (!io_is_short(err))
            state_turn_readonly(p, "syncing a slot", err);
        return err;
    }
    MUTEX_GUARD(&p->contents.lock);
    if (c->slot_durable < changes)
        c->slot_durable = changes;
    if (c->slot_unlogged <= c->slot_durable)
        atomic_store(&c->log_left, SLOT_LOGGED_MAX);
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

    if (!c || c->dirty_at > since)
        return NULL;
    c->dirty = false;
    TAILQ_REMOVE(&p->contents.dirty, c, dirty_next);
    return c;
}

/* As it was before take_dirty, with its reference. */
static void put_back_dirty(struct state *p, struct content *c)
{
    {
        MUTEX_GUARD(&p->contents.lock);
        if (!c->dirty) {
            c->dirty = true;
            TAILQ_INSERT_HEAD(&p->contents.dirty, c, dirty_next);
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
            put_back_dirty(p, c);
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
                if (is_dirty(p, l->v[i], NULL))
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
    return c->blob != NULL;
}

int slots_record(struct state *p, struct slot_list *ret)
{
    size_t max = p->contents.count;
    int err = 0;

    rwlock_held_write(&p->gate);
    ret->freeze = ++p->contents.freezes;
    ret->v = calloc(max ? max : 1, sizeof(struct content *));
    if (!ret->v)
        return -ENOMEM;
    ret->count = contents_pick(p, is_slot, NULL, ret->v, max);
    for (size_t i = 0; i < ret->count; i++) {
        struct content *c = ret->v[i];
        uint64_t len = content_length(c);
        int r = refs_set_slot(p->refs, c->number, len);
        if (len > c->recorded)
            c->recorded = len;
        c->named = true;
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
            next = TAILQ_NEXT(c, dirty_next);
            if (c->listed || c->gone_at >= l->freeze)
                continue;
            c->dirty = false;
            TAILQ_REMOVE(&p->contents.dirty, c, dirty_next);
            TAILQ_INSERT_TAIL(&gone, c, dirty_next);
        }
    }
    while ((c = TAILQ_FIRST(&gone))) { /* closing a file that is deleted may take long */
        TAILQ_REMOVE(&gone, c, dirty_next);
        content_unref(c);
    }
}
