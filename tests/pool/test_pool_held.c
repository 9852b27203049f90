// SPDX-License-Identifier: Apache-2.0
/* Claims of pool_held.h. */
#include "append_plain.h"
#include "pool_held.h"

#include "blob.h"
#include "compressed.h"
#include "kv_mem.h"
#include "packs.h"
#include "pool_file.h"
#include "pool_fixture.h"
#include <stdlib.h>

#define NODE 1
#define FILES 5
#define LONG_RECORDS 40 /* in the first pack: 160 KiB */
#define SHORT_RECORDS 3 /* in the second */
#define OPEN_RECORDS 2  /* in the third, which is not closed */
#define RECORDS (LONG_RECORDS + SHORT_RECORDS + OPEN_RECORDS)
#define ALL (FILES + RECORDS)
#define LENGTH 4000 /* bytes of payload */

/* What was put: files, then records pack by pack. */
static struct entry put[ALL];
static uint8_t payload[LENGTH];

/* ---- a pool with bytes ---- */

static struct id nth_id(unsigned i)
{
    uint64_t n[2] = {(i + 1) * UINT64_C(0x9e3779b97f4a7c15), i};
    struct id id;

    memcpy(id.b, n, sizeof id.b);
    return id;
}

static void put_file(unsigned i)
{
    char name[DISK_NAME_MAX + 1], sums[DISK_NAME_MAX + 10];

    put[i] = (struct entry){
        .kind = ENTRY_FILE, .id = nth_id(i), .size = 5, .where = pool_number(NODE, 1, i + 1)};
    blob_object_name(&put[i].id, put[i].where, name);
    snprintf(sums, sizeof sums, "%s.sums", name);
    write_text(name, "bytes");
    write_text(sums, "sums");
    name[sizeof "objects/00" - 1] = '\0';
    cr_assert_eq(disk_sync_dir(disk, name), 0);
}

static void put_record(struct packs *p, unsigned i, uint32_t len)
{
    struct pack_place place;

    put[i] = (struct entry){.kind = ENTRY_PACK, .id = nth_id(i), .size = len};
    memset(payload, (int)i + 1, sizeof payload);
    cr_assert_eq(append_plain(p, &put[i].id, payload, len, &place), 0);
    put[i].where = place.pack;
    put[i].offset = place.offset;
}

static void put_records(void)
{
    static const struct kv_table names[] = {{.name = "packs"}, {.name = "shard_packs"}};
    struct kv_mem *mem;
    struct kv *kv;
    struct packs *p;
    unsigned i = FILES;

    cr_assert_eq(kv_mem_create(NULL, &mem), 0);
    cr_assert_eq(kv_open_mem(mem, names, 2, KV_CREATE, &kv), 0);
    cr_assert_eq(packs_open(disk, kv, 0, 1, pool_number(NODE, 1, 1), NULL, NULL, &p), 0);
    while (i < FILES + LONG_RECORDS)
        put_record(p, i++, LENGTH);
    cr_assert_eq(packs_retire_current(p), 0);
    while (i < FILES + LONG_RECORDS + SHORT_RECORDS)
        put_record(p, i++, 11);
    cr_assert_eq(packs_retire_current(p), 0);
    while (i < ALL)
        put_record(p, i++, 100);
    cr_assert_eq(packs_sync(p), 0);
    packs_close(p);
    kv_close(kv);
    kv_mem_destroy(mem);
}

static bool is_third(void *ctx, uint64_t pack)
{
    (void)ctx;
    return pack == pool_number(NODE, 1, 3);
}

static int make_indexes(unsigned *ret_made)
{
    return pool_index_packs(disk, NODE, NODE, is_third, NULL, ret_made);
}

static void a_pool_without_indexes(void)
{
    a_pool();
    a_node();
    for (unsigned i = 0; i < FILES; i++)
        put_file(i);
    put_records();
}

static void a_full_pool(void)
{
    unsigned made;

    a_pool_without_indexes();
    cr_assert_eq(make_indexes(&made), 0);
    cr_assert_eq(made, 2);
}

/* "packs/..." of the first, second or third pack. */
static const char *pack(unsigned n, const char *suffix)
{
    static char names[4][DISK_NAME_MAX + 1];
    static unsigned next;
    char *name = names[next++ % 4];

    snprintf(name, DISK_NAME_MAX + 1, "packs/%016llx%s",
             (unsigned long long)pool_number(NODE, 1, n), suffix);
    return name;
}

/* ---- what is held ---- */

static bool held[ALL];

static bool has_key(const struct pool_held *h, const struct id *key)
{
    for (size_t i = 0; i < h->count; i++)
        if (id_equal(&h->keys[i].key, key))
            return true;
    return false;
}

/* How many of what was put are held; `held` says which. */
static unsigned list(void)
{
    struct pool_held h;
    unsigned n = 0;

    cr_assert_eq(pool_held_list(disk, NULL, NULL, &h, why), 0, "%s", why);
    for (unsigned i = 0; i < ALL; i++) {
        struct id key = pool_key(&put[i]);

        held[i] = has_key(&h, &key);
        n += held[i];
    }
    cr_assert_eq(n, h.count, "something is held that nobody put");
    for (size_t i = 1; i < h.count; i++)
        cr_assert_lt(id_compare(&h.keys[i - 1].key, &h.keys[i].key), 0);
    pool_held_release(&h);
    return n;
}

static void must_be_whole(unsigned i)
{
    static uint8_t buf[PACK_RECORD_MAX];
    const struct entry *e = &put[i];
    char name[DISK_NAME_MAX + 1], sums[DISK_NAME_MAX + 10];
    struct disk_file *f;

    if (e->kind == ENTRY_FILE) {
        blob_object_name(&e->id, e->where, name);
        snprintf(sums, sizeof sums, "%s.sums", name);
        cr_assert(is_there(name) && is_there(sums), "file %u", i);
        return;
    }
    pack_name(e->where, name);
    cr_assert_eq(disk_open(disk, name, DISK_READ, &f), 0);
    struct pack_place place = pack_place_of(e);

    cr_assert_eq(packs_check_record(f, &place, &e->id, buf, (uint32_t)e->size), 0, "record %u", i);
    disk_file_close(f);
}

/* ---- removal of those that `chosen` says ---- */

static bool chosen[ALL];
static uint8_t done[ALL];
static struct pool_removed removed;

static int by_id(const void *a, const void *b)
{
    return id_compare(a, b);
}

static int remove_chosen(void)
{
    struct id keys[ALL];
    size_t n = 0;

    for (unsigned i = 0; i < ALL; i++)
        if (chosen[i])
            keys[n++] = pool_key(&put[i]);
    qsort(keys, n, sizeof *keys, by_id);
    return pool_held_remove(disk, NODE, keys, n, done, &removed);
}

static void choose(unsigned from, unsigned to)
{
    for (unsigned i = 0; i < ALL; i++)
        chosen[i] = i >= from && i < to;
}

/* What was not chosen is held as it was, and its bytes are whole. */
static void others_must_stay(void)
{
    list();
    for (unsigned i = 0; i < ALL; i++) {
        bool is_open = i >= ALL - OPEN_RECORDS;

        if (!chosen[i])
            must_be_whole(i);
        if (!chosen[i] && !is_open)
            cr_assert(held[i], "%u is not held any more", i);
    }
}

static void chosen_must_be_gone(void)
{
    others_must_stay();
    for (unsigned i = 0; i < ALL; i++)
        cr_assert(!chosen[i] || !held[i], "%u is still held", i);
}

/* ---- listing ---- */

Test(pool_held, files_and_records_of_packs_with_an_index_are_held)
{
    struct pool_held h;

    a_pool_without_indexes();
    cr_assert_eq(list(), FILES);
    cr_assert_eq(pool_held_list(disk, NULL, NULL, &h, why), 0);
    cr_assert_eq(h.unindexed, 3);
    pool_held_release(&h);
    cr_assert_eq(make_indexes(NULL), 0);
    cr_assert_eq(list(), ALL - OPEN_RECORDS);
    cr_assert(is_there(pack(2, ".index")) && !is_there(pack(3, ".index")), "it is open");
    cr_assert_eq(pool_index_packs(disk, NODE, NODE, NULL, NULL, NULL), 0);
    cr_assert_eq(list(), ALL);
    pool_disk_destroy(disk);
}

Test(pool_held, an_empty_pool_holds_nothing)
{
    struct pool_held h;

    a_pool();
    cr_assert_eq(pool_held_list(disk, NULL, NULL, &h, why), 0);
    cr_assert_eq(h.count, 0);
    pool_held_release(&h);
    cr_assert_eq(pool_held_remove(disk, 0, NULL, 0, NULL, &removed), 0);
    pool_disk_destroy(disk);
}

Test(pool_held, names_of_others_are_not_held_and_stay)
{
    static const char *const names[] = {"objects/00/notes",
                                        "objects/00/00000000000000000000000000000000",
                                        "packs/notes",
                                        "packs/0010000100000001x",
                                        "packs/0000000000000000.index",
                                        "packs/1.index"};

    a_full_pool();
    for (int i = 0; i < 6; i++)
        write_text(names[i], "x");
    cr_assert_eq(list(), ALL - OPEN_RECORDS);
    choose(0, ALL);
    cr_assert_eq(remove_chosen(), 0);
    for (int i = 0; i < 6; i++)
        cr_assert(is_there(names[i]));
    pool_disk_destroy(disk);
}

Test(pool_held, only_packs_of_the_owner_are_indexed)
{
    unsigned made = 77;

    a_pool_without_indexes();
    cr_assert_eq(pool_index_packs(disk, NODE, 2, NULL, NULL, &made), 0);
    cr_assert_eq(made, 0);
    cr_assert_eq(list(), FILES);
    pool_disk_destroy(disk);
}

static bool stop_at_ten(void *ctx, uint64_t n)
{
    ++*(unsigned *)ctx;
    return n >= 10;
}

Test(pool_held, listing_can_be_cancelled)
{
    struct pool_held h;
    unsigned steps = 0;

    a_full_pool();
    cr_assert_eq(pool_held_list(disk, stop_at_ten, &steps, &h, why), -ECANCELED);
    cr_assert_gt(steps, POOL_SLOTS ? 256u : 0u, "each directory is a step");
    cr_assert_null(h.keys);
    pool_disk_destroy(disk);
}

Test(pool_held, a_listing_that_fails_is_no_shorter_one)
{
    struct pool_held h;

    a_full_pool();
    fault.fail_at = 1;
    fault.cut = true;
    cr_assert_lt(pool_file_put(disk, NODE, "x", "", 0, POOL_REPLACE), 0);
    cr_assert_eq(pool_held_list(disk, NULL, NULL, &h, why), -EIO);
    cr_assert_str_eq(why, POOL_SLOTS ? "objects/00 cannot be read: Input/output error"
                                     : "objects cannot be read: Input/output error");
    cr_assert_null(h.keys);
    pool_disk_destroy(disk);
}

/* ---- damage ---- */

static void flip(const char *name, uint64_t byte)
{
    cr_assert_eq(pool_disk_flip(disk, name, byte, 1), 0);
}

Test(pool_held, a_damaged_index_is_named_and_made_anew_by_its_owner)
{
    struct pool_held h;
    unsigned made;

    a_full_pool();
    for (uint64_t byte = 5; byte < 2 * POOL_BLOCK; byte += 400) {
        flip(pack(1, ".index"), byte);
        cr_assert_eq(pool_held_list(disk, NULL, NULL, &h, why), -EUCLEAN);
        cr_assert_str_eq(why, "its file packs/0010000100000001.index is damaged");
        choose(0, ALL);
        chosen[FILES + 1] = false;
        cr_assert_eq(make_indexes(&made), 0);
        cr_assert_eq(made, 1);
        cr_assert_eq(list(), ALL - OPEN_RECORDS);
    }
    pool_disk_destroy(disk);
}

Test(pool_held, what_has_a_damaged_index_is_not_removed_and_the_rest_is)
{
    a_full_pool();
    flip(pack(1, ".index"), 5000);
    choose(0, ALL - OPEN_RECORDS);
    cr_assert_eq(remove_chosen(), -EUCLEAN);
    cr_assert(removed.files == FILES && removed.records == SHORT_RECORDS);
    for (unsigned i = FILES; i < FILES + LONG_RECORDS; i++)
        must_be_whole(i);
    pool_disk_destroy(disk);
}

Test(pool_held, without_its_dead_list_a_key_is_held_and_removed_again)
{
    for (int lost = 0; lost < 2; lost++) {
        a_full_pool();
        choose(FILES, FILES + 20);
        cr_assert_eq(remove_chosen(), 0);
        chosen_must_be_gone();
        if (lost)
            cr_assert_eq(disk_unlink(disk, pack(1, ".dead")), 0);
        else
            flip(pack(1, ".dead"), 4096 + 30);
        cr_assert_eq(list(), ALL - OPEN_RECORDS);
        cr_assert_eq(remove_chosen(), 0);
        cr_assert_eq(removed.records, 20);
        chosen_must_be_gone();
        pool_disk_destroy(disk);
    }
}

/* A record whose bytes are damaged is in no index, but somebody may need it, and can say so. */
Test(pool_held, a_pack_with_something_that_is_no_record_is_not_removed)
{
    a_pool_without_indexes();
    flip(pack(1, ""), put[FILES + 7].offset + 100);
    cr_assert_eq(make_indexes(NULL), 0);
    cr_assert_eq(list(), ALL - OPEN_RECORDS - 1);
    choose(FILES, ALL - OPEN_RECORDS);
    chosen[FILES + 7] = false;
    cr_assert_eq(remove_chosen(), 0);
    cr_assert_eq(removed.packs, 1, "the second");
    flip(pack(1, ""), put[FILES + 7].offset + 100);
    must_be_whole(FILES + 7);
    cr_assert(is_there(pack(1, ".index")) && is_there(pack(1, ".dead")));
    pool_disk_destroy(disk);
}

#ifndef POOL_ON_SHARD /* where nobody changes a pack */
Test(pool_held, nor_is_one_with_something_behind_its_last_record)
{
    struct disk_file *f;
    struct disk_stat st;

    a_pool_without_indexes();
    cr_assert_eq(disk_open(disk, pack(2, ""), DISK_WRITE, &f), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    cr_assert_eq(disk_pwrite(f, "?", 1, st.size + 100000), 0);
    disk_file_close(f);
    cr_assert_eq(make_indexes(NULL), 0);
    choose(FILES, ALL - OPEN_RECORDS);
    cr_assert_eq(remove_chosen(), 0);
    cr_assert(is_there(pack(2, "")) && !is_there(pack(1, "")));
    cr_assert_eq(list(), FILES);
    pool_disk_destroy(disk);
}

Test(pool_held, nor_is_one_that_has_grown_since_it_was_indexed)
{
    struct disk_file *f;
    struct disk_stat st;

    a_full_pool();
    cr_assert_eq(disk_open(disk, pack(2, ""), DISK_WRITE, &f), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    cr_assert_eq(disk_pwrite(f, "one more record", 15, st.size), 0);
    disk_file_close(f);
    choose(FILES, ALL - OPEN_RECORDS);
    cr_assert_eq(remove_chosen(), 0);
    cr_assert(is_there(pack(2, "")) && !is_there(pack(1, "")));
    pool_disk_destroy(disk);
}

static void cut_pack(unsigned n, uint64_t size)
{
    struct disk_file *f;

    cr_assert_eq(disk_open(disk, pack(n, ""), DISK_WRITE, &f), 0);
    cr_assert_eq(disk_truncate(f, size), 0);
    disk_file_close(f);
}

Test(pool_held, a_pack_that_was_cut_before_its_first_record_goes)
{
    static const uint64_t sizes[] = {0, 10, PACK_FILE_HEAD, 100000};

    for (int i = 0; i < 4; i++) {
        a_pool_without_indexes();
        cut_pack(1, i == 1 ? 0 : sizes[i] < PACK_FILE_HEAD ? sizes[i] : PACK_FILE_HEAD);
        cut_pack(1, sizes[i]); /* zeros */
        cr_assert_eq(make_indexes(NULL), 0);
        choose(0, 0);
        cr_assert_eq(remove_chosen(), 0);
        cr_assert_eq(removed.packs, 1, "%d", i);
        cr_assert(!is_there(pack(1, "")) && !is_there(pack(1, ".index")));
        pool_disk_destroy(disk);
    }
}
#endif

/* ---- removal ---- */

Test(pool_held, what_is_removed_is_gone_and_nothing_else)
{
    uint64_t state = 3;

    for (int round = 0; round < 6; round++) {
        a_full_pool();
        for (unsigned i = 0; i < ALL; i++)
            chosen[i] = fault_random(&state) % 6 < (unsigned)round && i < ALL - OPEN_RECORDS;
        cr_assert_eq(remove_chosen(), 0);
        chosen_must_be_gone();
        for (unsigned i = 0; i < ALL; i++)
            removed.records -= chosen[i] && i >= FILES;
        cr_assert_eq(removed.records, 0);
        cr_assert_eq(remove_chosen(), 0, "again");
        cr_assert(removed.files == 0 && removed.records == 0 && removed.bytes == 0);
        for (unsigned i = 0; i < ALL; i++)
            cr_assert_eq(done[i], 0);
        cr_assert(!has_temporaries("nodes/0001"));
        pool_disk_destroy(disk);
    }
}

Test(pool_held, what_was_removed_is_told_key_by_key)
{
    struct id keys[3];
    struct entry never = {.kind = ENTRY_FILE, .id = {{9}}, .where = 9};

    a_full_pool();
    keys[0] = pool_key(&put[0]);
    keys[1] = pool_key(&put[FILES + 3]);
    keys[2] = pool_key(&never);
    struct id last = keys[2];

    qsort(keys, 3, sizeof *keys, by_id);
    cr_assert_eq(pool_held_remove(disk, NODE, keys, 3, done, &removed), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(done[i], !id_equal(&keys[i], &last));
    cr_assert(removed.files == 1 && removed.records == 1 && removed.packs == 0);
    pool_disk_destroy(disk);
}

#ifndef POOL_ON_SHARD
static uint64_t blocks_of(const char *name)
{
    struct disk_file *f;
    struct disk_stat st;

    cr_assert_eq(disk_open(disk, name, DISK_READ, &f), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    disk_file_close(f);
    return st.blocks;
}

Test(pool_held, long_runs_of_dead_records_become_holes_however_they_came_about)
{
    a_full_pool();
    uint64_t before = blocks_of(pack(1, ""));

    for (unsigned i = FILES + 2; i < FILES + 32; i++) { /* one by one: 120 KiB in the end */
        choose(i, i + 1);
        cr_assert_eq(remove_chosen(), 0);
    }
    choose(FILES + 2, FILES + 32);
    chosen_must_be_gone();
    uint64_t after = blocks_of(pack(1, ""));

    cr_assert_leq(after + 110 * 1024, before);
    pool_disk_destroy(disk);
}
#endif

static void choose_and_fill(unsigned from, unsigned to)
{
    choose(from, to);
    a_full_pool();
}

#ifndef POOL_ON_SHARD
/* So that who looks at it late does not take it for an object that is there. */
Test(pool_held, a_record_that_is_not_held_any_more_is_no_record)
{
    uint8_t buf[100];
    struct disk_file *f;
    int r = 0;

    AT_EACH_WRITE(choose_and_fill(FILES + LONG_RECORDS, FILES + LONG_RECORDS + 1),
                  r = remove_chosen())
    {
        const struct entry *e = &put[FILES + LONG_RECORDS];
        struct pack_place place = pack_place_of(e);

        list();
        cr_assert(r < 0 || !held[FILES + LONG_RECORDS], "what was said to be removed is back");
        cr_assert_eq(disk_open(disk, pack(2, ""), DISK_READ, &f), 0);
        cr_assert(held[FILES + LONG_RECORDS] ||
                  packs_check_record(f, &place, &e->id, buf, (uint32_t)e->size) == -EUCLEAN);
        disk_file_close(f);
        others_must_stay();
    }
}
#else
Test(pool_held, who_scans_a_pack_is_told_which_of_its_records_are_no_objects_any_more)
{
    int r = 0;

    AT_EACH_WRITE(choose_and_fill(FILES + LONG_RECORDS, FILES + LONG_RECORDS + 1),
                  r = remove_chosen())
    {
        const struct entry *e = &put[FILES + LONG_RECORDS];
        struct pool_dead dead;

        list();
        cr_assert(r < 0 || !held[FILES + LONG_RECORDS], "what was said to be removed is back");
        cr_assert_eq(pool_dead_read(disk, e->where, &dead), 0);
        cr_assert_eq(pool_dead_has(&dead, e->offset), !held[FILES + LONG_RECORDS]);
        cr_assert(!pool_dead_has(&dead, e[1].offset));
        pool_dead_release(&dead);
        others_must_stay();
    }
}
#endif

Test(pool_held, a_pack_without_live_records_goes_with_all_that_is_beside_it)
{
    a_full_pool();
    choose(FILES, FILES + LONG_RECORDS);
    cr_assert_eq(remove_chosen(), 0);
    cr_assert_eq(removed.packs, 1);
    cr_assert_geq(removed.bytes, LONG_RECORDS * LENGTH);
    cr_assert_eq(names_in("packs"), 3, "the second, its index, and the third");
    chosen_must_be_gone();
    pool_disk_destroy(disk);
}

#ifndef POOL_ON_SHARD
/* Its neighbours go, and holes are made of them; it stays, and so does its pack. */
Test(pool_held, a_compressed_record_is_not_removed_with_what_is_around_it)
{
    const struct entry *e = &put[FILES + LONG_RECORDS / 2];
    static uint8_t buf[PACK_RECORD_MAX];
    struct pack_place place;
    struct disk_file *f;

    a_pool_without_indexes();
    place = pack_place_of(e);
    compress_record(disk, &place, &e->id, (uint32_t)e->size);
    cr_assert_eq(make_indexes(&(unsigned){0}), 0);
    choose(FILES, FILES + LONG_RECORDS);
    cr_assert_eq(remove_chosen(), 0);
    cr_assert_eq(removed.packs, 0);
    cr_assert_eq(disk_open(disk, pack(1, ""), DISK_READ, &f), 0);
    cr_assert_eq(packs_check_record(f, &place, &e->id, buf, (uint32_t)e->size), -EPROTO);
    disk_file_close(f);
    pool_disk_destroy(disk);
}
#endif

Test(pool_held, an_index_without_a_pack_goes_with_the_next_removal)
{
    a_full_pool();
    cr_assert_eq(disk_unlink(disk, pack(1, "")), 0);
    cr_assert_eq(list(), FILES + SHORT_RECORDS);
    choose(0, 0);
    cr_assert_eq(remove_chosen(), 0);
    cr_assert(!is_there(pack(1, ".index")) && is_there(pack(2, ".index")));
    pool_disk_destroy(disk);
}

/* ---- faults ---- */

/* Whatever was left, a second removal ends it. */
static void must_end(void)
{
    others_must_stay();
    cr_assert_eq(remove_chosen(), 0);
    chosen_must_be_gone();
    cr_assert_eq(pool_node_tidy(disk, NODE), 0);
    cr_assert(!has_temporaries("nodes/0001"));
}

Test(pool_held, removal_can_be_cut_anywhere_and_never_takes_more)
{
    int r = 0;

    AT_EACH_WRITE(choose_and_fill(FILES - 2, FILES + 30), r = remove_chosen())
    {
        if (each.loss == FAIL_ALONE) { /* what was not done is still held, what was is not */
            list();
            for (unsigned i = 0; i < ALL; i++)
                cr_assert(!chosen[i] || r < 0 || !held[i]);
        }
        must_end();
    }
}

Test(pool_held, removal_of_whole_packs_can_be_cut_anywhere)
{
    int r = 0;

    AT_EACH_WRITE(choose_and_fill(FILES, ALL - OPEN_RECORDS), r = remove_chosen())
    {
        (void)r;
        must_end();
        cr_assert_eq(names_in("packs"), 1, "what is left: the open one");
    }
}

Test(pool_held, an_index_is_there_wholly_or_not_wherever_it_is_cut)
{
    int r = 0;

    AT_EACH_WRITE(a_pool_without_indexes(), r = make_indexes(NULL))
    {
        unsigned n = list();

        cr_assert(n == FILES || n == FILES + LONG_RECORDS || n == FILES + SHORT_RECORDS ||
                  n == ALL - OPEN_RECORDS);
        cr_assert(r < 0 || n == ALL - OPEN_RECORDS, "what was said to be made is lost");
        cr_assert_eq(make_indexes(NULL), 0);
        cr_assert_eq(list(), ALL - OPEN_RECORDS);
    }
}
