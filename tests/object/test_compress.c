// SPDX-License-Identifier: Apache-2.0
/* Claims of compress.h. */
#include "compress.h"
#include "disk_mem.h"
#include "fault.h"
#include "packs_impl.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

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

Test(compress, more_than_one_frame_of_zstd_itself_is_damage)
{
    static const uint8_t skipped[] = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
    uint8_t two[4 * 5000];
    uint32_t n, m;

    fill_text(2);
    uint8_t *frame = frame_of(5000, COMPRESS_WRITE, &n);
    memcpy(two, frame, n);
    memcpy(two + n, skipped, sizeof skipped);
    cr_assert_eq(compress_expand(two, n, got, 5000), 0);
    cr_assert_eq(compress_expand(two, n + (uint32_t)sizeof skipped, got, 5000), -EUCLEAN);
    memcpy(two, skipped, sizeof skipped);
    memcpy(two + sizeof skipped, frame, n);
    cr_assert_eq(compress_expand(two, n + (uint32_t)sizeof skipped, got, 5000), -EUCLEAN);
    memcpy(two, frame, n);
    free(frame);
    frame = frame_of(3000, COMPRESS_WRITE, &m);
    memcpy(two + n, frame, m);
    cr_assert_eq(compress_expand(two, n + m, got, 8000), -EUCLEAN);
    free(frame);
}

static bool fails;

/* Stands in front of that of the library. */
size_t ZSTD_compressCCtx(ZSTD_CCtx *c, void *out, size_t room, const void *data, size_t len,
                         int level)
{
    if (fails)
        return (size_t)-ZSTD_error_memory_allocation;
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
    return ZSTD_compress2(c, out, room, data, len);
}

Test(compress, that_there_is_no_memory_says_nothing_of_the_bytes)
{
    const void *bytes;
    uint32_t n;

    fill_text(4);
    fails = true;
    cr_assert_eq(compress_bytes(plain, 5000, COMPRESS_REST, &bytes, &n), -ENOMEM);
    cr_assert_eq(compress_bytes(plain, LEN, COMPRESS_REST, &bytes, &n), -ENOMEM);
    fails = false;
    cr_assert_eq(compress_bytes(plain, LEN, COMPRESS_REST, &bytes, &n), 0);
    cr_assert_gt(n, 0);
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

/* ---- a record on a shard ---- */

static size_t asked;
ssize_t __real_disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off);
ssize_t __wrap_disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off);
ssize_t __wrap_disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off)
{
    asked += len;
    return __real_disk_pread(f, buf, len, off);
}

Test(compress, no_more_of_a_record_is_asked_for_than_it_takes)
{
    struct pack_place at = {.pack = 1, .offset = 32};
    struct pack_record r = {.id = {{1}}, .size = 5000, .method = PACK_ZSTD};
    uint8_t bytes[8000] = {0};
    char name[DISK_NAME_MAX + 1];
    struct fault fault = {.seed = 1};
    struct disk_file *file;
    struct disk *disk;

    fill_text(5);
    uint8_t *frame = frame_of(r.size, COMPRESS_REST, &r.stored);
    at.stored = r.stored;
    pack_record_encode(&r, frame, &at, bytes + at.offset);
    memcpy(bytes + at.offset + PACK_RECORD_HEAD, frame, r.stored);
    free(frame);
    pack_name(1, name);
    cr_assert_eq(disk_mem_create(&fault, 0, &disk), 0);
    cr_assert_eq(disk_mkdir(disk, "packs"), 0);
    cr_assert_eq(disk_open(disk, name, DISK_WRITE | DISK_CREATE, &file), 0);
    cr_assert_eq(disk_pwrite(file, bytes, sizeof bytes, 0), 0);
    disk_file_close(file);
    asked = 0;
    cr_assert_eq(packs_read_from(disk, &at, &r.id, got, r.size), 0);
    cr_assert_arr_eq(got, plain, r.size);
    cr_assert_eq(asked, PACK_RECORD_HEAD + r.stored);
    at.stored = r.size + 1;
    cr_assert_eq(packs_read_from(disk, &at, &r.id, got, r.size), -EUCLEAN, "no such place");
    disk_close(disk);
}
