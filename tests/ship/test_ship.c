// SPDX-License-Identifier: Apache-2.0
/* Claims of shipping: what changes is in the archive after a round, once, and nothing else is. */
#include "kept.h"
#include "shards.h"
#include "ship_fixture.h"

static struct vault v;

static void up(void)
{
    vault_up(&v);
}
static void down_all(void)
{
    vault_down(&v);
}

TestSuite(ship, .init = up, .fini = down_all);

Test(ship, a_first_round_ships_every_namespace_and_a_second_one_nothing)
{
    put_file(&v.w.x, "main/a", "one");
    ship(&v);
    cr_assert_eq(ship_stats_of(&v).segments, 1);
    ship(&v);
    cr_assert_eq(ship_stats_of(&v).segments, 1);
    cr_assert(!ship_stats_of(&v).behind);
}

Test(ship, what_was_shipped_can_be_restored)
{
    struct digest was;

    put_file(&v.w.x, "main/a", "one");
    put_bytes(&v.w, "main/large", LARGE, 7);
    ship(&v);
    was = digest_of(&v, "main");
    restores(&v, "main", atomic_load(&v.w.x.p->seq), &was);
}

Test(ship, each_state_that_was_shipped_can_be_restored)
{
    struct digest was[8];
    uint64_t seq[8];
    char name[32];

    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "main/f%d", i);
        put_bytes(&v.w, name, 100 + (size_t)i * 30000, (uint64_t)i);
        if (i > 3) {
            snprintf(name, sizeof name, "main/f%d", i - 3);
            remove_file(&v.w.x, name);
        }
        ship(&v);
        seq[i] = atomic_load(&v.w.x.p->seq);
        was[i] = digest_of(&v, "main");
    }
    for (int i = 7; i >= 0; i--)
        restores(&v, "main", seq[i], &was[i]);
}

/* ---- how long the way back is ---- */

static struct restore_plan plan_of(const char *name)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    const struct restore_ask ask = {.name = name};
    struct restore_plan plan;

    cr_assert_eq(restore_plan(v.w.x.p, v.archive, &ask, &plan, &why), 0, "%s", why.s);
    return plan;
}

Test(ship, the_way_back_grows_with_the_square_root_of_the_segments_at_most)
{
    struct restore_plan plan;
    struct digest was;
    char text[32];

    for (int i = 0; i < 400; i++) {
        snprintf(text, sizeof text, "%d", i);
        put_file(&v.w.x, "main/a", text);
        remove_file(&v.w.x, "main/a");
        put_file(&v.w.x, "main/b", text);
        ship(&v);
        if (i < 399)
            remove_file(&v.w.x, "main/b");
    }
    plan = plan_of("main");
    cr_assert_lt(plan.count, 80, "%zu steps", plan.count);
    restore_plan_release(&plan);
    was = digest_of(&v, "main");
    restores(&v, "main", atomic_load(&v.w.x.p->seq), &was);
}

/* Symbolic links with targets of that many bytes, in place of those before. */
static void put_links(unsigned count, char fill)
{
    struct state *p = v.w.x.p;
    char target[4000], name[16];
    struct vfs_attr a;

    memset(target, fill, sizeof target - 1);
    target[sizeof target - 1] = '\0';
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "l%u", i);
        (void)vfs_unlink(p, node_of(&v.w.x, "main"), name);
        cr_assert_eq(vfs_symlink(p, node_of(&v.w.x, "main"), name, target, &fixture_cred, &a), 0);
        vfs_forget(p, a.nodeid, 1);
    }
}

Test(ship, the_way_back_is_short_also_where_much_changes_in_each_segment)
{
    struct restore_plan plan;

    for (int i = 0; i < 150; i++) {
        put_links(8, (char)('a' + i % 20)); /* some 33 KiB of items */
        ship(&v);
    }
    plan = plan_of("main");
    cr_assert_lt(plan.count, 50, "%zu steps", plan.count);
    restore_plan_release(&plan);
}

/* ---- a full disk, and a full archive ---- */

static bool has_gap(void)
{
    struct shards_info info;

    cr_assert_eq(shards_info_get(v.w.x.p->shards, v.archive, &info), 0);
    return info.gap;
}

Test(ship, points_that_give_way_are_noted_before_they_are_gone_until_all_is_shipped_again)
{
    struct digest was;

    put_file(&v.w.x, "main/a", "one");
    ship(&v);
    cr_assert_not(has_gap());
    while (kept_give_back(v.w.x.p))
        ;
    cr_assert(has_gap());
    ship(&v);
    cr_assert_not(has_gap());
    was = digest_of(&v, "main");
    restores(&v, "main", atomic_load(&v.w.x.p->seq), &was);
}

/* An archive that takes nothing any more, after it got a large file, which is deleted then. */
static void fall_behind(void)
{
    put_bytes(&v.w, "main/large", LARGE, 7);
    ship(&v);
    shard_mem_set_capacity(v.mem, 1);
    remove_file(&v.w.x, "main/large");
    put_file(&v.w.x, "main/b", "two");
    cr_assert_lt(ship_step(v.w.x.p), 0);
}

Test(ship, what_an_archive_that_is_behind_holds_back_is_counted_until_it_has_all)
{
    fall_behind();
    cr_assert_geq(ship_stats_of(&v).held, LARGE);
    cr_assert_not(has_gap());
    shard_mem_set_capacity(v.mem, 0);
    ship(&v);
    cr_assert_eq(ship_stats_of(&v).held, 0);
}

Test(ship, beyond_the_backlog_points_are_let_go_and_the_namespace_is_shipped_whole)
{
    struct digest was;

    agreed(&v.w.x, "set archive_backlog 100K", "ok");
    fall_behind();
    cr_assert_eq(ship_stats_of(&v).held, 0);
    cr_assert(has_gap());
    shard_mem_set_capacity(v.mem, 0);
    ship(&v);
    cr_assert_not(has_gap());
    was = digest_of(&v, "main");
    restores(&v, "main", atomic_load(&v.w.x.p->seq), &was);
}

Test(ship, what_gave_way_and_is_dropped_before_it_was_shipped_is_in_no_segment)
{
    struct digest was;

    ship(&v);
    agreed(&v.w.x, "branch main side", "ok");
    put_file(&v.w.x, "side/a", "one");
    shard_mem_set_capacity(v.mem, 1);
    cr_assert_lt(ship_step(v.w.x.p), 0);
    while (kept_give_back(v.w.x.p))
        ;
    agreed(&v.w.x, "drop side now", "ok");
    shard_mem_set_capacity(v.mem, 0);
    ship(&v);
    was = digest_of(&v, "main");
    restores(&v, "main", atomic_load(&v.w.x.p->seq), &was);
    refused(&v.w.x, "restore side back", -ENOENT, "the archive has no namespace side now");
}
