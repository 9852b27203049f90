// SPDX-License-Identifier: Apache-2.0
/* Claims of pool_marks.h. */
#include "pool_marks.h"

#include "disk_impl.h"
#include "pool_file.h"
#include "pool_fixture.h"
#include <stdlib.h>

#define KEYS 300 /* three blocks */

static struct gc_saved saved[KEYS];

/* A list that tells its serial, and `variant`, by its times. */
static struct pool_marks list_of(uint64_t serial, size_t count, int64_t variant)
{
    for (size_t i = 0; i < count; i++) {
        saved[i] = (struct gc_saved){.since = (int64_t)serial * 1000 + variant,
                                     .mark = (uint32_t)(i % (serial + 1))};
        saved[i].id.b[0] = (uint8_t)(i >> 8);
        saved[i].id.b[1] = (uint8_t)i;
    }
    return (struct pool_marks){serial, saved, count};
}

static int publish(uint64_t serial, int64_t variant)
{
    struct pool_marks m = list_of(serial, KEYS, variant);

    return pool_marks_publish(disk, 1, &m);
}

static void a_pool_with(uint64_t lists)
{
    a_pool();
    a_node();
    for (uint64_t s = 1; s <= lists; s++)
        cr_assert_eq(publish(s, 0), 0);
}

static uint64_t newest(uint64_t from)
{
    uint64_t s = 777;

    cr_assert_eq(pool_marks_newest(disk, from, &s), 0);
    return s;
}

/* The variant of the list that is there. */
static int64_t must_read(uint64_t serial)
{
    struct pool_marks m;

    cr_assert_eq(pool_marks_read(disk, serial, &m), 0);
    cr_assert(m.serial == serial && m.count == KEYS);
    int64_t variant = m.v[0].since - (int64_t)serial * 1000;
    struct pool_marks want = list_of(serial, KEYS, variant);

    for (size_t i = 0; i < KEYS; i++)
        cr_assert(id_equal(&m.v[i].id, &want.v[i].id) && m.v[i].since == want.v[i].since &&
                  m.v[i].mark == want.v[i].mark);
    pool_marks_release(&m);
    return variant;
}

Test(pool_marks, the_newest_list_is_the_one_in_force)
{
    a_pool_with(0);
    cr_assert_eq(newest(0), 0);
    for (uint64_t s = 1; s <= 5; s++) {
        cr_assert_eq(publish(s, 0), 0);
        for (uint64_t from = 0; from <= s; from++)
            cr_assert_eq(newest(from), s);
        must_read(s);
    }
    cr_assert(!has_temporaries("nodes/0001"));
    pool_disk_destroy(disk);
}

Test(pool_marks, a_list_without_keys_is_a_list)
{
    struct pool_marks m = {.serial = 1};

    a_pool_with(0);
    cr_assert_eq(pool_marks_publish(disk, 1, &m), 0);
    cr_assert_eq(pool_marks_read(disk, 1, &m), 0);
    cr_assert_eq(m.count, 0);
    pool_marks_release(&m);
    cr_assert_eq(pool_marks_read(disk, 2, &m), -ENOENT);
    pool_disk_destroy(disk);
}

Test(pool_marks, of_two_lists_with_one_serial_the_first_stays)
{
    a_pool_with(2);
    cr_assert_eq(publish(2, 7), -EEXIST);
    cr_assert_eq(must_read(2), 0);
    cr_assert(!has_temporaries("nodes/0001"));
    pool_disk_destroy(disk);
}

Test(pool_marks, a_list_comes_only_after_the_one_before_it)
{
    a_pool_with(1);
    cr_assert_eq(publish(3, 0), -ESTALE);
    cr_assert_eq(newest(0), 1);
    cr_assert_eq(publish(2, 0), 0);
    cr_assert_eq(publish(3, 0), 0);
    pool_disk_destroy(disk);
}

Test(pool_marks, what_is_no_list_is_refused)
{
    a_pool_with(1);
    struct pool_marks m = list_of(0, 3, 0);

    cr_assert_eq(pool_marks_publish(disk, 1, &m), -EINVAL);
    m = list_of(2, 3, 0);
    m.v[1].mark = 3;
    cr_assert_eq(pool_marks_publish(disk, 1, &m), -EINVAL, "a mark of the future");
    m = list_of(2, 3, 0);
    m.v[1].id = m.v[0].id;
    cr_assert_eq(pool_marks_publish(disk, 1, &m), -EINVAL, "one key twice");
    m.serial = UINT64_C(1) << 32;
    cr_assert_eq(pool_marks_publish(disk, 1, &m), -EINVAL);
    cr_assert_eq(newest(0), 1);
    pool_disk_destroy(disk);
}

Test(pool_marks, damage_is_told_and_is_no_shorter_list)
{
    struct pool_marks m = {.serial = 42};

    a_pool_with(1);
    for (uint64_t byte = 0; pool_disk_flip(disk, "marks/0000000000000001", byte, 3) == 0;
         byte += 53) {
        cr_assert_eq(pool_marks_read(disk, 1, &m), -EUCLEAN, "byte %u", (unsigned)byte);
        cr_assert_eq(pool_disk_flip(disk, "marks/0000000000000001", byte, 3), 0);
    }
    pool_disk_move(disk, "marks/0000000000000001", "marks/0000000000000001", 3 * POOL_BLOCK);
    cr_assert_eq(pool_marks_read(disk, 1, &m), -EUCLEAN);
    cr_assert_eq(m.serial, 42);
    pool_disk_move(disk, "marks/0000000000000001", "marks/0000000000000002", 0);
    cr_assert_eq(pool_marks_read(disk, 2, &m), -EUCLEAN);
    pool_disk_destroy(disk);
}

/* Bodies that only a bug could have written: whole, but no list. */
static void write_body(uint64_t serial, const struct pool_mark *marks, size_t count)
{
    struct pool_body b = {.kind = POOL_BODY_MARKS, .serial = serial};
    char name[DISK_NAME_MAX + 1];
    uint8_t bytes[POOL_MARK_LEN];
    struct pool_writer *w;

    cr_assert_eq(pool_writer_open(disk, 1, &b, &w), 0);
    for (size_t i = 0; i < count; i++) {
        pool_mark_encode(&marks[i], bytes);
        pool_writer_add(w, bytes);
    }
    pool_file_numbered("marks", serial, name);
    cr_assert_eq(pool_writer_end(w, name, POOL_PUT, NULL), 0);
}

Test(pool_marks, a_list_that_cannot_be_is_damage)
{
    struct pool_mark late = {.mark = 2}, two[2] = {{.key = {{2}}}, {.key = {{1}}}};
    struct pool_marks m;

    a_pool_with(0);
    write_body(1, &late, 1);
    cr_assert_eq(pool_marks_read(disk, 1, &m), -EUCLEAN);
    write_body(2, two, 2);
    cr_assert_eq(pool_marks_read(disk, 2, &m), -EUCLEAN);
    pool_disk_destroy(disk);
}

/* A disk whose listings are empty. */
static int list_nothing(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    (void)d;
    (void)name;
    (void)fn;
    (void)ctx;
    return 0;
}

static int open_all(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    (void)d;
    return disk_open(disk, name, flags, ret);
}

static int sync_nothing(struct disk *d, const char *name)
{
    (void)d;
    (void)name;
    return 0;
}

Test(pool_marks, a_listing_that_leaves_out_the_newest_does_not_hide_it)
{
    static const struct disk_ops ops = {
        .open = open_all, .list = list_nothing, .sync_dir = sync_nothing};
    struct disk shy = {.ops = &ops};
    uint64_t s = 777;

    a_pool_with(5);
    cr_assert_eq(pool_marks_newest(&shy, 2, &s), 0);
    cr_assert_eq(s, 5);
    pool_disk_destroy(disk);
}

Test(pool_marks, who_knows_of_no_list_finds_the_newest_although_the_first_are_gone)
{
    static const struct disk_ops ops = {
        .open = open_all, .list = list_nothing, .sync_dir = sync_nothing};
    struct disk shy = {.ops = &ops};
    uint64_t s = 777;

    a_pool_with(5);
    cr_assert_eq(pool_marks_prune(disk, 1, 4), 0);
    cr_assert_eq(pool_marks_newest(&shy, 0, &s), 0);
    cr_assert_eq(s, 5);
    cr_assert_eq(pool_disk_flip(disk, "marks/floor", 22, 0), 0);
    cr_assert_eq(newest(0), 5, "damaged it is as good as none");
    cr_assert_eq(pool_marks_prune(disk, 1, 4), 0);
    cr_assert_eq(pool_marks_newest(&shy, 0, &s), 0, "and made anew");
    cr_assert_eq(s, 5);
    pool_disk_destroy(disk);
}

static int prune(uint64_t below)
{
    return pool_marks_prune(disk, 1, below);
}

Test(pool_marks, no_list_goes_before_the_floor_is_above_it)
{
    static const struct disk_ops ops = {
        .open = open_all, .list = list_nothing, .sync_dir = sync_nothing};
    struct disk shy = {.ops = &ops};
    int r = 0;

    AT_EACH_WRITE(a_pool_with(4), r = prune(3))
    {
        uint64_t s = 777;

        (void)r;
        cr_assert_eq(pool_marks_newest(&shy, 0, &s), 0);
        cr_assert_eq(s, 4);
        cr_assert_eq(prune(4), 0);
        cr_assert_eq(newest(0), 4);
    }
}

Test(pool_marks, lists_that_are_lost_are_not_none)
{
    uint64_t s = 777;

    a_pool_with(1);
    cr_assert_eq(disk_unlink(disk, "marks/0000000000000001"), 0);
    cr_assert_eq(pool_marks_newest(disk, 1, &s), -EUCLEAN);
    cr_assert_eq(s, 777);
    pool_disk_destroy(disk);
}

Test(pool_marks, old_lists_go_and_the_newest_never)
{
    a_pool_with(5);
    cr_assert_eq(pool_marks_prune(disk, 1, 3), 0);
    cr_assert_eq(names_in("marks"), 4, "and the floor");
    must_read(3);
    cr_assert_eq(newest(0), 5);
    cr_assert_eq(newest(1), 5, "a node that was away finds it all the same");
    cr_assert_eq(pool_marks_prune(disk, 1, UINT64_MAX), 0);
    cr_assert_eq(names_in("marks"), 2);
    cr_assert_eq(newest(0), 5);
    cr_assert_eq(publish(6, 0), 0);
    pool_disk_destroy(disk);
}

/* ---- faults ---- */

Test(pool_marks, a_list_is_in_force_wholly_or_not_wherever_it_is_cut)
{
    int r = 0;

    AT_EACH_WRITE(a_pool_with(2), r = publish(3, 0))
    {
        uint64_t s = newest(2);

        cr_assert(s == 3 || (s == 2 && r < 0), "what was said to be published is lost");
        must_read(s);
        cr_assert_eq(publish(s + 1, 0), 0);
        cr_assert_eq(pool_node_tidy(disk, 1), 0);
        cr_assert(!has_temporaries("nodes/0001"));
    }
}

#ifndef POOL_ON_SHARD /* where a link is durable at once */
/* Somebody dies between the link and its sync; what was seen of it stays after a loss of power. */
static void lose_power(uint64_t seed)
{
    fault_reset(&fault);
    fault.loss = seed == 1 ? FAULT_LOSE_ALL : FAULT_LOSE_SOME;
    fault.seed = seed;
    pool_disk_power_cycle(&disk);
}

static void link_without_a_sync(uint64_t serial)
{
    char name[DISK_NAME_MAX + 1];

    write_body(serial, NULL, 0);
    pool_file_numbered("marks", serial, name);
    cr_assert_eq(disk_rename(disk, name, "nodes/0001/x"), 0);
    cr_assert_eq(disk_sync_dir(disk, "marks"), 0);
    cr_assert_eq(disk_sync_dir(disk, "nodes/0001"), 0);
    cr_assert_eq(disk_link(disk, "nodes/0001/x", name), 0);
}

Test(pool_marks, a_list_that_was_told_of_survives_the_loss_of_power)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        a_pool_with(2);
        link_without_a_sync(3);
        cr_assert_eq(newest(2), 3);
        lose_power(seed);
        cr_assert_eq(newest(2), 3, "somebody has acknowledged it");
        pool_disk_destroy(disk);
    }
}

static void a_pool_with_one_unsynced(void)
{
    a_pool_with(2);
    link_without_a_sync(3);
}

Test(pool_marks, no_list_survives_without_the_one_before_it)
{
    int r = 0;

    AT_EACH_WRITE(a_pool_with_one_unsynced(), r = publish(4, 0))
    {
        cr_assert(r < 0 || newest(2) == 4);
        cr_assert(!is_there("marks/0000000000000004") || is_there("marks/0000000000000003"));
    }
}
#endif
