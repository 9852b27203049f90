// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of scrubs over ghosts: they are read where they are; what cannot be asked is counted and is
 * no damage; what a shard does not have, or has wrongly, is, with the paths of those who use it.
 */
#include "away.h"

#include "scrub.h"

#define FILES 8

static struct away a;
#define x (a.store)

static void up(void)
{
    away_up(&a);
    make_files(&x, FILES);
    put_big(&x, "main/big0", 300000);
    drained(&x);
    cr_assert_eq(send(&x, "f", 0, FILES, 1), FILES);
    cr_assert_eq(send(&x, "big", 0, 1, 1), 1);
    drained(&x);
}
static void gone(void)
{
    away_down(&a);
}
TestSuite(scrub_shards, .init = up, .fini = gone);

static struct scrub_record record(void)
{
    struct scrub_record r;

    scrub_get(x.p, &r, NULL);
    return r;
}

static char said[4096];

/* One whole scrub; what it said. */
static struct scrub_counts scrub(void)
{
    (void)say(&x, "scrub wait", said);
    cr_assert_eq(record().phase, SCRUB_NONE);
    return record().last;
}

Test(scrub_shards, ghosts_are_read_where_they_are)
{
    uint64_t reads = shard_mem_calls(a.cold, SHARD_MEM_RANGE);
    struct scrub_counts c = scrub();

    cr_assert_eq(c.damaged, 0, "%s", said);
    cr_assert_eq(c.unasked, 0);
    cr_assert_eq(c.objects, FILES + 1);
    cr_assert_gt(shard_mem_calls(a.cold, SHARD_MEM_RANGE), reads);
}

Test(scrub_shards, a_shard_that_can_verifies_them_itself_and_no_byte_is_read)
{
    uint64_t reads = shard_mem_calls(a.cold, SHARD_MEM_RANGE);
    uint64_t verified = shard_mem_calls(a.cold, SHARD_MEM_VERIFY);

    shard_mem_set(a.cold, SHARD_MEM_VERIFIES, true);
    struct scrub_counts c = scrub();
    cr_assert_eq(c.damaged, 0, "%s", said);
    cr_assert_eq(c.objects, FILES + 1);
    cr_assert_eq(shard_mem_calls(a.cold, SHARD_MEM_RANGE), reads);
    verified = shard_mem_calls(a.cold, SHARD_MEM_VERIFY) - verified;
    cr_assert_eq(verified, 3, "a pack, a file, and its sums");
}

Test(scrub_shards, where_a_shard_finds_other_bytes_they_are_read_to_see_whose_they_are)
{
    struct entry e = place_of(&x, "main/f3");
    char name[DISK_NAME_MAX + 1];

    shard_mem_set(a.cold, SHARD_MEM_VERIFIES, true);
    pack_name(e.where, name);
    cr_assert_eq(shard_mem_flip(a.cold, name, e.offset + PACK_RECORD_HEAD + 5, 3), 0);
    cr_assert_eq(scrub().damaged, 1, "%s", said);
    cr_assert(strstr(said, "is used by main/f3"), "%s", said);
}

static void lose_entry(uint64_t number)
{
    struct kv_txn *t;
    uint8_t key[8];

    put_be64(key, number);
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_del(t, TABLE_OBJECTS, key, sizeof key), 0);
    cr_assert_eq(kv_commit(t), 0);
}

/* One that is a record of a pack there, and one that is a file. */
Test(scrub_shards, a_rebuild_finds_lost_entries_of_ghosts_on_their_shard)
{
    static const char *const paths[] = {"main/f1", "main/big0"};
    struct entry e[2], now;
    uint64_t number[2];

    for (int i = 0; i < 2; i++) {
        number[i] = object_of(&x, paths[i]);
        e[i] = place_of(&x, paths[i]);
        lose_entry(number[i]);
        cr_assert_eq(try_read(&x, paths[i]), -EUCLEAN);
    }
    agreed(&x, "rebuild wait", "ok changed=");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(object_of(&x, paths[i]), number[i]);
        now = place_of(&x, paths[i]);
        cr_assert(entry_same_place(&now, &e[i]) && now.shard == 1 && now.count == e[i].count);
        cr_assert_gt(try_read(&x, paths[i]), 0);
    }
    file_is(&x, 1);
    agreed(&x, "rebuild wait", "ok changed=0 ");
    cr_assert_eq(scrub().damaged, 0, "%s", said);
}

Test(scrub_shards, what_cannot_be_asked_is_counted_and_is_no_damage)
{
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, true);
    struct scrub_counts c = scrub();
    cr_assert_eq(c.damaged, 0, "%s", said);
    cr_assert_eq(c.unasked, FILES + 1);
    cr_assert_eq(c.objects, 0);
    cr_assert(strstr(said, "unasked=9"), "%s", said);
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    (void)shards_look(x.p->shards);
    cr_assert_eq(scrub().unasked, 0);
    cr_assert_eq(record().last.objects, FILES + 1);
    fixture_reopen(&x);
    cr_assert_eq(record().last.objects, FILES + 1, "it is remembered");
}

Test(scrub_shards, an_empty_mount_point_is_no_damage)
{
    shard_mem_set(a.cold, SHARD_MEM_DENIES, true);
    struct scrub_counts c = scrub();
    cr_assert_eq(c.damaged, 0, "%s", said);
    cr_assert_eq(c.unasked, FILES + 1);
}

Test(scrub_shards, what_the_right_shard_does_not_have_is_damage_with_its_paths)
{
    struct entry e = place_of(&x, "main/big0");
    char name[DISK_NAME_MAX + 1];

    blob_object_name(&e.id, e.where, name);
    cr_assert_eq(shard_mem_lose(a.cold, name), 0);
    cr_assert_eq(scrub().damaged, 1, "%s", said);
    cr_assert(strstr(said, "is used by main/big0"), "%s", said);
    cr_assert(strstr(said, "shard 1: objects/"), "%s", said);
}

Test(scrub_shards, a_wrong_bit_is_damage_with_its_paths)
{
    struct entry e = place_of(&x, "main/f3");
    char name[DISK_NAME_MAX + 1];

    pack_name(e.where, name);
    cr_assert_eq(shard_mem_flip(a.cold, name, e.offset + PACK_RECORD_HEAD + 5, 3), 0);
    cr_assert_eq(scrub().damaged, 1, "%s", said);
    cr_assert(strstr(said, "is used by main/f3"), "%s", said);
}
