// SPDX-License-Identifier: Apache-2.0
/* Claims about files that begin without a name (O_TMPFILE), and about whiteouts. */
#include "durability.h"
#include "fixture.h"
#include "vfs_impl.h"
#include <dirent.h>
#include <linux/fs.h>

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(tmpfile, .init = up, .fini = down);

static struct vfs_file *nameless(unsigned flags, uint64_t *ret_node)
{
    struct vfs_attr a;
    struct vfs_file *f;

    cr_assert_eq(
        vfs_tmpfile(x.p, node_of(&x, "main"), 0640, &fixture_cred, VFS_WRITE | flags, &a, &f), 0);
    cr_assert_eq(a.nlink, 0);
    *ret_node = a.nodeid;
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(vfs_write(f, "text", 4, 0), 4);
    return f;
}

static int name_it(uint64_t node, const char *path)
{
    const char *name;
    uint64_t dir = parent_of(&x, path, &name);
    struct vfs_attr a;
    int err = vfs_link(x.p, node, dir, name, &a);

    if (err == 0)
        vfs_forget(x.p, a.nodeid, 1);
    return err;
}

static void reads(const char *path, const char *text)
{
    struct vfs_file *f;
    char buf[16] = "";

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0);
    cr_assert_eq(vfs_read(f, buf, sizeof buf, 0), (ssize_t)strlen(text));
    cr_assert_str_eq(buf, text);
    vfs_release(f);
}

Test(tmpfile, the_last_close_deletes_a_file_that_got_no_name)
{
    uint64_t node;
    struct vfs_attr a;
    struct vfs_file *f = nameless(0, &node);

    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    vfs_release(f);
    cr_assert_eq(vfs_getattr(x.p, node, &a), -ESTALE);
}

Test(tmpfile, its_first_name_makes_it_an_ordinary_file)
{
    uint64_t node;
    struct vfs_attr a;
    struct vfs_file *f = nameless(0, &node);

    cr_assert_eq(name_it(node, "main/a"), 0);
    cr_assert_eq(vfs_write(f, "TEXT", 4, 4), 4);
    vfs_release(f);
    reads("main/a", "textTEXT");
    cr_assert_eq(node_of(&x, "main/a"), node);
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert_eq(a.nlink, 1);
    fixture_reopen(&x);
    reads("main/a", "textTEXT");
}

Test(tmpfile, a_name_that_is_taken_leaves_it_nameless)
{
    uint64_t node;
    struct vfs_file *f = nameless(0, &node);

    put_file(&x, "main/a", "other");
    cr_assert_eq(name_it(node, "main/a"), -EEXIST);
    cr_assert_eq(name_it(node, "main/b"), 0);
    vfs_release(f);
    reads("main/b", "text");
}

/* Entries of other names take all places that the hash of `name` has in main. */
static void take_all_places(const char *name)
{
    uint64_t dir = vfs_node_ino(node_of(&x, "main"));
    struct key k = key_make(dir, ITEM_DIRENT, name_hash(&x.p->name_key, name, strlen(name), 0));
    uint8_t buf[DIRENT_ITEM_MAX];
    struct ns *ns;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    ns->tree.observer = NULL; /* behind the log's back */
    for (; !item_is_counter(k); k.lo++) {
        char other[32];
        size_t n = (size_t)snprintf(other, sizeof other, "other %u", (unsigned)(k.lo & 127));
        cr_assert_eq(tree_put(&ns->tree, k, buf, dirent_encode(dir, DT_REG, other, n, buf)), 0);
    }
    ns_put(x.p, ns);
}

Test(tmpfile, a_name_whose_hash_has_no_place_left_is_given_all_the_same)
{
    uint64_t node;
    struct vfs_attr a;
    struct vfs_file *f = nameless(0, &node);

    take_all_places("a");
    cr_assert_eq(name_it(node, "main/a"), 0);
    cr_assert_eq(name_it(node, "main/a"), -EEXIST);
    cr_assert_eq(name_it(node, "main/b"), 0);
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert_eq(a.nlink, 2);
    vfs_release(f);
    reads("main/a", "text");
}

Test(tmpfile, exclusive_ones_and_unlinked_ones_get_no_name)
{
    uint64_t node;
    struct vfs_file *f = nameless(VFS_EXCL, &node);

    cr_assert_eq(name_it(node, "main/a"), -ENOENT);
    vfs_release(f);
    f = nameless(0, &node);
    cr_assert_eq(name_it(node, "main/a"), 0);
    remove_file(&x, "main/a");
    cr_assert_eq(name_it(node, "main/b"), -ENOENT);
    vfs_release(f);
}

Test(tmpfile, no_branch_and_no_restart_sees_it)
{
    uint64_t node;
    struct vfs_file *f = nameless(0, &node);
    struct vfs_attr a;

    agreed(&x, "branch main b", "ok");
    cr_assert_eq(flush_now(x.p), 0);
    vfs_release(f);
    fixture_reopen(&x);
    cr_assert_eq(vfs_getattr(x.p, node, &a), -ESTALE);
}

static int rename_whiteout(const char *from, const char *to)
{
    return vfs_rename(x.p, node_of(&x, "main"), from, node_of(&x, "main"), to, RENAME_WHITEOUT,
                      &fixture_cred);
}

Test(tmpfile, a_whiteout_stays_at_the_old_name)
{
    struct vfs_attr a;

    put_file(&x, "main/a", "text");
    cr_assert_eq(rename_whiteout("a", "b"), 0);
    reads("main/b", "text");
    cr_assert_eq(vfs_getattr(x.p, node_of(&x, "main/a"), &a), 0);
    cr_assert(S_ISCHR(a.mode) && a.rdev == 0);
    put_file(&x, "main/c", "over");
    cr_assert_eq(rename_whiteout("b", "c"), 0);
    remove_file(&x, "main/a");
    remove_file(&x, "main/b");
    remove_file(&x, "main/c");
    cr_assert_eq(vfs_rmdir(x.p, VFS_ROOT, "main"), 0, "the directory counts its entries right");
}

Test(tmpfile, a_whiteout_is_its_makers)
{
    struct vfs_attr a;

    put_file(&x, "main/a", "text");
    cr_assert_eq(rename_whiteout("a", "b"), 0);
    cr_assert_eq(vfs_getattr(x.p, node_of(&x, "main/a"), &a), 0);
    cr_assert(a.uid == fixture_cred.uid && a.gid == fixture_cred.gid);
}
