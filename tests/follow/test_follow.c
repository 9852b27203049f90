// SPDX-License-Identifier: Apache-2.0
/* Claims of a store that follows an archive. */
#include "follow_fixture.h"
#include "shards.h"

static struct pair b;

static void up(void)
{
    pair_up(&b);
}
static void down_all(void)
{
    pair_down(&b);
}

TestSuite(follow, .init = up, .fini = down_all);

static struct fixture *writer(void)
{
    return &b.v.w.x;
}

Test(follow, it_begins_with_what_the_archive_has)
{
    pair_equal(&b);
    cr_assert_eq(follow_stats_of(&b).state, FOLLOW_OK);
}

Test(follow, what_is_made_changed_and_removed_comes)
{
    put_file(writer(), "main/a", "one");
    make_dir(&b.v.w, "main/d");
    put_file(writer(), "main/d/b", "two");
    put_bytes(&b.v.w, "main/large", LARGE, 1);
    follow(&b);
    remove_file(writer(), "main/a");
    put_file(writer(), "main/d/b", "twice");
    put_bytes(&b.v.w, "main/large", LARGE, 2);
    follow(&b);
    cr_assert_eq(node_of(&b.f, "main/a"), 0);
    cr_assert_eq(try_read(&b.f, "main/d/b"), 5);
    cr_assert_eq(follow_stats_of(&b).afresh, 1, "all but the first came as differences");
}

/* Bytes that the follower has got from the archive. */
static uint64_t received(void)
{
    struct shards_info info;

    cr_assert_eq(shards_info_get(b.f.p->shards, follow_stats_of(&b).archive, &info), 0);
    return info.traffic.received;
}

Test(follow, what_was_brought_home_is_not_read_again_when_a_file_gets_another_mode)
{
    const struct vfs_attr mode = {.mode = 0600};
    struct vfs_attr a;
    uint64_t before;

    put_bytes(&b.v.w, "main/large", LARGE, 1);
    follow(&b);
    agreed(&b.f, "recall main/large wait", "ok");
    before = received();
    cr_assert_eq(vfs_setattr(writer()->p, node_of(writer(), "main/large"), VFS_SET_MODE, &mode, &a),
                 0);
    follow(&b);
    cr_assert_lt(received() - before, LARGE);
}

Test(follow, directories_that_move_come)
{
    make_dir(&b.v.w, "main/d");
    make_dir(&b.v.w, "main/d/e");
    put_file(writer(), "main/d/e/a", "one");
    make_dir(&b.v.w, "main/f");
    follow(&b);
    cr_assert_eq(vfs_rename(writer()->p, node_of(writer(), "main/d"), "e",
                            node_of(writer(), "main/f"), "g", 0, &fixture_cred),
                 0);
    cr_assert_eq(vfs_rmdir(writer()->p, node_of(writer(), "main"), "d"), 0);
    follow(&b);
    cr_assert_eq(try_read(&b.f, "main/f/g/a"), 3);
}

Test(follow, namespaces_are_made_branched_renamed_exchanged_and_dropped)
{
    put_file(writer(), "main/a", "one");
    follow(&b);
    agreed(writer(), "branch main side", "ok");
    put_file(writer(), "side/b", "two");
    follow(&b);
    cr_assert_eq(vfs_mknod(writer()->p, VFS_ROOT, "new", S_IFDIR | 0755, 0, &fixture_cred,
                           &(struct vfs_attr){0}),
                 0);
    cr_assert_eq(vfs_rename(writer()->p, VFS_ROOT, "side", VFS_ROOT, "main", 2, &fixture_cred), 0);
    follow(&b);
    agreed(writer(), "drop side now", "ok");
    cr_assert_eq(vfs_rename(writer()->p, VFS_ROOT, "new", VFS_ROOT, "side", 0, &fixture_cred), 0);
    follow(&b);
    cr_assert_eq(node_of(&b.f, "new"), 0);
    cr_assert_eq(follow_stats_of(&b).afresh, 1, "all but the first came as differences");
}

Test(follow, a_branch_costs_what_it_has_changed)
{
    uint64_t before;

    for (int i = 0; i < 100; i++) {
        char name[32];

        snprintf(name, sizeof name, "main/%d", i);
        put_file(writer(), name, name);
    }
    follow(&b);
    before = follow_stats_of(&b).items;
    agreed(writer(), "branch main side", "ok");
    follow(&b);
    cr_assert_eq(follow_stats_of(&b).items, before);
}

static bool is_frozen(const char *name)
{
    struct ns *ns;
    bool is;

    cr_assert_eq(ns_get_by_name(b.f.p, name, &ns), 0);
    is = ns->frozen;
    ns_put(b.f.p, ns);
    return is;
}

Test(follow, what_is_frozen_is_frozen_and_goes_on_afterwards)
{
    agreed(writer(), "set ns:main.frozen yes", "ok");
    follow(&b);
    cr_assert(is_frozen("main"));
    agreed(writer(), "set ns:main.frozen no", "ok");
    put_file(writer(), "main/a", "one");
    follow(&b);
    cr_assert_not(is_frozen("main"));
}

/* ---- read-only ---- */

Test(follow, nobody_else_changes_anything)
{
    struct vfs_attr a;
    struct vfs_file *file;
    uint64_t root;

    put_file(writer(), "main/a", "one");
    follow(&b);
    fixture_reopen(&b.f);
    root = node_of(&b.f, "main");
    cr_assert_eq(vfs_mknod(b.f.p, root, "b", S_IFREG | 0644, 0, &fixture_cred, &a), -EROFS);
    cr_assert_eq(vfs_mknod(b.f.p, VFS_ROOT, "b", S_IFDIR | 0755, 0, &fixture_cred, &a), -EROFS);
    cr_assert_eq(vfs_symlink(b.f.p, VFS_ROOT, "b", "main", &fixture_cred, &a), -EROFS);
    cr_assert_eq(vfs_open(b.f.p, node_of(&b.f, "main/a"), VFS_WRITE, &file), -EROFS);
    cr_assert_eq(vfs_unlink(b.f.p, root, "a"), -EROFS);
    cr_assert_eq(vfs_rmdir(b.f.p, VFS_ROOT, "main"), -EROFS);
    cr_assert_eq(vfs_rename(b.f.p, VFS_ROOT, "main", VFS_ROOT, "b", 0, &fixture_cred), -EROFS);
    pair_equal(&b);
}

Test(follow, verbs_that_would_change_a_namespace_say_why_not)
{
    static const char *const lines[] = {
        "branch main side",  "drop main",
        "snapshot main s",   "set ns:main.frozen yes",
        "restore main back", "set ns:main.ttl 100s",
        "detach main",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        refused(&b.f, lines[i], -EROFS, "follows an archive");
    agreed(&b.f, "gc wait", "ok");
    agreed(&b.f, "set grace_period 1s", "ok");
}

Test(follow, reading_moves_no_time_of_access)
{
    put_file(writer(), "main/a", "one");
    follow(&b);
    clock_manual_advance(&b.f.clock, 1000000 * NSEC_PER_SEC);
    cr_assert_eq(try_read(&b.f, "main/a"), 3);
    is_sound(&b.f, "main");
}

/* ---- readers ---- */

Test(follow, who_has_a_file_open_goes_on_with_what_it_was)
{
    struct vfs_file *file;
    char buf[16];

    put_file(writer(), "main/a", "one");
    put_file(writer(), "main/b", "two");
    follow(&b);
    cr_assert_eq(vfs_open(b.f.p, node_of(&b.f, "main/a"), 0, &file), 0);
    put_file(writer(), "main/a", "other");
    follow(&b);
    cr_assert_eq(vfs_read(file, buf, sizeof buf, 0), 3);
    cr_assert_eq(try_read(&b.f, "main/a"), 5);
    vfs_release(file);
    cr_assert_eq(vfs_open(b.f.p, node_of(&b.f, "main/b"), 0, &file), 0);
    remove_file(writer(), "main/b");
    follow(&b);
    cr_assert_eq(vfs_read(file, buf, sizeof buf, 0), 3);
    vfs_release(file);
    follow(&b);
}

Test(follow, who_has_a_file_open_in_a_namespace_that_goes_goes_on)
{
    struct vfs_file *file;
    char buf[16];

    agreed(writer(), "branch main side", "ok");
    put_file(writer(), "side/a", "one");
    follow(&b);
    cr_assert_eq(vfs_open(b.f.p, node_of(&b.f, "side/a"), 0, &file), 0);
    agreed(writer(), "drop side now", "ok");
    follow(&b);
    cr_assert_eq(vfs_read(file, buf, sizeof buf, 0), 3);
    vfs_release(file);
}

/* ---- deaths, and what is missing ---- */

static void die(struct fixture *f)
{
    store_abandon(f->p);
    kv_close(f->kv);
    fixture_open(f);
}

Test(follow, a_death_leaves_the_one_instant_or_the_other)
{
    put_file(writer(), "main/a", "one");
    agreed(writer(), "branch main side", "ok");
    follow(&b);
    die(&b.f);
    pair_equal(&b);
    put_file(writer(), "main/a", "two and more");
    put_file(writer(), "side/b", "three");
    agreed(writer(), "branch main third", "ok");
    follow(&b);
    die(&b.f);
    pair_equal(&b);
    put_file(writer(), "third/a", "four");
    follow(&b);
    cr_assert_eq(follow_stats_of(&b).afresh, 0, "it goes on after what was applied");
}

/* The daemon dies at write `n` of the step. False: the step has fewer. */
static bool dies_in_step(struct fixture *f, uint64_t n, enum fault_loss loss)
{
    bool fired;

    fault_reset(&f->fault);
    f->fault.fail_at = n;
    f->fault.cut = true;
    f->fault.loss = loss;
    f->fault.seed = n;
    (void)follow_step(f->p);
    fired = fault_fired(&f->fault);
    store_abandon(f->p);
    kv_close(f->kv);
    fault_reset(&f->fault);
    fixture_open(f);
    return fired;
}

/* Both namespaces are at one instant: each change writes one length into both. */
static ssize_t one_instant(void)
{
    const ssize_t a = try_read(&b.f, "main/a"), c = try_read(&b.f, "side/a");

    cr_assert_eq(a, c, "main has %zd, and side has %zd", a, c);
    is_sound(&b.f, "main");
    is_sound(&b.f, "side");
    return a;
}

static void put_both(unsigned len)
{
    char text[64] = "";

    memset(text, 'x', len);
    put_file(writer(), "main/a", text);
    put_file(writer(), "side/a", text);
    ship(&b.v);
}

static void die_at_each_write(enum fault_loss loss)
{
    unsigned len = 1, deaths = 0;
    bool more = true;

    agreed(writer(), "branch main side", "ok");
    put_both(len);
    cr_assert_eq(follow_step(b.f.p), 0);
    for (uint64_t n = 1; more; n += 1 + n / 8) {
        const ssize_t was = one_instant();

        put_both(++len % 60 + 1);
        more = dies_in_step(&b.f, n, loss);
        deaths += more;
        const ssize_t is = one_instant();
        cr_assert(is == was || is == (ssize_t)(len % 60 + 1), "%zd", is);
        cr_assert_eq(follow_step(b.f.p), 0, "%s", follow_stats_of(&b).why);
        cr_assert_eq(one_instant(), (ssize_t)(len % 60 + 1));
    }
    cr_assert_gt(deaths, 3);
    pair_equal(&b);
}

Test(follow, a_death_of_the_daemon_at_any_write_leaves_one_instant)
{
    die_at_each_write(FAULT_KEEP_ALL);
}

Test(follow, a_loss_of_power_at_any_write_leaves_one_instant)
{
    die_at_each_write(FAULT_LOSE_ALL);
}

Test(follow, a_close_in_between_changes_nothing)
{
    put_file(writer(), "main/a", "one");
    follow(&b);
    fixture_reopen(&b.f);
    pair_equal(&b);
    put_file(writer(), "main/b", "two");
    follow(&b);
    cr_assert_eq(follow_stats_of(&b).afresh, 0);
}

/* The name of the last segment. */
static void last_segment(char name[ARCHIVE_NAME_MAX + 1])
{
    archive_segment_name(1, ship_stats_of(&b.v).at, name);
}

/* What the segment `name` has is of no interest any more: its namespace was dropped. */
static void make_past_segment(char name[ARCHIVE_NAME_MAX + 1])
{
    agreed(writer(), "branch main side", "ok");
    follow(&b);
    put_file(writer(), "side/a", "one");
    ship(&b.v);
    last_segment(name);
    agreed(writer(), "drop side now", "ok");
    put_file(writer(), "main/b", "two");
    ship(&b.v);
}

static void goes_on_afresh(void)
{
    follow(&b);
    cr_assert_eq(follow_stats_of(&b).afresh, 2);
    put_file(writer(), "main/c", "three");
    follow(&b);
    cr_assert_eq(follow_stats_of(&b).afresh, 2);
}

Test(follow, a_damaged_segment_is_passed_when_the_last_one_does_not_need_it)
{
    char name[ARCHIVE_NAME_MAX + 1];

    make_past_segment(name);
    cr_assert_eq(shard_mem_flip(b.v.mem, name, 100, 1), 0);
    goes_on_afresh();
}

Test(follow, a_segment_that_was_removed_from_an_ended_epoch_is_passed)
{
    char name[ARCHIVE_NAME_MAX + 1];

    make_past_segment(name);
    fixture_reopen(writer());
    put_file(writer(), "main/b", "two and more");
    ship(&b.v);
    cr_assert_eq(shard_mem_lose(b.v.mem, name), 0);
    for (int i = 0; i < 16; i++) /* so often it takes what is missing for what is to come */
        cr_assert_eq(follow_step(b.f.p), 0);
    goes_on_afresh();
}

Test(follow, an_archive_that_is_away_is_asked_again)
{
    put_file(writer(), "main/a", "one");
    ship(&b.v);
    shard_mem_set(b.v.mem, SHARD_MEM_UNREACHABLE, true);
    cr_assert_lt(follow_step(b.f.p), 0);
    cr_assert_eq(follow_stats_of(&b).state, FOLLOW_FAILING);
    shard_mem_set(b.v.mem, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&b.f.clock, 2000 * NSEC_PER_SEC);
    cr_assert_eq(follow_step(b.f.p), 0);
    pair_equal(&b);
}

/* ---- a take-over ---- */

Test(follow, a_take_over_has_all_that_was_put_and_fences_the_writer)
{
    put_file(writer(), "main/a", "one");
    ship(&b.v);
    agreed(&b.f, "promote", "lineage=2");
    pair_equal(&b);
    put_file(writer(), "main/late", "late");
    cr_assert_eq(ship_step(writer()->p), -EKEYREVOKED);
    put_file(&b.f, "main/b", "two");
    cr_assert_eq(ship_step(b.f.p), 0);
    refused(&b.f, "promote", -ENOENT, "follows no archive");
    fixture_reopen(&b.f);
    put_file(&b.f, "main/c", "three");
    cr_assert_eq(ship_step(b.f.p), 0);
    agreed(&b.f, "restore main back wait", "ok");
    cr_assert_eq(try_read(&b.f, "back/c"), 5);
    cr_assert_eq(node_of(&b.f, "back/late"), 0);
}

Test(follow, a_take_over_without_the_right_to_write_changes_nothing)
{
    shard_mem_set(b.v.mem, SHARD_MEM_READONLY, true);
    refused(&b.f, "promote", -EROFS, "no epoch can be claimed there");
    shard_mem_set(b.v.mem, SHARD_MEM_READONLY, false);
    put_file(writer(), "main/a", "one");
    follow(&b);
}

/* The archive fails at put `n` of a take-over, and the daemon dies. False: it has fewer. */
static bool dies_in_promote(uint64_t n, enum fault_loss loss)
{
    struct fault *archive = &b.v.w.x.fault;
    struct follow_promoted r;
    char why[SHARD_WHY];
    int err;

    fault_reset(archive);
    archive->fail_at = n;
    archive->loss = loss;
    err = follow_promote(b.f.p, &r, why);
    cr_assert(err == 0 || *why);
    fault_reset(archive);
    die(&b.f);
    return err < 0;
}

static void promote_cut_off(enum fault_loss loss)
{
    char why[SHARD_WHY];
    struct follow_promoted r = {.lineage = 0};
    uint64_t n = 1;

    put_file(writer(), "main/a", "one");
    ship(&b.v);
    /* each several times, since what a call has put the next one does not put again */
    for (unsigned i = 0; dies_in_promote(n, loss); i++, n += i % 3 == 0)
        cr_assert_eq(vfs_unlink(b.f.p, node_of(&b.f, "main"), "a"), -EROFS);
    cr_assert_gt(n, 2);
    cr_assert_eq(follow_promote(b.f.p, &r, why), -ENOENT);
    cr_assert_eq(try_read(&b.f, "main/a"), 3);
    put_file(&b.f, "main/b", "two");
    cr_assert_eq(ship_step(b.f.p), 0);
    put_file(writer(), "main/late", "late");
    cr_assert_eq(ship_step(writer()->p), -EKEYREVOKED);
}

Test(follow, a_take_over_that_is_cut_off_before_a_put_is_called_again)
{
    promote_cut_off(FAULT_LOSE_ALL);
}

Test(follow, a_take_over_that_is_cut_off_after_a_put_is_called_again)
{
    promote_cut_off(FAULT_KEEP_ALL);
}

/* A claim, the end of the writer's epoch, and the lineage, whose answer is lost. */
Test(follow, a_lineage_that_a_take_over_has_put_is_used_by_the_next_call)
{
    char name[ARCHIVE_NAME_MAX + 1], why[SHARD_WHY];
    struct follow_promoted r;

    put_file(writer(), "main/a", "one");
    ship(&b.v);
    cr_assert(dies_in_promote(3, FAULT_KEEP_ALL));
    cr_assert_eq(follow_promote(b.f.p, &r, why), 0, "%s", why);
    cr_assert_eq(r.lineage, 2);
    archive_lineage_name(3, name);
    cr_assert_eq(shard_mem_lose(b.v.mem, name), -ENOENT, "the second call has put one, too");
}

Test(follow, a_writer_that_is_mounted_again_after_a_take_over_is_refused)
{
    agreed(&b.f, "promote", "lineage=2");
    fixture_reopen(writer());
    put_file(writer(), "main/late", "late");
    cr_assert_eq(ship_step(writer()->p), -EKEYREVOKED);
    put_file(&b.f, "main/b", "two");
    cr_assert_eq(ship_step(b.f.p), 0);
}

Test(follow, a_writer_that_comes_back_in_a_take_over_is_fenced_by_its_next_call)
{
    struct fault *archive = &b.v.w.x.fault;
    struct follow_promoted r;
    char why[SHARD_WHY];

    fault_reset(archive);
    archive->fail_at = 3; /* the lineage */
    archive->loss = FAULT_LOSE_ALL;
    cr_assert_lt(follow_promote(b.f.p, &r, why), 0);
    fault_reset(archive);
    fixture_reopen(writer());
    put_file(writer(), "main/a", "one");
    ship(&b.v);
    cr_assert_eq(follow_promote(b.f.p, &r, why), 0, "%s", why);
    cr_assert_eq(try_read(&b.f, "main/a"), 3);
    put_file(writer(), "main/late", "late");
    cr_assert_eq(ship_step(writer()->p), -EKEYREVOKED);
}

Test(follow, a_second_take_over_is_refused_and_fences_nobody)
{
    struct fixture second;

    follower_up(&second, 1);
    cr_assert_eq(follow_step(second.p), 0);
    agreed(&b.f, "promote", "lineage=2");
    refused(&second, "promote", -EBUSY, "another store has taken over, as lineage 2");
    put_file(&b.f, "main/b", "two");
    cr_assert_eq(ship_step(b.f.p), 0);
    fixture_teardown(&second);
}

Test(follow, another_follower_says_who_has_taken_over)
{
    struct fixture second;
    struct follow_stats s;

    put_file(writer(), "main/a", "one");
    ship(&b.v);
    follower_up(&second, 1);
    cr_assert_eq(follow_step(second.p), 0);
    agreed(&b.f, "promote", "lineage=2");
    for (int i = 0; i < 20; i++)
        cr_assert_eq(follow_step(second.p), 0);
    cr_assert_eq(follow_get_stats(second.p, &s), 0);
    cr_assert(strstr(s.ended, "lineage 2"), "%s", s.ended);
    fixture_teardown(&second);
}
