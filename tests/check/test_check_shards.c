// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of check and repair over other shards: the tables against the entries, the bytes, what
 * nobody names, and what cannot be asked, which is no damage and costs nobody a ghost.
 */
#include "away.h"

#include "archive_store.h"
#include "repair.h"
#include "store_repair.h"

#define FILES 8

static struct away a;
#define x (a.store)

static struct entry first, big;

static void up(void)
{
    away_up(&a);
    make_files(&x, FILES);
    put_big(&x, "main/big0", 300000);
    drained(&x);
    cr_assert_eq(send(&x, "f", 0, FILES, 1), FILES);
    cr_assert_eq(send(&x, "big", 0, 1, 1), 1);
    drained(&x);
    first = place_of(&x, "main/f0");
    big = place_of(&x, "main/big0");
    cr_assert(entry_is_ghost(&first) && entry_is_ghost(&big));
    down(&x);
}
static void gone(void)
{
    away_down(&a);
}
TestSuite(check_shards, .init = up, .fini = gone);

static struct findings found;

static void look(bool all_bytes)
{
    struct check_options o = {.found = on_found, .ctx = &found, .all_bytes = all_bytes};
    struct kv *kv;

    found = (struct findings){0};
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(store_check(x.disk, kv, &o, &found.r), 0);
    kv_close(kv);
}

static void says(const char *line)
{
    cr_assert(strstr(found.text, line), "no '%s' in:\n%s", line, found.text);
}

static void nothing(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)what;
    (void)where;
    (void)sentence;
    (void)ctx;
}

static struct repair_result repaired(unsigned flags)
{
    struct repair_options o = {.flags = flags,
                               .clock = &x.clock.base,
                               .check = {.found = nothing},
                               .repaired = nothing,
                               .left = on_found};
    struct repair_result r;
    struct kv *kv;

    o.check.ctx = &found;
    found = (struct findings){0};
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &kv), 0);
    cr_assert_eq(store_repair(x.disk, kv, &o, &r), 0);
    kv_close(kv);
    return r;
}

static void change(unsigned table, const void *key, size_t klen, const void *val, size_t len)
{
    struct kv_txn *t;
    struct kv *kv;

    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &kv), 0);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    if (val)
        cr_assert_eq(kv_put(t, table, key, klen, val, len), 0);
    else
        cr_assert_eq(kv_del(t, table, key, klen), 0);
    cr_assert_eq(kv_commit(t), 0);
    kv_close(kv);
}

static uint64_t number_of_f0(void)
{
    uint8_t buf[8];
    struct kv *kv;
    size_t len;

    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(kv_get(kv, TABLE_IDS, first.id.b, ID_LEN, buf, sizeof buf, &len), 0);
    kv_close(kv);
    return get_be64(buf);
}

static void files_are(void)
{
    fixture_open(&x);
    for (int i = 0; i < FILES; i++)
        file_is(&x, i);
    down(&x);
}

/* ---- sound ---- */

Test(check_shards, a_sound_store_with_ghosts_is_clean_and_nothing_is_written)
{
    uint64_t puts = shard_mem_calls(a.cold, SHARD_MEM_PUT);
    uint64_t deletes = shard_mem_calls(a.cold, SHARD_MEM_DELETE);

    look(false);
    cr_assert_eq(found.r.problems, 0, "%s", found.text);
    cr_assert_str_empty(found.text);
    look(true);
    cr_assert_str_empty(found.text);
    cr_assert_gt(found.r.bytes, 300000);
    cr_assert_eq(shard_mem_calls(a.cold, SHARD_MEM_PUT), puts);
    cr_assert_eq(shard_mem_calls(a.cold, SHARD_MEM_DELETE), deletes);
}

Test(check_shards, only_all_bytes_reads_the_bytes)
{
    char name[DISK_NAME_MAX + 1];

    pack_name(first.where, name);
    cr_assert_eq(shard_mem_flip(a.cold, name, first.offset + PACK_RECORD_HEAD + 5, 3), 0);
    look(false);
    cr_assert_eq(found.r.problems, 0, "%s", found.text);
    look(true);
    cr_assert_eq(found.r.problems, 1, "%s", found.text);
    says("pack record|shard 1 ");
    says("main/f0");
}

/* ---- what cannot be asked ---- */

static void is_no_damage(void)
{
    look(true);
    cr_assert_eq(found.r.problems, 0, "%s", found.text);
    cr_assert_eq(found.r.unasked, FILES + 1);
    says("note|shard 1|9 objects on it were not checked");
    struct repair_result r = repaired(REPAIR_FREE_LEAKS | REPAIR_REMOVE_DANGLING);
    cr_assert_eq(r.repaired, 0);
}

Test(check_shards, a_shard_that_is_away_is_no_damage_and_no_ghost_goes)
{
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, true);
    is_no_damage();
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, false);
    files_are();
}

/* The search for the bytes of a lost object asks the shard as well; that is no object of its
 * own. */
Test(check_shards, what_a_search_cannot_ask_for_is_not_counted)
{
    uint8_t key[8], val[ENTRY_MAX];
    struct entry dying = first;

    put_be64(key, number_of_f0());
    dying.count = 0;
    change(TABLE_DYING, key, sizeof key, val, entry_encode(&dying, val));
    change(TABLE_OBJECTS, key, sizeof key, NULL, 0);
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(repaired(0).found.unasked, FILES);
}

Test(check_shards, an_empty_mount_point_is_no_damage)
{
    shard_mem_set(a.cold, SHARD_MEM_DENIES, true);
    is_no_damage();
    shard_mem_set(a.cold, SHARD_MEM_DENIES, false);
    files_are();
}

Test(check_shards, another_shard_in_its_place_is_no_damage)
{
    shard_mem_swap(a.cold, a.cool);
    is_no_damage();
    shard_mem_swap(a.cold, a.cool);
    files_are();
}

/* ---- bytes ---- */

Test(check_shards, what_the_shard_does_not_have_is_damage_with_its_paths)
{
    char name[DISK_NAME_MAX + 1];

    blob_object_name(&big.id, big.where, name);
    cr_assert_eq(shard_mem_lose(a.cold, name), 0);
    look(false);
    cr_assert_eq(found.r.problems, 1, "%s", found.text);
    says("shard 1 does not have objects/");
    says("main/big0");
    struct repair_result r = repaired(REPAIR_FREE_LEAKS);
    cr_assert_eq(r.repaired, 0);
    cr_assert_eq(r.left, 1);
}

Test(check_shards, names_that_nobody_needs_are_leaks_and_stay)
{
    char name[DISK_NAME_MAX + 1];

    pack_name(first.where + 77, name);
    plant_name("mem:cold", name, "nobody's");
    plant_name("mem:cold", "packs/letter", "not ours");
    look(false);
    cr_assert_eq(found.r.problems, 0, "%s", found.text);
    says("nothing names it; GC cycles remove it");
    says("leak|shard 1 packs/letter|it is no file of the store");
    (void)repaired(REPAIR_FREE_LEAKS);
    cr_assert(is_on("mem:cold", name));
    cr_assert(is_on("mem:cold", "packs/letter"));
}

/* ---- tables ---- */

static void is_mended(const char *line, unsigned problems)
{
    look(false);
    cr_assert_eq(found.r.problems, problems, "%s", found.text);
    says(line);
    struct repair_result r = repaired(0);
    cr_assert_gt(r.repaired, 0);
    cr_assert_eq(r.left, 0, "%s", found.text);
    look(true);
    cr_assert_str_empty(found.text);
    files_are();
}

Test(check_shards, a_ghost_that_the_index_does_not_know_is_put_there)
{
    uint8_t key[8];

    put_be64(key, number_of_f0());
    change(TABLE_GHOSTS, key, sizeof key, NULL, 0);
    is_mended("the index of ghosts does not know it", 1);
}

Test(check_shards, an_index_that_says_another_shard_is_put_right)
{
    uint8_t key[8], val[GHOST_ROW_LEN];

    put_be64(key, number_of_f0());
    ghost_row_encode(&(struct ghost_row){.shard = 2, .size = first.size}, val);
    change(TABLE_GHOSTS, key, sizeof key, val, sizeof val);
    is_mended("the index of ghosts says something else", 1);
}

Test(check_shards, what_is_no_ghost_is_taken_out_of_the_index)
{
    uint8_t key[8], val[GHOST_ROW_LEN];

    put_be64(key, 123456);
    ghost_row_encode(&(struct ghost_row){.shard = 1, .size = 5}, val);
    change(TABLE_GHOSTS, key, sizeof key, val, sizeof val);
    is_mended("the index of ghosts knows it, but it is none", 1);
}

static void key_of_row(uint8_t key[10])
{
    key[0] = 0;
    key[1] = 1;
    put_be64(key + 2, first.where);
}

Test(check_shards, a_row_that_says_something_else_is_put_right)
{
    const struct pack_entry e = {.live_records = 3, .live_bytes = 100, .file_bytes = 40000};
    uint8_t key[10], val[PACK_ENTRY_LEN];

    key_of_row(key);
    pack_entry_encode(&e, val);
    change(TABLE_SHARD_PACKS, key, sizeof key, val, sizeof val);
    is_mended("its table entry says 3 live records of 100 bytes, the objects say 8 of", 1);
}

Test(check_shards, a_row_that_does_not_decode_is_made_anew)
{
    uint8_t key[10];

    key_of_row(key);
    change(TABLE_SHARD_PACKS, key, sizeof key, "short", 5);
    is_mended("its table entry does not decode", 1);
}

Test(check_shards, a_row_that_is_lost_is_made_anew)
{
    uint8_t key[10];

    key_of_row(key);
    change(TABLE_SHARD_PACKS, key, sizeof key, NULL, 0);
    is_mended("8 records in it are named, but it is not in the table", 1);
}

Test(check_shards, tables_are_mended_also_while_the_shard_is_away)
{
    uint8_t key[10];

    key_of_row(key);
    change(TABLE_SHARD_PACKS, key, sizeof key, NULL, 0);
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(repaired(0).left, 0, "%s", found.text);
    look(false);
    cr_assert(strstr(found.text, "note|shard 1|"), "it is away: %s", found.text);
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, false);
    look(true);
    cr_assert_str_empty(found.text);
    files_are();
}

Test(check_shards, a_damaged_record_of_a_shard_is_told_and_left)
{
    static const uint8_t key[2] = {0, 1};

    change(TABLE_SHARDS, key, sizeof key, "no record", 9);
    look(false);
    cr_assert_eq(found.r.problems, 1, "%s", found.text);
    says("shard|shard 1|its record is damaged");
    says("note|shard 1|9 objects on it were not checked");
}

/* ---- archives ---- */

/* The store's own, which is closed, and one of others. */
static void in_an_archive(void)
{
    fixture_open(&x);
    becomes_archive(&x, 1, "mem:cold");
    down(&x);
}

Test(check_shards, what_others_have_in_an_archive_is_no_finding_and_stays)
{
    char name[DISK_NAME_MAX + 1];
    uint64_t deletes;

    in_an_archive();
    pack_name(first.where + 77, name);
    plant_name("mem:cold", name, "another store's");
    plant_name("mem:cold", "segments/1", "of the archive");
    deletes = shard_mem_calls(a.cold, SHARD_MEM_DELETE);
    look(true);
    cr_assert_eq(found.r.problems, 0, "%s", found.text);
    cr_assert_str_empty(found.text);
    cr_assert_gt(found.r.bytes, 300000, "ghosts there are looked at");
    (void)repaired(REPAIR_FREE_LEAKS);
    cr_assert_eq(shard_mem_calls(a.cold, SHARD_MEM_DELETE), deletes);
    cr_assert(is_on("mem:cold", name));
    files_are();
}

Test(check_shards, what_an_archive_does_not_have_is_damage)
{
    char name[DISK_NAME_MAX + 1];

    in_an_archive();
    blob_object_name(&big.id, big.where, name);
    cr_assert_eq(shard_mem_lose(a.cold, name), 0);
    look(false);
    cr_assert_eq(found.r.problems, 1, "%s", found.text);
    says("shard 1 does not have objects/");
}

Test(check_shards, an_archive_that_is_away_is_no_damage)
{
    in_an_archive();
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, true);
    is_no_damage();
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, false);
    files_are();
}

Test(check_shards, a_row_of_an_archive_is_put_right)
{
    uint8_t key[10];

    in_an_archive();
    key_of_row(key);
    change(TABLE_SHARD_PACKS, key, sizeof key, NULL, 0);
    is_mended("8 records in it are named, but it is not in the table", 1);
}
