// SPDX-License-Identifier: Apache-2.0
/* Claims of vfs_snapdir: in snapshots that others can read nothing gives rights. */
#include "fixture.h"
#include "ns_drop.h"
#include "vfs.h"

static struct fixture x;
static struct ns *of, *snapshot;

/* A program with set-id bits and one with a capability, and a snapshot of them that is shown. */
static void up(void)
{
    struct vfs_attr a = {.mode = 06755};

    fixture_setup(&x);
    put_file(&x, "main/setid", "program");
    put_file(&x, "main/capable", "program");
    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/setid"), VFS_SET_MODE, &a, &a), 0);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/capable"), VFS_CAPABILITY, "1234", 4, 0), 0);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/capable"), "user.other", "1", 1, 0), 0);
    agreed(&x, "snapshot main one\n", "ok");
    cr_assert_eq(ns_get_by_name(x.p, "main", &of), 0);
    cr_assert_eq(ns_get_hidden(x.p, NS_SNAPSHOT,
                               &(struct ns_instant){of->number, of->generation, 0}, "one",
                               &snapshot),
                 0);
    agreed(&x, "set ns:main.snapdir on\n", "ok");
}
static void down(void)
{
    ns_put(x.p, snapshot);
    ns_put(x.p, of);
    fixture_teardown(&x);
}

TestSuite(snapdir, .init = up, .fini = down);

/* The node of a file in the top directory of the namespace. */
static uint64_t node_in(const struct ns *ns, const char *name, uint32_t *ret_mode)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_lookup(x.p, vfs_node(ns->number, VFS_TOP_INO), name, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    *ret_mode = a.mode & 07777;
    return a.nodeid;
}

static bool note_mode(const struct vfs_dirent *d, void *ctx)
{
    if (!strcmp(d->name, "setid"))
        *(uint32_t *)ctx = d->attr.mode & 07777;
    return true;
}

/* Whichever way it is asked for, the mode of the file is that. */
static void has_mode(const struct ns *ns, uint32_t want)
{
    struct vfs_attr a;
    uint32_t mode, listed = 0;
    uint64_t node = node_in(ns, "setid", &mode);

    cr_assert_eq(mode, want, "looked up: %o", mode);
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert_eq(a.mode & 07777, want, "by its node: %o", a.mode);
    cr_assert_eq(vfs_lookup_node(x.p, node, &a), 0);
    vfs_forget(x.p, node, 1);
    cr_assert_eq(a.mode & 07777, want, "by its handle: %o", a.mode);
    cr_assert_eq(vfs_readdir(x.p, vfs_node(ns->number, VFS_TOP_INO), 0, true, note_mode, &listed),
                 0);
    cr_assert_eq(listed, want, "listed: %o", listed);
}

Test(snapdir, files_in_a_snapshot_have_no_set_id_bits_also_after_it_was_on)
{
    has_mode(snapshot, 0755);
    has_mode(of, 06755);
    agreed(&x, "set ns:main.snapdir off\n", "ok");
    has_mode(snapshot, 0755);
    atomic_store(&of->shown, false); /* as after a start */
    has_mode(snapshot, 06755);
}

Test(snapdir, a_file_that_is_open_in_a_dropped_snapshot_gives_no_rights)
{
    struct vfs_file *f;
    struct vfs_attr a;
    uint32_t mode, open;
    uint64_t node = node_in(snapshot, "setid", &mode);

    cr_assert_eq(vfs_open(x.p, node, 0, &f), 0);
    agreed(&x, "set ns:main.snapdir off\n", "ok");
    atomic_store(&of->shown, false);
    cr_assert_eq(ns_remove(x.p, snapshot, NS_SNAPSHOT, true, &open), 0);
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert_eq(a.mode & 07777, 0755);
    vfs_release(f);
}

Test(snapdir, files_in_a_snapshot_have_no_capability)
{
    char buf[64];
    uint32_t mode;
    uint64_t node = node_in(snapshot, "capable", &mode);

    cr_assert_eq(vfs_getxattr(x.p, node, VFS_CAPABILITY, buf, sizeof buf), -ENODATA);
    cr_assert_eq(vfs_getxattr(x.p, node, VFS_CAPABILITY, NULL, 0), -ENODATA);
    cr_assert_eq(vfs_listxattr(x.p, node, buf, sizeof buf, true), (ssize_t)sizeof "user.other");
    cr_assert_eq(vfs_getxattr(x.p, node, "user.other", buf, sizeof buf), 1);
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/capable"), VFS_CAPABILITY, buf, sizeof buf),
                 4);
}

Test(snapdir, a_link_from_there_takes_no_rights_along)
{
    struct vfs_attr a;
    uint32_t mode;

    cr_assert_eq(vfs_mknod(x.p, VFS_ROOT, "dev", S_IFDIR | 0755, 0, &fixture_cred, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(vfs_link(x.p, node_in(snapshot, "setid", &mode), node_of(&x, "dev"), "a", &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(a.mode & 07777, 0755);
    cr_assert_eq(vfs_link(x.p, node_in(snapshot, "capable", &mode), node_of(&x, "dev"), "b", &a),
                 -EPERM);
}

Test(snapdir, a_branch_of_a_snapshot_has_all_and_begins_without_the_setting)
{
    struct vfs_attr a;

    agreed(&x, "branch main@one dev\n", "ok");
    cr_assert_eq(vfs_getattr(x.p, node_of(&x, "dev/setid"), &a), 0);
    cr_assert_eq(a.mode & 07777, 06755);
    agreed(&x, "get ns:dev.snapdir\n", "ns:dev.snapdir=off");
    cr_assert(vfs_has_snapdir(x.p, of->number));
    cr_assert_not(vfs_has_snapdir(x.p, snapshot->number));
    refused(&x, "set ns:main.snapdir yes\n", -EINVAL, "snapdir is on or off, not yes");
}
