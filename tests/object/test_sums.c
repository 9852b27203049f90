// SPDX-License-Identifier: Apache-2.0
/* What sums.h promises: the sums follow the bytes, and a damaged file is never believed. */
#include "disk_mem.h"
#include "fault.h"
#include "id.h"
#include "sums.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK ((uint64_t)SUMS_BLOCK)

/* ---- helpers: a file and its sums, written together ---- */

struct fixture {
    struct disk *disk;
    struct disk_file *file;
    struct sums sums;
    uint64_t random;
};

static void setup(struct fixture *x)
{
    *x = (struct fixture){.random = 1};
    cr_assert_eq(disk_mem_create(NULL, 0, &x->disk), 0);
    cr_assert_eq(disk_open(x->disk, "f", DISK_WRITE | DISK_CREATE, &x->file), 0);
}

static void teardown(struct fixture *x)
{
    sums_release(&x->sums);
    disk_file_close(x->file);
    disk_close(x->disk);
}

static void write_some(struct fixture *x, uint64_t len, uint64_t off)
{
    uint8_t *data = malloc(len + 1);

    for (uint64_t i = 0; i < len; i++)
        data[i] = (uint8_t)(fault_random(&x->random) >> 40);
    cr_assert_eq(disk_pwrite(x->file, data, len, off), 0);
    cr_assert_eq(sums_note_write(&x->sums, data, len, off), 0);
    free(data);
}

static void cut(struct fixture *x, uint64_t length)
{
    cr_assert_eq(disk_truncate(x->file, length), 0);
    cr_assert_eq(sums_note_truncate(&x->sums, length), 0);
}

static size_t stale(const struct sums *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++)
        n += s->stale[i];
    return n;
}

/* Every block that is not stale has the sum of its bytes, and the length is the file's. */
static void check(struct fixture *x)
{
    struct disk_stat st;
    uint8_t *data = malloc(BLOCK);

    cr_assert_eq(disk_fstat(x->file, &st), 0);
    cr_assert_eq(x->sums.length, st.size);
    cr_assert_eq(x->sums.count, (st.size + BLOCK - 1) / BLOCK);
    for (size_t i = 0; i < x->sums.count; i++) {
        ssize_t n = disk_pread(x->file, data, BLOCK, i * BLOCK);

        if (!x->sums.stale[i])
            cr_assert_eq(sums_verify(&x->sums, i, data, (size_t)n), 0, "block %zu", i);
    }
    free(data);
}

static void refresh(struct fixture *x)
{
    cr_assert_eq(sums_refresh(&x->sums, x->file), 0);
    cr_assert_eq(stale(&x->sums), 0);
    check(x);
}

/* Stored sums of three blocks, the last one short. */
static void store_some(struct fixture *x)
{
    write_some(x, 2 * BLOCK + 5, 0);
    cr_assert_eq(sums_store(&x->sums, x->disk, "f"), 0);
}

static int load_fails(struct fixture *x, const char *name)
{
    struct sums s = SUMS_INIT;
    int r = sums_load(x->disk, name, &s);

    sums_release(&s);
    return r;
}

/* ---- following the bytes ---- */

Test(sums, whole_blocks_are_summed_from_the_write)
{
    struct fixture x;

    setup(&x);
    write_some(&x, 3 * BLOCK, 0);
    cr_assert_eq(stale(&x.sums), 0);
    check(&x);
    teardown(&x);
}

Test(sums, a_short_last_block_written_whole_is_summed)
{
    struct fixture x;

    setup(&x);
    write_some(&x, BLOCK + 7, 0);
    cr_assert_eq(stale(&x.sums), 0);
    check(&x);
    teardown(&x);
}

Test(sums, a_block_written_in_part_becomes_stale_and_no_other)
{
    struct fixture x;

    setup(&x);
    write_some(&x, 4 * BLOCK, 0);
    write_some(&x, 2 * BLOCK, BLOCK / 2);
    cr_assert(x.sums.stale[0] && !x.sums.stale[1] && x.sums.stale[2] && !x.sums.stale[3]);
    check(&x);
    refresh(&x);
    teardown(&x);
}

Test(sums, pieces_one_behind_the_other_are_summed_without_being_read)
{
    struct fixture x;

    setup(&x);
    for (uint64_t off = 0; off < 2 * BLOCK + 100; off += 10007) {
        write_some(&x, 10007, off);
        cr_assert_eq(stale(&x.sums), 0);
        check(&x);
    }
    teardown(&x);
}

Test(sums, an_append_to_a_block_not_followed_from_its_start_makes_it_stale)
{
    struct fixture x;

    setup(&x);
    write_some(&x, 10, 0);
    write_some(&x, 5, 5); /* over what is summed */
    write_some(&x, 10, 10);
    cr_assert_eq(stale(&x.sums), 1);
    refresh(&x);
    write_some(&x, 10, 20);
    cr_assert_eq(stale(&x.sums), 1);
    refresh(&x);
    teardown(&x);
}

Test(sums, a_gap_or_a_cut_ends_the_sum_of_the_block_that_grows)
{
    struct fixture x;

    setup(&x);
    write_some(&x, 10, 0);
    cut(&x, 15);
    write_some(&x, 10, 15);
    cr_assert_eq(stale(&x.sums), 1);
    refresh(&x);
    write_some(&x, BLOCK, BLOCK);
    write_some(&x, 100, 0);
    cut(&x, 50);
    write_some(&x, 50, 50);
    cr_assert_eq(stale(&x.sums), 1);
    refresh(&x);
    cut(&x, 0);
    write_some(&x, 100, 0);
    cut(&x, 50);
    cut(&x, 100);
    refresh(&x); /* of bytes that were cut off nothing is left */
    teardown(&x);
}

Test(sums, a_gap_is_stale_from_the_old_end)
{
    struct fixture x;

    setup(&x);
    write_some(&x, 10, 0);
    write_some(&x, BLOCK, 3 * BLOCK);
    cr_assert_eq(stale(&x.sums), 3);
    check(&x);
    refresh(&x);
    teardown(&x);
}

Test(sums, a_cut_forgets_blocks_and_makes_the_last_stale)
{
    struct fixture x;

    setup(&x);
    write_some(&x, 3 * BLOCK, 0);
    cut(&x, BLOCK + 1);
    cr_assert_eq(stale(&x.sums), 1);
    refresh(&x);
    cut(&x, BLOCK);
    cr_assert_eq(stale(&x.sums), 0);
    cut(&x, 0);
    cr_assert_eq(x.sums.count, 0);
    cut(&x, 5);
    refresh(&x);
    teardown(&x);
}

Test(sums, they_follow_any_sequence_of_changes)
{
    struct fixture x;
    uint64_t state = 11;

    setup(&x);
    for (int i = 0; i < 150; i++) {
        uint64_t off = fault_random(&state) % (4 * BLOCK), len = fault_random(&state) % (2 * BLOCK);

        if (fault_random(&state) % 4 == 0)
            cut(&x, off);
        else if (fault_random(&state) % 3 == 0 && x.sums.length < 8 * BLOCK)
            write_some(&x, len / 4, x.sums.length);
        else
            write_some(&x, len, fault_random(&state) % 2 ? off : off - off % BLOCK);
        check(&x);
        if (i % 10 == 9)
            refresh(&x);
    }
    teardown(&x);
}

Test(sums, a_changed_byte_or_length_or_place_does_not_verify)
{
    struct sums s = SUMS_INIT;
    uint8_t *data = calloc(2, BLOCK);

    cr_assert_eq(sums_note_write(&s, data, 2 * BLOCK, 0), 0);
    cr_assert_eq(sums_verify(&s, 0, data, BLOCK), 0);
    cr_assert_neq(s.block[0], s.block[1], "the place is part of the sum");
    cr_assert_eq(sums_verify(&s, 0, data, BLOCK - 1), -EUCLEAN);
    cr_assert_eq(sums_verify(&s, 2, data, BLOCK), -EUCLEAN);
    data[BLOCK - 1] = 1;
    cr_assert_eq(sums_verify(&s, 0, data, BLOCK), -EUCLEAN);
    sums_release(&s);
    free(data);
}

Test(sums, a_file_shorter_than_its_length_is_damage)
{
    struct fixture x;

    setup(&x);
    write_some(&x, 10, 0);
    cr_assert_eq(sums_note_truncate(&x.sums, 20), 0);
    cr_assert_eq(sums_refresh(&x.sums, x.file), -EUCLEAN);
    teardown(&x);
}

Test(sums, an_absurd_length_is_efbig_and_changes_nothing)
{
    struct sums s = SUMS_INIT;

    cr_assert_eq(sums_note_write(&s, "x", 1, UINT64_MAX), -EFBIG);
    cr_assert_eq(sums_note_truncate(&s, UINT64_MAX), -EFBIG);
    cr_assert_eq(s.length, 0);
    sums_release(&s);
}

/* ---- the file ---- */

Test(sums, what_is_stored_is_loaded)
{
    struct fixture x;
    struct sums s = SUMS_INIT;

    setup(&x);
    store_some(&x);
    cr_assert_eq(sums_load(x.disk, "f", &s), 0);
    cr_assert_eq(s.length, x.sums.length);
    cr_assert_eq(s.count, 3);
    cr_assert_arr_eq(s.block, x.sums.block, 3 * sizeof *s.block);
    cr_assert_eq(stale(&s), 0);
    sums_release(&s);
    teardown(&x);
}

Test(sums, storing_again_replaces)
{
    struct fixture x;
    struct sums s = SUMS_INIT;

    setup(&x);
    store_some(&x);
    cut(&x, BLOCK);
    cr_assert_eq(sums_store(&x.sums, x.disk, "f"), 0);
    cr_assert_eq(sums_load(x.disk, "f", &s), 0);
    cr_assert_eq(s.count, 1);
    sums_release(&s);
    teardown(&x);
}

Test(sums, sums_of_nothing_can_be_stored)
{
    struct fixture x;

    setup(&x);
    cr_assert_eq(sums_store(&x.sums, x.disk, "f"), 0);
    cr_assert_eq(load_fails(&x, "f"), 0);
    teardown(&x);
}

Test(sums, stale_sums_are_not_stored)
{
    struct fixture x;

    setup(&x);
    cut(&x, 5);
    cr_assert_eq(sums_store(&x.sums, x.disk, "f"), -EINVAL);
    cr_assert_eq(load_fails(&x, "f"), -ENOENT);
    teardown(&x);
}

Test(sums, a_flip_of_any_bit_of_the_file_is_noticed)
{
    struct fixture x;
    struct disk_file *f;
    struct disk_stat st;

    setup(&x);
    store_some(&x);
    cr_assert_eq(disk_open(x.disk, "f.sums", DISK_READ, &f), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    disk_file_close(f);
    cr_assert_gt(st.size, 3 * sizeof *x.sums.block);
    for (uint64_t byte = 0; byte < st.size; byte++) {
        cr_assert_eq(disk_mem_flip(x.disk, "f.sums", byte, byte % 8), 0);
        cr_assert_eq(load_fails(&x, "f"), -EUCLEAN, "byte %lu", (unsigned long)byte);
        cr_assert_eq(disk_mem_flip(x.disk, "f.sums", byte, byte % 8), 0);
    }
    cr_assert_eq(load_fails(&x, "f"), 0);
    teardown(&x);
}

Test(sums, a_file_cut_anywhere_or_too_long_is_noticed)
{
    struct fixture x;
    struct disk_stat st;
    struct disk_file *f;

    setup(&x);
    store_some(&x);
    cr_assert_eq(disk_open(x.disk, "f.sums", DISK_WRITE, &f), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    cr_assert_eq(disk_truncate(f, st.size + 8), 0);
    cr_assert_eq(load_fails(&x, "f"), -EUCLEAN);
    for (uint64_t size = st.size; size-- > 0;) {
        cr_assert_eq(disk_truncate(f, size), 0);
        cr_assert_eq(load_fails(&x, "f"), -EUCLEAN, "cut to %lu", (unsigned long)size);
    }
    disk_file_close(f);
    teardown(&x);
}

Test(sums, a_name_without_room_for_the_suffix_is_refused)
{
    struct fixture x;
    char name[DISK_NAME_MAX + 1] = {0};

    setup(&x);
    memset(name, 'n', DISK_NAME_MAX - 4);
    cr_assert_eq(sums_store(&x.sums, x.disk, name), -ENAMETOOLONG);
    cr_assert_eq(load_fails(&x, name), -ENAMETOOLONG);
    teardown(&x);
}

Test(sums, a_store_that_failed_leaves_no_file)
{
    struct fault fault = {.fail_at = 0};
    struct fixture x = {.random = 1};

    cr_assert_eq(disk_mem_create(&fault, 0, &x.disk), 0);
    cr_assert_eq(disk_open(x.disk, "f", DISK_WRITE | DISK_CREATE, &x.file), 0);
    write_some(&x, 10, 0);
    for (uint64_t i = 2; i <= 4; i++) { /* create, write, sync; the first is the unlink */
        fault.fail_at = fault.writes + i;
        cr_assert_eq(sums_store(&x.sums, x.disk, "f"), -EIO);
        cr_assert_eq(load_fails(&x, "f"), -ENOENT);
    }
    cr_assert_eq(sums_store(&x.sums, x.disk, "f"), 0);
    teardown(&x);
}
