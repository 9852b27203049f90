// SPDX-License-Identifier: Apache-2.0
/* Claims about files that both sides made under one name, and that are one for the merge. */
#include "merge_fixture.h"

TestSuite(merge_twins, .init = up, .fini = down);

/* Both sides have new directories n and n/m with a file each of their own. */
static void two_trees(void)
{
    make_dir("dev/n");
    make_dir("dev/n/m");
    put_file(&x, "dev/n/theirs", "t");
    put_file(&x, "dev/n/m/theirs", "tm");
    make_dir("main/n");
    make_dir("main/n/m");
    put_file(&x, "main/n/ours", "o");
    put_file(&x, "main/n/m/ours", "om");
}

Test(merge_twins, two_new_directories_of_one_name_become_one)
{
    uint64_t node;

    two_trees();
    node = node_of(&x, "main/n/m");
    agreed(&x, "commit dev", "decided=0");
    is_text("main/n/theirs", "t");
    is_text("main/n/m/theirs", "tm");
    is_text("main/n/ours", "o");
    is_text("main/n/m/ours", "om");
    cr_assert_eq(node_of(&x, "main/n/m"), node);
    is_sound();
}

Test(merge_twins, the_next_merge_knows_that_they_are_one)
{
    two_trees();
    agreed(&x, "commit dev", "ok");
    put_file(&x, "dev/n/m/later", "l");
    write_file("dev/n/m/theirs", "changed");
    remove_file(&x, "dev/n/theirs");
    put_file(&x, "main/n/other", "other");
    agreed(&x, "commit dev", "decided=0");
    is_text("main/n/m/later", "l");
    is_text("main/n/m/theirs", "changed");
    cr_assert_eq(node_of(&x, "main/n/theirs"), 0);
    agreed(&x, "merge main into dev", "decided=0");
    is_text("dev/n/ours", "o");
    is_text("dev/n/m/ours", "om");
    is_text("dev/n/other", "other");
    agreed(&x, "commit dev", "ok");
    put_file(&x, "dev/n/last", "last");
    agreed(&x, "commit dev", "ok");
    is_text("main/n/last", "last");
    is_sound();
}

Test(merge_twins, what_clashes_in_them_is_a_conflict_and_nothing_else)
{
    char reply[4096];

    two_trees();
    put_file(&x, "dev/n/m/f", "dev's");
    put_file(&x, "main/n/m/f", "main's");
    cr_assert_eq(say(&x, "commit dev", reply), -EEXIST);
    cr_assert(strstr(reply, "1 conflict;") && strstr(reply, "| name path=n/m/f\n"), "%s", reply);
    cr_assert_eq(node_of(&x, "main/n/theirs"), 0);
    agreed(&x, "commit dev conflicts=theirs", "decided=1");
    is_text("main/n/m/f", "dev's");
    is_text("main/n/m/theirs", "tm");
}

Test(merge_twins, directories_with_different_permissions_are_a_conflict_about_these)
{
    char reply[4096];

    two_trees();
    chmod_file("dev/n/m", 0700);
    cr_assert_eq(say(&x, "commit dev", reply), -EEXIST);
    cr_assert(strstr(reply, "1 conflict;") && strstr(reply, "| attributes path=n/m\n"), "%s",
              reply);
    agreed(&x, "commit dev set=m=theirs", "decided=1");
    cr_assert_eq(mode_of("main/n/m"), 0700);
    cr_assert_eq(mode_of("main/n"), 0755);
    is_text("main/n/m/theirs", "tm");
}

Test(merge_twins, their_attributes_are_compared_by_value)
{
    two_trees();
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "dev/n"), "user.a", "same", 4, 0), 0);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/n"), "user.a", "same", 4, 0), 0);
    agreed(&x, "commit dev", "decided=0");
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "dev/n"), "user.b", "theirs", 6, 0), 0);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/n"), "user.c", "ours", 4, 0), 0);
    agreed(&x, "commit dev", "decided=0");
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/n"), "user.b", NULL, 0), 6);
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/n"), "user.c", NULL, 0), 4);
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/n"), "user.a", NULL, 0), 4);
    is_sound();
}

Test(merge_twins, a_directory_that_ours_made_anew_gets_what_theirs_adds)
{
    remove_file(&x, "main/d/f");
    cr_assert_eq(vfs_rmdir(x.p, node_of(&x, "main"), "d"), 0);
    make_dir("main/d");
    put_file(&x, "dev/d/g", "g");
    agreed(&x, "commit dev", "ok");
    is_text("main/d/g", "g");
    cr_assert_eq(node_of(&x, "main/d/f"), 0);
}

Test(merge_twins, a_directory_and_a_file_of_one_name_are_a_conflict)
{
    make_dir("dev/n");
    put_file(&x, "main/n", "file");
    refused(&x, "commit dev", -EEXIST, "1 conflict");
}

Test(merge_twins, an_undo_takes_back_what_came)
{
    two_trees();
    agreed(&x, "commit dev", "ok");
    put_file(&x, "main/n/later", "later");
    agreed(&x, "undo main", "ok");
    cr_assert_eq(node_of(&x, "main/n/theirs"), 0);
    cr_assert_eq(node_of(&x, "main/n/m/theirs"), 0);
    is_text("main/n/ours", "o");
    is_text("main/n/later", "later");
    agreed(&x, "redo main", "ok");
    is_text("main/n/m/theirs", "tm");
    is_text("main/n/later", "later");
    crash();
    is_text("main/n/m/theirs", "tm");
    is_sound();
}

/* ---- files ---- */

Test(merge_twins, equal_new_files_are_no_conflict_before_they_are_sealed)
{
    char reply[4096];

    put_file(&x, "dev/n", "same");
    put_file(&x, "main/n", "same");
    agreed(&x, "commit dev", "names=0 inodes=0 decided=0");
    put_file(&x, "dev/u", "one");
    put_file(&x, "main/u", "two");
    cr_assert_eq(say(&x, "commit dev", reply), -EEXIST);
    cr_assert(strstr(reply, "1 conflict;") && strstr(reply, "| name path=u\n"), "%s", reply);
}

Test(merge_twins, an_equal_change_of_both_is_no_conflict_before_it_is_sealed)
{
    write_file("dev/a", "same");
    write_file("main/a", "same");
    agreed(&x, "commit dev", "decided=0");
    is_text("main/a", "same");
}

Test(merge_twins, an_equal_attribute_of_both_is_no_conflict_before_it_is_sealed)
{
    static char large[9000];

    memset(large, 'v', sizeof large);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "dev/a"), "user.a", large, sizeof large, 0), 0);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/a"), "user.a", large, sizeof large, 0), 0);
    agreed(&x, "commit dev", "decided=0");
}

Test(merge_twins, equal_new_files_are_one_for_the_next_merge)
{
    uint64_t node;

    put_file(&x, "dev/n", "same");
    put_file(&x, "main/n", "same");
    agreed(&x, "commit dev", "ok");
    node = node_of(&x, "main/n");
    write_file("dev/n", "dev's");
    agreed(&x, "commit dev", "inodes=1");
    is_text("main/n", "dev's");
    cr_assert_eq(node_of(&x, "main/n"), node);
}

Test(merge_twins, a_file_that_ours_wrote_anew_with_the_same_bytes_gets_the_change_of_theirs)
{
    put_file(&x, "main/.a", "hello");
    move_to("main/.a", "main/a");
    agreed(&x, "drain", "ok");
    write_file("dev/a", "changed");
    agreed(&x, "commit dev", "ok");
    is_text("main/a", "changed");
}

Test(merge_twins, a_file_that_theirs_wrote_anew_twice_the_first_time_with_the_same_bytes_comes)
{
    put_file(&x, "dev/.a", "hello");
    move_to("dev/.a", "dev/a");
    agreed(&x, "drain", "ok");
    agreed(&x, "commit dev", "ok");
    put_file(&x, "dev/.a", "changed");
    move_to("dev/.a", "dev/a");
    agreed(&x, "commit dev", "decided=0");
    is_text("main/a", "changed");
}
