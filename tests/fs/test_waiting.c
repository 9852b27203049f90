// SPDX-License-Identifier: Apache-2.0
/* Claims of waiting.h: what is told of requests that are not answered. */
#include "clock_manual.h"
#include "waiting.h"

#include <criterion/criterion.h>

#define GETATTR 3
#define READ 15

static struct clock_manual now;

static struct view_edge described(struct waiting *w)
{
    struct view_edge edge = {0};
    waiting_describe(w, &edge);
    return edge;
}

static struct waiting_request done;

static void add(struct waiting *w, uint64_t unique, uint32_t opcode, uint64_t nodeid)
{
    const struct waiting_request r = {.nodeid = nodeid, .opcode = opcode, .tid = 7};
    waiting_add(w, unique, &r);
}

Test(waiting, the_longest_of_those_that_are_not_answered_is_told, .timeout = 60)
{
    struct waiting *w;
    clock_manual_init(&now, NSEC_PER_SEC);
    cr_assert_eq(waiting_start(&now.base, &w), 0);
    cr_assert_eq(described(w).waiting, 0);
    cr_assert_null(described(w).longest_kind);
    add(w, 2, GETATTR, 5);
    clock_manual_advance(&now, 3 * NSEC_PER_SEC);
    add(w, 4, READ, 6);
    clock_manual_advance(&now, NSEC_PER_SEC);
    cr_assert_eq(described(w).waiting, 2);
    cr_assert_eq(described(w).longest_wait, 4 * NSEC_PER_SEC);
    cr_assert_str_eq(described(w).longest_kind, "GETATTR");
    cr_assert(waiting_done(w, 2, &done));
    cr_assert(done.opcode == GETATTR && done.nodeid == 5 && done.tid == 7);
    cr_assert_eq(done.took, 4 * NSEC_PER_SEC);
    cr_assert(!waiting_done(w, 2, &done));
    cr_assert_eq(described(w).waiting, 1);
    cr_assert_eq(described(w).longest_wait, NSEC_PER_SEC);
    cr_assert(waiting_done(w, 4, &done));
    cr_assert_eq(described(w).waiting, 0);
    waiting_stop(w);
}

Test(waiting, what_waits_for_a_minute_is_an_alarm_once, .timeout = 60)
{
    struct waiting *w;
    clock_manual_init(&now, NSEC_PER_SEC);
    cr_assert_eq(waiting_start(&now.base, &w), 0);
    for (uint64_t unique = 2; unique < 100; unique += 2)
        add(w, unique, READ, 6);
    clock_manual_advance(&now, WAITING_ALARM_NS - 1);
    cr_assert_eq(waiting_look(w), 0);
    cr_assert(!described(w).waits_too_long);
    clock_manual_advance(&now, 1);
    add(w, 100, READ, 6);
    cr_assert(described(w).waits_too_long);
    cr_assert_eq(waiting_look(w), 49);
    cr_assert_eq(waiting_look(w), 0);
    clock_manual_advance(&now, WAITING_ALARM_NS);
    cr_assert_eq(waiting_look(w), 1);
    for (uint64_t unique = 2; unique <= 100; unique += 2)
        cr_assert(waiting_done(w, unique, &done));
    cr_assert(!described(w).waits_too_long);
    waiting_stop(w);
}
