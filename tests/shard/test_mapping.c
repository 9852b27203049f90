// SPDX-License-Identifier: Apache-2.0
/*
 * What disk.h promises of room, mappings and incarnations, and what disk_mem.h says is lost of them
 * with the power.
 */
#include "both.h"

#include <errno.h>
#include <string.h>

static uint8_t *map(struct disk_file *f, size_t len)
{
    void *p;

    cr_assert_eq(disk_map(f, 0, len, &p), 0);
    return p;
}

static void put_mapped(struct disk_file *f, uint8_t *m, size_t at, const char *text)
{
    memcpy(m + at, text, strlen(text));
    disk_map_wrote(f, m, at, strlen(text));
}

BOTH(an_allocated_file_has_its_size_in_zeros_and_its_room)
{
    struct disk_file *f = create(d, "f", "abc");
    struct disk_stat s;
    char buf[8];

    cr_assert_eq(disk_allocate(f, 1 << 20), 0);
    cr_assert_eq(disk_fstat(f, &s), 0);
    cr_assert_eq(s.size, 1 << 20);
    cr_assert_geq(s.blocks, 1 << 20);
    cr_assert_eq(disk_pread(f, buf, 8, 0), 8);
    cr_assert_arr_eq(buf, "abc\0\0\0\0\0", 8);
    cr_assert_eq(disk_pread(f, buf, 8, (1 << 20) - 8), 8);
    cr_assert_arr_eq(buf, "\0\0\0\0\0\0\0\0", 8);
    disk_file_close(f);
}

BOTH(what_is_put_into_a_mapping_can_be_read)
{
    struct disk_file *f = create(d, "f", "abc");
    char buf[8];

    cr_assert_eq(disk_allocate(f, 65536), 0);
    uint8_t *m = map(f, 65536);

    cr_assert_arr_eq(m, "abc", 3);
    put_mapped(f, m, 40000, "mapped");
    cr_assert_eq(disk_pread(f, buf, 6, 40000), 6);
    cr_assert_arr_eq(buf, "mapped", 6);
    disk_unmap(f, m, 65536);
    m = map(f, 65536);
    cr_assert_arr_eq(m + 40000, "mapped", 6);
    disk_unmap(f, m, 65536);
    disk_file_close(f);
}

BOTH(a_mapping_begins_at_a_page)
{
    struct disk_file *f = create(d, "f", "abc");
    void *p;

    cr_assert_eq(disk_map(f, 100, 10, &p), -EINVAL);
    cr_assert_eq(disk_map(f, 0, 0, &p), -EINVAL);
    disk_file_close(f);
}

BOTH(an_incarnation_is_the_same_when_asked_again)
{
    uint8_t a[32], b[32];

    cr_assert_eq(disk_incarnation(d, a), 0);
    cr_assert_eq(disk_incarnation(d, b), 0);
    cr_assert_arr_eq(a, b, 32);
}

Test(mapping, an_incarnation_of_a_directory_is_the_same_when_it_is_opened_again)
{
    uint8_t a[32], b[32], zeros[16] = {0};
    struct disk *d;

    cr_assert_eq(dir_disk_open("/tmp", DISK_ONLY_READ, &d), 0);
    cr_assert_eq(disk_incarnation(d, a), 0);
    disk_close(d);
    cr_assert_eq(dir_disk_open("/tmp", DISK_ONLY_READ, &d), 0);
    cr_assert_eq(disk_incarnation(d, b), 0);
    disk_close(d);
    cr_assert_arr_eq(a, b, 32);
    cr_assert_arr_neq(a, zeros, 16);
}

Test(mapping, the_loss_of_power_ends_an_incarnation_and_the_death_of_the_daemon_does_not)
{
    struct fault fault = {.loss = FAULT_KEEP_ALL};
    uint8_t a[32], b[32];
    struct disk *d;

    cr_assert_eq(disk_mem_create(&fault, 0, &d), 0);
    cr_assert_eq(disk_incarnation(d, a), 0);
    disk_mem_power_cycle(d);
    cr_assert_eq(disk_incarnation(d, b), 0);
    cr_assert_arr_eq(a, b, 32);
    fault.loss = FAULT_LOSE_SOME;
    disk_mem_power_cycle(d);
    cr_assert_eq(disk_incarnation(d, b), 0);
    cr_assert_arr_neq(a, b, 32);
    disk_close(d);
}

/* What is left of 16 KiB of 'm', written to a synced file of zeros. */
static unsigned sectors_left(enum fault_loss loss, uint64_t seed, bool sync)
{
    struct fault fault = {.loss = loss, .seed = seed};
    unsigned left = 0;
    struct disk *d;

    cr_assert_eq(disk_mem_create(&fault, 0, &d), 0);
    struct disk_file *f = create(d, "f", "abc");

    cr_assert_eq(disk_allocate(f, 16384), 0);
    cr_assert_eq(disk_sync(f), 0);
    cr_assert_eq(disk_sync_dir(d, ""), 0);
    uint8_t *m = map(f, 16384);

    memset(m, 'm', 16384);
    disk_map_wrote(f, m, 0, 16384);
    cr_assert_eq(sync ? disk_sync(f) : 0, 0);
    disk_unmap(f, m, 16384);
    disk_file_close(f);
    disk_mem_power_cycle(d);
    cr_assert_eq(disk_open(d, "f", DISK_READ, &f), 0);
    for (unsigned i = 0; i < 32; i++) {
        char buf[512];

        cr_assert_eq(disk_pread(f, buf, 512, i * 512), 512);
        left += buf[300] == 'm';
    }
    disk_file_close(f);
    disk_close(d);
    return left;
}

Test(mapping, mapped_bytes_are_lost_unless_they_are_synced)
{
    bool some = false;

    cr_assert_eq(sectors_left(FAULT_LOSE_ALL, 1, false), 0);
    cr_assert_eq(sectors_left(FAULT_LOSE_ALL, 1, true), 32);
    cr_assert_eq(sectors_left(FAULT_KEEP_ALL, 1, false), 32);
    for (uint64_t seed = 1; seed < 20; seed++) {
        unsigned left = sectors_left(FAULT_LOSE_SOME, seed, false);

        some = some || (left > 0 && left < 32);
    }
    cr_assert(some);
}

Test(mapping, a_mapped_write_that_failed_fails_the_next_sync)
{
    struct fault fault = {0};
    struct disk *d;

    cr_assert_eq(disk_mem_create(&fault, 0, &d), 0);
    struct disk_file *f = create(d, "f", "abc");
    uint8_t *m = map(f, 4096);

    fault.fail_at = fault.writes + 1;
    put_mapped(f, m, 0, "x");
    cr_assert_eq(disk_sync(f), -EIO);
    cr_assert_eq(disk_sync(f), 0);
    disk_unmap(f, m, 4096);
    disk_file_close(f);
    disk_close(d);
}

Test(mapping, allocating_more_than_there_is_changes_nothing)
{
    struct disk_stat s;
    struct disk *d;

    cr_assert_eq(disk_mem_create(NULL, 65536, &d), 0);
    struct disk_file *f = create(d, "f", "abc");

    cr_assert_eq(disk_allocate(f, 1 << 20), -ENOSPC);
    cr_assert_eq(disk_fstat(f, &s), 0);
    cr_assert_eq(s.size, 3);
    cr_assert_eq(disk_allocate(f, 65536), 0);
    cr_assert_eq(disk_pwrite(f, "z", 1, 65000), 0);
    disk_file_close(f);
    disk_close(d);
}
