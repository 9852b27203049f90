// SPDX-License-Identifier: Apache-2.0
/*
 * Which of several changes a power cycle loses, and what disk_mem tells of it.
 */
#include "disk_mem.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define WRITES 4

static struct fault fault;

static struct disk_file *create(struct disk *d, const char *name, const char *text)
{
    struct disk_file *f;

    cr_assert_eq(disk_open(d, name, DISK_WRITE | DISK_CREATE, &f), 0);
    cr_assert_eq(disk_pwrite(f, text, strlen(text), 0), 0);
    return f;
}

/* A durable file "a" of dots, and WRITES unsynced writes of a byte each; then the power goes. How
 * many of them are there: a bit each. */
static unsigned left(enum fault_loss loss, uint64_t seed, uint64_t *ret_lost)
{
    char text[WRITES];
    struct disk *d;
    struct disk_file *f;
    unsigned bits = 0;

    fault = (struct fault){.loss = loss, .seed = seed};
    cr_assert_eq(disk_mem_create(&fault, 0, &d), 0);
    f = create(d, "a", "....");
    cr_assert_eq(disk_sync(f), 0);
    cr_assert_eq(disk_sync_dir(d, ""), 0);
    for (uint64_t i = 0; i < WRITES; i++)
        cr_assert_eq(disk_pwrite(f, "x", 1, i), 0);
    disk_file_close(f);
    disk_mem_power_cycle(d);
    *ret_lost = disk_mem_lost(d);
    cr_assert_eq(disk_open(d, "a", DISK_READ, &f), 0);
    cr_assert_eq(disk_pread(f, text, WRITES, 0), WRITES);
    for (unsigned i = 0; i < WRITES; i++)
        bits |= (text[i] == 'x' ? 1u : 0) << i;
    disk_file_close(f);
    disk_close(d);
    return bits;
}

/* Of each write alone, and of none (a byte cannot be torn): that many of the 16 outcomes. */
static void one_alone(enum fault_loss loss, unsigned rest)
{
    bool seen[1 << WRITES] = {false};
    uint64_t lost;

    for (uint64_t seed = 1; seed <= 64; seed++)
        seen[left(loss, seed, &lost)] = true;
    for (unsigned bits = 0; bits < 1 << WRITES; bits++) {
        unsigned others = bits ^ rest;
        bool one = others && (others & (others - 1)) == 0;
        cr_assert(one ? seen[bits] : bits == rest || !seen[bits], "%x", bits);
    }
}

Test(loss, one_write_alone_is_lost)
{
    one_alone(FAULT_LOSE_ONE, (1 << WRITES) - 1);
}

Test(loss, one_write_alone_is_kept)
{
    one_alone(FAULT_KEEP_ONE, 0);
}

/* Whatever way of losing it was. */
Test(loss, the_same_loss_has_the_same_number_and_another_has_another)
{
    static const enum fault_loss losses[] = {FAULT_LOSE_ALL, FAULT_KEEP_ALL, FAULT_LOSE_SOME,
                                             FAULT_LOSE_ONE, FAULT_KEEP_ONE};
    uint64_t number[1 << WRITES] = {0}, lost;

    for (uint64_t i = 0; i < 640; i++) {
        unsigned bits = left(losses[i % 5], i + 1, &lost);
        cr_assert(number[bits] == 0 || number[bits] == lost);
        number[bits] = lost;
    }
    for (unsigned i = 0; i < 1 << WRITES; i++)
        for (unsigned j = 0; j < i; j++)
            cr_assert(number[i] && number[i] != number[j]);
}

Test(loss, what_a_file_loses_that_nobody_can_see_does_not_count)
{
    uint64_t first = 0;

    for (uint64_t seed = 1; seed <= 16; seed++) {
        struct disk *d;
        struct disk_file *f;
        fault = (struct fault){.loss = FAULT_LOSE_SOME, .seed = seed};
        cr_assert_eq(disk_mem_create(&fault, 0, &d), 0);
        f = create(d, "a", "text");
        cr_assert_eq(disk_unlink(d, "a"), 0);
        cr_assert_eq(disk_sync_dir(d, ""), 0);
        disk_file_close(f);
        disk_mem_power_cycle(d);
        first = first ? first : disk_mem_lost(d);
        cr_assert_eq(disk_mem_lost(d), first);
        disk_close(d);
    }
}

Test(loss, two_names_of_one_file_have_one_number)
{
    struct disk *d;
    uint64_t a, b, c;

    fault = (struct fault){0};
    cr_assert_eq(disk_mem_create(&fault, 0, &d), 0);
    disk_file_close(create(d, "a", "1"));
    disk_file_close(create(d, "c", "1"));
    cr_assert_eq(disk_link(d, "a", "b"), 0);
    cr_assert_eq(disk_mem_number(d, "a", &a), 0);
    cr_assert_eq(disk_mem_number(d, "b", &b), 0);
    cr_assert_eq(disk_mem_number(d, "c", &c), 0);
    cr_assert(a == b && a != c);
    cr_assert_eq(disk_mem_number(d, "d", &c), -ENOENT);
    disk_close(d);
}
