// SPDX-License-Identifier: Apache-2.0
/* Claims of diff, changes and verdict: what is listed of two namespaces, and how. */
#include "diff_fixture.h"

TestSuite(diff, .init = up, .fini = down);

/* A file of `len` bytes that depend on `seed`. */
static void put_large(const char *path, size_t len, unsigned seed)
{
    char *bytes = malloc(len);
    uint32_t value = seed;

    cr_assert(bytes);
    for (size_t i = 0; i < len; i++) {
        value = value * 1103515245 + 12345;
        bytes[i] = (char)(value >> 16);
    }
    put_file(&x, path, "");
    write_at(path, bytes, len, 0);
    free(bytes);
}

Test(diff, a_new_branch_differs_in_nothing)
{
    put_file(&x, "main/a", "1");
    branch();
    differs("");
}

Test(diff, deletions_come_first_then_the_others_by_path_and_attributes_last)
{
    const struct vfs_attr mode = {.mode = 0600};

    put_file(&x, "main/b", "1");
    put_file(&x, "main/m", "1");
    put_file(&x, "main/z", "1");
    put_file(&x, "main/c", "1");
    branch();
    remove_file(&x, "dev/z");
    put_file(&x, "dev/m", "22");
    put_file(&x, "dev/a", "new");
    set_attr("dev/b", VFS_SET_MODE, &mode);
    differs("D z\nA a\nM m\na b m\n");
}

Test(diff, a_deleted_directory_and_a_new_one_are_listed_with_all_that_is_below)
{
    make_dir("main/d");
    make_dir("main/d/e");
    put_file(&x, "main/d/e/f", "1");
    branch();
    remove_file(&x, "dev/d/e/f");
    remove_dir("dev/d/e");
    remove_dir("dev/d");
    make_dir("dev/n");
    put_file(&x, "dev/n/f", "2");
    differs("D d\nD d/e\nD d/e/f\nA n\nA n/f\n");
}

Test(diff, a_directory_is_not_changed_by_what_happens_to_its_entries)
{
    make_dir("main/d");
    put_file(&x, "main/d/a", "1");
    branch();
    put_file(&x, "dev/d/b", "1");
    differs("A d/b\n");
}

Test(diff, a_directory_is_not_changed_by_an_entry_that_came_and_went)
{
    const struct vfs_attr t = {.mtime = 5 * NSEC_PER_SEC};
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    make_dir("main/d");
    set_attr("main/d", VFS_SET_MTIME, &t);
    branch();
    put_file(&x, "dev/d/b", "1");
    remove_file(&x, "dev/d/b");
    differs("");
    diff_text("dev", "main", &text);
    cr_assert_str_eq(text.s, "");
}

Test(diff, a_directory_whose_time_was_set_is_changed)
{
    const struct vfs_attr t = {.mtime = 5 * NSEC_PER_SEC};

    make_dir("main/d");
    branch();
    set_attr("dev/d", VFS_SET_MTIME, &t);
    set_attr("dev", VFS_SET_MTIME, &t);
    differs("a . t\na d t\n");
}

Test(diff, a_file_rewritten_with_equal_bytes_has_another_time_and_no_other_content)
{
    put_file(&x, "main/a", "12345");
    put_large("main/large", 400000, 1);
    drain();
    branch();
    put_file(&x, "dev/a", "12345");
    put_large("dev/large", 400000, 1);
    differs("a a t\na large t\n");
}

Test(diff, the_time_of_a_modified_file_is_not_told_apart)
{
    put_file(&x, "main/a", "12345");
    branch();
    write_at("dev/a", "x", 1, 2);
    differs("M a\n");
}

Test(diff, one_changed_byte_of_a_large_file_is_found_in_any_form_of_storage)
{
    put_large("main/block", 1000000, 1);
    put_large("main/page", 1000000, 2);
    put_large("main/same", 1000000, 3);
    put_large("main/slot", 1000000, 4);
    drain();
    branch();
    put_large("dev/block", 1000000, 1); /* stored anew */
    write_at("dev/block", "?", 1, 700000);
    write_at("dev/page", "?", 1, 300000); /* a subblock extent */
    write_at("dev/same", "?", 1, 5000);
    write_at("main/same", "?", 1, 5000);
    differs("M block\nM page\n");
}

Test(diff, a_hole_equals_zeros)
{
    static const char zeros[300000];
    const struct vfs_attr size = {.size = 300000};

    put_file(&x, "main/a", "");
    put_file(&x, "main/b", "");
    put_file(&x, "main/c", "");
    set_attr("main/a", VFS_SET_SIZE, &size);
    set_attr("main/c", VFS_SET_SIZE, &size);
    branch();
    write_at("dev/a", zeros, sizeof zeros, 0);
    set_attr("dev/b", VFS_SET_SIZE, &size);
    put_large("dev/c", 250000, 1);
    set_attr("dev/c", VFS_SET_SIZE, &size);
    differs("M b\nM c\na a t\n");
}

Test(diff, a_file_that_ends_at_the_largest_offset_is_compared_at_once)
{
    const struct vfs_attr size = {.size = INT64_MAX};

    put_file(&x, "main/a", "1");
    set_attr("main/a", VFS_SET_SIZE, &size);
    branch();
    write_at("dev/a", "12", 2, 0);
    write_at("main/a", "13", 2, 0);
    differs("M a\n");
}

Test(diff, a_renamed_file_is_told_with_both_paths_and_whether_it_was_modified)
{
    make_dir("main/d");
    put_file(&x, "main/a", "1");
    put_file(&x, "main/b", "1");
    branch();
    move("dev/a", "dev/d/aa");
    move("dev/b", "dev/bb");
    put_file(&x, "dev/bb", "22");
    differs("R* b > bb\nR a > d/aa\n");
}

Test(diff, below_a_renamed_directory_only_what_changed_is_listed)
{
    make_dir("main/d");
    put_file(&x, "main/d/a", "1");
    put_file(&x, "main/d/b", "1");
    branch();
    move("dev/d", "dev/e");
    put_file(&x, "dev/e/b", "22");
    differs("R d > e\nM e/b\n");
}

Test(diff, two_files_that_changed_places_are_two_renames)
{
    put_file(&x, "main/a", "1");
    put_file(&x, "main/b", "22");
    branch();
    move("dev/a", "dev/c");
    move("dev/b", "dev/a");
    move("dev/c", "dev/b");
    differs("R b > a\nR a > b\n");
}

Test(diff, a_file_that_another_one_was_renamed_over_is_compared_by_its_name)
{
    make_dir("main/d");
    put_file(&x, "main/d/a", "1");
    put_file(&x, "main/d/b", "1");
    branch();
    put_file(&x, "dev/d/new", "22");
    move("dev/d/new", "dev/d/a");
    put_file(&x, "dev/d/new", "1");
    move("dev/d/new", "dev/d/b");
    differs("M d/a\na d/b t\n");
}

Test(diff, a_file_replaced_below_a_renamed_directory_is_modified)
{
    make_dir("main/d");
    put_file(&x, "main/d/a", "1");
    branch();
    move("dev/d", "dev/e");
    put_file(&x, "dev/new", "22");
    move("dev/new", "dev/e/a");
    differs("R d > e\nM e/a\n");
}

Test(diff, a_path_is_no_match_if_its_directory_was_moved_away)
{
    make_dir("main/d");
    put_file(&x, "main/d/a", "1");
    branch();
    remove_file(&x, "dev/d/a");
    move("dev/d", "dev/e");
    make_dir("dev/d");
    put_file(&x, "dev/d/a", "22");
    differs("D d/a\nA d\nA d/a\nR d > e\n");
}

Test(diff, a_tree_that_was_made_anew_differs_where_its_files_do)
{
    make_dir("main/d");
    put_file(&x, "main/d/a", "1");
    put_file(&x, "main/d/b", "1");
    branch();
    remove_file(&x, "dev/d/a");
    remove_file(&x, "dev/d/b");
    remove_dir("dev/d");
    make_dir("dev/d");
    put_file(&x, "dev/d/a", "1");
    put_file(&x, "dev/d/b", "2");
    differs("M d/b\na d/a t\n");
}

Test(diff, a_file_that_was_copied_and_removed_is_renamed_if_it_is_one_object)
{
    put_file(&x, "main/a", "some bytes");
    put_file(&x, "main/empty", "");
    drain();
    branch();
    remove_file(&x, "dev/a");
    remove_file(&x, "dev/empty");
    put_file(&x, "dev/b", "some bytes");
    put_file(&x, "dev/none", "");
    drain();
    differs("D empty\nR a > b t\nA none\n");
}

Test(diff, of_several_equal_files_each_is_renamed_once)
{
    put_file(&x, "main/a1", "some bytes");
    put_file(&x, "main/a2", "some bytes");
    put_file(&x, "main/a3", "some bytes");
    drain();
    branch();
    remove_file(&x, "dev/a1");
    remove_file(&x, "dev/a2");
    remove_file(&x, "dev/a3");
    put_file(&x, "dev/b1", "some bytes");
    put_file(&x, "dev/b2", "some bytes");
    drain();
    differs("D a3\nR a1 > b1 t\nR a2 > b2 t\n");
}

Test(diff, another_type_under_one_name_is_a_change_of_type)
{
    put_file(&x, "main/a", "1");
    put_file(&x, "main/d", "1");
    make_dir("main/e");
    put_file(&x, "main/e/x", "1");
    branch();
    remove_file(&x, "dev/a");
    make_link("dev/a", "1");
    remove_file(&x, "dev/d");
    make_dir("dev/d");
    put_file(&x, "dev/d/x", "22");
    remove_file(&x, "dev/e/x");
    remove_dir("dev/e");
    put_file(&x, "dev/e", "333");
    differs("D e/x\nT a\nT d\nA d/x\nT e\n");
}

Test(diff, a_symlink_is_modified_if_its_target_is_another_one)
{
    make_link("main/a", "one");
    make_link("main/b", "one");
    branch();
    remove_file(&x, "dev/a");
    make_link("dev/a", "two");
    remove_file(&x, "dev/b");
    make_link("dev/b", "one");
    differs("M a\na b t\n");
}

Test(diff, each_name_of_a_hard_link_is_a_path_of_its_own)
{
    make_dir("main/d");
    put_file(&x, "main/a", "1");
    link_file("main/a", "main/d/b");
    link_file("main/a", "main/c");
    branch();
    write_at("dev/a", "2", 1, 0);
    remove_file(&x, "dev/c");
    differs("D c\nM a\nM d/b\n");
}

Test(diff, a_further_name_of_a_file_is_new_and_the_file_is_not_changed)
{
    put_file(&x, "main/a", "1");
    branch();
    link_file("dev/a", "dev/b");
    differs("A b\n");
}

Test(diff, attributes_are_named)
{
    const struct vfs_attr in = {.mode = 0600, .uid = 5, .gid = 5, .mtime = 5};

    put_file(&x, "main/a", "1");
    branch();
    set_attr("dev/a", VFS_SET_MODE | VFS_SET_UID | VFS_SET_GID, &in);
    set_attr("dev/a", VFS_SET_MTIME, &in);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "dev/a"), "user.a", "1", 1, 0), 0);
    differs("a a m o t x\n");
}

Test(diff, extended_attributes_differ_by_their_names_and_values_however_they_are_stored)
{
    static char large[30000];
    const char *const names[] = {"a", "b", "c", "d", "e"};

    for (size_t i = 0; i < 5; i++) {
        char path[32];
        snprintf(path, sizeof path, "main/%s", names[i]);
        put_file(&x, path, "1");
        cr_assert_eq(vfs_setxattr(x.p, node_of(&x, path), "user.x", "1", 1, 0), 0);
        cr_assert_eq(vfs_setxattr(x.p, node_of(&x, path), "user.l", large, sizeof large, 0), 0);
    }
    drain();
    branch();
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "dev/a"), "user.x", "2", 1, 0), 0);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "dev/b"), "user.l", large, sizeof large, 0), 0);
    cr_assert_eq(vfs_removexattr(x.p, node_of(&x, "dev/c"), "user.x"), 0);
    large[29999] = 1;
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "dev/d"), "user.l", large, sizeof large, 0), 0);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "dev/e"), "user.y", "1", 1, 0), 0);
    differs("a a x\na c x\na d x\na e x\n");
}

Test(diff, an_access_control_list_is_told_apart_from_other_attributes)
{
    static const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                                  0, 7, 0,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
                                  4, 0, 255, 255, 255, 255, 32, 0, 4,   0,   255, 255, 255, 255};

    put_file(&x, "main/a", "1");
    branch();
    cr_assert_eq(
        vfs_setxattr(x.p, node_of(&x, "dev/a"), "system.posix_acl_access", acl, sizeof acl, 0), 0);
    differs("a a A\n");
}

Test(diff, namespaces_that_have_nothing_in_common_are_compared_by_path)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    make_dir("other");
    make_dir("main/d");
    make_dir("other/d");
    put_file(&x, "main/d/a", "1");
    put_file(&x, "other/d/a", "1");
    put_file(&x, "main/b", "1");
    put_file(&x, "other/b", "2");
    diff_text("main", "other", &text);
    cr_assert_str_eq(text.s, "M b\n");
}

Test(diff, what_cannot_be_read_counts_as_modified_and_says_so)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    put_large("main/a", 200000, 1);
    drain();
    branch();
    put_large("dev/a", 200000, 2);
    drain();
    x.fault.fail_at = x.fault.writes + 1;
    x.fault.cut = true;
    (void)fault_write(&x.fault); /* from here on reads fail, too */
    diff_text("main", "dev", &text);
    cr_assert(fault_fired(&x.fault));
    cr_assert_str_eq(text.s, "M a ?\n");
}

Test(diff, it_ends_when_it_is_interrupted)
{
    static const _Atomic bool interrupted = true;
    struct diff d = DIFF_INIT;
    struct ns *a, *b;

    branch();
    put_file(&x, "dev/a", "1");
    a = space("main");
    b = space("dev");
    cr_assert_eq(diff_namespaces(x.p, a, b, &interrupted, &d), -EINTR);
    diff_end(&d);
    ns_put(x.p, a);
    ns_put(x.p, b);
}

Test(diff, a_namespace_that_was_dropped_cannot_be_compared)
{
    struct diff d = DIFF_INIT;
    struct ns *a, *b;

    branch();
    a = space("main");
    b = space("dev");
    agreed(&x, "drop dev\n", "ok");
    cr_assert_eq(diff_namespaces(x.p, a, b, NULL, &d), -ESTALE);
    diff_end(&d);
    ns_put(x.p, a);
    ns_put(x.p, b);
}

Test(diff, objects_are_held_until_the_end_of_the_comparison_and_not_longer)
{
    struct diff d = DIFF_INIT;
    struct ns *a, *b;

    put_file(&x, "main/a", "12345");
    drain();
    branch();
    put_file(&x, "dev/a", "12346");
    drain();
    a = space("main");
    b = space("dev");
    cr_assert_eq(diff_namespaces(x.p, a, b, NULL, &d), 0);
    cr_assert_eq(d.changes.count, 1);
    cr_assert_eq(d.changes.verdict_count, 1);
    uint64_t number = d.changes.verdicts[0].asks[0].pair.side[DELTA_A].object;
    cr_assert_eq(refs_holds(x.p->refs, number), 1);
    diff_end(&d);
    cr_assert_eq(refs_holds(x.p->refs, number), 0);
    ns_put(x.p, a);
    ns_put(x.p, b);
}

/* ---- the verb ---- */

Test(diff, the_verb_lists_a_line_for_each_change_and_quotes_paths)
{
    settings_put(&x.p->settings, SET_ORIGIN_KEEP, NSEC_PER_SEC);
    put_file(&x, "main/a", "1");
    branch();
    remove_file(&x, "main/a");
    put_file(&x, "main/a", "not of dev");
    move("dev/a", "dev/b c\n\"");
    agreed(&x, "diff dev\n", "| R path=\"b c\\n\\\"\" from=a type=file\n");
    agreed(&x, "diff dev\n", "ok from=main@");
}

Test(diff, the_verb_counts_and_lists_below_a_path)
{
    make_dir("main/d");
    put_file(&x, "main/d/a", "1");
    branch();
    put_file(&x, "dev/d/a", "22");
    put_file(&x, "dev/dd", "1");
    agreed(&x, "diff main dev path=d/\n",
           "added=0 modified=1 type=0 renamed=0 attrs=0\n"
           "| M path=d/a type=file\n");
    agreed(&x, "diff main dev path=dd stat\n", "added=1 modified=0 type=0 renamed=0 attrs=0\n");
}

Test(diff, the_verb_says_what_is_wrong)
{
    branch();
    refused(&x, "diff none dev\n", -ENOENT, "there is no namespace none");
    refused(&x, "diff main\n", -ENODATA, "main has no base; name two");
    refused(&x, "diff main dev more\n", -EINVAL, "does not take these arguments");
    refused(&x, "diff main dev path=/x\n", -EINVAL, "/x is not a path within the namespaces");
    refused(&x, "diff dev\n", -ENODATA, "what dev was made of is not held any more");
}
