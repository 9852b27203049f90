// SPDX-License-Identifier: Apache-2.0
/* Claims about a repair of tables of which rows are lost, because their file was damaged. */
#include "repair_fixture.h"

static struct fixture x;

static void lose_page_counts(void)
{
    uint8_t key[8];
    struct kv_txn *t;
    struct kv *kv;

    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &kv), 0);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    for (uint64_t page = 1; page < 100; page++) {
        put_be64(key, page);
        cr_assert_eq(kv_del(t, TABLE_PAGE_COUNTS, key, sizeof key), 0);
    }
    cr_assert_eq(kv_commit(t), 0);
    kv_close(kv);
}

Test(repair_saved, what_waits_in_the_log_is_not_written_over_pages_that_branches_share)
{
    struct said s;

    fixture_setup(&x);
    put_file(&x, "main/before", "of both");
    agreed(&x, "branch main dev\n", "ok");
    cr_assert_eq(flush_now(x.p), 0);
    put_file(&x, "main/after", "of one");
    cr_assert_eq(flush_sync(x.p), 0);
    store_abandon(x.p); /* killed */
    kv_close(x.kv);
    lose_page_counts();
    repair(&x, REPAIR_SALVAGED, &s);
    fixture_open(&x);
    read_file(&x, "main/before", "of both");
    read_file(&x, "main/after", "of one");
    read_file(&x, "dev/before", "of both");
    cr_assert_eq(node_of(&x, "dev/after"), 0, "the branch has what was written after it");
    fixture_teardown(&x);
}

static void damage_page_counts(void)
{
    unsigned damaged = 0;

    for (uint64_t page = 1; page < 100; page++) {
        uint8_t key[8];

        put_be64(key, page);
        damaged += kv_mem_flip(x.mem, TABLE_PAGE_COUNTS, key, sizeof key, 0, 0) == 0;
    }
    cr_assert_gt(damaged, 0);
}

Test(repair_saved, damaged_counts_of_pages_do_not_cost_what_waits_in_the_log)
{
    struct findings f;
    struct said s;

    fixture_setup(&x);
    put_file(&x, "main/before", "of both");
    agreed(&x, "branch main dev\n", "ok");
    cr_assert_eq(flush_now(x.p), 0);
    put_file(&x, "main/after", "of one");
    cr_assert_eq(flush_sync(x.p), 0);
    store_abandon(x.p); /* killed */
    kv_close(x.kv);
    damage_page_counts();
    repair(&x, 0, &s);
    cr_assert(strstr(s.repaired, "are replayed"), "%s", s.repaired);
    is_clean(&x, &f);
    fixture_open(&x);
    read_file(&x, "main/before", "of both");
    read_file(&x, "main/after", "of one");
    read_file(&x, "dev/before", "of both");
    cr_assert_eq(node_of(&x, "dev/after"), 0, "the branch has what was written after it");
    fixture_teardown(&x);
}

/* Its rows have the keys of other pages, by one bit: kv adds a checksum that covers the key. */
static void misplace_page_counts(void)
{
    unsigned misplaced = 0;

    for (uint64_t page = 1; page < 100; page++) {
        uint8_t key[8], val[4];
        struct kv_txn *t;
        struct kv *kv;
        size_t len;

        put_be64(key, page);
        cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &kv), 0);
        if (kv_get(kv, TABLE_PAGE_COUNTS, key, sizeof key, val, sizeof val, &len) == 0) {
            cr_assert_eq(kv_txn_begin(kv, &t), 0);
            cr_assert_eq(kv_del(t, TABLE_PAGE_COUNTS, key, sizeof key), 0);
            put_be64(key, page ^ 1 << 10);
            cr_assert_eq(kv_put(t, TABLE_PAGE_COUNTS, key, sizeof key, val, len), 0);
            cr_assert_eq(kv_commit(t), 0);
            misplaced++;
        }
        kv_close(kv);
        if (get_be64(key) != page)
            cr_assert_eq(kv_mem_flip(x.mem, TABLE_PAGE_COUNTS, key, sizeof key, 4, 0), 0);
    }
    cr_assert_gt(misplaced, 0);
}

Test(repair_saved, counts_at_other_pages_are_counted_again_before_the_log_is_replayed)
{
    struct findings f;
    struct said s;

    fixture_setup(&x);
    put_file(&x, "main/before", "of both");
    agreed(&x, "branch main dev\n", "ok");
    cr_assert_eq(flush_now(x.p), 0);
    put_file(&x, "main/after", "of one");
    cr_assert_eq(flush_sync(x.p), 0);
    store_abandon(x.p); /* killed */
    kv_close(x.kv);
    misplace_page_counts();
    repair(&x, REPAIR_SALVAGED, &s);
    is_clean(&x, &f);
    fixture_open(&x);
    read_file(&x, "dev/before", "of both");
    read_file(&x, "main/after", "of one");
    cr_assert_eq(node_of(&x, "dev/after"), 0, "the branch has what was written after it");
    fixture_teardown(&x);
}

/* A store with such a row cannot be mounted, so it does not stay. */
Test(repair_saved, a_damaged_count_of_a_page_is_replaced_also_while_damage_hides_references)
{
    struct kv_each e = {.table = TABLE_PAGE_COUNTS, .strict = true};
    uint8_t key[8];
    struct said s;
    struct ns *ns;

    fixture_setup(&x);
    make_dir(&x, "other");
    put_file(&x, "main/before", "of both");
    agreed(&x, "branch main dev\n", "ok");
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(ns_get_by_name(x.p, "other", &ns), 0);
    put_be64(key, ns->tree.root);
    ns_put(x.p, ns);
    down(&x);
    damage_page_counts();
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_PAGES, key, sizeof key, 50, 0), 0);
    repair(&x, 0, &s);
    cr_assert_gt(s.r.left, 0, "the page is damaged");
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &x.kv), 0);
    cr_assert_eq(kv_snap_begin(x.kv, &e.snap), 0);
    while (kv_next(&e))
        cr_assert_geq(get_le32(e.val), 2 + (1 << 20), "it is lower than what may be hidden");
    cr_assert_eq(e.err, 0);
    kv_snap_end(e.snap);
    kv_close(x.kv);
    fixture_open(&x);
    read_file(&x, "main/before", "of both");
    read_file(&x, "dev/before", "of both");
    fixture_teardown(&x);
}

/* A store that was killed, with a page of `main` damaged: one change of `other` waits before a
 * change of `main`, and one behind it. */
static void kill_with_a_damaged_page(void)
{
    uint8_t key[8];
    struct ns *ns;

    fixture_setup(&x);
    make_dir(&x, "other");
    put_file(&x, "main/before", "of both");
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    put_be64(key, ns->tree.root);
    ns_put(x.p, ns);
    put_file(&x, "other/after", "of one");
    put_file(&x, "main/lost", "of one");
    put_file(&x, "other/lost", "of one");
    cr_assert_eq(flush_sync(x.p), 0);
    store_abandon(x.p);
    kv_close(x.kv);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_PAGES, key, sizeof key, 50, 0), 0);
}

/* Of the changes that a damaged page keeps from being made, none is; those before them are. */
Test(repair_saved, what_the_log_has_before_a_change_that_cannot_be_made_is_kept)
{
    struct said s;

    kill_with_a_damaged_page();
    repair(&x, 0, &s);
    cr_assert(strstr(s.repaired, "changes are replayed, the changes behind number "), "%s",
              s.repaired);
    cr_assert(strstr(s.repaired, "are lost, they cannot be made; the segments are kept"), "%s",
              s.repaired);
    fixture_open(&x);
    read_file(&x, "other/after", "of one");
    cr_assert_eq(node_of(&x, "other/lost"), 0, "only what came before");
    fixture_teardown(&x);
}

/* True: it was cut off. */
static bool repair_is_cut(uint64_t at, enum fault_loss loss)
{
    struct said s;
    bool cut;

    fault_reset(&x.fault);
    x.fault.fail_at = at;
    x.fault.cut = true;
    x.fault.error = EIO;
    x.fault.loss = loss;
    x.fault.seed = at;
    (void)try_repair(&x, 0, &s);
    cut = fault_fired(&x.fault);
    disk_mem_power_cycle(x.disk);
    fault_reset(&x.fault);
    return cut;
}

static void loses_nothing_when_cut(enum fault_loss loss)
{
    bool cut = true;
    uint64_t at;

    for (at = 1; cut; at++) {
        struct said s;

        kill_with_a_damaged_page();
        cut = repair_is_cut(at, loss);
        repair(&x, 0, &s);
        fixture_open(&x);
        read_file(&x, "other/after", "of one");
        cr_assert_eq(node_of(&x, "other/lost"), 0, "only what came before");
        fixture_teardown(&x);
    }
    cr_assert_gt(at, 5, "only %llu writes", (unsigned long long)at);
}

Test(repair_saved, a_repair_that_is_cut_off_loses_nothing_of_it)
{
    loses_nothing_when_cut(FAULT_LOSE_ALL);
    loses_nothing_when_cut(FAULT_LOSE_SOME);
    loses_nothing_when_cut(FAULT_KEEP_ALL);
}
