// SPDX-License-Identifier: Apache-2.0
/* Claims of disk_put.h, on a shard in memory. */
#include "disk_put.h"

#include "disk_mem.h"
#include "shard_mem.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG (3 * DISK_PUT_MEMORY + 77) /* bytes: more than a file in the making has in memory */

static struct fault fault;
static struct shard_mem *place;
static struct disk *scratch, *d, *other; /* two machines with the same place */

static struct disk *machine(void)
{
    struct shard *s;
    struct disk *ret;
    char why[SHARD_WHY];

    cr_assert_eq(shard_open("mem:pool", 0, &s, why), 0, "%s", why);
    cr_assert_eq(disk_put_open(s, scratch, 0, &ret), 0);
    return ret;
}

static void up(void)
{
    fault = (struct fault){.loss = FAULT_KEEP_ALL};
    shard_mem_register();
    cr_assert_eq(shard_mem_create("pool", &fault, &place), 0);
    cr_assert_eq(disk_mem_create(NULL, 0, &scratch), 0);
    d = machine();
    other = machine();
}
static void down(void)
{
    disk_close(d);
    disk_close(other);
    disk_close(scratch);
    shard_mem_destroy(place);
}

TestSuite(disk_put, .init = up, .fini = down);

/* ---- words ---- */

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

static struct disk_file *draft(const char *name, size_t len)
{
    struct disk_file *f;
    uint8_t bytes[5000];

    cr_assert_eq(disk_open(d, name, DISK_WRITE | DISK_CREATE, &f), 0);
    for (size_t at = 0, n; at < len; at += n) {
        n = len - at < sizeof bytes ? len - at : sizeof bytes;
        for (size_t i = 0; i < n; i++)
            bytes[i] = pattern(at + i);
        cr_assert_eq(disk_pwrite(f, bytes, n, at), 0);
    }
    return f;
}

static int put(const char *name, size_t len)
{
    struct disk_file *f = draft(name, len);
    int err = disk_sync(f);

    disk_file_close(f);
    return err;
}

/* The file of that name has so many bytes of the pattern, as that machine sees it. */
static void has(struct disk *disk, const char *name, size_t len)
{
    uint8_t *bytes = malloc(len + 1);
    struct disk_stat st;
    struct disk_file *f;

    cr_assert_eq(disk_open(disk, name, DISK_READ, &f), 0, "%s", name);
    cr_assert_eq(disk_fstat(f, &st), 0);
    cr_assert_eq(st.size, len);
    cr_assert_eq(disk_pread(f, bytes, len + 1, 0), (ssize_t)len);
    for (size_t i = 0; i < len; i++)
        cr_assert_eq(bytes[i], pattern(i), "%s at %zu", name, i);
    disk_file_close(f);
    free(bytes);
}

static int look(struct disk *disk, const char *name)
{
    struct disk_stat st;

    return disk_stat(disk, name, &st);
}

static uint64_t requests(void)
{
    uint64_t n = 0;

    for (int i = 0; i < SHARD_MEM_CALLS; i++)
        n += shard_mem_calls(place, (enum shard_mem_call)i);
    return n;
}

/* Lets the next put be done although its answer is lost, or not be done at all. */
static void lose_answer(bool done)
{
    fault_reset(&fault);
    fault.fail_at = 1;
    fault.loss = done ? FAULT_KEEP_ALL : FAULT_LOSE_ALL;
    fault.error = EHOSTUNREACH;
}

/* ---- what others see ---- */

Test(disk_put, a_file_in_the_making_is_seen_by_its_own_process_alone)
{
    struct disk_file *f = draft("packs/1", 100);

    has(d, "packs/1", 100);
    cr_assert_eq(look(other, "packs/1"), -ENOENT);
    cr_assert_eq(shard_mem_count(place), 0);
    disk_file_close(f);
}

Test(disk_put, a_sync_puts_it_whole_however_long_it_is)
{
    static const size_t lengths[] = {0, 1, DISK_PUT_MEMORY, DISK_PUT_MEMORY + 1, LONG};
    char name[32];

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        snprintf(name, sizeof name, "packs/%zu", i);
        cr_assert_eq(put(name, lengths[i]), 0);
        has(d, name, lengths[i]);
        has(other, name, lengths[i]);
    }
}

Test(disk_put, what_was_put_is_never_changed)
{
    struct disk_file *f = draft("packs/1", 100), *again;

    cr_assert_eq(disk_sync(f), 0);
    cr_assert_eq(disk_pwrite(f, "x", 1, 0), -EROFS);
    cr_assert_eq(disk_truncate(f, 0), -EROFS);
    cr_assert_eq(disk_sync(f), 0, "a second sync has nothing to do");
    disk_file_close(f);
    cr_assert_eq(disk_open(d, "packs/1", DISK_WRITE, &again), -EROFS);
    has(other, "packs/1", 100);
    cr_assert_eq(shard_mem_calls(place, SHARD_MEM_PUT), 1);
}

Test(disk_put, a_temporary_file_is_put_by_its_rename_or_link_and_not_by_a_sync)
{
    struct disk_file *f = draft("nodes/0001/tmp.1", 100);

    cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
    cr_assert_eq(shard_mem_count(place), 0);
    cr_assert_eq(disk_link(d, "nodes/0001/tmp.1", "marks/1"), 0);
    has(other, "marks/1", 100);
    cr_assert_eq(disk_link(d, "nodes/0001/tmp.1", "marks/1"), -EEXIST);
    cr_assert_eq(disk_rename(d, "nodes/0001/tmp.1", "nodes/0001/head"), 0);
    has(other, "nodes/0001/head", 100);
    cr_assert_eq(disk_rename(d, "nodes/0001/tmp.1", "nodes/0001/head"), -ENOENT);
    cr_assert_eq(shard_mem_count(place), 2);
}

Test(disk_put, a_rename_replaces)
{
    disk_file_close(draft("tmp.1", 100));
    disk_file_close(draft("tmp.2", LONG));
    cr_assert_eq(disk_rename(d, "tmp.1", "marks/floor"), 0);
    cr_assert_eq(disk_rename(d, "tmp.2", "marks/floor"), 0);
    has(other, "marks/floor", LONG);
}

Test(disk_put, what_is_longer_than_one_request_replaces_too)
{
    disk_file_close(draft("tmp.1", 100));
    disk_file_close(draft("tmp.2", SHARD_PACK_MAX + 5));
    cr_assert_eq(disk_rename(d, "tmp.1", "nodes/0001/base.1"), 0);
    cr_assert_eq(disk_rename(d, "tmp.2", "nodes/0001/base.1"), 0);
    has(other, "nodes/0001/base.1", SHARD_PACK_MAX + 5);
}

Test(disk_put, a_copy_of_another_disks_file_is_put)
{
    struct disk_file *f;

    cr_assert_eq(disk_open(scratch, "slot", DISK_WRITE | DISK_CREATE, &f), 0);
    for (size_t i = 0; i < 300; i++)
        cr_assert_eq(disk_pwrite(f, &(uint8_t){pattern(i)}, 1, i), 0);
    cr_assert_eq(disk_put_copy(d, "objects/ab/1", f), 0);
    cr_assert_eq(disk_put_copy(d, "objects/ab/1", f), 0, "these very bytes are there");
    cr_assert_eq(disk_pwrite(f, "x", 1, 0), 0);
    cr_assert_eq(disk_put_copy(d, "objects/ab/1", f), -EEXIST);
    cr_assert_eq(disk_put_copy(scratch, "copy", f), -EOPNOTSUPP);
    disk_file_close(f);
    has(other, "objects/ab/1", 300);
}

/* ---- answers that are lost, and places that are away ---- */

Test(disk_put, a_put_whose_answer_was_lost_is_repeated)
{
    for (int done = 0; done < 2; done++) {
        struct disk_file *f = draft(done ? "packs/1" : "packs/2", LONG);

        lose_answer(done);
        cr_assert_eq(disk_sync(f), -EHOSTUNREACH);
        cr_assert(fault_fired(&fault));
        fault_reset(&fault);
        cr_assert_eq(disk_sync(f), 0);
        disk_file_close(f);
        has(other, done ? "packs/1" : "packs/2", LONG);
    }
}

Test(disk_put, other_bytes_under_that_name_are_not_taken_for_an_earlier_attempt)
{
    struct disk_file *f = draft("packs/1", LONG);

    cr_assert_eq(put("packs/2", 1), 0);
    cr_assert_eq(shard_mem_count(place), 1);
    {
        struct shard *s;
        char why[SHARD_WHY], bytes[LONG] = "";

        cr_assert_eq(shard_open("mem:pool", 0, &s, why), 0);
        cr_assert_eq(shard_put(s, "packs/1", bytes, sizeof bytes), 0);
        shard_close(s);
    }
    cr_assert_eq(disk_sync(f), -EEXIST);
    disk_file_close(f);
}

Test(disk_put, bytes_that_cannot_be_put_now_stay_and_can_be_put_later)
{
    static const struct {
        enum shard_mem_switch on;
        int err;
    } cases[] = {{SHARD_MEM_UNREACHABLE, -EHOSTUNREACH}, {SHARD_MEM_FULL, -ENOSPC}};
    char name[32];

    for (size_t i = 0; i < 2; i++) {
        struct disk_file *f;

        snprintf(name, sizeof name, "packs/%zu", i);
        f = draft(name, LONG);
        shard_mem_set(place, cases[i].on, true);
        cr_assert_eq(disk_sync(f), cases[i].err);
        has(d, name, LONG);
        shard_mem_set(place, cases[i].on, false);
        cr_assert_eq(disk_sync(f), 0);
        disk_file_close(f);
        has(other, name, LONG);
    }
}

Test(disk_put, a_place_that_is_away_is_never_an_empty_one)
{
    struct disk_file *f;
    unsigned n = 0;

    cr_assert_eq(put("packs/1", 10), 0);
    shard_mem_set(place, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(look(d, "packs/1"), -EHOSTUNREACH);
    cr_assert_eq(disk_open(d, "packs/1", DISK_READ, &f), -EHOSTUNREACH);
    cr_assert_eq(disk_unlink(d, "packs/1"), -EHOSTUNREACH);
    cr_assert_eq(disk_list(d, "packs", NULL, &n), -EHOSTUNREACH);
}

/* ---- reading ---- */

Test(disk_put, a_small_file_costs_one_request)
{
    uint8_t bytes[200];
    struct disk_stat st;
    struct disk_file *f;
    uint64_t before;

    cr_assert_eq(put("marks/1", 100), 0);
    before = requests();
    cr_assert_eq(disk_open(other, "marks/1", DISK_READ, &f), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    cr_assert_eq(disk_pread(f, bytes, sizeof bytes, 0), 100);
    cr_assert_eq(disk_pread(f, bytes, 10, 50), 10);
    cr_assert_eq(requests(), before + 1);
    disk_file_close(f);
    cr_assert_eq(disk_stat(other, "marks/1", &st), 0);
    cr_assert_eq(requests(), before + 2);
}

Test(disk_put, a_long_file_that_is_read_in_small_pieces_costs_few_requests)
{
    uint8_t bytes[100];
    struct disk_file *f;
    size_t at = 0;
    ssize_t n;
    uint64_t before;

    cr_assert_eq(put("packs/1", 4 << 20), 0);
    cr_assert_eq(disk_open(other, "packs/1", DISK_READ, &f), 0);
    before = requests();
    while ((n = disk_pread(f, bytes, sizeof bytes, at)) > 0)
        for (ssize_t i = 0; i < n; i++, at++)
            cr_assert_eq(bytes[i], pattern(at));
    cr_assert_eq(n, 0);
    cr_assert_eq(at, 4 << 20);
    cr_assert_leq(requests() - before, 14);
    disk_file_close(f);
}

Test(disk_put, a_file_that_is_looked_for_later_costs_nothing_until_it_is_read)
{
    struct disk_file *f;
    uint64_t before = requests();
    uint8_t byte;

    cr_assert_eq(disk_open(other, "packs/1", DISK_READ | DISK_LATER, &f), 0);
    cr_assert_eq(requests(), before);
    cr_assert_eq(disk_pread(f, &byte, 1, 0), -ENOENT);
    cr_assert_eq(put("packs/1", 100), 0);
    cr_assert_eq(disk_pread(f, &byte, 1, 7), 1);
    cr_assert_eq(byte, pattern(7));
    disk_file_close(f);
    cr_assert_eq(disk_open(other, "packs/2", DISK_READ, &f), -ENOENT);
}

Test(disk_put, a_file_that_is_copied_stays_as_it_is_and_costs_nothing_any_more)
{
    static const size_t lengths[] = {0, 100, LONG, 3 << 20};
    uint8_t byte;

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct disk_stat st;
        struct disk_file *f;
        uint64_t before;

        cr_assert_eq(put("base", lengths[i]), 0);
        cr_assert_eq(disk_open(other, "base", DISK_READ | DISK_COPIED, &f), 0);
        cr_assert_eq(disk_unlink(d, "base"), 0);
        before = requests();
        cr_assert_eq(disk_fstat(f, &st), 0);
        cr_assert_eq(st.size, lengths[i]);
        for (size_t at = 0; at < lengths[i]; at += 1 + lengths[i] / 7) {
            cr_assert_eq(disk_pread(f, &byte, 1, at), 1);
            cr_assert_eq(byte, pattern(at));
        }
        cr_assert_eq(requests(), before);
        cr_assert_eq(disk_pwrite(f, "x", 1, 0), -EBADF);
        disk_file_close(f);
        cr_assert_eq(disk_open(other, "base", DISK_READ | DISK_COPIED, &f), -ENOENT);
    }
}

Test(disk_put, a_file_that_vanished_since_it_was_opened_is_stale)
{
    struct disk_file *f;
    uint8_t byte;

    cr_assert_eq(put("packs/1", LONG), 0);
    cr_assert_eq(disk_open(other, "packs/1", DISK_READ, &f), 0);
    cr_assert_eq(disk_unlink(d, "packs/1"), 0);
    cr_assert_eq(disk_pread(f, &byte, 1, LONG - 1), -ESTALE);
    disk_file_close(f);
    cr_assert_eq(look(other, "packs/1"), -ENOENT);
    cr_assert_eq(disk_unlink(d, "packs/1"), -ENOENT);
}

/* ---- names ---- */

static int note(const char *name, void *ctx)
{
    strcat(strcat(ctx, name), " ");
    cr_assert_eq(look(d, "nowhere"), -ENOENT, "the shard may be asked meanwhile");
    return 0;
}

static unsigned count_names(const char *dir)
{
    char names[1000] = "";
    unsigned n = 0;

    cr_assert_eq(disk_list(d, dir, note, names), 0);
    for (char *c = names; *c; c++)
        n += *c == ' ';
    return n;
}

Test(disk_put, a_list_has_the_names_in_a_directory_each_once)
{
    cr_assert_eq(put("tally-pool", 1), 0);
    cr_assert_eq(put("nodes/0001/node", 1), 0);
    cr_assert_eq(put("nodes/0001/head", 1), 0);
    cr_assert_eq(put("nodes/0002/node", 1), 0);
    disk_file_close(draft("nodes/0003/tmp.1", 1));
    cr_assert_eq(count_names("nodes"), 2);
    cr_assert_eq(count_names("nodes/0001"), 2);
    cr_assert_eq(count_names("nodes/000"), 0, "not a part of a name");
    cr_assert_eq(count_names(""), 2, "the pool's file, and nodes");
    cr_assert_eq(count_names("objects"), 0, "directories need not be there");
}

Test(disk_put, a_list_that_fails_in_the_middle_gives_no_names)
{
    char names[1000] = "";

    for (int i = 0; i < 8; i++) {
        char name[32];
        snprintf(name, sizeof name, "marks/%d", i);
        cr_assert_eq(put(name, 1), 0);
    }
    shard_mem_set(place, SHARD_MEM_SHORT_LISTS, true);
    cr_assert_eq(disk_list(d, "marks", note, names), -EIO);
    cr_assert_str_eq(names, "");
}

Test(disk_put, a_file_that_is_given_up_is_gone_unless_it_was_put)
{
    struct disk_file *f = draft("packs/1", 10);

    disk_put_forget(d, "packs/1");
    disk_file_close(f);
    cr_assert_eq(look(d, "packs/1"), -ENOENT);
    cr_assert_eq(put("packs/2", 10), 0);
    disk_put_forget(d, "packs/2");
    has(d, "packs/2", 10);
    disk_file_close(draft("packs/3", 10));
    cr_assert_eq(disk_unlink(d, "packs/3"), 0);
    cr_assert_eq(look(d, "packs/3"), -ENOENT);
}

Test(disk_put, an_unlink_removes_what_a_lost_attempt_may_have_put)
{
    struct disk_file *f = draft("packs/1", 10);

    lose_answer(true);
    cr_assert_eq(disk_sync(f), -EHOSTUNREACH);
    fault_reset(&fault);
    disk_file_close(f);
    cr_assert_eq(shard_mem_count(place), 1);
    cr_assert_eq(disk_unlink(d, "packs/1"), 0);
    cr_assert_eq(shard_mem_count(place), 0);
}

/* ---- the rest ---- */

Test(disk_put, files_in_the_making_leave_no_name_on_the_stores_disk)
{
    struct disk_file *f = draft("packs/1", LONG), *left;
    uint64_t bytes, names;

    disk_mem_usage(scratch, &bytes, &names);
    cr_assert_eq(names, 0);
    cr_assert_geq(bytes, LONG);
    disk_file_close(f);
    cr_assert_eq(disk_unlink(d, "packs/1"), 0);
    disk_mem_usage(scratch, &bytes, &names);
    cr_assert_eq(bytes, 0);
    cr_assert_eq(disk_open(scratch, "put.1", DISK_WRITE | DISK_CREATE, &left), 0, "as of a crash");
    disk_file_close(left);
    cr_assert_eq(put("packs/2", LONG), 0);
    has(other, "packs/2", LONG);
}

Test(disk_put, what_the_scratch_disk_has_no_room_for_fails_and_what_was_there_stays)
{
    struct disk *small;
    struct disk_file *f;
    struct shard *s;
    char why[SHARD_WHY];
    uint8_t bytes[1000] = {0};
    uint64_t at = 0;
    int err;

    cr_assert_eq(disk_mem_create(NULL, 2 * DISK_PUT_MEMORY, &small), 0);
    cr_assert_eq(shard_open("mem:pool", 0, &s, why), 0);
    disk_close(d);
    cr_assert_eq(disk_put_open(s, small, 0, &d), 0);
    cr_assert_eq(disk_open(d, "packs/1", DISK_WRITE | DISK_CREATE, &f), 0);
    while ((err = disk_pwrite(f, bytes, sizeof bytes, at)) == 0)
        at += sizeof bytes;
    cr_assert_eq(err, -ENOSPC);
    cr_assert_gt(at, DISK_PUT_MEMORY);
    cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
    cr_assert_eq(look(other, "packs/1"), 0);
    disk_close(d);
    disk_close(small);
    d = machine();
}

Test(disk_put, its_room_is_what_the_shard_says_and_asking_waits_for_nobody)
{
    struct disk_space space;
    uint64_t before = requests();

    shard_mem_set(place, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(disk_space(d, &space), 0);
    cr_assert_gt(space.blocks, 0);
    cr_assert_eq(requests(), before);
}

Test(disk_put, a_disk_tells_whether_it_keeps_whole_files)
{
    cr_assert(disk_is_whole(d));
    cr_assert(!disk_is_whole(scratch));
}
