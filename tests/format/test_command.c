// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of the grammar of the control file.
 */
#include "command.h"

#include "io.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct command_list parsed(const char *text)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct command_list l;
    int err = command_parse(text, strlen(text), &l, &why);
    cr_assert_eq(err, 0, "%s", why.s);
    cr_assert_eq(why.len, 0);
    return l;
}

static void refused(const char *text, const char *sentence)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct command_list l = {.count = 77};
    cr_assert_eq(command_parse(text, strlen(text), &l, &why), -EINVAL);
    cr_assert_eq(l.count, 77, "the list is left as it was");
    cr_assert(strstr(why.s, sentence), "'%s' lacks '%s'", why.s, sentence);
}

/* One command with one argument: is it these bytes, and is it quoted? */
static void one_word(const char *spelled, const char *meant, bool quoted)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    strbuf_addf(&line, "pin %s", spelled);
    struct command_list l = parsed(line.s);
    cr_assert_eq(l.count, 1);
    cr_assert_eq(l.items[0].nargs, 1);
    cr_assert_str_eq(l.items[0].args[0].text, meant);
    cr_assert_eq(l.items[0].args[0].len, strlen(meant));
    cr_assert_eq(l.items[0].args[0].quoted, quoted);
    command_list_release(&l);
}

Test(command, nothing_and_blank_lines_and_comments_are_no_commands)
{
    const char *texts[] = {"", "\n", "  \t \n", "# a comment \" \\\n", "\n\n  # x", " \t"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct command_list l = parsed(texts[i]);
        cr_assert_eq(l.count, 0, "case %zu", i);
        command_list_release(&l);
    }
}

Test(command, a_line_is_verb_arguments_options_wait)
{
    struct command_list l = parsed("gc dry-run \"a b\" grace=5s list= wait\n");
    const struct command *c = &l.items[0];
    cr_assert_eq(l.count, 1);
    cr_assert_str_eq(c->verb, "gc");
    cr_assert_eq(c->nargs, 2);
    cr_assert_str_eq(c->args[0].text, "dry-run");
    cr_assert_str_eq(c->args[1].text, "a b");
    cr_assert_str_eq(command_option(c, "grace"), "5s");
    cr_assert_str_eq(command_option(c, "list"), "");
    cr_assert_null(command_option(c, "dry"));
    cr_assert(c->wait);
    command_list_release(&l);
}

Test(command, lines_and_offsets_count_what_stands_before)
{
    struct command_list l = parsed("status\n\n# no\nbranch main dev\n  drop dev");
    cr_assert_eq(l.count, 3);
    cr_assert_eq(l.items[0].line, 1);
    cr_assert_eq(l.items[0].offset, 0);
    cr_assert_eq(l.items[1].line, 4);
    cr_assert_eq(l.items[1].offset, 13);
    cr_assert_str_eq(l.items[1].args[1].text, "dev");
    cr_assert_eq(l.items[2].line, 5);
    cr_assert_eq(l.items[2].offset, 29);
    cr_assert_str_eq(l.items[2].args[0].text, "dev");
    command_list_release(&l);
}

Test(command, words_are_decoded)
{
    one_word("a", "a", false);
    one_word("\"\"", "", true);
    one_word("\"a b\"", "a b", true);
    one_word("\"\\\"\\\\\\n\\101\\377\"", "\"\\\nA\377", true);
    one_word("#x", "#x", false);
    one_word("main/a=b", "main/a=b", false);
    one_word("=b", "=b", false);
    one_word("A=b", "A=b", false);
    one_word("\"a=b\"", "a=b", true);
    one_word("\xc3\xa4", "\xc3\xa4", false);
}

Test(command, wait_is_a_keyword_only_as_the_last_bare_word)
{
    struct command_list l = parsed("drop wait x\ndrop \"wait\"\ndrop wait\nwait 5\nwait");
    cr_assert_eq(l.count, 5);
    cr_assert_eq(l.items[0].nargs, 2);
    cr_assert_not(l.items[0].wait);
    cr_assert_eq(l.items[1].nargs, 1);
    cr_assert_not(l.items[1].wait);
    cr_assert_eq(l.items[2].nargs, 0);
    cr_assert(l.items[2].wait);
    cr_assert_str_eq(l.items[3].verb, "wait");
    cr_assert_eq(l.items[3].nargs, 1);
    cr_assert_str_eq(l.items[4].verb, "wait");
    cr_assert_not(l.items[4].wait);
    command_list_release(&l);
}

Test(command, an_option_value_may_be_quoted)
{
    struct command_list l = parsed("gc grace=\"5 s\" x_1=a=b");
    cr_assert_str_eq(command_option(&l.items[0], "grace"), "5 s");
    cr_assert_str_eq(command_option(&l.items[0], "x_1"), "a=b");
    command_list_release(&l);
}

Test(command, as_many_words_as_allowed_are_taken)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    strbuf_adds(&line, "pin");
    for (int i = 1; i < COMMAND_WORDS_MAX; i++) {
        strbuf_adds(&line, " a");
    }
    struct command_list l = parsed(line.s);
    cr_assert_eq(l.items[0].nargs, COMMAND_WORDS_MAX - 1);
    command_list_release(&l);
    strbuf_adds(&line, " a");
    refused(line.s, "more than 4096 words");
}

Test(command, a_refusal_names_the_line_and_what_is_wrong)
{
    refused("status\nbranch \"main\n", "line 2: a quote is not closed");
    refused("gc grace=1s grace=2s", "line 1: grace= is given twice");
    refused("merge set=a=ours conflicts=ours conflicts=ours", "line 1: conflicts= is given twice");
    refused("\"gc\"", "line 1: a line starts with a verb");
    refused("gc \"\\400\"", "\\400 is more than a byte holds");
}

Test(command, every_file_of_bad_commands_is_refused)
{
    DIR *d = opendir(BAD_DIR "/command");
    cr_assert_not_null(d);
    int seen = 0;
    for (struct dirent *e; (e = readdir(d));) {
        CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
        struct command_list l;
        char *text;
        size_t len;
        if (e->d_name[0] == '.') {
            continue;
        }
        cr_assert_eq(io_read_file(dirfd(d), e->d_name, 1 << 20, &text, &len), 0);
        cr_assert_eq(command_parse(text, len, &l, &why), -EINVAL, "%s", e->d_name);
        cr_assert_eq(strncmp(why.s, "line ", 5), 0, "%s", e->d_name);
        free(text);
        seen++;
    }
    closedir(d);
    cr_assert_geq(seen, 25);
}

Test(command, numbers_are_decimal_and_fit)
{
    uint64_t n = 7;
    cr_assert_eq(command_number("18446744073709551615", &n), 0);
    cr_assert_eq(n, UINT64_MAX);
    const char *bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1K", "18446744073709551616"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_assert_eq(command_number(bad[i], &n), -EINVAL, "'%s'", bad[i]);
    }
    cr_assert_eq(n, UINT64_MAX, "a failure leaves the answer alone");
}

Test(command, durations_but_0_need_a_unit_and_end_at_a_hundred_years)
{
    int64_t duration_ns = 7;
    cr_assert_eq(command_duration("250ms", &duration_ns), 0);
    cr_assert_eq(duration_ns, 250000000);
    cr_assert_eq(command_duration("2m", &duration_ns), 0);
    cr_assert_eq(duration_ns, INT64_C(120000000000));
    cr_assert_eq(command_duration("36525d", &duration_ns), 0);
    cr_assert_eq(duration_ns, INT64_C(3155760000000000000));
    cr_assert_eq(command_duration("0", &duration_ns), 0, "nothing is nothing in any unit");
    cr_assert_eq(duration_ns, 0);
    const char *bad[] = {"",
                         "5",
                         "00",
                         "0x",
                         "s",
                         "5x",
                         "-5s",
                         "1.5s",
                         "5 s",
                         "5ss",
                         "36526d",
                         "99999999999999999999s",
                         "18446744073709551615d"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_assert_eq(command_duration(bad[i], &duration_ns), -EINVAL, "'%s'", bad[i]);
    }
}

Test(command, sizes_are_powers_of_1024)
{
    uint64_t n;
    cr_assert_eq(command_size("7", &n), 0);
    cr_assert_eq(n, 7);
    cr_assert_eq(command_size("3T", &n), 0);
    cr_assert_eq(n, UINT64_C(3) << 40);
    const char *bad[] = {"", "K", "1k", "1KB", "-1K", "1 K", "16777216T"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_assert_eq(command_size(bad[i], &n), -EINVAL, "'%s'", bad[i]);
    }
}

Test(command, durations_and_sizes_come_back_as_they_are_written)
{
    const char *durations[] = {"0s", "1ms", "1500ms", "300s", "600s", "1h", "30d", "25h"};
    const char *sizes[] = {"0", "1", "1023", "1K", "128K", "64M", "1025", "3T", "1024T"};
    char out[32];
    for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
        int64_t duration_ns;
        cr_assert_eq(command_duration(durations[i], &duration_ns), 0);
        command_format_duration(duration_ns, out);
        cr_assert_str_eq(out, durations[i]);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        uint64_t n;
        cr_assert_eq(command_size(sizes[i], &n), 0);
        command_format_size(n, out);
        cr_assert_str_eq(out, sizes[i]);
    }
}

Test(command, namespace_names_have_their_rules)
{
    char name[300];
    memset(name, 'n', sizeof(name));
    name[255] = '\0';
    cr_assert_eq(command_namespace(name), 0);
    name[255] = 'n';
    name[256] = '\0';
    cr_assert_eq(command_namespace(name), -ENAMETOOLONG);
    cr_assert_eq(command_namespace("..."), 0);
    cr_assert_eq(command_namespace(".tally2"), 0);
    const char *bad[] = {"", ".", "..", ".tally", "a/b", "/"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_assert_eq(command_namespace(bad[i]), -EINVAL, "'%s'", bad[i]);
    }
}

Test(command, a_path_is_a_namespace_and_what_is_below)
{
    const char *rest;
    size_t len;
    cr_assert_eq(command_path("main/a/b..c", &len, &rest), 0);
    cr_assert_eq(len, 4);
    cr_assert_str_eq(rest, "a/b..c");
    cr_assert_eq(command_path("main/", &len, &rest), 0);
    cr_assert_str_eq(rest, "");
    const char *bad[] = {"main",           "",        "/a",          "../a",
                         ".tally/control", "main/..", "main/a/../b", "main/../b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_assert_eq(command_path(bad[i], &len, &rest), -EINVAL, "'%s'", bad[i]);
    }
}

Test(command, a_word_written_is_the_word_read)
{
    char text[256];
    for (int i = 0; i < 255; i++) {
        text[i] = (char)(unsigned char)(i + 1);
    }
    text[255] = '\0';
    const char *words[] = {"", "a", "a b", "\"", "\\", "\n", "\001\0377", text};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
        strbuf_adds(&line, "pin key=");
        command_add_word(&line, words[i]);
        struct command_list l = parsed(line.s);
        cr_assert_str_eq(command_option(&l.items[0], "key"), words[i]);
        command_list_release(&l);
    }
}

Test(command, control_characters_are_written_as_octal_digits_and_letters_as_they_are)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    command_add_word(&line, "\xc3\xa9\xc2\x9b\x1b\x7f");
    cr_assert_str_eq(line.s, "\"\xc3\xa9\\302\\233\\033\\177\"");
}

Test(command, errnos_have_names)
{
    cr_assert_str_eq(command_errno_name(ENOENT), "ENOENT");
    cr_assert_str_eq(command_errno_name(ESHUTDOWN), "ESHUTDOWN");
    cr_assert_str_eq(command_errno_name(0), "EIO");
    cr_assert_str_eq(command_errno_name(-5), "EIO");
    cr_assert_str_eq(command_errno_name(12345), "EIO");
}
