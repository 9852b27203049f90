// SPDX-License-Identifier: Apache-2.0
/* Claims of vfs.h about extended attributes. */
#include "ns_drop.h"
#include "xattr_fixture.h"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
    put_file(&x, "main/f", "");
    fill_big(1);
}
static void down_all(void)
{
    fixture_teardown(&x);
}

TestSuite(xattr, .init = up, .fini = down_all);

static void link_to(const char *from, const char *to)
{
    const char *name;
    uint64_t dir = parent_of(&x, to, &name);
    struct vfs_attr a;

    cr_assert_eq(vfs_link(x.p, node_of(&x, from), dir, name, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
}

static void drop(const char *ns)
{
    uint32_t open;

    cr_assert_eq(ns_drop(x.p, ns, true, false, false, &open), 0);
}

/* Distinct objects that something names. */
static uint64_t objects(void)
{
    struct refs_stats s;

    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    refs_get_stats(x.p->refs, &s);
    return s.objects;
}

static void is_sound(void)
{
    struct findings f;

    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 0, "%s", f.text);
}

/* ---- setting and getting ---- */

Test(xattr, values_of_every_length_come_back_also_after_a_remount)
{
    static const size_t lens[] = {0, 1, 100, 2030, 2036, 2037, 2044, 2045, 4096, 65535, BIG};
    char name[32];

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
            snprintf(name, sizeof name, "user.n%zu",
                     i); /* 7 or 8 bytes: 2,036 is the most inline */
            if (round == 0)
                cr_assert_eq(set_bytes(&x, "main/f", name, big, lens[i], 0), 0);
            has_bytes(&x, "main/f", name, big, lens[i]);
            cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/f"), name, NULL, 0), (ssize_t)lens[i]);
        }
        is_sound();
        fixture_reopen(&x);
    }
}

Test(xattr, too_little_room_is_told_and_nothing_is_written)
{
    char buf[8] = "untouch";

    cr_assert_eq(set_text(&x, "main/f", "user.a", "12345678"), 0);
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/f"), "user.a", buf, 7), -ERANGE);
    cr_assert_eq(vfs_listxattr(x.p, node_of(&x, "main/f"), buf, 6, true), -ERANGE);
    cr_assert_eq(vfs_listxattr(x.p, node_of(&x, "main/f"), buf, 7, true), 7);
    cr_assert_str_eq(buf, "user.a");
}

Test(xattr, names_are_checked_as_linux_does)
{
    static const struct {
        const char *name;
        int err;
    } bad[] = {{"", -ERANGE},
               {"user.", -EINVAL},
               {"trusted.", -EINVAL},
               {"security.", -EINVAL},
               {"user", -EOPNOTSUPP},
               {"foo.bar", -EOPNOTSUPP},
               {"system.advise", -EOPNOTSUPP},
               {"system.posix_acl_accessory", -EOPNOTSUPP}};
    char name[300];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(set_text(&x, "main/f", bad[i].name, "v"), bad[i].err, "%s", bad[i].name);
        cr_assert_eq(get(&x, "main/f", bad[i].name), bad[i].err, "%s", bad[i].name);
        cr_assert_eq(unset(&x, "main/f", bad[i].name), bad[i].err, "%s", bad[i].name);
    }
    memset(name, 'n', sizeof name);
    memcpy(name, "user.", 5);
    name[256] = 0;
    cr_assert_eq(set_text(&x, "main/f", name, "v"), -ERANGE);
    name[255] = 0;
    cr_assert_eq(set_text(&x, "main/f", name, "v"), 0);
    has_text(&x, "main/f", name, "v");
}

Test(xattr, create_and_replace_ask_what_is_there)
{
    cr_assert_eq(set_bytes(&x, "main/f", "user.a", "1", 1, VFS_XATTR_REPLACE), -ENODATA);
    cr_assert_eq(get(&x, "main/f", "user.a"), -ENODATA);
    cr_assert_eq(set_bytes(&x, "main/f", "user.a", "1", 1, VFS_XATTR_CREATE), 0);
    cr_assert_eq(set_bytes(&x, "main/f", "user.a", "2", 1, VFS_XATTR_CREATE), -EEXIST);
    has_text(&x, "main/f", "user.a", "1");
    cr_assert_eq(set_bytes(&x, "main/f", "user.a", "33", 2, VFS_XATTR_REPLACE), 0);
    has_text(&x, "main/f", "user.a", "33");
    cr_assert_eq(set_bytes(&x, "main/f", "user.b", big, BIG + 1, 0), -E2BIG);
}

Test(xattr, what_is_removed_is_gone_and_gone_only_once)
{
    cr_assert_eq(set_text(&x, "main/f", "user.a", "1"), 0);
    cr_assert_eq(set_text(&x, "main/f", "user.b", "2"), 0);
    cr_assert_eq(unset(&x, "main/f", "user.a"), 0);
    cr_assert_eq(unset(&x, "main/f", "user.a"), -ENODATA);
    cr_assert_eq(get(&x, "main/f", "user.a"), -ENODATA);
    cr_assert_str_eq(names_of(&x, "main/f", true), "user.b ");
    cr_assert_eq(unset(&x, "main/f", "user.b"), 0);
    cr_assert_str_eq(names_of(&x, "main/f", true), "");
}

Test(xattr, trusted_names_are_listed_only_to_who_may_see_them)
{
    cr_assert_eq(set_text(&x, "main/f", "user.a", "1"), 0);
    cr_assert_eq(set_text(&x, "main/f", "trusted.a", "1"), 0);
    cr_assert_eq(set_text(&x, "main/f", "security.a", "1"), 0);
    cr_assert_str_eq(names_of(&x, "main/f", true), "security.a trusted.a user.a ");
    cr_assert_str_eq(names_of(&x, "main/f", false), "security.a user.a ");
}

Test(xattr, names_beyond_what_a_list_can_hold_are_refused)
{
    char name[256];
    int set = 0, err = 0;

    while (err == 0 && set < 300) { /* 256 bytes each, with the NUL */
        snprintf(name, sizeof name, "user.%0250d", set);
        err = set_text(&x, "main/f", name, "");
        set += err == 0;
    }
    cr_assert_eq(err, -ENOSPC);
    cr_assert_eq(set, 256);
    cr_assert_eq(vfs_listxattr(x.p, node_of(&x, "main/f"), NULL, 0, true), BIG);
    snprintf(name, sizeof name, "user.%0250d", 7);
    cr_assert_eq(set_text(&x, "main/f", name, "a new value"), 0);
}

Test(xattr, the_change_time_moves_and_no_other)
{
    struct vfs_attr old = stat_of(&x, "main/f"), new;

    for (int i = 0; i < 2; i++) {
        clock_manual_advance(&x.clock, NSEC_PER_SEC);
        cr_assert_eq(i ? unset(&x, "main/f", "user.a") : set_text(&x, "main/f", "user.a", "1"), 0);
        new = stat_of(&x, "main/f");
        cr_assert_eq(new.ctime, old.ctime + (i + 1) * NSEC_PER_SEC);
        cr_assert(new.mtime == old.mtime &&new.atime == old.atime);
    }
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    cr_assert_eq(unset(&x, "main/f", "user.a"), -ENODATA);
    cr_assert_eq(stat_of(&x, "main/f").ctime, new.ctime);
}

/* ---- on what ---- */

Test(xattr, directories_symlinks_devices_and_namespaces_have_them_too)
{
    struct vfs_attr a;

    make_dir(&x, "main/d", 0755, &fixture_cred);
    cr_assert_eq(vfs_symlink(x.p, node_of(&x, "main"), "l", "nowhere", &fixture_cred, &a), 0);
    cr_assert_eq(vfs_mknod(x.p, node_of(&x, "main"), "p", S_IFIFO | 0644, 0, &fixture_cred, &a), 0);
    static const char *const paths[] = {"main", "main/d", "main/l", "main/p"};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(set_text(&x, paths[i], "trusted.t", paths[i]), 0);
        has_text(&x, paths[i], "trusted.t", paths[i]);
    }
}

Test(xattr, the_mount_root_and_symlinks_in_it_have_none)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_symlink(x.p, VFS_ROOT, "l", "main", &fixture_cred, &a), 0);
    uint64_t nodes[] = {VFS_ROOT, a.nodeid};
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(vfs_setxattr(x.p, nodes[i], "trusted.t", "1", 1, 0), -EPERM);
        cr_assert_eq(vfs_removexattr(x.p, nodes[i], "trusted.t"), -EPERM);
        cr_assert_eq(vfs_getxattr(x.p, nodes[i], "trusted.t", NULL, 0), -ENODATA);
        cr_assert_eq(vfs_listxattr(x.p, nodes[i], NULL, 0, true), 0);
    }
}

Test(xattr, answers_about_the_object_are_no_attributes)
{
    put_file(&x, "main/g", "bytes");
    cr_assert_eq(get(&x, "main/g", "user.tally.object"), ID_HEX);
    has_text(&x, "main/g", "user.tally.refs", "1");
    cr_assert_eq(get(&x, "main/g", "user.tally.other"), -ENODATA);
    cr_assert_str_eq(names_of(&x, "main/g", true), "");
    cr_assert_eq(set_text(&x, "main/g", "user.tally.refs", "7"), -EPERM);
    cr_assert_eq(set_text(&x, "main/g", "user.tally.other", "7"), -EPERM);
    cr_assert_eq(unset(&x, "main/g", "user.tally.refs"), -EPERM);
}

Test(xattr, a_frozen_namespace_keeps_what_it_has)
{
    cr_assert_eq(set_text(&x, "main/f", "user.a", "1"), 0);
    cr_assert_eq(ns_set_switch(x.p, "main", NS_FROZEN, true), 0);
    cr_assert_eq(set_text(&x, "main/f", "user.a", "2"), -EROFS);
    cr_assert_eq(unset(&x, "main/f", "user.a"), -EROFS);
    has_text(&x, "main/f", "user.a", "1");
}

Test(xattr, an_unlinked_open_file_keeps_them_until_it_is_closed)
{
    struct vfs_file *f;
    uint64_t node = node_of(&x, "main/f");

    cr_assert_eq(set_bytes(&x, "main/f", "user.big", big, BIG, 0), 0);
    cr_assert_eq(vfs_open(x.p, node, 0, &f), 0);
    remove_file(&x, "main/f");
    cr_assert_eq(vfs_getxattr(x.p, node, "user.big", read_back, BIG), BIG);
    cr_assert_eq(memcmp(read_back, big, BIG), 0);
    cr_assert_eq(vfs_setxattr(x.p, node, "user.late", big, 5000, 0), 0);
    cr_assert_eq(objects(), 2);
    cr_assert_eq(vfs_getxattr(x.p, node, "user.late", read_back, BIG), 5000);
    vfs_release(f);
    cr_assert_eq(vfs_getxattr(x.p, node, "user.big", read_back, BIG), -ESTALE);
    cr_assert_eq(objects(), 0);
    is_sound();
}

/* ---- sharing, counting ---- */

Test(xattr, equal_large_values_are_one_object_and_go_with_the_last)
{
    put_file(&x, "main/g", "");
    cr_assert_eq(set_bytes(&x, "main/f", "user.big", big, BIG, 0), 0);
    cr_assert_eq(set_bytes(&x, "main/g", "trusted.other", big, BIG, 0), 0);
    cr_assert_eq(objects(), 1);
    is_sound();
    cr_assert_eq(unset(&x, "main/f", "user.big"), 0);
    cr_assert_eq(objects(), 1);
    has_bytes(&x, "main/g", "trusted.other", big, BIG);
    cr_assert_eq(set_text(&x, "main/g", "trusted.other", "small"), 0);
    cr_assert_eq(objects(), 0);
    is_sound();
}

Test(xattr, a_large_value_equal_to_a_file_shares_its_object)
{
    struct vfs_file *f;

    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, big, BIG, 0), BIG);
    vfs_release(f);
    cr_assert_eq(set_bytes(&x, "main/f", "user.same", big, BIG, 0), 0);
    cr_assert_eq(objects(), 1);
    has_text(&x, "main/f", "user.tally.refs", "2");
    is_sound();
    remove_file(&x, "main/f");
    cr_assert_eq(objects(), 0);
}

Test(xattr, a_sealed_value_is_named_by_its_item_without_an_alias)
{
    put_file(&x, "main/g", "");
    cr_assert_eq(set_bytes(&x, "main/f", "user.big", big, BIG, 0), 0);
    cr_assert_eq(objects(), 1);
    cr_assert_eq(set_bytes(&x, "main/g", "user.big", big, BIG, 0), 0);
    cr_assert_eq(objects(), 1);
    down_clean(&x);
    struct findings f;
    struct kv_snap *s;
    uint64_t entries;
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 0, "%s", f.text);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_READONLY, &x.kv), 0);
    cr_assert_eq(kv_snap_begin(x.kv, &s), 0);
    cr_assert_eq(kv_snap_count(s, TABLE_OBJECTS, &entries), 0);
    cr_assert_eq(entries, 1);
    kv_snap_end(s);
    kv_close(x.kv);
    fixture_open(&x);
}

Test(xattr, a_branch_has_them_and_each_side_changes_its_own)
{
    cr_assert_eq(set_bytes(&x, "main/f", "user.big", big, BIG, 0), 0);
    cr_assert_eq(set_text(&x, "main/f", "user.a", "1"), 0);
    branch(&x, "main", "dev");
    cr_assert_eq(set_text(&x, "dev/f", "user.a", "2"), 0);
    cr_assert_eq(unset(&x, "main/f", "user.big"), 0);
    has_text(&x, "main/f", "user.a", "1");
    has_text(&x, "dev/f", "user.a", "2");
    has_bytes(&x, "dev/f", "user.big", big, BIG);
    cr_assert_eq(get(&x, "main/f", "user.big"), -ENODATA);
    is_sound();
    drop("dev");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(objects(), 0);
}

Test(xattr, a_link_into_another_namespace_takes_them_along)
{
    make_dir(&x, "dev", 0755, &fixture_cred);
    cr_assert_eq(set_bytes(&x, "main/f", "user.big", big, BIG, 0), 0);
    cr_assert_eq(set_text(&x, "main/f", "user.a", "1"), 0);
    link_to("main/f", "dev/f");
    link_to("main/f", "main/hard");
    has_bytes(&x, "dev/f", "user.big", big, BIG);
    cr_assert_str_eq(names_of(&x, "dev/f", true), "user.a user.big ");
    cr_assert_eq(objects(), 1);
    cr_assert_eq(set_text(&x, "main/hard", "user.a", "changed"), 0);
    has_text(&x, "main/f", "user.a", "changed");
    has_text(&x, "dev/f", "user.a", "1");
    remove_file(&x, "main/f");
    remove_file(&x, "main/hard");
    is_sound();
    has_bytes(&x, "dev/f", "user.big", big, BIG);
    remove_file(&x, "dev/f");
    is_sound();
    cr_assert_eq(objects(), 0);
}

/* ---- when things go wrong ---- */

Test(xattr, what_was_flushed_survives_a_power_loss_whole)
{
    cr_assert_eq(set_bytes(&x, "main/f", "user.big", big, BIG, 0), 0);
    cr_assert_eq(set_text(&x, "main/f", "user.a", "1"), 0);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(unset(&x, "main/f", "user.big"), 0);
    store_abandon(x.p);
    kv_close(x.kv);
    disk_mem_power_cycle(x.disk);
    fixture_open(&x);
    has_bytes(&x, "main/f", "user.big", big, BIG);
    has_text(&x, "main/f", "user.a", "1");
    is_sound();
}

Test(xattr, a_value_whose_object_is_damaged_is_an_error_and_never_other_bytes)
{
    cr_assert_eq(set_bytes(&x, "main/f", "user.big", big, BIG, 0), 0);
    cr_assert_eq(objects(), 1);
    fixture_reopen(&x);
    cr_assert_eq(disk_mem_flip(x.disk, "packs/0000000000000001", 32 + 40 + 100, 3), 0);
    cr_assert_eq(get(&x, "main/f", "user.big"), -EUCLEAN);
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/f"), "user.big", NULL, 0), BIG);
}

Test(xattr, a_change_that_fails_at_any_write_leaves_the_old_value)
{
    fault_reset(&x.fault);
    cr_assert_eq(set_bytes(&x, "main/f", "user.big", big, BIG, 0), 0);
    agreed(&x, "set pack_limit 4096", ""); /* so that values of more go through a slot */
    for (uint64_t at = 1; at < 4; at++) {
        fault_reset(&x.fault);
        x.fault.fail_at = at;
        int err = set_bytes(&x, "main/f", "user.big", big + 1, BIG, 0);
        cr_assert_geq(atomic_load(&x.fault.writes), at, "nothing failed");
        fault_reset(&x.fault);
        cr_assert(at > 1 || err == -EIO);
        has_bytes(&x, "main/f", "user.big", err ? big : big + 1, BIG);
        cr_assert_eq(set_bytes(&x, "main/f", "user.big", big, BIG, 0), 0);
    }
    is_sound();
}
