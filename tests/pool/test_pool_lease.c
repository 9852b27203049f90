// SPDX-License-Identifier: Apache-2.0
/* Claims of pool_lease.h. */
#include "clock_manual.h"
#include "pool_lease.h"

#include "pool_fixture.h"

static struct clock_manual now;
static struct lease a, b;

static void two_nodes(void)
{
    a_pool();
    a_node();
    a_node();
    clock_manual_init(&now, 5 * NSEC_PER_SEC);
    a = b = (struct lease)LEASE_INIT;
}

static int a_takes(void)
{
    return lease_take(disk, &now.base, 1, 1, &a);
}

static int b_takes(void)
{
    return lease_take(disk, &now.base, 2, 1, &b);
}

static void wait(int64_t duration_ns)
{
    clock_manual_advance(&now, duration_ns);
}

Test(pool_lease, one_has_it_and_the_other_is_told_who)
{
    two_nodes();
    cr_assert_eq(a_takes(), 0);
    cr_assert_eq(a_takes(), 0, "it is ours");
    cr_assert_eq(b_takes(), -EBUSY);
    cr_assert(b.seen.node == 1 && b.seen.term == 1 && !b.seen.released && b.own.term == 0);
    pool_disk_destroy(disk);
}

Test(pool_lease, one_that_is_released_is_taken_at_once)
{
    two_nodes();
    cr_assert_eq(a_takes(), 0);
    cr_assert_eq(lease_release(disk, &a), 0);
    cr_assert_eq(lease_beat(disk, &a), -ESTALE);
    cr_assert_eq(lease_release(disk, &a), 0, "again");
    cr_assert_eq(b_takes(), 0);
    cr_assert_eq(b.own.term, 2);
    cr_assert_eq(a_takes(), -EBUSY);
    cr_assert_eq(names_in("lease"), 1, "old terms go");
    pool_disk_destroy(disk);
}

Test(pool_lease, one_whose_owner_beats_is_never_taken)
{
    two_nodes();
    cr_assert_eq(a_takes(), 0);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(b_takes(), -EBUSY);
        wait(LEASE_PATIENCE - 1);
        cr_assert_eq(lease_beat(disk, &a), 0);
    }
    cr_assert_eq(b_takes(), -EBUSY);
    pool_disk_destroy(disk);
}

Test(pool_lease, one_whose_owner_is_silent_is_taken_after_a_while)
{
    two_nodes();
    cr_assert_eq(a_takes(), 0);
    wait(10 * LEASE_PATIENCE);
    cr_assert_eq(b_takes(), -EBUSY, "first seen: it proves nothing");
    wait(LEASE_PATIENCE - 1);
    cr_assert_eq(b_takes(), -EBUSY);
    wait(1);
    cr_assert_eq(b_takes(), 0);
    cr_assert_eq(lease_beat(disk, &a), -ESTALE, "it slept");
    cr_assert_eq(lease_beat(disk, &b), 0);
    cr_assert_eq(a_takes(), -EBUSY);
    pool_disk_destroy(disk);
}

Test(pool_lease, an_earlier_life_is_not_waited_for_and_a_later_one_is)
{
    struct lease next = LEASE_INIT;

    two_nodes();
    cr_assert_eq(a_takes(), 0);
    cr_assert_eq(lease_take(disk, &now.base, 1, 2, &next), 0);
    cr_assert_eq(next.own.term, 2);
    cr_assert_eq(lease_beat(disk, &a), -ESTALE);
    cr_assert_eq(a_takes(), -EBUSY);
    pool_disk_destroy(disk);
}

Test(pool_lease, a_damaged_one_is_waited_for_like_any)
{
    two_nodes();
    cr_assert_eq(a_takes(), 0);
    cr_assert_eq(pool_disk_flip(disk, "lease/0000000000000001", 30, 2), 0);
    cr_assert_eq(b_takes(), -EBUSY);
    cr_assert(b.seen.node == 0 && b.seen.term == 1);
    wait(LEASE_PATIENCE);
    cr_assert_eq(b_takes(), 0);
    pool_disk_destroy(disk);
}

Test(pool_lease, after_the_last_of_all_terms_that_somebody_forged_there_is_none)
{
    struct pool_term t = {
        .term = UINT64_MAX, .node = 1, .incarnation = 1, .beat = 1, .released = true};
    char text[POOL_TEXT_MAX];

    two_nodes();
    pool_term_encode(&t, text);
    write_text("lease/ffffffffffffffff", text);
    cr_assert_eq(b_takes(), -EOVERFLOW);
    cr_assert_eq(b.own.term, 0);
    cr_assert_eq(names_in("lease"), 1, "a term 0 is no term");
    pool_disk_destroy(disk);
}

Test(pool_lease, a_beat_of_a_term_that_was_taken_over_changes_nothing)
{
    struct pool_term old;

    two_nodes();
    cr_assert_eq(a_takes(), 0);
    old = a.own;
    cr_assert_eq(b_takes(), -EBUSY);
    wait(LEASE_PATIENCE);
    cr_assert_eq(b_takes(), 0);
    a.own = old;
    cr_assert_eq(lease_release(disk, &a), 0, "it does not know");
    cr_assert_eq(a_takes(), -EBUSY);
    cr_assert(a.seen.node == 2 && a.seen.term == 2 && !a.seen.released);
    pool_disk_destroy(disk);
}

Test(pool_lease, faults_never_leave_it_with_nobody_for_ever)
{
    int r = 0;

    AT_EACH_WRITE(two_nodes(), r = a_takes())
    {
        cr_assert(r < 0 || a.own.term > 0);
        struct lease again = LEASE_INIT;

        if (b_takes() == -EBUSY) {
            wait(LEASE_PATIENCE);
            cr_assert_eq(b_takes(), 0);
        }
        cr_assert_eq(lease_release(disk, &b), 0);
        cr_assert_eq(lease_take(disk, &now.base, 1, 2, &again), 0);
    }
}
