// SPDX-License-Identifier: Apache-2.0
/* Claims of mount_options.h about the mount of one namespace. */
#include "mount_options.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

static struct mount_options options = MOUNT_OPTIONS_INIT;

/* Adds a list; returns the result, with the sentence in `why`. */
static char why[512];
static int add(const char *list)
{
    struct strbuf text = STRBUF_INIT;
    int err = mount_options_add(&options, list, false, &text);
    cr_assert_lt(text.len, sizeof(why));
    memcpy(why, text.s, text.len + 1);
    strbuf_release(&text);
    return err;
}

static void release(void)
{
    mount_options_release(&options);
}

TestSuite(mount_options, .fini = release);

Test(mount_options, ns_names_a_namespace_and_the_last_one_counts)
{
    cr_assert_eq(add("ns=one,noatime,ns=two words"), 0);
    cr_assert_str_eq(options.ns, "two words");
    cr_assert_eq(options.flags, MS_NOATIME);
}

Test(mount_options, without_ns_the_whole_is_meant)
{
    cr_assert_eq(add("ro,nocontrol"), 0);
    cr_assert_null(options.ns);
    cr_assert(options.fs.nocontrol);
}

Test(mount_options, a_name_between_quotes_may_have_a_comma)
{
    cr_assert_eq(add("ns=\"a,b\",ro"), 0);
    cr_assert_str_eq(options.ns, "a,b");
    cr_assert_eq(add("ns=\""), 0);
    cr_assert_str_eq(options.ns, "\"", "one quote is a name");
}

Test(mount_options, what_no_namespace_can_be_called_is_refused)
{
    static const char *const names[] = {"", ".", "..", ".tally", "a/b", "/", "\"\""};
    char list[300];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(list, sizeof(list), "ns=%s", names[i]);
        cr_assert_eq(add(list), -EINVAL, "%s", names[i]);
        cr_assert(strstr(why, "name of a namespace"), "%s", why);
    }
    memset(list, 'x', sizeof(list));
    memcpy(list, "ns=", 3);
    list[3 + 256] = '\0';
    cr_assert_eq(add(list), -EINVAL, "256 bytes");
    list[3 + 255] = '\0';
    cr_assert_eq(add(list), 0, "255 bytes");
}

Test(mount_options, ns_is_none_of_the_options_that_all_mounts_of_a_daemon_share)
{
    cr_assert_eq(add("ns=a,nocontrol"), 0);
    cr_assert_eq(options.fixed.len, sizeof("nocontrol"));
    cr_assert_str_eq(options.fixed.s, "nocontrol");
}

Test(mount_options, ro_of_one_namespace_is_not_that_of_the_superblock)
{
    cr_assert_eq(add("ns=a,ro,noexec"), 0);
    cr_assert_eq(mount_options_end(&options), 0);
    cr_assert(strstr(options.extra.s, "noexec"));
    cr_assert_null(strstr(options.extra.s, "ro"));
    cr_assert(options.flags & MS_RDONLY);
}

Test(mount_options, ro_of_the_whole_is_that_of_the_superblock)
{
    cr_assert_eq(add("ro"), 0);
    cr_assert_eq(mount_options_end(&options), 0);
    cr_assert(strstr(options.extra.s, "ro"));
}
