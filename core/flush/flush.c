// SPDX-License-Identifier: Apache-2.0
/*
 * flush: makes what was acknowledged durable: the steps. When they happen is the coordinator's.
 *
 *     rotate    what nobody wants is collected; buffers (and closed slots) become objects
 *                                                                    writers go on
 *               the last few buffers; every table is frozen, with    freeze_lock held for writing
 *               the bytes of what could not be sealed
 *     stream    bytes of slots and packs, and their names, are synced  writers go on
 *     finalize  one kv commit of pages, counts, entries, roots
 *     reclaim      the dead are deleted, when there is nothing more urgent
 *
 * Several batches may be between rotate and finalize: their streams run beside each other and
 * beside the sealing of the next. If a commit fails, what was frozen stays so and is written again,
 * alone or with the batches after it: a frozen state is a whole one. After an error that leaves the
 * disk's state unknown (a failed sync or commit) the store turns read-only rather than lie.
 *
 * Who only wants to know that a change is durable waits for the log (flush_sync). A flush trims
 * it: what a commit has needs no frames.
 */
#include "flush_impl.h"
#include "coordinator.h"
#include "durable.h"
#include "flush_names.h"
#include "io.h"
#include "state.h"
#include "report.h"
#include "shard_packs.h"
#include "ticket.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLLECT_AT_ONCE                                                                            \
    64 /* under one hold of the freeze lock: who wants it for writing waits for them */
#define BURY_AT_ONCE 64
#define BURY_TOGETHER 8 /* under one hold of the freeze lock: each may punch a hole */
#define SEAL_PASSES 4
#define SEAL_REST 64u /* buffers that may be left to be sealed while nobody may write */

static void forget(uint64_t number, const struct entry *e, void *ctx)
{
    struct state *p = ctx;

    if (entry_is_ghost(e))
        p->flush->hooks->ghost_purged(p);
    content_forget(p, number);
}

static int collect(struct state *p)
{
    int n;

    do {
        READ_GUARD(&p->freeze_lock);
        n = refs_collect(p->refs, COLLECT_AT_ONCE, forget, p);
    } while (n == COLLECT_AT_ONCE);
    return n < 0 ? n : 0;
}

void flush_note(struct state *p, int err)
{
    struct flusher *f = p->flush;

    mutex_held(&f->lock);
    f->error = err;
    f->failed += err < 0;
    f->commits += err == 0;
    cond_broadcast(&f->wake);
    cond_broadcast(&f->done);
}

static int note_failure(struct state *p, int err, const char *what)
{
    if (err != -EROFS || !atomic_load(&p->readonly))
        blame_note(p, BLAME_FLUSH, err, 0, "%s failed", what);
    MUTEX_GUARD(&p->flush->lock);
    flush_note(p, err);
    return err;
}

/* ---- rotate ---- */

static void batch_free(struct batch *b)
{
    if (!b)
        return;
    free(b->name);
    free(b->label);
    ns_records_release(&b->ns_records);
    slot_list_release(&b->slots);
    held_list_release(&b->held);
    free(b);
}

static struct batch **batch_at(struct state *p, uint64_t number)
{
    return &p->flush->batch[number % COORDINATOR_MAX];
}

static int freeze(struct state *p, struct batch *b)
{
    int err = seal_rest(p);

    if (err == 0)
        err = held_record(p, &b->held);
    if (err == 0)
        err = slots_record(p, &b->slots);
    if (err == 0)
        err = ns_table_freeze(p, &b->ns_records);
    if (err < 0)
        return err;
    log_position(p->log, &b->log_pos);
    store_record_freeze(p, &b->log_pos, b->state);
    err = drops_freeze(p->drops);
    if (io_is_short(err))
        return err;
    /* From here on nothing can fail for want of memory; and half a freeze cannot be taken back. */
    ns_table_frozen(p);
    if (err == 0)
        err = refs_freeze(p->refs);
    if (err == 0)
        err = packs_freeze(p->packs);
    if (err == 0)
        err = shard_packs_freeze(p->shard_packs);
    if (err == 0)
        err = pages_freeze(p->pages);
    if (err < 0) {
        state_turn_readonly(p, "preparing a commit", err);
        return err;
    }
    held_frozen(p, &b->held);
    b->seq = atomic_load(&p->seq);
    b->gaps = atomic_load(&p->gaps);
    atomic_store(&p->logged, 0);
    return 0;
}

static bool few_buffers(struct state *p)
{
    MUTEX_GUARD(&p->contents.lock);
    return p->contents.count <= atomic_load(&p->contents.slots) + SEAL_REST;
}

/* What came while a pass ran is sealed by one more, so that little is left for when nobody may
 * write. */
static int seal(struct state *p, enum seal_what what)
{
    size_t left;
    int err = 0;

    for (unsigned i = 0; i < SEAL_PASSES && err == 0; i++) {
        err = seal_pass(p, i == 0 ? what : SEAL_NEW, -1, &left);
        if (few_buffers(p))
            break;
    }
    return err;
}

static int prepare(struct state *p, enum seal_what what, struct batch *b)
{
    int err = state_lacks(p) < 0 ? recover_slots(p) : 0;

    if (err == 0)
        err = collect(p); /* so that what nobody wants any more needs no place on the disk */
    lastuse_apply(p);
    p->flush->hooks->refresh_pool(p);
    if (err == 0)
        err = seal(p, what);
    if (err == 0)
        err = collect(p);
    if (err < 0)
        return err;
    MUTEX_GUARD(&p->flush->seal);
    WRITE_GUARD(&p->freeze_lock);
    return freeze(p, b);
}

/* `arg`: struct flush_ask. */
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
    flush_set_label(p, number, b); /* a number is taken only now: one that failed had the same */
    p->flush->in_flight++;
    return 0;
}

/* ---- stream ---- */

/* Everything the frozen tables name becomes durable. */
static int stream(void *ctx, uint64_t number)
{
    struct state *p = ctx;
    int err = atomic_load(&p->readonly) ? -EROFS : objects_sync(p->objects);

    if (err < 0 && err != -EROFS && packs_suspect(p->packs))
        blame_note(p, BLAME_FLUSH, err, 0, "syncing pack %llu failed",
                   (unsigned long long)packs_suspect(p->packs));
    if (err == 0)
        err = slots_sync_recorded(p, &(*batch_at(p, number))->slots);
    if (err == 0)
        return 0;
    /* A failed sync may have dropped the dirty bytes: no second try can be trusted. Packs and
     * slots remember theirs, so that nothing is acknowledged on top of a lost one. */
    if (!io_is_passing(err))
        state_turn_readonly(p, "writing objects to disk", err);
    return note_failure(p, err, "writing objects to disk");
}

/* ---- finalize ---- */

static int write_batch(const struct batch *b, struct kv_txn *t)
{
    int err = ns_records_write(&b->ns_records, t);

    return err < 0 ? err : held_write(&b->held, t);
}

static int write_records(struct state *p, uint64_t first, uint64_t last, struct kv_txn *t)
{
    int err = 0;

    for (uint64_t n = first; n <= last && err == 0; n++)
        err = write_batch(*batch_at(p, n), t);
    if (err == 0)
        err = flush_write_names(p, first, last, t);
    if (err == 0)
        err = settings_write(p, t);
    if (err == 0)
        err = kv_put(t, TABLE_META, "state", 5, (*batch_at(p, last))->state, STORE_RECORD_LEN);
    return err;
}

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
        err = shard_packs_write(p->shard_packs, batches, t);
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

static void retire(struct state *p, size_t batches)
{
    /* Briefly, so that no listing sees one table retired and another not. */
    READ_GUARD(&p->freeze_lock);

    refs_retire(p->refs, batches);
    pages_retire(p->pages, batches);
    packs_retire(p->packs, batches);
    shard_packs_retire(p->shard_packs, batches);
    drops_retire(p->drops, batches);
}

static void committed(struct state *p, uint64_t first, uint64_t last)
{
    struct flusher *f = p->flush;

    blame_clear(p, BLAME_FLUSH);
    MUTEX_GUARD(&f->lock);
    f->durable_seq = (*batch_at(p, last))->seq;
    f->in_flight -= (unsigned)(last - first + 1);
    (void)flush_add_names(p, first, last, &f->names);
    f->last_commit = now(p);
    f->commit_at[f->commits % FLUSH_RATE_OF] = ticks(p);
    flush_note(p, 0);
}

static int finalize(void *ctx, uint64_t first, uint64_t last)
{
    struct state *p = ctx;
    int err = atomic_load(&p->readonly) ? -EROFS : commit(p, first, last);

    if (err < 0)
        return note_failure(p, err, "a commit");
    atomic_fetch_add(&p->flush->committed, 1);
    retire(p, (size_t)(last - first + 1));
    committed(p, first, last);
    capture_gaps_committed(p, (*batch_at(p, last))->gaps);
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

static void reclaim_failed(int err)
{
    if (err < 0)
        report(REPORT_WARN,
               "deleting dead bytes failed (%s): kept until the next mount, or a check",
               strerror(-err));
}

static bool is_file(const struct refs_dead *d)
{
    return d->entry.kind == ENTRY_FILE || d->entry.kind == ENTRY_SLOT;
}

/* The bytes first, for which no freeze lock is needed: to delete them twice does no harm. */
static int reclaim_file(struct state *p, const struct refs_dead *d)
{
    int err = objects_delete(p->objects, d);
    READ_GUARD(&p->freeze_lock);

    return err < 0 ? err : refs_reclaimed(p->refs, d, 1);
}

/* Records of packs are counted out, which must not happen twice: so what says that they are to be
 * goes first, and both with the same commit. Those go under one hold of their lock: one by one they
 * starved whoever removed files then. */
static void reclaim_packed(struct state *p, const struct refs_dead *dead, size_t n)
{
    int err;
    READ_GUARD(&p->freeze_lock);

    err = refs_reclaimed(p->refs, dead, n);
    reclaim_failed(err);
    for (size_t i = 0; i < n && err == 0; i++)
        reclaim_failed(objects_delete(p->objects, &dead[i]));
}

static void reclaim_some(struct state *p, const struct refs_dead *dead, size_t n)
{
    struct refs_dead packed[BURY_TOGETHER];
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        if (is_file(&dead[i]))
            reclaim_failed(reclaim_file(p, &dead[i]));
        else
            packed[count++] = dead[i];
        if (count == BURY_TOGETHER || (count > 0 && i + 1 == n)) {
            reclaim_packed(p, packed, count);
            count = 0;
        }
    }
}

size_t flush_reclaim_dead(struct state *p, size_t max)
{
    struct refs_dead dead[BURY_AT_ONCE];
    size_t n, done = 0;
    MUTEX_GUARD(&p->flush->reclaim_dead);

    while (done < max && (n = refs_collected(p->refs, dead, BURY_AT_ONCE)) > 0) {
        reclaim_some(p, dead, n);
        done += n;
    }
    atomic_fetch_add(&p->flush->reclaimed, done);
    return done;
}

/* ---- the coordinator's ---- */

static bool idle(void *ctx)
{
    return flush_reclaim_dead(ctx, BURY_AT_ONCE) > 0;
}

static int fatal(void *ctx)
{
    struct state *p = ctx;

    return atomic_load(&p->readonly) ? -EROFS : 0;
}

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

/* A state that an earlier flush froze and could not commit comes first; it does not have what was
 * changed since. */
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

int flush_begin_named(struct state *p, enum seal_what what, const char *name,
                      struct ticket **ret_ticket)
{
    struct flush_ask begin = {what, name};

    if (!p->flush->threads_running)
        return begin_here(p, &begin, ret_ticket);
    coordinator_retry(p->flush->coordinator);
    return coordinator_flush(p->flush->coordinator, &begin, false, ret_ticket);
}

int flush_begin(struct state *p, enum seal_what what, struct ticket **ret_ticket)
{
    return flush_begin_named(p, what, NULL, ret_ticket);
}

int flush_run_for(struct state *p, enum seal_what what, int64_t timeout,
                  const _Atomic bool *interrupted)
{
    struct ticket *t;
    int err = flush_begin(p, what, &t);

    if (err < 0)
        return err;
    err = ticket_wait(t, false, timeout, interrupted, NULL);
    ticket_unref(t);
    return err;
}

int flush_run(struct state *p, enum seal_what what)
{
    return flush_run_for(p, what, -1, NULL);
}
