// SPDX-License-Identifier: Apache-2.0
/* test_check: a clean store is clean; one flipped bit, and check names that very item. */
#include "check_fixture.h"
#include "compressed.h"
#include "ns_drop.h"

/* ---- clean ---- */

Test(check, a_new_store_is_clean)
{
    struct fixture x;
    struct findings f;

    fixture_setup(&x);
    down_clean(&x);
    is_clean(&x, &f);
    cr_assert_eq(f.r.namespaces, 1);
    cr_assert_eq(f.r.pages, 1);
    cr_assert_eq(f.r.objects, 0);
    fixture_teardown(&x);
}

Test(check, a_store_with_files_and_branches_is_clean_and_counted)
{
    struct fixture x;
    struct findings f;

    setup(&x);
    is_clean(&x, &f);
    cr_assert_eq(f.r.namespaces, 3);
    cr_assert_eq(f.r.objects, 152);
    cr_assert_geq(f.r.bytes, 300000);
    fixture_teardown(&x);
}

Test(check, a_store_whose_namespaces_were_dropped_is_clean)
{
    struct fixture x;
    struct findings f;
    uint32_t open;

    fixture_setup(&x);
    populate(&x);
    cr_assert_eq(ns_drop(x.p, "same", false, false, false, &open), 0);
    cr_assert_eq(ns_drop(x.p, "main", false, false, false, &open), 0);
    cr_assert_eq(ns_drop(x.p, "other", false, false, false, &open), 0);
    down_clean(&x);
    is_clean(&x, &f);
    cr_assert_eq(f.r.pages, 0);
    cr_assert_eq(f.r.objects, 0);
    fixture_teardown(&x);
}

Test(check, a_store_left_with_drops_and_slots_is_no_damage)
{
    struct fixture x;
    struct findings f;
    uint32_t open;

    fixture_setup(&x);
    populate(&x);
    put_big(&x, "main/late", 400000);
    cr_assert_eq(ns_drop(x.p, "same", false, false, false, &open), 0);
    cr_assert_eq(flush_now(x.p), 0);
    down(&x);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 0, "%s", f.text);
    fixture_teardown(&x);
}

Test(check, a_place_without_a_store_is_an_error)
{
    struct fixture x = {0};
    struct findings f = {0};
    struct check_options o = {.found = on_found, .ctx = &f};

    cr_assert_eq(disk_mem_create(NULL, 0, &x.disk), 0);
    cr_assert_eq(kv_mem_create(NULL, &x.mem), 0);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_CREATE, &x.kv), 0);
    cr_assert_eq(store_check(x.disk, x.kv, &o, &f.r), -ENOENT);
    fixture_teardown(&x);
}

/* ---- one flipped bit ---- */

static void page_flip(want_fn *want)
{
    struct fixture x;
    struct findings f;
    struct found at;
    char where[32];

    setup(&x);
    pick(&x, TABLE_PAGES, want, &at);
    snprintf(where, sizeof where, "page %llu", (unsigned long long)get_be64(at.key));
    flip(&x, TABLE_PAGES, &at, 4000, 3);
    examine(&x, &f);
    is_only(&f, "page", where);
    fixture_teardown(&x);
}

Test(check, a_bit_in_a_leaf_names_that_page)
{
    page_flip(a_leaf);
}
Test(check, a_bit_in_an_inner_page_names_that_page)
{
    page_flip(an_inner);
}

static void changed_page_count(change_fn *change)
{
    struct fixture x;
    struct findings f;
    struct found at;
    char where[32];

    setup(&x);
    pick(&x, TABLE_PAGE_COUNTS, NULL, &at);
    snprintf(where, sizeof where, "page %llu", (unsigned long long)get_be64(at.key));
    change(&x, TABLE_PAGE_COUNTS, &at, 0, 3);
    examine(&x, &f);
    is_only(&f, "count", where);
    fixture_teardown(&x);
}

Test(check, a_bit_in_a_page_count_names_that_page)
{
    changed_page_count(flip);
}
Test(check, a_wrong_page_count_names_that_page)
{
    changed_page_count(alter);
}

Test(check, a_wrong_object_count_names_that_object)
{
    struct fixture x;
    struct findings f;
    struct found at;
    struct entry e;
    char hex[ID_HEX + 1];

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &at);
    e = entry_of(&at);
    id_to_hex(&e.id, hex);
    alter(&x, TABLE_OBJECTS, &at, 1, 4);
    examine(&x, &f);
    is_only(&f, "count", hex);
    fixture_teardown(&x);
}

Test(check, a_bit_in_an_entry_names_that_object_and_who_needs_it)
{
    struct fixture x;
    struct findings f;
    struct found at;
    char line[64];

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &at);
    flip(&x, TABLE_OBJECTS, &at, at.len - 1, 4); /* where its bytes are */
    examine(&x, &f);
    snprintf(line, sizeof line, "object|object number %llu|what the table says of it is damaged\n",
             (unsigned long long)get_be64(at.key));
    cr_assert(strstr(f.text, line), "%s", f.text);
    snprintf(line, sizeof line, "its content is damaged: object number %llu\n",
             (unsigned long long)get_be64(at.key));
    cr_assert(strstr(f.text, line), "%s", f.text);
    /* of what is stored nothing is said: that has the lost one, too */
    cr_assert_not(strstr(f.text, "sum|"), "%s", f.text);
    fixture_teardown(&x);
}

Test(check, a_bit_in_a_root_names_that_namespace)
{
    struct fixture x;
    struct findings f;
    struct found at;
    char where[32];

    setup(&x);
    pick(&x, TABLE_NAMESPACES, NULL, &at);
    snprintf(where, sizeof where, "%llu", (unsigned long long)get_be64(at.key));
    flip(&x, TABLE_NAMESPACES, &at, 16, 0);
    examine(&x, &f);
    is_only(&f, "namespace", where);
    fixture_teardown(&x);
}

Test(check, a_bit_in_the_state_names_it)
{
    struct fixture x;
    struct findings f;

    setup(&x);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_META, "state", 5, 30, 1), 0);
    examine(&x, &f);
    is_only(&f, "state", "state");
    fixture_teardown(&x);
}

Test(check, a_bit_in_the_identity_names_it)
{
    struct fixture x;
    struct findings f;

    setup(&x);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_META, "identity", 8, 100, 1), 0);
    examine(&x, &f);
    is_only(&f, "identity", "identity");
    fixture_teardown(&x);
}

static void changed_id_index(change_fn *change, uint64_t problems)
{
    struct fixture x;
    struct findings f;
    struct found at;
    struct id id;
    char hex[ID_HEX + 1], line[64];

    setup(&x);
    pick(&x, TABLE_IDS, NULL, &at);
    memcpy(id.b, at.key, ID_LEN);
    id_to_hex(&id, hex);
    change(&x, TABLE_IDS, &at, 2, 0); /* to a number never given */
    examine(&x, &f);
    snprintf(line, sizeof line, "id|%s|", hex);
    cr_assert_eq(f.r.problems, problems, "%s", f.text);
    cr_assert(strstr(f.text, line), "%s", f.text);
    fixture_teardown(&x);
}

Test(check, a_bit_in_the_id_index_names_that_id)
{
    changed_id_index(flip, 1);
}
Test(check, a_wrong_number_in_the_id_index_is_seen_from_either_side)
{
    changed_id_index(alter, 2);
}

Test(check, a_bit_in_a_pack_record_names_object_pack_and_offset)
{
    struct fixture x;
    struct findings f;
    struct found at;
    struct entry e;
    char hex[ID_HEX + 1], where[128], name[DISK_NAME_MAX + 1];

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &at);
    e = entry_of(&at);
    id_to_hex(&e.id, hex);
    snprintf(where, sizeof where, "%s pack %llu offset %u", hex, (unsigned long long)e.where,
             e.offset);
    pack_name(e.where, name);
    cr_assert_eq(disk_mem_flip(x.disk, name, e.offset + 40, 0), 0);
    examine(&x, &f);
    is_only(&f, "pack record", where);
    fixture_teardown(&x);
}

Test(check, a_compressed_record_is_said_not_to_be_checked_and_is_no_damage)
{
    struct fixture x;
    struct findings f;
    struct found at;
    struct entry e;
    char hex[ID_HEX + 1], line[256];

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &at);
    e = entry_of(&at);
    id_to_hex(&e.id, hex);
    const struct pack_place place = pack_place_of(&e);
    compress_record(x.disk, &place, &e.id, (uint32_t)e.size);
    examine(&x, &f);
    snprintf(line, sizeof line,
             "pack record|%s pack %llu offset %u|it is compressed by a newer version of tally, so "
             "it was not checked\n",
             hex, (unsigned long long)e.where, e.offset);
    cr_assert_str_eq(f.text, line);
    cr_assert_eq(f.r.problems, 0);
    cr_assert_eq(f.r.unasked, 1);
    fixture_teardown(&x);
}

Test(check, a_bit_in_a_pack_head_names_that_pack)
{
    struct fixture x;
    struct findings f;
    struct found at;
    char where[32], name[DISK_NAME_MAX + 1];

    setup(&x);
    pick(&x, TABLE_PACKS, NULL, &at);
    snprintf(where, sizeof where, "pack %llu", (unsigned long long)get_be64(at.key));
    pack_name(get_be64(at.key), name);
    cr_assert_eq(disk_mem_flip(x.disk, name, 17, 0), 0);
    examine(&x, &f);
    is_only(&f, "pack", where);
    fixture_teardown(&x);
}

static void changed_packs_table(change_fn *change)
{
    struct fixture x;
    struct findings f;
    struct found at;
    char where[32];

    setup(&x);
    pick(&x, TABLE_PACKS, NULL, &at);
    snprintf(where, sizeof where, "pack %llu", (unsigned long long)get_be64(at.key));
    change(&x, TABLE_PACKS, &at, 0, 0);
    examine(&x, &f);
    is_only(&f, "pack", where);
    fixture_teardown(&x);
}

Test(check, a_bit_in_the_packs_table_names_that_pack)
{
    changed_packs_table(flip);
}
Test(check, a_wrong_packs_table_names_that_pack)
{
    changed_packs_table(alter);
}

Test(check, a_bit_in_a_setting_names_it)
{
    struct fixture x;
    struct findings f;
    uint8_t val[8];

    setup(&x);
    put_le64(val, 5000000000);
    put_at(&x, TABLE_SETTINGS, "flush_interval", 14, val, sizeof val);
    is_clean(&x, &f);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_SETTINGS, "flush_interval", 14, 2, 1), 0);
    examine(&x, &f);
    is_only(&f, "setting", "flush_interval");
    fixture_teardown(&x);
}

Test(check, settings_of_namespaces_are_of_one_and_sound)
{
    static const char of_main[] = "\0\0\0\0\0\0\0\1quota", of_none[] = "\0\0\0\0\0\0\0\77quota",
                      bad[] = "\0\0\0\0\0\0\0\1QUOTA";
    struct fixture x;
    struct findings f;

    setup(&x);
    put_at(&x, TABLE_NS_SETTINGS, of_main, 13, "20G", 3);
    is_clean(&x, &f);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_NS_SETTINGS, of_main, 13, 2, 1), 0);
    examine(&x, &f);
    is_only(&f, "setting", "quota of namespace 1");
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_NS_SETTINGS, of_main, 13, 2, 1), 0);
    put_at(&x, TABLE_NS_SETTINGS, of_none, 13, "20G", 3);
    examine(&x, &f);
    is_only(&f, "setting", "quota of namespace 63");
    fixture_teardown(&x);
    setup(&x);
    put_at(&x, TABLE_NS_SETTINGS, bad, 13, "20G", 3);
    examine(&x, &f);
    is_only(&f, "setting", "of a namespace");
    fixture_teardown(&x);
}

Test(check, a_bit_in_an_object_file_names_object_and_block)
{
    struct fixture x;
    struct findings f;
    struct found at;
    struct entry e;
    char hex[ID_HEX + 1], where[64], name[DISK_NAME_MAX + 1];

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_file, &at);
    e = entry_of(&at);
    id_to_hex(&e.id, hex);
    snprintf(where, sizeof where, "%s block 1", hex);
    blob_object_name(&e.id, e.where, name);
    cr_assert_eq(disk_mem_flip(x.disk, name, SUMS_BLOCK + 5, 2), 0);
    examine(&x, &f);
    is_only(&f, "object block", where);
    fixture_teardown(&x);
}

Test(check, a_bit_in_an_objects_checksums_names_that_object)
{
    struct fixture x;
    struct findings f;
    struct found at;
    struct entry e;
    char hex[ID_HEX + 1], name[DISK_NAME_MAX + 1], sums[2 * DISK_NAME_MAX];

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_file, &at);
    e = entry_of(&at);
    id_to_hex(&e.id, hex);
    blob_object_name(&e.id, e.where, name);
    snprintf(sums, sizeof sums, "%s.sums", name);
    cr_assert_eq(disk_mem_flip(x.disk, sums, 40, 2), 0);
    examine(&x, &f);
    is_only(&f, "object block", hex);
    fixture_teardown(&x);
}

Test(check, a_bit_in_a_slot_names_slot_and_block)
{
    struct fixture x;
    struct findings f;
    struct found at;
    char where[64], name[DISK_NAME_MAX + 1];

    fixture_setup(&x);
    put_big(&x, "main/big", 300000);
    cr_assert_eq(flush_now(x.p), 0); /* not long enough closed to be sealed */
    down(&x);
    is_clean(&x, &f);
    pick(&x, TABLE_OBJECTS, in_slot, &at);
    snprintf(where, sizeof where, "slot %llu block 2", (unsigned long long)get_be64(at.key));
    blob_slot_name(get_be64(at.key), name);
    cr_assert_eq(disk_mem_flip(x.disk, name, 2 * SUMS_BLOCK + 9, 7), 0);
    examine(&x, &f);
    is_only(&f, "slot", where);
    fixture_teardown(&x);
}

Test(check, a_missing_file_is_named)
{
    struct fixture x;
    struct findings f;
    struct found at;
    struct entry e;
    char hex[ID_HEX + 1], name[DISK_NAME_MAX + 1];

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_file, &at);
    e = entry_of(&at);
    id_to_hex(&e.id, hex);
    blob_object_name(&e.id, e.where, name);
    cr_assert_eq(disk_unlink(x.disk, name), 0);
    examine(&x, &f);
    is_only(&f, "object block", hex);
    fixture_teardown(&x);
}

Test(check, files_that_nobody_names_are_leaks_and_no_damage)
{
    static const char *const names[] = {"packs/00000000000000ff", "slots/00000000000000ff",
                                        "objects/00/stray"};
    struct fixture x;
    struct findings f;

    setup(&x);
    for (size_t i = 0; i < 3; i++) {
        struct disk_file *file;
        cr_assert_eq(disk_open(x.disk, names[i], DISK_WRITE | DISK_CREATE, &file), 0);
        disk_file_close(file);
    }
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 0, "%s", f.text);
    for (size_t i = 0; i < 3; i++) {
        char line[64];
        snprintf(line, sizeof line, "leak|%s|", names[i]);
        cr_assert(strstr(f.text, line), "no '%s' in %s", line, f.text);
    }
    fixture_teardown(&x);
}

/* ---- what checksums do not show ---- */

Test(check, an_item_that_does_not_decode_names_its_page)
{
    struct fixture x;
    struct findings f;
    struct found at;
    size_t len;
    char line[64];

    setup(&x);
    pick(&x, TABLE_PAGES, with_objects, &at);
    at.val[page_value(at.val, page_count(at.val) - 1, &len) - at.val + 1] |= 0x80;
    page_seal(at.val);
    put(&x, TABLE_PAGES, at.key, at.val, at.len);
    examine(&x, &f);
    snprintf(line, sizeof line, "page|page %llu|an item does not decode",
             (unsigned long long)get_be64(at.key));
    cr_assert_geq(f.r.problems, 1);
    cr_assert(strstr(f.text, line), "%s", f.text);
    fixture_teardown(&x);
}

Test(check, keys_outside_of_what_the_parent_says_name_their_page)
{
    struct fixture x;
    struct findings f;
    struct found at;
    unsigned last;
    char line[64];

    setup(&x);
    pick(&x, TABLE_PAGES, an_inner, &at);
    last = page_count(at.val) - 1;
    page_set_key(at.val, last, key_make(KEY_INO_MAX, ITEM_EXTENT, 0));
    page_seal(at.val);
    put(&x, TABLE_PAGES, at.key, at.val, at.len);
    examine(&x, &f);
    snprintf(line, sizeof line, "page|page %llu|a key lies outside",
             (unsigned long long)page_child(at.val, last));
    cr_assert_geq(f.r.problems, 1);
    cr_assert(strstr(f.text, line), "%s", f.text);
    fixture_teardown(&x);
}

static void another_id(struct id *id)
{
    id->b[3] ^= 1;
}

Test(check, sound_bytes_of_another_id_are_named)
{
    struct fixture x;
    struct findings f;

    fixture_setup(&x);
    fixture_reopen(&x);
    down_clean(&x);
    x.fold = another_id;
    fixture_open(&x);
    put_file(&x, "main/small", "small");
    put_big(&x, "main/big", 200000);
    down_clean(&x);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 2, "%s", f.text);
    cr_assert(strstr(f.text, "pack record|"), "%s", f.text);
    cr_assert(strstr(f.text, "object block|"), "%s", f.text);
    fixture_teardown(&x);
}

Test(check, an_unlinked_file_that_is_open_is_no_damage)
{
    struct fixture x;
    struct findings f;
    struct vfs_file *file;

    fixture_setup(&x);
    put_file(&x, "main/gone", "still read by somebody");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/gone"), 0, &file), 0);
    remove_file(&x, "main/gone");
    cr_assert_eq(flush_now(x.p), 0);
    examine(&x, &f); /* as a crash now would leave it */
    cr_assert_eq(f.r.problems, 0, "%s", f.text);
    cr_assert_eq(f.r.objects, 1);
    vfs_release(file);
    down_clean(&x);
    is_clean(&x, &f);
    cr_assert_eq(f.r.objects, 0);
    fixture_teardown(&x);
}

Test(check, a_live_object_among_the_dying_is_named)
{
    struct fixture x;
    struct findings f;
    struct found at;
    char where[64];

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &at);
    snprintf(where, sizeof where, "object number %llu", (unsigned long long)get_be64(at.key));
    put(&x, TABLE_DYING, at.key, at.val, at.len);
    examine(&x, &f);
    is_only(&f, "dying", where);
    fixture_teardown(&x);
}

Test(check, a_pin_on_nothing_is_named)
{
    struct fixture x;
    struct findings f;
    uint8_t key[8];

    setup(&x);
    put_be64(key, 77777);
    put(&x, TABLE_PINS, key, "", 0);
    examine(&x, &f);
    cr_assert(strstr(f.text, "pin|object number 77777|"), "%s", f.text);
    fixture_teardown(&x);
}
