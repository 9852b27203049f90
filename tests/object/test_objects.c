// SPDX-License-Identifier: Apache-2.0
/* Claims of objects.h. */
#include "warehouse.h"

#include <stdlib.h>

#define LARGE (300 * 1024)

static struct warehouse w;

static void setup(void)
{
    warehouse_create(&w);
}
static void teardown(void)
{
    warehouse_destroy(&w);
}

TestSuite(objects, .init = setup, .fini = teardown);

static char *fill(char seed, size_t len)
{
    char *bytes = malloc(len);
    cr_assert_not_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)((size_t)seed * 31 + i * i / 7);
    return bytes;
}

static int try_small(char seed, uint64_t number, uint64_t *ret_number)
{
    char *bytes = fill(seed, 500);
    int err = objects_seal_buffer(w.objects, number, bytes, 500, COMPRESS_NOT, NULL, ret_number);
    free(bytes);
    return err;
}

static uint64_t small(char seed)
{
    uint64_t n = numbered(&w), is;
    cr_assert_eq(try_small(seed, n, &is), 0);
    cr_assert_eq(objects_sync(w.objects), 0);
    return is;
}

static int try_blob(char seed, size_t len, uint64_t number, uint64_t *ret_number)
{
    char *bytes = fill(seed, len);
    struct blob *b;
    struct id id;
    int err;

    cr_assert_eq(blob_create_slot(w.disk, number, &b), 0);
    cr_assert_eq(blob_write(b, bytes, len, 0), 0);
    free(bytes);
    cr_assert_eq(objects_hash_blob(w.objects, b, &id), 0);
    err = objects_seal_blob(w.objects, number, b, &id, NULL, ret_number);
    blob_unref(b);
    cr_assert_eq(blob_unlink_slot(w.disk, number), 0);
    return err;
}

static uint64_t large(char seed)
{
    uint64_t n = numbered(&w), is;
    cr_assert_eq(try_blob(seed, LARGE, n, &is), 0);
    cr_assert_eq(objects_sync(w.objects), 0);
    return is;
}

static int reads(uint64_t number, char seed, size_t len)
{
    struct entry e = entry_of(&w, number);
    char *want = fill(seed, len), *got = malloc(len);
    ssize_t n = objects_read(w.objects, &e, got, len, 0);
    bool same = n == (ssize_t)len && e.size == len && memcmp(got, want, len) == 0;
    free(want);
    free(got);
    return n < 0 ? (int)n : same;
}

static uint64_t count_of(uint64_t number)
{
    struct entry e;
    return refs_entry(w.refs, number, false, NULL, &e) == 0 ? e.count : 0;
}

static void damage(uint64_t number)
{
    struct entry e = entry_of(&w, number);
    char name[DISK_NAME_MAX + 1];
    if (e.kind == ENTRY_FILE)
        blob_object_name(&e.id, e.where, name);
    else
        pack_name(e.where, name);
    cr_assert_eq(disk_mem_flip(w.disk, name, e.offset + 200, 1), 0);
    objects_close(w.objects); /* no file kept open */
    struct objects_config c = {.disk = w.disk, .packs = w.packs, .refs = w.refs, .key = &w.key};
    cr_assert_eq(objects_open(&c, &w.objects), 0);
}

static uint64_t healed(void)
{
    uint64_t h, c;
    objects_get_counts(w.objects, &h, &c);
    return h;
}

static void release(uint64_t number)
{
    cr_assert_eq(refs_unref(w.refs, number), 0);
}

/* ---- reading ---- */

Test(objects, sealed_bytes_are_read_whole_and_in_part)
{
    struct entry e = entry_of(&w, small('a'));
    char *want = fill('a', 500), got[500];
    cr_assert_eq(objects_read(w.objects, &e, got, 500, 0), 500);
    cr_assert_arr_eq(got, want, 500);
    cr_assert_eq(objects_read(w.objects, &e, got, 100, 450), 50);
    cr_assert_arr_eq(got, want + 450, 50);
    cr_assert_eq(objects_read(w.objects, &e, got, 100, 500), 0);
    cr_assert_eq(objects_read(w.objects, &e, got, 100, 5000), 0);
    cr_assert_eq(objects_read(w.objects, &e, got, 0, 0), 0);
    free(want);
}

Test(objects, no_memory_is_asked_for_what_no_record_can_have)
{
    struct entry e = entry_of(&w, small('a'));
    char got[500];

    e.size = UINT64_C(1) << 50; /* a damaged row, whose sum is right */
    cr_assert_eq(objects_read(w.objects, &e, got, sizeof got, 0), -EUCLEAN);
}

Test(objects, a_large_one_is_read_from_its_own_file)
{
    uint64_t n = large('a');
    cr_assert_eq(entry_of(&w, n).kind, ENTRY_FILE);
    cr_assert_eq(reads(n, 'a', LARGE), 1);
}

Test(objects, what_is_not_sealed_is_not_read_or_verified)
{
    struct entry e = entry_of(&w, numbered(&w));
    char c;
    cr_assert_eq(objects_read(w.objects, &e, &c, 1, 0), -EINVAL);
    cr_assert_eq(objects_verify(w.objects, &e), -EINVAL);
}

Test(objects, sealed_and_committed_bytes_survive_the_loss_of_power)
{
    uint64_t a = small('a'), b = large('b');
    warehouse_commit(&w);
    warehouse_reopen(&w);
    cr_assert_eq(reads(a, 'a', 500), 1);
    cr_assert_eq(reads(b, 'b', LARGE), 1);
}

Test(objects, nothing_and_too_much_are_refused)
{
    uint64_t is;
    cr_assert_eq(objects_seal_buffer(w.objects, numbered(&w), "", 0, COMPRESS_NOT, NULL, &is),
                 -EINVAL);
    cr_assert_eq(objects_seal_buffer(w.objects, numbered(&w), "", PACK_RECORD_MAX + 1, COMPRESS_NOT,
                                     NULL, &is),
                 -EINVAL);
}

/* ---- equal bytes ---- */

Test(objects, equal_small_bytes_become_an_alias_and_are_stored_once)
{
    struct packs_stats s;
    uint64_t a = small('a'), n = numbered(&w), is;
    cr_assert_eq(try_small('a', n, &is), 0);
    cr_assert_eq(is, a);
    cr_assert_eq(refs_resolve(w.refs, n), a);
    cr_assert_eq(count_of(a), 2);
    cr_assert_eq(refs_holds(w.refs, a), 0);
    packs_get_stats(w.packs, &s);
    cr_assert_eq(s.live_records, 1);
}

Test(objects, equal_large_bytes_become_an_alias_and_are_stored_once)
{
    uint64_t bytes[2], names[2], a = large('a'), b;
    disk_mem_usage(w.disk, &bytes[0], &names[0]);
    b = large('a');
    disk_mem_usage(w.disk, &bytes[1], &names[1]);
    cr_assert_eq(a, b);
    cr_assert_eq(count_of(a), 2);
    cr_assert(bytes[0] == bytes[1] && names[0] == names[1]);
    cr_assert_eq(refs_holds(w.refs, a), 0);
}

/* A file that grew and shrank again is a slot though its bytes are few. */
Test(objects, a_slot_with_the_bytes_of_a_record_becomes_its_alias)
{
    uint64_t a = small('a'), n = numbered(&w), is, h, collisions;
    cr_assert_eq(try_blob('a', 500, n, &is), 0);
    cr_assert_eq(is, a);
    objects_get_counts(w.objects, &h, &collisions);
    cr_assert_eq(collisions, 0);
}

Test(objects, a_buffer_with_the_bytes_of_a_file_becomes_its_alias)
{
    uint64_t n = numbered(&w), a, is;
    cr_assert_eq(try_blob('a', 500, n, &a), 0);
    cr_assert_eq(objects_sync(w.objects), 0);
    cr_assert_eq(try_small('a', numbered(&w), &is), 0);
    cr_assert_eq(is, a);
}

Test(objects, a_hit_on_bytes_not_synced_waits_for_objects_sync)
{
    uint64_t n = numbered(&w), first, is;
    cr_assert_eq(try_small('a', numbered(&w), &first), 0);
    cr_assert_eq(try_small('a', n, &is), -EAGAIN);
    cr_assert_eq(refs_holds(w.refs, first), 0);
    cr_assert_eq(objects_sync(w.objects), 0);
    cr_assert_eq(try_small('a', n, &is), 0);
    cr_assert_eq(is, first);
}

Test(objects, a_hit_on_a_dying_object_revives_it)
{
    uint64_t a = small('a');
    release(a);
    cr_assert_eq(refs_dying(w.refs), 1);
    cr_assert_eq(small('a'), a);
    cr_assert_eq(refs_dying(w.refs), 0);
    cr_assert_eq(warehouse_reclaim(&w), 0);
    cr_assert_eq(reads(a, 'a', 500), 1);
}

Test(objects, bytes_that_come_again_after_they_were_deleted_are_stored_anew)
{
    uint64_t a = small('a'), b = large('b'), c;
    release(a);
    release(b);
    cr_assert_eq(warehouse_reclaim(&w), 2);
    cr_assert_eq(reads(small('a'), 'a', 500), 1);
    cr_assert_eq(reads(large('b'), 'b', LARGE), 1);
    c = small('c');
    cr_assert_eq(reads(c, 'c', 500), 1);
}

/* Collected, but its bytes are not deleted yet: the new ones must not share their fate. */
Test(objects, bytes_that_come_again_between_their_removal_and_deletion_survive_it)
{
    uint64_t a = small('a'), b = large('b'), a2, b2;
    struct refs_dead d;
    release(a);
    release(b);
    cr_assert_eq(refs_collect(w.refs, 10, NULL, NULL), 2);
    a2 = small('a');
    b2 = large('b');
    warehouse_commit(&w);
    while (refs_collected(w.refs, &d, 1))
        cr_assert_eq(objects_delete(w.objects, &d), 0);
    cr_assert_eq(reads(a2, 'a', 500), 1);
    cr_assert_eq(reads(b2, 'b', LARGE), 1);
}

/* ---- deletion ---- */

Test(objects, deleting_everything_leaves_no_object_file_and_no_record)
{
    struct packs_stats s;
    uint64_t bytes[2], names[2];
    disk_mem_usage(w.disk, &bytes[0], &names[0]);
    for (char c = 'a'; c < 'j'; c++) {
        release(small(c));
        release(large(c));
    }
    cr_assert_eq(warehouse_reclaim(&w), 18);
    packs_get_stats(w.packs, &s);
    cr_assert_eq(s.live_records, 0);
    cr_assert_eq(packs_retire_current(w.packs), 0);
    warehouse_commit(&w);
    disk_mem_usage(w.disk, &bytes[1], &names[1]);
    cr_assert_eq(names[1], names[0]);
}

Test(objects, deleting_what_is_gone_already_is_fine)
{
    uint64_t n = large('a');
    struct refs_dead d = {.number = n, .entry = entry_of(&w, n)};
    struct refs_dead slot = {.number = 99, .entry = {.kind = ENTRY_SLOT}};
    cr_assert_eq(objects_delete(w.objects, &d), 0);
    cr_assert_eq(objects_delete(w.objects, &d), 0);
    cr_assert_eq(objects_delete(w.objects, &slot), 0);
}

/* ---- collisions ---- */

static void all_alike(struct id *id)
{
    memset(id, 5, sizeof *id);
}

Test(objects, contents_that_collide_are_kept_apart_readable_and_deletable)
{
    uint64_t n[4], h, collisions;
    w.key.fold = all_alike;
    for (unsigned i = 0; i < 4; i++)
        n[i] = small((char)('a' + i));
    for (unsigned i = 0; i < 4; i++) {
        struct entry e = entry_of(&w, n[i]);
        cr_assert_eq(reads(n[i], (char)('a' + i), 500), 1);
        cr_assert_eq(objects_verify(w.objects, &e), 0);
    }
    objects_get_counts(w.objects, &h, &collisions);
    cr_assert(h == 0 && collisions == 0 + 1 + 2 + 3);
    release(n[1]);
    cr_assert_eq(warehouse_reclaim(&w), 1);
    cr_assert_eq(small('d'), n[3], "beyond the gap in the chain");
    cr_assert_eq(reads(n[2], 'c', 500), 1);
    cr_assert_eq(reads(n[0], 'a', 500), 1);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

Test(objects, large_contents_that_collide_are_kept_apart)
{
    uint64_t a, b, c;
    w.key.fold = all_alike;
    a = large('a');
    b = large('b');
    c = small('c'); /* another size, another kind, the same id */
    cr_assert(a != b && b != c);
    cr_assert_eq(reads(a, 'a', LARGE), 1);
    cr_assert_eq(reads(b, 'b', LARGE), 1);
    cr_assert_eq(reads(c, 'c', 500), 1);
    cr_assert_eq(large('b'), b);
    release(a);
    cr_assert_eq(warehouse_reclaim(&w), 1);
    cr_assert_eq(large('b'), b);
}

static int try_find(char seed, size_t len, uint64_t *ret_number)
{
    char *bytes = fill(seed, len);
    int err = objects_find_buffer(w.objects, bytes, (uint32_t)len, NULL, ret_number);

    free(bytes);
    return err;
}

Test(objects, bytes_in_memory_are_found_only_where_an_object_has_all_of_them)
{
    uint64_t a, b, c, is;
    w.key.fold = all_alike;
    a = large('a');
    b = large('b');
    c = small('c');
    cr_assert_eq(try_find('b', LARGE, &is), 0);
    cr_assert_eq(is, b);
    cr_assert_eq(try_find('c', 500, &is), 0);
    cr_assert_eq(is, c);
    refs_unhold(w.refs, b);
    refs_unhold(w.refs, c);
    cr_assert_eq(try_find('d', LARGE, &is), -ENOENT, "of that length and with that id");
    cr_assert_eq(try_find('a', LARGE - 1, &is), -ENOENT);
    damage(a);
    cr_assert_eq(try_find('a', LARGE, &is), -ENOENT);
    cr_assert_eq(healed(), 0, "nothing was stored");
}

/* A content of its own for each i. */
static int try_numbered(unsigned i, uint64_t number, uint64_t *ret_number)
{
    char bytes[500] = {0};

    memcpy(bytes, &i, sizeof i);
    return objects_seal_buffer(w.objects, number, bytes, sizeof bytes, COMPRESS_NOT, NULL,
                               ret_number);
}

static bool has_numbered(unsigned i, uint64_t number)
{
    struct entry e = entry_of(&w, number);
    char want[500] = {0}, got[500];

    memcpy(want, &i, sizeof i);
    return objects_read(w.objects, &e, got, sizeof got, 0) == 500 &&
           memcmp(got, want, sizeof got) == 0 && objects_verify(w.objects, &e) == 0;
}

#define MANY 1200 /* of one id; more than any chain ever had */

Test(objects, any_number_of_contents_that_collide_is_stored_with_one_sync)
{
    uint64_t n[MANY], is, h, collisions;
    w.key.fold = all_alike;
    for (unsigned i = 0; i < MANY; i++) {
        n[i] = numbered(&w);
        cr_assert_eq(try_numbered(i, n[i], &is), 0, "%u", i);
        cr_assert_eq(is, n[i]);
    }
    objects_get_counts(w.objects, &h, &collisions);
    cr_assert_leq(collisions, MANY * ID_CHAIN_MAX, "%llu compared", (unsigned long long)collisions);
    cr_assert_eq(report_count(REPORT_WARN), 1, "told once");
    cr_assert_eq(objects_sync(w.objects), 0);
    warehouse_commit(&w);
    warehouse_reopen(&w);
    w.key.fold = all_alike;
    for (unsigned i = 0; i < MANY; i++)
        cr_assert(has_numbered(i, n[i]), "%u", i);
    for (unsigned i = 0; i < MANY; i++)
        release(n[i]);
    cr_assert_eq(warehouse_reclaim(&w) + warehouse_reclaim(&w), MANY, "in two turns");
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

Test(objects, one_beyond_the_chain_is_found_by_its_id_and_shares_nothing)
{
    uint64_t last = 0, again = numbered(&w), is, found;
    struct entry e;
    bool pending;
    w.key.fold = all_alike;
    for (unsigned i = 0; i <= ID_CHAIN_MAX; i++)
        cr_assert_eq(try_numbered(i, last = numbered(&w), &is), 0);
    e = entry_of(&w, last);
    cr_assert_eq(refs_find(w.refs, &e.id, &found, &e, &pending), 0);
    cr_assert_eq(found, last);
    refs_unhold(w.refs, found);
    cr_assert_eq(objects_sync(w.objects), 0);
    cr_assert_eq(try_numbered(ID_CHAIN_MAX, again, &is), 0);
    cr_assert_eq(is, again);
    cr_assert_not(id_equal(&e.id, &(struct id){{0}}));
    release(last);
    cr_assert_eq(warehouse_reclaim(&w), 1);
    cr_assert(has_numbered(ID_CHAIN_MAX, again));
    cr_assert_eq(refs_find(w.refs, &e.id, &found, &e, &pending), -ENOENT);
}

Test(objects, a_gap_in_a_chain_is_filled_and_what_is_behind_it_still_shared)
{
    uint64_t n[ID_CHAIN_MAX], is, gone, next = numbered(&w), same = numbered(&w);
    struct entry was;
    w.key.fold = all_alike;
    for (unsigned i = 0; i < ID_CHAIN_MAX; i++)
        cr_assert_eq(try_numbered(i, n[i] = numbered(&w), &is), 0);
    cr_assert_eq(objects_sync(w.objects), 0);
    gone = n[3];
    was = entry_of(&w, gone);
    release(gone);
    cr_assert_eq(warehouse_reclaim(&w), 1);
    cr_assert_eq(try_numbered(ID_CHAIN_MAX - 1, same, &is), 0);
    cr_assert_eq(is, n[ID_CHAIN_MAX - 1], "beyond the gap");
    cr_assert_eq(try_numbered(77, next, &is), 0);
    struct entry e = entry_of(&w, next);
    cr_assert(id_equal(&e.id, &was.id));
    cr_assert(has_numbered(77, next));
}

Test(objects, records_that_collide_wait_for_a_sync_once_and_never_again)
{
    static char bytes[50000];
    uint64_t is;
    w.key.fold = all_alike;
    for (unsigned i = 0; i < 100; i++) {
        uint64_t n = numbered(&w);
        memcpy(bytes, &i, sizeof i);
        int err = objects_seal_buffer(w.objects, n, bytes, sizeof bytes, COMPRESS_NOT, NULL, &is);
        cr_assert_eq(err, i == 1 ? -EAGAIN : 0, "%u: %d", i, err);
        if (err == -EAGAIN) { /* as equal ones, which are compared once */
            cr_assert_eq(objects_sync(w.objects), 0);
            cr_assert_eq(
                objects_seal_buffer(w.objects, n, bytes, sizeof bytes, COMPRESS_NOT, NULL, &is), 0);
        }
    }
}

Test(objects, large_contents_that_collide_all_find_a_place)
{
    uint64_t n[ID_CHAIN_MAX + 4];
    w.key.fold = all_alike;
    for (unsigned i = 0; i < ID_CHAIN_MAX + 4; i++)
        n[i] = large((char)('a' + i));
    for (unsigned i = 0; i < ID_CHAIN_MAX + 4; i++) {
        struct entry e = entry_of(&w, n[i]);
        cr_assert_eq(reads(n[i], (char)('a' + i), LARGE), 1);
        cr_assert_eq(objects_verify(w.objects, &e), 0);
    }
}

Test(objects, an_equal_one_that_is_not_synced_is_waited_for)
{
    uint64_t a = numbered(&w), b = numbered(&w), is;
    cr_assert_eq(try_numbered(1, a, &is), 0);
    cr_assert_eq(try_numbered(1, b, &is), -EAGAIN);
    cr_assert_eq(objects_sync(w.objects), 0);
    cr_assert_eq(try_numbered(1, b, &is), 0);
    cr_assert_eq(is, a);
}

Test(objects, one_that_can_have_no_more_references_is_stored_once_more)
{
    uint64_t a = small('a'), b = numbered(&w), is;
    cr_assert_eq(refs_correct(w.refs, a, UINT32_MAX - 1), 0);
    cr_assert_eq(try_small('a', b, &is), 0);
    cr_assert_eq(is, b);
    cr_assert_eq(reads(b, 'a', 500), 1);
    cr_assert_eq(count_of(a), UINT32_MAX);
}

Test(objects, a_damaged_place_in_the_index_is_passed_over)
{
    uint64_t a = small('a'), b;
    struct entry e = entry_of(&w, a);
    struct kv_txn *t;
    warehouse_commit(&w);
    cr_assert_eq(kv_txn_begin(w.kv, &t), 0);
    cr_assert_eq(kv_put(t, 1, e.id.b, ID_LEN, "odd", 3), 0);
    cr_assert_eq(kv_commit(t), 0);
    warehouse_reopen(&w);
    b = small('a');
    cr_assert_neq(b, a);
    cr_assert_eq(reads(b, 'a', 500), 1);
    cr_assert_eq(reads(a, 'a', 500), 1);
}

/* ---- damage ---- */

Test(objects, a_damaged_object_is_an_error_with_an_alarm_that_names_it)
{
    uint64_t n[2] = {small('a'), large('b')};
    for (unsigned i = 0; i < 2; i++) {
        char said[1][REPORT_TEXT], hex[ID_HEX + 1];
        struct entry e = entry_of(&w, n[i]);
        damage(n[i]);
        cr_assert_eq(reads(n[i], 'a', i ? LARGE : 500), -EUCLEAN);
        cr_assert_eq(objects_verify(w.objects, &e), -EUCLEAN);
        id_to_hex(&e.id, hex);
        cr_assert_eq(report_recent(REPORT_ALARM, said, 1), 1);
        cr_assert_not_null(strstr(said[0], hex));
    }
}

Test(objects, a_sound_object_under_the_wrong_id_does_not_verify)
{
    uint64_t n = large('a');
    struct entry e = entry_of(&w, n);
    char was[DISK_NAME_MAX + 1], is[DISK_NAME_MAX + 1];
    blob_object_name(&e.id, e.where, was);
    cr_assert_eq(objects_verify(w.objects, &e), 0);
    e.id.b[15] ^= 1;
    blob_object_name(&e.id, e.where, is);
    cr_assert_eq(disk_link(w.disk, was, is), 0);
    cr_assert_neq(objects_verify(w.objects, &e), 0);
}

Test(objects, a_damaged_record_is_healed_by_good_bytes_of_its_name_with_an_alarm)
{
    uint64_t a = small('a');
    warehouse_commit(&w);
    damage(a);
    cr_assert_eq(small('a'), a);
    cr_assert_eq(healed(), 1);
    cr_assert_gt(report_count(REPORT_ALARM), 0);
    cr_assert_eq(reads(a, 'a', 500), 1);
    cr_assert_eq(count_of(a), 2);
    cr_assert_eq(warehouse_reclaim(&w), 1, "the damaged record goes");
    warehouse_reopen(&w);
    cr_assert_eq(reads(a, 'a', 500), 1);
}

Test(objects, a_damaged_file_is_healed_by_good_bytes_of_its_name_with_an_alarm)
{
    uint64_t a = large('a');
    warehouse_commit(&w);
    damage(a);
    cr_assert_eq(reads(a, 'a', LARGE), -EUCLEAN);
    cr_assert_eq(large('a'), a);
    cr_assert_eq(healed(), 1);
    cr_assert_eq(reads(a, 'a', LARGE), 1);
    cr_assert_eq(warehouse_reclaim(&w), 1);
    warehouse_reopen(&w);
    cr_assert_eq(reads(a, 'a', LARGE), 1);
}

Test(objects, a_lost_file_is_healed_too)
{
    uint64_t a = large('a');
    struct entry e = entry_of(&w, a);
    damage(a);
    cr_assert_eq(blob_unlink_object(w.disk, &e.id, e.where), 0);
    cr_assert_eq(reads(a, 'a', LARGE), -EUCLEAN);
    cr_assert_eq(large('a'), a);
    cr_assert_eq(reads(a, 'a', LARGE), 1);
}

Test(objects, a_lost_pack_is_healed_too)
{
    char name[DISK_NAME_MAX + 1];
    uint64_t a = small('a');
    struct entry e;

    warehouse_commit(&w);
    warehouse_reopen(&w); /* no pack kept open */
    e = entry_of(&w, a);
    pack_name(e.where, name);
    cr_assert_eq(disk_unlink(w.disk, name), 0);
    cr_assert_eq(reads(a, 'a', 500), -EUCLEAN);
    cr_assert_eq(small('a'), a);
    cr_assert_eq(reads(a, 'a', 500), 1);
}

Test(objects, a_slot_whose_sealing_failed_may_be_written_again)
{
    uint64_t n = numbered(&w), is;
    char *bytes = fill('a', LARGE);
    struct blob *b;
    struct id id;

    cr_assert_eq(blob_create_slot(w.disk, n, &b), 0);
    cr_assert_eq(blob_write(b, bytes, LARGE, 0), 0);
    cr_assert_eq(objects_hash_blob(w.objects, b, &id), 0);
    refs_cancel(w.refs, n); /* so that the entry cannot be changed, at the very end */
    cr_assert_eq(objects_seal_blob(w.objects, n, b, &id, NULL, &is), -ENOENT);
    cr_assert_eq(blob_write(b, "x", 1, 0), 0);
    blob_unref(b);
    cr_assert_eq(blob_unlink_slot(w.disk, n), 0);
    free(bytes);
}
