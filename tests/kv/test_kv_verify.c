// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of kv_verify_lmdb: it finds sound what LMDB wrote, however that came about; and what it
 * finds sound, whatever was done to it, takes LMDB nowhere.
 */
#include "both.h"
#include "bytes.h"
#include "fault.h"
#include "mapped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <sys/wait.h>

#define PAGE 4096
#define HEAD_AT 16 /* of the first page: the head, 136 bytes, its commit's number the last 8 */

static uint64_t rng;
static char why[KV_WHY];

static uint64_t below(uint64_t n)
{
    return (fault_random(&rng) >> 16) % n;
}

static int verify(const struct fixture *x)
{
    return kv_verify_lmdb(x->dir, "kv", true, why);
}

/* ---- sound ones ---- */

static size_t any_key(uint8_t key[64], unsigned keys)
{
    uint64_t n = below(keys);
    size_t len = 2 + n * 7 % 63;

    memset(key, (int)(n % 251), 64);
    put_be64(key + 56, n);
    key[0] = (uint8_t)(n >> 8);
    key[1] = (uint8_t)n;
    return len;
}

static void change(struct kv_txn *t, unsigned keys)
{
    static uint8_t val[KV_VALUE_MAX];
    static const size_t sizes[] = {0, 1, 60, 700, 2000, 2040, 5000, 8176, KV_VALUE_MAX};
    uint8_t key[64];
    size_t len = any_key(key, keys);

    if (below(3) == 0)
        cr_assert_eq(kv_del(t, (unsigned)below(2), key, len), 0);
    else
        cr_assert_eq(kv_put(t, (unsigned)below(2), key, len, val, sizes[below(below(4) ? 5 : 9)]),
                     0);
}

static void commit_some(struct fixture *x, unsigned keys, uint64_t most)
{
    struct kv_txn *t;

    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    for (uint64_t n = below(most); n > 0; n--)
        change(t, keys);
    if (below(8) == 0)
        kv_abort(t);
    else
        cr_assert_eq(kv_commit(t), 0);
}

static void empty(struct fixture *x)
{
    uint8_t key[64];
    struct kv_txn *t;

    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    for (int i = 0; i < 6000; i++) {
        size_t len = any_key(key, 1500);
        cr_assert_eq(kv_del(t, (unsigned)i % 2, key, len), 0);
    }
    cr_assert_eq(kv_commit(t), 0);
}

static void fill(struct fixture *x, uint64_t seed, int commits)
{
    struct kv_snap *held = NULL;

    rng = seed;
    for (int i = 0; i < commits; i++) {
        commit_some(x, 1500, i % 10 ? 40 : 600);
        cr_assert_eq(verify(x), 0, "seed %d, commit %d: %s", (int)seed, i, why);
        if (i % 20 == 0) {
            kv_snap_end(held); /* meanwhile nothing that was freed is used again */
            held = NULL;
            if (i % 40 == 0)
                cr_assert_eq(kv_snap_begin(x->kv, &held), 0);
        }
        if (i % 50 == 49)
            empty(x);
    }
    kv_snap_end(held);
}

Test(kv_verify, what_lmdb_writes_is_sound)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct fixture x;

        both_setup(&x, true);
        cr_assert_eq(verify(&x), 0, "%s", why);
        fill(&x, seed, 120);
        reopen(&x, 3, 0);
        cr_assert_eq(verify(&x), 0, "%s", why);
        both_teardown(&x);
    }
}

/* ---- the note of who closed it ---- */

static void flip(const struct fixture *x, off_t at)
{
    uint8_t byte;
    int fd = openat(x->dir, "kv/data.mdb", O_RDWR | O_CLOEXEC);

    cr_assert_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 0x41;
    cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

Test(kv_verify, what_was_closed_well_is_not_read_again)
{
    struct timespec times[2];
    struct fixture x;
    struct stat st;

    both_setup(&x, true);
    fill(&x, 9, 3);
    cr_assert_neq(fstatat(x.dir, "kv/closed", &st, 0), 0, "it is open");
    kv_close(x.kv);
    x.kv = NULL;
    cr_assert_eq(fstatat(x.dir, "kv/closed", &st, 0), 0);
    cr_assert_eq(fstatat(x.dir, "kv/data.mdb", &st, 0), 0);
    flip(&x, HEAD_AT + 128);
    cr_assert_eq(kv_verify_lmdb(x.dir, "kv", false, why), -EUCLEAN, "it was changed since");
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    cr_assert_eq(utimensat(x.dir, "kv/data.mdb", times, 0), 0);
    cr_assert_eq(kv_verify_lmdb(x.dir, "kv", false, why), -EUCLEAN, "whatever its times say");
    flip(&x, HEAD_AT + 128);
    cr_assert_eq(kv_verify_lmdb(x.dir, "kv", false, why), 0);
    both_teardown(&x);
}

/* A change in the tick in which the file was closed would have the time that the note has. */
Test(kv_verify, a_note_is_left_when_no_later_change_can_have_the_same_time)
{
    struct timespec now;
    struct fixture x;
    struct stat data;

    both_setup(&x, true);
    for (int i = 0; i < 20; i++) {
        fill(&x, 1, i + 1);
        kv_close(x.kv);
        cr_assert_eq(clock_gettime(CLOCK_REALTIME_COARSE, &now), 0);
        cr_assert_eq(fstatat(x.dir, "kv/closed", &(struct stat){0}, 0), 0);
        cr_assert_eq(fstatat(x.dir, "kv/data.mdb", &data, 0), 0);
        cr_assert(now.tv_sec > data.st_ctim.tv_sec || now.tv_nsec > data.st_ctim.tv_nsec);
        cr_assert_eq(both_open(&x, 2, 0), 0);
    }
    both_teardown(&x);
}

/* ---- damaged ones ---- */

static void put_bytes(uint8_t *at, size_t len)
{
    static const uint64_t likely[] = {0,    1,     2,          15,      16,         4095,
                                      4096, 65535, 0x7fffffff, 1 << 20, UINT64_MAX, 8};
    uint64_t v = below(2) ? likely[below(sizeof likely / sizeof *likely)] : below(300);

    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(v >> 8 * i);
}

/* Heads of pages, offsets, nodes, any bit, a page in place of another. */
static void damage(uint8_t *file, uint64_t pages)
{
    uint64_t n = below(pages);

    while (get_le64(file + n * PAGE) != n) /* the middle of a value */
        n = below(pages);
    uint8_t *page = file + n * PAGE;

    switch (below(6)) {
    case 0:
        put_bytes(page + 8 + 2 * below(4), 2);
        break;
    case 1:
        put_bytes(page, 8);
        break;
    case 2:
        put_bytes(page + 16 + 2 * below(60), 2);
        break;
    case 3:
        put_bytes(page + 8 * below(512), 4);
        break;
    case 4:
        memcpy(page, file + below(pages) * PAGE, PAGE);
        break;
    default:
        page[below(below(2) ? 200 : PAGE)] ^= (uint8_t)(1u << below(8));
    }
}

static uint8_t *load(const struct fixture *x, size_t *ret_len)
{
    struct stat st;
    int fd = openat(x->dir, "kv/data.mdb", O_RDONLY | O_CLOEXEC);

    cr_assert_eq(fstat(fd, &st), 0);
    uint8_t *p = malloc((size_t)st.st_size);
    cr_assert_eq(pread(fd, p, (size_t)st.st_size, 0), st.st_size);
    close(fd);
    *ret_len = (size_t)st.st_size;
    return p;
}

static void store(const struct fixture *x, const uint8_t *p, size_t len)
{
    int fd = openat(x->dir, "kv/data.mdb", O_WRONLY | O_CLOEXEC);

    cr_assert_eq(pwrite(fd, p, len, 0), (ssize_t)len);
    close(fd);
}

/* Read all of it, change some, and read again. Values may be damaged: that is an error. */
static void use(struct fixture *x)
{
    uint8_t val[300] = {0}, key[64];
    struct kv_txn *t;

    if (both_open(x, 2, 0) < 0)
        return;
    for (int round = 0; round < 2; round++) {
        for (unsigned table = 0; table < 2; table++) {
            struct kv_each e = {.table = table};

            if (kv_snap_begin(x->kv, &e.snap) < 0)
                return;
            while (kv_next(&e))
                ;
            kv_snap_end(e.snap);
        }
        if (kv_txn_begin(x->kv, &t) < 0)
            return;
        for (int i = 0; i < 300; i++) {
            size_t len = any_key(key, 1500);
            (void)(i % 3 ? kv_put(t, 0, key, len, val, below(sizeof val)) : kv_del(t, 1, key, len));
        }
        (void)kv_commit(t);
    }
}

static void must_survive(struct fixture *x, int n)
{
    int status;
    pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child == 0) {
        alarm(60);
        use(x);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "damage %d was found sound: %x", n,
              status);
}

Test(kv_verify, no_damage_that_it_passes_takes_lmdb_anywhere)
{
    struct fixture x;
    size_t len;
    int found = 0;

    both_setup(&x, true);
    fill(&x, 5, 40);
    kv_close(x.kv);
    x.kv = NULL;
    uint8_t *was = load(&x, &len), *is = malloc(len);
    for (int i = 0; i < 800; i++) {
        memcpy(is, was, len);
        for (uint64_t n = 1 + below(3); n > 0; n--)
            damage(is, len / PAGE);
        store(&x, is, len);
        int r = verify(&x);
        cr_assert(r == 0 || r == -EUCLEAN, "%d", r);
        found += r != 0;
        if (r == 0 && memcmp(is, was, len) != 0 && i % 4 == 0)
            must_survive(&x, i);
    }
    cr_assert_gt(found, 300);
    free(was);
    free(is);
    both_teardown(&x);
}

/* The page with the records of the tables, which opening reads. */
static uint64_t root_of(const uint8_t *file)
{
    bool second = get_le64(file + PAGE + HEAD_AT + 128) > get_le64(file + HEAD_AT + 128);

    return get_le64(file + second * PAGE + HEAD_AT + 72 + 40);
}

/* ---- what can be read of them ---- */

#define ROWS_MAX 4000

struct row {
    unsigned table;
    uint8_t key[64];
    size_t klen, len;
};

static struct row rows[ROWS_MAX];

static unsigned list_rows(struct fixture *x, struct row *out)
{
    unsigned n = 0;

    cr_assert_eq(both_open(x, 2, KV_READONLY), 0);
    for (unsigned table = 0; table < 2; table++) {
        const void *at = NULL, *v;
        size_t klen = 0, len;
        struct kv_snap *s;

        cr_assert_eq(kv_snap_begin(x->kv, &s), 0);
        while (kv_snap_seek(s, table, at, klen, klen > 0, &at, &klen, &v, &len) == 0) {
            cr_assert_lt(n, ROWS_MAX);
            out[n] = (struct row){.table = table, .klen = klen, .len = len};
            memcpy(out[n++].key, at, klen);
        }
        kv_snap_end(s);
    }
    kv_close(x->kv);
    x->kv = NULL;
    return n;
}

static void remove_kept(const struct fixture *x, const char *kept)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "closed", "salvaged"};

    for (int i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", kept, names[i]);
        (void)unlinkat(x->dir, path, 0);
    }
    cr_assert_eq(unlinkat(x->dir, kept, AT_REMOVEDIR), 0);
}

/* How many rows are found, and that each of them was there. */
static unsigned salvage(struct fixture *x, unsigned before, struct kv_salvaged *ret)
{
    static struct row found[ROWS_MAX];
    unsigned at = 0;

    cr_assert_eq(verify(x), -EUCLEAN);
    cr_assert_eq(kv_salvage_lmdb(x->dir, "kv", ret), 0);
    cr_assert_eq(kv_salvage_is_unmended(x->dir, "kv"), 1);
    cr_assert_eq(verify(x), 0, "%s", why);
    unsigned n = list_rows(x, found);
    for (unsigned i = 0; i < n; i++, at++) {
        while (at < before && memcmp(&rows[at], &found[i], sizeof found[i]) != 0)
            at++;
        cr_assert_lt(at, before, "a row that was not there");
    }
    cr_assert_eq(ret->rows, n);
    cr_assert_eq(kv_salvage_is_mended(x->dir, "kv"), 0);
    cr_assert_eq(kv_salvage_is_unmended(x->dir, "kv"), 0);
    remove_kept(x, ret->kept);
    return n;
}

/* The first page of that kind from `from` on that some tree has. */
static uint64_t find_page(const uint8_t *file, size_t len, unsigned flags, uint64_t from)
{
    for (uint64_t n = from; n < len / PAGE; n++)
        if (get_le64(file + n * PAGE) == n && get_le16(file + n * PAGE + 10) == flags)
            return n;
    return root_of(file);
}

Test(kv_verify, what_can_be_read_of_a_damaged_one_is_saved)
{
    static const unsigned kinds[] = {1, 2, 4}; /* branch, leaf, value */
    struct kv_salvaged saved;
    struct fixture x;
    size_t len;

    both_setup(&x, true);
    fill(&x, 11, 30);
    kv_close(x.kv);
    x.kv = NULL;
    unsigned before = list_rows(&x, rows);
    uint8_t *was = load(&x, &len);
    for (int i = 0; i < 12; i++) {
        uint8_t bad[2] = {0xff, 0xff};
        uint64_t page = find_page(was, len, kinds[i % 3], 2 + below(len / PAGE / 4));

        if (page == root_of(was))
            continue;
        store(&x, was, len);
        int fd = openat(x.dir, "kv/data.mdb", O_WRONLY | O_CLOEXEC);
        cr_assert_eq(ftruncate(fd, (off_t)len), 0);
        cr_assert_eq(pwrite(fd, bad, 2, (off_t)page * PAGE + 10), 2);
        close(fd);
        if (verify(&x) == 0)
            continue; /* it is free */
        unsigned n = salvage(&x, before, &saved);
        cr_assert(saved.lost ? n < before && n > 0 : n == before, "%u of %u", n, before);
    }
    free(was);
    both_teardown(&x);
}

/* The salvaged one has its place, and the damaged one was not renamed any more. */
Test(kv_verify, a_salvage_that_was_cut_off_leaves_the_damaged_one_to_the_next)
{
    struct kv_salvaged saved;
    struct stat was, now;
    struct fixture x;

    both_setup(&x, true);
    fill(&x, 11, 30);
    kv_close(x.kv);
    x.kv = NULL;
    cr_assert_eq(fstatat(x.dir, "kv/data.mdb", &was, 0), 0);
    cr_assert_eq(kv_salvage_lmdb(x.dir, "kv", &saved), 0);
    cr_assert_eq(renameat(x.dir, saved.kept, x.dir, "kv.new"), 0);
    cr_assert_eq(kv_salvage_lmdb(x.dir, "kv", &saved), 0);
    cr_assert_str_eq(saved.kept, "kv.damaged.2");
    cr_assert_eq(fstatat(x.dir, "kv.damaged/data.mdb", &now, 0), 0);
    cr_assert_eq(now.st_ino, was.st_ino);
    cr_assert_eq(now.st_size, was.st_size);
    remove_kept(&x, "kv.damaged");
    remove_kept(&x, saved.kept);
    cr_assert_eq(kv_salvage_is_mended(x.dir, "kv"), 0);
    both_teardown(&x);
}

static int fatal(const char *file, uint64_t offset)
{
    (void)file;
    (void)offset;
    return 3;
}

/* Page after page of what nobody has verified. */
static void read_all(struct fixture *x)
{
    uint8_t buf[KV_VALUE_MAX], key[64];
    size_t len;

    if (mapped_catch_faults(fatal) < 0 || both_open(x, 2, KV_READONLY) < 0)
        _exit(4);
    for (unsigned table = 0; table < 2; table++) {
        struct kv_each e = {.table = table};

        if (kv_snap_begin(x->kv, &e.snap) < 0)
            _exit(5);
        while (kv_next(&e))
            ;
        kv_snap_end(e.snap);
        for (int i = 0; i < 100; i++)
            (void)kv_get(x->kv, table, key, any_key(key, 1500), buf, sizeof buf, &len);
    }
}

Test(kv_verify, reading_what_nobody_verified_ends_and_does_not_end_the_process)
{
    struct fixture x;
    size_t len;

    both_setup(&x, true);
    fill(&x, 6, 40);
    kv_close(x.kv);
    x.kv = NULL;
    uint8_t *was = load(&x, &len), *is = malloc(len);
    for (int i = 0; i < 150; i++) {
        int status;

        memcpy(is, was, len);
        for (uint64_t n = 1 + below(8); n > 0; n--)
            damage(is, len / PAGE);
        memcpy(is, was, 2 * PAGE);
        memcpy(is + root_of(was) * PAGE, was + root_of(was) * PAGE, PAGE);
        store(&x, is, len);
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            read_all(&x);
            _exit(0);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "damage %d: %x", i, status);
    }
    free(was);
    free(is);
    both_teardown(&x);
}

Test(kv_verify, a_head_that_no_commit_leaves_is_damage)
{
    struct fixture x;

    both_setup(&x, true);
    fill(&x, 7, 6);
    for (int head = 0; head < 2; head++)
        for (off_t at = HEAD_AT; at < HEAD_AT + 136; at++) {
            flip(&x, head * PAGE + at);
            bool unused =
                at < HEAD_AT + 24 && at >= HEAD_AT + 8; /* an address, and the size of the map */
            int r = verify(&x);
            flip(&x, head * PAGE + at);
            if (at < HEAD_AT + 8 || at >= HEAD_AT + 128)
                cr_assert_eq(r, -EUCLEAN, "head %d, byte %d", head, (int)at);
            cr_assert(!unused || r == 0, "head %d, byte %d", head, (int)at);
        }
    both_teardown(&x);
}
