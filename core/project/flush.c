// SPDX-License-Identifier: Apache-2.0
/*
 * flush: makes what was acknowledged durable.
 *
 *     seal      buffers (and closed slots) become objects             writers go on
 *     rotate    the last few buffers; every table is frozen           gate held for writing
 *     stream    bytes of slots and packs, and their names, are synced  writers go on
 *     finalize  one kv commit of pages, counts, entries, roots; then the dead are deleted
 *
 * If the commit fails, what was frozen stays so and is written again by the next flush: a frozen
 * state is a whole one. After an error that leaves the disk's state unknown (a failed sync or
 * commit) the store turns read-only rather than lie.
 *
 * Today fsync is a flush. The log will answer fsync earlier; it takes its place in front of
 * `project_flush`, the steps here stay.
 */
#include "io.h"
#include "project_impl.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

#define COLLECT_AT_ONCE 4096
#define BURY_AT_ONCE 64
#define SYNC_AT_ONCE 256

static bool slot_is_dirty(struct project *p, struct content *c, void *ctx)
{
    (void)p;
    (void)ctx;
    return c->blob && c->slot_dirty && !c->sealing;
}

static int sync_slot(struct project *p, struct content *c)
{
    int err;

    {
        MUTEX_GUARD(&p->contents.lock);
        c->slot_dirty = false;
    }
    MUTEX_GUARD(&c->io);
    err = c->cancelled ? 0 : blob_sync_slot(c->blob);
    if (err < 0) {
        MUTEX_GUARD(&p->contents.lock);
        c->slot_dirty = true;
    }
    return err;
}

/* Bytes and names of some slots. While a name is not synced, its slot stays dirty. */
static int sync_some(struct project *p, struct content *const *some, size_t n)
{
    int err = 0;

    for (size_t i = 0; i < n && err == 0; i++) {
        err = sync_slot(p, some[i]);
        if (err < 0 && blob_is_suspect(some[i]->blob))
            project_turn_readonly(p, "syncing a slot", err);
    }
    if (err < 0 || n == 0)
        return err;
    err = disk_sync_dir(p->config.disk, "slots");
    MUTEX_GUARD(&p->contents.lock);
    for (size_t i = 0; i < n && err < 0; i++)
        some[i]->slot_dirty = true;
    return err;
}

/* Each slot that is dirty now, once. */
static int sync_slots(struct project *p)
{
    struct content *some[SYNC_AT_ONCE];
    size_t n = contents_pick(p, slot_is_dirty, NULL, some, SYNC_AT_ONCE);
    int err = sync_some(p, some, n);

    for (size_t i = 0; i < n; i++)
        content_unref(some[i]);
    return err < 0 || n < SYNC_AT_ONCE ? err : sync_slots(p);
}

/* The slots that the frozen state names, also those that a view has sealed since: the commit will
 * call them slots all the same. */
static int sync_recorded(struct project *p)
{
    struct flusher *f = &p->flush;
    size_t n = 0;

    {
        MUTEX_GUARD(&p->contents.lock);
        for (size_t i = 0; i < f->slot_count; i++)
            if (f->slots[i]->slot_dirty) {
                struct content *c = f->slots[i];
                f->slots[i] = f->slots[n];
                f->slots[n++] = c;
            }
    }
    return sync_some(p, f->slots, n);
}

void flush_release_slots(struct project *p)
{
    struct flusher *f = &p->flush;

    for (size_t i = 0; i < f->slot_count; i++)
        content_unref(f->slots[i]);
    free(f->slots);
    f->slots = NULL;
    f->slot_count = 0;
}

static bool is_slot(struct project *p, struct content *c, void *ctx)
{
    (void)p;
    (void)ctx;
    return c->blob != NULL;
}

/* The commit says how long each slot is. Gate held for writing. */
static int record_slots(struct project *p)
{
    size_t max = p->contents.count, n;
    struct content **all = calloc(max ? max : 1, sizeof(struct content *));
    int err = all ? 0 : -ENOMEM;

    if (err < 0)
        return err;
    flush_release_slots(p);
    n = contents_pick(p, is_slot, NULL, all, max);
    for (size_t i = 0; i < n; i++) {
        uint64_t len = content_length(all[i]);
        int r = refs_set_slot(p->refs, all[i]->number, len);
        if (len > all[i]->recorded)
            all[i]->recorded = len;
        all[i]->named = true;
        if (r < 0 && r != -ENOENT && r != -EINVAL) /* collected or sealed just now */
            err = r;
    }
    p->flush.slots = all;
    p->flush.slot_count = n;
    return err;
}

static void forget(uint64_t number, const struct entry *e, void *ctx)
{
    (void)e;
    content_forget(ctx, number);
}

static int collect(struct project *p)
{
    int n;

    do {
        READ_GUARD(&p->gate);
        n = refs_collect(p->refs, COLLECT_AT_ONCE, forget, p);
    } while (n == COLLECT_AT_ONCE);
    return n < 0 ? n : 0;
}

void project_turn_readonly(struct project *p, const char *what, int err)
{
    if (atomic_exchange(&p->readonly, true))
        return;
    report(REPORT_ALARM, "%s failed (%s): the store is read-only now", what, strerror(-err));
    if (settings_get(&p->settings, SET_ON_FATAL) == ON_FATAL_EXIT)
        event_stop(p);
}

static int freeze(struct project *p)
{
    struct flusher *f = &p->flush;
    int err = seal_rest(p);

    if (err == 0)
        err = record_slots(p);
    if (err == 0)
        err = state_freeze(p);
    if (err == 0)
        err = ns_table_freeze(p, &f->ns_records);
    if (err < 0)
        return err;
    /* From here on only a lack of memory can fail, and half a freeze cannot be taken back. */
    err = drops_freeze(p->drops);
    if (err == 0)
        err = refs_freeze(p->refs);
    if (err == 0)
        err = packs_freeze(p->packs);
    if (err == 0)
        err = pages_freeze(p->pages);
    if (err < 0) {
        project_turn_readonly(p, "preparing a commit", err);
        return err;
    }
    f->frozen = true;
    f->frozen_seq = atomic_load(&p->seq);
    MUTEX_GUARD(&p->contents.lock);
    struct map64 none = p->contents.sealed_slots_frozen;
    p->contents.sealed_slots_frozen = p->contents.sealed_slots;
    p->contents.sealed_slots = none;
    return 0;
}

static int rotate(struct project *p)
{
    int err;
    MUTEX_GUARD(&p->flush.seal);

    {
        WRITE_GUARD(&p->gate);
        err = freeze(p);
    }
    return err;
}

/* Everything the frozen tables name becomes durable. */
static int stream(struct project *p)
{
    int err;
    MUTEX_GUARD(&p->flush.seal);

    err = objects_sync(p->objects);
    return err < 0 ? err : sync_recorded(p);
}

static int commit(struct project *p)
{
    struct kv_txn *t;
    int err = kv_txn_begin(p->config.kv, &t);

    if (err < 0)
        return err;
    err = pages_write(p->pages, 1, t);
    if (err == 0)
        err = refs_write(p->refs, 1, t);
    if (err == 0)
        err = packs_write(p->packs, 1, t);
    if (err == 0)
        err = drops_write(p->drops, 1, t);
    if (err == 0)
        err = ns_records_write(&p->flush.ns_records, t);
    if (err == 0)
        err = settings_write(p, t);
    if (err == 0)
        err = kv_put(t, TABLE_META, "state", 5, p->flush.state, p->flush.state_len);
    if (err < 0) {
        kv_abort(t);
        return err;
    }
    err = kv_commit(t);
    if (err == -EIO)
        project_turn_readonly(p, "a commit", err);
    return err;
}

static void thaw(struct project *p)
{
    struct flusher *f = &p->flush;

    {
        /* Briefly, so that no listing sees one table thawed and another not. */
        READ_GUARD(&p->gate);
        refs_thaw(p->refs, 1);
        pages_thaw(p->pages, 1);
        packs_thaw(p->packs, 1);
        drops_thaw(p->drops, 1);
    }
    ns_records_release(&f->ns_records);
    flush_release_slots(p);
    f->frozen = false;
    MUTEX_GUARD(&f->lock);
    f->durable_seq = f->frozen_seq;
    f->commits++;
    f->last_commit = now(p);
}

/* Names of slots whose contents the commit knows as objects. */
static void unlink_sealed_slots(struct project *p)
{
    struct map64 *m = &p->contents.sealed_slots_frozen;
    uint64_t number, none;
    size_t at = 0;

    while (map64_next(m, &at, &number, &none))
        (void)blob_unlink_slot(p->config.disk, number); /* else the next start does it */
    map64_release(m);
}

/* Delete the bytes whose removal is durable now. */
static void bury(struct project *p)
{
    struct refs_dead dead[BURY_AT_ONCE];
    size_t n;

    p->flush.buried = 0;
    while ((n = refs_collected(p->refs, dead, BURY_AT_ONCE)) > 0) {
        READ_GUARD(&p->gate);
        for (size_t i = 0; i < n; i++) {
            int err = objects_delete(p->objects, &dead[i]);
            if (err == 0)
                err = refs_buried(p->refs, &dead[i]);
            if (err < 0)
                report(REPORT_WARN, "deleting dead bytes failed (%s): kept until the next mount",
                       strerror(-err));
        }
        p->flush.buried += n;
    }
}

/* Seal and freeze. */
static int prepare(struct project *p, enum seal_what what)
{
    size_t left;
    int err = collect(p); /* first, so that what nobody wants any more needs no place on the disk */

    if (err == 0)
        err = seal_pass(p, what, -1, &left);
    if (err == 0) {
        MUTEX_GUARD(&p->flush.seal); /* a view may be sealing the very slot */
        err = sync_slots(p);
    }
    if (err == 0)
        err = collect(p);
    return err < 0 ? err : rotate(p);
}

/* What is frozen becomes durable, and then the dead go. */
static int finish(struct project *p)
{
    int err = stream(p);

    if (err < 0) {
        /* A failed sync may have dropped the dirty bytes: no second try can be trusted. Packs and
         * slots remember theirs, so that nothing is acknowledged on top of a lost one. */
        if (!io_is_full(err))
            project_turn_readonly(p, "writing objects to disk", err);
        return err;
    }
    err = commit(p);
    if (err < 0)
        return err;
    thaw(p);
    unlink_sealed_slots(p);
    bury(p);
    return 0;
}

/* Needs run. A state that an earlier flush froze and could not commit comes first; it does not have
 * what was changed since. */
static int flush_once(struct project *p, enum seal_what what)
{
    int err = 0;

    mutex_held(&p->flush.run);
    if (atomic_load(&p->readonly))
        return -EROFS;
    if (p->flush.frozen)
        err = finish(p);
    if (err == 0)
        err = prepare(p, what);
    return err < 0 ? err : finish(p);
}

int flush_run(struct project *p, enum seal_what what)
{
    struct flusher *f = &p->flush;
    uint64_t number;
    int err;
    MUTEX_GUARD(&f->run);

    {
        MUTEX_GUARD(&f->lock);
        number = ++f->started;
    }
    err = flush_once(p, what);
    MUTEX_GUARD(&f->lock);
    f->finished = number;
    f->failed += err < 0;
    f->result = err;
    cond_broadcast(&f->done);
    return err;
}
