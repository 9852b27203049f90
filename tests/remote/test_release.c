// SPDX-License-Identifier: Apache-2.0
/* Claims of releases: dead bytes on a shard go when it can be asked, and nothing else does. */
#include "move_fixture.h"

#include "archive_store.h"
#include "report.h"

static struct world w;

static void up(void)
{
    world_up(&w);
    put_bytes(&w, "main/a", 1000, 1);
    put_bytes(&w, "main/b", 1000, 2);
    put_bytes(&w, "main/large", LARGE, 3);
    settle(&w);
    agreed(&w.x, "move main/ 1 wait", "objects=3 ");
}
static void down_all(void)
{
    world_down(&w);
}

TestSuite(release, .init = up, .fini = down_all);

static void heals(void)
{
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&w.x.clock, 10 * NSEC_PER_SEC);
    shards_step(w.x.p);
}

static void nothing_is_left(void)
{
    cr_assert_eq(refs_dead_ghosts(w.x.p->refs), 0);
    cr_assert_eq(names_in("mem:cold", "packs"), 0);
    cr_assert_eq(names_in("mem:cold", "objects"), 0);
}

Test(release, a_drain_waits_for_shards_that_answer)
{
    remove_file(&w.x, "main/large");
    settle(&w);
    cr_assert_eq(names_in("mem:cold", "objects"), 0);
    remove_file(&w.x, "main/a");
    settle(&w);
    cr_assert_eq(names_in("mem:cold", "packs"), 1); /* b is in it */
    has_bytes(&w, "main/b", 1000, 2);
    remove_file(&w.x, "main/b");
    settle(&w);
    nothing_is_left();
    struct pack_info row;
    cr_assert_eq(packs_next_closed(w.x.p->packs, 1, 0, &row), -ENOENT);
}

Test(release, what_dies_while_the_shard_is_away_goes_when_it_is_back)
{
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    remove_file(&w.x, "main/large");
    remove_file(&w.x, "main/a");
    remove_file(&w.x, "main/b");
    settle(&w); /* is not held up */
    cr_assert_eq(ghosts_on(&w, 1), 0);
    shards_step(w.x.p);
    cr_assert_eq(refs_dead_ghosts(w.x.p->refs), 1); /* of small ones the pack is remembered */
    heals();
    nothing_is_left();
}

Test(release, it_is_remembered_over_restarts)
{
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    remove_file(&w.x, "main/large");
    remove_file(&w.x, "main/a");
    remove_file(&w.x, "main/b");
    settle(&w);
    world_dies(&w);
    cr_assert_eq(refs_dead_ghosts(w.x.p->refs), 1);
    fixture_reopen(&w.x);
    cr_assert_eq(refs_dead_ghosts(w.x.p->refs), 1);
    heals();
    nothing_is_left();
}

/* Deleted there, and the process dies before the commit that knows it. */
Test(release, once_more_after_a_death_is_fine)
{
    uint64_t left;

    remove_file(&w.x, "main/large");
    remove_file(&w.x, "main/a");
    remove_file(&w.x, "main/b");
    cr_assert_eq(flush_now(w.x.p), 0);
    cr_assert_eq(release_pass(w.x.p, 0, &left), 0);
    cr_assert_eq(left, 0);
    nothing_is_left();
    world_dies(&w);
    cr_assert_eq(refs_dead_ghosts(w.x.p->refs), 3);
    settle(&w);
    nothing_is_left();
    cr_assert_eq(packs_changes(w.x.p->packs), 0);
}

Test(release, a_shard_that_is_only_read_is_left_alone)
{
    uint64_t left;

    shard_mem_set(w.cold, SHARD_MEM_READONLY, true);
    remove_file(&w.x, "main/large");
    remove_file(&w.x, "main/a");
    settle(&w);
    cr_assert_eq(release_pass(w.x.p, 0, &left), 0);
    cr_assert_eq(left, 1);
    cr_assert_eq(names_in("mem:cold", "objects"), 2);
    has_bytes(&w, "main/b", 1000, 2);
    shard_mem_set(w.cold, SHARD_MEM_READONLY, false);
    fixture_reopen(&w.x);
    remove_file(&w.x, "main/b");
    settle(&w);
    nothing_is_left();
}

Test(release, one_that_is_away_does_not_keep_others)
{
    put_bytes(&w, "main/c", 1000, 4);
    settle(&w);
    agreed(&w.x, "move main/c 2 wait", "objects=1 ");
    uint64_t there = shard_mem_count(w.cold);

    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    remove_file(&w.x, "main/a");
    remove_file(&w.x, "main/c");
    settle(&w);
    cr_assert_eq(names_in("mem:other", "packs"), 0);
    remove_file(&w.x, "main/b");
    remove_file(&w.x, "main/large");
    settle(&w);
    cr_assert_eq(shard_mem_count(w.cold), there, "it is away");
    heals();
    nothing_is_left();
}

Test(release, a_dropped_namespace_takes_its_ghosts_along)
{
    agreed(&w.x, "branch main dev", "ok");
    agreed(&w.x, "drop main", "ok");
    settle(&w);
    cr_assert_eq(ghosts_on(&w, 1), 3);
    has_bytes(&w, "dev/a", 1000, 1);
    agreed(&w.x, "drop dev", "ok");
    settle(&w);
    nothing_is_left();
}

Test(release, an_open_file_keeps_its_bytes)
{
    uint8_t buf[1000], want[1000];
    struct vfs_file *f;

    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/a"), 0, &f), 0);
    remove_file(&w.x, "main/a");
    remove_file(&w.x, "main/b");
    settle(&w);
    fill(want, sizeof want, 1);
    cr_assert_eq(vfs_read(f, buf, sizeof buf, 0), (ssize_t)sizeof buf);
    cr_assert_eq(memcmp(buf, want, sizeof buf), 0);
    vfs_release(f);
    settle(&w);
    cr_assert_eq(names_in("mem:cold", "packs"), 0);
}

/* A pass on the shard, whose first deletion fails. */
static void fails_on(uint16_t shard)
{
    struct fault *f = &w.x.fault;
    uint64_t left;

    f->loss = FAULT_LOSE_ALL;
    f->fail_at = atomic_load(&f->writes) + 1;
    cr_assert_eq(release_pass(w.x.p, shard, &left), 0);
    cr_assert(fault_fired(f));
    f->fail_at = 0;
    cr_assert_eq(left, 1);
}

Test(release, a_failure_is_reported_once_for_each_shard_until_a_pass_succeeds)
{
    uint64_t left, before;

    put_bytes(&w, "main/elsewhere", LARGE, 4);
    put_bytes(&w, "main/later", LARGE, 5);
    settle(&w);
    agreed(&w.x, "move main/elsewhere 2 wait", "objects=1 ");
    agreed(&w.x, "move main/later 1 wait", "objects=1 ");
    remove_file(&w.x, "main/large");
    remove_file(&w.x, "main/elsewhere");
    cr_assert_eq(flush_now(w.x.p), 0);
    before = report_count(REPORT_WARN);
    for (unsigned turn = 0; turn < 3; turn++) {
        fails_on(1);
        fails_on(2);
    }
    cr_assert_eq(report_count(REPORT_WARN), before + 2);
    cr_assert_eq(release_pass(w.x.p, 1, &left), 0);
    cr_assert_eq(left, 0);
    remove_file(&w.x, "main/later");
    cr_assert_eq(flush_now(w.x.p), 0);
    fails_on(1);
    fails_on(2);
    cr_assert_eq(report_count(REPORT_WARN), before + 3);
}

/* ---- archives ---- */

static void all_die(void)
{
    remove_file(&w.x, "main/a");
    remove_file(&w.x, "main/b");
    remove_file(&w.x, "main/large");
}

static void archive_is_whole_and_forgotten(uint64_t deletes)
{
    struct pack_info row;

    cr_assert_eq(refs_dead_ghosts(w.x.p->refs), 0);
    cr_assert_eq(ghosts_on(&w, 1), 0);
    cr_assert_eq(packs_next_closed(w.x.p->packs, 1, 0, &row), -ENOENT);
    cr_assert_eq(shard_mem_calls(w.cold, SHARD_MEM_DELETE), deletes);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    cr_assert_eq(names_in("mem:cold", "packs"), 1);
    cr_assert_eq(names_in("mem:cold", "objects"), 2);
}

Test(release, in_an_archive_nothing_is_deleted_and_all_is_forgotten)
{
    becomes_archive(&w.x, 1, "mem:cold");
    uint64_t deletes = shard_mem_calls(w.cold, SHARD_MEM_DELETE);

    remove_file(&w.x, "main/a");
    settle(&w);
    has_bytes(&w, "main/b", 1000, 2);
    cr_assert_eq(shards_allow(w.x.p->shards, 1, UINT64_C(1) << 40), 0);
    remove_file(&w.x, "main/b");
    remove_file(&w.x, "main/large");
    settle(&w);
    archive_is_whole_and_forgotten(deletes);
    struct findings f;
    down_clean(&w.x);
    is_clean(&w.x, &f);
}

Test(release, what_dies_in_an_archive_that_is_away_is_forgotten_at_once)
{
    becomes_archive(&w.x, 1, "mem:cold");
    uint64_t deletes = shard_mem_calls(w.cold, SHARD_MEM_DELETE);

    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    all_die();
    settle(&w);
    shards_step(w.x.p);
    archive_is_whole_and_forgotten(deletes);
}

/* The last commit has the dead ghosts, and the process dies before the next one. */
Test(release, of_an_archive_once_more_after_a_death_is_fine)
{
    uint64_t left;

    becomes_archive(&w.x, 1, "mem:cold");
    uint64_t deletes = shard_mem_calls(w.cold, SHARD_MEM_DELETE);

    all_die();
    cr_assert_eq(flush_now(w.x.p), 0);
    cr_assert_eq(release_pass(w.x.p, 0, &left), 0);
    cr_assert_eq(left, 0);
    world_dies(&w);
    cr_assert_eq(refs_dead_ghosts(w.x.p->refs), 3);
    settle(&w);
    archive_is_whole_and_forgotten(deletes);
}

Test(release, a_row_of_an_archive_without_live_records_goes)
{
    struct pack_entry e;

    becomes_archive(&w.x, 1, "mem:cold");
    uint64_t deletes = shard_mem_calls(w.cold, SHARD_MEM_DELETE), left;

    cr_assert_eq(packs_count_in(w.x.p->packs, 1, 77, 1, 10, 100), 0);
    cr_assert_eq(packs_count_out(w.x.p->packs, 1, 77, 1, 10, &e), 0);
    cr_assert_eq(release_pass(w.x.p, 1, &left), 0);
    cr_assert_eq(packs_get(w.x.p->packs, 1, 77, &e), -ENOENT);
    cr_assert_eq(shard_mem_calls(w.cold, SHARD_MEM_DELETE), deletes);
}
