// SPDX-License-Identifier: Apache-2.0
/* Claims of forgotten_attrs.c: an inode that lost its last name answers until the kernel forgets
 * it. */
#include "fixture.h"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(forgotten_attrs, .init = up, .fini = down);

static uint64_t put(const char *name, uint32_t mode)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_mknod(x.p, node_of(&x, "main"), name, mode, 0, &fixture_cred, &a), 0);
    return a.nodeid; /* not forgotten: the kernel has it */
}

Test(forgotten_attrs, a_removed_directory_has_its_attributes_without_links)
{
    struct vfs_attr a, want = {.mode = 0700};
    uint64_t node = put("d", S_IFDIR | 0755);

    cr_assert_eq(vfs_rmdir(x.p, node_of(&x, "main"), "d"), 0);
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert_eq(a.mode, S_IFDIR | 0755);
    cr_assert_eq(a.nlink, 0);
    cr_assert_eq(vfs_setattr(x.p, node, VFS_SET_MODE, &want, &a), 0);
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert_eq(a.mode, S_IFDIR | 0700);
}

Test(forgotten_attrs, what_is_forgotten_is_stale)
{
    struct vfs_attr a;
    uint64_t fifo = put("p", S_IFIFO | 0600), other = put("q", S_IFIFO | 0600);

    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), "p"), 0);
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), "q"), 0);
    vfs_forget(x.p, fifo, 1);
    cr_assert_eq(vfs_getattr(x.p, fifo, &a), -ESTALE);
    cr_assert_eq(vfs_getattr(x.p, other, &a), 0);
    cr_assert_eq(vfs_setattr(x.p, fifo, VFS_SET_MODE, &a, &a), -ESTALE);
}

Test(forgotten_attrs, its_content_goes_with_its_name)
{
    struct vfs_attr a;
    struct vfs_file *f;
    uint64_t node;

    put_file(&x, "main/f", "some bytes");
    node = node_of(&x, "main/f");
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), "f"), 0);
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert_eq(a.size, 10);
    cr_assert_eq(vfs_open(x.p, node, 0, &f), -ESTALE);
}

Test(forgotten_attrs, of_very_many_only_so_many_are_kept)
{
    struct vfs_attr a;
    uint64_t dir = node_of(&x, "main"), first = 0, node = 0;

    for (size_t i = 0; i <= 65536; i++) {
        cr_assert_eq(vfs_mknod(x.p, dir, "p", S_IFIFO, 0, &fixture_cred, &a), 0);
        cr_assert_eq(vfs_unlink(x.p, dir, "p"), 0);
        node = a.nodeid;
        first = first ? first : node;
    }
    cr_assert_eq(vfs_getattr(x.p, first, &a), 0);
    cr_assert_eq(vfs_getattr(x.p, node, &a), -ESTALE);
    vfs_forget(x.p, first, 1);
    node = put("q", S_IFIFO | 0600);
    cr_assert_eq(vfs_unlink(x.p, dir, "q"), 0);
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
}

Test(forgotten_attrs, by_number_alone_only_what_has_a_name_is_found)
{
    struct vfs_attr a, dir;
    uint64_t fifo = put("p", S_IFIFO | 0600), sub = put("d", S_IFDIR | 0755);
    uint64_t top = node_of(&x, "main");

    cr_assert_eq(vfs_lookup_node(x.p, fifo, &a), 0);
    cr_assert_eq(a.nodeid, fifo);
    cr_assert_eq(vfs_lookup_parent(x.p, fifo, &a), -ENOTDIR);
    cr_assert_eq(vfs_lookup_parent(x.p, sub, &dir), 0);
    cr_assert_eq(dir.nodeid, top);
    cr_assert_eq(vfs_lookup_parent(x.p, top, &dir), 0);
    cr_assert_eq(dir.nodeid, VFS_ROOT);
    cr_assert_eq(vfs_lookup_node(x.p, VFS_ROOT, &a), 0);
    cr_assert_eq(vfs_lookup_parent(x.p, VFS_ROOT, &a), -ESTALE);
    cr_assert_eq(vfs_unlink(x.p, top, "p"), 0);
    cr_assert_eq(vfs_rmdir(x.p, top, "d"), 0);
    cr_assert_eq(vfs_getattr(x.p, fifo, &a), 0); /* the kernel still has them */
    cr_assert_eq(vfs_lookup_node(x.p, fifo, &a), -ESTALE);
    cr_assert_eq(vfs_lookup_node(x.p, sub, &a), -ESTALE);
    cr_assert_eq(vfs_lookup_parent(x.p, sub, &a), -ESTALE);
}

Test(forgotten_attrs, by_number_alone_nothing_of_a_dropped_namespace_is_found)
{
    struct vfs_attr a;
    uint64_t file;

    agreed(&x, "branch main b", "ok");
    put_file(&x, "b/f", "text");
    file = node_of(&x, "b/f");
    cr_assert_eq(vfs_lookup_node(x.p, file, &a), 0);
    agreed(&x, "drop b", "ok");
    cr_assert_eq(vfs_lookup_node(x.p, file, &a), -ESTALE);
    cr_assert_eq(vfs_lookup_node(x.p, vfs_node(vfs_node_ns(file), VFS_TOP_INO), &a), -ESTALE);
}
