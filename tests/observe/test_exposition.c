// SPDX-License-Identifier: Apache-2.0
/* Claims of exposition.h: metrics of several mounts as one text of Prometheus. */
#include "exposition.h"

#include <criterion/criterion.h>

static struct exposition e;
static struct strbuf out = STRBUF_INIT;

static void down(void)
{
    exposition_release(&e);
    strbuf_release(&out);
}

TestSuite(exposition, .fini = down);

static const char text[] = "# HELP a_total Help of a.\n# TYPE a_total counter\na_total 1\n"
                           "# HELP b Help of b.\n# TYPE b gauge\nb{x=\"1\"} 2\nb{x=\"2\"} 3\n";

Test(exposition, each_line_gets_the_mount_and_stands_with_its_metric)
{
    exposition_add(&e, "/a", text);
    exposition_add(&e, "/b", text);
    cr_assert_eq(exposition_print(&e, &out), 0);
    cr_assert_str_eq(out.s, "# HELP tallyfs_up 1: the daemon of the mount answers.\n"
                            "# TYPE tallyfs_up gauge\n"
                            "tallyfs_up{mount=\"/a\"} 1\ntallyfs_up{mount=\"/b\"} 1\n"
                            "# HELP a_total Help of a.\n# TYPE a_total counter\n"
                            "a_total{mount=\"/a\"} 1\na_total{mount=\"/b\"} 1\n"
                            "# HELP b Help of b.\n# TYPE b gauge\n"
                            "b{mount=\"/a\",x=\"1\"} 2\nb{mount=\"/a\",x=\"2\"} 3\n"
                            "b{mount=\"/b\",x=\"1\"} 2\nb{mount=\"/b\",x=\"2\"} 3\n");
}

Test(exposition, a_mount_that_does_not_answer_is_down)
{
    exposition_add(&e, "/a", NULL);
    cr_assert_eq(exposition_print(&e, &out), 0);
    cr_assert(strstr(out.s, "tallyfs_up{mount=\"/a\"} 0\n"), "%s", out.s);
}

Test(exposition, a_mount_point_of_any_bytes_is_a_label)
{
    exposition_add(&e, "/a\"b\\c\nd", text);
    cr_assert_eq(exposition_print(&e, &out), 0);
    cr_assert(strstr(out.s, "\na_total{mount=\"/a\\\"b\\\\c\\nd\"} 1\n"), "%s", out.s);
}

Test(exposition, a_mount_point_that_is_no_utf_8_becomes_some)
{
    exposition_add(&e, "/a\xff", NULL);
    cr_assert_eq(exposition_print(&e, &out), 0);
    cr_assert(!strchr(out.s, '\xff') && strstr(out.s, "{mount=\"/a"), "%s", out.s);
}

Test(exposition, a_line_without_a_value_is_left_out)
{
    exposition_add(&e, "/a", "# TYPE a gauge\na\nbcdef\na 1\n");
    cr_assert_eq(exposition_print(&e, &out), 0);
    cr_assert(strstr(out.s, "# TYPE a gauge\na{mount=\"/a\"} 1\n"), "%s", out.s);
}

Test(exposition, no_mounts_are_an_empty_text)
{
    cr_assert_eq(exposition_print(&e, &out), 0);
    cr_assert_eq(out.len, 0);
}
