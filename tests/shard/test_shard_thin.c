// SPDX-License-Identifier: Apache-2.0
/* Claims of what is left of a pack: it reads as the pack did, with zeros for the rest. */
#include "shard_mem.h"
#include "shard_thin.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME "packs/0000000000000001"
#define LEFT "thin/0000000000000001"
#define SIZE 300000u

static struct shard_mem *mem;
static struct shard *s;
static uint8_t pack[SIZE], left[SIZE];
static const struct thin_part parts[] = {{0, 32}, {1000, 1}, {70000, 65536}, {299000, 1000}};
#define COUNT (sizeof parts / sizeof *parts)

static void up(void)
{
    char why[SHARD_WHY];

    shard_mem_register();
    cr_assert_eq(shard_mem_create("m", NULL, &mem), 0);
    cr_assert_eq(shard_open("mem:m", 0, &s, why), 0, "%s", why);
    for (uint32_t i = 0; i < SIZE; i++)
        pack[i] = (uint8_t)(1 + i % 251);
    memset(left, 0, sizeof left);
    for (size_t i = 0; i < COUNT; i++)
        memcpy(left + parts[i].offset, pack + parts[i].offset, parts[i].len);
    cr_assert_eq(shard_put(s, NAME, pack, SIZE), 0);
}

static void down(void)
{
    shard_close(s);
    shard_mem_destroy(mem);
}

TestSuite(thin, .init = up, .fini = down);

static void thin(void)
{
    uint64_t size;

    cr_assert_eq(shard_thin_put(s, NAME, pack, SIZE, parts, COUNT, &size), 0);
    cr_assert_lt(size, 70000u);
    cr_assert_eq(shard_delete(s, NAME), 0);
}

static void reads(size_t len, uint64_t off)
{
    const size_t there = off >= SIZE ? 0 : len < SIZE - off ? len : (size_t)(SIZE - off);
    uint8_t *buf = malloc(len + 1);
    void *data;

    cr_assert_eq(shard_range(s, NAME, buf, len, off), (ssize_t)there);
    cr_assert_arr_eq(buf, left + (off < SIZE ? off : 0), there);
    cr_assert_eq(shard_range_alloc(s, NAME, len, off, &data), (ssize_t)there);
    cr_assert_arr_eq(data, left + (off < SIZE ? off : 0), there);
    free(data);
    free(buf);
}

Test(thin, each_range_has_the_parts_and_zeros)
{
    const uint64_t offs[] = {0,     1,      31,     32,     999,    1000,   1001,  69999,
                             70000, 100000, 135535, 135536, 299999, 300000, 400000};
    uint64_t size;

    thin();
    for (size_t i = 0; i < sizeof offs / sizeof *offs; i++)
        for (size_t len = 0; len < 400000; len = 3 * len + 1)
            reads(len, offs[i]);
    cr_assert_eq(shard_stat(s, NAME, &size), 0);
    cr_assert_eq(size, SIZE);
}

Test(thin, while_the_pack_is_there_it_is_read)
{
    uint8_t byte;

    cr_assert_eq(shard_thin_put(s, NAME, pack, SIZE, parts, COUNT, NULL), 0);
    cr_assert_eq(shard_range(s, NAME, &byte, 1, 50), 1);
    cr_assert_eq(byte, pack[50]);
}

Test(thin, a_pack_that_is_gone_is_gone)
{
    uint8_t byte;
    uint64_t size;
    void *data;

    cr_assert_eq(shard_delete(s, NAME), 0);
    cr_assert_eq(shard_range(s, NAME, &byte, 1, 0), -ENOENT);
    cr_assert_eq(shard_range_alloc(s, NAME, 1, 0, &data), -ENOENT);
    cr_assert_eq(shard_stat(s, NAME, &size), -ENOENT);
    cr_assert_eq(shard_range(s, "other/1", &byte, 1, 0), -ENOENT);
}

Test(thin, another_one_that_is_there_is_not_taken_for_it)
{
    const struct thin_part other[] = {{0, 33}};

    cr_assert_eq(shard_thin_put(s, NAME, pack, SIZE, parts, COUNT, NULL), 0);
    cr_assert_eq(shard_thin_put(s, NAME, pack, SIZE, parts, COUNT, NULL), 0, "the very same");
    cr_assert_eq(shard_thin_put(s, NAME, pack, SIZE, other, 1, NULL), -EEXIST);
    cr_assert_eq(shard_mem_flip(mem, LEFT, 1000, 1), 0);
    cr_assert_eq(shard_thin_put(s, NAME, pack, SIZE, parts, COUNT, NULL), -EEXIST);
}

Test(thin, what_are_no_parts_is_refused)
{
    const struct thin_part bad[][2] = {
        {{0, 0}, {1, 1}}, {{5, 10}, {14, 1}}, {{0, 1}, {SIZE - 1, 2}}, {{10, 1}, {9, 1}}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(shard_thin_put(s, NAME, pack, SIZE, bad[i], 2, NULL), -EINVAL, "%zu", i);
    cr_assert_eq(shard_thin_put(s, NAME, pack, SIZE, parts, 0, NULL), -EINVAL);
    cr_assert_eq(shard_thin_put(s, "other/1", pack, SIZE, parts, COUNT, NULL), -EINVAL);
}

Test(thin, which_parts_are_left_can_be_asked)
{
    struct thin_part *left_parts;
    struct thin_head h;

    cr_assert_eq(shard_thin_head(s, NAME, &h, &left_parts), -ENOENT);
    thin();
    cr_assert_eq(shard_thin_head(s, NAME, &h, &left_parts), 0);
    cr_assert_eq(h.bytes, 32 + 1 + 65536 + 1000);
    cr_assert(thin_head_has(&h, 0, 32) && thin_head_has(&h, 1000, 1));
    cr_assert(thin_head_has(&h, 100000, 100) && thin_head_has(&h, 299000, 1000));
    cr_assert(!thin_head_has(&h, 0, 33) && !thin_head_has(&h, 999, 1));
    cr_assert(!thin_head_has(&h, 1000, 2) && !thin_head_has(&h, 299999, 2));
    free(left_parts);
}

/* The head and the places have a checksum; the bytes are those of records, which have their own. */
Test(thin, a_damaged_head_is_never_read_as_data)
{
    uint8_t byte;

    thin();
    for (uint64_t at = 0; at < 24 + COUNT * 8 + 16; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            ssize_t n;

            cr_assert_eq(shard_mem_flip(mem, LEFT, at, bit), 0);
            n = shard_range(s, NAME, &byte, 1, 0);
            cr_assert(n == -EUCLEAN || n == -EPROTO, "%zd at %llu", n, (unsigned long long)at);
            cr_assert_eq(shard_mem_flip(mem, LEFT, at, bit), 0);
        }
}
