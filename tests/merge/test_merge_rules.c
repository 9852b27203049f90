// SPDX-License-Identifier: Apache-2.0
/* Claims about rules for paths: which pattern matches what, and which rule decides a conflict. */
#include "merge_fixture.h"
#include "merge_pattern.h"
#include "ns_branch.h"

TestSuite(merge_rules, .init = up, .fini = down);

Test(merge_pattern, without_a_slash_it_is_compared_with_the_last_component)
{
    cr_assert(merge_pattern_matches("*.txt", "a.txt"));
    cr_assert(merge_pattern_matches("*.txt", "d/e/a.txt"));
    cr_assert(merge_pattern_matches("[ab]?", "d/b1"));
    cr_assert(!merge_pattern_matches("*.txt", "a.txt/b"));
    cr_assert(!merge_pattern_matches("d", "d/a"));
    cr_assert(merge_pattern_matches("\\*", "d/*"));
    cr_assert(!merge_pattern_matches("\\*", "d/a"));
}

Test(merge_pattern, with_a_slash_it_is_compared_with_the_whole_path)
{
    cr_assert(merge_pattern_matches("/a", "a"));
    cr_assert(!merge_pattern_matches("/a", "d/a"));
    cr_assert(merge_pattern_matches("d/*.c", "d/x.c"));
    cr_assert(!merge_pattern_matches("d/*.c", "d/e/x.c"));
    cr_assert(!merge_pattern_matches("d/*.c", "e/d/x.c"));
    cr_assert(!merge_pattern_matches("d/*", "d"));
}

Test(merge_pattern, two_stars_stand_for_any_number_of_components)
{
    cr_assert(merge_pattern_matches("**/a", "a"));
    cr_assert(merge_pattern_matches("**/a", "d/e/a"));
    cr_assert(!merge_pattern_matches("**/a", "d/a/b"));
    cr_assert(merge_pattern_matches("d/**", "d/e/a"));
    cr_assert(!merge_pattern_matches("d/**", "d"));
    cr_assert(merge_pattern_matches("d/**/a", "d/a"));
    cr_assert(merge_pattern_matches("d/**/a", "d/e/f/a"));
    cr_assert(!merge_pattern_matches("d/**/a", "d/e/f/b"));
    cr_assert(merge_pattern_matches("**", "d/e"));
    cr_assert(merge_pattern_matches("**/e/**/g", "d/e/e/f/g"));
}

Test(merge_pattern, what_cannot_match_is_refused)
{
    char longest[MERGE_PATTERN_MAX + 1];

    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    cr_assert_eq(merge_pattern_check(longest), -EINVAL);
    longest[sizeof longest - 2] = '\0';
    cr_assert_eq(merge_pattern_check(longest), 0);
    cr_assert_eq(merge_pattern_check(""), -EINVAL);
    cr_assert_eq(merge_pattern_check("d/"), -EINVAL);
}

/* A pattern that would take for ever if each star tried each place. */
Test(merge_pattern, many_stars_take_no_long_time, .timeout = 20)
{
    char pattern[2001] = "", path[2001] = "";

    for (size_t i = 0; i < 1996; i += 3) {
        memcpy(pattern + i, "**/", 3);
        memcpy(path + i, "a/a", 3);
    }
    strcpy(pattern + 1998, "b");
    cr_assert(!merge_pattern_matches(pattern, path));
}

/* Both sides change the files "a" and "d/f". */
static void clash(void)
{
    write_file("dev/a", "dev's");
    write_file("main/a", "main's");
    write_file("dev/d/f", "dev's");
    write_file("main/d/f", "main's");
}

Test(merge_rules, each_conflict_is_decided_by_the_rule_of_its_path)
{
    clash();
    agreed(&x, "commit dev set=a=theirs set=d/*=ours", "decided=2");
    is_text("main/a", "dev's");
    is_text("main/d/f", "main's");
}

Test(merge_rules, of_patterns_that_match_the_last_one_counts)
{
    clash();
    agreed(&x, "commit dev set=*=ours set=f=theirs", "decided=2");
    is_text("main/a", "main's");
    is_text("main/d/f", "dev's");
}

Test(merge_rules, where_no_pattern_matches_the_other_rule_counts)
{
    clash();
    agreed(&x, "commit dev conflicts=theirs set=d/**=ours", "decided=2");
    is_text("main/a", "dev's");
    is_text("main/d/f", "main's");
}

Test(merge_rules, what_is_still_a_conflict_is_listed_and_nothing_is_changed)
{
    char reply[4096];

    clash();
    put_file(&x, "dev/new", "new");
    cr_assert_eq(say(&x, "commit dev set=a=theirs", reply), -EEXIST);
    cr_assert(strstr(reply, "1 conflict;") && strstr(reply, "| content path=d/f\n"), "%s", reply);
    cr_assert_eq(say(&x, "commit dev conflicts=theirs set=a=fail", reply), -EEXIST);
    cr_assert(strstr(reply, "1 conflict;") && strstr(reply, "| content path=a\n"), "%s", reply);
    is_text("main/a", "main's");
    is_text("main/d/f", "main's");
    cr_assert_eq(node_of(&x, "main/new"), 0);
}

Test(merge_rules, names_and_removed_files_have_paths_as_well)
{
    char variant[64];

    put_file(&x, "dev/n", "dev's");
    put_file(&x, "main/n", "main's");
    put_file(&x, "dev/m", "dev's");
    put_file(&x, "main/m", "main's");
    remove_file(&x, "dev/a");
    write_file("main/a", "main's");
    remove_file(&x, "main/d/f");
    write_file("dev/d/f", "dev's");
    agreed(&x, "commit dev set=n=both set=m=theirs set=a=ours set=d/*=ours", "ok");
    is_text("main/n", "main's");
    snprintf(variant, sizeof variant, "main/n.variant-%08llx",
             (unsigned long long)vfs_node_ino(node_of(&x, "dev/n")));
    is_text(variant, "dev's");
    is_text("main/m", "dev's");
    is_text("main/a", "main's");
    cr_assert_eq(node_of(&x, "main/d/f"), 0);
}

Test(merge_rules, a_conflict_that_appears_by_a_decision_gets_its_rule_too)
{
    write_file("dev/a", "dev's");
    remove_file(&x, "dev/a");
    write_file("main/a", "main's");
    agreed(&x, "commit dev set=a=both", "ok");
    is_text("main/a", "main's");
}

Test(merge_rules, what_is_no_rule_is_refused)
{
    refused(&x, "commit dev set=a", -EINVAL, "set= takes PATTERN=RULE, not a");
    refused(&x, "commit dev set=a=mine", -EINVAL, "conflicts are fail, ours, theirs or both, not mine");
    refused(&x, "commit dev set==ours", -EINVAL, "no path can match the pattern");
    refused(&x, "commit dev set=d/=ours", -EINVAL, "no path can match the pattern d/");
}

/* ---- what a program needs that merges contents ---- */

Test(merge_rules, a_conflict_can_say_where_the_file_is_in_each_tree)
{
    char reply[4096];

    move_to("main/d", "main/e");
    write_file("dev/d/f", "dev's");
    write_file("main/e/f", "main's");
    cr_assert_eq(say(&x, "commit dev paths=all", reply), -EEXIST);
    cr_assert(strstr(reply, "| seq seq="), "%s", reply);
    cr_assert(strstr(reply, "| content path=d/f theirs=dev/d/f base=main@"), "%s", reply);
    cr_assert(strstr(reply, "/d/f ours=main/e/f\n"), "%s", reply);
    refused(&x, "commit dev paths=some", -EINVAL, "paths= takes all, not some");
}

Test(merge_rules, a_merge_can_depend_on_the_last_change_of_the_target)
{
    struct ns *ns;
    char line[80];
    uint64_t seq;

    write_file("dev/a", "dev's");
    write_file("main/d/f", "main's");
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    seq = ns_now(ns).seq;
    ns_put(x.p, ns);
    snprintf(line, sizeof line, "commit dev if_seq=%llu", (unsigned long long)seq - 1);
    refused(&x, line, -ECANCELED, "main has changed; nothing was done");
    snprintf(line, sizeof line, "commit dev if_seq=%llu", (unsigned long long)seq);
    agreed(&x, line, "ok");
    is_text("main/a", "dev's");
    refused(&x, "commit dev if_seq=x", -EINVAL, "x is not the number of a change");
}
