// SPDX-License-Identifier: Apache-2.0
/* What blob.h promises, of a disk in memory that loses its power. */
#include "blob.h"
#include "disk_mem.h"
#include "fault.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK ((uint64_t)SUMS_BLOCK)
#define SLOT 7

/* ---- helpers: one disk, one slot, and what its bytes should be ---- */

static struct fault fault;
static struct disk *disk;
static const struct id_key key = {.secret = {1, 2, 3}, .fold = NULL};

static void setup(void)
{
    fault = (struct fault){.loss = FAULT_LOSE_ALL, .seed = 1};
    cr_assert_eq(disk_mem_create(&fault, 0, &disk), 0);
    cr_assert_eq(blob_init(disk), 0);
}

static void teardown(void)
{
    disk_close(disk);
}

TestSuite(blob, .init = setup, .fini = teardown);

static uint8_t *bytes(size_t len, uint64_t seed)
{
    uint8_t *p = malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(fault_random(&seed) >> 40);
    return p;
}

static void write_bytes(struct blob *b, size_t len, uint64_t off, uint64_t seed)
{
    uint8_t *data = bytes(len, seed);

    cr_assert_eq(blob_write(b, data, len, off), 0);
    free(data);
}

static struct blob *slot(uint64_t number, size_t len, uint64_t seed)
{
    struct blob *b;

    cr_assert_eq(blob_create_slot(disk, number, &b), 0);
    write_bytes(b, len, 0, seed);
    return b;
}

/* As the flush does it, names too. */
static void sync_slot(struct blob *b)
{
    cr_assert_eq(blob_sync_slot(b), 0);
    cr_assert_eq(disk_sync_dir(disk, "slots"), 0);
}

static ssize_t read_all(struct blob *b)
{
    uint8_t *buf = malloc(blob_length(b) + 1);
    ssize_t n = blob_read(b, buf, blob_length(b) + 1, 0);

    free(buf);
    return n;
}

static void check_bytes(struct blob *b, size_t len, uint64_t seed)
{
    uint8_t *want = bytes(len, seed), *got = malloc(len + 1);

    cr_assert_eq(blob_length(b), len);
    cr_assert_eq(blob_read(b, got, len + 1, 0), (ssize_t)len);
    cr_assert_arr_eq(got, want, len);
    free(want);
    free(got);
}

static bool exists(const char *name)
{
    struct disk_file *f = NULL;
    int r = disk_open(disk, name, DISK_READ, &f);

    disk_file_close(f);
    return r == 0;
}

static bool slot_has_sums(uint64_t number)
{
    char name[DISK_NAME_MAX + 1];

    blob_slot_name(number, name);
    strcat(name, ".sums");
    return exists(name);
}

static uint64_t names(void)
{
    uint64_t held, count;

    disk_mem_usage(disk, &held, &count);
    return count;
}

static void power_cycle(void)
{
    disk_mem_power_cycle(disk);
    fault_reset(&fault);
}

static struct id seal(struct blob *b)
{
    struct id id;

    cr_assert_eq(blob_hash(b, &key, NULL, &id), 0);
    cr_assert_eq(blob_link_object(b, &id, SLOT), 0);
    return id;
}

/* ---- names ---- */

Test(blob, names_are_fixed_width)
{
    char name[DISK_NAME_MAX + 1];
    struct id id = {{0xab, 0xcd}};

    blob_slot_name(0x12, name);
    cr_assert_str_eq(name, "slots/0000000000000012");
    blob_object_name(&id, UINT64_MAX, name);
    cr_assert_str_eq(name, "objects/ab/abcd0000000000000000000000000000.ffffffffffffffff");
}

Test(blob, only_the_file_name_of_a_slot_parses)
{
    static const char *const bad[] = {"",
                                      "12",
                                      "000000000000001",
                                      "00000000000000012",
                                      "000000000000001G",
                                      "000000000000001A",
                                      "0000000000000012.sums",
                                      "+000000000000012"};
    uint64_t n = 5;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(blob_parse_slot(bad[i], &n), -EINVAL, "%s", bad[i]);
    cr_assert_eq(n, 5);
    cr_assert_eq(blob_parse_slot("00000000000000ff", &n), 0);
    cr_assert_eq(n, 255);
}

Test(blob, the_file_name_of_an_object_parses_without_its_sums)
{
    static const char name[] = "00112233445566778899aabbccddeeff.000000000000000a.sums";
    char file[DISK_NAME_MAX + 1], hex[ID_HEX + 1];
    struct id id;
    uint64_t n = 5;

    cr_assert_eq(blob_parse_object(name, &id, &n), -EINVAL);
    cr_assert(blob_strip_sums(name, file));
    cr_assert_eq(blob_parse_object(file, &id, &n), 0);
    cr_assert_eq(n, 10);
    id_to_hex(&id, hex);
    cr_assert_eq(strncmp(name, hex, ID_HEX), 0);
    cr_assert_not(blob_strip_sums("00ff.000000000000000a", file));
    cr_assert_eq(blob_parse_object("00112233.000000000000000a", &id, &n), -EINVAL);
    cr_assert_eq(blob_parse_object("", &id, &n), -EINVAL);
}

Test(blob, init_is_durable_and_may_be_repeated)
{
    power_cycle();
    cr_assert_eq(disk_sync_dir(disk, "objects/ff"), 0);
    cr_assert_eq(disk_sync_dir(disk, "slots"), 0);
    cr_assert_eq(blob_init(disk), 0);
}

/* ---- reading and writing ---- */

Test(blob, what_is_written_is_read_at_every_edge_of_a_block)
{
    static const uint64_t edge[] = {
        0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK - 1, 3 * BLOCK, 3 * BLOCK + 100};
    enum { EDGES = sizeof edge / sizeof *edge };
    size_t len = 3 * BLOCK + 100;
    uint8_t *want = bytes(len, 1), *got = malloc(len);
    struct blob *b = slot(SLOT, len, 1);

    for (size_t i = 0; i < EDGES; i++)
        for (size_t j = i; j < EDGES; j++) {
            size_t n = edge[j] - edge[i];

            cr_assert_eq(blob_read(b, got, n, edge[i]), (ssize_t)n);
            cr_assert_eq(memcmp(got, want + edge[i], n), 0, "%zu..%zu", i, j);
        }
    blob_unref(b);
    free(want);
    free(got);
}

Test(blob, a_read_is_short_at_the_end)
{
    struct blob *b = slot(SLOT, 10, 1);
    char buf[16];

    cr_assert_eq(blob_read(b, buf, 16, 4), 6);
    cr_assert_eq(blob_read(b, buf, 16, 10), 0);
    cr_assert_eq(blob_read(b, buf, 16, UINT64_MAX), 0);
    blob_unref(b);
}

Test(blob, a_cut_and_growth_read_as_zeros)
{
    struct blob *b = slot(SLOT, BLOCK + 10, 1);
    char buf[4] = "....";

    cr_assert_eq(blob_truncate(b, 2), 0);
    cr_assert_eq(blob_truncate(b, 2 * BLOCK), 0);
    cr_assert_eq(blob_length(b), 2 * BLOCK);
    cr_assert_eq(blob_read(b, buf, 4, 2), 4);
    cr_assert_arr_eq(buf, "\0\0\0\0", 4);
    sync_slot(b);
    cr_assert_eq(read_all(b), (ssize_t)(2 * BLOCK));
    blob_unref(b);
}

Test(blob, a_flipped_bit_is_never_read_as_data)
{
    struct blob *b = slot(SLOT, 3 * BLOCK, 1);
    char byte, *block = malloc(BLOCK);

    cr_assert_eq(disk_mem_flip(disk, "slots/0000000000000007", BLOCK + 5, 3), 0);
    cr_assert_eq(blob_read(b, block, BLOCK, BLOCK), -EUCLEAN);
    cr_assert_eq(blob_read(b, &byte, 1, BLOCK + 900), -EUCLEAN, "another byte of that block");
    cr_assert_eq(read_all(b), -EUCLEAN);
    cr_assert_eq(blob_read(b, block, BLOCK, 0), (ssize_t)BLOCK, "the other blocks are sound");
    cr_assert_eq(blob_read(b, &byte, 1, 2 * BLOCK), 1);
    blob_unref(b);
    free(block);
}

Test(blob, a_failed_write_keeps_the_length_and_the_bytes_outside)
{
    struct blob *b = slot(SLOT, 100, 1);
    char data[50] = {0};

    fault.error = ENOSPC;
    fault.fail_at = fault.writes + 1;
    cr_assert_eq(blob_write(b, data, 50, 100), -ENOSPC);
    check_bytes(b, 100, 1);
    sync_slot(b);
    check_bytes(b, 100, 1);
    blob_unref(b);
}

Test(blob, an_offset_beyond_all_is_efbig)
{
    struct blob *b = slot(SLOT, 5, 1);

    cr_assert_eq(blob_write(b, "x", 1, UINT64_MAX), -EFBIG);
    cr_assert_eq(blob_write(b, "x", 1, UINT64_MAX - 1), -EFBIG);
    cr_assert_eq(blob_truncate(b, UINT64_MAX), -EFBIG);
    check_bytes(b, 5, 1);
    blob_unref(b);
}

Test(blob, a_reference_keeps_it_open)
{
    struct blob *b = slot(SLOT, 5, 1), *same = blob_ref(b);

    blob_unref(b);
    check_bytes(same, 5, 1);
    blob_unref(same);
    blob_unref(NULL);
}

/* ---- slots over a loss of power ---- */

Test(blob, a_synced_slot_survives_with_its_sums)
{
    struct blob *b = slot(SLOT, 2 * BLOCK + 9, 1);

    sync_slot(b);
    blob_unref(b);
    power_cycle();
    cr_assert(slot_has_sums(SLOT));
    cr_assert_eq(blob_open_slot(disk, SLOT, 2 * BLOCK + 9, &b), 0);
    check_bytes(b, 2 * BLOCK + 9, 1);
    blob_unref(b);
}

Test(blob, damage_of_a_synced_slot_is_found_after_reopening)
{
    struct blob *b = slot(SLOT, BLOCK, 1);

    sync_slot(b);
    blob_unref(b);
    cr_assert_eq(disk_mem_flip(disk, "slots/0000000000000007", 0, 0), 0);
    cr_assert_eq(blob_open_slot(disk, SLOT, BLOCK, &b), 0);
    cr_assert_eq(read_all(b), -EUCLEAN);
    blob_unref(b);
}

Test(blob, bytes_after_the_commit_are_cut_off)
{
    struct blob *b = slot(SLOT, BLOCK + 9, 1);

    sync_slot(b);
    blob_unref(b);
    cr_assert_eq(blob_open_slot(disk, SLOT, 100, &b), 0);
    check_bytes(b, 100, 1);
    cr_assert_eq(blob_truncate(b, 200), 0);
    char buf[100], zeros[100] = {0};

    cr_assert_eq(blob_read(b, buf, 100, 100), 100);
    cr_assert_arr_eq(buf, zeros, 100);
    blob_unref(b);
}

Test(blob, a_slot_shorter_than_the_commit_says_is_damage)
{
    struct blob *b = slot(SLOT, 10, 1);

    blob_unref(b);
    cr_assert_eq(blob_open_slot(disk, SLOT, 11, &b), -EUCLEAN);
    cr_assert_eq(blob_open_slot(disk, SLOT + 1, 0, &b), -ENOENT);
    cr_assert_eq(blob_create_slot(disk, SLOT, &b), -EEXIST);
}

Test(blob, the_sums_file_is_there_exactly_while_nothing_was_written)
{
    struct blob *b = slot(SLOT, 10, 1);

    cr_assert_not(slot_has_sums(SLOT));
    sync_slot(b);
    cr_assert(slot_has_sums(SLOT));
    write_bytes(b, 1, 3, 2);
    cr_assert_not(slot_has_sums(SLOT));
    sync_slot(b);
    cr_assert_eq(blob_truncate(b, 5), 0);
    cr_assert_not(slot_has_sums(SLOT));
    blob_unref(b);
}

/* The bytes of a write may reach the disk while the removal of the sums' name does not. */
Test(blob, no_loss_of_power_makes_a_sound_slot_look_damaged)
{
    unsigned cut = 0;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct blob *b = slot(seed, BLOCK + 10, 1);

        fault.loss = FAULT_LOSE_SOME;
        fault.seed = seed;
        sync_slot(b);
        write_bytes(b, 600, 5, 2);
        fault.fail_at = seed % 4 ? fault.writes + seed % 8 : 0;
        fault.cut = true;
        (void)blob_sync_slot(b);
        blob_unref(b);
        cut += fault_fired(&fault);
        power_cycle();
        cr_assert_eq(blob_open_slot(disk, seed, BLOCK + 10, &b), 0);
        cr_assert_eq(read_all(b), (ssize_t)(BLOCK + 10), "seed %lu", (unsigned long)seed);
        blob_unref(b);
    }
    cr_assert_geq(cut, 30);
}

Test(blob, a_failed_sync_is_never_followed_by_a_good_one)
{
    struct blob *b = slot(SLOT, 10, 1);

    fault.fail_at = fault.writes + 1;
    cr_assert_eq(blob_sync_slot(b), -EIO);
    cr_assert_eq(blob_sync_slot(b), -EIO);
    cr_assert_not(slot_has_sums(SLOT));
    blob_unref(b);
}

Test(blob, unlinking_a_slot_leaves_nothing_and_may_be_repeated)
{
    struct blob *b = slot(SLOT, 10, 1);

    sync_slot(b);
    blob_unref(b);
    cr_assert_eq(blob_unlink_slot(disk, SLOT), 0);
    cr_assert_eq(blob_unlink_slot(disk, SLOT), 0);
    cr_assert_eq(names(), 0);
}

/* ---- sealing ---- */

Test(blob, its_hash_is_the_id_of_its_bytes)
{
    size_t len = 2 * 1024 * 1024 + 77;
    uint8_t *data = bytes(len, 1);
    struct blob *b = slot(SLOT, len, 1);
    struct id got, want;

    write_bytes(b, 1, 0, 1); /* one stale block */
    id_of(&key, data, len, &want);
    cr_assert_eq(blob_hash(b, &key, NULL, &got), 0);
    cr_assert(id_equal(&got, &want));
    cr_assert_eq(disk_mem_flip(disk, "slots/0000000000000007", 0, 0), 0);
    cr_assert_eq(read_all(b), -EUCLEAN, "the hash left no block without a sum");
    cr_assert_eq(blob_hash(b, &key, NULL, &got), -EUCLEAN);
    blob_unref(b);
    free(data);
}

/* ---- the id made on the way ---- */

/* Whatever is done to it: its id is that of the bytes it has, and so are its sums. */
static void check_followed(struct blob *b)
{
    uint64_t len = blob_length(b);
    uint8_t *data = malloc(len + 1);
    struct id got, want;

    cr_assert_eq(blob_read(b, data, len, 0), (ssize_t)len);
    id_of(&key, data, len, &want);
    cr_assert_eq(blob_hash(b, &key, NULL, &got), 0);
    cr_assert(id_equal(&got, &want));
    cr_assert_eq(read_all(b), (ssize_t)len);
    free(data);
}

static struct blob *followed(void)
{
    struct blob *b;

    cr_assert_eq(blob_create_slot(disk, SLOT, &b), 0);
    blob_follow_id(b, &key);
    return b;
}

Test(blob, what_is_written_from_start_to_end_is_not_read_to_be_hashed)
{
    struct blob *b = followed();
    struct id got, again;

    for (uint64_t off = 0; off < 3 * BLOCK; off += 70001)
        write_bytes(b, 70001, off, off);
    check_followed(b);
    cr_assert_eq(blob_hash(b, &key, NULL, &got), 0);
    cr_assert_eq(disk_mem_flip(disk, "slots/0000000000000007", 5, 0), 0);
    cr_assert_eq(blob_hash(b, &key, NULL, &again), 0, "no byte was looked at");
    cr_assert(id_equal(&got, &again));
    cr_assert_eq(read_all(b), -EUCLEAN, "but whoever reads it is told");
    blob_unref(b);
}

Test(blob, an_id_made_on_the_way_follows_any_sequence_of_changes)
{
    uint64_t state = 5;

    for (int round = 0; round < 12; round++) {
        struct blob *b = followed();

        for (int i = 0; i < 12; i++) {
            uint64_t len = 1 + fault_random(&state) % (BLOCK + BLOCK / 2), end = blob_length(b);
            uint64_t off = fault_random(&state) % (end + 1), what = fault_random(&state) % 8;

            if (what == 0)
                cr_assert_eq(blob_truncate(b, off), 0);
            else if (what == 1)
                cr_assert_eq(blob_truncate(b, end + len), 0);
            else if (what == 2)
                write_bytes(b, len, end + off, state);
            else if (what == 3)
                write_bytes(b, len, off, state);
            else if (what == 4)
                check_followed(b); /* hashed, and then written on */
            else
                write_bytes(b, len, end, state);
        }
        check_followed(b);
        blob_unref(b);
        cr_assert_eq(blob_unlink_slot(disk, SLOT), 0);
    }
}

Test(blob, a_write_that_failed_is_not_in_the_id)
{
    struct blob *b = followed();
    uint8_t *data = bytes(BLOCK, 9);

    write_bytes(b, BLOCK, 0, 1);
    fault.fail_at = fault.writes + 1;
    cr_assert_eq(blob_write(b, data, BLOCK, BLOCK), -EIO);
    fault_reset(&fault);
    check_followed(b);
    write_bytes(b, BLOCK, BLOCK, 2);
    fault.fail_at = fault.writes + 1;
    cr_assert_eq(blob_write(b, data, BLOCK, 10), -EIO);
    fault_reset(&fault);
    check_followed(b);
    free(data);
    blob_unref(b);
}

Test(blob, a_slot_opened_anew_is_hashed_from_its_bytes)
{
    struct blob *b = followed();

    write_bytes(b, 2 * BLOCK + 9, 0, 1);
    sync_slot(b);
    blob_unref(b);
    power_cycle();
    cr_assert_eq(blob_open_slot(disk, SLOT, 2 * BLOCK, &b), 0);
    check_followed(b);
    blob_unref(b);
}

Test(blob, compare_sees_bytes_lengths_and_damage)
{
    struct blob *a = slot(1, 9 * BLOCK + 1, 1), *b = slot(2, 9 * BLOCK + 1, 1), *bad = NULL;

    cr_assert_eq(blob_compare(a, b, &bad), 1);
    cr_assert_eq(disk_mem_flip(disk, "slots/0000000000000002", 9 * BLOCK, 0), 0);
    cr_assert_eq(blob_compare(a, b, &bad), -EUCLEAN);
    cr_assert_eq(bad, b);
    cr_assert_eq(disk_mem_flip(disk, "slots/0000000000000002", 9 * BLOCK, 0), 0);
    write_bytes(b, 1, 9 * BLOCK, 99);
    cr_assert_eq(blob_compare(a, b, &bad), 0);
    cr_assert_eq(blob_truncate(b, 5), 0);
    cr_assert_eq(blob_compare(a, b, &bad), 0);
    blob_unref(a);
    blob_unref(b);
}

Test(blob, a_linked_object_is_durable_and_reads_back)
{
    struct blob *b = slot(SLOT, BLOCK + 3, 1);
    struct id id = seal(b);

    blob_unref(b);
    power_cycle();
    cr_assert_eq(blob_open_object(disk, &id, SLOT, BLOCK + 3, &b), 0);
    check_bytes(b, BLOCK + 3, 1);
    blob_unref(b);
}

Test(blob, an_object_is_not_changed)
{
    struct blob *b = slot(SLOT, 10, 1);

    seal(b);
    cr_assert_eq(blob_write(b, "x", 1, 0), -EROFS);
    cr_assert_eq(blob_truncate(b, 0), -EROFS);
    check_bytes(b, 10, 1);
    blob_unref(b);
}

Test(blob, an_object_of_another_length_or_without_sums_is_damage)
{
    char name[DISK_NAME_MAX + 1];
    struct blob *b = slot(SLOT, 10, 1);
    struct id id = seal(b);

    blob_unref(b);
    cr_assert_eq(blob_open_object(disk, &id, SLOT, 9, &b), -EUCLEAN);
    cr_assert_eq(blob_open_object(disk, &id, SLOT + 1, 10, &b), -ENOENT);
    blob_object_name(&id, SLOT, name);
    strcat(name, ".sums");
    cr_assert_eq(disk_unlink(disk, name), 0);
    cr_assert_eq(blob_open_object(disk, &id, SLOT, 10, &b), -EUCLEAN);
}

Test(blob, linking_again_after_a_crash_starts_over)
{
    struct blob *b = slot(SLOT, 10, 1);
    struct id id = seal(b);

    blob_unref(b);
    cr_assert_eq(blob_open_slot(disk, SLOT, 10, &b), 0);
    cr_assert_eq(blob_link_object(b, &id, SLOT), 0);
    blob_unref(b);
    cr_assert_eq(blob_open_object(disk, &id, SLOT, 10, &b), 0);
    check_bytes(b, 10, 1);
    blob_unref(b);
}

Test(blob, an_object_outlives_its_slot)
{
    struct blob *b = slot(SLOT, 10, 1);
    struct id id = seal(b);

    blob_unref(b);
    cr_assert_eq(blob_unlink_slot(disk, SLOT), 0);
    cr_assert_eq(blob_open_object(disk, &id, SLOT, 10, &b), 0);
    check_bytes(b, 10, 1);
    blob_unref(b);
    cr_assert_eq(blob_unlink_object(disk, &id, SLOT), 0);
    cr_assert_eq(blob_unlink_object(disk, &id, SLOT), 0);
    cr_assert_eq(names(), 0);
}

/* Cut after every write of a seal: a slot that was synced before is there, whole, and seals. */
Test(blob, a_seal_cut_anywhere_can_be_done_again)
{
    bool cut = true;
    uint64_t at = 0;

    while (cut) { /* until a seal has fewer writes */
        struct blob *b = slot(++at, BLOCK + 10, 1);
        struct id id;

        sync_slot(b);
        cr_assert_eq(blob_hash(b, &key, NULL, &id), 0);
        fault.loss = FAULT_LOSE_SOME;
        fault.seed = at;
        fault.fail_at = fault.writes + at;
        fault.cut = true;
        (void)blob_link_object(b, &id, at);
        blob_unref(b);
        cut = fault_fired(&fault);
        power_cycle();
        cr_assert_eq(blob_open_slot(disk, at, BLOCK + 10, &b), 0);
        cr_assert_eq(blob_link_object(b, &id, at), 0);
        blob_unref(b);
        power_cycle();
        cr_assert_eq(blob_open_object(disk, &id, at, BLOCK + 10, &b), 0);
        check_bytes(b, BLOCK + 10, 1);
        blob_unref(b);
    }
    cr_assert_gt(at, 3);
}
