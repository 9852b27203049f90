// SPDX-License-Identifier: Apache-2.0
/* What packs.h promises, of a disk and a table in memory that lose their power together. */
#include "append_plain.h"
#include "bytes.h"
#include "compress.h"
#include "compressed.h"
#include "disk_mem.h"
#include "fault.h"
#include "kv_mem.h"
#include "packs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RECORD 1000 /* bytes of payload of the usual record */

/* ---- helpers: the world of a test ---- */

static const struct kv_table tables[] = {{.name = "packs"}, {.name = "shard_packs"}};
static struct fault fault;
static struct disk *disk;
static struct kv_mem *mem;
static struct kv *kv;
static struct packs *packs;

static void open_packs(void)
{
    cr_assert_eq(kv_open_mem(mem, tables, 2, KV_CREATE, &kv), 0);
    cr_assert_eq(packs_open(disk, kv, 0, 1, 1, NULL, NULL, &packs), 0);
}

static void close_packs(void)
{
    packs_close(packs);
    kv_close(kv);
}

static void setup(void)
{
    fault = (struct fault){.loss = FAULT_LOSE_ALL, .seed = 1};
    cr_assert_eq(disk_mem_create(&fault, 0, &disk), 0);
    cr_assert_eq(kv_mem_create(&fault, &mem), 0);
    open_packs();
}

static void teardown(void)
{
    close_packs();
    kv_mem_destroy(mem);
    disk_close(disk);
}

TestSuite(packs, .init = setup, .fini = teardown);

static void reopen(void)
{
    close_packs();
    open_packs();
}

static void power_cycle(void)
{
    close_packs();
    disk_mem_power_cycle(disk);
    fault_reset(&fault);
    open_packs();
}

static void commit(void)
{
    struct kv_txn *t;

    cr_assert_eq(packs_sync(packs), 0);
    cr_assert_eq(packs_freeze(packs), 0);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    cr_assert_eq(packs_write(packs, 1, t), 0);
    cr_assert_eq(kv_commit(t), 0);
    packs_retire(packs, 1);
}

/* ---- helpers: records, each filled by its seed ---- */

static struct id id_for(uint64_t seed)
{
    struct id id = {{0}};

    memcpy(id.b, &seed, sizeof seed);
    return id;
}

static uint8_t *payload(uint32_t len, uint64_t seed)
{
    uint8_t *p = malloc(len + 1);

    for (uint32_t i = 0; i < len; i++)
        p[i] = (uint8_t)(fault_random(&seed) >> 40);
    return p;
}

static int try_append(uint32_t len, uint64_t seed, struct pack_place *ret)
{
    struct id id = id_for(seed);
    uint8_t *data = payload(len, seed);
    int r = append_plain(packs, &id, data, len, ret);

    free(data);
    return r;
}

static struct pack_place append(uint32_t len, uint64_t seed)
{
    struct pack_place place = {0};

    cr_assert_eq(try_append(len, seed, &place), 0);
    return place;
}

/* What packs_read says; 0 only with the right bytes. */
static int try_read(struct pack_place place, uint32_t len, uint64_t seed)
{
    struct id id = id_for(seed);
    uint8_t *want = payload(len, seed), *got = malloc(len + 1);
    int r = packs_read(packs, &place, &id, got, len);

    if (r == 0)
        cr_assert_arr_eq(got, want, len);
    free(want);
    free(got);
    return r;
}

static void check(struct pack_place place, uint32_t len, uint64_t seed)
{
    cr_assert_eq(try_read(place, len, seed), 0, "record %lu", (unsigned long)seed);
}

static void release(struct pack_place place, uint32_t len)
{
    cr_assert_eq(packs_release(packs, &place, len), 0);
}

static uint64_t files(void)
{
    uint64_t bytes, count;

    disk_mem_usage(disk, &bytes, &count);
    return count;
}

static uint64_t held(void)
{
    uint64_t bytes, count;

    disk_mem_usage(disk, &bytes, &count);
    return bytes;
}

static struct packs_stats stats(void)
{
    struct packs_stats s;

    packs_get_stats(packs, &s);
    return s;
}

/* ---- records ---- */

Test(packs, a_record_is_readable_at_once_at_a_place_that_is_aligned)
{
    struct pack_place at[60];

    for (uint32_t i = 0; i < 60; i++) {
        at[i] = append(i * 7, i + 1);
        cr_assert_eq(at[i].offset % 8, 0);
    }
    for (uint32_t i = 0; i < 60; i++)
        check(at[i], i * 7, i + 1);
}

Test(packs, a_record_may_be_empty_or_as_large_as_the_limit_but_not_larger)
{
    struct pack_place place = {0};

    check(append(0, 1), 0, 1);
    check(append(PACK_RECORD_MAX, 2), PACK_RECORD_MAX, 2);
    cr_assert_eq(try_append(PACK_RECORD_MAX + 1, 3, &place), -EINVAL);
    cr_assert_eq(place.pack, 0);
}

Test(packs, another_id_length_or_place_is_damage)
{
    struct pack_place a = append(RECORD, 1), b = append(RECORD, 2);

    cr_assert_eq(try_read(a, RECORD, 2), -EUCLEAN);
    cr_assert_eq(try_read(a, RECORD - 1, 1), -EUCLEAN);
    cr_assert_eq(try_read(b, RECORD, 1), -EUCLEAN);
    a.offset += 8;
    cr_assert_eq(try_read(a, RECORD, 1), -EUCLEAN);
    a.offset += 1;
    cr_assert_eq(try_read(a, RECORD, 1), -EUCLEAN);
    a.offset = 0;
    cr_assert_eq(try_read(a, RECORD, 1), -EUCLEAN);
    a.offset = 1 << 30;
    cr_assert_eq(try_read(a, RECORD, 1), -EUCLEAN);
    a.pack = 99;
    cr_assert_eq(try_read(a, RECORD, 1), -ENOENT);
}

Test(packs, a_flip_of_any_bit_of_a_record_is_damage)
{
    struct pack_place at = append(50, 1);

    for (uint64_t i = 0; i < 40 + 50; i++) {
        cr_assert_eq(disk_mem_flip(disk, "packs/0000000000000001", at.offset + i, i % 8), 0);
        cr_assert_eq(try_read(at, 50, 1), -EUCLEAN, "byte %lu", (unsigned long)i);
        cr_assert_eq(disk_mem_flip(disk, "packs/0000000000000001", at.offset + i, i % 8), 0);
    }
    check(at, 50, 1);
}

static int copy_bytes(uint64_t from, uint64_t to)
{
    struct disk_file *f;
    uint8_t buf[40 + 50];

    cr_assert_eq(disk_open(disk, "packs/0000000000000001", DISK_WRITE, &f), 0);
    cr_assert_eq(disk_pread(f, buf, sizeof buf, from), sizeof buf);
    cr_assert_eq(disk_pwrite(f, buf, sizeof buf, to), 0);
    disk_file_close(f);
    return 0;
}

Test(packs, a_record_in_the_wrong_place_is_damage)
{
    struct pack_place a = append(50, 1), b = append(50, 2);

    copy_bytes(a.offset, b.offset);
    cr_assert_eq(try_read(b, 50, 1), -EUCLEAN);
    check(a, 50, 1);
}

/* ---- compressed records ---- */

static struct pack_place append_compressed(uint32_t len, uint64_t seed)
{
    struct pack_place at = append(len, seed);
    struct id id = id_for(seed);

    compress_record(disk, &at, &id, len);
    return at;
}

Test(packs, a_head_of_a_record_comes_back_and_has_one_form)
{
    uint8_t payload[100] = {1}, head[PACK_RECORD_HEAD], again[PACK_RECORD_HEAD];
    struct pack_place at = {.pack = 7, .offset = 4096};

    for (unsigned method = 0; method < 256; method++) {
        struct pack_record in = {id_for(method), 100, method ? 101 + method : 100, (uint8_t)method},
                           out;
        pack_record_encode(&in, payload, &at, head);
        cr_assert_eq(pack_record_decode(head, &out), 0);
        cr_assert(id_equal(&in.id, &out.id));
        cr_assert_eq(in.stored, out.stored);
        cr_assert_eq(in.size, out.size);
        cr_assert_eq(in.method, out.method);
        pack_record_encode(&out, payload, &at, again);
        cr_assert_arr_eq(head, again, sizeof head);
    }
}

Test(packs, a_head_that_contradicts_itself_is_damage)
{
    struct pack_record in = {id_for(1), 100, 200, 1}, out = {.size = 4711};
    static const struct {
        size_t at;
        uint32_t value;
    } bad[] = {{0, 1},   {33, 1},         {34, 1}, {36, 0}, {36, 100}, {36, PACK_RECORD_MAX + 1},
               {4, 200}, {4, UINT32_MAX}, {32, 0}};
    uint8_t payload[100] = {1}, head[PACK_RECORD_HEAD];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pack_record_encode(&in, payload, &(struct pack_place){.pack = 1, .offset = 32}, head);
        if (bad[i].at >= 32 && bad[i].at < 36)
            head[bad[i].at] = (uint8_t)bad[i].value;
        else
            put_le32(head + bad[i].at, bad[i].value);
        cr_assert_eq(pack_record_decode(head, &out), -EUCLEAN, "%zu", i);
    }
    memset(head + 4, 0, sizeof head - 4); /* PACK_PLAIN */
    put_le32(head + 4, PACK_RECORD_MAX);
    cr_assert_eq(pack_record_decode(head, &out), 0);
    put_le32(head + 4, PACK_RECORD_MAX + 1);
    cr_assert_eq(pack_record_decode(head, &out), -EUCLEAN);
    cr_assert_eq(out.size, PACK_RECORD_MAX);
}

Test(packs, a_compressed_record_is_of_a_newer_version_and_a_flip_of_any_bit_is_damage)
{
    struct pack_place at = append_compressed(51, 1);

    cr_assert_eq(try_read(at, 51, 1), -EPROTO);
    cr_assert_eq(try_read(at, 50, 1), -EUCLEAN);
    cr_assert_eq(try_read(at, 51, 2), -EUCLEAN);
    for (uint64_t bit = 0; bit < 8 * (PACK_RECORD_HEAD + 50); bit++) {
        cr_assert_eq(disk_mem_flip(disk, "packs/0000000000000001", at.offset + bit / 8, bit % 8),
                     0);
        cr_assert_eq(try_read(at, 51, 1), -EUCLEAN, "bit %lu", (unsigned long)bit);
        cr_assert_eq(disk_mem_flip(disk, "packs/0000000000000001", at.offset + bit / 8, bit % 8),
                     0);
    }
}

static int add_offset(const struct id *id, const struct pack_place *place, const void *data,
                      uint32_t len, void *ctx)
{
    (void)id;
    (void)data;
    (void)len;
    *(uint64_t *)ctx += place->offset;
    return 0;
}

Test(packs, a_scan_visits_what_is_beside_a_compressed_record)
{
    struct pack_place a = append(RECORD, 1), b;
    static uint8_t buf[PACK_RECORD_MAX];
    uint64_t offsets = 0;
    struct disk_file *f;

    append_compressed(RECORD, 2);
    b = append(RECORD, 3);
    cr_assert_eq(disk_open(disk, "packs/0000000000000001", DISK_READ, &f), 0);
    cr_assert_eq(packs_scan(f, 1, buf, add_offset, &offsets), 0);
    disk_file_close(f);
    cr_assert_eq(offsets, a.offset + b.offset);
}

/* ---- zstd ---- */

/* Text of `len` bytes as a compressed record. */
static struct pack_place append_zstd(uint32_t len, uint64_t seed, uint8_t *text)
{
    struct pack_record r = {.id = id_for(seed), .size = len, .method = PACK_ZSTD};
    struct pack_place at = {0};
    const void *frame;

    for (uint32_t i = 0; i < len; i++)
        text[i] = (uint8_t)('a' + fault_random(&seed) % 16);
    cr_assert_eq(compress_bytes(text, len, COMPRESS_WRITE, &frame, &r.stored), 0);
    cr_assert_gt(r.stored, 0);
    cr_assert_eq(packs_append(packs, &r, frame, &at), 0);
    cr_assert_eq(at.stored, r.stored);
    return at;
}

static int read_zstd(struct pack_place at, uint32_t len, uint64_t seed, const uint8_t *text)
{
    struct id id = id_for(seed);
    uint8_t got[2 * RECORD] = {0};
    int err = packs_read(packs, &at, &id, got, len);

    if (err == 0)
        cr_assert_arr_eq(got, text, len);
    return err;
}

Test(packs, a_compressed_record_comes_back_and_a_flip_of_any_bit_is_damage)
{
    uint8_t text[RECORD];
    struct pack_place at = append_zstd(RECORD, 1, text);

    cr_assert_eq(read_zstd(at, RECORD, 1, text), 0);
    for (uint64_t bit = 0; bit < 8 * (PACK_RECORD_HEAD + at.stored); bit++) {
        cr_assert_eq(disk_mem_flip(disk, "packs/0000000000000001", at.offset + bit / 8, bit % 8),
                     0);
        cr_assert_eq(read_zstd(at, RECORD, 1, text), -EUCLEAN, "bit %lu", (unsigned long)bit);
        cr_assert_eq(disk_mem_flip(disk, "packs/0000000000000001", at.offset + bit / 8, bit % 8),
                     0);
    }
}

Test(packs, a_compressed_record_is_read_only_as_the_place_says)
{
    uint8_t text[RECORD];
    struct pack_place at = append_zstd(RECORD, 1, text), wrong = at, plain = append(RECORD, 2);

    cr_assert_eq(read_zstd(at, RECORD + 1, 1, text), -EUCLEAN);
    cr_assert_eq(read_zstd(at, RECORD, 2, text), -EUCLEAN);
    wrong.stored--;
    cr_assert_eq(read_zstd(wrong, RECORD, 1, text), -EUCLEAN);
    wrong.stored += 2;
    cr_assert_eq(read_zstd(wrong, RECORD, 1, text), -EUCLEAN);
    wrong.stored = 0;
    cr_assert_eq(read_zstd(wrong, RECORD, 1, text), -EUCLEAN, "it is not plain");
    plain.stored = 900;
    cr_assert_eq(try_read(plain, RECORD, 2), -EUCLEAN, "it is not compressed");
}

Test(packs, a_sound_record_of_a_wrong_length_of_content_is_damage)
{
    uint8_t text[2 * RECORD], got[2 * RECORD];
    struct pack_record r = {.id = id_for(1), .method = PACK_ZSTD};
    struct pack_place at = {0};
    const void *frame;

    memset(text, 'x', sizeof text);
    for (int more = -1; more <= 1; more++) {
        cr_assert_eq(compress_bytes(text, RECORD, COMPRESS_WRITE, &frame, &r.stored), 0);
        r.size = (uint32_t)(RECORD + more);
        cr_assert_eq(packs_append(packs, &r, frame, &at), 0);
        cr_assert_eq(packs_read(packs, &at, &r.id, got, r.size), more ? -EUCLEAN : 0, "%d", more);
    }
}

Test(packs, a_compressed_record_counts_as_what_it_takes)
{
    uint8_t text[RECORD];
    struct pack_place at = append_zstd(RECORD, 1, text), next = append(RECORD, 2);
    struct packs_stats before, after;

    packs_get_stats(packs, &before);
    cr_assert_eq(before.live_bytes, RECORD + at.stored);
    cr_assert_eq(next.offset, at.offset + pack_record_size(at.stored));
    cr_assert_eq(packs_release(packs, &at, RECORD), 0);
    packs_get_stats(packs, &after);
    cr_assert_eq(after.live_bytes, RECORD);
    cr_assert(packs_is_dead(packs, &at));
    cr_assert(!packs_is_dead(packs, &next));
    check(next, RECORD, 2);
}

static int is_text(const struct id *id, const struct pack_place *place, const void *data,
                   uint32_t len, void *ctx)
{
    (void)id;
    cr_assert_eq(len, RECORD);
    cr_assert_arr_eq(data, (const uint8_t *)ctx, len);
    cr_assert_gt(place->stored, 0);
    return -ECANCELED;
}

Test(packs, a_scan_gives_the_content_of_a_compressed_record)
{
    static uint8_t text[RECORD], buf[PACK_RECORD_MAX];
    struct disk_file *f;

    append_zstd(RECORD, 1, text);
    cr_assert_eq(disk_open(disk, "packs/0000000000000001", DISK_READ, &f), 0);
    cr_assert_eq(packs_scan(f, 1, buf, is_text, text), -ECANCELED);
    disk_file_close(f);
}

/* A read of any of these bytes fails. */
static uint64_t unread_from, unread_end;

ssize_t __real_disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off);
ssize_t __wrap_disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off);
ssize_t __wrap_disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off)
{
    return off < unread_end && off + len > unread_from ? -EIO : __real_disk_pread(f, buf, len, off);
}

Test(packs, what_cannot_be_read_hides_nothing_behind_it_from_a_scan)
{
    struct pack_place at[12];
    static uint8_t buf[PACK_RECORD_MAX];
    uint64_t offsets = 0, want = 0;
    struct disk_file *f;

    for (uint64_t i = 0; i < 12; i++)
        at[i] = append(RECORD, i + 1);
    unread_from = 4096;
    unread_end = 8192;
    for (unsigned i = 0; i < 12; i++)
        if (at[i].offset + RECORD + PACK_RECORD_HEAD <= unread_from || at[i].offset >= unread_end)
            want += at[i].offset;
    cr_assert_eq(disk_open(disk, "packs/0000000000000001", DISK_READ, &f), 0);
    cr_assert_eq(packs_scan(f, 1, buf, add_offset, &offsets), -EIO, "the caller is told of it");
    disk_file_close(f);
    cr_assert_eq(offsets, want);
    cr_assert_gt(want, at[11].offset);
}

Test(packs, a_full_pack_is_followed_by_the_next_number)
{
    packs_set_size(packs, 4000);
    for (uint64_t i = 0; i < 12; i++)
        cr_assert_eq(append(RECORD, i + 1).pack, i / 4 + 1);
    cr_assert_eq(packs_next(packs), 4);
    cr_assert_eq(stats().packs, 3);
}

Test(packs, hundreds_of_packs_are_synced_at_once_and_read_with_few_handles)
{
    struct pack_place at[200];

    packs_set_size(packs, 1);
    for (uint64_t i = 0; i < 200; i++)
        at[i] = append(10, i + 1);
    commit();
    power_cycle();
    for (uint64_t i = 0; i < 400; i++)
        check(at[i * 77 % 200], 10, i * 77 % 200 + 1);
}

/* ---- durability ---- */

Test(packs, a_synced_and_committed_record_survives)
{
    struct pack_place a = append(RECORD, 1), b = append(RECORD, 2);

    commit();
    power_cycle();
    check(a, RECORD, 1);
    check(b, RECORD, 2);
    cr_assert_eq(stats().live_records, 2);
    cr_assert_eq(stats().live_bytes, 2 * RECORD);
}

Test(packs, a_pack_of_an_earlier_run_is_never_appended_to)
{
    struct pack_place a = append(RECORD, 1);

    commit();
    reopen();
    cr_assert_eq(append(RECORD, 2).pack, a.pack + 1);
    check(a, RECORD, 1);
}

Test(packs, a_file_that_was_never_committed_is_removed_and_its_number_passed_over)
{
    append(RECORD, 1);
    cr_assert_eq(packs_sync(packs), 0);
    cr_assert_eq(files(), 1);
    reopen();
    cr_assert_eq(files(), 0);
    cr_assert_eq(packs_next(packs), 2);
}

Test(packs, the_number_given_at_open_is_respected)
{
    packs_close(packs);
    cr_assert_eq(packs_open(disk, kv, 0, 1, 77, NULL, NULL, &packs), 0);
    cr_assert_eq(append(RECORD, 1).pack, 77);
}

Test(packs, other_files_in_the_directory_are_left_alone)
{
    struct disk_file *f;

    cr_assert_eq(disk_open(disk, "packs/README", DISK_CREATE, &f), 0);
    disk_file_close(f);
    reopen();
    cr_assert_eq(files(), 1);
}

Test(packs, what_was_appended_after_the_freeze_is_in_the_next_commit)
{
    struct kv_txn *t;
    struct pack_place a = append(RECORD, 1), b;

    cr_assert_eq(packs_sync(packs), 0);
    cr_assert_eq(packs_freeze(packs), 0);
    b = append(RECORD, 2);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    cr_assert_eq(packs_write(packs, 1, t), 0);
    cr_assert_eq(kv_commit(t), 0);
    packs_retire(packs, 1);
    power_cycle();
    check(a, RECORD, 1);
    cr_assert_eq(try_read(b, RECORD, 2), -EUCLEAN, "it was not synced");
    cr_assert_eq(stats().live_records, 1);
}

/* ---- failures ---- */

Test(packs, a_failed_append_leaves_the_pack_usable)
{
    struct pack_place a = append(RECORD, 1), b, none = {0};

    fault.error = ENOSPC;
    fault.fail_at = fault.writes + 1;
    cr_assert_eq(try_append(RECORD, 2, &none), -ENOSPC);
    b = append(RECORD, 3);
    cr_assert_eq(b.pack, a.pack);
    cr_assert_eq(stats().live_records, 2);
    check(a, RECORD, 1);
    check(b, RECORD, 3);
    commit();
}

Test(packs, a_pack_that_cannot_be_made_is_an_error_and_the_next_append_makes_another)
{
    struct pack_place place = {0};

    for (uint64_t at = 1; at <= 2; at++) { /* create, head */
        fault.fail_at = fault.writes + at;
        cr_assert_eq(try_append(RECORD, 1, &place), -EIO);
        cr_assert_eq(files(), 0);
    }
    check(append(RECORD, 2), RECORD, 2);
}

Test(packs, after_a_failed_sync_the_pack_is_closed_and_sync_fails_until_its_records_are_released)
{
    struct pack_place a = append(RECORD, 1), b;

    fault.fail_at = fault.writes + 2; /* the directory comes first */
    cr_assert_eq(packs_sync(packs), -EIO);
    b = append(RECORD, 2);
    cr_assert_neq(b.pack, a.pack);
    cr_assert_eq(packs_sync(packs), -EIO);
    release(a, RECORD);
    cr_assert_eq(packs_sync(packs), 0);
    check(b, RECORD, 2);
}

Test(packs, a_failed_sync_of_the_directory_condemns_new_files_only)
{
    struct pack_place a = append(RECORD, 1), b;

    cr_assert_eq(packs_sync(packs), 0);
    append(RECORD, 2);
    cr_assert_eq(packs_retire_current(packs), 0);
    b = append(RECORD, 3);
    fault.fail_at = fault.writes + 1;
    cr_assert_eq(packs_sync(packs), -EIO);
    cr_assert_eq(packs_sync(packs), -EIO);
    release(b, RECORD);
    commit();
    power_cycle();
    check(a, RECORD, 1);
    cr_assert_eq(stats().live_records, 2);
}

Test(packs, records_synced_before_a_failed_sync_stay_good)
{
    struct pack_place a = append(RECORD, 1), b;

    cr_assert_eq(packs_sync(packs), 0);
    b = append(RECORD, 2);
    fault.fail_at = fault.writes + 1;
    cr_assert_eq(packs_sync(packs), -EIO);
    release(b, RECORD);
    commit();
    power_cycle();
    check(a, RECORD, 1);
}

Test(packs, a_commit_cut_anywhere_names_only_durable_records)
{
    bool cut = true;
    uint64_t at = 0;

    while (cut) { /* until a commit has fewer writes */
        struct pack_place place[3];
        struct kv_txn *t;
        uint64_t before = stats().live_records, first = ++at * 10;

        fault.loss = FAULT_LOSE_SOME;
        fault.seed = at;
        fault.fail_at = fault.writes + at;
        fault.cut = true;
        bool done = true;

        for (uint64_t i = 0; done && i < 3; i++)
            done = try_append(RECORD, first + i, &place[i]) == 0;
        done =
            done && packs_sync(packs) == 0 && packs_freeze(packs) == 0 && kv_txn_begin(kv, &t) == 0;
        if (done)
            done = packs_write(packs, 1, t) == 0 && kv_commit(t) == 0;
        cut = fault_fired(&fault);
        power_cycle();
        cr_assert_neq(done, cut, "write %d", (int)at);
        cr_assert_eq(stats().live_records, before + (done ? 3 : 0));
        for (uint64_t i = 0; done && i < 3; i++)
            check(place[i], RECORD, first + i);
    }
    cr_assert_gt(at, 6);
    cr_assert_gt(stats().live_records, 0);
}

/* ---- the dead ---- */

Test(packs, the_open_pack_stays_when_its_last_record_dies_and_goes_when_retired)
{
    release(append(RECORD, 1), RECORD);
    cr_assert_eq(files(), 1);
    cr_assert_eq(packs_retire_current(packs), 0);
    cr_assert_eq(files(), 0);
    cr_assert_eq(stats().packs, 0);
    cr_assert_eq(packs_retire_current(packs), 0);
}

Test(packs, a_closed_pack_goes_with_its_last_record)
{
    struct pack_place a = append(RECORD, 1), b = append(RECORD, 2);

    commit();
    reopen();
    release(a, RECORD);
    check(b, RECORD, 2);
    cr_assert_eq(stats().live_records, 1);
    release(b, RECORD);
    cr_assert_eq(files(), 0);
    cr_assert_eq(held(), 0);
    commit();
    reopen();
    cr_assert_eq(stats().packs, 0);
}

Test(packs, a_release_is_counted_out_again_after_a_crash_though_the_file_is_gone)
{
    struct pack_place a = append(RECORD, 1);

    commit();
    reopen();
    release(a, RECORD);
    cr_assert_eq(disk_sync_dir(disk, "packs"), 0);
    power_cycle();
    cr_assert_eq(stats().live_records, 1);
    release(a, RECORD);
    cr_assert_eq(stats().packs, 0);
    commit();
    reopen();
    cr_assert_eq(stats().packs, 0);
}

Test(packs, an_entry_without_live_records_is_cleared_at_open)
{
    release(append(RECORD, 1), RECORD);
    commit();
    cr_assert_eq(files(), 1);
    reopen();
    cr_assert_eq(files(), 0);
    cr_assert_eq(stats().packs, 0);
    cr_assert_eq(packs_next(packs), 2);
}

Test(packs, a_release_too_many_is_refused)
{
    struct pack_place a = append(RECORD, 1);

    release(a, RECORD);
    cr_assert_eq(packs_release(packs, &a, RECORD), -EUCLEAN);
    a.pack = 99;
    cr_assert_eq(packs_release(packs, &a, RECORD), -ENOENT);
}

Test(packs, dead_neighbours_of_64_kib_are_punched_and_the_living_stay)
{
    struct pack_place at[100];

    for (uint64_t i = 0; i < 100; i++)
        at[i] = append(4056, i + 1); /* 4096 with its head */
    uint64_t before = held();

    for (uint64_t i = 0; i < 100; i += 2) /* no two neighbours */
        release(at[i], 4056);
    cr_assert_eq(held(), before);
    for (uint64_t i = 21; i < 60; i += 2) {
        release(at[i], 4056);
        check(at[i + 2], 4056, i + 3);
    }
    cr_assert_leq(held(), before - 32 * 4096);
    for (uint64_t i = 1; i < 100; i += 2)
        if (i < 21 || i >= 60)
            check(at[i], 4056, i + 1);
}

Test(packs, a_punched_pack_gives_all_of_its_space_back_in_the_end)
{
    struct pack_place at[64];

    for (uint64_t i = 0; i < 64; i++)
        at[i] = append(50000, i + 1);
    for (uint64_t i = 0; i < 63; i++)
        release(at[i * 5 % 64], 50000);
    check(at[63 * 5 % 64], 50000, 63 * 5 % 64 + 1);
    cr_assert_leq(held(), 50000 + 4 * 65536);
}

/* What the disk keeps and nobody needs: no more, also after a restart. */
static void garbage_is_what_is_held(void)
{
    uint64_t used = stats().live_bytes + 32 + 40 * stats().live_records;
    uint64_t garbage = held() - used;

    cr_assert_geq(stats().dead_bytes + 8192, garbage, "%llu of %llu",
                  (unsigned long long)stats().dead_bytes, (unsigned long long)garbage);
    cr_assert_leq(stats().dead_bytes, garbage + 8192, "%llu of %llu",
                  (unsigned long long)stats().dead_bytes, (unsigned long long)garbage);
}

Test(packs, holes_are_no_garbage)
{
    struct pack_place at[64];
    struct pack_info k;

    for (uint64_t i = 0; i < 64; i++)
        at[i] = append(50000, i + 1);
    for (uint64_t i = 0; i < 63; i++) {
        release(at[i * 5 % 64], 50000);
        garbage_is_what_is_held();
    }
    cr_assert_leq(stats().dead_bytes, 4 * 65536);
    commit();
    reopen();
    garbage_is_what_is_held();
    cr_assert_eq(packs_next_closed(packs, 0, 0, &k), 0);
    cr_assert_leq(k.dead, 4 * 65536);
    cr_assert_leq(k.bytes, 50000 + 4 * 65536);
}

Test(packs, stats_count_the_living_and_the_dead)
{
    struct pack_place a = append(RECORD, 1);

    append(RECORD, 2);
    cr_assert_eq(stats().dead_bytes, 0);
    release(a, RECORD);
    cr_assert_eq(stats().live_bytes, RECORD);
    cr_assert_eq(stats().dead_bytes, RECORD + 40);
    cr_assert_eq(stats().file_bytes, 32 + 2 * (RECORD + 40));
}

/* ---- the format ---- */

Test(packs, an_entry_comes_back_and_a_bad_one_is_refused)
{
    struct pack_entry in = {3, 4000, 5000}, out;
    uint8_t bytes[PACK_ENTRY_LEN + 1] = {0};

    pack_entry_encode(&in, bytes);
    cr_assert_eq(pack_entry_decode(bytes, PACK_ENTRY_LEN, &out), 0);
    cr_assert(out.live_records == 3 && out.live_bytes == 4000 && out.file_bytes == 5000);
    cr_assert_eq(pack_entry_decode(bytes, PACK_ENTRY_LEN - 1, &out), -EUCLEAN);
    cr_assert_eq(pack_entry_decode(bytes, PACK_ENTRY_LEN + 1, &out), -EUCLEAN);
    in.live_bytes = 5001;
    pack_entry_encode(&in, bytes);
    cr_assert_eq(pack_entry_decode(bytes, PACK_ENTRY_LEN, &out), -EUCLEAN);
}

/* ---- threads ---- */

#define THREADS 4
#define EACH 200

static struct pack_place shared[THREADS][EACH];

static void *append_many(void *arg)
{
    uint64_t me = (uint64_t)(uintptr_t)arg;

    for (uint64_t i = 0; i < EACH; i++) {
        shared[me][i] = append(100 + (uint32_t)i, me * EACH + i + 1);
        if (i % 50 == 49)
            cr_assert_eq(packs_sync(packs), 0);
        check(shared[me][i / 2], 100 + (uint32_t)i / 2, me * EACH + i / 2 + 1);
        if (i % 3 == 2)
            release(shared[me][i], 100 + (uint32_t)i);
    }
    return NULL;
}

Test(packs, threads_append_sync_read_and_release_side_by_side)
{
    pthread_t t[THREADS];

    packs_set_size(packs, 20000);
    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, append_many, (void *)i), 0);
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(t[i], NULL), 0);
    commit();
    power_cycle();
    for (uint64_t me = 0; me < THREADS; me++)
        for (uint64_t i = 0; i < EACH; i++)
            if (i % 3 != 2)
                check(shared[me][i], 100 + (uint32_t)i, me * EACH + i + 1);
    cr_assert_eq(stats().live_records, THREADS * (EACH - EACH / 3));
}
