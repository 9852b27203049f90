// SPDX-License-Identifier: Apache-2.0
/* Claims of shard_packs.h. */
#include "fault.h"
#include "kv_mem.h"
#include "shard_packs.h"

#include <criterion/criterion.h>
#include <errno.h>

static struct fault fault;
static struct kv_mem *mem;
static struct kv *kv;
static struct shard_packs *p;

static void start(void)
{
    static const struct kv_table names[] = {{.name = "shard_packs"}};
    cr_assert_eq(kv_open_mem(mem, names, 1, KV_CREATE, &kv), 0);
    cr_assert_eq(shard_packs_open(kv, 0, &p), 0);
}

static void stop(void)
{
    shard_packs_close(p);
    kv_close(kv);
}

static void setup(void)
{
    cr_assert_eq(kv_mem_create(&fault, &mem), 0);
    start();
}

static void teardown(void)
{
    stop();
    kv_mem_destroy(mem);
}

TestSuite(shard_packs, .init = setup, .fini = teardown);

static void commit(void)
{
    struct kv_txn *t;
    cr_assert_eq(shard_packs_freeze(p), 0);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    cr_assert_eq(shard_packs_write(p, 1, t), 0);
    cr_assert_eq(kv_commit(t), 0);
    shard_packs_retire(p, 1);
}

static void is(uint16_t shard, uint64_t pack, uint32_t records, uint64_t bytes, uint64_t file)
{
    struct pack_entry e;
    cr_assert_eq(shard_packs_get(p, shard, pack, &e), 0);
    cr_assert(e.live_records == records && e.live_bytes == bytes && e.file_bytes == file);
}

Test(shard_packs, records_are_counted_in_and_out)
{
    struct pack_entry left;
    cr_assert_eq(shard_packs_add(p, 1, 7, 2, 100, 500), 0);
    cr_assert_eq(shard_packs_add(p, 1, 7, 1, 50, 500), 0);
    is(1, 7, 3, 150, 500);
    cr_assert_eq(shard_packs_count_out(p, 1, 7, 1, 50, &left), 0);
    cr_assert(left.live_records == 2 && left.live_bytes == 100);
    cr_assert_eq(shard_packs_count_out(p, 1, 7, 2, 100, NULL), 0);
    is(1, 7, 0, 0, 500);
}

Test(shard_packs, more_than_there_is_is_not_counted_out_nor_more_than_fits_in)
{
    cr_assert_eq(shard_packs_add(p, 1, 7, 2, 100, 500), 0);
    cr_assert_eq(shard_packs_count_out(p, 1, 7, 3, 100, NULL), -EUCLEAN);
    cr_assert_eq(shard_packs_count_out(p, 1, 7, 2, 101, NULL), -EUCLEAN);
    cr_assert_eq(shard_packs_add(p, 1, 7, 1, 401, 500), -EUCLEAN);
    cr_assert_eq(shard_packs_add(p, 1, 7, 1, 1, 501), -EUCLEAN);
    cr_assert_eq(shard_packs_add(p, 1, 7, UINT32_MAX - 1, 1, 500), -EUCLEAN);
    is(1, 7, 2, 100, 500);
}

Test(shard_packs, one_that_is_not_there_is_told)
{
    struct pack_entry e;
    cr_assert_eq(shard_packs_add(p, 1, 7, 2, 100, 500), 0);
    cr_assert_eq(shard_packs_get(p, 2, 7, &e), -ENOENT);
    cr_assert_eq(shard_packs_count_out(p, 1, 8, 1, 1, NULL), -ENOENT);
    cr_assert_eq(shard_packs_forget(p, 7, 1), -ENOENT);
}

Test(shard_packs, a_pack_with_something_alive_is_not_forgotten)
{
    struct pack_entry e;
    cr_assert_eq(shard_packs_add(p, 1, 7, 1, 100, 500), 0);
    cr_assert_eq(shard_packs_forget(p, 1, 7), -EBUSY);
    cr_assert_eq(shard_packs_count_out(p, 1, 7, 1, 100, NULL), 0);
    commit();
    cr_assert_eq(shard_packs_forget(p, 1, 7), 0);
    cr_assert_eq(shard_packs_get(p, 1, 7, &e), -ENOENT);
}

Test(shard_packs, they_are_walked_by_shard_and_number_over_changes_and_what_is_stored)
{
    static const struct {
        uint16_t shard;
        uint64_t pack;
    } all[] = {{1, 7}, {1, UINT64_C(1) << 40}, {2, 1}, {300, 3}};
    uint16_t shard = 0;
    uint64_t pack = 0;
    struct pack_entry e;

    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(shard_packs_add(p, all[3 - i].shard, all[3 - i].pack, 1, 1, 99), 0);
        if (i == 1)
            commit();
    }
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(shard_packs_next(p, &shard, &pack, &e), 0);
        cr_assert(shard == all[i].shard && pack == all[i].pack && e.file_bytes == 99);
    }
    cr_assert_eq(shard_packs_next(p, &shard, &pack, &e), -ENOENT);
    cr_assert(shard == 300 && pack == 3);
}

Test(shard_packs, what_was_committed_is_there_after_a_restart_and_nothing_else)
{
    struct pack_entry e;
    cr_assert_eq(shard_packs_add(p, 1, 7, 2, 100, 500), 0);
    commit();
    cr_assert_eq(shard_packs_changes(p), 0);
    cr_assert_eq(shard_packs_count_out(p, 1, 7, 1, 50, NULL), 0);
    cr_assert_eq(shard_packs_add(p, 1, 8, 1, 1, 99), 0);
    cr_assert_eq(shard_packs_changes(p), 2);
    stop();
    start();
    is(1, 7, 2, 100, 500);
    cr_assert_eq(shard_packs_get(p, 1, 8, &e), -ENOENT);
}

Test(shard_packs, a_damaged_row_is_told)
{
    uint8_t key[10] = {[1] = 1, [9] = 7};
    struct pack_entry e;
    struct kv_txn *t;
    uint16_t shard = 0;
    uint64_t pack = 0;
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    cr_assert_eq(kv_put(t, 0, key, sizeof key, "too short", 9), 0);
    cr_assert_eq(kv_commit(t), 0);
    cr_assert_eq(shard_packs_get(p, 1, 7, &e), -EUCLEAN);
    cr_assert_eq(shard_packs_add(p, 1, 7, 1, 1, 99), -EUCLEAN);
    cr_assert_eq(shard_packs_count_out(p, 1, 7, 1, 1, NULL), -EUCLEAN);
    cr_assert_eq(shard_packs_forget(p, 1, 7), -EUCLEAN);
    cr_assert_eq(shard_packs_next(p, &shard, &pack, &e), -EUCLEAN);
}
