// SPDX-License-Identifier: Apache-2.0
/* Claims of acl.h, and of vfs.h about ACLs and the umask. */
#include "acl.h"
#include "xattr_fixture.h"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down_all(void)
{
    fixture_teardown(&x);
}

TestSuite(acl, .init = up, .fini = down_all);

struct list {
    uint8_t v[65536];
    size_t len;
};

/* "u:rw- u7:r-x g:r-- g9:--- m:rw- o:r--", in any order. */
static struct list *list(const char *text)
{
    static struct list ring[4];
    static unsigned turn;
    struct list *l = &ring[turn++ % 4];
    static const char kinds[] = "ugmo";
    static const uint16_t plain[] = {1, 4, 0x10, 0x20}, named[] = {2, 8, 0, 0};

    l->len = 4;
    put_le32(l->v, 2);
    for (const char *s = text; *s; l->len += 8) {
        size_t kind = (size_t)(strchr(kinds, *s) - kinds);
        char *end;
        unsigned long id = strtoul(s + 1, &end, 10);
        bool has_id = end != s + 1;
        put_le16(l->v + l->len, has_id ? named[kind] : plain[kind]);
        put_le16(l->v + l->len + 2,
                 (uint16_t)((end[1] == 'r') * 4 + (end[2] == 'w') * 2 + (end[3] == 'x')));
        put_le32(l->v + l->len + 4, has_id ? (uint32_t)id : UINT32_MAX);
        s = end + 4 + (end[4] == ' ');
    }
    return l;
}

static int check_text(const char *text)
{
    struct list *l = list(text);
    bool empty;
    int err = acl_check(l->v, l->len, &empty);

    cr_assert(err < 0 || empty == (*text == 0));
    return err;
}

/* ---- the lists themselves ---- */

Test(acl, sound_lists_are_taken)
{
    static const char *const good[] = {"",
                                       "u:rwx g:r-x o:---",
                                       "u:rwx g:r-x m:rwx o:---",
                                       "u:rw- u7:r-- g:--- m:r-- o:---",
                                       "u:rw- u7:r-- u7:rw- u1:--- g:--- m:r-- o:---",
                                       "u:rw- g:--- g4:rwx g0:--- m:r-- o:---",
                                       "u:rw- u0:r-- g:--- g4:rwx m:r-- o:---"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert_eq(check_text(good[i]), 0, "%s", good[i]);
}

Test(acl, lists_with_something_missing_twice_or_in_another_order_are_refused)
{
    static const char *const bad[] = {"u:rwx",
                                      "o:rwx",
                                      "m:rwx",
                                      "u:rwx o:rwx",
                                      "g:rwx o:rwx",
                                      "u:rwx g:rwx",
                                      "u:rwx g:rwx m:rwx",
                                      "u:rwx u:rwx g:rwx o:rwx",
                                      "u:rwx g:rwx g:rwx o:rwx",
                                      "u:rwx g:rwx o:rwx o:rwx",
                                      "u:rwx g:rwx m:rwx m:rwx o:rwx",
                                      "g:rwx u:rwx o:rwx",
                                      "u:rwx g:rwx o:rwx m:rwx",
                                      "u:rwx g:rwx u7:rwx m:rwx o:rwx",
                                      "u:rwx g7:rwx g:rwx m:rwx o:rwx",
                                      "u7:rwx u:rwx g:rwx m:rwx o:rwx",
                                      "u:rwx u7:rwx g:rwx o:rwx",
                                      "u:rwx g:rwx g7:rwx o:rwx",
                                      "u:rwx u4294967295:rwx g:rwx m:rwx o:rwx",
                                      "u:rwx g:rwx g4294967295:rwx m:rwx o:rwx"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(check_text(bad[i]), -EINVAL, "%s", bad[i]);
}

Test(acl, other_bytes_are_refused)
{
    bool empty;
    struct list *l = list("u:rwx g:r-x o:---");

    for (size_t len = 0; len < l->len; len++)
        cr_assert_eq(acl_check(l->v, len, &empty), len == 4 ? 0 : -EINVAL, "%zu", len);
    l->v[4 + 2] = 8; /* more than rwx */
    cr_assert_eq(acl_check(l->v, l->len, &empty), -EINVAL);
    l->v[4 + 2] = 7;
    l->v[4] = 3; /* two tags at once */
    cr_assert_eq(acl_check(l->v, l->len, &empty), -EINVAL);
    l->v[4] = 1;
    l->v[0] = 1;
    cr_assert_eq(acl_check(l->v, l->len, &empty), -EOPNOTSUPP);
}

static void is(const struct list *l, const char *text)
{
    const struct list *want = list(text);

    cr_assert_eq(l->len, want->len, "%s", text);
    cr_assert_eq(memcmp(l->v, want->v, l->len), 0, "%s", text);
}

Test(acl, the_group_bits_of_the_mode_are_the_mask_where_there_is_one)
{
    uint32_t mode = S_IFREG | 06777;
    struct list *l = list("u:rw- g:r-- o:--x");
    cr_assert(acl_to_mode(l->v, l->len, &mode));
    cr_assert_eq(mode, S_IFREG | 06641);
    l = list("u:rwx u7:rwx g:--- m:r-x o:---");
    cr_assert_not(acl_to_mode(l->v, l->len, &mode));
    cr_assert_eq(mode, S_IFREG | 06750);
    l = list("u:rwx g:--- m:rwx o:---"); /* says no more, but has a mask: Linux keeps it */
    cr_assert_not(acl_to_mode(l->v, l->len, &mode));
    cr_assert_eq(mode, S_IFREG | 06770);
}

Test(acl, chmod_changes_owner_others_and_the_mask_or_the_group)
{
    struct list *l = list("u:rwx u7:rwx g:rwx m:rwx o:rwx");
    acl_chmod(l->v, l->len, S_IFREG | 04640);
    is(l, "u:rw- u7:rwx g:rwx m:r-- o:---");
    l = list("u:rwx g:rwx o:rwx");
    acl_chmod(l->v, l->len, 0751);
    is(l, "u:rwx g:r-x o:--x");
}

Test(acl, what_is_made_gets_what_both_the_list_and_the_mode_grant)
{
    uint32_t mode = S_IFREG | 02666;
    struct list *l = list("u:rwx u7:rwx g:r-x m:rwx o:r-x");
    cr_assert(acl_inherit(l->v, l->len, &mode));
    is(l, "u:rw- u7:rwx g:r-x m:rw- o:r--");
    cr_assert_eq(mode, S_IFREG | 02664);
    mode = 0640;
    l = list("u:rwx g:rwx o:rwx");
    cr_assert_not(acl_inherit(l->v, l->len, &mode));
    is(l, "u:rw- g:r-- o:---");
    cr_assert_eq(mode, 0640);
}

Test(acl, ids_of_entries_that_have_none_are_made_the_same)
{
    struct list *l = list("u:rwx u7:rwx g:r-x m:rwx o:---");
    put_le32(l->v + 4 + 4, 77);
    put_le32(l->v + 4 + 8 * 4 + 4, 0);
    acl_normalize(l->v, l->len);
    is(l, "u:rwx u7:rwx g:r-x m:rwx o:---");
}

/* ---- on inodes ---- */

static int set_acl(const char *path, const char *name, const char *text)
{
    struct list *l = list(text);

    return set_bytes(&x, path, name, l->v, l->len, 0);
}

static void has_acl(const char *path, const char *name, const char *text)
{
    struct list *l = list(text);

    has_bytes(&x, path, name, l->v, l->len);
}

static void has_none(const char *path, const char *name)
{
    cr_assert_eq(get(&x, path, name), -ENODATA, "%s", path);
}

static uint32_t mode_of(const char *path)
{
    return stat_of(&x, path).mode & 07777;
}

static void chmod_to(const char *path, uint32_t mode)
{
    struct vfs_attr in = {.mode = mode}, out;

    cr_assert_eq(vfs_setattr(x.p, node_of(&x, path), VFS_SET_MODE, &in, &out), 0);
    cr_assert_eq(out.mode & 07777, mode);
}

static const struct vfs_cred with_umask = {.uid = 1, .gid = 2, .umask = 027};

static void make_as(const char *path, uint32_t mode)
{
    const char *name;
    uint64_t dir = parent_of(&x, path, &name);
    struct vfs_attr a;

    cr_assert_eq(vfs_mknod(x.p, dir, name, mode, 0, &with_umask, &a), 0, "%s", path);
    vfs_forget(x.p, a.nodeid, 1);
}

Test(acl, an_access_list_sets_the_mode_and_stays_only_if_it_says_more)
{
    put_file(&x, "main/f", "");
    cr_assert_eq(set_acl("main/f", ACL_ACCESS, "u:rwx u7:rw- g:--- m:r-- o:--x"), 0);
    cr_assert_eq(mode_of("main/f"), 0741);
    has_acl("main/f", ACL_ACCESS, "u:rwx u7:rw- g:--- m:r-- o:--x");
    cr_assert_str_eq(names_of(&x, "main/f", false), ACL_ACCESS " ");
    cr_assert_eq(set_acl("main/f", ACL_ACCESS, "u:rw- g:r-- o:---"), 0);
    cr_assert_eq(mode_of("main/f"), 0640);
    has_none("main/f", ACL_ACCESS);
    cr_assert_str_eq(names_of(&x, "main/f", true), "");
}

Test(acl, removing_it_leaves_the_mode_and_doing_so_again_is_fine)
{
    put_file(&x, "main/f", "");
    cr_assert_eq(set_acl("main/f", ACL_ACCESS, "u:rwx u7:rw- g:--- m:r-x o:--x"), 0);
    cr_assert_eq(unset(&x, "main/f", ACL_ACCESS), 0);
    has_none("main/f", ACL_ACCESS);
    cr_assert_eq(mode_of("main/f"), 0751);
    int64_t ctime = stat_of(&x, "main/f").ctime;
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    cr_assert_eq(unset(&x, "main/f", ACL_ACCESS), 0);
    cr_assert_eq(unset(&x, "main/f", ACL_DEFAULT), 0);
    cr_assert_eq(set_acl("main/f", ACL_ACCESS, ""), 0); /* no entries: the same as removing */
    cr_assert_eq(stat_of(&x, "main/f").ctime, ctime);
}

Test(acl, what_cannot_be_is_refused_and_changes_nothing)
{
    struct vfs_attr a;

    put_file(&x, "main/f", "");
    cr_assert_eq(vfs_symlink(x.p, node_of(&x, "main"), "l", "f", &fixture_cred, &a), 0);
    cr_assert_eq(set_acl("main/f", ACL_ACCESS, "u:rwx o:---"), -EINVAL);
    cr_assert_eq(set_bytes(&x, "main/f", ACL_ACCESS, "", 0, 0), -EINVAL);
    cr_assert_eq(set_acl("main/f", ACL_DEFAULT, "u:rwx g:r-x o:---"), -EACCES);
    cr_assert_eq(set_acl("main/l", ACL_ACCESS, "u:rwx g:r-x o:---"), -EOPNOTSUPP);
    cr_assert_eq(mode_of("main/f"), 0644);
    cr_assert_str_eq(names_of(&x, "main/f", true), "");
}

Test(acl, chmod_and_the_list_say_the_same)
{
    put_file(&x, "main/f", "");
    cr_assert_eq(set_acl("main/f", ACL_ACCESS, "u:rwx u7:rw- g:r-x m:rwx o:--x"), 0);
    chmod_to("main/f", 04640);
    has_acl("main/f", ACL_ACCESS, "u:rw- u7:rw- g:r-x m:r-- o:---");
    fixture_reopen(&x);
    has_acl("main/f", ACL_ACCESS, "u:rw- u7:rw- g:r-x m:r-- o:---");
    cr_assert_eq(mode_of("main/f"), 04640);
}

Test(acl, a_list_set_by_who_may_not_keep_it_costs_the_set_gid_bit)
{
    struct list *l = list("u:rwx u7:rw- g:--- m:r-x o:--x");

    put_file(&x, "main/f", "");
    chmod_to("main/f", 06755);
    cr_assert_eq(set_acl("main/f", ACL_ACCESS, "u:rwx u7:rw- g:--- m:rwx o:--x"), 0);
    cr_assert_eq(mode_of("main/f"), 06771);
    cr_assert_eq(set_bytes(&x, "main/f", ACL_ACCESS, l->v, l->len, VFS_XATTR_KILL_SGID), 0);
    cr_assert_eq(mode_of("main/f"), 04751);
}

Test(acl, without_a_default_list_the_umask_decides)
{
    make_as("main/f", S_IFREG | 0666);
    make_as("main/d", S_IFDIR | 02777);
    make_as("main/p", S_IFIFO | 0666);
    make_as("space", S_IFDIR | 0777);
    cr_assert_eq(mode_of("main/f"), 0640);
    cr_assert_eq(mode_of("main/d"), 02750);
    cr_assert_eq(mode_of("main/p"), 0640);
    cr_assert_eq(mode_of("space"), 0750);
    cr_assert_str_eq(names_of(&x, "main/f", true), "");
}

Test(acl, a_default_list_takes_the_place_of_the_umask_and_is_handed_on)
{
    struct vfs_attr a;

    make_dir(&x, "main/d", 0755, &fixture_cred);
    cr_assert_eq(set_text(&x, "main/d", "user.other", "is not handed on"), 0);
    cr_assert_eq(set_acl("main/d", ACL_DEFAULT, "u:rwx u7:rwx g:r-x m:rwx o:r-x"), 0);
    cr_assert_eq(mode_of("main/d"), 0755);
    make_as("main/d/f", S_IFREG | 0666);
    make_as("main/d/sub", S_IFDIR | 0777);
    make_as("main/d/sub/deep", S_IFREG | 0600);
    cr_assert_eq(mode_of("main/d/f"), 0664);
    has_acl("main/d/f", ACL_ACCESS, "u:rw- u7:rwx g:r-x m:rw- o:r--");
    has_none("main/d/f", ACL_DEFAULT);
    cr_assert_eq(mode_of("main/d/sub"), 0775);
    has_acl("main/d/sub", ACL_ACCESS, "u:rwx u7:rwx g:r-x m:rwx o:r-x");
    has_acl("main/d/sub", ACL_DEFAULT, "u:rwx u7:rwx g:r-x m:rwx o:r-x");
    has_acl("main/d/sub/deep", ACL_ACCESS, "u:rw- u7:rwx g:r-x m:--- o:---");
    cr_assert_str_eq(names_of(&x, "main/d/sub", true), ACL_ACCESS " " ACL_DEFAULT " ");
    cr_assert_eq(vfs_symlink(x.p, node_of(&x, "main/d"), "l", "f", &with_umask, &a), 0);
    cr_assert_eq(a.mode, S_IFLNK | 0777);
    cr_assert_str_eq(names_of(&x, "main/d/l", true), "");
}

Test(acl, a_default_list_that_a_mode_can_say_leaves_only_a_mode)
{
    make_dir(&x, "main/d", 0755, &fixture_cred);
    cr_assert_eq(set_acl("main/d", ACL_DEFAULT, "u:rwx g:rwx o:---"), 0);
    make_as("main/d/f", S_IFREG | 0666);
    cr_assert_eq(mode_of("main/d/f"), 0660);
    cr_assert_str_eq(names_of(&x, "main/d/f", true), "");
}

Test(acl, a_file_without_a_name_has_what_its_directory_hands_on)
{
    struct vfs_file *f;
    struct vfs_attr a;

    make_dir(&x, "main/d", 0755, &fixture_cred);
    cr_assert_eq(vfs_tmpfile(x.p, node_of(&x, "main/d"), 0666, &with_umask, VFS_WRITE, &a, &f), 0);
    cr_assert_eq(a.mode & 07777, 0640);
    vfs_release(f);
    cr_assert_eq(set_acl("main/d", ACL_DEFAULT, "u:rwx u7:rwx g:r-x m:rwx o:r-x"), 0);
    cr_assert_eq(vfs_tmpfile(x.p, node_of(&x, "main/d"), 0666, &with_umask, VFS_WRITE, &a, &f), 0);
    cr_assert_eq(a.mode & 07777, 0664);
    cr_assert_eq(vfs_link(x.p, a.nodeid, node_of(&x, "main"), "named", &a), 0);
    vfs_release(f);
    has_acl("main/named", ACL_ACCESS, "u:rw- u7:rwx g:r-x m:rw- o:r--");
    cr_assert_eq(mode_of("main/named"), 0664);
}

Test(acl, a_name_that_is_taken_leaves_nothing_of_what_was_to_be)
{
    struct findings found;
    struct vfs_attr a;

    make_dir(&x, "main/d", 0755, &fixture_cred);
    cr_assert_eq(set_acl("main/d", ACL_DEFAULT, "u:rwx u7:rwx g:r-x m:rwx o:r-x"), 0);
    make_as("main/d/f", S_IFREG | 0666);
    cr_assert_eq(vfs_mknod(x.p, node_of(&x, "main/d"), "f", S_IFDIR | 0777, 0, &with_umask, &a),
                 -EEXIST);
    put_file(&x, "main/next", ""); /* has the inode number that the directory would have had */
    cr_assert_str_eq(names_of(&x, "main/next", true), "");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    examine(&x, &found);
    cr_assert_eq(found.r.problems, 0, "%s", found.text);
}

Test(acl, lists_of_any_length_are_kept_and_followed)
{
    static struct list l;
    struct list *ends = list("u:rwx g:r-x m:rwx o:---");

    put_file(&x, "main/f", "");
    memcpy(l.v, ends->v, 12);
    l.len = 12;
    for (uint32_t i = 0; i < 500; i++, l.len += 8) {
        put_le16(l.v + l.len, 2);
        put_le16(l.v + l.len + 2, 7);
        put_le32(l.v + l.len + 4, i);
    }
    memcpy(l.v + l.len, ends->v + 12, 24);
    l.len += 24;
    cr_assert_eq(set_bytes(&x, "main/f", ACL_ACCESS, l.v, l.len, 0), 0);
    has_bytes(&x, "main/f", ACL_ACCESS, l.v, l.len);
    chmod_to("main/f", 0640);
    put_le16(l.v + 4 + 2, 6);
    put_le16(l.v + l.len - 16 + 2, 4);
    has_bytes(&x, "main/f", ACL_ACCESS, l.v, l.len);
}

Test(acl, an_object_that_is_linked_is_the_callers_and_0644_whatever_the_umask)
{
    char hex[ID_HEX + 1] = {0};
    struct vfs_attr a;
    struct id id;

    put_file(&x, "main/f", "bytes");
    cr_assert_eq(get(&x, "main/f", "user.tally.object"), ID_HEX);
    memcpy(hex, read_back, ID_HEX);
    cr_assert_eq(id_from_hex(hex, &id), 0);
    cr_assert_eq(vfs_link_object(x.p, &id, node_of(&x, "main"), "o", &with_umask, &a), 0);
    cr_assert_eq(a.mode, S_IFREG | 0644);
    cr_assert(a.uid == 1 && a.gid == 2);
}

Test(acl, a_link_into_another_namespace_takes_the_list_along)
{
    struct vfs_attr a;

    make_dir(&x, "dev", 0755, &fixture_cred);
    put_file(&x, "main/f", "");
    cr_assert_eq(set_acl("main/f", ACL_ACCESS, "u:rwx u7:rw- g:--- m:r-- o:--x"), 0);
    cr_assert_eq(vfs_link(x.p, node_of(&x, "main/f"), node_of(&x, "dev"), "f", &a), 0);
    has_acl("dev/f", ACL_ACCESS, "u:rwx u7:rw- g:--- m:r-- o:--x");
    cr_assert_eq(mode_of("dev/f"), 0741);
    chmod_to("dev/f", 0700);
    has_acl("main/f", ACL_ACCESS, "u:rwx u7:rw- g:--- m:r-- o:--x");
}
