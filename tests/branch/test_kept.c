// SPDX-License-Identifier: Apache-2.0
/* Claims about what is kept of namespaces: bases of branches, snapshots, the trash. */
#include "check.h"
#include "fixture.h"
#include "kept.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_find.h"

#define DAY (86400 * NSEC_PER_SEC)

static struct fixture x;

static void keep(void)
{
    settings_put(&x.p->settings, SET_ORIGIN_KEEP, 7 * DAY);
    settings_put(&x.p->settings, SET_TRASH_KEEP, DAY);
}
static void up(void)
{
    fixture_setup(&x);
    keep();
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(kept, .init = up, .fini = down);

/* Bytes of the file `name` in the root of what people call `spec`; -errno. */
static ssize_t size_in(const char *spec, const char *name)
{
    struct vfs_attr a;
    struct ns *ns;
    int err = ns_find(x.p, spec, &ns);

    if (err < 0)
        return err;
    err = vfs_lookup(x.p, vfs_node(ns->number, NS_ROOT_INO), name, &a);
    if (err == 0)
        vfs_forget(x.p, a.nodeid, 1);
    ns_put(x.p, ns);
    return err < 0 ? err : (ssize_t)a.size;
}

static size_t count_kind(enum ns_kind kind)
{
    struct ns *ns;
    uint32_t at = 0;
    size_t n = 0;

    while (ns_next_number(x.p, at, &ns) == 0) {
        at = ns->number;
        n += ns->hidden.kind == kind;
        ns_put(x.p, ns);
    }
    return n;
}

/* The name by which the base of a branch is called. */
static const char *base_of(const char *branch)
{
    static char name[300];
    struct ns *ns;

    cr_assert_eq(ns_get_by_name(x.p, branch, &ns), 0);
    snprintf(name, sizeof name, "main@%llu", (unsigned long long)ns->base.seq);
    ns_put(x.p, ns);
    return name;
}

static void on_found(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)ctx;
    cr_assert_fail("%s %s: %s", what, where, sentence);
}

/* The offline check finds nothing. */
static void is_sound(void)
{
    struct check_options o = {.found = on_found};
    struct check_result r = {0};
    struct kv *kv;

    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(store_check(x.disk, kv, &o, &r), 0);
    cr_assert_eq(r.problems, 0);
    kv_close(kv);
    fixture_open(&x);
}

/* The next start takes all from the log. */
static void die_and_start(void)
{
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    keep();
}

Test(kept, a_base_has_what_both_sides_have_removed_since)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "branch main dev", "ok");
    remove_file(&x, "main/a");
    remove_file(&x, "dev/a");
    agreed(&x, "drain", "ok");
    cr_assert_eq(size_in(base_of("dev"), "a"), 5);
}

Test(kept, branches_of_one_instant_share_their_base)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "branch main b1", "ok");
    agreed(&x, "branch main b2", "ok");
    cr_assert_eq(count_kind(NS_ORIGIN), 1);
    put_file(&x, "main/b", "hello");
    agreed(&x, "branch main b3", "ok");
    cr_assert_eq(count_kind(NS_ORIGIN), 2);
}

Test(kept, a_base_goes_with_the_last_branch_that_has_it)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "branch main b1", "ok");
    agreed(&x, "branch main b2", "ok");
    agreed(&x, "drop b1 now", "ok");
    cr_assert_eq(count_kind(NS_ORIGIN), 1);
    agreed(&x, "drop b2 now", "ok");
    cr_assert_eq(count_kind(NS_ORIGIN), 0);
}

Test(kept, a_base_goes_when_origin_keep_has_passed_and_its_branch_stays)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "branch main dev", "ok");
    clock_manual_advance(&x.clock, 7 * DAY - NSEC_PER_SEC);
    cr_assert_not(kept_is_due(x.p));
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    cr_assert(kept_is_due(x.p));
    kept_expire(x.p);
    cr_assert_eq(count_kind(NS_ORIGIN), 0);
    cr_assert_eq(size_in("dev", "a"), 5);
}

Test(kept, detach_gives_the_base_up)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "branch main dev", "ok");
    agreed(&x, "detach dev", "ok");
    cr_assert_eq(count_kind(NS_ORIGIN), 0);
    refused(&x, "detach dev", -ENODATA, "dev has no base");
}

Test(kept, a_snapshot_stays_as_it_was_and_cannot_be_changed)
{
    struct vfs_attr a;
    struct vfs_file *f;
    struct ns *ns;

    put_file(&x, "main/a", "hello");
    agreed(&x, "snapshot main s", "ok snapshot=s seq=");
    remove_file(&x, "main/a");
    cr_assert_eq(size_in("main@s", "a"), 5);
    cr_assert_eq(size_in("main", "a"), -ENOENT);
    cr_assert_eq(ns_find(x.p, "main@s", &ns), 0);
    cr_assert_eq(vfs_create(x.p, vfs_node(ns->number, NS_ROOT_INO), "b", 0644, &fixture_cred,
                            VFS_WRITE, &a, &f),
                 -EROFS);
    ns_put(x.p, ns);
}

Test(kept, a_snapshot_keeps_its_name_when_its_namespace_gets_another)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "snapshot main s", "ok");
    cr_assert_eq(ns_rename(x.p, "main", "prod", 0), 0);
    cr_assert_eq(size_in("prod@s", "a"), 5);
    cr_assert_eq(size_in("main@s", "a"), -ENOENT);
}

Test(kept, names_that_could_be_mistaken_are_no_names_of_snapshots)
{
    refused(&x, "snapshot main 17", -EINVAL, "17 cannot be the name of a snapshot");
    refused(&x, "snapshot main a@b", -EINVAL, "cannot be the name");
    refused(&x, "snapshot main dropped-1", -EINVAL, "cannot be the name");
    refused(&x, "branch main main@s", -EINVAL, "main@s cannot be the name of a namespace");
}

Test(kept, a_branch_of_a_snapshot_begins_there)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "snapshot main s", "ok");
    put_file(&x, "main/b", "hello");
    agreed(&x, "branch main@s old", "ok");
    cr_assert_eq(size_in("old", "a"), 5);
    cr_assert_eq(size_in("old", "b"), -ENOENT);
    cr_assert_eq(size_in(base_of("old"), "a"), 5);
}

Test(kept, what_was_dropped_can_be_taken_back_as_it_was)
{
    uint64_t node;

    put_file(&x, "main/a", "hello");
    node = node_of(&x, "main/a");
    agreed(&x, "drop main", "ok kept=main@dropped-");
    cr_assert_eq(node_of(&x, "main"), 0);
    agreed(&x, "undrop main", "ok ns=main");
    cr_assert_eq(node_of(&x, "main/a"), node);
    put_file(&x, "main/b", "it can be changed again");
}

Test(kept, a_name_that_is_taken_meanwhile_needs_another_one)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "drop main", "ok");
    cr_assert_eq(
        vfs_mknod(x.p, VFS_ROOT, "main", S_IFDIR | 0755, 0, &fixture_cred, &(struct vfs_attr){0}),
        0);
    refused(&x, "undrop main", -EEXIST, "main exists already");
    agreed(&x, "undrop main as=main2", "ok ns=main2");
    cr_assert_eq(size_in("main2", "a"), 5);
}

Test(kept, a_second_drop_does_not_delete_what_the_first_one_has_kept)
{
    struct ns *ns;
    uint32_t open;

    put_file(&x, "main/a", "hello");
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    agreed(&x, "drop main", "ok kept=");
    cr_assert_eq(ns_remove(x.p, ns, NS_VISIBLE, false, &open), -ENOENT);
    agreed(&x, "undrop main", "ok");
    cr_assert_eq(ns_remove(x.p, ns, NS_TRASH, false, &open), -ENOENT);
    cr_assert_eq(size_in("main", "a"), 5);
    ns_put(x.p, ns);
}

Test(kept, an_empty_namespace_with_a_snapshot_goes_into_the_trash)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "snapshot main s", "ok");
    remove_file(&x, "main/a");
    agreed(&x, "drop main", "ok kept=");
    cr_assert_eq(size_in("main@s", "a"), 5);
}

Test(kept, of_two_that_had_one_name_the_last_one_comes_back_first)
{
    put_file(&x, "main/a", "1");
    agreed(&x, "branch main b", "ok");
    agreed(&x, "drop b", "ok");
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    put_file(&x, "main/c", "22");
    agreed(&x, "branch main b", "ok");
    agreed(&x, "drop b", "ok");
    agreed(&x, "undrop b as=second", "ok");
    agreed(&x, "undrop b as=first", "ok");
    cr_assert_eq(size_in("second", "c"), 2);
    cr_assert_eq(size_in("first", "c"), -ENOENT);
    refused(&x, "undrop b", -ENOENT, "nothing in the trash is called b");
}

Test(kept, the_trash_is_emptied_by_time_with_snapshots)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "snapshot main s", "ok");
    agreed(&x, "drop main", "ok");
    clock_manual_advance(&x.clock, DAY - NSEC_PER_SEC);
    kept_expire(x.p);
    cr_assert_eq(count_kind(NS_TRASH), 1);
    cr_assert_eq(size_in("main@s", "a"), 5);
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    kept_expire(x.p);
    cr_assert_eq(count_kind(NS_TRASH), 0);
    cr_assert_eq(count_kind(NS_SNAPSHOT), 0);
    agreed(&x, "drain", "ok");
    agreed(&x, "trash list", "ok dropped=0 bases=0");
}

Test(kept, a_snapshot_that_is_held_keeps_its_namespace)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "snapshot main s", "ok");
    agreed(&x, "hold main@s", "ok");
    refused(&x, "drop main@s", -EBUSY, "a snapshot that is held");
    refused(&x, "drop main now", -EBUSY, "a snapshot that is held");
    agreed(&x, "drop main", "ok");
    clock_manual_advance(&x.clock, 2 * DAY);
    kept_expire(x.p);
    cr_assert_eq(size_in("main@s", "a"), 5);
    agreed(&x, "unhold main@s", "ok");
    kept_expire(x.p);
    cr_assert_eq(count_kind(NS_SNAPSHOT), 0);
}

Test(kept, an_empty_namespace_with_a_snapshot_is_not_removed)
{
    agreed(&x, "snapshot main s", "ok");
    cr_assert_eq(vfs_rmdir(x.p, VFS_ROOT, "main"), -EBUSY);
    agreed(&x, "drop main@s", "ok");
    cr_assert_eq(vfs_rmdir(x.p, VFS_ROOT, "main"), 0);
    cr_assert_eq(count_kind(NS_TRASH), 0);
}

Test(kept, a_start_from_the_log_has_all_that_is_kept)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "branch main dev", "ok");
    agreed(&x, "snapshot main s", "ok");
    agreed(&x, "branch main gone", "ok");
    put_file(&x, "gone/b", "hello");
    agreed(&x, "drop gone", "ok");
    die_and_start();
    cr_assert_eq(size_in("main@s", "a"), 5);
    cr_assert_eq(size_in(base_of("dev"), "a"), 5);
    agreed(&x, "undrop gone", "ok");
    cr_assert_eq(size_in("gone", "b"), 5);
    put_file(&x, "gone/c", "it can be changed");
    fixture_reopen(&x);
    cr_assert_eq(size_in("main@s", "a"), 5);
    cr_assert_eq(size_in("gone", "c"), 17);
    is_sound();
}

Test(kept, the_root_neither_lists_nor_counts_what_is_kept)
{
    struct vfs_attr before, after;

    put_file(&x, "main/a", "hello");
    agreed(&x, "branch main dev", "ok");
    cr_assert_eq(vfs_getattr(x.p, VFS_ROOT, &before), 0);
    agreed(&x, "snapshot main s", "ok");
    agreed(&x, "branch main b", "ok");
    agreed(&x, "drop b", "ok");
    cr_assert_eq(vfs_getattr(x.p, VFS_ROOT, &after), 0);
    cr_assert_eq(before.nlink, after.nlink);
    cr_assert_eq(node_of(&x, "main@s"), 0);
}

Test(kept, why_names_what_keeps_an_object)
{
    char reply[4096];

    put_file(&x, "main/a", "hello");
    agreed(&x, "drain", "ok");
    agreed(&x, "snapshot main s", "ok");
    agreed(&x, "branch main dev", "ok");
    cr_assert_gt(say(&x, "why main/a", reply), 0);
    cr_assert(strstr(reply, "namespace=main@s items=1"), "%s", reply);
    cr_assert(strstr(reply, base_of("dev")), "%s", reply);
}

Test(kept, a_full_disk_gives_back_the_oldest_of_the_trash_first)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "branch main b1", "ok");
    agreed(&x, "branch main b2", "ok");
    agreed(&x, "drop b1", "ok");
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    agreed(&x, "drop b2", "ok");
    cr_assert(kept_give_back(x.p));
    refused(&x, "undrop b1", -ENOENT, "nothing in the trash");
    cr_assert_eq(count_kind(NS_TRASH), 1);
    cr_assert(kept_give_back(x.p));
    cr_assert_not(kept_give_back(x.p));
    cr_assert_eq(size_in("main", "a"), 5);
}

Test(kept, a_draft_is_as_its_namespace_was_and_stays_as_long_as_somebody_reads_it)
{
    struct ns *ns, *draft;
    uint32_t open;

    put_file(&x, "main/a", "hello");
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(ns_draft_of(x.p, ns, &draft), 0);
    ns_put(x.p, ns);
    put_file(&x, "main/a", "hello, world");
    kept_expire(x.p);
    cr_assert_eq(count_kind(NS_DRAFT), 1);
    cr_assert_eq(ns_remove(x.p, draft, NS_DRAFT, false, &open), 0);
    ns_put(x.p, draft);
    cr_assert_eq(count_kind(NS_DRAFT), 0);
}

Test(kept, a_draft_that_nobody_reads_any_more_goes_also_after_a_death)
{
    struct ns *ns, *draft;

    put_file(&x, "main/a", "hello");
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(ns_draft_of(x.p, ns, &draft), 0);
    ns_put(x.p, draft);
    ns_put(x.p, ns);
    die_and_start();
    cr_assert_eq(count_kind(NS_DRAFT), 1);
    cr_assert(kept_is_due(x.p));
    kept_expire(x.p);
    cr_assert_eq(count_kind(NS_DRAFT), 0);
    is_sound();
}
