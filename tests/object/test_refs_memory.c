// SPDX-License-Identifier: Apache-2.0
/* Tests of the refcount table where memory ends: a change of several rows is made as a whole, or
 * not at all. */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static unsigned fails_at; /* the allocation so many from now fails; 0: none */

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_at && --fails_at == 0 ? NULL : __real_calloc(count, size);
}

/* Kills an object, commits that, and collects it while one allocation fails. *ret_err: the
 * error. */
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

#define DEAD 300u

/* Many are dead, and one allocation fails. Returns how many the next collection takes. */
static unsigned left_of_many(unsigned n, int *ret_err)
{
    struct table t;
    int left;

    table_create(&t);
    for (unsigned i = 0; i < DEAD; i++) {
        char name[16];
        snprintf(name, sizeof name, "dead %u", i);
        cr_assert_eq(refs_unref(t.refs, object(&t, name, 1)), 0);
    }
    refs_settle(t.refs, refs_pending_mark(t.refs));
    commit(&t);
    fails_at = n;
    *ret_err = refs_collect(t.refs, 2 * DEAD, NULL, NULL);
    fails_at = 0;
    left = refs_collect(t.refs, 2 * DEAD, NULL, NULL);
    table_destroy(&t);
    cr_assert(left >= 0);
    return (unsigned)left;
}

Test(refs_memory, a_collection_that_took_some_and_failed_says_that_it_failed)
{
    unsigned n = 0, in_part = 0;
    int err = -ENOMEM;

    while (err < 0) {
        unsigned left = left_of_many(++n, &err);
        in_part += err < 0 && left < DEAD;
        cr_assert(err < 0 || left == 0);
    }
    cr_assert_gt(in_part, 0);
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

/* Changes and holds `filled` other numbers, so that there is no room for more in the midst of what
 * comes next. */
static void fill(struct table *t, unsigned filled)
{
    while (filled--)
        cr_assert_eq(refs_hold(t->refs, fresh(t, 0)), 0);
}

/* Seals a number, which somebody holds, as an alias while one allocation fails. Returns the
 * error. */
static int alias_with(unsigned references, unsigned filled, unsigned n)
{
    struct table t;
    uint64_t target, number;

    table_create(&t);
    target = object(&t, "a", 1);
    number = fresh(&t, references);
    cr_assert_eq(refs_hold(t.refs, number), 0);
    commit(&t);
    fill(&t, filled);
    fails_at = n;
    int err = refs_seal_alias(t.refs, number, target);
    cr_assert(fails_at > 0 || err == -ENOMEM);
    fails_at = 0;
    if (err < 0) {
        cr_assert_eq(count_of(&t, target), 1, "%u changes, allocation %u", filled, n);
        cr_assert_eq(refs_holds(t.refs, target), 0, "%u changes, allocation %u", filled, n);
        cr_assert_eq(refs_resolve(t.refs, number), number);
        cr_assert_eq(refs_seal_alias(t.refs, number, target), 0);
    }
    cr_assert_eq(count_of(&t, target), 1 + references);
    cr_assert_eq(refs_holds(t.refs, target), 1);
    cr_assert_eq(refs_resolve(t.refs, number), target);
    table_destroy(&t);
    return err;
}

Test(refs_memory, what_cannot_become_an_alias_whole_is_not_counted_for_its_target)
{
    for (unsigned references = 0; references < 2; references++)
        for (unsigned filled = 0; filled < 68; filled++)
            for (unsigned n = 1; alias_with(references, filled, n) < 0; n++)
                ;
}

/* Counts an alias up or down while one allocation fails. Returns the error. */
static int count_with(bool up, unsigned filled, unsigned n)
{
    struct table t;
    uint64_t target, number;

    table_create(&t);
    target = object(&t, "a", 1);
    number = fresh(&t, 1);
    cr_assert_eq(refs_seal_alias(t.refs, number, target), 0);
    commit(&t);
    fill(&t, filled);
    fails_at = n;
    int err = up ? refs_ref(t.refs, number) : refs_unref(t.refs, number);
    cr_assert(fails_at > 0 || err == -ENOMEM);
    fails_at = 0;
    unsigned count = err < 0 ? 1 : up ? 2 : 0;
    cr_assert_eq(count_of(&t, number), count, "%u changes, allocation %u", filled, n);
    cr_assert_eq(count_of(&t, target), count + 1, "%u changes, allocation %u", filled, n);
    table_destroy(&t);
    return err;
}

Test(refs_memory, an_alias_and_its_target_are_counted_together_or_not_at_all)
{
    for (unsigned up = 0; up < 2; up++)
        for (unsigned filled = 0; filled < 68; filled++)
            for (unsigned n = 1; count_with(up, filled, n) < 0; n++)
                ;
}
