// SPDX-License-Identifier: Apache-2.0
/* Claims of objects.h on other shards: reading what is there, copies there and home, sealing beside
 * it. */
#include "archive.h"
#include "objects_batch.h"
#include "shard_mem.h"
#include "warehouse.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LARGE (700 * 1024 + 13)
#define SMALL 500

static struct warehouse w;
static struct shard_mem *cold, *warm;

static void add_shard(uint16_t number, const char *url)
{
    char why[SHARD_WHY] = "";
    int err = shards_add(w.shards, number, url, why);
    cr_assert_eq(err, 0, "%d %s", err, why);
}

static void setup(void)
{
    shard_mem_register();
    warehouse_create(&w);
    cr_assert_eq(shard_mem_create("cold", &w.fault, &cold), 0);
    cr_assert_eq(shard_mem_create("warm", NULL, &warm), 0);
    add_shard(1, "mem:cold");
    add_shard(2, "mem:warm");
}
static void teardown(void)
{
    warehouse_destroy(&w);
    shard_mem_destroy(cold);
    shard_mem_destroy(warm);
}

TestSuite(remote, .init = setup, .fini = teardown);

/* ---- objects ---- */

static int asks(const struct entry *e)
{
    uint64_t size;

    return objects_ask(w.objects, e, &size);
}

static char *fill(char seed, size_t len)
{
    char *bytes = malloc(len);
    cr_assert_not_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)((size_t)seed * 31 + i * i / 7);
    return bytes;
}

static int try_small(char seed, uint64_t *ret_number)
{
    char *bytes = fill(seed, SMALL);
    struct objects_seen seen;
    int err;

    objects_look_buffer(w.objects, bytes, SMALL, &seen);
    err =
        objects_seal_buffer(w.objects, numbered(&w), bytes, SMALL, COMPRESS_NOT, &seen, ret_number);
    free(bytes);
    return err;
}

static uint64_t small(char seed)
{
    uint64_t is;
    cr_assert_eq(try_small(seed, &is), 0);
    cr_assert_eq(objects_sync(w.objects), 0);
    return is;
}

static uint64_t large(char seed)
{
    uint64_t n = numbered(&w), is;
    char *bytes = fill(seed, LARGE);
    struct objects_seen seen;
    struct blob *b;
    struct id id;

    cr_assert_eq(blob_create_slot(w.disk, n, &b), 0);
    cr_assert_eq(blob_write(b, bytes, LARGE, 0), 0);
    free(bytes);
    cr_assert_eq(objects_hash_blob(w.objects, b, &id), 0);
    objects_look_blob(w.objects, b, &id, &seen);
    cr_assert_eq(objects_seal_blob(w.objects, n, b, &id, &seen, &is), 0);
    blob_unref(b);
    cr_assert_eq(blob_unlink_slot(w.disk, n), 0);
    cr_assert_eq(objects_sync(w.objects), 0);
    return is;
}

static int reads_at(const struct entry *e, char seed, size_t len, size_t off)
{
    char *want = fill(seed, e->size), *got = malloc(len);
    ssize_t n = objects_read(w.objects, e, got, len, off);
    size_t least = len < e->size - off ? len : e->size - off;
    bool same = n == (ssize_t)least && memcmp(got, want + off, least) == 0;
    free(want);
    free(got);
    return n < 0 ? (int)n : same;
}

static int reads(uint64_t number, char seed)
{
    struct entry e = entry_of(&w, number);
    return reads_at(&e, seed, e.size, 0);
}

/* ---- moving, as move.c does it ---- */

static int name_copy(uint64_t number, const struct entry *from, const struct entry *to,
                     uint64_t file_bytes)
{
    int err = 0;
    if (to->shard && to->kind == ENTRY_PACK)
        err = packs_count_in(w.packs, to->shard, to->where, 1, entry_payload(to), file_bytes);
    if (err == 0)
        err = refs_relocate(w.refs, number, from, to);
    return err < 0 ? err : refs_reclaim_place(w.refs, from);
}

static int pack_out(uint64_t number, uint16_t shard)
{
    struct entry e = entry_of(&w, number);
    const struct objects_record *r;
    struct objects_batch *b;
    int err;

    cr_assert_eq(objects_batch_begin(w.objects, &b), 0);
    cr_assert_eq(objects_batch_add(b, number, &e), 0);
    cr_assert_eq(objects_batch_load(b, NULL), 0);
    r = objects_batch_get(b, 0);
    err = r->err;
    if (err == 0)
        err = objects_batch_put(b, shard);
    if (err == 0) {
        cr_assert(r->number == number && entry_same_place(&r->from, &e));
        err = name_copy(number, &r->from, &r->to, objects_batch_file_bytes(b));
    }
    objects_batch_end(b);
    return err;
}

static int file_out(uint64_t number, uint16_t shard)
{
    struct entry e = entry_of(&w, number), to;
    int err = objects_copy_file(w.objects, shard, 0, &e, NULL, &to);
    return err < 0 ? err : name_copy(number, &e, &to, 0);
}

static int home(uint64_t number)
{
    struct entry e = entry_of(&w, number), to;
    int err = warehouse_copy_home(&w, &e, &to);

    return err < 0 ? err : name_copy(number, &e, &to, 0);
}

/* Commit, and delete the dead: at home and on the shards. */
static void reclaim_dead(void)
{
    struct refs_dead d;

    warehouse_reclaim(&w);
    while (refs_next_dead_ghost(w.refs, 0, 0, &d) == 0) {
        struct pack_entry left = {0};
        if (d.entry.kind == ENTRY_PACK)
            cr_assert_eq(
                packs_count_out(w.packs, d.entry.shard, d.entry.where, 1, d.entry.size, &left), 0);
        if (left.live_records == 0)
            cr_assert_eq(objects_delete_remote(w.objects, &d.entry), 0);
        cr_assert_eq(refs_reclaimed(w.refs, &d, 1), 0);
    }
    warehouse_commit(&w);
}

static uint64_t small_ghost(char seed)
{
    uint64_t n = small(seed);
    warehouse_commit(&w);
    cr_assert_eq(pack_out(n, 1), 0);
    reclaim_dead();
    cr_assert_eq(entry_of(&w, n).shard, 1);
    return n;
}

static uint64_t large_ghost(char seed)
{
    uint64_t n = large(seed);
    warehouse_commit(&w);
    cr_assert_eq(file_out(n, 1), 0);
    reclaim_dead();
    cr_assert_eq(entry_of(&w, n).shard, 1);
    return n;
}

static void name_there(uint64_t number, char out[DISK_NAME_MAX + 1])
{
    struct entry e = entry_of(&w, number);
    if (e.kind == ENTRY_FILE)
        blob_object_name(&e.id, e.where, out);
    else
        pack_name(e.where, out);
}

static void flip(uint64_t number)
{
    char name[DISK_NAME_MAX + 1];
    name_there(number, name);
    cr_assert_eq(shard_mem_flip(cold, name, entry_of(&w, number).offset + 200, 1), 0);
}

static void lose(uint64_t number)
{
    char name[DISK_NAME_MAX + 1];
    name_there(number, name);
    cr_assert_eq(shard_mem_lose(cold, name), 0);
}

static void come_back(void)
{
    clock_manual_advance(&w.clock, 10 * NSEC_PER_SEC);
}

/* ---- reading ---- */

Test(remote, a_record_reads_whole_and_in_part_as_it_did_at_home)
{
    uint64_t n = small_ghost('a');
    struct entry e = entry_of(&w, n);
    cr_assert_eq(reads(n, 'a'), 1);
    cr_assert_eq(reads_at(&e, 'a', 100, 450), 1);
    cr_assert_eq(objects_verify(w.objects, &e), 0);
}

Test(remote, a_file_reads_whole_and_in_part_as_it_did_at_home)
{
    uint64_t n = large_ghost('a');
    struct entry e = entry_of(&w, n);
    cr_assert_eq(e.kind, ENTRY_FILE);
    for (unsigned i = 0; i < 2; i++) { /* again with the sums that were kept */
        cr_assert_eq(reads(n, 'a'), 1);
        cr_assert_eq(reads_at(&e, 'a', 1000, 128 * 1024 - 500), 1);
        cr_assert_eq(reads_at(&e, 'a', 4096, LARGE - 100), 1);
    }
    cr_assert_eq(objects_verify(w.objects, &e), 0);
}

Test(remote, nothing_of_a_ghost_is_left_at_home_and_of_one_at_home_nothing_there)
{
    uint64_t before = shard_mem_count(cold), n = large_ghost('a'), s = small_ghost('b');
    struct packs_stats stats;
    cr_assert_eq(shard_mem_count(cold), before + 3, "file, sums, pack");
    packs_get_stats(w.packs, &stats);
    cr_assert_eq(stats.live_records, 0);
    cr_assert_eq(home(n), 0);
    cr_assert_eq(home(s), 0);
    reclaim_dead();
    cr_assert_eq(shard_mem_count(cold), before);
    cr_assert(reads(n, 'a') == 1 && reads(s, 'b') == 1);
    packs_get_stats(w.packs, &stats);
    cr_assert_eq(stats.live_records, 1);
}

Test(remote, who_has_an_old_entry_reads_the_bytes_where_they_are_now)
{
    uint64_t n = large('a'), s = small('b');
    struct entry before[2], there[2];
    warehouse_commit(&w);
    before[0] = entry_of(&w, n);
    before[1] = entry_of(&w, s);
    cr_assert(file_out(n, 1) == 0 && pack_out(s, 1) == 0);
    reclaim_dead();
    cr_assert_eq(reads_at(&before[0], 'a', LARGE, 0), 1);
    cr_assert_eq(reads_at(&before[1], 'b', SMALL, 0), 1);
    there[0] = entry_of(&w, n);
    there[1] = entry_of(&w, s);
    cr_assert(home(n) == 0 && home(s) == 0);
    reclaim_dead();
    cr_assert_eq(reads_at(&there[0], 'a', LARGE, 0), 1);
    cr_assert_eq(reads_at(&there[1], 'b', SMALL, 0), 1);
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(reads_at(&there[0], 'a', LARGE, 0), 1);
    cr_assert_eq(objects_verify(w.objects, &there[1]), 0);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

Test(remote, a_file_of_the_same_number_on_another_shard_is_another_file)
{
    uint64_t a = large_ghost('a'), b = large('b');
    struct entry ea = entry_of(&w, a), eb;
    warehouse_commit(&w);
    cr_assert_eq(file_out(b, 2), 0);
    reclaim_dead();
    eb = entry_of(&w, b);
    cr_assert_eq(ea.where, eb.where, "the test's own claim");
    cr_assert(reads(a, 'a') == 1 && reads(b, 'b') == 1 && reads(a, 'a') == 1);
}

Test(remote, wrong_bytes_are_damage_with_an_alarm)
{
    uint64_t n[2] = {small_ghost('a'), large_ghost('b')};
    for (unsigned i = 0; i < 2; i++) {
        struct entry e = entry_of(&w, n[i]);
        flip(n[i]);
        cr_assert_eq(reads(n[i], (char)('a' + i)), -EUCLEAN);
        cr_assert_eq(report_count(REPORT_ALARM), i + 1);
        cr_assert_eq(objects_verify(w.objects, &e), -EUCLEAN);
        cr_assert_eq(asks(&e), 1, "as far as the size tells");
    }
}

Test(remote, what_the_right_shard_does_not_have_is_lost_with_an_alarm)
{
    uint64_t n[2] = {small_ghost('a'), large_ghost('b')};
    for (unsigned i = 0; i < 2; i++) {
        struct entry e = entry_of(&w, n[i]);
        cr_assert_eq(asks(&e), 1);
        lose(n[i]);
        cr_assert_eq(asks(&e), 0);
        cr_assert_eq(reads(n[i], (char)('a' + i)), -EUCLEAN);
        cr_assert_eq(report_count(REPORT_ALARM), i + 1);
    }
}

Test(remote, the_size_of_a_pack_says_which_records_are_there)
{
    uint64_t n[2] = {small_ghost('a'), large_ghost('b')}, size;
    struct entry e = entry_of(&w, n[0]), beyond = e;

    cr_assert_eq(objects_ask(w.objects, &e, &size), 1);
    cr_assert(objects_pack_has(size, &e) && !objects_pack_has(size - 1, &e));
    beyond.offset += 64;
    cr_assert_eq(objects_ask(w.objects, &beyond, &size), 0);
    cr_assert(objects_pack_has(size, &e) && !objects_pack_has(size, &beyond));
    lose(n[0]);
    cr_assert_eq(objects_ask(w.objects, &e, &size), 0);
    cr_assert_eq(size, 0);
    e = entry_of(&w, n[1]);
    lose(n[1]);
    cr_assert_eq(objects_ask(w.objects, &e, &size), 0);
    cr_assert_eq(size, 0, "it is no pack");
}

Test(remote, a_file_without_its_sums_is_asked_for_in_vain)
{
    uint64_t n = large_ghost('a');
    struct entry e = entry_of(&w, n);
    char name[DISK_NAME_MAX + 1], sums[DISK_NAME_MAX + 8];
    name_there(n, name);
    snprintf(sums, sizeof sums, "%s.sums", name);
    cr_assert_eq(shard_mem_lose(cold, sums), 0);
    cr_assert_eq(asks(&e), 0);
    cr_assert_eq(objects_verify(w.objects, &e), -EUCLEAN);
}

Test(remote, one_that_cannot_be_asked_is_no_damage_and_heals_by_itself)
{
    static const enum shard_mem_switch ways[] = {SHARD_MEM_UNREACHABLE, SHARD_MEM_DENIES};
    uint64_t n[2] = {small_ghost('a'), large_ghost('b')}, other = small('c');

    for (unsigned i = 0; i < 4; i++) {
        struct entry e = entry_of(&w, n[i / 2]);
        shard_mem_set(cold, ways[i % 2], true);
        cr_assert_eq(reads(n[i / 2], (char)('a' + i / 2)), -EHOSTUNREACH);
        cr_assert_eq(objects_verify(w.objects, &e), -EHOSTUNREACH);
        cr_assert_eq(asks(&e), -EHOSTUNREACH);
        cr_assert_eq(reads(other, 'c'), 1);
        shard_mem_set(cold, ways[i % 2], false);
        come_back();
        cr_assert_eq(reads(n[i / 2], (char)('a' + i / 2)), 1);
    }
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

Test(remote, another_medium_in_its_place_is_no_damage)
{
    uint64_t n = large_ghost('a');
    shard_mem_swap(cold, warm);
    cr_assert_eq(reads(n, 'a'), -EHOSTUNREACH);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
    shard_mem_swap(cold, warm);
    come_back();
    cr_assert_eq(reads(n, 'a'), 1);
}

Test(remote, other_bytes_where_another_shard_is_now_are_no_damage)
{
    uint64_t n = large_ghost('a');
    char text[256], why[SHARD_WHY];
    struct shard *s;
    ssize_t len;

    cr_assert_eq(shard_open("mem:cold", 0, &s, why), 0);
    len = shard_get(s, "tally-shard", text, sizeof text);
    cr_assert_gt(len, 0);
    cr_assert_eq(shard_put(s, "tally-shard", "another", 7), 0);
    flip(n);
    cr_assert_eq(reads(n, 'a'), -EHOSTUNREACH);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
    flip(n);
    cr_assert_eq(shard_put(s, "tally-shard", text, (size_t)len), 0);
    come_back();
    cr_assert_eq(reads(n, 'a'), 1);
    shard_close(s);
}

/* ---- copies there ---- */

Test(remote, many_records_go_in_one_pack_and_a_full_one_says_so)
{
    enum { N = 8 };
    struct objects_batch *b;
    const struct objects_record *r;
    struct entry e;
    uint64_t n[N], count = shard_mem_count(cold);
    uint8_t *bytes = malloc(PACK_RECORD_MAX);
    int err = 0;
    unsigned i;

    for (i = 0; i < N; i++) {
        memset(bytes, (int)('a' + i), PACK_RECORD_MAX);
        cr_assert_eq(objects_seal_buffer(w.objects, numbered(&w), bytes, PACK_RECORD_MAX,
                                         COMPRESS_NOT, NULL, &n[i]),
                     0);
    }
    warehouse_commit(&w);
    cr_assert_eq(objects_batch_begin(w.objects, &b), 0);
    for (i = 0; i < N && err == 0; i++) {
        e = entry_of(&w, n[i]);
        err = objects_batch_add(b, n[i], &e);
    }
    cr_assert(err == -EFBIG && i == N, "eight times 1 MiB and their heads are more than 8 MiB");
    cr_assert_eq(objects_batch_load(b, NULL), 0);
    cr_assert_eq(objects_batch_put(b, 1), 0);
    cr_assert_eq(shard_mem_count(cold), count + 1);
    for (i = 0; (r = objects_batch_get(b, i)); i++) {
        cr_assert(r->number == n[i] && r->to.shard == 1 && r->to.kind == ENTRY_PACK);
        cr_assert_eq(name_copy(r->number, &r->from, &r->to, objects_batch_file_bytes(b)), 0);
    }
    cr_assert_eq(i, N - 1);
    objects_batch_end(b);
    reclaim_dead();
    for (i = 0; i < N; i++) {
        e = entry_of(&w, n[i]);
        cr_assert_eq(objects_read(w.objects, &e, bytes, PACK_RECORD_MAX, 0), PACK_RECORD_MAX);
        cr_assert(bytes[0] == 'a' + i && bytes[PACK_RECORD_MAX - 1] == 'a' + i);
    }
    free(bytes);
}

Test(remote, a_pack_is_put_compressed_where_that_is_wanted_and_its_objects_are_read_as_before)
{
    enum { N = 6, LEN = 5000 };
    const struct objects_record *r;
    struct objects_batch *b;
    uint8_t bytes[LEN], got[LEN];
    struct entry e;
    uint64_t n[N], random = 1;

    cr_assert_eq(objects_batch_begin(w.objects, &b), 0);
    for (unsigned i = 0; i < N; i++) { /* the odd ones do not become shorter */
        for (size_t k = 0; k < LEN; k++)
            bytes[k] = (uint8_t)(fault_random(&random) >> 40) & (i % 2 ? 0xff : 7);
        cr_assert_eq(objects_seal_buffer(w.objects, numbered(&w), bytes, LEN,
                                         i < 2 ? COMPRESS_WRITE : COMPRESS_NOT, NULL, &n[i]),
                     0);
        e = entry_of(&w, n[i]);
        cr_assert_eq(objects_batch_add(b, n[i], &e), 0);
    }
    warehouse_commit(&w);
    cr_assert_eq(objects_batch_load(b, NULL), 0);
    uint64_t plain = objects_batch_file_bytes(b);
    cr_assert_eq(objects_batch_compress(b, true), 0);
    cr_assert_lt(objects_batch_file_bytes(b), plain * 3 / 4);
    cr_assert_eq(objects_batch_put(b, 1), 0);
    for (unsigned i = 0; (r = objects_batch_get(b, i)); i++) {
        cr_assert_eq(entry_is_compressed(&r->to), i % 2 == 0);
        cr_assert_eq(r->to.stored == LEN, i % 2, "that it stays as long is noted");
        cr_assert_eq(name_copy(r->number, &r->from, &r->to, objects_batch_file_bytes(b)), 0);
    }
    objects_batch_end(b);
    reclaim_dead();
    random = 1;
    for (unsigned i = 0; i < N; i++) {
        for (size_t k = 0; k < LEN; k++)
            bytes[k] = (uint8_t)(fault_random(&random) >> 40) & (i % 2 ? 0xff : 7);
        e = entry_of(&w, n[i]);
        cr_assert_eq(e.shard, 1);
        cr_assert_eq(objects_read(w.objects, &e, got, LEN, 0), LEN);
        cr_assert_arr_eq(got, bytes, LEN);
        cr_assert_eq(pack_out(n[i], 2), 0, "and are read where they are, for a copy");
        e = entry_of(&w, n[i]);
        cr_assert_eq(e.stored, i % 2 ? LEN : ENTRY_AT_REST, "plain, and what is known of it");
        cr_assert_eq(objects_verify(w.objects, &e), 0);
    }
}

Test(remote, a_copy_has_the_day_of_the_original_and_the_time_when_it_became_a_ghost)
{
    uint64_t n = large('a');
    struct entry e = entry_of(&w, n);
    uint64_t then;

    cr_assert_eq(e.day, 20000);
    clock_manual_advance(&w.clock, 100 * 24 * 3600 * NSEC_PER_SEC);
    cr_assert_eq(file_out(n, 1), 0);
    reclaim_dead();
    e = entry_of(&w, n);
    then = (uint64_t)(clock_now(&w.clock.base) / NSEC_PER_MSEC);
    cr_assert(e.day == 20000 && e.created == then);
    clock_manual_advance(&w.clock, 3600 * NSEC_PER_SEC);
    cr_assert_eq(file_out(n, 2), 0, "from shard to shard");
    reclaim_dead();
    e = entry_of(&w, n);
    cr_assert(e.shard == 2 && e.created == then && e.day == 20000);
    cr_assert_eq(reads(n, 'a'), 1);
    cr_assert_eq(home(n), 0);
    e = entry_of(&w, n);
    cr_assert(e.created == 0 && e.day == 20000);
}

/* Also one that compares what it has with its own checksums. */
static void gets_nothing(bool verifies)
{
    uint64_t a = small('a'), b = large('b');
    struct objects_batch *batch;
    struct entry e = entry_of(&w, a), to;

    shard_mem_set(cold, SHARD_MEM_VERIFIES, verifies);
    warehouse_commit(&w);
    cr_assert_eq(objects_batch_begin(w.objects, &batch), 0);
    cr_assert_eq(objects_batch_add(batch, a, &e), 0);
    cr_assert_eq(objects_batch_load(batch, NULL), 0);
    shard_mem_set(cold, SHARD_MEM_FLIPS, true);
    cr_assert_lt(objects_batch_put(batch, 1), 0);
    objects_batch_end(batch);
    e = entry_of(&w, b);
    cr_assert_lt(objects_copy_file(w.objects, 1, 0, &e, NULL, &to), 0);
    shard_mem_set(cold, SHARD_MEM_FLIPS, false);
    come_back();
    cr_assert(reads(a, 'a') == 1 && reads(b, 'b') == 1 && report_count(REPORT_ALARM) == 0);
}

Test(remote, a_shard_that_gives_back_other_bytes_gets_nothing)
{
    gets_nothing(false);
}

Test(remote, a_shard_that_finds_other_bytes_gets_nothing)
{
    gets_nothing(true);
}

Test(remote, what_the_shard_compares_itself_is_not_read_back)
{
    uint64_t a = small('a'), b = large('b');
    struct shards_info before, after;

    shard_mem_set(cold, SHARD_MEM_VERIFIES, true);
    warehouse_commit(&w);
    cr_assert_eq(shards_info_get(w.shards, 1, &before), 0);
    cr_assert(pack_out(a, 1) == 0 && file_out(b, 1) == 0);
    cr_assert_eq(shards_info_get(w.shards, 1, &after), 0);
    cr_assert_gt(after.traffic.sent - before.traffic.sent, LARGE);
    cr_assert_lt(after.traffic.received - before.traffic.received, LARGE / 2);
    cr_assert(reads(a, 'a') == 1 && reads(b, 'b') == 1);
}

Test(remote, a_full_a_readonly_and_an_absent_shard_are_told_apart)
{
    static const enum shard_mem_switch ways[] = {SHARD_MEM_FULL, SHARD_MEM_READONLY,
                                                 SHARD_MEM_UNREACHABLE};
    static const int says[] = {-ENOSPC, -EROFS, -EHOSTUNREACH};
    uint64_t a, b = large('b');

    small_ghost('x'); /* the fence is taken */
    a = small('a');
    warehouse_commit(&w);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t names = shard_mem_count(cold);
        shard_mem_set(cold, ways[i], true);
        cr_assert_eq(pack_out(a, 1), says[i]);
        cr_assert_eq(file_out(b, 1), says[i]);
        shard_mem_set(cold, ways[i], false);
        come_back();
        shards_look(w.shards);
        cr_assert_eq(shard_mem_count(cold), names);
    }
    cr_assert(pack_out(a, 1) == 0 && file_out(b, 1) == 0);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

Test(remote, a_damaged_original_is_not_copied)
{
    uint64_t a = small('a'), b = large('b');
    struct entry e[2] = {entry_of(&w, a), entry_of(&w, b)};
    char name[DISK_NAME_MAX + 1];

    warehouse_commit(&w);
    pack_name(e[0].where, name);
    cr_assert_eq(disk_mem_flip(w.disk, name, e[0].offset + 200, 1), 0);
    blob_object_name(&e[1].id, e[1].where, name);
    cr_assert_eq(disk_mem_flip(w.disk, name, LARGE - 7, 1), 0);
    cr_assert_eq(pack_out(a, 1), -EUCLEAN);
    cr_assert_eq(file_out(b, 1), -EUCLEAN);
    cr_assert_eq(report_count(REPORT_ALARM), 2);
}

Test(remote, an_original_that_was_moved_meanwhile_is_stale_and_no_alarm)
{
    uint64_t n = large('a'), fresh;
    struct entry before = entry_of(&w, n), there, to;

    warehouse_commit(&w);
    cr_assert_eq(file_out(n, 1), 0);
    reclaim_dead();
    cr_assert_eq(objects_copy_file(w.objects, 2, 0, &before, NULL, &to), -ESTALE);
    there = entry_of(&w, n);
    cr_assert_eq(home(n), 0);
    reclaim_dead();
    cr_assert_eq(refs_new(w.refs, &fresh), 0);
    cr_assert_eq(objects_copy_file(w.objects, 0, fresh, &there, NULL, &to), -ESTALE);
    refs_cancel(w.refs, fresh);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

static int stop_at_the_third(uint64_t bytes, void *ctx)
{
    (void)bytes;
    return ++*(unsigned *)ctx == 3 ? -ECANCELED : 0;
}

Test(remote, a_copy_that_is_cancelled_leaves_nothing_and_blames_nobody)
{
    unsigned pieces = 0;
    const struct blob_pace pace = {stop_at_the_third, &pieces};
    uint64_t n, names, fresh;
    struct entry e, to;

    small_ghost('x');
    n = large('a');
    e = entry_of(&w, n);
    names = shard_mem_count(cold);
    for (unsigned before = 1; before <= 2; before++) { /* while it is read back, while it is put */
        pieces = before;
        cr_assert_eq(objects_copy_file(w.objects, 1, 0, &e, &pace, &to), -ECANCELED);
        cr_assert_eq(shard_mem_count(cold), names);
    }
    warehouse_commit(&w);
    cr_assert_eq(file_out(n, 1), 0);
    reclaim_dead();
    pieces = 2;
    e = entry_of(&w, n);
    cr_assert_eq(refs_new(w.refs, &fresh), 0);
    cr_assert_eq(objects_copy_file(w.objects, 0, fresh, &e, &pace, &to), -ECANCELED);
    refs_cancel(w.refs, fresh);
    pieces = 2;
    cr_assert_eq(objects_verify_slowly(w.objects, &e, &pace), -ECANCELED);
    cr_assert_eq(reads(n, 'a'), 1);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

/* Numbers are given once; if one of another copy of the store is there all the same, it is its
 * own. */
Test(remote, a_copy_that_finds_its_name_taken_leaves_what_has_it)
{
    char name[DISK_NAME_MAX + 1], why[SHARD_WHY];
    struct entry at = entry_of(&w, large_ghost('a')), e, to;
    struct shard *s;

    e = entry_of(&w, large('b'));
    blob_object_name(&e.id, at.where + 1, name);
    cr_assert_eq(shard_open("mem:cold", 0, &s, why), 0);
    cr_assert_eq(shard_put(s, name, "another's", 9), 0);
    cr_assert_eq(objects_copy_file(w.objects, 1, 0, &e, NULL, &to), -EEXIST);
    cr_assert_eq(shard_stat(s, name, &(uint64_t){0}), 0);
    shard_close(s);
}

/* The driver sends each put and delete again, since it loses each reply. */
static void lose_replies(enum shard_mem_fault how)
{
    struct shard_mem_odds odds = {.seed = 1};

    odds.per_mille[how] = 1000;
    shard_mem_set_odds(cold, &odds);
}

Test(remote, a_copy_that_was_put_twice_is_there_and_deleted_bytes_are_gone)
{
    uint64_t s = small('a'), l = large('b'), names;

    warehouse_commit(&w);
    small_ghost('x'); /* the fence is taken */
    names = shard_mem_count(cold);
    lose_replies(SHARD_MEM_REPEATED);
    cr_assert_eq(pack_out(s, 1), 0);
    cr_assert_eq(file_out(l, 1), 0);
    cr_assert_eq(shard_mem_hits(cold, SHARD_MEM_REPEATED), 3, "a pack, sums and a file");
    cr_assert_eq(reads(s, 'a'), 1);
    cr_assert_eq(reads(l, 'b'), 1);
    cr_assert_eq(home(s), 0);
    cr_assert_eq(home(l), 0);
    reclaim_dead();
    cr_assert_eq(shard_mem_count(cold), names);
    cr_assert_eq(report_count(REPORT_WARN), 0);
}

/* Nobody knows whether it is there, so it is not named; a later one has another name. */
Test(remote, a_copy_whose_reply_was_lost_is_not_named_and_the_next_one_is)
{
    uint64_t s = small('a'), l = large('b');

    warehouse_commit(&w);
    small_ghost('x');
    lose_replies(SHARD_MEM_LOST_REPLY);
    cr_assert_eq(pack_out(s, 1), -EHOSTUNREACH);
    clock_manual_advance(&w.clock, 2 * NSEC_PER_SEC);
    cr_assert_eq(file_out(l, 1), -EHOSTUNREACH);
    cr_assert_eq(entry_of(&w, s).shard, 0);
    cr_assert_eq(entry_of(&w, l).shard, 0);
    shard_mem_set_odds(cold, NULL);
    clock_manual_advance(&w.clock, 2 * NSEC_PER_SEC);
    cr_assert_eq(pack_out(s, 1), 0);
    cr_assert_eq(file_out(l, 1), 0);
    cr_assert_eq(reads(s, 'a'), 1);
    cr_assert_eq(reads(l, 'b'), 1);
}

/* ---- cut at every write ---- */

static int both_out(uint64_t a, uint64_t b)
{
    int err = pack_out(a, 1);
    return err < 0 ? err : file_out(b, 1);
}

static int both_home(uint64_t a, uint64_t b)
{
    int err = home(a);
    return err < 0 ? err : home(b);
}

/* A commit that may fail; then its bytes are not deleted. */
static int commit_cut(void)
{
    struct kv_txn *t;
    int err = objects_sync(w.objects);

    if (err < 0)
        return err;
    cr_assert(refs_freeze(w.refs) == 0 && packs_freeze(w.packs) == 0);
    err = kv_txn_begin(w.kv, &t);
    if (err < 0)
        return err;
    cr_assert_eq(refs_write(w.refs, 1, t), 0);
    cr_assert_eq(packs_write(w.packs, 1, t), 0);
    err = kv_commit(t);
    if (err == 0) {
        w.next[0] = refs_next(w.refs);
        w.next[1] = packs_next(w.packs);
    }
    return err;
}

static int remove_slot(const char *name, void *ctx)
{
    char path[DISK_NAME_MAX + 1];
    (void)ctx;
    snprintf(path, sizeof path, "slots/%.100s", name);
    return disk_unlink(w.disk, path);
}

/* As a store is opened: what nobody names goes. */
static void reopen(void)
{
    warehouse_reopen(&w);
    cr_assert_eq(disk_list(w.disk, "slots", remove_slot, NULL), 0);
    cr_assert_eq(objects_reap(w.objects, 0, NULL, NULL), 0);
}

/* Returns how many writes it took. */
static uint64_t cut_everywhere(int (*move)(uint64_t a, uint64_t b), uint16_t to)
{
    uint64_t a = small('a'), b = large('b'), at;
    int err = -1;

    warehouse_commit(&w);
    if (to == 0) {
        cr_assert_eq(both_out(a, b), 0);
        reclaim_dead();
    }
    for (at = 1; err < 0; at++) {
        w.fault.writes = 0;
        w.fault.cut = true;
        w.fault.loss = at % 2 ? FAULT_LOSE_ALL : FAULT_KEEP_ALL;
        w.fault.fail_at = at;
        err = move(a, b);
        if (err == 0)
            err = commit_cut();
        cr_assert_eq(fault_fired(&w.fault), err < 0, "write %llu: %d", (unsigned long long)at, err);
        reopen();
        cr_assert_eq(reads(a, 'a'), 1, "cut at %llu", (unsigned long long)at);
        cr_assert_eq(reads(b, 'b'), 1, "cut at %llu", (unsigned long long)at);
        cr_assert_eq(entry_of(&w, a).shard == to, err == 0);
        cr_assert_eq(entry_of(&w, b).shard == to, err == 0);
    }
    reclaim_dead();
    cr_assert(reads(a, 'a') == 1 && reads(b, 'b') == 1);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
    return at;
}

Test(remote, a_move_out_that_is_cut_at_any_write_leaves_all_where_it_was)
{
    cr_assert_gt(cut_everywhere(both_out, 1), 5);
}

Test(remote, a_move_home_that_is_cut_at_any_write_leaves_all_where_it_was)
{
    cr_assert_gt(cut_everywhere(both_home, 0), 8);
}

/* ---- deleting ---- */

Test(remote, what_is_deleted_is_gone_and_may_be_gone_already)
{
    uint64_t a = small_ghost('a'), b = large_ghost('b');
    struct entry e[2] = {entry_of(&w, a), entry_of(&w, b)};
    uint64_t names = shard_mem_count(cold);

    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(objects_delete_remote(w.objects, &e[i]), 0);
        cr_assert_eq(asks(&e[i]), 0);
        cr_assert_eq(objects_delete_remote(w.objects, &e[i]), 0);
    }
    cr_assert_eq(shard_mem_count(cold), names - 3);
}

Test(remote, nothing_is_deleted_from_a_shard_that_cannot_be_asked_nor_taken_for_gone)
{
    uint64_t n = large_ghost('a');
    struct entry e = entry_of(&w, n);

    shard_mem_set(cold, SHARD_MEM_DENIES, true);
    cr_assert_eq(objects_delete_remote(w.objects, &e), -EHOSTUNREACH);
    shard_mem_set(cold, SHARD_MEM_DENIES, false);
    come_back();
    shard_mem_set(cold, SHARD_MEM_READONLY, true);
    cr_assert_eq(objects_delete_remote(w.objects, &e), -EROFS);
    shard_mem_set(cold, SHARD_MEM_READONLY, false);
    cr_assert_eq(reads(n, 'a'), 1);
}

Test(remote, objects_delete_is_for_what_is_at_home)
{
    struct refs_dead d = {.entry = entry_of(&w, large_ghost('a'))};
    cr_assert_eq(objects_delete(w.objects, &d), -EINVAL);
}

/* ---- sealing beside it ---- */

static uint64_t collisions(void)
{
    uint64_t h, c;
    objects_get_counts(w.objects, &h, &c);
    return c;
}

Test(remote, the_same_bytes_again_are_an_alias_of_the_ghost)
{
    uint64_t a = small_ghost('a'), b = large_ghost('b');
    cr_assert(small('a') == a && large('b') == b);
    cr_assert_eq(entry_of(&w, a).shard, 1);
    cr_assert_eq(entry_of(&w, a).count, 2);
    cr_assert_eq(collisions(), 0);
}

/* It may be slow, and the freeze lock is held. */
Test(remote, sealing_itself_asks_no_shard)
{
    uint64_t a = small_ghost('a'), reads = shard_mem_calls(cold, SHARD_MEM_RANGE), is;
    char *bytes = fill('a', SMALL);
    struct objects_seen seen;

    objects_look_buffer(w.objects, bytes, SMALL, &seen);
    cr_assert_gt(shard_mem_calls(cold, SHARD_MEM_RANGE), reads);
    reads = shard_mem_calls(cold, SHARD_MEM_RANGE);
    cr_assert_eq(
        objects_seal_buffer(w.objects, numbered(&w), bytes, SMALL, COMPRESS_NOT, &seen, &is), 0);
    cr_assert_eq(is, a);
    cr_assert_eq(
        objects_seal_buffer(w.objects, numbered(&w), bytes, SMALL, COMPRESS_NOT, NULL, &is), 0);
    cr_assert_neq(is, a, "nobody looked");
    cr_assert_eq(shard_mem_calls(cold, SHARD_MEM_RANGE), reads);
    free(bytes);
}

Test(remote, what_moved_between_the_look_and_the_seal_is_looked_at_again)
{
    uint64_t a = small_ghost('a'), is;
    char *bytes = fill('a', SMALL);
    struct objects_seen seen;

    objects_look_buffer(w.objects, bytes, SMALL, &seen);
    seen.v[0].at.where++;
    cr_assert_eq(
        objects_seal_buffer(w.objects, numbered(&w), bytes, SMALL, COMPRESS_NOT, &seen, &is),
        -EAGAIN);
    cr_assert_eq(small('a'), a);
    free(bytes);
}

static void all_alike(struct id *id)
{
    memset(id, 5, sizeof *id);
}

Test(remote, other_bytes_of_the_same_id_are_kept_apart)
{
    uint64_t a, b, c, d;
    w.key.fold = all_alike;
    a = small_ghost('a');
    b = small('b');
    c = large_ghost('c');
    d = large('d');
    cr_assert(a != b && c != d);
    cr_assert(reads(a, 'a') == 1 && reads(b, 'b') == 1 && reads(c, 'c') == 1 && reads(d, 'd') == 1);
    cr_assert_eq(entry_of(&w, b).shard, 0);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

Test(remote, good_bytes_heal_a_ghost_whose_own_are_damaged_or_lost_and_it_is_at_home_then)
{
    uint64_t n[4] = {small_ghost('a'), large_ghost('b'), small_ghost('c'), large_ghost('d')}, h, c;

    flip(n[0]);
    flip(n[1]);
    lose(n[2]);
    lose(n[3]);
    cr_assert(small('a') == n[0] && large('b') == n[1] && small('c') == n[2] && large('d') == n[3]);
    objects_get_counts(w.objects, &h, &c);
    cr_assert(h == 4 && c == 0);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(entry_of(&w, n[i]).shard, 0);
        cr_assert_eq(reads(n[i], (char)('a' + i)), 1);
    }
    cr_assert_eq(refs_dead_ghosts(w.refs), 4);
    reclaim_dead();
    cr_assert_eq(refs_dead_ghosts(w.refs), 0);
}

Test(remote, beside_a_ghost_that_cannot_be_asked_the_bytes_get_an_id_of_their_own)
{
    uint64_t a = small_ghost('a'), b = large_ghost('b'), a2, b2;

    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, true);
    a2 = small('a');
    b2 = large('b');
    cr_assert(a2 != a && b2 != b);
    cr_assert(reads(a2, 'a') == 1 && reads(b2, 'b') == 1);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, false);
    come_back();
    cr_assert(reads(a, 'a') == 1 && reads(b, 'b') == 1);
    cr_assert(small('a') == a && large('b') == b);
}

/* A shard in a directory of its own, whose names a test may take away behind its back. */
static char dir_of_three[] = "/tmp/tally-remote-XXXXXX";

static void a_shard_in_a_directory(void)
{
    char url[64];

    cr_assert_not_null(mkdtemp(dir_of_three));
    snprintf(url, sizeof url, "dir:%s", dir_of_three);
    add_shard(3, url);
}

static void lose_there(const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", dir_of_three, name);
    cr_assert_eq(unlink(path), 0);
}

static void remove_directory(void)
{
    char command[64];

    snprintf(command, sizeof command, "rm -rf %s", dir_of_three);
    cr_assert_eq(system(command), 0);
}

/* A file that is open has its bytes even where its name has gone. What is sealed must have them
 * when the file is closed, too. */
Test(remote, what_is_sealed_is_no_alias_of_a_file_whose_name_has_gone_there)
{
    char name[DISK_NAME_MAX + 1];

    a_shard_in_a_directory();
    uint64_t n = large('q');
    warehouse_commit(&w);
    cr_assert_eq(file_out(n, 3), 0);
    reclaim_dead();
    cr_assert_eq(reads(n, 'q'), 1); /* keeps it open */
    struct entry e = entry_of(&w, n);
    objects_file_name(&e, 0, name);
    lose_there(name);
    e = entry_of(&w, large('q'));
    cr_assert_eq(e.shard, 0);
    cr_assert_eq(objects_verify(w.objects, &e), 0);
    remove_directory();
}

Test(remote, nor_of_a_record_whose_pack_has_gone_there)
{
    char name[DISK_NAME_MAX + 1];

    a_shard_in_a_directory();
    uint64_t n = small('q');
    warehouse_commit(&w);
    cr_assert_eq(pack_out(n, 3), 0);
    reclaim_dead();
    cr_assert_eq(reads(n, 'q'), 1); /* keeps it open */
    pack_name(entry_of(&w, n).where, name);
    lose_there(name);
    struct entry e = entry_of(&w, small('q'));
    cr_assert_eq(e.shard, 0);
    cr_assert_eq(objects_verify(w.objects, &e), 0);
    remove_directory();
}

/* ---- archives ---- */

static void add_archive(uint16_t number, const char *url)
{
    char why[SHARD_WHY] = "";

    archive_make(url);
    cr_assert_eq(shards_add_archive(w.shards, number, url, archive_id, 0, true, why), 0, "%s", why);
    cr_assert_eq(shards_allow(w.shards, number, UINT64_C(1) << 40), 0);
}

Test(remote, in_an_archive_no_object_is_deleted)
{
    struct entry e = entry_of(&w, large_ghost('a'));
    struct shard_mem *m;

    cr_assert_eq(shard_mem_create("archive", NULL, &m), 0);
    add_archive(3, "mem:archive");
    e.shard = 3;
    cr_assert_eq(objects_delete_remote(w.objects, &e), -EPERM);
    e.kind = ENTRY_PACK;
    cr_assert_eq(objects_delete_remote(w.objects, &e), -EPERM);
    cr_assert_eq(shard_mem_calls(m, SHARD_MEM_DELETE), 0);
    warehouse_close(&w);
    warehouse_open(&w);
    shard_mem_destroy(m);
}

Test(remote, what_was_put_into_an_archive_and_reads_back_otherwise_stays)
{
    uint64_t a = small('a'), b = large('b');
    struct entry e = entry_of(&w, a), to;
    struct objects_batch *batch;
    struct shard_mem *m;

    cr_assert_eq(shard_mem_create("archive", NULL, &m), 0);
    add_archive(3, "mem:archive");
    warehouse_commit(&w);
    cr_assert_eq(objects_batch_begin(w.objects, &batch), 0);
    cr_assert_eq(objects_batch_add(batch, a, &e), 0);
    cr_assert_eq(objects_batch_load(batch, NULL), 0);
    shard_mem_set(m, SHARD_MEM_FLIPS, true);
    cr_assert_eq(objects_batch_put(batch, 3), -EIO);
    objects_batch_end(batch);
    e = entry_of(&w, b);
    cr_assert_lt(objects_copy_file(w.objects, 3, 0, &e, NULL, &to), 0);
    cr_assert_eq(shard_mem_calls(m, SHARD_MEM_DELETE), 0);
    cr_assert_eq(shard_mem_count(m), 1 + 1 + 2);
    warehouse_close(&w);
    warehouse_open(&w);
    shard_mem_destroy(m);
}
