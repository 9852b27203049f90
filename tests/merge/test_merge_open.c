// SPDX-License-Identifier: Apache-2.0
/* Claims about merging into files that are open: who has one open goes on with what it was. */
#include "merge_fixture.h"

TestSuite(merge_open, .init = up, .fini = down);

Test(merge_open, a_file_that_is_open_for_writing_in_the_origin_does_not_change)
{
    char reply[4096];
    struct vfs_file *f;

    write_file("dev/a", "changed");
    f = open_file("main/a", VFS_WRITE);
    cr_assert_eq(say(&x, "commit dev", reply), -EEXIST);
    cr_assert(strstr(reply, "| open path=a\n"), "%s", reply);
    vfs_release(f);
    agreed(&x, "commit dev", "ok");
}

Test(merge_open, who_has_a_changed_file_open_reads_what_it_was_and_the_name_has_what_it_is)
{
    uint64_t node = node_of(&x, "main/a");
    struct vfs_file *f = open_file("main/a", 0);
    struct vfs_attr a;

    write_file("dev/a", "changed");
    agreed(&x, "commit dev", "ok");
    reads(f, "hello");
    is_text("main/a", "changed");
    cr_assert_neq(node_of(&x, "main/a"), node);
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert(a.nodeid == node && a.nlink == 0 && a.size == 5);
    cr_assert_eq(vfs_lookup_node(x.p, node, &a), -ESTALE); /* by a file handle */
    vfs_release(f);
    cr_assert_eq(vfs_getattr(x.p, node, &a), -ESTALE);
    is_text("main/a", "changed");
}

/* The kernel may know the old node by the name for an instant. */
Test(merge_open, what_a_name_still_brings_to_the_old_file_is_refused_and_not_lost)
{
    uint64_t node = node_of(&x, "main/a");
    struct vfs_file *f = open_file("main/a", 0), *g;
    struct vfs_attr in = {.mode = 0600}, a;

    write_file("dev/a", "changed");
    agreed(&x, "commit dev", "ok");
    cr_assert_eq(vfs_open(x.p, node, VFS_WRITE, &g), -ESTALE);
    cr_assert_eq(vfs_open(x.p, node, VFS_WRITE | VFS_TRUNC, &g), -ESTALE);
    cr_assert_eq(vfs_setattr(x.p, node, VFS_SET_MODE, &in, &a), -ESTALE);
    cr_assert_eq(vfs_setattr(x.p, node, VFS_SET_SIZE, &in, &a), -ESTALE);
    cr_assert_eq(vfs_setxattr(x.p, node, "user.a", "b", 1, 0), -ESTALE);
    cr_assert_eq(vfs_open(x.p, node, 0, &g), 0); /* as through /proc/self/fd */
    reads(g, "hello");
    vfs_release(g);
    reads(f, "hello");
    vfs_release(f);
    is_text("main/a", "changed");
}

Test(merge_open, a_file_that_was_left_to_its_reader_is_the_same_file_for_the_next_merge)
{
    struct vfs_file *f = open_file("main/a", 0), *g;
    struct vfs_attr a;
    uint64_t node;

    write_file("dev/a", "one");
    agreed(&x, "commit dev", "ok");
    node = node_of(&x, "main/a");
    g = open_file("main/a", 0);
    write_file("dev/a", "two");
    agreed(&x, "commit dev", "names=0 inodes=1");
    cr_assert_eq(vfs_lookup_node(x.p, node, &a), -ESTALE);
    is_text("main/a", "two");
    agreed(&x, "undo main", "names=0 inodes=1");
    is_text("main/a", "one");
    write_file("main/a", "main's");
    agreed(&x, "merge main into dev conflicts=theirs", "ok");
    is_text("dev/a", "main's");
    reads(f, "hello");
    reads(g, "one");
    vfs_release(f);
    vfs_release(g);
    is_text("main/a", "main's");
}

/* What is written, shared, linked and removed by the name is the file that was merged. */
Test(merge_open, a_file_that_was_left_to_its_reader_can_be_changed_by_its_name)
{
    struct vfs_file *f = open_file("main/a", 0);

    write_file("dev/a", "one");
    agreed(&x, "commit dev", "ok");
    write_file("main/a", "two");
    link_file("main/a", "main/b");
    link_file("main/a", "dev/c");
    chmod_file("main/b", 0600);
    cr_assert_eq(mode_of("main/a"), 0600);
    agreed(&x, "drain", "ok");
    is_text("main/b", "two");
    is_text("dev/c", "two");
    remove_file(&x, "main/a");
    remove_file(&x, "main/b");
    cr_assert_eq(node_of(&x, "main/a"), 0);
    reads(f, "hello");
    vfs_release(f);
}

Test(merge_open, nothing_is_left_of_a_file_that_was_left_to_its_reader)
{
    struct vfs_file *f = open_file("main/a", 0);

    write_file("dev/a", "changed");
    agreed(&x, "commit dev", "ok");
    reads(f, "hello");
    vfs_release(f);
    cr_assert(!items_any(&x.p->orphans.tree, (struct key_range){.to = {UINT64_MAX, UINT64_MAX}}));
    is_sound();
}

Test(merge_open, of_a_file_that_was_left_to_its_reader_a_crash_leaves_the_merged_one)
{
    struct vfs_file *f = open_file("main/a", 0);

    write_file("dev/a", "changed");
    agreed(&x, "commit dev", "ok");
    vfs_release(f);
    crash();
    is_text("main/a", "changed");
}

Test(merge_open, a_file_that_is_open_and_goes_can_be_read_on)
{
    char buf[10];
    struct vfs_file *f;

    remove_file(&x, "dev/a");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/a"), 0, &f), 0);
    agreed(&x, "commit dev", "ok");
    cr_assert_eq(node_of(&x, "main/a"), 0);
    cr_assert_eq(vfs_read(f, buf, sizeof buf, 0), 5);
    vfs_release(f);
}

Test(merge_open, a_file_comes_back_beside_what_was_it_and_is_open)
{
    struct vfs_file *f = open_file("main/a", VFS_WRITE);

    remove_file(&x, "dev/a");
    agreed(&x, "commit dev", "ok");
    agreed(&x, "undo main", "ok");
    cr_assert_eq(vfs_write(f, "HE", 2, 0), 2);
    is_text("main/a", "hello");
    reads(f, "HEllo");
    vfs_release(f);
    is_text("main/a", "hello");
}
