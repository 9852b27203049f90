// SPDX-License-Identifier: Apache-2.0
/* Claims of vfs_atime.c: access times move as relatime says. */
#include "fixture.h"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
    put_file(&x, "main/f", "text");
    x.clock.now += NSEC_PER_SEC;
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(atime, .init = up, .fini = down);

static int64_t atime_of(const char *path)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_getattr(x.p, node_of(&x, path), &a), 0);
    return a.atime;
}

/* Did reading the file move its atime? */
static bool read_moves(const char *path, unsigned flags)
{
    int64_t before = atime_of(path);
    struct vfs_file *f;
    char buf[8];
    bool due;

    x.clock.now += NSEC_PER_SEC;
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), flags, &f), 0);
    due = vfs_atime_due(f);
    cr_assert_geq(vfs_read(f, buf, sizeof buf, 0), 0);
    vfs_release(f);
    cr_assert_eq(due, atime_of(path) > before, "what open says is what a read does");
    return due;
}

static bool no_entry(const struct vfs_dirent *d, void *ctx)
{
    (void)d;
    (void)ctx;
    return true;
}

Test(atime, the_first_read_after_a_change_moves_it_the_next_does_not)
{
    cr_assert(read_moves("main/f", 0));
    cr_assert_not(read_moves("main/f", 0));
    x.clock.now += NSEC_PER_SEC;
    put_file(&x, "main/f", "other");
    cr_assert(read_moves("main/f", 0));
}

Test(atime, a_read_a_day_later_moves_it)
{
    cr_assert(read_moves("main/f", 0));
    x.clock.now += 24 * 3600 * NSEC_PER_SEC;
    cr_assert(read_moves("main/f", 0));
}

Test(atime, o_noatime_leaves_it)
{
    cr_assert_not(read_moves("main/f", VFS_NOATIME));
}

Test(atime, a_strict_mount_moves_it_each_time)
{
    state_set_atime(x.p, STATE_STRICTATIME);
    cr_assert(read_moves("main/f", 0));
    x.clock.now += NSEC_PER_SEC;
    cr_assert(read_moves("main/f", 0));
    state_set_atime(x.p, STATE_NOATIME);
    x.clock.now += NSEC_PER_SEC;
    cr_assert_not(read_moves("main/f", 0));
}

Test(atime, a_frozen_namespace_keeps_it)
{
    agreed(&x, "set ns:main.frozen yes", "ok");
    cr_assert_not(read_moves("main/f", 0));
}

Test(atime, listing_moves_that_of_a_directory_and_no_other_time)
{
    struct vfs_attr a, b;
    uint64_t dir = node_of(&x, "main");

    cr_assert_eq(vfs_getattr(x.p, dir, &a), 0);
    x.clock.now += NSEC_PER_SEC;
    cr_assert_eq(vfs_readdir(x.p, dir, 0, false, no_entry, NULL), 0);
    cr_assert_eq(vfs_getattr(x.p, dir, &b), 0);
    cr_assert_gt(b.atime, a.atime);
    cr_assert_eq(b.mtime, a.mtime);
    cr_assert_eq(b.ctime, a.ctime);
}

Test(atime, a_branch_of_what_was_read_stays_as_it_is_when_it_is_read)
{
    cr_assert(read_moves("main/f", 0));
    agreed(&x, "branch main b", "ok");
    cr_assert_not(read_moves("b/f", 0));
}
