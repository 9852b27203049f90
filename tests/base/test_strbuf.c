// SPDX-License-Identifier: Apache-2.0
/* Claims of strbuf.h. */
#include "strbuf.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void adds_fail(struct strbuf *b)
{
    char byte = 'x';
    strbuf_add(b, &byte, SIZE_MAX / 2);
}

Test(strbuf, a_fresh_one_is_an_empty_text)
{
    CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;
    cr_assert_str_eq(b.s, "");
    cr_assert_eq(strbuf_error(&b), 0);
}

Test(strbuf, pieces_are_joined_in_order)
{
    CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;
    strbuf_adds(&b, "one ");
    strbuf_add(&b, "two three", 4);
    strbuf_addf(&b, "%d%s", 3, "!");
    cr_assert_str_eq(b.s, "one two 3!");
    cr_assert_eq(b.len, 10);
}

Test(strbuf, it_grows_at_every_length)
{
    CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;
    for (size_t i = 0; i < 5000; i++) {
        strbuf_addf(&b, "%c", 'a');
        cr_assert_eq(b.s[i], 'a');
        cr_assert_eq(b.s[i + 1], '\0');
        cr_assert_gt(b.room, b.len);
    }
}

Test(strbuf, a_nul_byte_is_a_byte)
{
    CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;
    strbuf_add(&b, "a\0b", 3);
    cr_assert_eq(b.len, 3);
    cr_assert_arr_eq(b.s, "a\0b", 4);
}

Test(strbuf, clear_keeps_the_memory)
{
    CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;
    strbuf_adds(&b, "text");
    size_t room = b.room;
    strbuf_clear(&b);
    cr_assert_str_eq(b.s, "");
    cr_assert_eq(b.room, room);
}

Test(strbuf, a_failed_one_keeps_what_was_there_and_stays_failed)
{
    CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;
    strbuf_adds(&b, "kept");
    adds_fail(&b);
    strbuf_adds(&b, "lost");
    cr_assert_eq(strbuf_error(&b), -ENOMEM);
    cr_assert_str_eq(b.s, "kept");
}

Test(strbuf, a_failed_one_detaches_as_null_and_is_empty_again)
{
    struct strbuf b = STRBUF_INIT;
    adds_fail(&b);
    cr_assert_null(strbuf_detach(&b, NULL));
    cr_assert_eq(strbuf_error(&b), 0);
    cr_assert_str_eq(b.s, "");
}

Test(strbuf, detach_gives_the_storage_away)
{
    struct strbuf b = STRBUF_INIT;
    size_t len = 0;
    strbuf_adds(&b, "mine");
    char *s = strbuf_detach(&b, &len);
    cr_assert_str_eq(s, "mine");
    cr_assert_eq(len, 4);
    cr_assert_str_eq(b.s, "");
    free(s);
}

Test(strbuf, detaching_an_empty_one_gives_an_empty_text)
{
    struct strbuf b = STRBUF_INIT;
    char *s = strbuf_detach(&b, NULL);
    cr_assert_str_eq(s, "");
    free(s);
}

Test(strbuf, more_than_it_may_have_fails_and_says_so)
{
    CLEANUP_STRBUF struct strbuf b = {.s = strbuf_empty, .most = 10};
    strbuf_adds(&b, "0123456789");
    cr_assert_eq(strbuf_error(&b), 0);
    strbuf_addf(&b, "%s", "a");
    cr_assert_eq(strbuf_error(&b), -E2BIG);
    cr_assert(b.full);
    cr_assert_str_eq(b.s, "0123456789");
}
