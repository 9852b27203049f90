// SPDX-License-Identifier: Apache-2.0
/*
 * What disk.h promises, claimed of both implementations, and what disk_mem.h says is lost with the
 * power.
 */
#include "both.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- helpers ---- */

static void put(struct disk *d, const char *name, const char *text)
{
    disk_file_close(create(d, name, text));
}

/* The file as text: "-" when there is none. */
static const char *text_of(struct disk *d, const char *name)
{
    static char buf[256];
    struct disk_file *f;
    int r = disk_open(d, name, DISK_READ, &f);

    if (r == -ENOENT)
        return "-";
    cr_assert_eq(r, 0);
    ssize_t n = disk_pread(f, buf, sizeof buf - 1, 0);

    cr_assert_geq(n, 0);
    buf[n] = '\0';
    disk_file_close(f);
    return buf;
}

static int open_fails(struct disk *d, const char *name, unsigned flags)
{
    struct disk_file *f = NULL;

    return disk_open(d, name, flags, &f);
}

static int add_name(const char *name, void *ctx)
{
    strcat(ctx, name);
    return 0;
}

static int stop_at_once(const char *name, void *ctx)
{
    (void)name;
    ++*(int *)ctx;
    return 7;
}

#define cr_text(d, name, text) cr_assert_str_eq(text_of(d, name), text)

/* ---- both ---- */

BOTH(what_is_written_is_read)
{
    put(d, "a", "hello");
    cr_text(d, "a", "hello");
}

BOTH(a_vector_is_written_in_order_however_long)
{
    struct iovec iov[40];
    char want[41] = {0};

    for (int i = 0; i < 40; i++) {
        want[i] = (char)('A' + i);
        iov[i] = (struct iovec){.iov_base = &want[i], .iov_len = 1};
    }
    struct disk_file *f = create(d, "a", "");

    cr_assert_eq(disk_pwritev(f, iov, 40, 0), 0);
    disk_file_close(f);
    cr_text(d, "a", want);
}

BOTH(a_read_is_short_only_at_the_end)
{
    char buf[8];
    struct disk_file *f = create(d, "a", "hello");

    cr_assert_eq(disk_pread(f, buf, 5, 0), 5);
    cr_assert_eq(disk_pread(f, buf, 8, 3), 2);
    cr_assert_eq(disk_pread(f, buf, 8, 5), 0);
    cr_assert_eq(disk_pread(f, buf, 8, 5000), 0);
    disk_file_close(f);
}

BOTH(a_gap_reads_as_zeros)
{
    char buf[10001];
    struct disk_file *f = create(d, "a", "x");

    cr_assert_eq(disk_pwrite(f, "y", 1, 10000), 0);
    cr_assert_eq(disk_pread(f, buf, sizeof buf, 0), 10001);
    cr_assert(buf[0] == 'x' && buf[1] == 0 && buf[9999] == 0 && buf[10000] == 'y');
    disk_file_close(f);
}

BOTH(create_refuses_a_taken_name)
{
    put(d, "a", "1");
    cr_assert_eq(open_fails(d, "a", DISK_WRITE | DISK_CREATE), -EEXIST);
    cr_text(d, "a", "1");
}

BOTH(an_absent_name_or_directory_is_enoent)
{
    cr_assert_eq(open_fails(d, "a", DISK_READ), -ENOENT);
    cr_assert_eq(open_fails(d, "no/a", DISK_WRITE | DISK_CREATE), -ENOENT);
    cr_assert_eq(open_fails(d, "", DISK_READ), -ENOENT);
    cr_assert_eq(disk_unlink(d, "a"), -ENOENT);
    cr_assert_eq(disk_link(d, "a", "b"), -ENOENT);
    cr_assert_eq(disk_rename(d, "a", "b"), -ENOENT);
    cr_assert_eq(disk_sync_dir(d, "no"), -ENOENT);
    cr_assert_eq(disk_list(d, "no", add_name, NULL), -ENOENT);
}

BOTH(a_name_too_long_is_refused)
{
    char name[DISK_NAME_MAX + 2];

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    cr_assert_eq(open_fails(d, name, DISK_WRITE | DISK_CREATE), -ENAMETOOLONG);
    put(d, name + 1, "fits");
    cr_text(d, name + 1, "fits");
}

BOTH(a_handle_for_reading_does_not_write)
{
    struct disk_file *f;

    put(d, "a", "1");
    cr_assert_eq(disk_open(d, "a", DISK_READ, &f), 0);
    cr_assert_eq(disk_pwrite(f, "2", 1, 0), -EBADF);
    cr_assert_eq(disk_truncate(f, 0), -EBADF);
    cr_assert_eq(disk_punch(f, 0, 1), -EBADF);
    disk_file_close(f);
    cr_text(d, "a", "1");
}

BOTH(mkdir_of_an_existing_directory_succeeds)
{
    cr_assert_eq(disk_mkdir(d, "x"), 0);
    cr_assert_eq(disk_mkdir(d, "x"), 0);
    cr_assert_eq(disk_mkdir(d, "x/y"), 0);
    put(d, "x/y/a", "deep");
    cr_text(d, "x/y/a", "deep");
    cr_assert_eq(disk_unlink(d, "x"), -EISDIR);
}

BOTH(truncate_cuts_and_what_grows_again_is_zero)
{
    char buf[8] = "........";
    struct disk_file *f = create(d, "a", "hello");

    cr_assert_eq(disk_truncate(f, 2), 0);
    cr_assert_eq(disk_truncate(f, 5), 0);
    cr_assert_eq(disk_pread(f, buf, 8, 0), 5);
    cr_assert_arr_eq(buf, "he\0\0\0", 5);
    disk_file_close(f);
}

BOTH(a_hole_reads_as_zeros_and_gives_space_back)
{
    enum { SIZE = 256 * 1024 };
    struct disk_stat before, after;
    char *buf = malloc(SIZE);
    struct disk_file *f = create(d, "a", "");

    memset(buf, 'x', SIZE);
    cr_assert_eq(disk_pwrite(f, buf, SIZE, 0), 0);
    cr_assert_eq(disk_sync(f), 0);
    cr_assert_eq(disk_fstat(f, &before), 0);
    cr_assert_eq(disk_punch(f, 65536, 131072), 0);
    cr_assert_eq(disk_fstat(f, &after), 0);
    cr_assert_eq(after.size, SIZE);
    cr_assert_leq(after.blocks + 131072, before.blocks);
    cr_assert_eq(disk_pread(f, buf, SIZE, 0), SIZE);
    cr_assert(buf[65535] == 'x' && buf[65536] == 0 && buf[196607] == 0 && buf[196608] == 'x');
    disk_file_close(f);
    free(buf);
}

BOTH(a_hole_past_the_end_keeps_the_size)
{
    struct disk_stat st;
    struct disk_file *f = create(d, "a", "hello");

    cr_assert_eq(disk_punch(f, 3, 100000), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    cr_assert_eq(st.size, 5);
    disk_file_close(f);
    cr_text(d, "a", "hel");
}

BOTH(an_offset_no_file_can_have_is_efbig)
{
    struct disk_file *f = create(d, "a", "");

    cr_assert_eq(disk_pwrite(f, "x", 1, UINT64_MAX), -EFBIG);
    cr_assert_eq(disk_truncate(f, UINT64_MAX), -EFBIG);
    disk_file_close(f);
}

BOTH(two_links_are_one_file)
{
    put(d, "a", "1");
    cr_assert_eq(disk_link(d, "a", "b"), 0);
    cr_assert_eq(disk_link(d, "a", "b"), -EEXIST);
    cr_assert_eq(disk_unlink(d, "a"), 0);
    cr_text(d, "a", "-");
    cr_text(d, "b", "1");
}

BOTH(rename_replaces)
{
    cr_assert_eq(disk_mkdir(d, "x"), 0);
    put(d, "a", "new");
    put(d, "x/b", "old");
    cr_assert_eq(disk_rename(d, "a", "x/b"), 0);
    cr_text(d, "a", "-");
    cr_text(d, "x/b", "new");
    put(d, "x/c", "newest");
    cr_assert_eq(disk_rename(d, "x/c", "x/b"), 0);
    cr_text(d, "x/c", "-");
    cr_text(d, "x/b", "newest");
}

BOTH(rename_of_a_link_onto_its_twin_keeps_both)
{
    put(d, "a", "1");
    cr_assert_eq(disk_link(d, "a", "b"), 0);
    cr_assert_eq(disk_rename(d, "a", "b"), 0);
    cr_text(d, "a", "1");
    cr_text(d, "b", "1");
}

BOTH(an_unlinked_file_lives_while_it_is_open)
{
    char c;
    struct disk_file *f = create(d, "a", "1");

    cr_assert_eq(disk_unlink(d, "a"), 0);
    cr_assert_eq(disk_pread(f, &c, 1, 0), 1);
    cr_assert_eq(c, '1');
    disk_file_close(f);
}

BOTH(list_gives_each_name_once)
{
    char names[64] = "";

    cr_assert_eq(disk_mkdir(d, "x"), 0);
    put(d, "x/a", "");
    put(d, "x/b", "");
    cr_assert_eq(disk_list(d, "x", add_name, names), 0);
    cr_assert(strcmp(names, "ab") == 0 || strcmp(names, "ba") == 0);
    names[0] = '\0';
    cr_assert_eq(disk_list(d, "", add_name, names), 0);
    cr_assert_str_eq(names, "x");
}

BOTH(list_stops_when_told)
{
    int calls = 0;

    put(d, "a", "");
    put(d, "b", "");
    cr_assert_eq(disk_list(d, "", stop_at_once, &calls), 7);
    cr_assert_eq(calls, 1);
}

BOTH(space_is_known)
{
    struct disk_space s;

    cr_assert_eq(disk_space(d, &s), 0);
    cr_assert_gt(s.block_size, 0);
    cr_assert_leq(s.blocks_avail, s.blocks);
}

BOTH(syncs_succeed)
{
    struct disk_file *f = create(d, "a", "1");

    disk_flush_hint(f, 0, 1);
    cr_assert_eq(disk_sync(f), 0);
    cr_assert_eq(disk_sync_dir(d, ""), 0);
    disk_file_close(f);
}

/* ---- a directory only ---- */

Test(disk_dir, readonly_refuses_every_change)
{
    struct made m;
    struct disk *d;

    make(&m, true);
    put(m.disk, "a", "1");
    cr_assert_eq(dir_disk_open(m.path, DISK_ONLY_READ, &d), 0);
    cr_assert_eq(open_fails(d, "a", DISK_WRITE), -EROFS);
    cr_assert_eq(open_fails(d, "b", DISK_CREATE), -EROFS);
    cr_assert_eq(disk_mkdir(d, "x"), -EROFS);
    cr_assert_eq(disk_link(d, "a", "b"), -EROFS);
    cr_assert_eq(disk_rename(d, "a", "b"), -EROFS);
    cr_assert_eq(disk_unlink(d, "a"), -EROFS);
    cr_text(d, "a", "1");
    disk_close(d);
    unmake(&m);
}

Test(disk_dir, a_path_that_is_no_directory_is_refused)
{
    struct disk *d;

    cr_assert_eq(dir_disk_open("/dev/null", 0, &d), -ENOTDIR);
    cr_assert_eq(dir_disk_open("/nonexistent-tally", 0, &d), -ENOENT);
}

/* ---- loss of power ---- */

static struct fault fault;

static struct disk *mem(enum fault_loss loss, uint64_t seed)
{
    struct disk *d;

    fault = (struct fault){.loss = loss, .seed = seed};
    cr_assert_eq(disk_mem_create(&fault, 0, &d), 0);
    return d;
}

/* File and name durable. */
static void put_durably(struct disk *d, const char *name, const char *text)
{
    struct disk_file *f = create(d, name, text);

    cr_assert_eq(disk_sync(f), 0);
    cr_assert_eq(disk_sync_dir(d, ""), 0);
    disk_file_close(f);
}

static void overwrite(struct disk *d, const char *name, const char *text, bool sync)
{
    struct disk_file *f;

    cr_assert_eq(disk_open(d, name, DISK_WRITE, &f), 0);
    cr_assert_eq(disk_pwrite(f, text, strlen(text), 0), 0);
    if (sync)
        cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
}

Test(power, a_synced_file_with_a_synced_name_survives)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);

    put_durably(d, "a", "1");
    disk_mem_power_cycle(d);
    cr_text(d, "a", "1");
    disk_close(d);
}

Test(power, an_unsynced_write_is_lost)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);

    put_durably(d, "a", "old");
    overwrite(d, "a", "new", false);
    cr_text(d, "a", "new");
    disk_mem_power_cycle(d);
    cr_text(d, "a", "old");
    disk_close(d);
}

Test(power, an_unsynced_cut_is_undone)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);
    struct disk_file *f;

    put_durably(d, "a", "hello");
    cr_assert_eq(disk_open(d, "a", DISK_WRITE, &f), 0);
    cr_assert_eq(disk_truncate(f, 1), 0);
    disk_file_close(f);
    disk_mem_power_cycle(d);
    cr_text(d, "a", "hello");
    disk_close(d);
}

Test(power, a_synced_file_without_a_synced_name_is_gone)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);
    struct disk_file *f = create(d, "a", "1");
    uint64_t bytes, names;

    cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
    disk_mem_power_cycle(d);
    cr_text(d, "a", "-");
    disk_mem_usage(d, &bytes, &names);
    cr_assert_eq(bytes + names, 0);
    disk_close(d);
}

Test(power, a_synced_name_without_synced_bytes_is_an_empty_file)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);

    put(d, "a", "1");
    cr_assert_eq(disk_sync_dir(d, ""), 0);
    disk_mem_power_cycle(d);
    cr_text(d, "a", "");
    disk_close(d);
}

Test(power, an_unsynced_removal_comes_back)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);

    put_durably(d, "a", "1");
    cr_assert_eq(disk_unlink(d, "a"), 0);
    disk_mem_power_cycle(d);
    cr_text(d, "a", "1");
    cr_assert_eq(disk_unlink(d, "a"), 0);
    cr_assert_eq(disk_sync_dir(d, ""), 0);
    disk_mem_power_cycle(d);
    cr_text(d, "a", "-");
    disk_close(d);
}

Test(power, an_unsynced_rename_is_lost_as_one)
{
    unsigned lost = 0;

    for (uint64_t seed = 1; seed <= 32; seed++) {
        struct disk *d = mem(FAULT_LOSE_SOME, seed);

        put_durably(d, "tmp", "new");
        put_durably(d, "a", "old");
        cr_assert_eq(disk_rename(d, "tmp", "a"), 0);
        disk_mem_power_cycle(d);
        bool old = strcmp(text_of(d, "a"), "old") == 0;

        cr_text(d, "a", old ? "old" : "new");
        cr_text(d, "tmp", old ? "new" : "-");
        lost += old;
        disk_close(d);
    }
    cr_assert(lost > 0 && lost < 32, "%u", lost);
}

Test(power, a_directory_is_durable_only_after_a_sync_of_its_parent)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);

    cr_assert_eq(disk_mkdir(d, "x"), 0);
    put(d, "x/a", "1");
    cr_assert_eq(disk_sync_dir(d, "x"), 0);
    disk_mem_power_cycle(d);
    cr_assert_eq(disk_sync_dir(d, "x"), -ENOENT);
    disk_close(d);
}

Test(power, a_link_keeps_the_bytes_alive_across_power_cycles)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);

    put_durably(d, "a", "1");
    cr_assert_eq(disk_link(d, "a", "b"), 0);
    cr_assert_eq(disk_unlink(d, "a"), 0);
    cr_assert_eq(disk_sync_dir(d, ""), 0);
    disk_mem_power_cycle(d);
    cr_text(d, "a", "-");
    cr_text(d, "b", "1");
    disk_close(d);
}

Test(power, the_death_of_the_daemon_alone_loses_nothing)
{
    struct disk *d = mem(FAULT_KEEP_ALL, 1);

    put(d, "a", "old");
    overwrite(d, "a", "new", false);
    disk_mem_power_cycle(d);
    cr_text(d, "a", "new");
    disk_close(d);
}

Test(power, some_writes_survive_each_on_its_own)
{
    bool seen[4] = {false};

    for (uint64_t seed = 1; seed <= 64; seed++) {
        struct disk *d = mem(FAULT_LOSE_SOME, seed);
        struct disk_file *f;

        put_durably(d, "a", "..");
        cr_assert_eq(disk_open(d, "a", DISK_WRITE, &f), 0);
        cr_assert_eq(disk_pwrite(f, "x", 1, 0), 0);
        cr_assert_eq(disk_pwrite(f, "y", 1, 1), 0);
        disk_file_close(f);
        disk_mem_power_cycle(d);
        const char *t = text_of(d, "a");

        seen[(t[0] == 'x' ? 1 : 0) + (t[1] == 'y' ? 2 : 0)] = true;
        disk_close(d);
    }
    cr_assert(seen[0] && seen[1] && seen[2] && seen[3]);
}

/* Offset of the first byte that differs from its neighbour before, or 0. */
static size_t tear(struct disk *d, const char *name)
{
    char buf[2048];
    struct disk_file *f;

    cr_assert_eq(disk_open(d, name, DISK_READ, &f), 0);
    cr_assert_eq(disk_pread(f, buf, sizeof buf, 0), sizeof buf);
    disk_file_close(f);
    for (size_t i = 1; i < sizeof buf; i++)
        if (buf[i] != buf[i - 1])
            return i;
    return 0;
}

Test(power, a_write_is_torn_at_512_bytes_only)
{
    unsigned torn = 0;

    for (uint64_t seed = 1; seed <= 64; seed++) {
        struct disk *d = mem(FAULT_LOSE_SOME, seed);
        char text[2049] = {0};

        memset(text, 'a', 2048);
        put_durably(d, "a", text);
        memset(text, 'b', 2048);
        overwrite(d, "a", text, false);
        disk_mem_power_cycle(d);
        cr_assert_eq(tear(d, "a") % 512, 0);
        torn += tear(d, "a") != 0;
        disk_close(d);
    }
    cr_assert_gt(torn, 0);
}

Test(power, a_synced_write_is_never_lost)
{
    for (uint64_t seed = 1; seed <= 32; seed++) {
        struct disk *d = mem(FAULT_LOSE_SOME, seed);

        put_durably(d, "a", "old");
        overwrite(d, "a", "new", true);
        disk_mem_power_cycle(d);
        cr_text(d, "a", "new");
        disk_close(d);
    }
}

Test(power, one_seed_gives_one_outcome)
{
    char first[256];

    for (int run = 0; run < 2; run++) {
        struct disk *d = mem(FAULT_LOSE_SOME, 42);

        put_durably(d, "a", "........");
        for (uint64_t i = 0; i < 8; i++) {
            struct disk_file *f;

            cr_assert_eq(disk_open(d, "a", DISK_WRITE, &f), 0);
            cr_assert_eq(disk_pwrite(f, "x", 1, i), 0);
            disk_file_close(f);
        }
        disk_mem_power_cycle(d);
        if (run == 0)
            strcpy(first, text_of(d, "a"));
        cr_text(d, "a", first);
        disk_close(d);
    }
}

Test(fault, a_failed_sync_makes_nothing_durable)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);
    struct disk_file *f;

    put_durably(d, "a", "old");
    cr_assert_eq(disk_open(d, "a", DISK_WRITE, &f), 0);
    cr_assert_eq(disk_pwrite(f, "new", 3, 0), 0);
    cr_assert_eq(disk_unlink(d, "a"), 0);
    fault.fail_at = fault.writes + 1;
    cr_assert_eq(disk_sync(f), -EIO);
    fault.fail_at = fault.writes + 1;
    cr_assert_eq(disk_sync_dir(d, ""), -EIO);
    disk_file_close(f);
    disk_mem_power_cycle(d);
    cr_text(d, "a", "old");
    disk_close(d);
}

Test(fault, a_failed_write_changes_nothing_and_says_the_error_asked_for)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);
    struct disk_file *f = create(d, "a", "old");

    fault.error = ENOSPC;
    fault.fail_at = fault.writes + 1;
    cr_assert_eq(disk_pwrite(f, "new", 3, 0), -ENOSPC);
    cr_assert_eq(disk_pwrite(f, "n", 1, 0), 0);
    disk_file_close(f);
    cr_text(d, "a", "nld");
    disk_close(d);
}

Test(fault, after_the_cut_nothing_works_until_power_is_back)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);
    struct disk_stat st;
    struct disk_file *f;
    char c;

    put_durably(d, "a", "1");
    cr_assert_eq(disk_open(d, "a", DISK_WRITE, &f), 0);
    fault.cut = true;
    fault.fail_at = fault.writes + 1;
    cr_assert_eq(disk_pwrite(f, "2", 1, 0), -EIO);
    cr_assert_eq(disk_pread(f, &c, 1, 0), -EIO);
    cr_assert_eq(disk_fstat(f, &st), -EIO);
    cr_assert_eq(open_fails(d, "a", DISK_READ), -EIO);
    cr_assert_eq(disk_sync(f), -EIO);
    disk_file_close(f);
    disk_mem_power_cycle(d);
    fault_reset(&fault);
    cr_text(d, "a", "1");
    disk_close(d);
}

Test(disk_mem, a_full_disk_is_enospc_until_space_is_given_back)
{
    struct disk *d;
    char page[4096] = {0};

    cr_assert_eq(disk_mem_create(NULL, 2 * sizeof page, &d), 0);
    struct disk_file *f = create(d, "a", "");

    cr_assert_eq(disk_pwrite(f, page, sizeof page, 0), 0);
    cr_assert_eq(disk_pwrite(f, page, sizeof page, 4096), 0);
    cr_assert_eq(disk_pwrite(f, page, 1, 8192), -ENOSPC);
    cr_assert_eq(disk_punch(f, 0, 4096), 0);
    cr_assert_eq(disk_pwrite(f, page, 1, 8192), 0);
    disk_file_close(f);
    cr_assert_eq(disk_unlink(d, "a"), 0);
    f = create(d, "b", "");
    cr_assert_eq(disk_pwrite(f, page, sizeof page, 4096), 0);
    disk_file_close(f);
    disk_close(d);
}

Test(disk_mem, a_flipped_bit_is_read_and_survives_power_loss)
{
    struct disk *d = mem(FAULT_LOSE_ALL, 1);

    put_durably(d, "a", "ab");
    cr_assert_eq(disk_mem_flip(d, "a", 1, 0), 0);
    cr_text(d, "a", "ac");
    disk_mem_power_cycle(d);
    cr_text(d, "a", "ac");
    cr_assert_eq(disk_mem_flip(d, "a", 2, 0), -ENOENT);
    cr_assert_eq(disk_mem_flip(d, "b", 0, 0), -ENOENT);
    disk_close(d);
}
