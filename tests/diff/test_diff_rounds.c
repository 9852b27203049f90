// SPDX-License-Identifier: Apache-2.0
/* Claims of diff beside a tree that changes all the time: __wrap_ino_names_search stands before the
 * search, and spoils what was found without the locks, as a change right after it would. */
#include "diff_fixture.h"

TestSuite(diff_rounds, .init = up, .fini = down);

static unsigned spoil;         /* so many searches find nothing */
static unsigned free_searches; /* searches without the locks, on both sides */
static unsigned locked_searches;

int __real_ino_names_search(struct ino_names *n, struct rwlock *lock,
                            const _Atomic bool *interrupted);
int __wrap_ino_names_search(struct ino_names *n, struct rwlock *lock,
                            const _Atomic bool *interrupted);

int __wrap_ino_names_search(struct ino_names *n, struct rwlock *lock,
                            const _Atomic bool *interrupted)
{
    free_searches += lock != NULL;
    locked_searches += lock == NULL;
    if (lock && spoil > 0) {
        spoil--;
        map64_release(&n->wanted);
        return 0;
    }
    return __real_ino_names_search(n, lock, interrupted);
}

static void change_below(void)
{
    make_dir("main/d");
    put_file(&x, "main/d/a", "1");
    branch();
    put_file(&x, "dev/d/a", "22");
}

Test(diff_rounds, names_that_are_known_are_looked_for_once)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    change_below();
    diff_text("main", "dev", &text);
    cr_assert_str_eq(text.s, "M d/a\n");
    cr_assert_eq(free_searches, 2);
    cr_assert_eq(locked_searches, 0);
}

Test(diff_rounds, what_was_found_in_vain_is_looked_for_again)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    change_below();
    spoil = 2;
    diff_text("main", "dev", &text);
    cr_assert_str_eq(text.s, "M d/a\n");
    cr_assert_eq(free_searches, 4);
    cr_assert_eq(locked_searches, 0);
}

Test(diff_rounds, after_three_rounds_the_search_excludes_changes)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    change_below();
    spoil = 1000;
    diff_text("main", "dev", &text);
    cr_assert_str_eq(text.s, "M d/a\n");
    cr_assert_eq(free_searches, 6);
    cr_assert_eq(locked_searches, 2);
}
