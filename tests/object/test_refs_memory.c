// SPDX-License-Identifier: Apache-2.0
/* Tests of the refcount table where memory ends: a change of several rows is made as a whole, or not at
 * all. */
#include "table.h"

#include <stdlib.h>

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static unsigned fails_at; /* the allocation so many from now fails; 0: none */

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_at && --fails_at == 0 ? NULL : __real_calloc(count, size);
}

/* Kills an object, commits that, and collects it while one allocation fails. *ret_err: the error. */
static void collect_with(unsigned n, uint16_t shard, int *ret_err)
{
    struct table t;
    struct entry home, away;
    uint64_t number;

    table_create(&t);
    number = object(&t, "a", 1);
    cr_assert_eq(refs_entry(t.refs, number, false, NULL, &home), 0);
    away = home;
    away.shard = shard;
    away.where += 1;
    cr_assert_eq(refs_relocate(t.refs, number, &home, &away), 0);
    refs_settle(t.refs, refs_pending_mark(t.refs));
    cr_assert_eq(refs_unref(t.refs, number), 0);
    commit(&t);
    fails_at = n;
    *ret_err = refs_collect(t.refs, 10, NULL, NULL);
    if (*ret_err < 0) {
        cr_assert_eq(*ret_err, -ENOMEM);
        cr_assert_eq(fails_at, 0);
        cr_assert_eq(refs_changes(t.refs), 0, "allocation %u: a row is changed", n);
        cr_assert_eq(refs_collect(t.refs, 10, NULL, NULL), 1);
    }
    fails_at = 0;
    cr_assert_not(exists(&t, number));
    table_destroy(&t);
}

Test(refs_memory, what_cannot_be_collected_whole_stays_whole)
{
    for (uint16_t shard = 0; shard < 2; shard++) {
        int err = -ENOMEM;
        unsigned n = 0;

        while (err < 0)
            collect_with(++n, shard, &err);
        cr_assert_gt(n, 2 + shard, "each row needs memory");
    }
}

Test(refs_memory, what_cannot_be_sealed_whole_is_not_sealed)
{
    int err = -ENOMEM;
    unsigned n = 0;

    while (err < 0) {
        struct table t;
        struct id id;
        struct entry e;
        uint64_t number;

        table_create(&t);
        id = named(&t, "a");
        number = fresh(&t, 1);
        commit(&t);
        fails_at = ++n;
        err = seal_as(&t, number, &id);
        cr_assert(fails_at > 0 || err == -ENOMEM);
        fails_at = 0;
        cr_assert_eq(refs_entry(t.refs, number, false, NULL, &e), 0);
        cr_assert_eq(entry_is_sealed(&e), err == 0, "allocation %u", n);
        cr_assert_eq(get(&t, &id), err == 0, "allocation %u", n);
        table_destroy(&t);
    }
    cr_assert_gt(n, 2, "each row needs memory");
}
