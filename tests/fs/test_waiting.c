// SPDX-License-Identifier: Apache-2.0
/* Claims of waiting.h: what is told of requests that are not answered. */
#include "clock_manual.h"
#include "waiting.h"

#include <criterion/criterion.h>

#define GETATTR 3
#define READ 15

static struct clock_manual now;
static struct waiting *w;
static struct waiting_request done;

static struct view_edge described(void)
{
    struct view_edge edge = {0};
    waiting_describe(w, &edge);
    return edge;
}

static void add(uint64_t unique, uint32_t opcode, uint64_t nodeid)
{
    waiting_add(w, &(struct waiting_request){
                       .unique = unique, .nodeid = nodeid, .opcode = opcode, .tid = 7});
}

static void start(void)
{
    clock_manual_init(&now, NSEC_PER_SEC);
    cr_assert_eq(waiting_new(&now.base, &w), 0);
}

static void end(void)
{
    waiting_free(w);
}

TestSuite(waiting, .init = start, .fini = end, .timeout = 60);

Test(waiting, the_longest_of_those_that_are_not_answered_is_told)
{
    cr_assert_eq(described().waiting, 0);
    cr_assert_null(described().longest_kind);
    add(2, GETATTR, 5);
    clock_manual_advance(&now, 3 * NSEC_PER_SEC);
    add(4, READ, 6);
    clock_manual_advance(&now, NSEC_PER_SEC);
    cr_assert_eq(described().waiting, 2);
    cr_assert_eq(described().longest_wait, 4 * NSEC_PER_SEC);
    cr_assert_str_eq(described().longest_kind, "GETATTR");
    cr_assert(waiting_done(w, 2, &done));
    cr_assert(done.opcode == GETATTR && done.nodeid == 5 && done.tid == 7);
    cr_assert_eq(done.took, 4 * NSEC_PER_SEC);
    cr_assert(!waiting_done(w, 2, &done));
    cr_assert_eq(described().waiting, 1);
    cr_assert_eq(described().longest_wait, NSEC_PER_SEC);
    cr_assert(waiting_done(w, 4, &done));
    cr_assert_eq(described().waiting, 0);
}

Test(waiting, those_that_have_waited_so_long_are_found_with_who_has_to_answer_them)
{
    struct waiting_request late[2];

    add(2, READ, 6);
    add(4, READ, 7);
    add(6, READ, 8);
    clock_manual_advance(&now, NSEC_PER_SEC - 1);
    add(8, READ, 9);
    cr_assert_eq(waiting_late(w, NSEC_PER_SEC, late, 2), 0);
    clock_manual_advance(&now, 1);
    cr_assert_eq(waiting_late(w, NSEC_PER_SEC, late, 2), 3);
    waiting_hand(w, 4, 77);
    waiting_hand(w, 5, 78); /* nobody */
    cr_assert(waiting_done(w, 2, &done) && waiting_done(w, 6, &done));
    cr_assert_eq(waiting_late(w, NSEC_PER_SEC, late, 2), 1);
    cr_assert(late[0].unique == 4 && late[0].nodeid == 7 && late[0].worker == 77);
    cr_assert_eq(late[0].took, NSEC_PER_SEC);
}

Test(waiting, a_session_without_a_store_has_none)
{
    waiting_add(NULL, &done);
    waiting_hand(NULL, 1, 1);
    cr_assert(!waiting_done(NULL, 1, &done));
    cr_assert_eq(waiting_late(NULL, 0, NULL, 0), 0);
}
