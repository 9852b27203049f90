// SPDX-License-Identifier: Apache-2.0
/* Claims of disk_route.h. */
#include "disk_route.h"

#include "disk_mem.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct disk *own, *pool, *d;

static void setup(void)
{
    cr_assert_eq(disk_mem_create(NULL, 0, &own), 0);
    cr_assert_eq(disk_mem_create(NULL, 0, &pool), 0);
    cr_assert_eq(disk_mkdir(pool, "nodes"), 0);
    cr_assert_eq(disk_mkdir(pool, "nodes/002a"), 0);
    cr_assert_eq(disk_sync_dir(pool, ""), 0);
    cr_assert_eq(disk_sync_dir(pool, "nodes"), 0);
    cr_assert_eq(disk_route_open(own, pool, 42, &d), 0);
    cr_assert_eq(disk_mkdir(d, "objects"), 0);
    cr_assert_eq(disk_mkdir(d, "objects/ab"), 0);
    cr_assert_eq(disk_mkdir(d, "packs"), 0);
    cr_assert_eq(disk_mkdir(d, "slots"), 0);
}
static void teardown(void)
{
    disk_close(d);
    disk_close(pool);
    disk_close(own);
}

TestSuite(route, .init = setup, .fini = teardown);

static struct disk_file *create(struct disk *disk, const char *name, const char *text)
{
    struct disk_file *f;

    cr_assert_eq(disk_open(disk, name, DISK_WRITE | DISK_CREATE, &f), 0);
    cr_assert_eq(disk_pwrite(f, text, strlen(text), 0), 0);
    return f;
}

static void put(const char *name)
{
    disk_file_close(create(d, name, "bytes"));
}

static bool has(struct disk *disk, const char *name)
{
    struct disk_file *f;
    int err = disk_open(disk, name, DISK_READ, &f);

    cr_assert(err == 0 || err == -ENOENT);
    if (err == 0)
        disk_file_close(f);
    return err == 0;
}

static int count_name(const char *name, void *ctx)
{
    (void)name;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned listed(const char *dir)
{
    unsigned n = 0;

    cr_assert_eq(disk_list(d, dir, count_name, &n), 0);
    return n;
}

Test(route, sealed_bytes_and_slots_are_in_the_pool_and_all_else_is_not)
{
    put("objects/ab/one");
    put("packs/two");
    put("slots/three");
    put("log.four");
    put("objectsfive");
    cr_assert(has(pool, "objects/ab/one") && has(pool, "packs/two"));
    cr_assert(has(pool, "nodes/002a/slots/three"));
    cr_assert(has(own, "log.four") && has(own, "objectsfive"));
    cr_assert(!has(pool, "log.four") && !has(own, "packs/two") && !has(own, "slots/three"));
}

Test(route, a_slot_can_be_given_the_name_of_an_object)
{
    put("slots/1");
    cr_assert_eq(disk_link(d, "slots/1", "objects/ab/1"), 0);
    cr_assert_eq(disk_unlink(d, "slots/1"), 0);
    cr_assert(has(pool, "objects/ab/1") && !has(pool, "nodes/002a/slots/1"));
    cr_assert_eq(disk_link(d, "objects/ab/1", "log.1"), -EXDEV);
}

Test(route, what_is_sealed_is_let_go_of_and_stays)
{
    put("objects/ab/1");
    put("packs/1");
    put("slots/1");
    put("log.1");
    cr_assert_eq(disk_unlink(d, "objects/ab/1"), 0);
    cr_assert_eq(disk_unlink(d, "packs/1"), 0);
    cr_assert_eq(disk_unlink(d, "packs/never"), 0);
    cr_assert_eq(disk_unlink(d, "slots/1"), 0);
    cr_assert_eq(disk_unlink(d, "log.1"), 0);
    cr_assert(has(d, "objects/ab/1") && has(d, "packs/1"));
    cr_assert(!has(d, "slots/1") && !has(d, "log.1"));
    cr_assert_eq(disk_rename(d, "log.1", "packs/1"), -EROFS);
}

Test(route, what_is_there_is_not_written_to_nor_punched)
{
    struct disk_file *f = create(d, "packs/1", "0123456789");
    char text[11] = "";

    cr_assert_eq(disk_punch(f, 0, 10), 0);
    cr_assert_eq(disk_pread(f, text, 10, 0), 10);
    cr_assert_str_eq(text, "0123456789");
    cr_assert_eq(disk_pwrite(f, "more", 4, 10), 0); /* its maker goes on */
    cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
    cr_assert_eq(disk_open(d, "packs/1", DISK_WRITE, &f), -EROFS);
    cr_assert_eq(disk_open(d, "packs/1", DISK_WRITE | DISK_CREATE, &f), -EEXIST);
    cr_assert_eq(disk_open(d, "packs/1", DISK_READ, &f), 0);
    cr_assert_eq(disk_punch(f, 0, 4), -EBADF);
    disk_file_close(f);
}

Test(route, what_others_put_there_is_not_listed)
{
    put("objects/ab/1");
    put("packs/1");
    put("slots/1");
    put("log.1");
    cr_assert(listed("objects/ab") == 0 && listed("objects") == 0 && listed("packs") == 0);
    cr_assert(listed("slots") == 1 && listed("") == 1);
}

Test(route, a_name_that_is_too_long_in_the_pool_is_an_error)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;

    memset(name, 'x', DISK_NAME_MAX);
    memcpy(name, "slots/", 6);
    name[DISK_NAME_MAX] = '\0';
    cr_assert_eq(disk_open(d, name, DISK_WRITE | DISK_CREATE, &f), -ENAMETOOLONG);
}

Test(route, a_sync_of_the_root_makes_the_slots_directory_durable)
{
    cr_assert_eq(disk_sync_dir(d, ""), 0);
    put("slots/1");
    struct disk_file *f;
    cr_assert_eq(disk_open(d, "slots/1", DISK_WRITE, &f), 0);
    cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
    cr_assert_eq(disk_sync_dir(d, "slots"), 0);
    disk_mem_power_cycle(pool);
    cr_assert(has(d, "slots/1"));
}

Test(route, a_life_of_its_page_cache_ends_with_that_of_either_disk)
{
    uint8_t first[32], again[32], second[32], third[32];

    cr_assert_eq(disk_incarnation(d, first), 0);
    cr_assert_eq(disk_incarnation(d, again), 0);
    cr_assert_arr_eq(first, again, 32);
    disk_mem_power_cycle(pool);
    cr_assert_eq(disk_incarnation(d, second), 0);
    cr_assert_neq(memcmp(first, second, 32), 0);
    disk_mem_power_cycle(own);
    cr_assert_eq(disk_incarnation(d, third), 0);
    cr_assert_neq(memcmp(second, third, 32), 0);
}

Test(route, the_fuller_disk_says_how_much_room_there_is)
{
    struct disk *tight;
    struct disk_space s;

    disk_close(d);
    cr_assert_eq(disk_mem_create(NULL, 1 << 20, &tight), 0);
    cr_assert_eq(disk_route_open(own, tight, 1, &d), 0);
    cr_assert_eq(disk_space(d, &s), 0);
    cr_assert_leq(s.blocks_avail * s.block_size, 1 << 20);
    disk_close(d);
    cr_assert_eq(disk_route_open(tight, pool, 1, &d), 0);
    cr_assert_eq(disk_space(d, &s), 0);
    cr_assert_leq(s.blocks_avail * s.block_size, 1 << 20);
    disk_close(tight);
}
