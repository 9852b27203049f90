// SPDX-License-Identifier: Apache-2.0
/* Claims of packs.h about the rows of packs on other shards. */
#include "disk_mem.h"
#include "fault.h"
#include "kv_mem.h"
#include "packs.h"

#include <criterion/criterion.h>
#include <errno.h>

static struct fault fault;
static struct kv_mem *mem;
static struct kv *kv;
static struct disk *disk;
static struct packs *p;

static void start(void)
{
    static const struct kv_table names[] = {{.name = "packs"}, {.name = "shard_packs"}};
    cr_assert_eq(kv_open_mem(mem, names, 2, KV_CREATE, &kv), 0);
    cr_assert_eq(packs_open(disk, kv, 0, 1, 1, NULL, NULL, &p), 0);
}

static void stop(void)
{
    packs_close(p);
    kv_close(kv);
}

static void setup(void)
{
    cr_assert_eq(disk_mem_create(&fault, 0, &disk), 0);
    cr_assert_eq(kv_mem_create(&fault, &mem), 0);
    start();
}

static void teardown(void)
{
    stop();
    kv_mem_destroy(mem);
    disk_close(disk);
}

TestSuite(pack_rows, .init = setup, .fini = teardown);

static void commit(void)
{
    struct kv_txn *t;
    cr_assert_eq(packs_freeze(p), 0);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    cr_assert_eq(packs_write(p, 1, t), 0);
    cr_assert_eq(kv_commit(t), 0);
    packs_retire(p, 1);
}

static void is(uint16_t shard, uint64_t pack, uint32_t records, uint64_t bytes, uint64_t file)
{
    struct pack_entry e;
    cr_assert_eq(packs_get(p, shard, pack, &e), 0);
    cr_assert(e.live_records == records && e.live_bytes == bytes && e.file_bytes == file);
}

Test(pack_rows, records_are_counted_in_and_out)
{
    struct pack_entry left;
    cr_assert_eq(packs_count_in(p, 1, 7, 2, 100, 500), 0);
    cr_assert_eq(packs_count_in(p, 1, 7, 1, 50, 500), 0);
    is(1, 7, 3, 150, 500);
    cr_assert_eq(packs_count_out(p, 1, 7, 1, 50, &left), 0);
    cr_assert(left.live_records == 2 && left.live_bytes == 100);
    cr_assert_eq(packs_count_out(p, 1, 7, 2, 100, NULL), 0);
    is(1, 7, 0, 0, 500);
}

Test(pack_rows, more_than_there_is_is_not_counted_out_nor_more_than_fits_in)
{
    cr_assert_eq(packs_count_in(p, 1, 7, 2, 100, 500), 0);
    cr_assert_eq(packs_count_out(p, 1, 7, 3, 100, NULL), -EUCLEAN);
    cr_assert_eq(packs_count_out(p, 1, 7, 2, 101, NULL), -EUCLEAN);
    cr_assert_eq(packs_count_in(p, 1, 7, 1, 401, 500), -EUCLEAN);
    cr_assert_eq(packs_count_in(p, 1, 7, 1, 1, 501), -EUCLEAN);
    cr_assert_eq(packs_count_in(p, 1, 7, UINT32_MAX - 1, 1, 500), -EUCLEAN);
    is(1, 7, 2, 100, 500);
}

Test(pack_rows, one_that_is_not_there_is_told)
{
    struct pack_entry e;
    cr_assert_eq(packs_count_in(p, 1, 7, 2, 100, 500), 0);
    cr_assert_eq(packs_get(p, 2, 7, &e), -ENOENT);
    cr_assert_eq(packs_count_out(p, 1, 8, 1, 1, NULL), -ENOENT);
    cr_assert_eq(packs_forget(p, 7, 1), -ENOENT);
}

Test(pack_rows, a_pack_with_something_alive_is_not_forgotten)
{
    struct pack_entry e;
    cr_assert_eq(packs_count_in(p, 1, 7, 1, 100, 500), 0);
    cr_assert_eq(packs_forget(p, 1, 7), -EBUSY);
    cr_assert_eq(packs_count_out(p, 1, 7, 1, 100, NULL), 0);
    commit();
    cr_assert_eq(packs_forget(p, 1, 7), 0);
    cr_assert_eq(packs_get(p, 1, 7, &e), -ENOENT);
}

Test(pack_rows, they_are_walked_by_shard_and_number_over_changes_and_what_is_stored)
{
    static const struct {
        uint16_t shard;
        uint64_t pack;
    } all[] = {{1, 7}, {1, UINT64_C(1) << 40}, {2, 1}, {300, 3}};
    struct pack_info k = {.number = 0};

    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(packs_count_in(p, all[3 - i].shard, all[3 - i].pack, 1, 1, 99), 0);
        if (i == 1)
            commit();
    }
    for (size_t i = 0; i < 4; i++) {
        uint64_t after = i && all[i].shard == all[i - 1].shard ? k.number : 0;
        cr_assert_eq(packs_next_closed(p, all[i].shard, after, &k), 0);
        cr_assert(k.number == all[i].pack && k.entry.file_bytes == 99);
        if (i == 3 || all[i].shard != all[i + 1].shard)
            cr_assert_eq(packs_next_closed(p, all[i].shard, k.number, &k), -ENOENT);
        cr_assert_eq(k.number, all[i].pack);
    }
    cr_assert_eq(packs_next_closed(p, 0, 0, &k), -ENOENT, "none is at home");
}

Test(pack_rows, what_was_committed_is_there_after_a_restart_and_nothing_else)
{
    struct pack_entry e;
    cr_assert_eq(packs_count_in(p, 1, 7, 2, 100, 500), 0);
    commit();
    cr_assert_eq(packs_changes(p), 0);
    cr_assert_eq(packs_count_out(p, 1, 7, 1, 50, NULL), 0);
    cr_assert_eq(packs_count_in(p, 1, 8, 1, 1, 99), 0);
    cr_assert_eq(packs_changes(p), 2);
    stop();
    start();
    is(1, 7, 2, 100, 500);
    cr_assert_eq(packs_get(p, 1, 8, &e), -ENOENT);
}

Test(pack_rows, a_damaged_row_is_told)
{
    uint8_t key[10] = {[1] = 1, [9] = 7};
    struct pack_entry e;
    struct pack_info k;
    struct kv_txn *t;
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    cr_assert_eq(kv_put(t, 1, key, sizeof key, "too short", 9), 0);
    cr_assert_eq(kv_commit(t), 0);
    cr_assert_eq(packs_get(p, 1, 7, &e), -EUCLEAN);
    cr_assert_eq(packs_count_in(p, 1, 7, 1, 1, 99), -EUCLEAN);
    cr_assert_eq(packs_count_out(p, 1, 7, 1, 1, NULL), -EUCLEAN);
    cr_assert_eq(packs_forget(p, 1, 7), -EUCLEAN);
    cr_assert_eq(packs_next_closed(p, 1, 0, &k), -EUCLEAN);
}
