// SPDX-License-Identifier: Apache-2.0
/* Claims of shards.h and objects.h on the cache of a shard that is far: who reads through it, and
 * who does not. */
#include "shard_mem.h"
#include "warehouse.h"

#include "cache.h"
#include "objects_batch.h"

#include <stdio.h>
#include <stdlib.h>

#define LARGE (700 * 1024 + 13)
#define SMALL 500

static struct warehouse w;
static struct disk *disk; /* of the cache */
static struct shard_mem *far;

static void setup(void)
{
    char why[SHARD_WHY] = "";

    shard_mem_register();
    shard_mem_set_far(true);
    cr_assert_eq(disk_mem_create(NULL, 0, &disk), 0);
    warehouse_create(&w);
    cr_assert_eq(shard_mem_create("far", NULL, &far), 0);
    cr_assert_eq(
        cache_open(&(struct cache_config){disk, &w.clock.base, UINT64_C(64) << 20}, &w.cache), 0);
    warehouse_close(&w);
    warehouse_open(&w);
    cr_assert_eq(shards_add(w.shards, 1, "mem:far", why), 0, "%s", why);
}

static void teardown(void)
{
    warehouse_destroy(&w);
    cache_close(w.cache);
    disk_close(disk);
    shard_mem_destroy(far);
}

TestSuite(near, .init = setup, .fini = teardown);

static uint8_t *bytes_of(size_t len)
{
    uint8_t *bytes = malloc(len);

    cr_assert_not_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * i / 7 + len);
    return bytes;
}

/* Moves a sealed object in a pack or a file to the shard, as move.c does it. */
static struct entry move_there(uint64_t number)
{
    struct entry from = entry_of(&w, number), to;
    struct objects_batch *b;

    if (from.kind == ENTRY_PACK) {
        cr_assert_eq(objects_batch_begin(w.objects, &b), 0);
        cr_assert_eq(objects_batch_add(b, number, &from), 0);
        cr_assert_eq(objects_batch_load(b, NULL), 0);
        cr_assert_eq(objects_batch_put(b, 1), 0);
        to = objects_batch_get(b, 0)->to;
        objects_batch_end(b);
    } else {
        cr_assert_eq(objects_copy_file(w.objects, 1, 0, &from, NULL, &to), 0);
    }
    cr_assert_eq(refs_relocate(w.refs, number, &from, &to), 0);
    return entry_of(&w, number);
}

static struct entry small_there(void)
{
    uint64_t number;
    uint8_t *bytes = bytes_of(SMALL);
    struct objects_seen seen;

    objects_look_buffer(w.objects, bytes, SMALL, &seen);
    cr_assert_eq(
        objects_seal_buffer(w.objects, numbered(&w), bytes, SMALL, COMPRESS_NOT, &seen, &number),
        0);
    cr_assert_eq(objects_sync(w.objects), 0);
    free(bytes);
    return move_there(number);
}

static struct entry large_there(void)
{
    uint64_t slot = numbered(&w), number;
    uint8_t *bytes = bytes_of(LARGE);
    struct objects_seen seen;
    struct blob *b;
    struct id id;

    cr_assert_eq(blob_create_slot(w.disk, slot, &b), 0);
    cr_assert_eq(blob_write(b, bytes, LARGE, 0), 0);
    cr_assert_eq(objects_hash_blob(w.objects, b, &id), 0);
    objects_look_blob(w.objects, b, &id, &seen);
    cr_assert_eq(objects_seal_blob(w.objects, slot, b, &id, &seen, &number), 0);
    blob_unref(b);
    cr_assert_eq(blob_unlink_slot(w.disk, slot), 0);
    cr_assert_eq(objects_sync(w.objects), 0);
    free(bytes);
    return move_there(number);
}

static uint64_t requests(void)
{
    uint64_t n = 0;

    for (int i = 0; i < SHARD_MEM_CALLS; i++)
        n += shard_mem_calls(far, (enum shard_mem_call)i);
    return n;
}

/* Reads all and compares. Returns the number of requests, or -errno. */
static int reading(const struct entry *e)
{
    uint64_t before = requests();
    uint8_t *want = bytes_of(e->size), *buf = calloc(1, e->size);
    ssize_t n = objects_read(w.objects, e, buf, e->size, 0);

    cr_assert(n < 0 || ((uint64_t)n == e->size && memcmp(buf, want, e->size) == 0));
    free(want);
    free(buf);
    return n < 0 ? (int)n : (int)(requests() - before);
}

static void name_of(const struct entry *e, char out[DISK_NAME_MAX + 1])
{
    if (e->kind == ENTRY_PACK)
        pack_name(e->where, out);
    else
        objects_file_name(e, 0, out);
}

static struct cache_stats stats(void)
{
    struct cache_stats s;

    cache_get_stats(w.cache, &s);
    return s;
}

Test(near, a_second_read_asks_the_shard_nothing)
{
    struct entry small = small_there(), large = large_there();

    cr_assert_gt(reading(&small), 0);
    cr_assert_eq(reading(&small), 0);
    cr_assert_gt(reading(&large), 0);
    cr_assert_eq(reading(&large), 0);
}

Test(near, a_copy_that_is_made_and_compared_leaves_nothing_in_the_cache)
{
    (void)small_there();
    (void)large_there();
    cr_assert_eq(stats().bytes, 0);
    cr_assert_eq(stats().misses, 0);
}

Test(near, what_is_kept_can_be_read_while_the_shard_is_away)
{
    struct entry small = small_there(), large = large_there();

    cr_assert_gt(reading(&small), 0);
    shard_mem_set(far, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(reading(&large), -EHOSTUNREACH);
    cr_assert_eq(reading(&small), 0, "also when the shard is known to be away");
}

Test(near, verifying_asks_the_shard_though_the_bytes_are_kept)
{
    const struct entry there[] = {small_there(), large_there()};

    for (unsigned i = 0; i < 2; i++) {
        char name[DISK_NAME_MAX + 1];

        cr_assert_gt(reading(&there[i]), 0);
        cr_assert_eq(objects_verify(w.objects, &there[i]), 0);
        name_of(&there[i], name);
        cr_assert_eq(shard_mem_flip(far, name, i ? 7 : there[i].offset + 60, 3), 0);
        cr_assert_eq(objects_verify(w.objects, &there[i]), -EUCLEAN);
        cr_assert_eq(reading(&there[i]), 0);
    }
}

Test(near, a_content_is_not_taken_for_one_that_only_the_cache_has_still)
{
    struct entry small = small_there();
    uint8_t *bytes = bytes_of(SMALL);
    char name[DISK_NAME_MAX + 1];

    cr_assert_gt(reading(&small), 0);
    cr_assert_eq(objects_are_at(w.objects, &small, bytes, SMALL), 1);
    name_of(&small, name);
    cr_assert_eq(shard_mem_lose(far, name), 0);
    cr_assert_eq(objects_are_at(w.objects, &small, bytes, SMALL), -EUCLEAN);
    free(bytes);
}

Test(near, bytes_that_came_damaged_are_asked_for_again)
{
    const struct entry there[] = {small_there(), large_there()};

    for (unsigned i = 0; i < 2; i++) {
        char name[DISK_NAME_MAX + 1];
        uint64_t at = i ? 7 : there[i].offset + 60;

        name_of(&there[i], name);
        cr_assert_eq(shard_mem_flip(far, name, at, 3), 0);
        cr_assert_eq(reading(&there[i]), -EUCLEAN);
        cr_assert_eq(shard_mem_flip(far, name, at, 3), 0);
        cr_assert_gt(reading(&there[i]), 0, "the damaged bytes are not believed a second time");
        cr_assert_eq(reading(&there[i]), 0);
    }
}

Test(near, a_shard_that_is_not_far_has_no_cache)
{
    struct entry small;

    shard_mem_set_far(false);
    warehouse_close(&w);
    warehouse_open(&w);
    small = small_there();
    cr_assert_gt(reading(&small), 0);
    cr_assert_gt(reading(&small), 0);
    cr_assert_eq(stats().misses, 0);
}

Test(near, a_shard_that_was_removed_lends_nothing)
{
    struct entry small = small_there();
    char why[SHARD_WHY];

    cr_assert_gt(reading(&small), 0);
    cr_assert_eq(shards_remove(w.shards, 1, why), 0, "%s", why);
    cr_assert_eq(reading(&small), -EHOSTUNREACH);
    cr_assert_not(shards_forget(w.shards, 1, "packs/1"));
}
