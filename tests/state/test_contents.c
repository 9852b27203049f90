// SPDX-License-Identifier: Apache-2.0
/* Claims of contents.c and seal.c about who may change bytes, and when. */
#include "disk_impl.h"
#include "fixture.h"
#include "store_impl.h"
#include "report.h"

#include <pthread.h>
#include <signal.h>

#define SLOT_SIZE (200u * 1024) /* bytes; above pack_limit */

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(contents, .init = up, .fini = down);

/* A slot between content_begin and content_end, which something names or nothing. */
static struct content *new_slot(bool named)
{
    struct content *c;
    TXN(t);

    cr_assert_eq(txn_begin(x.p, 0, &t), 0);
    cr_assert_eq(content_new(&t, 0, CONTENT_WHOLE, &c), 0);
    cr_assert_eq(content_truncate(&t, c, SLOT_SIZE), 0);
    if (named)
        cr_assert_eq(refs_ref(x.p->refs, c->number), 0);
    return c;
}

static struct content *begun_slot(void)
{
    return new_slot(true);
}

static void stretch(struct content *c)
{
    TXN(t);

    cr_assert_eq(txn_begin(x.p, 0, &t), 0);
    cr_assert_eq(content_truncate(&t, c, 4 << 20), 0);
}

static enum entry_kind kind_of(uint64_t number)
{
    struct entry e;

    cr_assert_eq(refs_entry(x.p->refs, number, false, NULL, &e), 0);
    return e.kind;
}

static void drain(void)
{
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
}

Test(contents, what_is_being_written_is_not_sealed_and_what_was_written_is)
{
    struct content *c = begun_slot();

    drain();
    cr_assert_eq(kind_of(c->number), ENTRY_SLOT);
    content_let_go(x.p, c);
    drain();
    cr_assert_eq(kind_of(c->number), ENTRY_FILE);
    content_unref(c);
}

Test(contents, what_is_sealed_is_not_written_by_who_found_it_before)
{
    struct content *c = begun_slot();

    content_let_go(x.p, c);
    cr_assert(content_begin(x.p, c, UINT64_MAX));
    content_let_go(x.p, c);
    drain();
    cr_assert_not(content_begin(x.p, c, UINT64_MAX));
    content_unref(c);
}

/* Make that move of it. */
static void move_to(struct content *c, enum content_state to)
{
    MUTEX_GUARD(&x.p->contents.lock);
    content_set_state(x.p, c, to);
}

Test(contents, a_move_that_is_not_drawn_aborts, .signal = SIGABRT)
{
    struct content *c = begun_slot();

    content_let_go(x.p, c);
    drain();
    cr_assert_eq(c->state, CONTENT_SEALED);
    move_to(c, CONTENT_SLOT);
}

Test(contents, fields_that_do_not_fit_the_state_abort, .signal = SIGABRT)
{
    struct content *c = begun_slot();

    cr_assert_eq(c->changing, 1);
    move_to(c, CONTENT_SEALING);
}

Test(contents, a_file_cut_to_nothing_keeps_no_object)
{
    struct vfs_attr a, zero = {0};
    uint64_t bytes, names;

    put_file(&x, "main/f", "some words");
    drain();
    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/f"), VFS_SET_SIZE, &zero, &a), 0);
    drain();
    disk_use(&x, &bytes, &names);
    cr_assert_eq(bytes, 0);
    cr_assert_eq(names, 0);
}

/* ---- while somebody seals ---- */

static _Atomic bool busy;

static void *seal_all_the_time(void *arg)
{

    while (atomic_load(&busy))
        (void)seal_pass(arg, SEAL_CLOSED, -1);
    return NULL;
}

static void start_sealing(pthread_t *ret)
{
    report_reset();
    atomic_store(&busy, true);
    cr_assert_eq(pthread_create(ret, NULL, seal_all_the_time, x.p), 0);
}

static void stop_sealing(pthread_t thread)
{
    atomic_store(&busy, false);
    pthread_join(thread, NULL);
}

static void nothing_is_left(void)
{
    uint64_t used, names;

    drain();
    disk_use(&x, &used, &names);
    cr_assert_eq(used, 0);
    cr_assert_eq(report_count(REPORT_WARN), 0);
}

/* As a copy of a whole file ends that failed: what was begun in one change is given up in another,
 * which has nothing for the log. */
static void give_up(struct content *c)
{
    TXN(t);

    cr_assert_eq(txn_begin(x.p, 0, &t), 0);
    content_cancel(&t, c);
}

Test(contents, what_is_given_up_while_somebody_seals_leaves_nothing)
{
    pthread_t sealer;

    start_sealing(&sealer);
    for (int i = 0; i < 300; i++)
        give_up(new_slot(false));
    stop_sealing(sealer);
    nothing_is_left();
}

/* ---- what a sealer may take ---- */

static const struct content *watched;
static bool offered; /* it was in the table, and nobody was changing it */

/* Whoever ends a change notes the time, with the table locked: the next to lock it may be a
 * sealer. */
static int64_t look_at_it(const struct clock *clock)
{
    if (watched && content_is_listed(watched) && watched->changing == 0)
        offered = true;
    return atomic_load(&((const struct clock_manual *)clock)->now);
}

static bool is_offered_by(void (*how)(struct content *c))
{
    struct content *c = new_slot(false), *mine = content_find(x.p, c->number);

    offered = false;
    watched = mine;
    how(c);
    watched = NULL;
    content_unref(mine);
    return offered;
}

static void end_and_give_up(struct content *c)
{
    content_let_go(x.p, c);
    cr_assert(content_begin(x.p, c, UINT64_MAX));
    give_up(c);
}

Test(contents, what_is_given_up_is_not_sealed_meanwhile)
{
    x.clock.base.monotonic = look_at_it;
    cr_assert(is_offered_by(end_and_give_up), "the clock does not see it");
    cr_assert_not(is_offered_by(give_up));
    nothing_is_left();
}

/* Wait until the sealer has it, or is done with it: has it? */
static bool is_met_by_the_sealer(struct content *c)
{
    for (;;) {
        mutex_lock(&x.p->contents.lock);
        bool sealing = c->state == CONTENT_SEALING;

        mutex_unlock(&x.p->contents.lock);
        if (sealing || kind_of(c->number) != ENTRY_SLOT)
            return sealing;
        sched_yield();
    }
}

/* Comparing it with an equal one, which takes a while, is when it dies. */
Test(contents, what_dies_while_a_view_seals_it_is_no_failure_and_leaves_nothing)
{
    struct content *twin = begun_slot();
    pthread_t sealer;
    unsigned met = 0;

    stretch(twin);
    content_let_go(x.p, twin);
    drain();
    start_sealing(&sealer);
    while (met < 50) { /* on few CPUs it takes more of them */
        struct content *c = begun_slot();
        stretch(c);
        content_let_go(x.p, c);
        met += is_met_by_the_sealer(c);
        cr_assert_eq(refs_unref(x.p->refs, c->number), 0);
        content_unref(c);
        cr_assert_eq(flush_now(x.p), 0);
    }
    stop_sealing(sealer);
    cr_assert_eq(refs_unref(x.p->refs, twin->number), 0);
    content_unref(twin);
    nothing_is_left();
}

/* ---- what is collected while it is being sealed ---- */

/* A buffer with some bytes, which nobody is changing. */
static struct content *new_buffer(void)
{
    struct content *c;
    {
        TXN(t);
        cr_assert_eq(txn_begin(x.p, 0, &t), 0);
        cr_assert_eq(content_new(&t, 0, CONTENT_WHOLE, &c), 0);
        cr_assert_eq(content_write(&t, c, "some words", 10, 0), 0);
        cr_assert_eq(state_changed(&t, NULL), 0);
    }
    content_let_go(x.p, c);
    return c;
}

/* A sealer has it and fails, so it makes a slot of it, and in that moment it is forgotten. */
Test(contents, a_buffer_that_was_collected_before_it_got_a_slot_is_counted_nowhere)
{
    struct content *c = new_buffer();

    cr_assert_gt(atomic_load(&x.p->contents.buffered), 0);
    move_to(c, CONTENT_SEALING);
    content_forget(x.p, c->number);
    cr_assert_eq(atomic_load(&x.p->contents.buffered), 0);
    {
        READ_GUARD(&x.p->freeze_lock);
        cr_assert_eq(content_spill(x.p, c), 0);
    }
    cr_assert_eq(c->state, CONTENT_GONE);
    cr_assert_eq(atomic_load(&x.p->contents.slots), 0);
    cr_assert_eq(atomic_load(&x.p->contents.buffered), 0);
    refs_cancel(x.p->refs, c->number);
    content_unref(c);
}

static const struct disk_ops *real_disk;
static struct disk_ops deadly;
static uint64_t victim; /* a number; 0: it was collected */

static void forget_it(uint64_t number, const struct entry *e, void *ctx)
{
    (void)e;
    victim = number == victim ? 0 : victim;
    content_forget(ctx, number);
}

/* The sums of its slot cannot be written, and in that moment its last reference goes. */
static int open_or_kill(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    if (!victim || !strstr(name, ".sums"))
        return real_disk->open(d, name, flags, ret);
    (void)refs_unref(x.p->refs, victim);
    (void)refs_collect(x.p->refs, SIZE_MAX, forget_it, x.p);
    return -EIO;
}

Test(contents, what_is_collected_while_it_cannot_be_sealed_stays_collected)
{
    struct content *c = begun_slot();

    content_let_go(x.p, c);
    real_disk = x.disk->ops;
    deadly = *real_disk;
    deadly.open = open_or_kill;
    x.disk->ops = &deadly;
    victim = c->number;
    cr_assert_eq(seal_pass(x.p, SEAL_CLOSED, -1), 0);
    x.disk->ops = real_disk;
    cr_assert_eq(victim, 0, "it was not collected then");
    cr_assert_eq(c->state, CONTENT_GONE);
    cr_assert_eq(atomic_load(&x.p->contents.slots), 0);
    content_unref(c);
    drain();
}
