// SPDX-License-Identifier: Apache-2.0
/* Claims of kv.h on both implementations, of kv_mem.h on the twin, of kv_open_lmdb on LMDB. */
#include "both.h"

#include <pthread.h>
#include <sys/stat.h>

static struct kv_txn *begin(struct fixture *x)
{
    struct kv_txn *t;
    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    return t;
}

static void put(struct kv_txn *t, unsigned table, const char *key, const char *val)
{
    cr_assert_eq(kv_put(t, table, key, strlen(key), val, strlen(val)), 0);
}

static void set(struct fixture *x, const char *key, const char *val)
{
    struct kv_txn *t = begin(x);
    put(t, 0, key, val);
    cr_assert_eq(kv_commit(t), 0);
}

static void is(struct fixture *x, unsigned table, const char *key, const char *val)
{
    char buf[64] = "";
    size_t len;
    int r = kv_get(x->kv, table, key, strlen(key), buf, sizeof buf - 1, &len);
    cr_assert_eq(r, val == NULL ? -ENOENT : 0);
    if (val == NULL)
        return;
    cr_assert_str_eq(buf, val);
    cr_assert_eq(len, strlen(val));
}

static struct kv_snap *snap(struct fixture *x)
{
    struct kv_snap *s;
    cr_assert_eq(kv_snap_begin(x->kv, &s), 0);
    return s;
}

static void snap_is(struct kv_snap *s, const char *key, const char *val)
{
    const void *p;
    size_t len;
    int r = kv_snap_get(s, 0, key, strlen(key), &p, &len);
    cr_assert_eq(r, val == NULL ? -ENOENT : 0);
    if (val == NULL)
        return;
    cr_assert_eq(len, strlen(val));
    cr_assert_arr_eq(p, val, len);
}

static void seek_is(struct kv_snap *s, const char *from, bool after, const char *found)
{
    const void *key, *val;
    size_t klen, vlen;
    int r = kv_snap_seek(s, 0, from, strlen(from), after, &key, &klen, &val, &vlen);
    cr_assert_eq(r, found == NULL ? -ENOENT : 0);
    if (found == NULL)
        return;
    cr_assert_eq(klen, strlen(found));
    cr_assert_arr_eq(key, found, klen);
}

/* All that reads says so, and of which key; going on behind it is possible. */
static void is_damaged(struct fixture *x, unsigned table, const char *key)
{
    const void *at, *val;
    size_t klen, len;
    char buf[64];
    struct kv_snap *s = snap(x);
    cr_assert_eq(kv_get(x->kv, table, key, strlen(key), buf, sizeof buf, &len), -EUCLEAN);
    cr_assert_eq(kv_snap_get(s, table, key, strlen(key), &val, &len), -EUCLEAN);
    cr_assert_eq(kv_snap_seek(s, table, key, strlen(key), false, &at, &klen, &val, &len), -EUCLEAN);
    cr_assert_eq(klen, strlen(key));
    cr_assert_arr_eq(at, key, klen);
    struct kv_each e = {.snap = s, .table = table, .key = key, .klen = strlen(key)};
    cr_assert(kv_next(&e));
    cr_assert_eq(e.klen, strlen(key));
    cr_assert_arr_eq(e.key, key, e.klen);
    cr_assert_eq(e.len, KV_DAMAGED);
    cr_assert(!kv_next(&e) ? e.err == 0 : memcmp(e.key, key, 3) > 0);
    kv_snap_end(s);
}

static uint64_t count(struct fixture *x, unsigned table)
{
    struct kv_snap *s = snap(x);
    uint64_t n = 0;
    cr_assert_eq(kv_snap_count(s, table, &n), 0);
    kv_snap_end(s);
    return n;
}

BOTH(kv, a_committed_value_is_read_and_survives_reopening)
{
    set(x, "key", "value");
    is(x, 0, "key", "value");
    reopen(x, 2, 0);
    is(x, 0, "key", "value");
}

BOTH(kv, an_uncommitted_value_is_not_read)
{
    struct kv_txn *t = begin(x);
    put(t, 0, "key", "value");
    is(x, 0, "key", NULL);
    kv_abort(t);
    kv_abort(NULL);
    is(x, 0, "key", NULL);
    cr_assert_eq(count(x, 0), 0);
}

BOTH(kv, a_transaction_that_met_an_error_ends_without_a_change)
{
    struct kv_txn *t = begin(x);
    put(t, 0, "key", "value");
    cr_assert_eq(kv_end(t, -EIO), -EIO);
    is(x, 0, "key", NULL);
    t = begin(x);
    put(t, 0, "key", "value");
    cr_assert_eq(kv_end(t, 0), 0);
    is(x, 0, "key", "value");
}

BOTH(kv, a_row_is_written_alone)
{
    cr_assert_eq(kv_put_row(x->kv, 0, "key", 3, "value", 5), 0);
    is(x, 0, "key", "value");
    cr_assert_eq(kv_put_row(x->kv, 0, "", 0, "value", 5), -EINVAL);
    cr_assert_eq(kv_put_row(x->kv, 0, "key", 3, "other", 5), 0); /* no transaction was left open */
    is(x, 0, "key", "other");
}

BOTH(kv, tables_are_apart)
{
    struct kv_txn *t = begin(x);
    put(t, 1, "key", "b");
    cr_assert_eq(kv_commit(t), 0);
    is(x, 0, "key", NULL);
    is(x, 1, "key", "b");
}

BOTH(kv, the_last_put_or_del_of_a_key_counts)
{
    struct kv_txn *t = begin(x);
    put(t, 0, "twice", "1");
    put(t, 0, "twice", "2");
    put(t, 0, "gone", "x");
    cr_assert_eq(kv_del(t, 0, "gone", 4), 0);
    cr_assert_eq(kv_del(t, 0, "never", 5), 0);
    cr_assert_eq(kv_commit(t), 0);
    is(x, 0, "twice", "2");
    is(x, 0, "gone", NULL);
    cr_assert_eq(count(x, 0), 1);
}

BOTH(kv, a_small_buffer_is_told_the_length)
{
    char buf[2];
    size_t len = 0;
    set(x, "key", "value");
    cr_assert_eq(kv_get(x->kv, 0, "key", 3, buf, sizeof buf, &len), -ERANGE);
    cr_assert_eq(len, 5);
}

BOTH(kv, empty_and_largest_values_are_kept)
{
    char *big = calloc(2, KV_VALUE_MAX);
    size_t len = 1;
    struct kv_txn *t = begin(x);
    memset(big, 'v', KV_VALUE_MAX);
    cr_assert_eq(kv_put(t, 0, "big", 3, big, KV_VALUE_MAX), 0);
    cr_assert_eq(kv_put(t, 0, "empty", 5, NULL, 0), 0);
    cr_assert_eq(kv_commit(t), 0);
    cr_assert_eq(kv_get(x->kv, 0, "big", 3, big + KV_VALUE_MAX, KV_VALUE_MAX, &len), 0);
    cr_assert_eq(memcmp(big, big + KV_VALUE_MAX, KV_VALUE_MAX), 0);
    cr_assert_eq(kv_get(x->kv, 0, "empty", 5, NULL, 0, &len), 0);
    cr_assert_eq(len, 0);
    free(big);
}

BOTH(kv, what_is_out_of_the_limits_is_refused)
{
    char bytes[KV_VALUE_MAX + 1] = "";
    size_t len;
    struct kv_txn *t = begin(x);
    cr_assert_eq(kv_put(t, 0, bytes, 0, bytes, 1), -EINVAL);
    cr_assert_eq(kv_put(t, 0, bytes, KV_KEY_MAX + 1, bytes, 1), -EINVAL);
    cr_assert_eq(kv_put(t, 0, bytes, KV_KEY_MAX, bytes, sizeof bytes), -EINVAL);
    cr_assert_eq(kv_put(t, 2, bytes, 1, bytes, 1), -EINVAL);
    cr_assert_eq(kv_put(t, 0, bytes, KV_KEY_MAX, bytes, 1), 0);
    cr_assert_eq(kv_commit(t), 0);
    cr_assert_eq(kv_get(x->kv, 2, bytes, 1, bytes, 1, &len), -EINVAL);
    cr_assert_eq(count(x, 0), 1);
}

BOTH(kv, keys_are_ordered_as_unsigned_bytes_and_prefixes_come_first)
{
    set(x, "b", "");
    set(x, "\xff", "");
    set(x, "ab", "");
    set(x, "a", "");
    struct kv_snap *s = snap(x);
    seek_is(s, "", false, "a");
    seek_is(s, "a", false, "a");
    seek_is(s, "a", true, "ab");
    seek_is(s, "aa", true, "ab");
    seek_is(s, "b", true, "\xff");
    seek_is(s, "\xff", false, "\xff");
    seek_is(s, "\xff", true, NULL);
    kv_snap_end(s);
    kv_snap_end(NULL);
}

BOTH(kv, a_snapshot_does_not_see_later_commits)
{
    set(x, "kept", "old");
    set(x, "gone", "old");
    struct kv_snap *s = snap(x);
    struct kv_txn *t = begin(x);
    put(t, 0, "kept", "new");
    put(t, 0, "fresh", "new");
    cr_assert_eq(kv_del(t, 0, "gone", 4), 0);
    cr_assert_eq(kv_commit(t), 0);
    snap_is(s, "kept", "old");
    snap_is(s, "gone", "old");
    snap_is(s, "fresh", NULL);
    kv_snap_end(s);
    is(x, 0, "kept", "new");
    is(x, 0, "gone", NULL);
}

BOTH(kv, one_snapshot_searches_several_tables)
{
    const void *key, *val;
    size_t klen, vlen;
    set(x, "key", "value");
    struct kv_snap *s = snap(x);
    seek_is(s, "", false, "key");
    cr_assert_eq(kv_snap_seek(s, 1, NULL, 0, false, &key, &klen, &val, &vlen), -ENOENT);
    seek_is(s, "", false, "key");
    kv_snap_end(s);
}

/* Far apart, near, missing ones in between, and with another table and a search in between. */
BOTH(kv, one_snapshot_gets_many_keys_in_any_order)
{
    struct kv_txn *t = begin(x);
    char key[16], val[16];
    for (unsigned i = 0; i < 1000; i += 2) {
        snprintf(key, sizeof key, "%04u", i);
        put(t, 0, key, key);
    }
    put(t, 1, "0001", "other");
    cr_assert_eq(kv_commit(t), 0);
    struct kv_snap *s = snap(x);
    for (unsigned i = 0, n = 0; i < 3000; i++, n = (n + (i % 3 ? 1 : 357)) % 1000) {
        snprintf(key, sizeof key, "%04u", n);
        snap_is(s, key, n % 2 ? NULL : key);
        if (i % 5 == 0)
            seek_is(s, "0500", false, "0500");
        if (i % 7)
            continue;
        const void *p;
        size_t len;
        cr_assert_eq(kv_snap_get(s, 1, "0001", 4, &p, &len), 0);
        snprintf(val, sizeof val, "%.*s", (int)len, (const char *)p);
        cr_assert_str_eq(val, "other");
    }
    kv_snap_end(s);
}

BOTH(kv, a_read_only_store_reads_and_refuses_to_write)
{
    struct kv_txn *t;
    set(x, "key", "value");
    reopen(x, 3, KV_READONLY);
    is(x, 0, "key", "value");
    is(x, 2, "key", NULL);
    cr_assert_eq(count(x, 2), 0);
    cr_assert_eq(kv_txn_begin(x->kv, &t), -EROFS);
}

BOTH(kv, a_new_table_is_made_by_the_next_open)
{
    set(x, "key", "value");
    reopen(x, 3, 0);
    is(x, 2, "key", NULL);
    is(x, 0, "key", "value");
}

#define MODEL 200

/* 0 in the model means absent. */
static void change_randomly(struct fixture *x, int *model, uint64_t *seed)
{
    struct kv_txn *t = begin(x);
    bool keep = fault_random(seed) % 4 != 0;
    for (int i = 0; i < 60; i++) {
        uint64_t k = fault_random(seed) % MODEL;
        int v = (int)(fault_random(seed) % 3);
        int r = v == 0 ? kv_del(t, 0, &k, sizeof k) : kv_put(t, 0, &k, sizeof k, &v, sizeof v);
        cr_assert_eq(r, 0);
        if (keep)
            model[k] = v;
    }
    if (!keep)
        kv_abort(t);
    else
        cr_assert_eq(kv_commit(t), 0);
}

static void agrees(struct fixture *x, const int *model)
{
    for (uint64_t k = 0; k < MODEL; k++) {
        int v = 0;
        size_t len;
        int r = kv_get(x->kv, 0, &k, sizeof k, &v, sizeof v, &len);
        cr_assert_eq(r, model[k] == 0 ? -ENOENT : 0);
        cr_assert_eq(v, model[k]);
    }
}

BOTH(kv, it_agrees_with_a_model_over_random_changes)
{
    uint64_t seed = 20261121;
    int model[MODEL] = {0};
    for (int round = 0; round < 40; round++) {
        change_randomly(x, model, &seed);
        agrees(x, model);
    }
}

BOTH(kv, many_entries_are_counted_and_walked_in_order)
{
    struct kv_txn *t = begin(x);
    for (uint32_t i = 0; i < 50000; i++) {
        uint32_t k = __builtin_bswap32(i * 2654435761u);
        cr_assert_eq(kv_put(t, 0, &k, 4, &i, 4), 0);
    }
    cr_assert_eq(kv_commit(t), 0);
    cr_assert_gt(kv_disk_bytes(x->kv), 50000 * 8 - 1);
    struct kv_snap *s = snap(x);
    const void *key = NULL, *val;
    uint32_t n = 0, last = 0;
    size_t klen = 0, vlen;
    while (kv_snap_seek(s, 0, key, klen, true, &key, &klen, &val, &vlen) == 0) {
        uint32_t now;
        memcpy(&now, key, 4);
        now = __builtin_bswap32(now);
        cr_assert(n++ == 0 || now > last);
        last = now;
    }
    kv_snap_end(s);
    cr_assert_eq(n, 50000);
    cr_assert_eq(count(x, 0), 50000);
}

static void *read_pair(void *arg)
{
    struct fixture *x = arg;
    for (int i = 0; i < 2000; i++) {
        const void *a, *b;
        size_t alen, blen;
        struct kv_snap *s = snap(x);
        cr_assert_eq(kv_snap_get(s, 0, "one", 3, &a, &alen), 0);
        cr_assert_eq(kv_snap_get(s, 0, "two", 3, &b, &blen), 0);
        cr_assert_eq(memcmp(a, b, 4), 0);
        kv_snap_end(s);
        int v;
        cr_assert_eq(kv_get(x->kv, 0, "one", 3, &v, sizeof v, &alen), 0);
    }
    return NULL;
}

static void put_pair(struct fixture *x, int v)
{
    struct kv_txn *t = begin(x);
    cr_assert_eq(kv_put(t, 0, "one", 3, &v, sizeof v), 0);
    cr_assert_eq(kv_put(t, 0, "two", 3, &v, sizeof v), 0);
    cr_assert_eq(kv_commit(t), 0);
}

BOTH(kv, readers_see_each_commit_whole)
{
    pthread_t t[3];
    put_pair(x, 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, read_pair, x), 0);
    for (int i = 1; i <= 100; i++)
        put_pair(x, i);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_join(t[i], NULL), 0);
}

static void *hundred_increments(void *arg)
{
    struct fixture *x = arg;
    for (int i = 0; i < 100; i++) {
        int v = 0;
        size_t len;
        struct kv_txn *t = begin(x);
        (void)kv_get(x->kv, 0, "n", 1, &v, sizeof v, &len);
        v++;
        cr_assert_eq(kv_put(t, 0, "n", 1, &v, sizeof v), 0);
        cr_assert_eq(kv_commit(t), 0);
    }
    return NULL;
}

BOTH(kv, writers_wait_for_each_other)
{
    pthread_t t[2];
    int v = 0;
    size_t len;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, hundred_increments, x), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(t[i], NULL), 0);
    cr_assert_eq(kv_get(x->kv, 0, "n", 1, &v, sizeof v, &len), 0);
    cr_assert_eq(v, 200);
}

/* ---- LMDB alone ---- */

static void on_lmdb(void (*claim)(struct fixture *))
{
    struct fixture x;
    both_setup(&x, true);
    claim(&x);
    both_teardown(&x);
}

static void open_twice(struct fixture *x)
{
    struct kv *second;
    cr_assert_eq(kv_open_lmdb(x->dir, "kv", both_tables, 2, 0, &second), -EBUSY);
    reopen(x, 2, 0);
}

static void open_missing(struct fixture *x)
{
    struct kv *none;
    cr_assert_eq(kv_open_lmdb(x->dir, "no", both_tables, 2, 0, &none), -ENOENT);
    cr_assert_eq(kv_open_lmdb(x->dir, "no", both_tables, 2, KV_READONLY, &none), -ENOENT);
    cr_assert_eq(kv_open_lmdb(x->dir, "kv", both_tables, 0, 0, &none), -EINVAL);
    cr_assert_lt(faccessat(x->dir, "no", F_OK, 0), 0);
}

static void open_damaged(struct fixture *x)
{
    char junk[8192];
    kv_close(x->kv);
    x->kv = NULL;
    memset(junk, 0x5a, sizeof junk);
    int fd = openat(x->dir, "kv/data.mdb", O_WRONLY | O_CLOEXEC);
    cr_assert_eq(write(fd, junk, sizeof junk), (ssize_t)sizeof junk);
    cr_assert_eq(both_open(x, 2, 0), -EUCLEAN);
    cr_assert_eq(ftruncate(fd, 0), 0);
    cr_assert_eq(both_open(x, 2, 0), -EUCLEAN);
    (void)close(fd);
}

/* ---- checksums ---- */

/* Where these bytes stand in the file; they stand nowhere else. */
static long find_bytes(struct fixture *x, const void *bytes, size_t len)
{
    static char file[1 << 20];
    int fd = openat(x->dir, "kv/data.mdb", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, file, sizeof file);
    cr_assert_gt(n, 0);
    (void)close(fd);
    char *at = memmem(file, (size_t)n, bytes, len);
    cr_assert_not_null(at);
    cr_assert_null(memmem(at + 1, (size_t)(file + n - at - 1), bytes, len));
    return at - file;
}

static void flip_file(struct fixture *x, long at, unsigned bit)
{
    unsigned char c;
    int fd = openat(x->dir, "kv/data.mdb", O_RDWR | O_CLOEXEC);
    cr_assert_eq(pread(fd, &c, 1, at), 1);
    c ^= (unsigned char)(1u << bit);
    cr_assert_eq(pwrite(fd, &c, 1, at), 1);
    (void)close(fd);
}

/* Each bit of a value, empty, small or of pages of its own, and of its checksum: in LMDB's file and
 * as the disk gives it. */
static void each_bit(struct fixture *x, const char *key, size_t vlen)
{
    char stored[20000], val[20000];
    size_t klen = strlen(key), step = vlen > 1000 ? 797 : 1;
    for (size_t i = 0; i < vlen; i++)
        val[i] = (char)(i * 7 + i / 256 + vlen);
    struct kv_txn *t = begin(x);
    cr_assert_eq(kv_put(t, 0, key, klen, val, vlen), 0);
    cr_assert_eq(kv_commit(t), 0);
    memcpy(stored, key, klen);
    memcpy(stored + klen, val, vlen);
    long at = vlen > 1000 ? find_bytes(x, val, vlen) /* pages of its own */
                          : find_bytes(x, stored, klen + vlen) + (long)klen;
    for (size_t i = 0; i < vlen + 8; i += i + step < vlen ? step : 1)
        for (unsigned bit = 0; bit < 8; bit++) {
            flip_file(x, at + (long)i, bit);
            is_damaged(x, 0, key);
            flip_file(x, at + (long)i, bit);
        }
    size_t len;
    cr_assert_eq(kv_get(x->kv, 0, key, klen, stored, sizeof stored, &len), 0);
    cr_assert_eq(len, vlen);
    cr_assert_arr_eq(stored, val, vlen);
}

static void flip_values(struct fixture *x)
{
    each_bit(x, "key that nothing else has", 0);
    each_bit(x, "the key of a count", 4);
    each_bit(x, "one more, of a number", 8);
    each_bit(x, "an entry's", 37);
    each_bit(x, "for a record", 300);
    each_bit(x, "long, as a queue", 16384);
}

/* A value that its table's tree leads to under another key, or that another table has. */
static void move_values(struct fixture *x)
{
    set(x, "the first key", "value");
    long at = find_bytes(x, "the first keyvalue", 18);
    flip_file(x, at + 12, 0); /* "the first kex" */
    is_damaged(x, 0, "the first kex");
    flip_file(x, at + 12, 0);
    is(x, 0, "the first key", "value");
    static const struct kv_table swapped[] = {{.name = "b"}, {.name = "a"}};
    kv_close(x->kv);
    cr_assert_eq(kv_open_lmdb(x->dir, "kv", swapped, 2, 0, &x->kv), 0);
    is(x, 1, "the first key", "value"); /* the number of a table is the caller's business */
}

static void open_without_trace(struct fixture *x)
{
    kv_close(x->kv);
    x->kv = NULL;
    cr_assert_eq(unlinkat(x->dir, "kv/lock.mdb", 0), 0);
    cr_assert_eq(both_open(x, 2, KV_READONLY), 0);
    is(x, 0, "key", NULL);
    cr_assert_lt(faccessat(x->dir, "kv/lock.mdb", F_OK, 0), 0);
}

Test(lmdb, a_second_writer_in_the_process_is_refused)
{
    on_lmdb(open_twice);
}
Test(lmdb, a_missing_store_is_not_made_without_being_asked)
{
    on_lmdb(open_missing);
}
Test(lmdb, a_damaged_file_is_told_apart)
{
    on_lmdb(open_damaged);
}
Test(lmdb, each_flipped_bit_of_a_value_and_its_checksum_is_found)
{
    on_lmdb(flip_values);
}
Test(lmdb, a_value_under_another_key_is_found)
{
    on_lmdb(move_values);
}
Test(lmdb, reading_only_leaves_no_lock_file)
{
    on_lmdb(open_without_trace);
}

/* ---- the twin alone ---- */

static void in_memory(void (*claim)(struct fixture *))
{
    struct fixture x;
    both_setup(&x, false);
    claim(&x);
    both_teardown(&x);
}

static void fail_commit(struct fixture *x)
{
    set(x, "key", "old");
    x->fault.error = ENOSPC;
    x->fault.fail_at = x->fault.writes + 1;
    struct kv_txn *t = begin(x);
    put(t, 0, "key", "new");
    cr_assert_eq(kv_commit(t), -ENOSPC);
    is(x, 0, "key", "old");
    set(x, "key", "newer");
    is(x, 0, "key", "newer");
}

static void cut_power(struct fixture *x)
{
    char buf[8];
    size_t len;
    set(x, "key", "old");
    x->fault.cut = true;
    x->fault.fail_at = x->fault.writes + 1;
    struct kv_txn *t = begin(x);
    put(t, 0, "key", "new");
    cr_assert_eq(kv_commit(t), -EIO);
    cr_assert_eq(kv_get(x->kv, 0, "key", 3, buf, sizeof buf, &len), -EIO);
    cr_assert_eq(kv_txn_begin(x->kv, &t), -EIO);
    kv_close(x->kv);
    cr_assert_eq(both_open(x, 2, 0), -EIO);
    fault_reset(&x->fault);
    cr_assert_eq(both_open(x, 2, 0), 0);
    is(x, 0, "key", "old");
}

static void count_writes(struct fixture *x)
{
    uint64_t before = x->fault.writes;
    set(x, "a", "1");
    set(x, "b", "1");
    cr_assert_eq(x->fault.writes, before + 2);
    reopen(x, 2, 0);
    cr_assert_eq(x->fault.writes, before + 2);
}

static void flip_bit(struct fixture *x)
{
    reopen(x, 3, 0);
    set(x, "key", "a");
    struct kv_snap *s = snap(x);
    cr_assert_eq(kv_mem_flip(x->mem, 0, "key", 3, 0, 1), 0);
    cr_assert_eq(kv_mem_flip(x->mem, 0, "key", 3, 1 + 8, 1), -ENOENT); /* behind the checksum */
    cr_assert_eq(kv_mem_flip(x->mem, 0, "none", 4, 0, 1), -ENOENT);
    is_damaged(x, 0, "key");
    snap_is(s, "key", "a");
    kv_snap_end(s);
    struct kv_txn *t = begin(x);
    put(t, TRUSTED, "key", "a");
    cr_assert_eq(kv_commit(t), 0);
    cr_assert_eq(kv_mem_flip(x->mem, TRUSTED, "key", 3, 1, 1), -ENOENT);
    cr_assert_eq(kv_mem_flip(x->mem, TRUSTED, "key", 3, 0, 1), 0);
    is(x, TRUSTED, "key", "c");
}

static void open_before_created(struct fixture *x)
{
    struct kv_mem *empty;
    struct kv *kv;
    (void)x;
    cr_assert_eq(kv_mem_create(NULL, &empty), 0);
    cr_assert_eq(kv_open_mem(empty, both_tables, 2, 0, &kv), -ENOENT);
    kv_mem_destroy(empty);
    kv_mem_destroy(NULL);
}

Test(kv_mem, a_failed_commit_leaves_the_old_state)
{
    in_memory(fail_commit);
}
Test(kv_mem, after_a_cut_only_a_reboot_brings_back_what_was_committed)
{
    in_memory(cut_power);
}
Test(kv_mem, each_commit_is_one_write)
{
    in_memory(count_writes);
}
Test(kv_mem, a_flipped_bit_is_found_or_left_to_the_reader_and_older_snapshots_have_none)
{
    in_memory(flip_bit);
}
Test(kv_mem, a_store_never_made_is_not_there)
{
    in_memory(open_before_created);
}
