// SPDX-License-Identifier: Apache-2.0
/* pool_node: see the header. */
#include "durability.h"
#include "flush.h"
#include "lost.h"
#include "member_hooks.h"
#include "pool_marks.h"
#include "pool_names.h"
#include "pool_node_impl.h"
#include "pool_report.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MOST 10                     /* reports in a row that only rewrite the head */
#define DRAINS_WAIT (200 * NSEC_PER_MSEC) /* drains write reports that take less, ns */
#define DRAINS_REST 10                    /* a longer one comes after so many times its duration */

/* ---- 1: are we the node? ---- */

/* Turns the store read-only, because it is no longer the node. `who` is for the status, `why` for
 * the alarm. */
static int lost(struct state *p, const char *who, const char *why)
{
    if (!atomic_load(&p->readonly)) {
        atomic_store(&p->node->lost, who);
        report(REPORT_ALARM, "node %u of the pool: %s", p->shared->node, why);
    }
    state_turn_readonly(p, "being a node of the pool", -ESTALE);
    return -ESTALE;
}

/* Step 1: is this opening of the store still the node? The token tells two openings of copies of
 * one store apart. */
static int still_ours(struct state *p)
{
    const struct pool_member *s = p->shared;
    struct pool_who who;
    int err = pool_node_is_retired(s->disk, s->node);

    if (err > 0)
        return lost(p, "it was retired",
                    "it was retired while it was mounted; what it alone needed may be gone");
    if (err == 0)
        err = pool_node_read(s->disk, s->node, &who);
    if (err == 0 &&
        (who.incarnation != s->incarnation || memcmp(who.token, s->token, sizeof s->token) != 0))
        return lost(p, "a copy of this store is",
                    "a copy of this store was opened after it, and is the node now");
    return err;
}

/* ---- 2, 3: what is marked ---- */

/* The serial of a list that existed for certain: the one that the last incarnation acknowledged.
 * The search for the newest list begins there. A damaged head is no error, since the next report
 * replaces it. */
static int known_list(struct state *p, uint64_t *ret_serial)
{
    struct pool_head head;
    int err = pool_head_read(p->shared->disk, p->shared->node, &head);

    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    *ret_serial = err == 0 ? head.ack : 0;
    return 0;
}

/* Steps 2 and 3: reads the newest list and the reports of others, and installs them as the view. */
static int acknowledge(struct state *p, uint64_t *ret_serial)
{
    struct pool_node *n = p->node;
    struct pool_view *v;
    uint64_t from = n->head.ack;
    int err = n->head.serial ? 0 : known_list(p, &from);

    if (err == 0)
        err = pool_index_load(n->index, from, &v);
    if (err < 0)
        return err;
    *ret_serial = pool_view_serial(v);
    atomic_store(&n->refreshed, ticks(p) ? ticks(p) : 1);
    WRITE_GUARD(&p->freeze_lock);
    pool_index_install(n->index, v);
    return 0;
}

/* ---- 6: is what the tables have all that somebody needs? ---- */

/* Ends the walk of lost_guard when the store closes. */
static bool guard_step(uint64_t pages, void *ctx)
{
    const struct state *p = ctx;

    (void)pages;
    return atomic_load(&p->closing);
}

/* True: lost entries are known, and no rebuild has run since. */
static bool is_doubted(struct state *p)
{
    int64_t at = atomic_load(&p->node->doubted);

    return met_has_rows(p) || (at && ticks(p) - at < POOL_DOUBT_REST);
}

/* Step 6: walks all trees, and remembers when lost entries were found. */
static int look_for_lost(struct state *p)
{
    int err = lost_guard(p->config.kv, guard_step, p);

    atomic_store(&p->node->doubted, err == -EUCLEAN ? ticks(p) ? ticks(p) : 1 : 0);
    return err;
}

/* Step 6, after the names were read: may the report acknowledge its list? `marked` is how many of
 * the names that list marks. The walk is needed only for a new list, or if `marked` has changed.
 * For a list that is acknowledged already the number only falls, and a name that disappeared may be
 * that of an entry that was lost since. */
static int vouch(struct state *p, const struct pool_head *head, size_t marked)
{
    struct pool_node *n = p->node;
    struct pool_index_stats view;
    int err;

    pool_index_get_stats(n->index, &view);
    if (view.absent && (head->ack != n->head.ack || marked != n->told_marked)) {
        err = look_for_lost(p);
        if (err < 0)
            return err;
    }
    n->told_marked = marked;
    return 0;
}

/* Repeats the head of this incarnation's last report, with what it acknowledged. A report of an
 * earlier incarnation is not touched: its acknowledgement says which lists have existed
 * (known_list). */
static void stay(struct state *p)
{
    struct pool_node *n = p->node;
    struct pool_head head = n->head;

    head.time = now(p);
    if (head.serial && pool_report_again(p->shared->disk, &head) == 0)
        n->head = head;
}

void pool_node_mended(struct state *p)
{
    if (p->node)
        atomic_store(&p->node->doubted, 0);
}

const char *pool_node_doubt(struct state *p)
{
    struct pool_node *n = p->node;

    if (!n)
        return NULL;
    MUTEX_GUARD(&n->lock);
    return n->status.error != -EUCLEAN
               ? NULL
               : "its tables are damaged or lack entries, so it tells the pool nothing that would "
                 "let bytes go; `rebuild` looks for them";
}

/* ---- 4, 5, 7 ---- */

/* Steps 5 to 7: reads the names, checks them, and writes the report. */
static int write_names(struct state *p, struct pool_head *head)
{
    struct pool_node *n = p->node;
    int64_t start = ticks(p);
    struct pool_names names;
    uint64_t before = flush_commits(p);
    int err = pool_names_read(p->config.kv, &names);

    if (err == 0)
        err = vouch(p, head, pool_index_count_marked(n->index, names.v, names.count));
    if (err == 0)
        err = pool_report_write(p->shared->disk, head, names.v, names.count);
    pool_names_release(&names);
    if (err < 0)
        return err;
    (void)gc_pool_index_closed(p, false); /* after an error a later report or a cycle does it */
    n->told_commits = before;
    n->again = 0;
    MUTEX_GUARD(&n->lock);
    n->took = ticks(p) - start;
    return 0;
}

/* Are the tables as they were when the last report was read from them? A commit is counted before
 * the store looks idle, so none can be missed. Every AGAIN_MOST reports the names are written
 * nevertheless, in case the records of the report were damaged on the disk. */
static bool says_the_same(struct state *p)
{
    struct pool_node *n = p->node;

    return n->head.serial && n->status.error == 0 && n->told_commits == flush_commits(p) &&
           n->again < AGAIN_MOST;
}

/* Writes the head alone if nothing has changed, and else the whole report. -ESTALE from
 * pool_report_again means that the report on disk is not the last one; then a whole one is
 * written. */
static int write_report(struct state *p, uint64_t ack)
{
    struct pool_node *n = p->node;
    struct pool_head head = n->head;
    int err = -ESTALE;

    head.ack = ack;
    head.time = now(p);
    if (says_the_same(p) && head.ack == n->head.ack) {
        err = pool_report_again(p->shared->disk, &head);
        n->again++;
    }
    if (err == -ESTALE)
        err = write_names(p, &head);
    if (err < 0)
        n->head.serial = head.serial; /* a serial that failed is not used again */
    else
        n->head = head;
    return err;
}

/* All seven steps. The caller holds "pool report". */
static int report_once(struct state *p)
{
    struct pool_node *n = p->node;
    uint64_t ack = 0, seq, reclaimed;
    int err = atomic_load(&p->readonly) ? -EROFS : still_ours(p);

    mutex_held(&n->report);
    if (err == 0 && is_doubted(p))
        err = -EUCLEAN;
    if (err == 0)
        err = acknowledge(p, &ack);
    if (err < 0)
        return err;
    seq = state_seq(p);
    reclaimed = flush_reclaimed(p);
    if (!flush_is_idle(p))
        err = flush_now(p);
    if (err == 0)
        err = write_report(p, ack);
    /* the report on disk is not this store's, but step 1 was */
    if (err == -ESTALE && still_ours(p) == 0)
        err = lost(p, "somebody else is", "somebody else reported for it");
    if (err == 0) {
        n->told_seq = seq;
        n->told_reclaimed = reclaimed;
    }
    return err;
}

/* ---- what status says of it ---- */

/* Keeps a good report for the status. */
static void note_success(struct state *p)
{
    struct pool_node *n = p->node;
    struct pool_node_status *s = &n->status;
    MUTEX_GUARD(&n->lock);

    s->reports++;
    s->serial = n->head.serial;
    s->ack = n->head.ack;
    s->named = n->head.active + n->head.pinned;
    s->reported = now(p);
    s->error = 0;
    n->reported_at = ticks(p);
    n->failing_at = 0;
}

/* Keeps a failure for the status. True: it is the first in a row. */
static bool note_failure(struct state *p, int err)
{
    struct pool_node *n = p->node;
    bool first;
    MUTEX_GUARD(&n->lock);

    first = n->status.error == 0;
    n->status.failed++;
    n->status.error = err;
    if (first)
        n->failing_at = ticks(p);
    return first;
}

int pool_node_report(struct state *p)
{
    struct pool_node *n = p->node;
    int err;

    if (!n)
        return 0;
    MUTEX_GUARD(&n->report);
    err = report_once(p);
    if (err == -EUCLEAN)
        stay(p);
    if (err == 0)
        note_success(p);
    else if (note_failure(p, err) && err != -ESTALE && err != -EROFS && err != -ESHUTDOWN &&
             err != -ECANCELED)
        report(REPORT_WARN,
               "reporting to the pool failed (%s): it is tried again, and nothing that "
               "this store could need is collected meanwhile",
               strerror(-err));
    return err;
}

/* Leaves the report of a drain to the thread, so that a caller who drains every second does not
 * wait for a report each time. False: the drain writes it itself. A report at the end of an
 * incarnation is never left. */
static bool leave_to_the_thread(struct state *p)
{
    struct pool_node *n = p->node;
    MUTEX_GUARD(&n->lock);

    if (!n->started || atomic_load(&p->closing) || n->took < DRAINS_WAIT ||
        ticks(p) - n->reported_at >= DRAINS_REST * n->took)
        return false;
    n->due = true;
    cond_broadcast(&n->wake);
    return true;
}

/* Is there a newer list of marks? A collector waits for the report that acknowledges it. False if
 * that cannot be read. */
static bool has_newer_marks(struct state *p)
{
    struct pool_node *n = p->node;
    uint64_t ack;

    {
        MUTEX_GUARD(&n->lock);
        ack = n->status.ack;
    }
    return pool_marks_goes_on(p->shared->disk, ack) == 1;
}

void pool_node_drained(struct state *p)
{
    struct pool_node *n = p->node;
    bool news;

    if (!n || atomic_load(&p->readonly) || leave_to_the_thread(p))
        return;
    {
        MUTEX_GUARD(&n->report);
        news = n->head.serial == 0 || n->told_seq != state_seq(p) ||
               n->told_reclaimed != flush_reclaimed(p);
    }
    if (news || has_newer_marks(p))
        (void)pool_node_report(p);
}

void pool_node_get_status(struct state *p, struct pool_node_status *ret)
{
    struct pool_node *n = p->node;

    {
        MUTEX_GUARD(&n->lock);
        *ret = n->status;
        ret->age = n->status.reported ? ticks(p) - n->reported_at : 0;
        ret->failing = n->status.error ? ticks(p) - n->failing_at : 0;
    }
    pool_index_get_stats(n->index, &ret->index);
}

const char *pool_node_lost(struct state *p)
{
    return p->node ? atomic_load(&p->node->lost) : NULL;
}

/* ---- finding ---- */

/* Loads the first view. It needs no freeze lock: before it no bytes of the pool were found, so no
 * seal is half done. */
static int first_view(struct state *p)
{
    struct pool_view *v;
    uint64_t from;
    int err = known_list(p, &from);

    if (err == 0)
        err = pool_index_load(p->node->index, from, &v);
    if (err == 0)
        pool_index_install(p->node->index, v);
    return err;
}

/* After an error the old view stays: bytes that are not found are only put once more. `refreshed`
 * is claimed by exchange, so one of several threads looks. */
void pool_node_refresh(struct state *p)
{
    struct pool_node *n = p->node;
    int64_t at, last;

    if (!n)
        return;
    at = ticks(p);
    last = atomic_load(&n->refreshed);
    if (last && at - last < atomic_load(&n->rest))
        return;
    if (!atomic_compare_exchange_strong(&n->refreshed, &last, at ? at : 1))
        return;
    if (last)
        (void)pool_index_update(n->index);
    else if (first_view(p) < 0)
        atomic_store(&n->refreshed, 0);
    atomic_store(&n->rest, POOL_LOOK_REST * (ticks(p) - at));
}

/* ---- the thread ---- */

/* The time of the report that follows the one at `last`, in ticks; sooner if a drain has left one.
 * The caller holds "pool node". */
static int64_t due_at(struct state *p, int64_t last)
{
    struct pool_node *n = p->node;
    int64_t until = last + settings_get(&p->settings, SET_REPORT_INTERVAL);
    int64_t soon = n->reported_at + DRAINS_REST * n->took;

    mutex_held(&n->lock);
    return n->due && soon < until ? soon : until;
}

/* Waits. True: a report is due, or the thread is to end; false: it is time to look for marks. */
static bool wait_a_while(struct state *p, int64_t last)
{
    struct pool_node *n = p->node;
    int64_t look = ticks(p) + POOL_MARKS_WATCH;
    MUTEX_GUARD(&n->lock);

    while (!n->stop) {
        int64_t at = ticks(p), due = due_at(p, last);
        if (at >= due)
            return true;
        if (at >= look)
            return false;
        (void)cond_wait_for(&n->wake, &n->lock, (due < look ? due : look) - at);
    }
    return true;
}

/* Waits until a report is due or a newer list of marks exists. False: the thread is to end. */
static bool wait_for_next(struct state *p)
{
    struct pool_node *n = p->node;
    int64_t last = ticks(p);

    while (!wait_a_while(p, last) && !has_newer_marks(p))
        ;
    MUTEX_GUARD(&n->lock);
    n->due = false;
    return !n->stop;
}

/* Looks at the heads of all nodes, so that the ages of reports run on between cycles, and calls the
 * hook. */
static void look_around(struct state *p)
{
    struct pool_node_status s;

    (void)gc_pool_observe(p);
    pool_node_get_status(p, &s);
    p->member_hooks->looked(p, s.ack);
}

/* The thread of the node: reports, looks around, waits. A read-only store only waits. */
static void *node_main(void *arg)
{
    struct state *p = arg;

    do {
        if (!atomic_load(&p->readonly) && pool_node_report(p) == 0)
            look_around(p);
    } while (wait_for_next(p));
    return NULL;
}

void pool_node_leave(struct state *p)
{
    if (!p->node || atomic_load(&p->readonly))
        return;
    {
        READ_GUARD(&p->freeze_lock);
        (void)packs_retire_current(p->packs);
    }
    MUTEX_GUARD(&p->node->report);
    (void)gc_pool_index_closed(p, true);
}

int pool_node_start(struct state *p)
{
    struct pool_node *n = p->node;
    int err;

    if (!n)
        return 0;
    err = pthread_create(&n->thread, NULL, node_main, p);
    n->started = err == 0;
    return -err;
}

void pool_node_stop(struct state *p)
{
    struct pool_node *n = p->node;

    if (!n || !n->started)
        return;
    {
        MUTEX_GUARD(&n->lock);
        n->stop = true;
        cond_broadcast(&n->wake);
    }
    pthread_join(n->thread, NULL);
    n->started = false;
}

/* ---- the beginning and the end ---- */

/* The setting `report_interval` was changed: the thread computes its next time again. */
static void interval_set(void *ctx, int64_t value)
{
    struct pool_node *n = ctx;
    MUTEX_GUARD(&n->lock);

    (void)value;
    cond_broadcast(&n->wake);
}

int pool_node_open(struct state *p)
{
    struct pool_node *n;
    int err;

    if (!p->shared)
        return 0;
    n = calloc(1, sizeof *n);
    if (!n)
        return -ENOMEM;
    n->head = (struct pool_head){.node = p->shared->node, .incarnation = p->shared->incarnation};
    n->lease = (struct lease)LEASE_INIT;
    n->reload = true;
    mutex_init(&n->report, "pool report");
    mutex_init(&n->looking, "pool nodes");
    mutex_init(&n->lock, "pool node");
    cond_init(&n->wake);
    p->node = n;
    settings_watch(&p->settings, SET_REPORT_INTERVAL, interval_set, n);
    err = pool_index_create(p->shared->disk, p->shared->node, &n->index);
    if (err == 0)
        err = gc_create(p->clock, 0, &n->gc);
    return err;
}

void pool_node_close(struct state *p)
{
    struct pool_node *n = p->node;

    if (!n)
        return;
    pool_node_stop(p);
    gc_destroy(n->gc);
    pool_index_destroy(n->index);
    cond_destroy(&n->wake);
    mutex_destroy(&n->lock);
    mutex_destroy(&n->looking);
    mutex_destroy(&n->report);
    p->node = NULL;
    free(n);
}
