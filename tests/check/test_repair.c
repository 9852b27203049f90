// SPDX-License-Identifier: Apache-2.0
/*
 * test_repair: what is planted is found, put right, and then not found any more; nothing goes that
 * nobody asked to go; what cannot be put right is left and said; and cut at any write, a second run
 * brings it to the same end.
 */
#include "repair_fixture.h"
#include "stored_record.h"

/* Repaired by default, as told, and then as sound as any store. */
static void mends_to(void (*plant)(struct fixture *), const char *line, const char *deep,
                     const char *other)
{
    struct fixture x;
    struct findings f;
    static struct said s;

    damaged(&x, plant);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "left:\n%s", s.left);
    cr_assert(strstr(s.repaired, line), "no '%s' in:\n%s", line, s.repaired);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 0, "%s", f.text);
    is_whole(&x, deep, other);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

static void mends(void (*plant)(struct fixture *), const char *line)
{
    mends_to(plant, line, "main/dir/sub/deep", "main/dir/other");
}

/* ---- names and what is said of them ---- */

Test(repair, link_counts)
{
    mends(plant_file_links, "link count|main/file|it is 2\n");
    mends(plant_dir_links, "link count|main/dir|it is 3\n");
}

Test(repair, sizes_and_parents_of_directories)
{
    mends(plant_dir_size, "directory|main/dir|it is said to have 3 entries\n");
    mends(plant_parent, "directory|main/dir/sub|its parent is inode 3\n");
}

Test(repair, types_of_entries)
{
    mends(plant_type, "entry|main/dir/other|it says a regular file\n");
}

Test(repair, what_an_inode_says_of_its_items)
{
    mends(plant_stored, "inode|main/dir/other|it is said to store 15 bytes\n");
    mends(plant_xattr_unmarked,
          "inode|main/file|it is marked as one that has extended attributes\n");
    mends(plant_subblock_unmarked,
          "inode|main/subblocks|it is marked as one that has subblock extents\n");
    mends(plant_map_unmarked, "inode|main/subblocks|it is marked as one that has maps of holes\n");
    mends(plant_map_of_more, "inode|main/subblocks|it is said to store 222880 bytes\n");
}

Test(repair, extended_attributes_that_no_lookup_finds)
{
    mends(plant_xattr_hash, "an extended attribute stands where getting it by name finds it\n");
}

Test(repair, the_size_of_a_symlink)
{
    mends(plant_symlink, "inode|main/symlink|its size is that of its target, 7\n");
}

Test(repair, a_root_directory)
{
    mends(plant_no_root, "directory|main|it has a root directory\n");
}

Test(repair, the_next_inode_number)
{
    mends(plant_next_ino, "namespace|main|the next inode number to be given is 8\n");
}

Test(repair, what_the_inodes_of_a_namespace_take)
{
    mends(plant_usage, "namespace|main|it is said to have 7 inodes with 1536 bytes\n");
    mends(plant_uncounted, "namespace|main|it is said to have 7 inodes with 1536 bytes\n");
}

Test(repair, an_entry_under_the_wrong_hash)
{
    mends(plant_hash, "entry|main/dir/other|it stands where a lookup finds it\n");
}

Test(repair, a_file_without_a_name_gets_one)
{
    mends_to(plant_nameless_file, "nameless|main inode 6|it is main/lost+found/#6\n",
             "main/dir/sub/deep", "main/lost+found/#6");
}

Test(repair, a_directory_without_a_name_comes_back_with_all_in_it)
{
    mends_to(plant_nameless_dir, "nameless|main inode 4|it is main/lost+found/#4\n",
             "main/lost+found/#4/deep", "main/dir/other");
}

Test(repair, a_circle_is_opened)
{
    mends_to(plant_circle, "directory|main inode 3|it is main/lost+found/#3 instead\n",
             "main/lost+found/#3/sub/deep", "main/lost+found/#3/other");
}

Test(repair, names_that_no_lookup_finds_are_in_lost_found)
{
    mends(plant_twice, "the second one is in lost+found of its namespace, as #6\n");
    mends(plant_dots, "it is in lost+found of its namespace, as #6\n");
}

Test(repair, lost_found_is_private_and_an_earlier_one_serves)
{
    struct fixture x;
    static struct said s;
    struct inode in;
    char name[64];

    plant_setup(&x);
    plant_nameless_file(&x);
    down_clean(&x);
    repair(&x, 0, &s);
    fixture_open(&x);
    in = inode_of(&x, "main/lost+found");
    cr_assert_eq(in.mode, S_IFDIR | 0700);
    cr_assert_eq(in.uid, 0);
    put_file(&x, "main/dir/other", "again");
    put_file(&x, "main/second", "second");
    snprintf(name, sizeof name, "main/lost+found/#%llu",
             (unsigned long long)vfs_node_ino(node_of(&x, "main/second")));
    del_entry(&x, "main/second");
    adjust_dir(&x, "main", -1, 0);
    down_clean(&x);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    cr_assert(strstr(s.repaired, name), "%s", s.repaired);
    fixture_open(&x);
    read_file(&x, "main/lost+found/#6", "another content");
    read_file(&x, name, "second");
    fixture_teardown(&x);
}

Test(repair, a_file_called_lost_found_is_left_alone)
{
    struct fixture x;
    static struct said s;

    plant_setup(&x);
    put_file(&x, "main/lost+found", "a file");
    plant_nameless_file(&x);
    down_clean(&x);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    fixture_open(&x);
    read_file(&x, "main/lost+found", "a file");
    read_file(&x, "main/lost+found.1/#6", "another content");
    fixture_teardown(&x);
}

Test(repair, namespaces_that_share_a_root_still_share_it)
{
    struct fixture x;
    struct findings f;
    static struct said s;
    struct found a, b;

    plant_setup(&x);
    plant_nameless_file(&x);
    branch(&x, "main", "twin");
    branch(&x, "main", "triplet");
    down_clean(&x);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    pick(&x, TABLE_NAMESPACES, NULL, &a);
    fixture_open(&x);
    read_file(&x, "triplet/lost+found/#6", "another content");
    read_file(&x, "main/lost+found/#6", "another content");
    put_file(&x, "twin/new", "no inode number twice");
    cr_assert_gt(ino_of(&x, "twin/new"), ino_of(&x, "main/lost+found"));
    down_clean(&x);
    is_clean(&x, &f);
    (void)b;
    fixture_teardown(&x);
}

/* ---- tables ---- */

struct amounts {
    uint64_t table[TABLE_COUNT], bytes, names, items;
};

static struct amounts amounts(struct fixture *x)
{
    struct amounts a = {.items = 0};
    struct recount_options o = {.ctx = NULL};
    struct recount c;
    struct kv *kv;
    struct kv_snap *s;

    cr_assert_eq(kv_open_mem(x->mem, store_tables, store_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(kv_snap_begin(kv, &s), 0);
    for (unsigned i = 0; i < TABLE_COUNT; i++)
        cr_assert_eq(kv_snap_count(s, i, &a.table[i]), 0);
    cr_assert_eq(recount_run(s, &o, &c), 0);
    a.items = c.items;
    recount_release(&c);
    kv_snap_end(s);
    kv_close(kv);
    disk_mem_usage(x->disk, &a.bytes, &a.names);
    return a;
}

static void changes(change_fn *change, unsigned table, want_fn *want, size_t byte, unsigned bit,
                    const char *what)
{
    struct fixture x;
    struct findings f;
    struct found at;
    static struct said s;

    setup(&x);
    pick(&x, table, want, &at);
    change(&x, table, &at, byte, bit);
    examine(&x, &f);
    cr_assert_gt(f.r.problems, 0);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "left:\n%s", s.left);
    cr_assert(strstr(s.repaired, what), "%s", s.repaired);
    is_clean(&x, &f);
    fixture_open(&x);
    read_file(&x, "main/file7", "content 3");
    down_clean(&x);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(repair, counts_too_high_and_too_low)
{
    changes(alter, TABLE_OBJECTS, in_pack, 1, 4, "count|");
    changes(alter, TABLE_OBJECTS, in_file, 1, 0, "count|");
    changes(alter, TABLE_PAGE_COUNTS, NULL, 0, 3, "count|page ");
    changes(alter, TABLE_PAGE_COUNTS, NULL, 3, 7, "count|page ");
}

Test(repair, counts_and_entries_that_are_damaged)
{
    changes(flip, TABLE_OBJECTS, in_pack, 1, 4, "object|object number ");
    changes(flip, TABLE_OBJECTS, in_file, 37 + 3, 0, "object|object number "); /* its checksum */
    changes(flip, TABLE_PAGE_COUNTS, NULL, 0, 3, "count|page ");
}

Test(repair, the_index_of_ids)
{
    changes(alter, TABLE_IDS, NULL, 7, 0, "id|");
    changes(alter, TABLE_IDS, NULL, 2, 1, "id|");
    changes(flip, TABLE_IDS, NULL, 2, 1, "id|");
}

Test(repair, what_the_packs_table_says)
{
    changes(alter, TABLE_PACKS, NULL, 0, 1, "pack|pack ");
    changes(flip, TABLE_PACKS, NULL, 0, 1, "pack|pack ");
}

/* A pin, which has nothing but its checksum, the queue of drops, its last chunk and one before, a
 * dying record, an id that nothing needs, and a setting. */
Test(repair, damaged_values_of_the_other_tables)
{
    static const uint8_t drop[8] = {0}, id[ID_LEN] = {1, 2, 3};
    struct fixture x;
    struct findings f;
    struct found at;
    static struct said s;
    uint8_t key[8];

    fixture_setup(&x);
    populate(&x);
    agreed(&x, "pin main/file7", "ok refs=");
    down_clean(&x);
    is_clean(&x, &f);
    pick(&x, TABLE_PINS, NULL, &at);
    flip(&x, TABLE_PINS, &at, 3, 1);
    for (uint64_t i = 0; i < 2; i++) {
        put_be64(key, i);
        put(&x, TABLE_DROPS, key, drop, sizeof drop);
        cr_assert_eq(kv_mem_flip(x.mem, TABLE_DROPS, key, 8, 1, 1), 0);
    }
    pick(&x, TABLE_OBJECTS, in_pack, &at);
    put(&x, TABLE_DYING, at.key, at.val, at.len);
    flip(&x, TABLE_DYING, &at, 2, 0);
    put_at(&x, TABLE_IDS, id, ID_LEN, key, sizeof key);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_IDS, id, ID_LEN, 7, 1), 0);
    put_at(&x, TABLE_SETTINGS, "stale_report_threshold", 22, key, sizeof key);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_SETTINGS, "stale_report_threshold", 22, 7, 1), 0);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    is_clean(&x, &f);
    cr_assert_eq(amounts(&x).table[TABLE_PINS], 1);
    cr_assert_eq(amounts(&x).table[TABLE_SETTINGS], 0);
    cr_assert_eq(amounts(&x).table[TABLE_DROPS], 0);
    fixture_open(&x);
    read_file(&x, "main/file7", "content 3");
    down_clean(&x);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

static void remove_row(struct fixture *x, unsigned table, const struct found *at)
{
    struct kv_txn *t;

    cr_assert_eq(kv_open_mem(x->mem, store_tables, store_table_count, 0, &x->kv), 0);
    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    cr_assert_eq(kv_del(t, table, at->key, 8), 0);
    cr_assert_eq(kv_commit(t), 0);
    kv_close(x->kv);
    x->kv = NULL;
}

/* The row of a pin is lost, or has the key of another object, which has none. */
Test(repair, a_pin_that_has_lost_its_row_or_its_key)
{
    struct fixture x;
    struct findings f;
    struct found pin, other;
    static struct said s;

    fixture_setup(&x);
    populate(&x);
    agreed(&x, "pin main/file7", "ok refs=");
    down_clean(&x);
    pick(&x, TABLE_PINS, NULL, &pin);
    pick(&x, TABLE_OBJECTS, in_pack, &other);
    for (int round = 0; round < 2; round++) {
        remove_row(&x, TABLE_PINS, &pin);
        if (round == 1) {
            cr_assert_neq(memcmp(pin.key, other.key, 8), 0);
            put(&x, TABLE_PINS, other.key, "", 0);
            cr_assert_eq(kv_mem_flip(x.mem, TABLE_PINS, other.key, 8, 0, 0), 0);
        }
        repair(&x, 0, &s);
        cr_assert(strstr(s.repaired, "it is pinned"), "%s", s.repaired);
        cr_assert_eq(s.r.left, 0, "%s", s.left);
        is_clean(&x, &f);
        cr_assert_eq(amounts(&x).table[TABLE_PINS], 1);
    }
    fixture_open(&x);
    agreed(&x, "refs main/file7", "ok refs=");
    agreed(&x, "unpin main/file7", "ok refs=");
    down_clean(&x);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(repair, a_lost_state_is_made_anew)
{
    struct fixture x;
    struct findings f;
    static struct said s;

    setup(&x);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_META, "state", 5, 20, 3), 0);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    is_clean(&x, &f);
    fixture_open(&x);
    put_file(&x, "main/new", "no number twice");
    put_big(&x, "main/new big", 200000);
    read_file(&x, "main/file7", "content 3");
    down_clean(&x);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

/* ---- how many bytes are stored ---- */

static bool a_state(const struct found *f)
{
    return f->klen == 5 && memcmp(f->key, "state", 5) == 0;
}

/* What a commit says is stored becomes another number, of another state with `tie` 1. Returns the
 * number before. */
static uint64_t tell_stored(struct fixture *x, uint64_t more, uint64_t tie)
{
    struct stored_record s;
    struct found state;
    uint8_t val[STORED_RECORD_MAX];
    struct kv *kv;
    size_t len;

    pick(x, TABLE_META, a_state, &state);
    cr_assert_eq(kv_open_mem(x->mem, store_tables, store_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(kv_get(kv, TABLE_META, "stored", 6, val, sizeof val, &len), 0);
    kv_close(kv);
    cr_assert_eq(stored_record_decode(val, len, &s), 0);
    cr_assert_eq(s.state, stored_record_tie(state.val));
    s.bytes += more;
    s.state += tie;
    put_at(x, TABLE_META, "stored", 6, val, stored_record_encode(&s, val));
    return s.bytes - more;
}

/* It is found as that, goes when asked, and then the number is right. */
static void is_counted(struct fixture *x, const char *found, uint64_t right)
{
    static struct said s;
    struct findings f;
    struct refs_stats now;

    examine(x, &f);
    cr_assert_str_eq(f.text, found);
    repair(x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    cr_assert_str_eq(s.repaired, "sum|stored bytes|it is removed: the next mount counts them\n");
    is_clean(x, &f);
    fixture_open(x);
    refs_get_stats(x->p->refs, &now);
    cr_assert_eq(now.stored, right);
    down_clean(x);
}

Test(repair, a_wrong_sum_of_stored_bytes_is_counted_by_the_next_mount)
{
    struct fixture x;
    char line[128];
    uint64_t right;

    setup(&x);
    right = tell_stored(&x, 5, 0);
    snprintf(line, sizeof line, "sum|stored bytes|it is %llu, but the objects have %llu\n",
             (unsigned long long)right + 5, (unsigned long long)right);
    is_counted(&x, line, right);
    fixture_teardown(&x);
    setup(&x);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_META, "stored", 6, 20, 3), 0);
    is_counted(&x, "sum|stored bytes|it is damaged: a mount counts them\n", right);
    fixture_teardown(&x);
}

Test(repair, a_sum_of_stored_bytes_of_another_commit_says_nothing)
{
    struct fixture x;
    struct findings f;

    setup(&x);
    (void)tell_stored(&x, 5, 1);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(repair, a_live_object_among_the_dying_is_taken_out)
{
    struct fixture x;
    struct findings f;
    struct found at;
    static struct said s;

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &at);
    put(&x, TABLE_DYING, at.key, at.val, at.len);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(repair, a_queue_of_drops_that_is_no_queue)
{
    struct fixture x;
    struct findings f;
    static struct said s;
    uint8_t key[8];

    setup(&x);
    put_be64(key, 0);
    put(&x, TABLE_DROPS, key, "abc", 3);
    put_be64(key, 1);
    put(&x, TABLE_DROPS, key, "abcde", 5);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    is_clean(&x, &f);
    fixture_open(&x);
    down_clean(&x);
    fixture_teardown(&x);
}

Test(repair, a_dying_record_that_does_not_decode)
{
    struct fixture x;
    struct findings f;
    static struct said s;
    uint8_t key[8];

    setup(&x);
    put_be64(key, 3);
    put(&x, TABLE_DYING, key, "abc", 3);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    is_clean(&x, &f);
    fixture_open(&x);
    down_clean(&x);
    fixture_teardown(&x);
}

/* Nobody needs it any more, so nothing else says what it was; no mount would go by it. */
Test(repair, a_dying_object_whose_entry_is_damaged)
{
    struct fixture x;
    struct findings f;
    struct found at;
    static struct said s;

    fixture_setup(&x);
    populate(&x);
    put_file(&x, "main/gone", "soon nobody needs this");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    for (uint64_t i = 1; i < refs_next(x.p->refs); i++)
        cr_assert_eq(refs_hold(x.p->refs, i), 0);
    remove_file(&x, "main/gone");
    cr_assert_eq(flush_now(x.p), 0);
    down(&x);
    is_clean(&x, &f);
    pick(&x, TABLE_DYING, NULL, &at);
    cr_assert_eq(entry_of(&at).count, 0);
    flip(&x, TABLE_OBJECTS, &at, 1, 2);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    cr_assert(strstr(s.repaired, "it is what its record among the dying says"), "%s", s.repaired);
    is_clean(&x, &f);
    fixture_open(&x);
    down_clean(&x);
    is_clean(&x, &f);
    cr_assert_eq(amounts(&x).table[TABLE_DYING], 0);
    fixture_teardown(&x);
}

/* ---- objects whose entry is gone ---- */

static void del(struct fixture *x, unsigned table, const void *key, size_t klen)
{
    struct kv *kv;
    struct kv_txn *t;

    cr_assert_eq(kv_open_mem(x->mem, store_tables, store_table_count, 0, &kv), 0);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    cr_assert_eq(kv_del(t, table, key, klen), 0);
    cr_assert_eq(kv_commit(t), 0);
    kv_close(kv);
}

static void adopts(want_fn *want, bool sealed, const char *line)
{
    struct fixture x;
    struct findings f;
    struct found at;
    static struct said s;

    fixture_setup(&x);
    put_file(&x, "main/small", "in a pack");
    put_big(&x, "main/big", 300000);
    if (sealed)
        cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    else
        cr_assert_eq(flush_now(x.p), 0);
    down(&x);
    pick(&x, TABLE_OBJECTS, want, &at);
    del(&x, TABLE_OBJECTS, at.key, 8);
    examine(&x, &f);
    cr_assert_gt(f.r.problems, 0);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "left:\n%s\nfound:\n%s", s.left, s.found);
    cr_assert(strstr(s.repaired, line), "%s", s.repaired);
    is_clean(&x, &f);
    fixture_open(&x);
    read_file(&x, "main/small", "in a pack");
    down_clean(&x);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(repair, an_object_file_without_an_entry_is_adopted)
{
    adopts(in_file, true, "its bytes are in the object file of that number");
}
Test(repair, a_pack_record_without_an_entry_is_adopted)
{
    adopts(in_pack, true, "its bytes are in a pack");
}
Test(repair, a_slot_without_an_entry_is_adopted)
{
    adopts(in_slot, false, "its bytes are in the slot of that number");
}

/* The i-th of many contents that have one id, with the secret of the store: a word of XXH3 whose
 * low half is the key's leaves no trace but what another one takes away. */
#define COLLIDING (ID_CHAIN_MAX + 4u)
static void colliding(struct fixture *x, unsigned i, uint8_t out[512])
{
    const uint8_t *secret = x->p->id_key.secret;

    memset(out, 0, 512);
    put_le64(out, (uint64_t)(i + 1) << 32 | get_le32(secret));
    put_le64(out + 64, (uint64_t) - (int64_t)(i + 1) << 32 | get_le32(secret + 8));
}

static void put_colliding(struct fixture *x, unsigned i)
{
    uint8_t bytes[512];
    char name[32];
    struct vfs_file *f;

    snprintf(name, sizeof name, "main/c%u", i);
    put_file(x, name, "");
    colliding(x, i, bytes);
    cr_assert_eq(vfs_open(x->p, node_of(x, name), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, bytes, sizeof bytes, 0), 512);
    vfs_release(f);
}

static void has_colliding(struct fixture *x, unsigned i)
{
    uint8_t want[512], got[512];
    char name[32];
    struct vfs_file *f;

    snprintf(name, sizeof name, "main/c%u", i);
    colliding(x, i, want);
    cr_assert_eq(vfs_open(x->p, node_of(x, name), 0, &f), 0);
    cr_assert_eq(vfs_read(f, got, sizeof got, 0), 512);
    vfs_release(f);
    cr_assert_arr_eq(got, want, 512);
}

Test(repair, contents_that_collide_are_adopted_each_under_its_id)
{
    struct fixture x;
    struct findings f;
    struct found at;
    static struct said s;
    uint64_t healed, collisions;

    fixture_setup(&x);
    for (unsigned i = 0; i < COLLIDING; i++)
        put_colliding(&x, i);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    objects_get_counts(x.p->objects, &healed, &collisions);
    cr_assert_gt(collisions, ID_CHAIN_MAX, "they collide");
    down(&x);
    is_clean(&x, &f);
    for (unsigned i = 0; i < COLLIDING; i++) {
        pick(&x, TABLE_OBJECTS, in_pack, &at);
        del(&x, TABLE_OBJECTS, at.key, 8);
    }
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "left:\n%s", s.left);
    is_clean(&x, &f);
    fixture_open(&x);
    for (unsigned i = 0; i < COLLIDING; i++)
        has_colliding(&x, i);
    down_clean(&x);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(repair, damaged_bytes_are_not_adopted)
{
    struct fixture x;
    struct found at;
    struct entry e;
    static struct said s;
    char name[DISK_NAME_MAX + 1];

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_file, &at);
    e = entry_of(&at);
    blob_object_name(&e.id, e.where, name);
    del(&x, TABLE_OBJECTS, at.key, 8);
    cr_assert_eq(disk_mem_flip(x.disk, name, 5000, 1), 0);
    repair(&x, 0, &s);
    cr_assert_gt(s.r.left, 0);
    cr_assert(!strstr(s.repaired, "in the table again"), "%s", s.repaired);
    cr_assert(strstr(s.found, "but it is not in the table"), "%s", s.found);
    cr_assert(strstr(s.found, "file|main/big|"), "%s", s.found);
    fixture_teardown(&x);
}

/* ---- never unasked ---- */

/* Leaks of every kind, and an entry that leads nowhere. */
static void leak_everything(struct fixture *x)
{
    static const char *const names[] = {
        "packs/00000000000000ff", "slots/00000000000000ff", "slots/00000000000000fa",
        "objects/00/00000000000000000000000000000000.00000000000000ff", "objects/00/stray"};
    uint8_t key[8], page[PAGE_SIZE_BYTES];
    struct found at;
    struct entry e;
    uint8_t val[ENTRY_MAX];

    plant_setup(x);
    put_file(x, "main/gone", "soon nobody needs this");
    cr_assert_eq(flush_drain(x->p, true, -1, NULL), 0);
    plant_dangling(x);
    plant_no_inode(x);
    down_clean(x);
    for (size_t i = 0; i < 5; i++) {
        struct disk_file *file;
        cr_assert_eq(disk_open(x->disk, names[i], DISK_WRITE | DISK_CREATE, &file), 0);
        cr_assert_eq(disk_pwrite(file, "leaked", 6, 0), 0);
        cr_assert_eq(disk_sync(file), 0);
        disk_file_close(file);
    }
    cr_assert_eq(disk_sync_dir(x->disk, "packs"), 0);
    cr_assert_eq(disk_sync_dir(x->disk, "slots"), 0);
    cr_assert_eq(disk_sync_dir(x->disk, "objects/00"), 0);
    put_be64(key, UINT64_C(1) << 40);
    page_init(page, UINT64_C(1) << 40, 0);
    page_seal(page);
    put(x, TABLE_PAGES, key, page, sizeof page);
    pick(x, TABLE_OBJECTS, in_pack, &at); /* counted, but named by nobody: a copy of an entry */
    e = entry_of(&at);
    e.kind = ENTRY_SLOT;
    e.count = 1;
    e.size = 6;
    put_be64(key, 0xfa);
    put(x, TABLE_OBJECTS, key, val, entry_encode(&e, val));
}

Test(repair, nothing_is_deleted_unasked)
{
    struct fixture x;
    struct amounts before, after;
    static struct said s;

    leak_everything(&x);
    before = amounts(&x);
    repair(&x, 0, &s);
    after = amounts(&x);
    cr_assert_eq(before.bytes, after.bytes);
    cr_assert_eq(before.names, after.names);
    cr_assert_eq(before.items, after.items);
    for (unsigned i = 0; i < TABLE_COUNT; i++)
        cr_assert_eq(before.table[i] - (i == TABLE_META), /* "stored", which a start counts */
                     after.table[i], "table %s", store_tables[i].name);
    cr_assert(strstr(s.left, "leak|packs/00000000000000ff|"), "%s", s.left);
    cr_assert(strstr(s.left, "leak|page 1099511627776|"), "%s", s.left);
    cr_assert(strstr(s.left, "leak|object number 250|"), "%s", s.left);
    cr_assert(strstr(s.left, "entry|main/dir/nowhere|"), "%s", s.left);
    cr_assert(strstr(s.left, "inode|main inode 99|"), "%s", s.left);
    fixture_teardown(&x);
}

Test(repair, what_leads_nowhere_and_what_leaks_goes_when_asked)
{
    struct fixture x;
    struct findings f;
    static struct said s;

    leak_everything(&x);
    repair(&x, REPAIR_REMOVE_DANGLING | REPAIR_FREE_LEAKS, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    is_whole(&x, "main/dir/sub/deep", "main/dir/other");
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 0, "%s", f.text);
    cr_assert_str_eq(f.text, "leak|objects/00/stray|it is no file of the store\n");
    fixture_teardown(&x);
}

Test(repair, no_new_inode_comes_to_stand_behind_an_entry_that_led_nowhere)
{
    struct fixture x;
    static struct said s;

    plant_setup(&x);
    put_entry(&x, "main/dir/nowhere", planted(&x)->next_ino, DT_REG);
    adjust_dir(&x, "main/dir", 1, 0);
    plant_nameless_file(&x);
    down_clean(&x);
    repair(&x, 0, &s);
    fixture_open(&x);
    put_file(&x, "main/new", "of its own");
    cr_assert_eq(node_of(&x, "main/dir/nowhere"), 0);
    read_file(&x, "main/lost+found/#6", "another content");
    fixture_teardown(&x);
}

Test(repair, a_second_name_of_a_directory_goes_when_asked)
{
    struct fixture x;
    struct findings f;
    static struct said s;

    damaged(&x, plant_second_dir_name);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 1);
    cr_assert_eq(s.r.repaired, 0, "%s", s.repaired);
    repair(&x, REPAIR_REMOVE_DANGLING, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    is_whole(&x, "main/dir/sub/deep", "main/dir/other");
    is_clean(&x, &f);
    fixture_teardown(&x);
}

/* ---- where it must not touch ---- */

Test(repair, a_sound_store_is_not_written)
{
    struct fixture x;
    static struct said s;
    uint64_t writes;

    setup(&x);
    writes = x.fault.writes;
    repair(&x, REPAIR_REMOVE_DANGLING | REPAIR_FREE_LEAKS, &s);
    cr_assert_eq(x.fault.writes, writes);
    cr_assert_eq(s.r.repaired, 0);
    fixture_teardown(&x);
}

Test(repair, a_dry_run_says_it_all_and_writes_nothing)
{
    struct fixture x;
    struct findings f;
    static struct said s;
    uint64_t writes;

    damaged(&x, plant_circle);
    writes = x.fault.writes;
    repair(&x, REPAIR_DRY_RUN, &s);
    cr_assert_eq(x.fault.writes, writes);
    cr_assert_eq(s.r.left, 1);
    cr_assert(strstr(s.repaired, "it is main/lost+found/#3 instead"), "%s", s.repaired);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 1);
    fixture_teardown(&x);
}

Test(repair, names_of_a_tree_that_cannot_be_read_are_left_alone)
{
    struct fixture x;
    struct findings f;
    struct found at;
    static struct said s;

    setup(&x);
    pick(&x, TABLE_PAGES, with_objects, &at);
    flip(&x, TABLE_PAGES, &at, 4000, 3);
    repair(&x, REPAIR_REMOVE_DANGLING | REPAIR_FREE_LEAKS, &s);
    cr_assert_eq(s.r.repaired, 0, "%s", s.repaired);
    cr_assert_eq(s.r.left, 1);
    flip(&x, TABLE_PAGES, &at, 4000, 3);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(repair, without_the_identity_nothing_is_changed)
{
    struct fixture x;
    static struct said s;
    uint64_t writes;

    damaged(&x, plant_file_links);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_META, "identity", 8, 100, 1), 0);
    writes = x.fault.writes;
    cr_assert_eq(try_repair(&x, 0, &s), -EUCLEAN);
    cr_assert_eq(x.fault.writes, writes);
    fixture_teardown(&x);
}

/* ---- cut anywhere ---- */

static void plant_many(struct fixture *x)
{
    plant_nameless_dir(x);
    plant_file_links(x);
    plant_hash(x);
    plant_dangling(x);
    plant_next_ino(x);
}

/* `plant` closes the state. What the uncut repair leaves is `end`. */
static void survives_cuts(void (*plant)(struct fixture *), unsigned flags, uint64_t least,
                          const char *deep, const char *end)
{
    static struct said s;
    bool cut = true;
    uint64_t k;

    for (k = 1; cut; k++) {
        struct fixture x;
        struct findings f;
        plant(&x);
        fault_reset(&x.fault);
        x.fault.fail_at = k;
        x.fault.cut = true;
        x.fault.error = EIO;
        int err = try_repair(&x, flags, &s);
        cut = fault_fired(&x.fault);
        cr_assert_eq(cut, err < 0, "cut %llu: %d", (unsigned long long)k, err);
        disk_mem_power_cycle(x.disk);
        fault_reset(&x.fault);
        repair(&x, flags, &s);
        cr_assert_eq(s.r.left, 0, "cut %llu left:\n%s", (unsigned long long)k, s.left);
        is_whole(&x, deep, "main/dir/other");
        examine(&x, &f);
        cr_assert_str_eq(f.text, end, "cut %llu", (unsigned long long)k);
        fixture_teardown(&x);
    }
    cr_assert_gt(k, least, "only %llu writes", (unsigned long long)k);
}

static void damage_much(struct fixture *x)
{
    struct found at;

    damaged(x, plant_many);
    pick(x, TABLE_OBJECTS, in_pack, &at);
    flip(x, TABLE_OBJECTS, &at, 2, 0);
}

Test(repair, cut_at_any_write_a_second_run_ends_the_same)
{
    survives_cuts(damage_much, REPAIR_REMOVE_DANGLING, 3, "main/lost+found/#4/deep", "");
}

Test(repair, cut_at_any_write_freeing_leaks_ends_the_same)
{
    survives_cuts(leak_everything, REPAIR_REMOVE_DANGLING | REPAIR_FREE_LEAKS, 6,
                  "main/dir/sub/deep", "leak|objects/00/stray|it is no file of the store\n");
}

/* ---- chance ---- */

static uint64_t rng;

static uint64_t chance(uint64_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng % below;
}

/* The key of an entry, damaged or not, and how many bytes of it there are for certain. */
static void pick_nth(struct fixture *x, unsigned table, uint64_t n, struct found *ret)
{
    struct kv_each e = {.table = table};
    struct kv *kv;

    cr_assert_eq(kv_open_mem(x->mem, store_tables, store_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(kv_snap_begin(kv, &e.snap), 0);
    for (uint64_t i = 0; i <= n; i++)
        cr_assert(kv_next(&e));
    memcpy(ret->key, e.key, e.klen);
    ret->klen = e.klen;
    ret->len = e.len == KV_DAMAGED ? 0 : e.len;
    if (!store_tables[table].checks_itself)
        ret->len += 8;
    kv_snap_end(e.snap);
    kv_close(kv);
}

/* One bit of any value but the identity, which nothing can make up for. */
static void flip_somewhere(struct fixture *x)
{
    static const unsigned tables[] = {TABLE_PAGES, TABLE_PAGE_COUNTS, TABLE_OBJECTS, TABLE_IDS,
                                      TABLE_PACKS, TABLE_NAMESPACES,  TABLE_OBJECTS, TABLE_META};
    unsigned table = tables[chance(sizeof tables / sizeof *tables)];
    uint64_t count = amounts(x).table[table];
    struct found at;

    if (count == 0)
        return;
    /* "state" and "stored" are last */
    pick_nth(x, table, table == TABLE_META ? count - 1 - chance(2) : chance(count), &at);
    if (at.len)
        flip(x, table, &at, chance(at.len), (unsigned)chance(8));
}

Test(repair, whatever_is_flipped_nothing_is_lost_and_once_is_enough, .timeout = 300)
{
    static struct said first, second;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct fixture x;
        struct amounts before, after;
        int err;
        rng = seed * 0x9e3779b97f4a7c15u;
        setup(&x);
        for (uint64_t n = 1 + chance(5); n > 0; n--)
            flip_somewhere(&x);
        before = amounts(&x);
        err = try_repair(&x, 0, &first);
        after = amounts(&x);
        cr_assert(err == 0 || err == -EUCLEAN, "seed %llu: %d", (unsigned long long)seed, err);
        cr_assert_eq(before.bytes, after.bytes, "seed %llu", (unsigned long long)seed);
        cr_assert_eq(before.names, after.names, "seed %llu", (unsigned long long)seed);
        cr_assert_geq(after.items, before.items, "seed %llu", (unsigned long long)seed);
        cr_assert_geq(after.table[TABLE_PAGES], before.table[TABLE_PAGES]);
        cr_assert_geq(after.table[TABLE_OBJECTS], before.table[TABLE_OBJECTS]);
        cr_assert_eq(try_repair(&x, 0, &second), err);
        cr_assert_eq(second.r.repaired, 0, "seed %llu again:\n%s", (unsigned long long)seed,
                     second.repaired);
        cr_assert_eq(second.r.left, first.r.left, "seed %llu", (unsigned long long)seed);
        cr_assert_leq(first.r.left, first.r.found.problems, "seed %llu:\n%s",
                      (unsigned long long)seed, first.left);
        fixture_teardown(&x);
    }
}

/* The n-th item of main. */
static bool nth_item(struct fixture *x, uint64_t n, struct key *ret_key, uint8_t *buf, size_t *len)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    int err = tree_seek(&planted(x)->tree, (struct key){0, 0}, &c);

    for (; err == 0 && n > 0; n--)
        err = tree_next(&c);
    if (err == 0) {
        const void *val = tree_cursor_value(&c, len);
        memcpy(buf, val, *len);
        *ret_key = tree_cursor_key(&c);
    }
    tree_cursor_end(&c);
    return err == 0;
}

static void spoil_inode(struct fixture *x, struct key k, const uint8_t *val, size_t len)
{
    struct inode in;

    cr_assert_eq(inode_decode(val, len, &in), 0);
    if (chance(2))
        in.nlink = (uint32_t)chance(5);
    if (S_ISDIR(in.mode) && chance(2))
        in.size = chance(9);
    if (S_ISDIR(in.mode) && chance(2))
        in.parent = 1 + chance(12);
    put_inode(x, key_ino(k), &in);
}

static void spoil_entry(struct fixture *x, struct key k, const uint8_t *val, size_t len)
{
    struct dirent_item d;
    char name[256] = "";

    cr_assert_eq(dirent_decode(val, len, &d), 0);
    memcpy(name, d.name, d.name_len);
    if (chance(3) == 0)
        k.lo ^= UINT64_C(1) << chance(60);
    put_entry_at(x, k, chance(8) ? name : "..", chance(2) ? d.ino : 1 + chance(12),
                 chance(4) ? d.type : (unsigned)chance(15));
}

/* One item goes, or says something else. */
static void spoil_somewhere(struct fixture *x)
{
    uint8_t val[PAGE_VALUE_MAX];
    struct key k;
    size_t len;

    if (!nth_item(x, chance(24), &k, val, &len))
        return;
    if (chance(3) == 0 && key_type(k) != ITEM_SYMLINK) /* a target cannot be made up */
        cr_assert_eq(tree_del(&planted(x)->tree, k), 0);
    else if (key_type(k) == ITEM_INODE)
        spoil_inode(x, k, val, len);
    else if (key_type(k) == ITEM_DIRENT)
        spoil_entry(x, k, val, len);
}

static void nest(struct fixture *x)
{
    plant_setup(x);
    make_dir(x, "main/dir/sub/sub");
    make_dir(x, "main/dir/sub/sub/sub");
    put_file(x, "main/dir/sub/sub/file", "at the bottom");
}

Test(repair, however_a_tree_is_spoiled_it_is_one_again, .timeout = 300)
{
    static struct said s;

    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct fixture x;
        struct amounts before, after;
        struct findings f;
        rng = seed * 0x9e3779b97f4a7c15u;
        nest(&x);
        for (uint64_t n = 1 + chance(6); n > 0; n--)
            spoil_somewhere(&x);
        down_clean(&x);
        before = amounts(&x);
        repair(&x, 0, &s);
        after = amounts(&x);
        cr_assert_geq(after.items, before.items, "seed %llu", (unsigned long long)seed);
        repair(&x, 0, &s);
        cr_assert_eq(s.r.repaired, 0, "seed %llu again:\n%s", (unsigned long long)seed, s.repaired);
        repair(&x, REPAIR_REMOVE_DANGLING | REPAIR_FREE_LEAKS, &s);
        cr_assert_eq(s.r.left, 0, "seed %llu left:\n%s", (unsigned long long)seed, s.left);
        fixture_open(&x);
        put_file(&x, "main/new", "it can be used");
        down_clean(&x);
        is_clean(&x, &f);
        fixture_teardown(&x);
    }
}
