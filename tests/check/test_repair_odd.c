// SPDX-License-Identifier: Apache-2.0
/*
 * test_repair_odd: damages that get in each other's way, and numbers that nobody could have been
 * given: repair ends, says only what it did, and leaves nothing worse than it was.
 */
#include "repair_fixture.h"

static void nothing_got_worse(struct fixture *x)
{
    is_whole(x, "main/dir/sub/deep", "main/dir/other");
}

/* ---- several damages of one entry ---- */

static void plant_dots_of_wrong_type(struct fixture *x)
{
    plant_dots(x);
    put_entry_at(x, entry_key(x, "main/dir/.."), "..", ino_of(x, "main/dir/other"), DT_DIR);
}

static void plant_hash_and_type(struct fixture *x)
{
    struct key k = entry_key(x, "main/dir/other");
    uint64_t ino = ino_of(x, "main/dir/other");

    del_entry(x, "main/dir/other");
    k.lo ^= UINT64_C(1) << 40;
    put_entry_at(x, k, "other", ino, DT_FIFO);
}

Test(repair_odd, an_entry_with_two_damages_is_mended_of_both)
{
    static void (*const plant[])(struct fixture *) = {plant_dots_of_wrong_type,
                                                      plant_hash_and_type};
    static struct said s;

    for (size_t i = 0; i < 2; i++) {
        struct fixture x;
        struct findings f;
        damaged(&x, plant[i]);
        repair(&x, REPAIR_REMOVE_DANGLING, &s);
        cr_assert_eq(s.r.left, 0, "%s", s.left);
        nothing_got_worse(&x);
        is_clean(&x, &f);
        fixture_teardown(&x);
    }
}

/* ---- names that may not be moved ---- */

static void plant_dots_to_nowhere(struct fixture *x)
{
    put_entry(x, "main/dir/..", 99, DT_REG);
    adjust_dir(x, "main/dir", 1, 0);
}

Test(repair_odd, a_name_that_leads_nowhere_is_not_said_to_be_in_lost_found)
{
    struct fixture x;
    struct findings f;
    static struct said s;

    damaged(&x, plant_dots_to_nowhere);
    repair(&x, 0, &s);
    cr_assert(!strstr(s.repaired, "lost+found"), "%s", s.repaired);
    cr_assert_gt(s.r.left, 0);
    repair(&x, REPAIR_REMOVE_DANGLING, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    nothing_got_worse(&x);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

/* As a tree has them that writes ".." down: it leads to the root, and to a directory that is named
 * elsewhere. */
static void plant_dots_of_directories(struct fixture *x)
{
    put_entry(x, "main/dir/..", NS_ROOT_INO, DT_DIR);
    adjust_dir(x, "main/dir", 1, 1);
    put_entry(x, "main/dir/sub/..", ino_of(x, "main/dir"), DT_DIR);
    adjust_dir(x, "main/dir/sub", 1, 1);
}

Test(repair_odd, a_directory_with_a_name_stays_where_it_is)
{
    struct fixture x;
    struct findings f;
    static struct said s;

    damaged(&x, plant_dots_of_directories);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.repaired, 0, "%s", s.repaired);
    nothing_got_worse(&x);
    repair(&x, REPAIR_REMOVE_DANGLING, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    nothing_got_worse(&x);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

/* ---- numbers ---- */

static struct store_record state_of(struct fixture *x)
{
    uint8_t buf[STORE_RECORD_LEN];
    struct store_record s;
    struct kv *kv;
    size_t len;

    cr_assert_eq(kv_open_mem(x->mem, store_tables, store_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(kv_get(kv, TABLE_META, "state", 5, buf, sizeof buf, &len), 0);
    cr_assert_eq(store_record_decode(buf, len, &s), 0);
    kv_close(kv);
    return s;
}

/* The state record and a page are lost together: the pages below it are named by nothing that can
 * be read, but they are there, and so are their numbers. */
Test(repair_odd, no_page_number_is_given_twice_after_the_state_was_lost)
{
    struct fixture x;
    struct found at;
    static struct said s;
    uint64_t next;

    setup(&x);
    next = state_of(&x).next_page;
    pick(&x, TABLE_PAGES, NULL, &at);
    for (uint64_t no = next - 1; no; no--) { /* damage all, so that none counts as reachable */
        uint8_t key[8], junk[PAGE_SIZE_BYTES] = {1};
        put_be64(key, no);
        put(&x, TABLE_PAGES, key, junk, sizeof junk);
    }
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_META, "state", 5, 20, 3), 0);
    repair(&x, 0, &s);
    cr_assert(strstr(s.repaired, "state|state|it is made anew"), "%s", s.repaired);
    cr_assert_geq(state_of(&x).next_page, next);
    fixture_teardown(&x);
}

/* A bit flipped in a key of the table. */
Test(repair_odd, a_number_that_no_item_can_name_is_not_taken_for_one_in_use)
{
    struct fixture x;
    struct found at;
    static struct said s;
    uint8_t key[8];

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &at);
    memcpy(key, at.key, 8);
    key[0] |= 0x40;
    put(&x, TABLE_OBJECTS, key, at.val, at.len);
    repair(&x, 0, &s);
    cr_assert_leq(state_of(&x).next_number, OBJECT_NUMBER_MAX);
    fixture_open(&x);
    put_file(&x, "main/new", "this has a number that items can name");
    down_clean(&x);
    fixture_open(&x);
    read_file(&x, "main/new", "this has a number that items can name");
    fixture_teardown(&x);
}

Test(repair_odd, lost_found_has_a_number_that_is_new_to_all_who_share_it)
{
    struct fixture x;
    uint64_t lost;
    static struct said s;

    plant_setup(&x);
    plant_nameless_file(&x);
    branch(&x, "main", "twin");
    down_clean(&x);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    fixture_open(&x);
    lost = ino_of(&x, "main/lost+found");
    cr_assert_eq(ino_of(&x, "twin/lost+found"), lost);
    put_file(&x, "main/new", "");
    put_file(&x, "twin/new", "");
    cr_assert_gt(ino_of(&x, "main/new"), lost);
    cr_assert_gt(ino_of(&x, "twin/new"), lost);
    cr_assert_neq(ino_of(&x, "main/new"), ino_of(&x, "twin/new"));
    fixture_teardown(&x);
}

/* An object file under the number of a lost entry, and its id is another object's by now. */
Test(repair_odd, an_id_that_is_another_objects_is_not_taken_from_it)
{
    struct fixture x;
    struct findings f;
    struct found at;
    struct entry e;
    static struct said s;
    uint8_t key[8], val[ENTRY_MAX];

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_file, &at);
    e = entry_of(&at);
    put_be64(key, 7777);
    e.count = 1;
    put(&x, TABLE_DYING, key, val, entry_encode(&e, val));
    put(&x, TABLE_PINS, key, "", 0); /* what names it */
    repair(&x, 0, &s);
    cr_assert(!strstr(s.repaired, "in the table again"), "%s", s.repaired);
    examine(&x, &f);
    cr_assert(!strstr(f.text, "id|"), "%s", f.text);
    fixture_teardown(&x);
}

/* Of a queue with two damaged chunks the last one must not take both places: cut then, what it
 * names would be dropped twice. */
Test(repair_odd, the_queue_of_drops_never_names_a_page_twice)
{
    struct fixture x;
    struct findings f;
    struct found at;
    struct ns_fields fields;
    static struct said s;
    uint8_t key[8], root[8];

    setup(&x);
    pick(&x, TABLE_NAMESPACES, NULL, &at);
    cr_assert_eq(ns_decode(at.val, at.len, &fields), 0);
    put_le64(root, fields.root);
    for (unsigned i = 0; i < 3; i++) {
        put_be64(key, i);
        put(&x, TABLE_DROPS, key, i < 2 ? (const void *)"abc" : root, i < 2 ? 3 : 8);
    }
    repair(&x, REPAIR_DRY_RUN, &s);
    cr_assert(strstr(s.repaired, "drop|0|"), "%s", s.repaired);
    cr_assert(!strstr(s.repaired, "drop|1|"), "%s", s.repaired);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    is_clean(&x, &f);
    fixture_open(&x); /* and drops it */
    down_clean(&x);
    fixture_open(&x);
    read_file(&x, "main/file7", "content 3");
    down_clean(&x);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

/* ---- what is said ---- */

Test(repair_odd, a_name_of_any_bytes_is_one_line_of_text)
{
    struct fixture x;
    struct findings f;
    struct ns *ns;
    static struct said s;

    plant_setup(&x);
    branch(&x, "main", "o\nd\xff\xc2\x9b");
    cr_assert_eq(ns_get_by_name(x.p, "o\nd\xff\xc2\x9b", &ns), 0);
    ns->dirty = true;
    ns->next_ino = 3;
    ns_put(x.p, ns);
    down_clean(&x);
    examine(&x, &f);
    is_only(&f, "namespace", "o\\012d\\377\\302\\233");
    repair(&x, 0, &s);
    cr_assert(strstr(s.repaired, "namespace|o\\012d\\377\\302\\233|"), "%s", s.repaired);
    fixture_teardown(&x);
}

/* ---- pages that contradict each other ---- */

#define NAMES 128 /* of one hash */

static void add(uint8_t *page, struct key k, const void *val, size_t len)
{
    cr_assert(page_insert(page, page_count(page), k, val, len));
}
static void add_child(uint8_t *page, struct key low, uint64_t child)
{
    uint8_t val[8];

    put_le64(val, child);
    add(page, low, val, sizeof val);
}
static void store_page(struct fixture *x, uint8_t *page)
{
    uint8_t key[8];

    put_be64(key, page_number(page));
    page_seal(page);
    put(x, TABLE_PAGES, key, page, PAGE_SIZE_BYTES);
}
static void store_names(struct fixture *x, uint64_t no, char letter)
{
    uint8_t page[PAGE_SIZE_BYTES], val[DIRENT_ITEM_MAX];
    char name[8];

    page_init(page, no, 0);
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "%c%u", letter, i);
        add(page, key_make(NS_ROOT_INO, ITEM_DIRENT, 7 * NAMES + i), val,
            dirent_encode(2, DT_REG, name, strlen(name), val));
    }
    store_page(x, page);
}

/* An inner page whose keys go beyond what its parent says, so that names come twice as often as a
 * hash can have them. */
Test(repair_odd, pages_with_keys_of_their_neighbours_are_a_part_that_cannot_be_read)
{
    struct fixture x;
    struct findings f;
    struct found at;
    struct ns_fields fields;
    struct inode in = {.mode = S_IFDIR | 0755, .nlink = 2, .parent = NS_ROOT_INO};
    uint8_t page[PAGE_SIZE_BYTES], val[INODE_ITEM_MAX];
    const struct key low = key_make(NS_ROOT_INO, ITEM_DIRENT, 7 * NAMES);
    const struct key high = key_make(NS_ROOT_INO, ITEM_DIRENT, 9 * NAMES);
    const struct key zero = {0, 0};

    setup(&x);
    pick(&x, TABLE_NAMESPACES, NULL, &at);
    cr_assert_eq(ns_decode(at.val, at.len, &fields), 0);
    page_init(page, fields.root, 2);
    add_child(page, zero, 2001);
    add_child(page, low, 2002);
    store_page(&x, page);
    page_init(page, 2001, 1);
    add_child(page, zero, 2003);
    add_child(page, key_make(NS_ROOT_INO, ITEM_DIRENT, 0), 2007);
    add_child(page, low, 2004);
    add_child(page, high, 2005);
    store_page(&x, page);
    page_init(page, 2002, 1);
    add_child(page, zero, 2006);
    store_page(&x, page);
    page_init(page, 2003, 0);
    add(page, key_make(NS_ROOT_INO, ITEM_INODE, 0), val, inode_encode(&in, val));
    store_page(&x, page);
    page_init(page, 2007, 0);
    store_page(&x, page);
    store_names(&x, 2004, 'a');
    store_names(&x, 2006, 'b');
    examine(&x, &f);
    cr_assert(strstr(f.text, "a part of it cannot be read"), "%s", f.text);
    fixture_teardown(&x);
}
