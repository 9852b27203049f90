// SPDX-License-Identifier: Apache-2.0
/* Claims of compress.h. */
#include "compress.h"
#include "fault.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LEN 100000

static uint8_t plain[LEN], got[LEN + 1];

/* Bytes that become about half as long. */
static void fill_text(uint64_t seed)
{
    for (size_t i = 0; i < LEN; i++)
        plain[i] = (uint8_t)('a' + fault_random(&seed) % 16);
}

static void fill_noise(uint8_t *at, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(fault_random(&seed) >> 40);
}

/* A frame of `len` bytes of `plain`, which the caller frees. */
static uint8_t *frame_of(uint32_t len, enum compress_how how, uint32_t *ret_len)
{
    const void *bytes;

    cr_assert_eq(compress_bytes(plain, len, how, &bytes, ret_len), 0);
    cr_assert_gt(*ret_len, 0);
    uint8_t *copy = malloc(*ret_len);
    memcpy(copy, bytes, *ret_len);
    return copy;
}

Test(compress, what_is_compressed_comes_back)
{
    for (uint32_t len = 256; len <= LEN; len = len * 3 + 1)
        for (int how = COMPRESS_WRITE; how <= COMPRESS_REST; how++) {
            uint32_t n;

            fill_text(len);
            uint8_t *frame = frame_of(len, (enum compress_how)how, &n);
            cr_assert_leq(n, len - len / 8);
            got[len] = 0xee;
            cr_assert_eq(compress_expand(frame, n, got, len), 0);
            cr_assert_arr_eq(got, plain, len);
            cr_assert_eq(got[len], 0xee);
            free(frame);
        }
}

Test(compress, what_does_not_become_shorter_by_an_eighth_stays_plain)
{
    const void *bytes;
    uint32_t n = 7;

    fill_noise(plain, LEN, 1);
    for (uint32_t len = 0; len <= LEN; len = len * 2 + 1) {
        cr_assert_eq(compress_bytes(plain, len, COMPRESS_REST, &bytes, &n), 0);
        cr_assert_eq(n, 0, "%u", len);
    }
    memset(plain, 'x', 1200); /* by a sixteenth it would */
    cr_assert_eq(compress_bytes(plain, 20000, COMPRESS_REST, &bytes, &n), 0);
    cr_assert_eq(n, 0);
    memset(plain, 'x', 2800); /* by more than an eighth */
    cr_assert_eq(compress_bytes(plain, 20000, COMPRESS_REST, &bytes, &n), 0);
    cr_assert_gt(n, 0);
}

Test(compress, a_frame_of_another_length_than_is_wanted_is_damage)
{
    uint32_t n;

    fill_text(1);
    uint8_t *frame = frame_of(5000, COMPRESS_WRITE, &n);
    cr_assert_eq(compress_expand(frame, n, got, 5001), -EUCLEAN);
    cr_assert_eq(compress_expand(frame, n, got, 4999), -EUCLEAN);
    cr_assert_eq(compress_expand(frame, n - 1, got, 5000), -EUCLEAN);
    cr_assert_eq(compress_expand(frame, 0, got, 5000), -EUCLEAN);
    cr_assert_eq(compress_expand(plain, 5000, got, 5000), -EUCLEAN);
    cr_assert_eq(compress_expand(frame, n, got, 5000), 0);
    free(frame);
}

static void *work(void *arg)
{
    uint8_t buf[4096], *bytes = arg;
    const void *frame;
    uint32_t n;

    for (int i = 0; i < 200; i++) {
        cr_assert_eq(compress_bytes(bytes, sizeof buf, COMPRESS_WRITE, &frame, &n), 0);
        uint8_t copy[4096];
        memcpy(copy, frame, n);
        cr_assert_eq(compress_expand(copy, n, buf, sizeof buf), 0);
        cr_assert_arr_eq(buf, bytes, sizeof buf);
    }
    return NULL;
}

Test(compress, threads_do_not_meet_in_their_contexts_and_free_them)
{
    pthread_t t[4];

    fill_text(3);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, work, plain + i * 5000), 0);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(t[i], NULL), 0);
}
