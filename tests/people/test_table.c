// SPDX-License-Identifier: Apache-2.0
/* Claims of table.h: columns are aligned whatever the names are, and no wider than the terminal. */
#include "table.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct table_column columns[] = {
    {"NAME", false, true, false}, {"SIZE", true, false, false}, {"NOTE", false, false, true}};

/* The table of so many rows; the caller releases it. */
static struct strbuf print(size_t width, size_t rows, const char *const (*cells)[3])
{
    struct strbuf out = STRBUF_INIT;
    struct table t;
    table_init(&t, columns, 3);
    for (size_t i = 0; i < rows; i++) {
        table_add(&t, cells[i]);
    }
    table_print(&t, width, &out);
    cr_assert_eq(strbuf_error(&out), 0);
    table_release(&t);
    return out;
}

static void expect(size_t width, size_t rows, const char *const (*cells)[3], const char *text)
{
    struct strbuf out = print(width, rows, cells);
    cr_expect_str_eq(out.s, text);
    strbuf_release(&out);
}

Test(table, names_stand_left_and_numbers_right)
{
    expect(0, 2, (const char *const[][3]){{"main", "1.3 GiB", "ok"}, {"a", "0 B", ""}},
           "NAME     SIZE  NOTE\n"
           "main  1.3 GiB  ok\n"
           "a         0 B\n");
}

Test(table, a_column_without_a_text_is_left_out)
{
    expect(0, 1, (const char *const[][3]){{"a", NULL, "x"}}, "NAME  NOTE\na     x\n");
}

Test(table, a_table_without_rows_is_empty)
{
    expect(0, 0, NULL, "");
}

Test(table, wide_characters_and_combining_ones_are_aligned)
{
    expect(0, 3,
           (const char *const[][3]){
               {"日本", "1", "a"}, {"e\xcc\x81", "22", "b"}, {"\xff\xfe", "3", "c"}},
           "NAME  SIZE  NOTE\n"
           "日本     1  a\n"
           "e\xcc\x81       22  b\n"
           "\xff\xfe       3  c\n");
}

Test(table, control_characters_are_replaced)
{
    expect(0, 1, (const char *const[][3]){{"a\033[2Jb\nc\xc2\x9b", "1", ""}},
           "NAME        SIZE\na?[2Jb?c??     1\n");
}

Test(table, a_long_name_is_cut_and_the_number_is_not)
{
    expect(24, 1, (const char *const[][3]){{"a-very-long-name-of-a-branch", "1.3 GiB", "x"}},
           "NAME          SIZE  NOTE\n"
           "a-very-l…  1.3 GiB  x\n");
}

Test(table, a_long_last_column_goes_on_below)
{
    expect(32, 1, (const char *const[][3]){{"a", "1", "one two three four five six"}},
           "NAME  SIZE  NOTE\n"
           "a        1  one two three four\n"
           "            five six\n");
}

Test(table, no_line_is_wider_than_the_terminal)
{
    const char *const cells[][3] = {
        {"日本日本日本日本日本日本日本日本", "1.3 GiB", "one two three four five six seven"},
        {"x", "12", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b"}};
    struct strbuf out = print(44, 2, cells);
    for (const char *p = out.s; *p; p = strchr(p, '\n') + 1) {
        size_t wide = 0, n = strcspn(p, "\n");
        for (size_t i = 0; i < n; i++) { /* of these texts, what has three bytes has two columns */
            wide += ((unsigned char)p[i] & 0xc0) != 0x80;
            wide += (unsigned char)p[i] >= 0xe3;
        }
        cr_expect_leq(wide, 44, "%.*s", (int)n, p);
    }
    strbuf_release(&out);
}
