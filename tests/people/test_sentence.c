// SPDX-License-Identifier: Apache-2.0
/* Claims of sentence.h and fields.h: a sentence has all that a reply has, or there is none. */
#include "fields.h"
#include "sentence.h"

#include <criterion/criterion.h>
#include <string.h>

static char *args[] = {"main/", "dev", NULL};

/* The sentence of a reply; the caller releases it. "": it does not fit. */
static struct strbuf fill(const char *text, const char *without, const char *reply, bool bytes)
{
    struct strbuf out = STRBUF_INIT;
    json_t *fields = fields_of(reply, strlen(reply));
    const struct sentence_of of = {fields, args, 2, 1795791900, bytes};
    cr_assert(fields);
    if (!sentence_add(&(struct sentence){text, without}, &of, &out)) {
        cr_expect_eq(out.len, 0);
    }
    json_decref(fields);
    return out;
}

static void expect(const char *text, const char *reply, const char *sentence)
{
    struct strbuf out = fill(text, NULL, reply, false);
    cr_expect_str_eq(out.s, sentence);
    strbuf_release(&out);
}

Test(sentence, keys_and_arguments_are_filled_in)
{
    expect("{ns} is a branch of {1:dir} ({2}).", "ns=dev", "dev is a branch of main (dev).");
}

Test(sentence, a_kind_says_how_a_value_is_shown)
{
    expect("{a:bytes} {b:count} {c:n file} {d:ms} {e:s} {f:shard} {g:shard}",
           "a=1536 b=1234 c=1 d=1500 e=90 f=0 g=3",
           "1.5 KiB 1,234 1 file 1.5 s 1 min 30 s at home on shard 3");
}

Test(sentence, what_is_zero_or_missing_is_left_out)
{
    const char *text = "Done.[ {n:n file} failed.][ Until {t:time}.][ Busy{b:if}.]";
    expect(text, "n=0 t=never b=no", "Done.");
    expect(text, "", "Done.");
    expect(text, "n=2 b=1", "Done. 2 files failed. Busy.");
}

Test(sentence, nothing_can_have_words_of_its_own)
{
    const char *text = "[{n:n thing is|things are} wrong][nothing is wrong{n:not}].";
    expect(text, "n=0", "nothing is wrong.");
    expect(text, "n=1", "1 thing is wrong.");
    expect(text, "n=2", "2 things are wrong.");
    expect(text, "", ".");
}

Test(sentence, a_name_is_never_taken_for_zero)
{
    expect("Gone[: {ns}].", "ns=0", "Gone: 0.");
    expect("Gone[: {ns}].", "ns=never", "Gone: never.");
}

Test(sentence, a_required_key_that_is_missing_means_no_sentence)
{
    expect("{ns} is there.", "", "");
    expect("{3} is there.", "", "");
}

Test(sentence, a_key_that_is_not_shown_means_no_sentence)
{
    expect("{ns} is there.", "ns=a more=1", "");
}

Test(sentence, unless_it_is_left_out_on_purpose)
{
    struct strbuf out = fill("{ns} is there.", "less more", "ns=a more=1", false);
    cr_expect_str_eq(out.s, "a is there.");
    strbuf_release(&out);
    out = fill("{ns} is there.", "evermore", "ns=a more=1", false);
    cr_expect_str_eq(out.s, "");
    strbuf_release(&out);
}

Test(sentence, sizes_can_be_exact)
{
    struct strbuf out = fill("{a:bytes}", NULL, "a=1536", true);
    cr_expect_str_eq(out.s, "1536");
    strbuf_release(&out);
}

Test(sentence, a_name_makes_no_line_and_commands_no_terminal)
{
    expect("{ns} is there.", "ns=\"a\\nb\\033[2J\"", "a?b?[2J is there.");
}

Test(fields, a_line_may_end_with_a_text)
{
    const char *line = "seq=7 time=\"a b\" request 10, put \"x\"";
    json_t *fields = fields_of_line(line, strlen(line));
    cr_assert(fields);
    cr_expect_str_eq(fields_get(fields, "seq"), "7");
    cr_expect_str_eq(fields_get(fields, "time"), "a b");
    cr_expect_str_eq(fields_get(fields, FIELD_REST), "request 10, put \"x\"");
    json_decref(fields);
}

Test(fields, a_line_may_begin_with_a_word)
{
    json_t *fields = fields_of("\"a b@v1\" seq=7", 14);
    cr_assert(fields);
    cr_expect_str_eq(fields_get(fields, FIELD_WORD), "a b@v1");
    json_decref(fields);
}

Test(fields, a_text_of_one_word_is_no_word_in_front)
{
    json_t *fields = fields_of_line("seq=7 more", 10);
    cr_assert(fields);
    cr_expect_str_eq(fields_get(fields, FIELD_REST), "more");
    cr_expect_null(fields_get(fields, FIELD_WORD));
    json_decref(fields);
}

Test(fields, a_text_of_another_form_has_none)
{
    cr_expect_null(fields_of("open handles 3", 14));
    cr_expect_null(fields_of_line("open handles 3", 14));
    cr_expect_null(fields_of("a=\"", 3));
}
