// SPDX-License-Identifier: Apache-2.0
/*
 * flush: makes acknowledged changes durable. This file has the steps of a flush; the coordinator
 * decides when each of them runs.
 *
 *     rotate    objects that nothing needs are collected; buffers (and closed slots) are sealed
 *                                                                    writers go on
 *               the last few buffers are sealed; every table is      freeze_lock held for writing
 *               frozen, with the bytes of contents that could not
 *               be sealed
 *     stream    bytes and names of slots and packs are synced        writers go on
 *     finalize  one kv commit of pages, counts, entries, roots
 *     reclaim   dead bytes are deleted, when nothing is more urgent
 *
 * Several batches may be between rotate and finalize. Their streams run beside each other, and
 * beside the sealing of the next batch. If a commit fails the batch stays frozen, and is written
 * again, alone or together with later batches: each frozen state is complete. After an error that
 * leaves the state of the disk unknown (a failed sync or commit) the store becomes read-only.
 *
 * An fsync does not need a flush: it waits for the log (flush_sync). A commit makes frames of the
 * log unnecessary, so each flush trims the log.
 */
#include "flush_impl.h"
#include "coordinator.h"
#include "durable.h"
#include "flush_names.h"
#include "io.h"
#include "state.h"
#include "report.h"
#include "ticket.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLLECT_AT_ONCE                                                                            \
    64 /* objects under one hold of the freeze lock: threads that take it for writing wait */
#define RECLAIM_AT_ONCE 64 /* dead objects that are taken from the list at once */
#define RECLAIM_TOGETHER                                                                           \
    8                 /* dead records under one hold of the freeze lock: each may punch a hole */
#define SEAL_PASSES 64 /* passes before a freeze, at most */
#define SEAL_REST 64u  /* buffers that may be left to be sealed while nobody may write */
#define LAST_PASSES 8u /* passes beside which no other pass begins, right before a freeze */
#define LAST_FREE 2u   /* of these, while changes go on; beside the others they wait */

/* Called for each object that was collected. */
static void forget(uint64_t number, const struct entry *e, void *ctx)
{
    struct state *p = ctx;

    if (entry_is_ghost(e))
        p->flush->hooks->ghost_purged(p);
    archived_forget(p->archived, number);
    content_forget(p, number);
}

/* Collect all objects with count 0 that nobody holds: their entries are removed, and nobody can
 * revive them any more. The freeze lock is released between portions. */
static int collect(struct state *p)
{
    int n;

    do {
        READ_GUARD(&p->freeze_lock);
        n = refs_collect(p->refs, COLLECT_AT_ONCE, forget, p);
    } while (n == COLLECT_AT_ONCE);
    return n < 0 ? n : 0;
}

/* Record a failure (`err` < 0) or a commit (0). Needs flush.lock. */
static void note_result(struct state *p, int err)
{
    struct flusher *f = p->flush;

    mutex_held(&f->lock);
    f->error = err;
    f->failed += err < 0;
    f->commits += err == 0;
    cond_broadcast(&f->wake);
    cond_broadcast(&f->done);
}

/* Record a failed step for the status and for the threads that wait, and return `err`. */
static int note_failure(struct state *p, int err, const char *what)
{
    if (err != -EROFS || !atomic_load(&p->readonly))
        blame_note(p, BLAME_FLUSH, err, 0, "%s failed", what);
    MUTEX_GUARD(&p->flush->lock);
    note_result(p, err);
    return err;
}

/* ---- rotate ---- */

/* Free a batch that is committed or was given up. */
static void batch_free(struct batch *b)
{
    if (!b)
        return;
    free(b->name);
    free(b->label);
    ns_records_release(&b->ns_records);
    history_batch_release(&b->history);
    growth_batch_release(&b->growth);
    slot_list_release(&b->slots);
    held_list_release(&b->held);
    free(b);
}

/* The place of the batch with that number. */
static struct batch **batch_at(struct state *p, uint64_t number)
{
    return &p->flush->batch[number % COORDINATOR_MAX];
}

/* Freeze all tables as one state. Needs "seal", and the freeze lock for writing. Steps that may
 * fail for lack of memory come first, since a freeze that was done in part cannot be undone. */
static int freeze(struct state *p, struct batch *b)
{
    int err = seal_rest(p);

    if (err == 0)
        err = held_record(p, &b->held);
    if (err == 0)
        err = slots_record(p, &b->slots);
    if (err == 0)
        err = ns_table_freeze(p, &b->ns_records);
    if (err == 0)
        err = history_freeze(&p->history, now(p) - settings_get(&p->settings, SET_HISTORY_KEEP),
                             &b->history);
    if (err == 0)
        err = flush_growth_freeze(p, b);
    if (err < 0)
        return err;
    log_position(p->log, &b->log_pos);
    store_record_freeze(p, &b->log_pos, b->state);
    b->stored.state = stored_record_tie(b->state);
    err = drops_freeze(p->drops);
    if (io_is_short(err))
        return err;
    /* From here on nothing fails for lack of memory. If something fails all the same, a part is
     * frozen and a part is not: the store becomes read-only. */
    ns_table_frozen(p);
    history_frozen(&p->history);
    growth_frozen(&p->growth, &b->growth);
    if (err == 0)
        err = refs_freeze(p->refs);
    if (err == 0)
        err = packs_freeze(p->packs);
    if (err == 0)
        err = archived_freeze(p->archived);
    if (err == 0)
        err = pages_freeze(p->pages);
    if (err < 0) {
        state_turn_readonly(p, "preparing a commit", err);
        return err;
    }
    held_frozen(p, &b->held);
    b->seq = atomic_load(&p->seq);
    atomic_store(&p->logged, 0);
    return 0;
}

/* How many buffers wait to be sealed. */
static size_t buffers(struct state *p)
{
    MUTEX_GUARD(&p->contents.lock);
    size_t slots = atomic_load(&p->contents.slots);

    return p->contents.count > slots ? p->contents.count - slots : 0;
}

/* Seal contents. While a pass runs writers make new ones, which it leaves; further passes, each
 * shorter, seal these, until little is left for the time when nobody may write, or a pass leaves
 * no fewer than the one before it. */
static int seal(struct state *p, enum seal_what what)
{
    size_t left = SIZE_MAX, before;
    unsigned i = 0;
    int err;

    do {
        before = left;
        err = seal_pass(p, i == 0 ? what : SEAL_NEW, -1);
        left = buffers(p);
    } while (err == 0 && ++i < SEAL_PASSES && left > SEAL_REST && left < before);
    return err;
}

/* Right before the freeze: what was made meanwhile is sealed, too, so that little is left. Where
 * writers make more than is sealed they wait from here to the freeze. Needs "seal". */
static int seal_last(struct state *p)
{
    size_t left = SIZE_MAX, before;
    int err = 0;

    for (unsigned i = 0; i < LAST_PASSES && err == 0; i++) {
        before = left;
        left = buffers(p);
        if (left <= SEAL_REST || (i > LAST_FREE && left >= before))
            break;
        if (i == LAST_FREE)
            flush_hold_writers(p, true);
        err = seal_again(p);
    }
    return err;
}

/* The first part of a rotation, while writers go on, and then the freeze. Objects are collected
 * once before sealing, so that they need no room on the disk, and once after it. */
static int prepare(struct state *p, enum seal_what what, struct batch *b)
{
    int err = state_lacks(p) < 0 ? recover_slots(p) : 0;

    if (err == 0)
        err = collect(p); /* unneeded contents then need no place on the disk */
    lastuse_apply(p);
    p->flush->hooks->refresh_pool(p);
    if (err == 0)
        err = seal(p, what);
    if (err == 0)
        err = collect(p);
    if (err < 0)
        return err;
    flush_growth_begin(p, b);
    MUTEX_GUARD(&p->flush->seal);
    err = seal_last(p);
    if (err == 0) {
        WRITE_GUARD(&p->freeze_lock);
        err = freeze(p, b);
    }
    flush_hold_writers(p, false);
    return err;
}

/* Called by the coordinator to make a batch. `arg` is a struct flush_ask. */
static int rotate(void *ctx, void *arg, uint64_t number, uint64_t *ret_snapshot)
{
    const struct flush_ask *begin = arg;
    struct state *p = ctx;
    struct batch *b;
    int err;

    if (atomic_load(&p->readonly))
        return -EROFS;
    b = calloc(1, sizeof *b);
    err = !b ? -ENOMEM : begin->name ? flush_name_batch(p, begin->name, b) : 0;
    if (err == 0)
        err = prepare(p, begin->what, b);
    if (err < 0) {
        batch_free(b);
        return note_failure(p, err, "preparing a commit");
    }
    *ret_snapshot = b->seq;
    MUTEX_GUARD(&p->flush->lock);
    *batch_at(p, number) = b;
    flush_set_label(p, number, b); /* an earlier rotation that failed may have had the same
                                    * number */
    p->flush->in_flight++;
    return 0;
}

/* ---- stream ---- */

/* Called by the coordinator: makes durable what the frozen tables name. */
static int stream(void *ctx, uint64_t number)
{
    struct state *p = ctx;
    int err = atomic_load(&p->readonly) ? -EROFS : objects_sync(p->objects);
    bool lost = objects_sync_is_lost(p->objects, err);

    if (err < 0 && err != -EROFS && packs_suspect(p->packs))
        blame_note(p, BLAME_FLUSH, err, 0, "syncing pack %llu failed",
                   (unsigned long long)packs_suspect(p->packs));
    if (err == 0) {
        err = slots_sync_recorded(p, &(*batch_at(p, number))->slots);
        lost = !io_is_passing(err);
    }
    if (err == 0)
        return 0;
    /* After a failed sync the kernel may have dropped the dirty bytes, so a second sync would
     * prove nothing. Packs and slots remember a failed sync, so that nothing is acknowledged on
     * top of lost bytes. */
    if (lost)
        state_turn_readonly(p, "writing objects to disk", err);
    return note_failure(p, err, "writing objects to disk");
}

/* ---- finalize ---- */

/* Write the records of one batch that belong to it alone. */
static int write_batch(const struct batch *b, struct kv_txn *t)
{
    int err = ns_records_write(&b->ns_records, t);

    if (err == 0)
        err = history_write(&b->history, t);
    if (err == 0)
        err = growth_write(&b->growth, t);
    return err < 0 ? err : held_write(&b->held, t);
}

/* Write the records that say what the store is as of that batch. */
static int write_state(const struct batch *b, struct kv_txn *t)
{
    int err = kv_put(t, TABLE_META, "state", 5, b->state, STORE_RECORD_LEN);

    return err < 0 ? err : stored_record_put(b->stored_known ? &b->stored : NULL, t);
}

/* Write the records of all batches; of the state only the last one counts. */
static int write_records(struct state *p, uint64_t first, uint64_t last, struct kv_txn *t)
{
    int err = 0;

    for (uint64_t n = first; n <= last && err == 0; n++)
        err = write_batch(*batch_at(p, n), t);
    if (err == 0)
        err = flush_write_names(p, first, last, t);
    if (err == 0)
        err = settings_write(p, t);
    return err < 0 ? err : write_state(*batch_at(p, last), t);
}

/* Write the batches `first` to `last` in one transaction. */
static int commit(struct state *p, uint64_t first, uint64_t last)
{
    size_t batches = (size_t)(last - first + 1);
    struct kv_txn *t;
    int err = kv_txn_begin(p->config.kv, &t);

    if (err < 0)
        return err;
    err = pages_write(p->pages, batches, t);
    if (err == 0)
        err = refs_write(p->refs, batches, t);
    if (err == 0)
        err = packs_write(p->packs, batches, t);
    if (err == 0)
        err = archived_write(p->archived, batches, t);
    if (err == 0)
        err = drops_write(p->drops, batches, t);
    if (err == 0)
        err = write_records(p, first, last, t);
    if (err < 0) {
        kv_abort(t);
        return err;
    }
    err = kv_commit(t);
    if (err == -EIO)
        state_turn_readonly(p, "a commit", err);
    return err;
}

/* Tell all tables that the batches are committed. */
static void retire(struct state *p, size_t batches)
{
    /* Held for a moment, so that no listing sees one table retired and another not. */
    READ_GUARD(&p->freeze_lock);

    refs_retire(p->refs, batches);
    pages_retire(p->pages, batches);
    packs_retire(p->packs, batches);
    archived_retire(p->archived, batches);
    drops_retire(p->drops, batches);
}

/* Record the commit for the status and for the threads that wait. */
static void committed(struct state *p, uint64_t first, uint64_t last)
{
    struct flusher *f = p->flush;

    if (!atomic_load(&p->readonly)) /* a later batch failed */
        blame_clear(p, BLAME_FLUSH);
    MUTEX_GUARD(&f->lock);
    f->durable_seq = (*batch_at(p, last))->seq;
    f->in_flight -= (unsigned)(last - first + 1);
    (void)flush_add_names(p, first, last, &f->names);
    f->last_commit = now(p);
    f->commit_at[f->commits % FLUSH_RATE_OF] = ticks(p);
    note_result(p, 0);
}

/* Called by the coordinator: commits the batches. Everything after the commit only releases what
 * the commit has made unnecessary, so a crash in between is harmless: the next start does it. */
static int finalize(void *ctx, uint64_t first, uint64_t last)
{
    struct state *p = ctx;
    int err = atomic_load(&p->readonly) ? -EROFS : commit(p, first, last);

    if (err < 0)
        return note_failure(p, err, "a commit");
    atomic_fetch_add(&p->flush->committed, 1);
    retire(p, (size_t)(last - first + 1));
    committed(p, first, last);
    durable_advanced(p, (*batch_at(p, last))->seq);
    recover_settled(p);
    log_trim(p->log, &(*batch_at(p, last))->log_pos);
    for (uint64_t n = first; n <= last; n++) {
        struct batch *b = *batch_at(p, n);
        slots_committed(p, &b->slots);
        *batch_at(p, n) = NULL;
        batch_free(b);
    }
    if (refs_dead_ghosts(p->refs))
        p->flush->hooks->dead_ghosts(p);
    return 0;
}

/* ---- reclaim ---- */

/* Dead bytes could not be deleted: they are reported once, counted as undeleted, and tried again
 * after the next commit. Returns 1, the number of failures. */
static size_t not_reclaimed(struct state *p, const struct refs_dead *d, int err)
{
    int kept = refs_not_reclaimed(p->refs, d);

    if (kept < 0)
        report(REPORT_WARN, "deleting dead bytes failed (%s): kept until the next mount",
               strerror(-err));
    else if (!d->failed)
        report(REPORT_WARN, "deleting dead bytes failed (%s): tried again after each commit",
               strerror(-err));
    return 1;
}

/* Does the dead object have a file of its own? */
static bool is_file(const struct refs_dead *d)
{
    return d->entry.kind == ENTRY_FILE || d->entry.kind == ENTRY_SLOT;
}

/* Delete the file, without the freeze lock, and then its record: deleting a file twice does no
 * harm. */
static int reclaim_file(struct state *p, const struct refs_dead *d)
{
    int err = objects_delete(p->objects, d);
    READ_GUARD(&p->freeze_lock);

    return err < 0 ? err : refs_reclaimed(p->refs, d, 1);
}

/* Count a dead record out of its pack. Its record among the dying is gone, so it cannot be put back
 * if that fails. */
static void count_out(struct state *p, const struct refs_dead *d)
{
    int err = objects_delete(p->objects, d);

    if (err < 0)
        report(REPORT_WARN,
               "a dead record could not be counted out of pack %llu (%s): kept until a check",
               (unsigned long long)d->entry.where, strerror(-err));
}

/* Count dead records out of their packs. This must not happen twice, so the record of the dying is
 * removed first, and both changes are in the same commit. A few records share one hold of the
 * freeze lock: taking it for each of them starved the threads that were removing files. Returns how
 * many are put back. */
static size_t reclaim_packed(struct state *p, const struct refs_dead *dead, size_t n)
{
    size_t failed = 0;
    int err;
    READ_GUARD(&p->freeze_lock);

    err = refs_reclaimed(p->refs, dead, n);
    for (size_t i = 0; i < n && err < 0; i++)
        failed += not_reclaimed(p, &dead[i], err);
    for (size_t i = 0; i < n && err == 0; i++)
        count_out(p, &dead[i]);
    return failed;
}

/* Reclaim these dead objects: files one by one, records of packs together. Returns how many are put
 * back. */
static size_t reclaim_some(struct state *p, const struct refs_dead *dead, size_t n)
{
    struct refs_dead packed[RECLAIM_TOGETHER];
    size_t count = 0, failed = 0;

    for (size_t i = 0; i < n; i++) {
        int err = is_file(&dead[i]) ? reclaim_file(p, &dead[i]) : 0;
        if (err < 0)
            failed += not_reclaimed(p, &dead[i], err);
        if (!is_file(&dead[i]))
            packed[count++] = dead[i];
        if (count == RECLAIM_TOGETHER || (count > 0 && i + 1 == n)) {
            failed += reclaim_packed(p, packed, count);
            count = 0;
        }
    }
    return failed;
}

size_t flush_reclaim_dead(struct state *p, size_t max)
{
    struct refs_dead dead[RECLAIM_AT_ONCE];
    size_t n, done = 0, failed = 0;
    MUTEX_GUARD(&p->flush->reclaim_dead);

    while (done < max && (n = refs_collected(p->refs, dead, RECLAIM_AT_ONCE)) > 0) {
        failed += reclaim_some(p, dead, n);
        done += n;
    }
    atomic_fetch_add(&p->flush->reclaimed, done - failed);
    return done;
}

/* ---- functions for the coordinator ---- */

/* A portion of work when nothing else is to be done. True: there may be more. */
static bool idle(void *ctx)
{
    return flush_reclaim_dead(ctx, RECLAIM_AT_ONCE) > 0;
}

/* After a failure: must nothing be tried again? */
static int fatal(void *ctx)
{
    struct state *p = ctx;

    return atomic_load(&p->readonly) ? -EROFS : 0;
}

/* Give a stream to a worker. */
static int submit(void *ctx, int (*fn)(void *arg), void *arg)
{
    struct state *p = ctx;
    struct workers_work w = {.fn = fn, .arg = arg, .name = "a flush", .class = WORKERS_URGENT};

    return workers_submit_work(p->workers, &w, NULL);
}

static void permits_set(void *ctx, int64_t value)
{
    struct state *p = ctx;

    coordinator_set_permits(p->flush->coordinator, (unsigned)value);
}

static void retry_set(void *ctx, int64_t value)
{
    struct state *p = ctx;

    coordinator_set_retry(p->flush->coordinator, value);
}

int flush_open(struct state *p)
{
    struct coordinator_config config = {
        .clock = p->clock,
        .permits = (unsigned)settings_get(&p->settings, SET_MAX_PENDING_FLUSHES),
        .retry = settings_get(&p->settings, SET_FLUSH_RETRY),
        .rotate = rotate,
        .stream = stream,
        .finalize = finalize,
        .fatal = fatal,
        .idle = idle,
        .submit = p->config.background ? submit : NULL,
        .ctx = p,
        .background = p->config.background,
    };

    settings_watch(&p->settings, SET_MAX_PENDING_FLUSHES, permits_set, p);
    settings_watch(&p->settings, SET_FLUSH_RETRY, retry_set, p);
    flusher_watch(p);
    if (flush_names_load(p->config.kv, &p->flush->names) < 0)
        report(REPORT_WARN, "the names of flushes are damaged: they are forgotten");
    return coordinator_create(&config, &p->flush->coordinator);
}

void flush_release(struct state *p)
{
    coordinator_destroy(p->flush->coordinator);
    for (size_t i = 0; i < COORDINATOR_MAX; i++)
        batch_free(p->flush->batch[i]);
    ticket_unref(p->flush->ticket);
    for (size_t i = 0; i < TICKETS_KEPT; i++)
        free(p->flush->label[i].name);
}

/* ---- one flush ---- */

/* A flush without background threads, all of it in this thread. A batch that an earlier flush
 * froze and could not commit is committed first; the new flush has the changes since then. */
static int begin_here(struct state *p, struct flush_ask *what, struct ticket **ret_ticket)
{
    struct coordinator *c = p->flush->coordinator;
    int err;
    MUTEX_GUARD(&p->flush->run);

    err = coordinator_run(c);
    if (err == 0)
        err = coordinator_flush(c, what, false, ret_ticket);
    if (err < 0)
        return err;
    err = coordinator_run(c);
    if (err < 0)
        ticket_unref(*ret_ticket);
    else
        (void)flush_reclaim_dead(p, SIZE_MAX);
    return err;
}

int flush_begin_named(struct state *p, enum seal_what what, const char *name, int64_t timeout,
                      const _Atomic bool *interrupted, struct ticket **ret_ticket)
{
    const struct coordinator_wait wait = {.timeout = timeout, .interrupted = interrupted};
    struct flush_ask begin = {what, name};

    if (!p->flush->threads_running)
        return begin_here(p, &begin, ret_ticket);
    coordinator_retry(p->flush->coordinator);
    return coordinator_flush_within(p->flush->coordinator, &begin, &wait, ret_ticket);
}

int flush_begin(struct state *p, enum seal_what what, struct ticket **ret_ticket)
{
    return flush_begin_named(p, what, NULL, -1, NULL, ret_ticket);
}

int flush_run(struct state *p, enum seal_what what)
{
    struct ticket *t;
    int err = flush_begin(p, what, &t);

    if (err < 0)
        return err;
    err = ticket_wait(t, false, -1, NULL, NULL);
    ticket_unref(t);
    return err;
}
