// SPDX-License-Identifier: Apache-2.0
/*
 * test_check: a clean store is clean; one flipped bit, and check names that very item; rebuild
 * mends counts and nothing else.
 */
#include "bytes.h"
#include "check.h"
#include "fixture.h"
#include "project_impl.h"
#include "recount.h"

/* Findings as lines "what|where|sentence". */
struct findings {
    char text[16384];
    struct check_result r;
};

static void on_found(const char *what, const char *where, const char *sentence, void *ctx)
{
    struct findings *f = ctx;
    size_t n = strlen(f->text);

    snprintf(f->text + n, sizeof f->text - n, "%s|%s|%s\n", what, where, sentence);
}

/* The store as the disk has it now; the project is closed or forgotten. */
static void examine(struct fixture *x, struct findings *f)
{
    struct check_options o = {.found = on_found, .ctx = f};
    struct kv *kv;

    *f = (struct findings){0};
    cr_assert_eq(kv_open_mem(x->mem, project_tables, project_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(project_check(x->disk, kv, &o, &f->r), 0);
    kv_close(kv);
}

static void down(struct fixture *x)
{
    project_abandon(x->p);
    kv_close(x->kv);
    x->p = NULL;
    x->kv = NULL;
}

static void down_clean(struct fixture *x)
{
    cr_assert_eq(project_drain(x->p, true, -1, NULL), 0);
    down(x);
}

static void is_clean(struct fixture *x, struct findings *f)
{
    examine(x, f);
    cr_assert_eq(f->r.problems, 0, "%s", f->text);
    cr_assert_eq(f->text[0], 0, "%s", f->text);
}

/* Exactly one problem: this. */
static void is_only(struct findings *f, const char *what, const char *where)
{
    char line[256];

    snprintf(line, sizeof line, "%s|%s|", what, where);
    cr_assert_eq(f->r.problems, 1, "%llu problems:\n%s", (unsigned long long)f->r.problems,
                 f->text);
    cr_assert(strstr(f->text, line), "no '%s' in:\n%s", line, f->text);
}

static void put_big(struct fixture *x, const char *path, size_t len)
{
    const char *name;
    struct vfs_file *f;
    struct vfs_attr a;
    uint64_t dir = parent_of(x, path, &name);
    uint8_t *buf = malloc(len);

    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(i * 31 + i / 4096);
    cr_assert_eq(vfs_create(x->p, dir, name, 0644, &fixture_cred, VFS_WRITE, &a, &f), 0);
    cr_assert_eq(vfs_write(f, buf, len, 0), (ssize_t)len);
    vfs_release(f);
    vfs_forget(x->p, a.nodeid, 1);
    free(buf);
}

static void branch(struct fixture *x, const char *from, const char *to)
{
    uint64_t seq;
    uint32_t number;

    cr_assert_eq(ns_branch(x->p, from, to, &seq, &number), 0);
}

/* Small files, a large one, a branch that shares and one that has parted. */
static void populate(struct fixture *x)
{
    char path[64], text[64];

    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "main/file%d", i);
        snprintf(text, sizeof text, "content %d", i / 2);
        put_file(x, path, text);
    }
    put_big(x, "main/big", 300000);
    branch(x, "main", "same");
    branch(x, "main", "other");
    put_file(x, "other/file1", "another content");
    remove_file(x, "other/file2");
}

static void setup(struct fixture *x)
{
    fixture_setup(x);
    populate(x);
    down_clean(x);
}

/* The first entry of a table that `want` likes: its key and value. */
struct found {
    uint8_t key[64], val[9000];
    size_t klen, len;
};
typedef bool want_fn(const struct found *f);

static void pick(struct fixture *x, unsigned table, want_fn *want, struct found *ret)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    struct kv *kv;
    struct kv_snap *s;

    cr_assert_eq(kv_open_mem(x->mem, project_tables, project_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(kv_snap_begin(kv, &s), 0);
    for (bool ok = false; !ok;) {
        cr_assert_eq(kv_snap_seek(s, table, key, klen, klen > 0, &key, &klen, &val, &len), 0,
                     "nothing wanted in table %u", table);
        memcpy(ret->key, key, klen);
        memcpy(ret->val, val, len < sizeof ret->val ? len : sizeof ret->val);
        ret->klen = klen;
        ret->len = len;
        ok = !want || want(ret);
    }
    kv_snap_end(s);
    kv_close(kv);
}

static void flip(struct fixture *x, unsigned table, const struct found *f, size_t byte,
                 unsigned bit)
{
    cr_assert_eq(kv_mem_flip(x->mem, table, f->key, f->klen, byte, bit), 0);
}

static struct entry entry_of(const struct found *f)
{
    struct entry e;

    cr_assert_eq(entry_decode(f->val, f->len, &e), 0);
    return e;
}

static bool in_pack(const struct found *f)
{
    return entry_of(f).kind == ENTRY_PACK;
}
static bool in_file(const struct found *f)
{
    return entry_of(f).kind == ENTRY_FILE;
}
static bool in_slot(const struct found *f)
{
    return entry_of(f).kind == ENTRY_SLOT;
}
static bool a_leaf(const struct found *f)
{
    return page_level(f->val) == 0;
}
static bool with_objects(const struct found *f)
{
    for (unsigned i = 0; a_leaf(f) && i < page_count(f->val); i++) {
        size_t len;
        const uint8_t *v = page_value(f->val, i, &len);
        if (item_object(page_key(f->val, i), v, len))
            return true;
    }
    return false;
}
static bool an_inner(const struct found *f)
{
    return page_level(f->val) > 0;
}

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
    cr_assert_eq(project_flush(x.p), 0);
    down(&x);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 0, "%s", f.text);
    fixture_teardown(&x);
}

Test(check, a_place_without_a_project_is_an_error)
{
    struct fixture x = {0};
    struct findings f = {0};
    struct check_options o = {.found = on_found, .ctx = &f};

    cr_assert_eq(disk_mem_create(NULL, 0, &x.disk), 0);
    cr_assert_eq(kv_mem_create(NULL, &x.mem), 0);
    cr_assert_eq(kv_open_mem(x.mem, project_tables, project_table_count, KV_CREATE, &x.kv), 0);
    cr_assert_eq(project_check(x.disk, x.kv, &o, &f.r), -ENOENT);
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

Test(check, a_bit_in_a_page_count_names_that_page)
{
    struct fixture x;
    struct findings f;
    struct found at;
    char where[32];

    setup(&x);
    pick(&x, TABLE_PAGE_COUNTS, NULL, &at);
    snprintf(where, sizeof where, "page %llu", (unsigned long long)get_be64(at.key));
    flip(&x, TABLE_PAGE_COUNTS, &at, 0, 3);
    examine(&x, &f);
    is_only(&f, "count", where);
    fixture_teardown(&x);
}

Test(check, a_bit_in_an_object_count_names_that_object)
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
    flip(&x, TABLE_OBJECTS, &at, 1, 4);
    examine(&x, &f);
    is_only(&f, "count", hex);
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

Test(check, a_bit_in_the_id_index_names_that_id)
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
    flip(&x, TABLE_IDS, &at, 2, 0); /* to a number never given */
    examine(&x, &f);
    snprintf(line, sizeof line, "id|%s|", hex);
    cr_assert_eq(f.r.problems, 2, "%s", f.text); /* seen from either side */
    cr_assert(strstr(f.text, line), "%s", f.text);
    fixture_teardown(&x);
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

Test(check, a_bit_in_the_packs_table_names_that_pack)
{
    struct fixture x;
    struct findings f;
    struct found at;
    char where[32];

    setup(&x);
    pick(&x, TABLE_PACKS, NULL, &at);
    snprintf(where, sizeof where, "pack %llu", (unsigned long long)get_be64(at.key));
    flip(&x, TABLE_PACKS, &at, 0, 0);
    examine(&x, &f);
    is_only(&f, "pack", where);
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
    cr_assert_eq(project_flush(x.p), 0); /* not long enough closed to be sealed */
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

static void put(struct fixture *x, unsigned table, const void *key, const void *val, size_t len)
{
    struct kv *kv;
    struct kv_txn *t;

    cr_assert_eq(kv_open_mem(x->mem, project_tables, project_table_count, 0, &kv), 0);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    cr_assert_eq(kv_put(t, table, key, 8, val, len), 0);
    cr_assert_eq(kv_commit(t), 0);
    kv_close(kv);
}

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
    cr_assert_eq(project_flush(x.p), 0);
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

/* ---- rebuild ---- */

static void rebuild(struct fixture *x, uint64_t expected)
{
    uint64_t changed = 0;

    fixture_open(x);
    cr_assert_eq(project_rebuild(x->p, NULL, &changed), 0);
    cr_assert_eq(changed, expected, "%llu changed", (unsigned long long)changed);
    down_clean(x);
}

Test(rebuild, a_sound_store_is_left_alone)
{
    struct fixture x;
    struct findings f;

    setup(&x);
    rebuild(&x, 0);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(rebuild, object_counts_too_high_and_too_low_are_mended)
{
    struct fixture x;
    struct findings f;
    struct found high, low;

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &high);
    flip(&x, TABLE_OBJECTS, &high, 2, 0);
    pick(&x, TABLE_OBJECTS, in_file, &low);
    cr_assert_geq(entry_of(&low).count, 1);
    flip(&x, TABLE_OBJECTS, &low, 1, entry_of(&low).count & 1 ? 0 : 1);
    rebuild(&x, 2);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(rebuild, page_counts_are_mended)
{
    struct fixture x;
    struct findings f;
    struct found at;

    setup(&x);
    pick(&x, TABLE_PAGE_COUNTS, NULL, &at);
    flip(&x, TABLE_PAGE_COUNTS, &at, 3, 7); /* by more than an int holds */
    rebuild(&x, 1);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(rebuild, a_page_nobody_names_is_freed)
{
    struct fixture x;
    struct findings f;
    uint8_t key[8], page[PAGE_SIZE_BYTES];

    setup(&x);
    put_be64(key, UINT64_C(1) << 40);
    page_init(page, UINT64_C(1) << 40, 0);
    page_seal(page);
    put(&x, TABLE_PAGES, key, page, sizeof page);
    examine(&x, &f);
    cr_assert(strstr(f.text, "leak|page 1099511627776|"), "%s", f.text);
    rebuild(&x, 1);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(rebuild, damage_raises_counts_and_lowers_none)
{
    struct fixture x;
    struct findings f;
    struct found leaf;
    uint64_t changed = 0;
    char where[32];

    setup(&x);
    pick(&x, TABLE_PAGES, with_objects, &leaf);
    flip(&x, TABLE_PAGES, &leaf, 4000, 3);
    fixture_open(&x);
    cr_assert_eq(project_rebuild(x.p, NULL, &changed), -EUCLEAN);
    cr_assert_eq(project_drain(x.p, true, -1, NULL), 0);
    down(&x);
    examine(&x, &f); /* nothing but the page, whose objects are all still counted and there */
    snprintf(where, sizeof where, "page %llu", (unsigned long long)get_be64(leaf.key));
    is_only(&f, "page", where);
    flip(&x, TABLE_PAGES, &leaf, 4000, 3);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(rebuild, pins_are_kept)
{
    struct fixture x;
    struct findings f;
    struct found at;
    uint8_t none;
    size_t len;

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &at);
    fixture_open(&x);
    cr_assert_eq(refs_pin(x.p->refs, get_be64(at.key)), 0);
    project_changed(x.p, NULL);
    down_clean(&x);
    is_clean(&x, &f);
    rebuild(&x, 0);
    is_clean(&x, &f);
    cr_assert_eq(kv_open_mem(x.mem, project_tables, project_table_count, 0, &x.kv), 0);
    cr_assert_eq(kv_get(x.kv, TABLE_PINS, at.key, 8, &none, 1, &len), 0);
    fixture_teardown(&x);
}
