// SPDX-License-Identifier: Apache-2.0
/* Claims of kv_each, kv_each_number and kv_get_numbers (kv.h). */
#include "both.h"
#include "bytes.h"

#define MANY 20

static void put_number(struct kv_txn *t, uint64_t number)
{
    uint8_t key[8];

    put_be64(key, number);
    cr_assert_eq(kv_put(t, 0, key, sizeof key, key, sizeof key), 0);
}

/* 1, 3, 5, … */
static void plant(struct fixture *x)
{
    struct kv_txn *t;

    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    for (uint64_t i = 0; i < MANY; i++)
        put_number(t, 2 * i + 1);
    cr_assert_eq(kv_commit(t), 0);
}

/* A claim about damage, which the twin in memory alone can be given. */
static void damaged(void (*claim)(struct fixture *x))
{
    struct fixture x;

    both_setup(&x, false);
    plant(&x);
    claim(&x);
    both_teardown(&x);
}

static void flip(struct fixture *x, uint64_t number)
{
    uint8_t key[8];

    put_be64(key, number);
    cr_assert_eq(kv_mem_flip(x->mem, 0, key, sizeof key, 0, 1), 0);
}

static struct kv_each begin(struct fixture *x)
{
    struct kv_each e = {.table = 0};

    cr_assert_eq(kv_snap_begin(x->kv, &e.snap), 0);
    return e;
}

BOTH(kv_each, every_row_comes_once_in_order_and_then_there_is_no_error)
{
    struct kv_each e;
    uint64_t n = 0;
    plant(x);
    for (e = begin(x); kv_next(&e); n++) {
        cr_assert_eq(e.klen, 8);
        cr_assert_eq(e.number, 2 * n + 1);
        cr_assert_eq(e.len, 8);
        cr_assert_eq(get_be64(e.val), e.number);
    }
    cr_assert_eq(n, MANY);
    cr_assert_eq(e.err, 0);
    cr_assert(!e.cut);
    kv_snap_end(e.snap);
}

BOTH(kv_each, an_empty_table_has_no_row_and_no_error)
{
    struct kv_each e = begin(x);
    cr_assert(!kv_next(&e));
    cr_assert_eq(e.err, 0);
    kv_snap_end(e.snap);
}

BOTH(kv_each, it_begins_at_a_number_or_behind_it_or_at_a_key)
{
    static const uint8_t key[2] = {0, 1}; /* behind all numbers */
    struct kv_each e;
    struct kv_txn *t;
    plant(x);
    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    cr_assert_eq(kv_put(t, 0, key, sizeof key, "", 0), 0);
    put_number(t, 0);
    cr_assert_eq(kv_commit(t), 0);
    e = begin(x);
    e.from = 4;
    cr_assert(kv_next(&e));
    cr_assert_eq(e.number, 5);
    cr_assert(kv_next(&e));
    cr_assert_eq(e.number, 7);
    e = (struct kv_each){.snap = e.snap, .from = 5, .after = true};
    cr_assert(kv_next(&e));
    cr_assert_eq(e.number, 7);
    e = (struct kv_each){.snap = e.snap, .after = true}; /* behind 0 */
    cr_assert(kv_next(&e));
    cr_assert_eq(e.number, 1);
    e = (struct kv_each){.snap = e.snap, .key = key, .klen = sizeof key};
    cr_assert(kv_next(&e));
    cr_assert_eq(e.klen, sizeof key);
    cr_assert_eq(e.number, 0);
    e = (struct kv_each){.snap = e.snap, .key = key, .klen = sizeof key, .after = true};
    cr_assert(!kv_next(&e));
    kv_snap_end(e.snap);
}

BOTH(kv_each, what_the_caller_calls_an_error_ends_it_and_stays)
{
    struct kv_each e;
    unsigned n = 0;
    plant(x);
    for (e = begin(x); kv_next(&e); n++)
        e.err = n == 3 ? -ECANCELED : 0;
    cr_assert_eq(n, 4);
    cr_assert_eq(e.err, -ECANCELED);
    cr_assert(!kv_next(&e));
    cr_assert_eq(e.err, -ECANCELED);
    cr_assert(!e.cut);
    kv_snap_end(e.snap);
}

static int count_up_to(void *ctx, uint64_t number, const void *val, size_t len)
{
    unsigned *rows = ctx;

    cr_assert_eq(number, 2 * *rows + 1);
    cr_assert_eq(get_be64(val), number);
    cr_assert_eq(len, 8);
    return ++*rows == MANY + 1 ? -ECANCELED : 0;
}

BOTH(kv_each, rows_with_a_number_as_key_alone_are_called_for)
{
    static const uint8_t first[7] = {0}, last[9] = {0, 0, 0, 0, 0, 0, 0, 2 * MANY, 0};
    struct kv_snap *snap;
    struct kv_txn *t;
    unsigned rows = 0;
    plant(x);
    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    cr_assert_eq(kv_put(t, 0, first, sizeof first, "", 0), 0);
    cr_assert_eq(kv_put(t, 0, last, sizeof last, "", 0), 0);
    cr_assert_eq(kv_commit(t), 0);
    cr_assert_eq(kv_snap_begin(x->kv, &snap), 0);
    cr_assert_eq(kv_each_number(snap, 0, count_up_to, &rows), 0);
    cr_assert_eq(rows, MANY);
    kv_snap_end(snap);
    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    put_number(t, 2 * MANY + 1);
    put_number(t, 2 * MANY + 3);
    cr_assert_eq(kv_commit(t), 0);
    cr_assert_eq(kv_snap_begin(x->kv, &snap), 0);
    rows = 0;
    cr_assert_eq(kv_each_number(snap, 0, count_up_to, &rows), -ECANCELED);
    kv_snap_end(snap);
}

static void with_damaged_value(struct fixture *x)
{
    struct kv_each e;
    unsigned rows = 0, bad = 0;
    flip(x, 5);
    for (e = begin(x); kv_next(&e); rows++)
        if (e.len == KV_DAMAGED) {
            cr_assert_eq(e.number, 5);
            bad++;
        }
    cr_assert_eq(rows, MANY);
    cr_assert_eq(bad, 1);
    cr_assert_eq(e.err, 0);
    e = (struct kv_each){.snap = e.snap, .strict = true};
    for (rows = 0; kv_next(&e); rows++)
        ;
    cr_assert_eq(rows, 2);
    cr_assert_eq(e.err, -EUCLEAN);
    cr_assert(!e.cut);
    kv_snap_end(e.snap);
}

static void with_damaged_table(struct fixture *x)
{
    struct kv_each e = begin(x);
    cr_assert(kv_next(&e));
    cr_assert_eq(kv_mem_break(x->mem, 0, true), 0);
    cr_assert(!kv_next(&e));
    cr_assert_eq(e.err, -EUCLEAN);
    cr_assert(e.cut);
    kv_snap_end(e.snap);
    cr_assert_eq(kv_mem_break(x->mem, 0, false), 0);
}

static void without_disk(struct fixture *x)
{
    struct kv_each e = begin(x);
    cr_assert(kv_next(&e));
    x->fault.cut = true;
    x->fault.fail_at = x->fault.writes + 1;
    cr_assert_eq(fault_write(&x->fault), -EIO);
    cr_assert(!kv_next(&e));
    cr_assert_eq(e.err, -EIO);
    cr_assert(!e.cut);
    kv_snap_end(e.snap);
}

static void numbers_of_damaged(struct fixture *x)
{
    uint64_t v[MANY + 1];
    size_t n = 0;
    flip(x, 5); /* its number is known all the same */
    cr_assert_eq(kv_get_numbers(x->kv, 0, 0, v, MANY + 1, &n), 0);
    cr_assert_eq(n, MANY);
    cr_assert_eq(kv_mem_break(x->mem, 0, true), 0);
    cr_assert_eq(kv_get_numbers(x->kv, 0, 0, v, MANY + 1, &n), -EUCLEAN);
    cr_assert_eq(kv_mem_break(x->mem, 0, false), 0);
}

Test(kv_each, a_damaged_value_is_a_row_or_where_that_is_wanted_the_end)
{
    damaged(with_damaged_value);
}
Test(kv_each, a_table_that_cannot_be_read_on_is_an_error_and_says_that_it_is_the_table)
{
    damaged(with_damaged_table);
}
Test(kv_each, a_disk_that_does_not_answer_is_its_own_error)
{
    damaged(without_disk);
}
Test(kv_each, numbers_of_damaged_rows_are_got_and_a_damaged_table_is_an_error)
{
    damaged(numbers_of_damaged);
}

BOTH(kv_each, numbers_are_got_a_few_at_a_time)
{
    uint64_t v[6], next = 2;
    size_t n, all = 0;
    plant(x);
    do {
        cr_assert_eq(kv_get_numbers(x->kv, 0, next, v, 6, &n), 0);
        for (size_t i = 0; i < n; i++)
            cr_assert_eq(v[i], 2 * all++ + 3);
        next = n ? v[n - 1] + 1 : next;
    } while (n);
    cr_assert_eq(all, MANY - 1);
}

BOTH(kv_each, a_key_that_is_no_number_is_an_error_behind_the_numbers_before_it)
{
    static const uint8_t key[2] = {0, 1};
    uint64_t v[MANY + 1];
    struct kv_txn *t;
    size_t n = 0;
    plant(x);
    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    cr_assert_eq(kv_put(t, 0, key, sizeof key, "", 0), 0);
    cr_assert_eq(kv_commit(t), 0);
    cr_assert_eq(kv_get_numbers(x->kv, 0, 0, v, MANY + 1, &n), 0);
    cr_assert_eq(n, MANY);
    cr_assert_eq(kv_get_numbers(x->kv, 0, 2 * MANY, v, MANY + 1, &n), -EUCLEAN);
}
