// SPDX-License-Identifier: Apache-2.0
/* Claims of refs.h and objects.h about what no frame has: objects that a draft stored. */
#include "warehouse.h"

static struct warehouse w;

static void setup(void)
{
    warehouse_create(&w);
}
static void teardown(void)
{
    warehouse_destroy(&w);
}

TestSuite(aside, .init = setup, .fini = teardown);

static char bytes[300 * 1024];

static const char *filled(char seed, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)((size_t)seed * 31 + i * i / 7);
    return bytes;
}

static uint64_t numbered_aside(void)
{
    uint64_t n;

    cr_assert_eq(refs_new_aside(w.refs, &n), 0);
    return n;
}

/* Keeps a content of that length aside. Returns its number, with a hold. */
static uint64_t keep(char seed, size_t len)
{
    uint64_t is;
    bool new;

    cr_assert_eq(objects_keep_buffer(w.objects, filled(seed, len), (uint32_t)len, COMPRESS_NOT,
                                     NULL, &is, &new),
                 0);
    return is;
}

static uint64_t keep_blob(char seed, size_t len)
{
    uint64_t n = numbered_aside(), is;
    struct blob *b;
    struct id id;

    cr_assert_eq(blob_create_slot(w.disk, n, &b), 0);
    cr_assert_eq(blob_write(b, filled(seed, len), len, 0), 0);
    cr_assert_eq(objects_hash_blob(w.objects, b, &id), 0);
    cr_assert_eq(objects_keep_blob(w.objects, n, b, &id, NULL, &is), 0);
    blob_unref(b);
    cr_assert_eq(blob_unlink_slot(w.disk, n), 0);
    if (is != n)
        refs_drop_aside(w.refs, n);
    return is;
}

static int seal(char seed, size_t len, uint64_t number, uint64_t *ret)
{
    return objects_seal_buffer(w.objects, number, filled(seed, len), (uint32_t)len, COMPRESS_NOT,
                               NULL, ret);
}

static int look(uint64_t number)
{
    struct id id = entry_of(&w, number).id;
    struct entry e;
    uint64_t found;
    int err = refs_find_logged(w.refs, &id, &found, &e);

    if (err == 0) {
        cr_assert_eq(found, number);
        refs_unhold(w.refs, found);
    }
    return err;
}

Test(aside, nobody_finds_it_by_its_id_before_a_commit_has_it)
{
    uint64_t n = keep('a', 500);

    cr_assert_eq(refs_ref(w.refs, n), 0);
    cr_assert(refs_is_aside(w.refs, n));
    cr_assert_eq(look(n), -ENOENT);
    cr_assert_eq(objects_sync(w.objects), 0);
    cr_assert_eq(look(n), -ENOENT);
    warehouse_commit(&w);
    cr_assert(!refs_is_aside(w.refs, n));
    cr_assert_eq(look(n), 0);
}

Test(aside, a_batch_that_was_frozen_before_it_got_its_place_does_not_end_that)
{
    uint64_t n;
    struct kv_txn *t;

    cr_assert_eq(refs_freeze(w.refs), 0);
    n = keep('a', 500);
    cr_assert_eq(kv_txn_begin(w.kv, &t), 0);
    cr_assert_eq(refs_write(w.refs, 1, t), 0);
    cr_assert_eq(kv_commit(t), 0);
    refs_retire(w.refs, 1);
    cr_assert(refs_is_aside(w.refs, n));
    warehouse_commit(&w);
    cr_assert(!refs_is_aside(w.refs, n));
}

Test(aside, a_content_of_a_logged_change_waits_for_the_commit_and_not_only_for_a_sync)
{
    static const size_t lengths[] = {500, 20000};
    uint64_t kept, n, is;

    for (size_t i = 0; i < 2; i++) {
        kept = keep('a', lengths[i]);
        n = numbered(&w);
        cr_assert_eq(seal('a', lengths[i], n, &is), -EAGAIN);
        cr_assert_eq(objects_sync(w.objects), 0);
        cr_assert_eq(seal('a', lengths[i], n, &is), -EAGAIN);
        warehouse_commit(&w);
        cr_assert_eq(seal('a', lengths[i], n, &is), 0);
        cr_assert_eq(is, kept);
    }
}

Test(aside, equal_contents_of_drafts_are_one_object_at_once)
{
    uint64_t small = keep('a', 500), large = keep_blob('b', 300 * 1024);

    cr_assert_eq(keep('a', 500), small);
    cr_assert_eq(refs_holds(w.refs, small), 2);
    cr_assert_eq(keep_blob('b', 300 * 1024), large);
    cr_assert_eq(refs_holds(w.refs, large), 2);
}

Test(aside, what_is_stored_already_is_named_and_held_and_not_stored_again)
{
    struct packs_stats before, after;
    uint64_t n = numbered(&w), is;

    cr_assert_eq(seal('a', 500, n, &is), 0);
    packs_get_stats(w.packs, &before);
    cr_assert_eq(keep('a', 500), n);
    packs_get_stats(w.packs, &after);
    cr_assert_eq(before.live_records, after.live_records);
    cr_assert(!refs_is_aside(w.refs, n));
    cr_assert_eq(refs_unref(w.refs, n), 0);
    cr_assert_eq(refs_collect(w.refs, 100, NULL, NULL), 0, "the hold keeps it");
    refs_unhold(w.refs, n);
    cr_assert_eq(refs_collect(w.refs, 100, NULL, NULL), 1);
}

Test(aside, what_no_item_came_to_name_goes_with_its_hold)
{
    uint64_t small = keep('a', 500), large = keep_blob('b', 300 * 1024);

    warehouse_commit(&w);
    cr_assert_eq(warehouse_reclaim(&w), 0);
    refs_unhold(w.refs, small);
    refs_unhold(w.refs, large);
    cr_assert_eq(warehouse_reclaim(&w), 2);
}

Test(aside, a_number_that_is_dropped_leaves_nothing)
{
    uint64_t n = numbered_aside();
    struct entry e;

    refs_drop_aside(w.refs, n);
    cr_assert_eq(refs_entry(w.refs, n, false, NULL, &e), -ENOENT);
    cr_assert(!refs_is_aside(w.refs, n));
    cr_assert_eq(refs_holds(w.refs, n), 0);
}

Test(aside, a_number_that_a_death_leaves_unplaced_goes_after_the_next_start)
{
    uint64_t n = numbered_aside();
    struct entry e;

    warehouse_commit(&w);
    warehouse_reopen(&w);
    cr_assert_eq(refs_entry(w.refs, n, false, NULL, &e), 0);
    cr_assert_eq(warehouse_reclaim(&w), 1);
    cr_assert_eq(refs_entry(w.refs, n, false, NULL, &e), -ENOENT);
}

/* Changes the first bytes of a record. */
static void spoil(uint64_t number)
{
    struct entry e = entry_of(&w, number);
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;

    pack_name(e.where, name);
    cr_assert_eq(disk_open(w.disk, name, DISK_WRITE, &f), 0);
    cr_assert_eq(disk_pwrite(f, "\7\1\2\3", 4, e.offset + PACK_RECORD_HEAD), 0);
    disk_file_close(f);
}

Test(aside, damaged_bytes_are_healed_by_a_draft_as_by_anybody)
{
    uint64_t kept = keep('a', 500);
    struct entry e;
    char got[500];

    warehouse_commit(&w);
    spoil(kept);
    cr_assert_eq(keep('a', 500), kept);
    e = entry_of(&w, kept);
    cr_assert_eq(objects_read(w.objects, &e, got, 500, 0), 500);
    cr_assert_arr_eq(got, filled('a', 500), 500);
}
