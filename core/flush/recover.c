// SPDX-License-Identifier: Apache-2.0
/*
 * recover: restoring an open store's state at a start. A start does:
 *
 *     before            store_open: files of packs that no table names are deleted, unless a lost
 *                       row may have named them (lost_start.c)
 *     load              trees, counts, drops and contents as the last commit has them
 *     replay            the changes that the log has behind that commit (replay.c)
 *     orphans           are dropped: nobody has them open any more
 *     dead bytes        are deleted if their removal was committed
 *     slots             are opened if an entry names them; others are deleted
 *     objects           files that no table names are deleted, with the same exception
 *     log               is opened in the next epoch: no earlier frame is ever read again
 *     flush             commits all of this; then the old segments are deleted
 *
 * Until that flush a crash is harmless, and all is done again: nothing that the replay needs is
 * deleted. A store that was closed has no segments, and needs no flush.
 *
 * If a step fails, the store is opened all the same where possible. Only without a sound log, or
 * without the memory to replay it, the contents of files are unknown, and the store is not opened.
 * Otherwise:
 *
 *     something cannot be deleted           it stays until the next start, or a check
 *     one slot cannot be opened             reading its file returns EIO
 *     the bytes that the log has for a      reading its file returns EIO; the store is read-only,
 *     slot cannot be written to it          since a commit would delete the log
 *     no slot can be found                  the store is read-only
 *     too few descriptors for the slots,    their files cannot be read, and there is no change and
 *     or too little memory                  no commit; each flush tries again
 *     the flush fails                       no change is made until another flush succeeds
 */
#include "durable.h"
#include "flush_impl.h"
#include "io.h"
#include "lost_start.h"
#include "replay_slots.h"
#include "state.h"
#include "replay.h"
#include "report.h"
#include <errno.h>
#include <string.h>

/* The log cannot be synced any more. */
static void on_fatal(void *ctx, const char *what, int err)
{
    state_turn_readonly(ctx, what, err);
}

/* Was the store closed properly? Then it continues in the same epoch, and needs no commit. */
static bool was_closed(struct state *p, const struct store_record *s, const struct log_report *r)
{
    return r->segments == 0 && !r->damaged && !atomic_load(&p->promised) &&
           r->next_segment <= s->log_segment + 1;
}

/* Open an empty log behind the highest serial that was found. */
static int open_log(struct state *p, const struct store_record *s, const struct log_report *r)
{
    struct log_config config = {
        .disk = p->config.disk,
        .clock = p->clock,
        .seq = atomic_load(&p->seq),
        .next_segment = r->next_segment,
        .incarnation = r->incarnation,
        .segment_size = p->config.log_segment
                            ? p->config.log_segment
                            : (uint64_t)settings_get(&p->settings, SET_LOG_SEGMENT),
        .background = p->config.background,
        .fatal = on_fatal,
        .ctx = p,
    };

    int err;

    p->epoch = s->epoch + !was_closed(p, s, r);
    config.epoch = p->epoch;
    err = log_open(&config, &p->log);
    if (err == 0)
        log_on_synced(p->log, durable_advanced, p);
    return err;
}

/* Report that something could not be deleted. */
static void is_kept(const char *what, int err)
{
    if (err < 0)
        report(REPORT_WARN, "%s cannot be deleted (%s): kept until the next mount, or a check",
               what, strerror(-err));
}

/* Report that what the start took from the log is not committed yet. */
static void report_unsettled(struct state *p, int err)
{
    if (atomic_load(&p->readonly))
        return;
    if (state_lacks(p))
        report(REPORT_ALARM,
               "the slots of files that are not sealed cannot all be opened (%s): the other files "
               "can be read, and nothing can be changed until they are; that is tried again",
               strerror(-err));
    else
        report(
            REPORT_ALARM,
            "what was recovered from the log cannot be committed (%s): it can be read, and nothing "
            "can be changed until it is; that is tried again",
            strerror(-err));
}

/* What was said to wait is committed. Of recover_settle and recover_settled whichever comes last
 * says this, and none says it twice. */
static void report_settled(struct state *p)
{
    if (atomic_exchange(&p->settles_late, false))
        report(REPORT_NOTE, "what was recovered from the log is committed: changes go on");
}

/* Commit what was replayed. If it fails, changes wait until a later flush succeeds. The thread of
 * the coordinator tries again by itself, and may have succeeded before the failure is looked at
 * here. */
void recover_settle(struct state *p)
{
    int err = atomic_load(&p->unsettled) ? flush_run(p, SEAL_BUFFERS) : 0;

    if (err == 0 || !atomic_load(&p->unsettled))
        return;
    report_unsettled(p, err);
    atomic_store(&p->settles_late, true);
    if (!atomic_load(&p->unsettled))
        report_settled(p);
}

/* The old segments go before the first change, which would make a new one. */
void recover_settled(struct state *p)
{
    if (!atomic_load(&p->unsettled))
        return;
    is_kept("an old segment of the log", log_reap(p->config.disk, p->epoch));
    atomic_store(&p->unsettled, false);
    report_settled(p);
}

/* ---- slots ---- */

/* Remove a slot by way of the next commit, and not now: the replay may have made more changes than
 * a sync vouches for. If power fails before that commit, the next start replays fewer changes, and
 * the slot may be named again. */
static int leave_for_commit(struct state *p, uint64_t number)
{
    int err = refs_reclaim_slot(p->refs, number);

    if (err == 0)
        refs_cancel(p->refs, number);
    return err;
}

/* Is the number in that map of contents? */
static bool is_in(struct state *p, const struct map64 *map, uint64_t number)
{
    uint64_t none;
    MUTEX_GUARD(&p->contents.lock);
    return map64_get(map, number, &none);
}

/* A listing of the directory of slots. */
struct loading {
    struct state *p;
    uint64_t first; /* the last commit has given out all numbers below this one */
};

/* Called for each file of a slot. A slot that an entry names becomes a content again. Any other
 * slot is deleted: it was never committed, or its content was sealed. So are checksums whose slot
 * a power loss has taken. */
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
        return err == -ENOMEM ? err : 0;    /* whose slot it is is unknown, so it stays */
    if (err == 0 && e.kind == ENTRY_SLOT) /* the slot of a deleted file, or of a copy that was not
                                           * finished */
        return leave_for_commit(p, number);
    if (!refs_has_slot(p->refs, number) &&
        !(err == -ENOENT && number < l->first && lost_start_keep(p)))
        (void)blob_unlink_slot(p->config.disk, number); /* if this fails the next start deletes
                                                         * it */
    return 0;
}

/* Is the content named by no item? */
static bool is_unnamed(struct state *p, struct content *c, void *ctx)
{
    struct entry e;

    (void)ctx;
    return refs_entry(p->refs, c->number, false, NULL, &e) == 0 && e.count == 0;
}

/* Discard contents that the log has begun and that no item names. */
static void cancel_unnamed(struct state *p)
{
    struct content *c;

    while (contents_pick(p, is_unnamed, NULL, &c, 1)) {
        refs_cancel(p->refs, c->number);
        content_unlist(p, c, CONTENT_GONE);
        content_unref(c);
    }
}

/* Discard numbers with slots that the log has begun and that no item names; also if the slot's
 * file is missing, since the daemon may have died while it deleted that. */
static int cancel_begun(struct state *p, uint64_t first)
{
    struct entry e;
    int err = 0;

    for (uint64_t n = first; n < refs_next(p->refs) && err == 0; n++)
        if (refs_entry(p->refs, n, false, NULL, &e) == 0 && e.count == 0 && e.kind == ENTRY_SLOT)
            err = leave_for_commit(p, n);
    return err;
}

/* Open all slots that entries name, and delete the others. */
static int load_slots(struct state *p, uint64_t first)
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

/* Write to the slots what the log has for them, and then open them. It may be called again after a
 * shortage: a part that was done is not repeated. */
static int try_slots(struct state *p)
{
    struct slots_left *l = p->slots_left;
    int err = l->written ? 0 : replay_slots_apply(&l->slots, p, &l->scan);

    if (err < 0)
        return err;
    l->written = true;
    return load_slots(p, l->first);
}

int recover_slots(struct state *p)
{
    struct slots_left *l = p->slots_left;
    int err = try_slots(p);
    size_t before, now = SIZE_MAX;

    do { /* a slot that becomes an object frees a descriptor, so the next try gets further */
        before = now;
        if (!io_is_short(err) || !l->written)
            break;
        (void)seal_pass(p, SEAL_CLOSED, -1);
        err = try_slots(p);
        now = atomic_load(&p->contents.slots);
    } while (now < before);
    atomic_store(&p->lacks, err);
    if (err == 0)
        replay_slots_release(&l->slots);
    return err;
}

int recover_state(struct state *p, const struct store_record *s)
{
    struct log_report r;
    int err;

    p->orphans.tree = (struct tree){.pages = p->pages, .refs = p->refs, .root = s->orphan_root};
    p->orphans.next_ino = s->orphan_next ? s->orphan_next : 1;
    err = held_load(p); /* frames may continue these contents */
    if (err < 0)
        return err;
    err = replay_log(p, s, &r);
    if (err < 0 && p->config.limit)
        p->config.limit->refused = true;
    if (err == 0)
        err = drops_push(p->drops, p->orphans.tree.root);
    if (err < 0)
        return err;
    p->orphans.tree.root = 0;
    (void)flush_reclaim_dead(p, SIZE_MAX);
    p->slots_left->first = s->next_number;
    err = try_slots(p);
    if (err < 0 && !io_is_short(err))
        return err;
    atomic_store(&p->lacks, err);
    is_kept("an object file that nothing names",
            objects_reap(p->objects, s->next_number, lost_start_keep, p));
    err = open_log(p, s, &r);
    if (err < 0)
        return err;
    ns_table_observe(p);
    p->recovered = !was_closed(p, s, &r);
    if (p->recovered) {
        atomic_store(&p->promised, false); /* the promise was of the epoch before */
        ns_leave_runs(p);
    }
    atomic_store(&p->unsettled, p->recovered || state_lacks(p) < 0);
    return 0;
}
