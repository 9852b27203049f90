// SPDX-License-Identifier: Apache-2.0
/* Claims of cache.h, over a shard that is an array: it counts what it is asked for. */
#include "cache.h"
#include "clock_manual.h"
#include "disk_mem.h"
#include "report.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define BLOCKS 12
#define SIZE (BLOCKS * CACHE_BLOCK + 1000) /* bytes of a file; its last block is short */
#define LAST (BLOCKS * (uint64_t)CACHE_BLOCK)
#define READERS 8

/* What stands for a file on a shard. */
struct far {
    uint8_t *bytes;
    _Atomic unsigned ranges, stats;
    _Atomic size_t asked; /* bytes of the last range */
    int error;    /* of each answer; 0: none */
    pthread_barrier_t *held; /* a range first waits here, twice; NULL: it does not */
};

static struct clock_manual now;
static struct fault fault;
static struct disk *disk;
static struct cache *cache;
static struct shard_near near;
static struct far far;
static uint64_t spoiled; /* the byte of the cache's file that reads wrong; UINT64_MAX: none */
static int unwritten;    /* error of each write of the cache; 0: none */

ssize_t __real_disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off);
ssize_t __wrap_disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off);
ssize_t __wrap_disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off)
{
    ssize_t n = __real_disk_pread(f, buf, len, off);

    if (spoiled >= off && spoiled < off + len)
        ((uint8_t *)buf)[spoiled - off] ^= 1;
    return n;
}

int __real_disk_pwrite(struct disk_file *f, const void *buf, size_t len, uint64_t off);
int __wrap_disk_pwrite(struct disk_file *f, const void *buf, size_t len, uint64_t off);
int __wrap_disk_pwrite(struct disk_file *f, const void *buf, size_t len, uint64_t off)
{
    return unwritten ? unwritten : __real_disk_pwrite(f, buf, len, off);
}

static ssize_t far_range(void *ctx, void *buf, size_t len, uint64_t off)
{
    struct far *f = ctx;
    size_t n = off >= SIZE ? 0 : SIZE - off < len ? (size_t)(SIZE - off) : len;

    atomic_fetch_add(&f->ranges, 1);
    if (f->held) {
        pthread_barrier_wait(f->held);
        pthread_barrier_wait(f->held);
    }
    f->asked = len;
    if (f->error)
        return f->error;
    memcpy(buf, f->bytes + off, n);
    return (ssize_t)n;
}

static int far_stat(void *ctx, uint64_t *ret_size)
{
    struct far *f = ctx;

    atomic_fetch_add(&f->stats, 1);
    *ret_size = SIZE;
    return f->error;
}

static const struct shard_fetch from = {far_range, far_stat, &far};

static void make(uint64_t limit, uint64_t capacity)
{
    cr_assert_eq(disk_mem_create(&fault, capacity, &disk), 0);
    cr_assert_eq(
        cache_open(&(struct cache_config){.disk = disk, .clock = &now.base, .limit = limit},
                   &cache),
        0);
    near = cache_near(cache);
}

static void setup(void)
{
    uint64_t seed = 7;

    clock_manual_init(&now, 1000 * NSEC_PER_SEC);
    report_reset();
    far.bytes = malloc(SIZE);
    cr_assert_not_null(far.bytes);
    for (size_t i = 0; i < SIZE; i++)
        far.bytes[i] = (uint8_t)fault_random(&seed);
    spoiled = UINT64_MAX;
}

static void teardown(void)
{
    cache_close(cache);
    disk_close(disk);
    free(far.bytes);
}

TestSuite(cache, .init = setup, .fini = teardown);

static struct cache_file *open_named(const char *name)
{
    struct cache_file *f = NULL;

    cr_assert_eq(near.ops->open(&near, name, &from, UINT64_MAX, &f), 0);
    return f;
}

static struct cache_file *open_file(void)
{
    return open_named("packs/1");
}

static void close_file(struct cache_file *f)
{
    near.ops->close(cache, f);
}

/* Reads, compares, and returns how many requests that took. */
static unsigned reading(struct cache_file *f, size_t len, uint64_t off)
{
    unsigned before = atomic_load(&far.ranges);
    uint8_t *buf = malloc(len);
    size_t want = off >= SIZE ? 0 : SIZE - off < len ? (size_t)(SIZE - off) : len;
    ssize_t n = near.ops->read(cache, f, &from, buf, len, off);

    cr_assert_eq(n, (ssize_t)want, "%zd", n);
    cr_assert(want == 0 || memcmp(buf, far.bytes + off, want) == 0);
    free(buf);
    return atomic_load(&far.ranges) - before;
}

static unsigned reading_block(struct cache_file *f, uint64_t index)
{
    return reading(f, 10, index * CACHE_BLOCK + 5);
}

static struct cache_stats stats(void)
{
    struct cache_stats s;

    cache_get_stats(cache, &s);
    return s;
}

static uint64_t on_disk(void)
{
    uint64_t bytes, names;

    disk_mem_usage(disk, &bytes, &names);
    cr_assert_eq(names, 0, "the file of the cache has a name");
    return bytes;
}

/* ---- what is asked ---- */

Test(cache, a_second_read_asks_nothing)
{
    make(64 << 20, 0);
    struct cache_file *f = open_file();

    cr_assert_eq(reading(f, 4096, 100), 1);
    cr_assert_eq(reading(f, 4096, 100), 0);
    cr_assert_eq(reading(f, 4096, CACHE_BLOCK - 4096), 0, "the whole block is kept");
    cr_assert_eq(stats().hits, 2);
    cr_assert_eq(stats().misses, 1);
    close_file(f);
}

Test(cache, a_file_of_which_blocks_are_kept_is_opened_without_a_request)
{
    make(64 << 20, 0);
    struct cache_file *f = open_file();

    cr_assert_eq(reading_block(f, 0), 1);
    close_file(f);
    far.error = -EHOSTUNREACH;
    f = open_file();
    cr_assert_eq(atomic_load(&far.stats), 1);
    cr_assert_eq(near.ops->size(f), SIZE);
    cr_assert_eq(reading_block(f, 0), 0, "what is kept can be read while the shard is away");
    close_file(f);
}

Test(cache, the_error_of_a_shard_is_the_error_of_the_read_and_of_the_open)
{
    uint8_t byte;

    make(64 << 20, 0);
    struct cache_file *f = open_file(), *other;

    far.error = -EHOSTUNREACH;
    cr_assert_eq(near.ops->read(cache, f, &from, &byte, 1, 0), -EHOSTUNREACH);
    cr_assert_eq(near.ops->open(&near, "packs/2", &from, UINT64_MAX, &other), -EHOSTUNREACH);
    far.error = 0;
    cr_assert_eq(reading_block(f, 0), 1);
    close_file(f);
}

Test(cache, blocks_that_are_missing_side_by_side_are_one_request)
{
    make(64 << 20, 0);
    struct cache_file *f = open_file();

    cr_assert_eq(reading(f, CACHE_RUN * CACHE_BLOCK, 0), 1);
    cr_assert_eq(far.asked, CACHE_RUN * CACHE_BLOCK);
    cr_assert_eq(reading_block(f, 6), 1);
    cr_assert_eq(reading(f, 4 * CACHE_BLOCK, 4 * CACHE_BLOCK), 1, "4 and 5: 7 came with 6");
    cr_assert_eq(far.asked, 2 * CACHE_BLOCK);
    close_file(f);
}

Test(cache, the_end_of_a_file_is_kept_and_nothing_is_read_behind_it)
{
    make(64 << 20, 0);
    struct cache_file *f = open_file();

    cr_assert_eq(reading(f, 5000, SIZE - 500), 1);
    cr_assert_eq(far.asked, SIZE - LAST);
    cr_assert_eq(reading(f, 5000, LAST + 1), 0);
    cr_assert_eq(reading(f, 10, SIZE), 0);
    cr_assert_eq(reading(f, 10, UINT64_MAX - 10), 0);
    close_file(f);
}

Test(cache, equal_names_of_two_shards_are_two_files)
{
    struct shard_near second;

    make(64 << 20, 0);
    struct cache_file *f = open_file(), *g;

    cr_assert_eq(reading_block(f, 0), 1);
    second = cache_near(cache);
    cr_assert_eq(second.ops->open(&second, "packs/1", &from, SIZE, &g), 0);
    cr_assert_eq(far.stats, 1, "the size of the second one was known");
    cr_assert_eq(reading_block(g, 0), 1);
    close_file(f);
    close_file(g);
}

/* ---- bounds ---- */

Test(cache, no_more_is_kept_than_the_limit)
{
    make(3 * CACHE_BLOCK, 0);
    struct cache_file *f = open_file();

    for (unsigned round = 0; round < 3; round++)
        for (uint64_t i = 0; i <= BLOCKS; i++) {
            reading_block(f, i);
            cr_assert_leq(stats().bytes, 3 * CACHE_BLOCK);
            cr_assert_leq(on_disk(), 3 * CACHE_BLOCK);
        }
    cr_assert_gt(stats().bytes, 2 * CACHE_BLOCK);
    close_file(f);
}

Test(cache, small_files_count_for_the_memory_that_they_take)
{
    char name[32];

    make(1 << 20, 0);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "objects/%u", i);
        struct cache_file *f = open_named(name);
        cr_assert_eq(reading(f, 10, LAST), 1); /* a block of 1000 bytes */
        close_file(f);
        cr_assert_leq(stats().bytes, 1 << 20);
    }
    cr_assert_leq(on_disk(), 16 * 4096, "64 KiB are counted for each");
    cr_assert_gt(stats().bytes, 0);
}

Test(cache, a_pack_that_is_read_in_any_order_takes_few_requests)
{
    make(64 * CACHE_BLOCK, 0);
    struct cache_file *f = open_file();
    static const uint64_t order[] = {11, 1, 0, 3, 2, 10, 8, 9, 7, 4};
    static const int requests[] = {1, 1, 0, 1, 0, 1, 0, 0, 1, 0};

    for (size_t i = 0; i < 10; i++)
        cr_assert_eq(reading_block(f, order[i]), requests[i], "block %u", (unsigned)order[i]);
    close_file(f);
}

Test(cache, what_was_used_lately_stays)
{
    make(4 * CACHE_BLOCK, 0);
    struct cache_file *f = open_file();

    for (uint64_t i = 0; i < 5; i++) /* 4 takes the place of 0, and the hand has passed all */
        cr_assert_eq(reading_block(f, i), 1);
    cr_assert_eq(reading_block(f, 2), 0);
    cr_assert_eq(reading_block(f, 5), 1); /* takes the place of 1 */
    cr_assert_eq(reading_block(f, 6), 1); /* 2 was used since: takes the place of 3 */
    cr_assert_eq(reading_block(f, 2), 0);
    cr_assert_eq(reading_block(f, 3), 1);
    close_file(f);
}

Test(cache, a_lower_limit_holds_at_once_and_none_keeps_nothing)
{
    make(8 * CACHE_BLOCK, 0);
    struct cache_file *f = open_file();

    cr_assert_eq(reading(f, 8 * CACHE_BLOCK, 0), 2);
    cache_set_limit(cache, 2 * CACHE_BLOCK);
    cr_assert_eq(stats().bytes, 2 * CACHE_BLOCK);
    cr_assert_eq(on_disk(), 2 * CACHE_BLOCK);
    cache_set_limit(cache, 0);
    cr_assert_eq(stats().bytes, 0);
    cr_assert_eq(on_disk(), 0);
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert_eq(far.asked, 10, "where nothing is kept no more is asked for than is wanted");
    cr_assert_eq(reading_block(f, 0), 1);
    cache_set_limit(cache, 2 * CACHE_BLOCK);
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert_eq(reading_block(f, 0), 0);
    close_file(f);
}

Test(cache, what_is_forgotten_is_asked_for_again)
{
    make(64 << 20, 0);
    struct cache_file *f = open_file();

    cr_assert_not(cache_forget(&near, "packs/1"));
    cr_assert_eq(reading(f, CACHE_BLOCK + 1, 0), 1);
    cr_assert(cache_forget(&near, "packs/1"));
    cr_assert_eq(stats().bytes, 0);
    cr_assert_not(cache_forget(&near, "packs/1"));
    cr_assert_not(cache_forget(&near, "packs/2"));
    cr_assert_eq(reading_block(f, 1), 1);
    close_file(f);
}

/* ---- a disk that is damaged, fails, or is full ---- */

Test(cache, a_damaged_block_is_asked_for_again_and_counted)
{
    make(64 << 20, 0);
    struct cache_file *f = open_file();

    cr_assert_eq(reading_block(f, 0), 1);
    spoiled = 7;
    cr_assert_eq(reading(f, 10, CACHE_PIECE), 0, "a piece that is not damaged can be read");
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert_eq(stats().damaged, 1);
    spoiled = UINT64_MAX;
    cr_assert_eq(reading_block(f, 0), 0, "it is kept again");
    cr_assert_eq(stats().damaged, 1);
    close_file(f);
}

Test(cache, a_disk_that_cannot_be_written_is_no_error_of_a_read_and_is_tried_again)
{
    make(64 << 20, 0);
    struct cache_file *f = open_file();

    unwritten = -EIO;
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert_eq(stats().failed, 1);
    cr_assert_eq(stats().bytes, 0);
    unwritten = 0;
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert_eq(far.asked, 10, "meanwhile just what is wanted is asked for");
    cr_assert_eq(report_count(REPORT_NOTE), 1);
    clock_manual_advance(&now, CACHE_PAUSE);
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert_eq(reading_block(f, 0), 0);
    close_file(f);
}

Test(cache, a_directory_that_cannot_be_made_is_no_error_of_a_read)
{
    make(64 << 20, 0);
    struct cache_file *f = open_file();

    fault = (struct fault){.fail_at = 1, .error = EROFS};
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert(fault_fired(&fault));
    cr_assert_eq(stats().failed, 1);
    fault_reset(&fault);
    clock_manual_advance(&now, CACHE_PAUSE);
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert_eq(reading_block(f, 0), 0);
    close_file(f);
}

Test(cache, a_disk_whose_room_is_short_gets_back_what_was_kept)
{
    make(64 << 20, 64 * CACHE_BLOCK);
    struct cache_file *f = open_file();
    struct disk_file *other;

    cr_assert_eq(reading(f, 4 * CACHE_BLOCK, 0), 1);
    cr_assert_eq(disk_open(disk, "other", DISK_WRITE | DISK_CREATE, &other), 0);
    cr_assert_eq(disk_allocate(other, 59 * CACHE_BLOCK), 0); /* one block is left: a 64th */
    clock_manual_advance(&now, NSEC_PER_SEC);
    cr_assert_eq(reading_block(f, 8), 1);
    cr_assert_eq(stats().bytes, 0);
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert_eq(stats().bytes, 0);
    disk_file_close(other);
    cr_assert_eq(disk_unlink(disk, "other"), 0);
    clock_manual_advance(&now, CACHE_PAUSE);
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert_eq(reading_block(f, 0), 0);
    close_file(f);
}

Test(cache, what_is_let_go_gives_the_room_back_for_a_while)
{
    make(64 << 20, 0);
    struct cache_file *f = open_file();

    cr_assert_not(cache_let_go(cache));
    clock_manual_advance(&now, CACHE_PAUSE);
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert(cache_let_go(cache));
    cr_assert_eq(on_disk(), 0);
    cr_assert_eq(reading_block(f, 0), 1);
    cr_assert_eq(on_disk(), 0);
    close_file(f);
}

Test(cache, what_a_crash_left_under_its_name_is_removed)
{
    struct disk_file *left;

    make(64 << 20, 0);
    cr_assert_eq(disk_mkdir(disk, "cache"), 0);
    cr_assert_eq(disk_open(disk, "cache/blocks", DISK_WRITE | DISK_CREATE, &left), 0);
    cr_assert_eq(disk_allocate(left, 1 << 20), 0);
    disk_file_close(left);
    struct cache_file *f = open_file();

    cr_assert_eq(reading_block(f, BLOCKS), 1);
    cr_assert_eq(reading_block(f, BLOCKS), 0);
    cr_assert_leq(on_disk(), 4096);
    close_file(f);
}

/* ---- threads ---- */

static void *read_once(void *arg)
{
    uint8_t buf[100];
    ssize_t n = near.ops->read(cache, arg, &from, buf, sizeof buf, 50);

    return n == (ssize_t)sizeof buf && memcmp(buf, far.bytes + 50, sizeof buf) == 0 ? arg : NULL;
}

/* Starts readers of one block, the first of which is on its way to the shard before the others
 * begin. Returns how many got the bytes. */
static unsigned readers_at_once(struct cache_file *f)
{
    pthread_t thread[READERS];
    pthread_barrier_t held;
    unsigned good = 0;
    void *result;

    pthread_barrier_init(&held, NULL, 2);
    far.held = &held;
    cr_assert_eq(pthread_create(&thread[0], NULL, read_once, f), 0);
    pthread_barrier_wait(&held); /* the first one asks */
    for (unsigned i = 1; i < READERS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, read_once, f), 0);
    pthread_barrier_wait(&held); /* and gets its answer */
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(thread[i], &result);
        good += result == f;
    }
    pthread_barrier_destroy(&held);
    return good;
}

Test(cache, readers_of_one_missing_block_make_one_request)
{
    make(64 << 20, 0);
    struct cache_file *f = open_file();

    cr_assert_eq(readers_at_once(f), READERS);
    cr_assert_eq(atomic_load(&far.ranges), 1);
    close_file(f);
}

#define ROUNDS 400

static void *read_many(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    struct cache_file *f = open_file();
    uint8_t *buf = malloc(3 * CACHE_BLOCK);
    bool good = true;

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t off = fault_random(&seed) % SIZE;
        size_t len = (size_t)(fault_random(&seed) % (i % 8 ? 5000 : 3 * CACHE_BLOCK)) + 1;
        ssize_t n = near.ops->read(cache, f, &from, buf, len, off);
        size_t want = SIZE - off < len ? (size_t)(SIZE - off) : len;

        good = good && n == (ssize_t)want && memcmp(buf, far.bytes + off, want) == 0;
        if (i % 64 == 0)
            (void)cache_forget(&near, "packs/1");
        if (i % 50 == 0)
            cache_set_limit(cache, (1 + i % 3) * 3 * CACHE_BLOCK);
    }
    free(buf);
    close_file(f);
    return good ? arg : NULL;
}

Test(cache, readers_get_the_right_bytes_while_blocks_come_and_go)
{
    pthread_t thread[READERS];
    void *result;

    make(6 * CACHE_BLOCK, 0);
    for (uintptr_t i = 0; i < READERS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, read_many, (void *)(i + 1)), 0);
    for (uintptr_t i = 0; i < READERS; i++) {
        pthread_join(thread[i], &result);
        cr_assert_eq(result, (void *)(i + 1));
    }
    cr_assert_leq(stats().bytes, 9 * CACHE_BLOCK);
    cr_assert_gt(stats().hits, 0);
    cr_assert_gt(stats().misses, 0);
}
