// SPDX-License-Identifier: Apache-2.0
/* Claims about merging: what a namespace gets of a branch of it, and what is a conflict. */
#include "kept.h"
#include "merge_fixture.h"
#include "ns_find.h"

TestSuite(merge, .init = up, .fini = down);

Test(merge, a_commit_brings_new_changed_renamed_and_removed_files)
{
    put_file(&x, "dev/new", "new");
    write_file("dev/a", "changed");
    move_to("dev/d", "dev/e");
    remove_file(&x, "dev/l");
    agreed(&x, "commit dev", "ok into=main seq=");
    is_text("main/new", "new");
    is_text("main/a", "changed");
    is_text("main/e/f", "in d");
    cr_assert_eq(node_of(&x, "main/l"), 0);
    cr_assert_eq(node_of(&x, "main/d"), 0);
}

Test(merge, what_the_origin_changed_elsewhere_meanwhile_stays)
{
    write_file("dev/a", "changed");
    write_file("main/d/f", "main's");
    put_file(&x, "main/other", "other");
    agreed(&x, "commit dev", "ok");
    is_text("main/a", "changed");
    is_text("main/d/f", "main's");
    is_text("main/other", "other");
}

Test(merge, a_directory_renamed_on_one_side_and_changed_on_the_other_merges)
{
    move_to("main/d", "main/moved");
    write_file("dev/d/f", "changed");
    put_file(&x, "dev/d/g", "new");
    agreed(&x, "commit dev", "ok");
    is_text("main/moved/f", "changed");
    is_text("main/moved/g", "new");
}

Test(merge, both_changed_one_file_so_nothing_is_changed)
{
    char reply[4096];

    write_file("dev/a", "dev's");
    put_file(&x, "dev/new", "new");
    write_file("main/a", "main's");
    cr_assert_eq(say(&x, "commit dev", reply), -EEXIST);
    cr_assert(strstr(reply, "1 conflict; nothing was changed"), "%s", reply);
    cr_assert(strstr(reply, "| content path=a\n"), "%s", reply);
    is_text("main/a", "main's");
    cr_assert_eq(node_of(&x, "main/new"), 0);
}

Test(merge, a_rule_decides_conflicts)
{
    write_file("dev/a", "dev's");
    write_file("main/a", "main's");
    agreed(&x, "merge dev into main conflicts=ours", "decided=1");
    is_text("main/a", "main's");
    write_file("dev/a", "dev's again");
    agreed(&x, "merge dev into main conflicts=theirs", "decided=1");
    is_text("main/a", "dev's again");
}

Test(merge, two_files_of_one_name_can_both_stay)
{
    char name[64];

    put_file(&x, "main/n", "main's");
    put_file(&x, "dev/n", "dev's");
    refused(&x, "commit dev", -EEXIST, "1 conflict");
    snprintf(name, sizeof name, "main/n.variant-%08llx",
             (unsigned long long)vfs_node_ino(node_of(&x, "dev/n")));
    agreed(&x, "commit dev conflicts=both", "decided=1");
    is_text("main/n", "main's");
    is_text(name, "dev's");
}

Test(merge, a_content_that_both_changed_is_not_given_up_by_both)
{
    put_file(&x, "main/a", "base");
    agreed(&x, "branch main other", "ok");
    write_file("main/a", "main's");
    write_file("other/a", "other's");
    refused(&x, "commit other conflicts=both", -EEXIST, "1 conflict");
    is_text("main/a", "main's");
    agreed(&x, "commit other conflicts=both set=a=theirs", "decided=1");
    is_text("main/a", "other's");
}

Test(merge, equal_files_of_one_name_are_no_conflict)
{
    put_file(&x, "main/n", "same");
    put_file(&x, "dev/n", "same");
    agreed(&x, "drain", "ok");
    agreed(&x, "commit dev", "ok");
    is_text("main/n", "same");
}

Test(merge, removed_on_one_side_and_changed_on_the_other_is_a_conflict)
{
    remove_file(&x, "dev/a");
    write_file("main/a", "main's");
    refused(&x, "commit dev", -EEXIST, "1 conflict");
    remove_file(&x, "main/d/f");
    write_file("dev/d/f", "dev's");
    refused(&x, "commit dev", -EEXIST, "2 conflicts");
    agreed(&x, "drop dev force", "ok");
}

Test(merge, a_directory_that_one_side_removed_and_the_other_filled_is_a_conflict)
{
    char reply[4096];

    remove_file(&x, "dev/d/f");
    cr_assert_eq(vfs_rmdir(x.p, node_of(&x, "dev"), "d"), 0);
    put_file(&x, "main/d/g", "new");
    cr_assert_eq(say(&x, "commit dev conflicts=theirs", reply), -EEXIST);
    cr_assert(strstr(reply, "| filled path=d\n"), "%s", reply);
    is_text("main/d/f", "in d");
}

Test(merge, two_renames_of_one_directory_are_a_conflict)
{
    char reply[4096];

    move_to("dev/d", "dev/d1");
    move_to("main/d", "main/d2");
    cr_assert_eq(say(&x, "commit dev", reply), -EEXIST);
    cr_assert(strstr(reply, "| parents path=d1\n"), "%s", reply);
}

Test(merge, two_directories_moved_into_each_other_are_a_conflict)
{
    char reply[4096];

    make_dir("main/p");
    make_dir("main/q");
    agreed(&x, "branch main b", "ok");
    move_to("b/p", "b/q/p");
    move_to("main/q", "main/p/q");
    cr_assert_eq(say(&x, "commit b", reply), -EEXIST);
    cr_assert(strstr(reply, "| cycle path=q/p\n"), "%s", reply);
}

Test(merge, names_of_a_hard_link_merge_one_by_one)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_link(x.p, node_of(&x, "dev/a"), node_of(&x, "dev"), "a2", &a), 0);
    cr_assert_eq(vfs_link(x.p, node_of(&x, "main/a"), node_of(&x, "main"), "a3", &a), 0);
    write_file("dev/a", "changed");
    agreed(&x, "commit dev", "ok");
    is_text("main/a2", "changed");
    is_text("main/a3", "changed");
    cr_assert_eq(vfs_getattr(x.p, node_of(&x, "main/a"), &a), 0);
    cr_assert_eq(a.nlink, 3);
}

Test(merge, attributes_merge_one_by_one)
{
    chmod_file("dev/a", 0600);
    write_file("main/a", "main's");
    agreed(&x, "commit dev", "ok");
    is_text("main/a", "main's");
    cr_assert_eq(mode_of("main/a"), 0600);
    chmod_file("dev/a", 0640);
    chmod_file("main/a", 0644);
    refused(&x, "commit dev", -EEXIST, "1 conflict");
}

Test(merge, the_next_commit_is_about_what_is_new)
{
    write_file("dev/a", "one");
    agreed(&x, "commit dev", "ok");
    write_file("main/a", "main's");
    put_file(&x, "dev/b", "two");
    agreed(&x, "commit dev", " names=1 ");
    is_text("main/a", "main's");
    is_text("main/b", "two");
    agreed(&x, "commit dev", "ok into=main names=0");
}

Test(merge, a_branch_gets_what_is_new_in_its_origin)
{
    put_file(&x, "main/b", "main's");
    put_file(&x, "dev/c", "dev's");
    agreed(&x, "merge main into dev", "ok into=dev");
    is_text("dev/b", "main's");
    agreed(&x, "commit dev", "ok");
    is_text("main/c", "dev's");
}

Test(merge, an_undo_keeps_what_was_written_later_and_a_redo_takes_it_back)
{
    write_file("dev/a", "changed");
    put_file(&x, "dev/new", "new");
    agreed(&x, "commit dev", "ok");
    put_file(&x, "main/later", "later");
    agreed(&x, "undo main", "ok into=main");
    is_text("main/a", "hello");
    is_text("main/later", "later");
    cr_assert_eq(node_of(&x, "main/new"), 0);
    refused(&x, "undo main", -ENOENT, "nothing was merged into main");
    agreed(&x, "redo main", "ok");
    is_text("main/a", "changed");
    is_text("main/new", "new");
    is_text("main/later", "later");
}

Test(merge, what_was_undone_is_committed_again)
{
    put_file(&x, "dev/new", "new");
    write_file("dev/a", "changed");
    agreed(&x, "commit dev", "ok");
    agreed(&x, "undo main", "ok");
    kept_release(x.p);
    write_file("dev/d/f", "mended");
    agreed(&x, "commit dev", "ok");
    is_text("main/new", "new");
    is_text("main/a", "changed");
    is_text("main/d/f", "mended");
}

Test(merge, a_snapshot_of_a_branch_merges_and_stays_as_it_is)
{
    struct ns_instant base;
    struct ns *ns;

    put_file(&x, "dev/new", "new");
    agreed(&x, "snapshot dev s", "ok");
    put_file(&x, "dev/later", "later");
    cr_assert_eq(ns_find(x.p, "dev@s", &ns), 0);
    base = ns->base;
    agreed(&x, "merge dev@s into main", "ok");
    is_text("main/new", "new");
    cr_assert_eq(node_of(&x, "main/later"), 0);
    cr_assert_eq(ns->base.seq, base.seq);
    ns_put(x.p, ns);
}

Test(merge, a_redo_moves_the_base_again)
{
    agreed(&x, "branch main other", "ok");
    write_file("dev/a", "one");
    agreed(&x, "commit dev", "ok");
    agreed(&x, "undo main", "ok");
    agreed(&x, "redo main", "ok");
    write_file("dev/a", "two");
    agreed(&x, "commit dev", "ok");
    is_text("main/a", "two");
}

Test(merge, a_branch_and_a_snapshot_that_are_called_undo_are_no_undo)
{
    agreed(&x, "branch main undo", "ok");
    put_file(&x, "undo/u", "u");
    agreed(&x, "commit undo", "ok");
    refused(&x, "redo main", -ENOENT, "nothing was undone");
    agreed(&x, "snapshot main before-dev", "ok");
    put_file(&x, "dev/new", "new");
    agreed(&x, "commit dev", "ok");
    agreed(&x, "undo main", "ok");
    agreed(&x, "undo main", "ok");
    cr_assert_eq(node_of(&x, "main/u"), 0);
    agreed(&x, "hold main@before-dev", "ok");
}

Test(merge, one_file_that_both_have_and_an_older_base_has_not_is_no_conflict)
{
    agreed(&x, "snapshot main s", "ok");
    put_file(&x, "main/n", "same");
    agreed(&x, "drain", "ok");
    agreed(&x, "branch main b", "ok");
    put_file(&x, "b/new", "new");
    agreed(&x, "merge b into main base=main@s", "ok");
    is_text("main/new", "new");
    write_file("b/n", "b's");
    write_file("main/n", "main's");
    refused(&x, "merge b into main base=main@s", -EEXIST, "1 conflict");
    agreed(&x, "merge b into main base=main@s conflicts=theirs", "ok");
    is_text("main/n", "b's");
}

Test(merge, an_undo_of_what_was_changed_since_is_a_conflict)
{
    write_file("dev/a", "changed");
    agreed(&x, "commit dev", "ok");
    write_file("main/a", "changed again");
    refused(&x, "undo main", -EEXIST, "1 conflict");
    is_text("main/a", "changed again");
}

Test(merge, what_was_before_can_be_read)
{
    remove_file(&x, "dev/a");
    agreed(&x, "commit dev", "ok");
    agreed(&x, "branch main@before-dev old", "ok");
    is_text("old/a", "hello");
    agreed(&x, "diff main@before-dev main", "ok");
}

Test(merge, without_a_base_it_says_so)
{
    agreed(&x, "detach dev", "ok");
    write_file("dev/a", "changed");
    refused(&x, "commit dev", -ENODATA, "what both were made of is not held any more");
    agreed(&x, "snapshot main s", "ok");
    agreed(&x, "commit dev base=main@s", "ok");
    is_text("main/a", "changed");
}

Test(merge, a_start_from_the_log_has_the_whole_merge)
{
    write_file("dev/a", "changed");
    put_file(&x, "dev/new", "new");
    remove_file(&x, "dev/d/f");
    agreed(&x, "commit dev", "ok");
    crash();
    is_text("main/a", "changed");
    is_text("main/new", "new");
    cr_assert_eq(node_of(&x, "main/d/f"), 0);
    put_file(&x, "dev/b", "b");
    agreed(&x, "commit dev", " names=1 ");
}

Test(merge, the_offline_check_finds_nothing_afterwards)
{
    put_file(&x, "dev/new", "new");
    write_file("dev/a", "changed");
    remove_file(&x, "dev/d/f");
    agreed(&x, "commit dev", "ok");
    agreed(&x, "undo main", "ok");
    agreed(&x, "redo main", "ok");
    is_sound();
}

Test(merge, a_frozen_namespace_gets_nothing)
{
    write_file("dev/a", "changed");
    agreed(&x, "set ns:main.frozen yes", "ok");
    refused(&x, "commit dev", -EROFS, "main cannot be changed");
}

Test(merge, numbers_of_files_that_came_are_taken)
{
    struct ns *main_ns;

    put_file(&x, "dev/new", "new");
    agreed(&x, "commit dev", "ok");
    cr_assert_eq(ns_get_by_name(x.p, "main", &main_ns), 0);
    cr_assert_gt(main_ns->next_ino, vfs_node_ino(node_of(&x, "main/new")));
    ns_put(x.p, main_ns);
}

Test(merge, a_rule_for_ours_keeps_a_file_that_theirs_removed)
{
    remove_file(&x, "dev/a");
    write_file("main/a", "main's");
    remove_file(&x, "main/d/f");
    write_file("dev/d/f", "dev's");
    agreed(&x, "commit dev conflicts=ours", "decided=2");
    is_text("main/a", "main's");
    cr_assert_eq(node_of(&x, "main/d/f"), 0);
}

Test(merge, a_rule_decides_only_the_attributes_that_both_changed)
{
    struct vfs_attr a, in = {.uid = 7};

    chmod_file("dev/a", 0600);
    chmod_file("main/a", 0640);
    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/a"), VFS_SET_UID, &in, &a), 0);
    agreed(&x, "commit dev conflicts=theirs", "decided=1");
    a = attr_of("main/a");
    cr_assert_eq(a.mode & 07777, 0600);
    cr_assert_eq(a.uid, 7);
}

Test(merge, a_time_of_modification_that_one_side_set_back_is_taken_and_taken_back)
{
    struct vfs_attr a, in = {.mtime = 5 * NSEC_PER_SEC};
    int64_t was = attr_of("main/a").mtime;

    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "dev/a"), VFS_SET_MTIME, &in, &a), 0);
    agreed(&x, "commit dev", "ok");
    cr_assert_eq(attr_of("main/a").mtime, 5 * NSEC_PER_SEC);
    agreed(&x, "undo main", "ok");
    cr_assert_eq(attr_of("main/a").mtime, was);
}

Test(merge, what_a_rule_has_decided_is_not_asked_again)
{
    write_file("dev/a", "dev's");
    write_file("main/a", "main's");
    agreed(&x, "commit dev conflicts=ours", "names=0 inodes=0 decided=1");
    agreed(&x, "commit dev", "ok into=main names=0 inodes=0 decided=0");
    is_text("main/a", "main's");
}

Test(merge, what_both_changed_to_the_same_is_the_base_of_what_follows)
{
    write_file("dev/a", "same");
    write_file("main/a", "same");
    agreed(&x, "drain", "ok");
    agreed(&x, "commit dev", "names=0 inodes=0");
    write_file("dev/a", "changed");
    agreed(&x, "commit dev", "inodes=1");
    is_text("main/a", "changed");
}

Test(merge, a_name_beside_another_one_replaces_nothing)
{
    char name[64];

    put_file(&x, "dev/n", "dev's");
    put_file(&x, "main/n", "main's");
    snprintf(name, sizeof name, "main/n.variant-%08llx",
             (unsigned long long)vfs_node_ino(node_of(&x, "dev/n")));
    put_file(&x, name, "mine");
    refused(&x, "commit dev conflicts=both", -EEXIST, "1 conflict");
    is_text(name, "mine");
}

Test(merge, a_file_of_which_each_side_removed_another_name_is_a_conflict)
{
    char reply[4096];

    link_file("main/a", "main/b");
    agreed(&x, "branch main two", "ok");
    remove_file(&x, "two/a");
    remove_file(&x, "main/b");
    cr_assert_eq(say(&x, "commit two", reply), -EEXIST);
    cr_assert(strstr(reply, "| removed path=b\n"), "%s", reply);
    is_text("main/a", "hello");
}

Test(merge, a_rule_does_not_lose_a_file_that_was_moved_into_what_stays_out)
{
    char reply[4096];

    make_dir("dev/n");
    move_to("dev/a", "dev/n/a");
    put_file(&x, "main/n", "main's");
    cr_assert_eq(say(&x, "commit dev conflicts=ours", reply), -EEXIST);
    cr_assert(strstr(reply, "| removed path=n/a\n"), "%s", reply);
    is_text("main/a", "hello");
}

Test(merge, a_file_with_extents_that_both_replaced_by_the_same_is_no_conflict)
{
    static char large[300 * 1024];
    struct vfs_file *f;

    memset(large, 'x', sizeof large - 1);
    write_file("main/a", large);
    agreed(&x, "drain", "ok");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/a"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, "y", 1, 200 * 1024), 1);
    vfs_release(f);
    agreed(&x, "branch main two", "ok");
    write_file("two/a", "same");
    write_file("main/a", "same");
    agreed(&x, "drain", "ok");
    agreed(&x, "commit two", "ok");
    is_text("main/a", "same");
}
