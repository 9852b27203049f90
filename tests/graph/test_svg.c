// SPDX-License-Identifier: Apache-2.0
/* Claims of svg.h, dot.h and text_fit.h: whatever a name has in it, a picture stays a picture. */
#include "dot.h"
#include "svg.h"
#include "text_fit.h"

#include <criterion/criterion.h>
#include <string.h>

static struct strbuf out = STRBUF_INIT;

static void release(void)
{
    strbuf_release(&out);
}

TestSuite(svg, .fini = release);

Test(svg, what_would_be_markup_is_escaped)
{
    svg_escape(&out, "a<b>&\"c'");
    cr_assert_str_eq(out.s, "a&lt;b&gt;&amp;&quot;c&#39;");
}

Test(svg, control_characters_and_bytes_that_are_no_utf8_are_replaced)
{
    text_clean(&out, "a\x01\n\x7f\xc2\x85\xff\xc0\xaf\xed\xa0\x80z");
    for (const char *p = out.s; *p; p++) {
        cr_assert((unsigned char)*p >= 0x20 && *p != 0x7f);
    }
    cr_assert_eq(out.len, 2 + 3 * 10); /* a, z, and U+FFFD for each of what is replaced */
    cr_assert_null(strstr(out.s, "\xc2\x85"));
}

Test(svg, utf8_that_can_be_drawn_stays)
{
    const char *text = "größe 日本語 🚀";
    text_clean(&out, text);
    cr_assert_str_eq(out.s, text);
}

Test(svg, marks_that_turn_the_direction_of_writing_are_replaced)
{
    text_clean(&out, "a\u202egpj.exe");
    cr_assert_null(strstr(out.s, "\u202e"));
}

Test(svg, characters_that_xml_does_not_allow_are_replaced)
{
    text_clean(&out, "\xef\xbf\xbe\xef\xbf\xbf\xf0\x9f\xbf\xbf");
    cr_assert_str_eq(out.s, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

Test(svg, a_text_that_fits_is_not_shortened)
{
    text_fit(&out, "main", 13, text_width("main", 13));
    cr_assert_str_eq(out.s, "main");
}

Test(svg, a_text_that_is_too_wide_ends_in_an_ellipsis_and_fits)
{
    static const char *const texts[] = {"wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
                                        "日本語日本語日本語日本語日本語日本語",
                                        "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii"};
    for (size_t i = 0; i < 3; i++) {
        strbuf_clear(&out);
        text_fit(&out, texts[i], 13, 150);
        cr_assert_leq(text_width(out.s, 13), 150);
        cr_assert(strstr(out.s, "…"));
        cr_assert_gt(text_width(out.s, 13), 110);
    }
}

Test(svg, wide_characters_take_two_columns_and_combining_ones_none)
{
    cr_assert_eq(text_columns("ab"), 2);
    cr_assert_eq(text_columns("日本"), 4);
    cr_assert_eq(text_columns("e\u0301"), 1);
}

Test(svg, a_picture_has_a_title_a_description_and_tips)
{
    struct svg s;
    svg_begin(&s, &out, 10, 20, "A & B", "What <it> is.");
    svg_rect(&s, 1, 2, 3, 4, "alone", "tip \"x\"");
    svg_end(&s);
    cr_assert(strstr(out.s, "role=\"img\" aria-labelledby=\"title desc\""));
    cr_assert(strstr(out.s, "<title id=\"title\">A &amp; B</title>"));
    cr_assert(strstr(out.s, "<desc id=\"desc\">What &lt;it&gt; is.</desc>"));
    cr_assert(strstr(out.s, "<title>tip &quot;x&quot;</title></rect>"));
    cr_assert(strstr(out.s, "prefers-color-scheme:dark"));
}

Test(svg, a_string_of_graphviz_has_quotes_and_backslashes_escaped)
{
    dot_string(&out, "a\"b\\n\n");
    cr_assert_str_eq(out.s, "\"a\\\"b\\\\n\xef\xbf\xbd\"");
}
