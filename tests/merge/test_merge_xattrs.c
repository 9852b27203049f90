// SPDX-License-Identifier: Apache-2.0
/* Claims about merging extended attributes: each by its name, ACLs with the mode, capabilities with
 * the content. */
#include "acl.h"
#include "merge_fixture.h"

#define CAPABILITY "security.capability"

TestSuite(merge_xattrs, .init = up, .fini = down);

static void set(const char *path, const char *name, const char *value)
{
    uint64_t node = node_of(&x, path);

    cr_assert_eq(value ? vfs_setxattr(x.p, node, name, value, strlen(value), 0)
                       : vfs_removexattr(x.p, node, name),
                 0, "%s", name);
}

static void has(const char *path, const char *name, const char *value)
{
    char buf[64 * 1024] = "";
    ssize_t n = vfs_getxattr(x.p, node_of(&x, path), name, buf, sizeof buf - 1);

    if (value) {
        cr_assert_eq(n, (ssize_t)strlen(value), "%s: %zd", name, n);
        cr_assert_str_eq(buf, value);
    } else {
        cr_assert_eq(n, -ENODATA, "%s", name);
    }
}

/* main/a and the new branch two have user.old. */
static void branch_two(void)
{
    set("main/a", "user.old", "old");
    agreed(&x, "branch main two", "ok");
}

Test(merge_xattrs, two_sides_that_change_different_attributes_are_no_conflict)
{
    branch_two();
    set("two/a", "user.t", "theirs");
    set("two/a", "user.old", NULL);
    set("main/a", "user.o", "ours");
    agreed(&x, "commit two", " inodes=1 decided=0");
    has("main/a", "user.t", "theirs");
    has("main/a", "user.o", "ours");
    has("main/a", "user.old", NULL);
}

Test(merge_xattrs, one_attribute_that_both_changed_is_a_conflict_and_a_rule_decides_it_alone)
{
    branch_two();
    set("two/a", "user.old", "theirs");
    set("two/a", "user.t", "theirs");
    set("main/a", "user.old", "ours");
    set("main/a", "user.o", "ours");
    refused(&x, "commit two", -EEXIST, "1 conflict");
    has("main/a", "user.t", NULL);
    agreed(&x, "commit two conflicts=theirs", "decided=1");
    has("main/a", "user.old", "theirs");
    has("main/a", "user.t", "theirs");
    has("main/a", "user.o", "ours");
}

Test(merge_xattrs, both_set_one_attribute_to_the_same)
{
    branch_two();
    set("two/a", "user.n", "same");
    set("main/a", "user.n", "same");
    set("two/a", "user.old", NULL);
    set("main/a", "user.old", NULL);
    agreed(&x, "commit two", " inodes=0 ");
    has("main/a", "user.n", "same");
}

Test(merge_xattrs, large_values_come_with_their_objects)
{
    static char large[40000];

    memset(large, 'v', sizeof large - 1);
    branch_two();
    set("two/a", "user.large", large);
    set("main/a", "user.o", "ours");
    agreed(&x, "drain", "ok");
    agreed(&x, "commit two", "ok");
    has("main/a", "user.large", large);
    agreed(&x, "drop two now", "ok");
    is_sound();
    has("main/a", "user.large", large);
}

Test(merge_xattrs, of_the_last_attribute_no_trace_is_left)
{
    struct inode in;
    struct ns *ns;

    branch_two();
    set("two/a", "user.old", NULL);
    chmod_file("main/a", 0600);
    agreed(&x, "commit two", "ok");
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(node_of(&x, "main/a")), &in), 0);
    ns_put(x.p, ns);
    cr_assert(!(in.flags & INODE_XATTRS));
    cr_assert_eq(mode_of("main/a") & 07777, 0600);
}

Test(merge_xattrs, a_crash_leaves_what_was_merged)
{
    branch_two();
    set("two/a", "user.t", "theirs");
    set("two/a", "user.old", NULL);
    set("main/a", "user.o", "ours");
    agreed(&x, "commit two", "ok");
    crash();
    has("main/a", "user.t", "theirs");
    has("main/a", "user.o", "ours");
    has("main/a", "user.old", NULL);
    is_sound();
}

/* ---- capabilities ---- */

Test(merge_xattrs, a_capability_does_not_pass_to_a_content_for_which_it_was_not_set)
{
    branch_two();
    write_file("two/a", "other code");
    set("main/a", CAPABILITY, "of hello");
    agreed(&x, "commit two", "ok");
    is_text("main/a", "other code");
    has("main/a", CAPABILITY, NULL);
    set("two/a", CAPABILITY, "of other code");
    write_file("main/a", "main's code");
    agreed(&x, "commit two", "ok");
    is_text("main/a", "main's code");
    has("main/a", CAPABILITY, NULL);
}

Test(merge_xattrs, set_id_bits_do_not_pass_to_a_content_for_which_they_were_not_set)
{
    chmod_file("main/a", 0775);
    branch_two();
    write_file("two/a", "other code");
    chmod_file("main/a", 04775);
    agreed(&x, "commit two", "ok");
    is_text("main/a", "other code");
    cr_assert_eq(mode_of("main/a") & 07777, 0775);
    chmod_file("two/a", 06775);
    write_file("main/a", "main's code");
    agreed(&x, "commit two", "ok");
    is_text("main/a", "main's code");
    cr_assert_eq(mode_of("main/a") & 07777, 0775);
    write_file("two/a", "reviewed code");
    chmod_file("two/a", 04755);
    agreed(&x, "commit two conflicts=theirs", "ok");
    cr_assert_eq(mode_of("main/a") & 07777, 04755);
}

static void give_file(const char *path, uint32_t uid, uint32_t gid)
{
    struct vfs_attr a, in = {.uid = uid, .gid = gid};

    cr_assert_eq(vfs_setattr(x.p, node_of(&x, path), VFS_SET_UID | VFS_SET_GID, &in, &a), 0);
}

Test(merge_xattrs, set_id_bits_do_not_pass_to_an_owner_for_whom_they_were_not_set)
{
    chmod_file("main/a", 0755);
    give_file("main/a", 1000, 1000);
    branch_two();
    give_file("main/a", 0, 33);
    write_file("two/a", "other code");
    chmod_file("two/a", 06755);
    agreed(&x, "commit two", "ok");
    is_text("main/a", "other code");
    cr_assert_eq(mode_of("main/a") & 07777, 0755);
    give_file("two/a", 0, 33);
    chmod_file("two/a", 06711);
    agreed(&x, "commit two conflicts=theirs", "ok");
    cr_assert_eq(mode_of("main/a") & 07777, 06711);
}

Test(merge_xattrs, a_capability_comes_with_its_content)
{
    branch_two();
    write_file("two/a", "other code");
    set("two/a", CAPABILITY, "of other code");
    set("main/a", CAPABILITY, "of hello");
    agreed(&x, "commit two", "decided=0");
    has("main/a", CAPABILITY, "of other code");
}

Test(merge_xattrs, a_capability_of_a_content_that_nobody_changed_merges_as_any_attribute)
{
    branch_two();
    set("two/a", CAPABILITY, "one");
    set("main/a", "user.o", "ours");
    agreed(&x, "commit two", "ok");
    has("main/a", CAPABILITY, "one");
    set("two/a", CAPABILITY, "two");
    set("main/a", CAPABILITY, "three");
    refused(&x, "commit two", -EEXIST, "1 conflict");
}

/* ---- ACLs ---- */

/* Lets the user `uid` read. */
static void let_read(const char *path, uint8_t uid)
{
    const uint8_t acl[44] = {2, 0,   0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                             0, uid, 0,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
                             4, 0,   255, 255, 255, 255, 32, 0, 4,   0,   255, 255, 255, 255};

    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, path), ACL_ACCESS, acl, sizeof acl, 0), 0);
}

static bool may_read(const char *path, uint8_t uid)
{
    uint8_t acl[44];

    return vfs_getxattr(x.p, node_of(&x, path), ACL_ACCESS, acl, sizeof acl) == sizeof acl &&
           acl[16] == uid;
}

Test(merge_xattrs, an_acl_comes_although_ours_has_changed_other_attributes)
{
    branch_two();
    let_read("two/a", 7);
    set("main/a", "user.o", "ours");
    agreed(&x, "commit two", "ok");
    cr_assert(may_read("main/a", 7));
    has("main/a", "user.o", "ours");
}

Test(merge_xattrs, the_mode_and_the_access_acl_are_one_attribute)
{
    branch_two();
    cr_assert_eq(mode_of("main/a") & 07777, 0644);
    let_read("two/a", 7);
    cr_assert_eq(mode_of("two/a"), 0644);
    chmod_file("main/a", 0600);
    refused(&x, "commit two", -EEXIST, "1 conflict");
    cr_assert_eq(mode_of("main/a") & 07777, 0600);
    agreed(&x, "commit two conflicts=theirs", "decided=1");
    cr_assert_eq(mode_of("main/a") & 07777, 0644);
    cr_assert(may_read("main/a", 7));
    chmod_file("two/a", 0640);
    let_read("main/a", 8);
    agreed(&x, "commit two conflicts=ours", "decided=1");
    cr_assert_eq(mode_of("main/a") & 07777, 0644);
    cr_assert(may_read("main/a", 8));
}
