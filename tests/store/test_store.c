// SPDX-License-Identifier: Apache-2.0
/* test_store: making and owning a store in a directory of the machine. */
#include "bytes.h"
#include "check.h"
#include "feature_flags.h"
#include "record.h"
#include "store_dir.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char dir[64], path[128], why[STORE_WHY];
};

static void setup(struct place *x)
{
    strcpy(x->dir, "/tmp/tally-store-XXXXXX");
    cr_assert_not_null(mkdtemp(x->dir));
    snprintf(x->path, sizeof x->path, "%s/store", x->dir);
    x->why[0] = 0;
}

static void teardown(struct place *x)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", x->dir);
    cr_assert_eq(system(command), 0);
}

static void made(struct place *x)
{
    setup(x);
    cr_assert_eq(store_init(x->path, "org/project", NULL, NULL, 0, x->why), 0, "%s", x->why);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    cr_assert_geq(fputs(text, f), 0);
    cr_assert_eq(fclose(f), 0);
}

static bool is_there(const char *dir, const char *name)
{
    char path[256];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return lstat(path, &st) == 0;
}

static void says(const struct place *x, const char *part)
{
    cr_assert(strstr(x->why, part), "'%s' is not in '%s'", part, x->why);
}

static void count(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)what;
    (void)where;
    (void)sentence;
    ++*(int *)ctx;
}

Test(store, a_new_one_opens_and_is_clean)
{
    struct place x;
    struct store_dir s;
    struct check_result r;
    int findings = 0;
    struct check_options o = {.found = count, .ctx = &findings};

    made(&x);
    cr_assert(store_exists(x.path));
    cr_assert_eq(store_dir_open(x.path, STORE_READONLY, "check", x.path, &s, x.why), 0, "%s",
                 x.why);
    cr_assert_eq(store_check(s.disk, s.kv, &o, &r), 0);
    cr_assert_eq(r.problems, 0);
    cr_assert_eq(findings, 0);
    cr_assert_eq(r.namespaces, 1);
    store_dir_close(&s);
    teardown(&x);
}

Test(store, an_empty_directory_and_an_empty_label_will_do)
{
    struct place x;

    setup(&x);
    cr_assert_eq(mkdir(x.path, 0700), 0);
    cr_assert_eq(store_init(x.path, "", NULL, NULL, 0, x.why), 0, "%s", x.why);
    teardown(&x);
}

Test(store, a_second_owner_is_told_the_first)
{
    struct place x;
    struct store_dir s, t;
    char part[64];

    made(&x);
    cr_assert_eq(store_dir_open(x.path, 0, "mount", "/mnt/some where", &s, x.why), 0, "%s", x.why);
    cr_assert_eq(store_dir_open(x.path, 0, "mount", "/else", &t, x.why), -EBUSY);
    snprintf(part, sizeof part, "mounted at /mnt/some where by process %d;", (int)getpid());
    says(&x, part);
    says(&x, "tally umount /mnt/some where");
    cr_assert_eq(store_dir_open(x.path, STORE_READONLY, "check", x.path, &t, x.why), -EBUSY);
    says(&x, part);
    store_dir_close(&s);
    teardown(&x);
}

Test(store, a_check_excludes_a_mount)
{
    struct place x;
    struct store_dir s, t;

    made(&x);
    cr_assert_eq(store_dir_open(x.path, STORE_READONLY, "check", x.path, &s, x.why), 0, "%s",
                 x.why);
    cr_assert_eq(store_dir_open(x.path, 0, "mount", "/mnt", &t, x.why), -EBUSY);
    says(&x, "tally check");
    store_dir_close(&s);
    cr_assert_eq(store_dir_open(x.path, 0, "mount", "/mnt", &t, x.why), 0, "%s", x.why);
    store_dir_close(&t);
    teardown(&x);
}

/* As systemd-tmpfiles asks before it deletes what is old in a directory. */
Test(store, its_directory_is_locked_while_it_is_open_and_keeps_no_owner_out)
{
    static const unsigned flags[] = {0, STORE_READONLY};
    struct place x;
    struct store_dir s;

    made(&x);
    int fd = open(x.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(flock(fd, LOCK_SH | LOCK_NB), 0);
        cr_assert_eq(store_dir_open(x.path, flags[i], "mount", "/mnt", &s, x.why), 0, "%s", x.why);
        cr_assert(flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
        store_dir_close(&s);
        cr_assert_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
        cr_assert_eq(store_dir_open(x.path, flags[i], "mount", "/mnt", &s, x.why), 0, "%s", x.why);
        store_dir_close(&s); /* opened without it */
        cr_assert_eq(flock(fd, LOCK_UN), 0);
    }
    close(fd);
    teardown(&x);
}

Test(store, one_opened_for_reading_is_not_written)
{
    struct place x;
    struct store_dir s;
    struct kv_txn *t;

    made(&x);
    cr_assert_eq(store_dir_open(x.path, STORE_READONLY, "check", x.path, &s, x.why), 0, "%s",
                 x.why);
    cr_assert_eq(kv_txn_begin(s.kv, &t), -EROFS);
    cr_assert_eq(disk_mkdir(s.disk, "new"), -EROFS);
    store_dir_close(&s);
    teardown(&x);
}

Test(store, a_directory_with_something_in_it_is_left_alone)
{
    struct place x;

    setup(&x);
    cr_assert_eq(mkdir(x.path, 0700), 0);
    write_file(x.path, "mine", "text");
    cr_assert_eq(store_init(x.path, "org/project", NULL, NULL, 0, x.why), -ENOTEMPTY);
    says(&x, "not empty");
    cr_assert(is_there(x.path, "mine"));
    cr_assert_not(is_there(x.path, "lock"));
    cr_assert_not(store_exists(x.path));
    teardown(&x);
}

Test(store, a_store_is_not_made_twice)
{
    struct place x;

    made(&x);
    cr_assert_eq(store_init(x.path, "org/project", NULL, NULL, 0, x.why), -EEXIST);
    says(&x, "a store already");
    cr_assert(store_exists(x.path));
    teardown(&x);
}

Test(store, within_a_store_none_is_made)
{
    struct place x;
    char inner[160];

    made(&x);
    snprintf(inner, sizeof inner, "%s/objects/inner", x.path);
    cr_assert_eq(store_init(inner, "org/project", NULL, NULL, 0, x.why), -EINVAL);
    says(&x, "lies in the store");
    says(&x, x.path);
    cr_assert_not(is_there(x.path, "objects/inner"));
    teardown(&x);
}

Test(store, parents_are_not_made)
{
    struct place x;
    char deep[256];

    setup(&x);
    snprintf(deep, sizeof deep, "%s/a/b", x.dir);
    cr_assert_eq(store_init(deep, "org/project", NULL, NULL, 0, x.why), -ENOENT);
    says(&x, deep);
    teardown(&x);
}

Test(store, a_failed_init_leaves_nothing)
{
    static const char *const bad[] = {"noslash", "/x", "x/", "a/b/c", "a b/c", "a/b\n"};
    struct place x;

    setup(&x);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(store_init(x.path, bad[i], NULL, NULL, 0, x.why), -EINVAL, "%s", bad[i]);
        says(&x, "ORG/PROJECT");
        cr_assert_not(is_there(x.dir, "store"));
    }
    teardown(&x);
}

static void read_text(const char *path, char out[STORE_TEXT_MAX])
{
    FILE *f = fopen(path, "r");

    cr_assert_not_null(f);
    cr_assert_gt(fread(out, 1, STORE_TEXT_MAX - 1, f), 0);
    cr_assert_eq(fclose(f), 0);
}

static void is_version(const struct place *x, const char *version)
{
    char path[256], text[64] = "";

    snprintf(path, sizeof path, "%s/tally-store", x->path);
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f);
    cr_assert_not_null(fgets(text, sizeof text, f));
    cr_assert_eq(fclose(f), 0);
    cr_assert_str_eq(text, version);
}

Test(store, one_of_a_version_before_is_of_this_one_once_it_may_be_written)
{
    static const char *const before[] = {"tallyfs store 2\n", "tallyfs store 3\n",
                                         "tallyfs store 4\n", "tallyfs store 5\n"};
    struct place x;
    struct store_dir s;

    made(&x);
    is_version(&x, "tallyfs store 6\n");
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        write_file(x.path, "tally-store", before[i]);
        cr_assert_eq(store_dir_open(x.path, STORE_READONLY, "check", x.path, &s, x.why), 0, "%s",
                     x.why);
        store_dir_close(&s);
        is_version(&x, before[i]);
        cr_assert_eq(store_dir_open(x.path, 0, "mount", "/mnt", &s, x.why), 0, "%s", x.why);
        is_version(&x, "tallyfs store 6\n");
        store_dir_close(&s);
    }
    teardown(&x);
}

static void set_features(const struct place *x, uint64_t compatible, uint64_t read_only,
                         uint64_t incompatible)
{
    const struct store_text t = {
        .features = {
            .mask = {compatible, read_only, incompatible},
            .names = {"", [FEATURE_READ_ONLY] = {read_only ? ' ' : 0, 'q', 'u', 'i', 'c', 'k'},
                      [FEATURE_INCOMPATIBLE] = {incompatible ? ' ' : 0, 'f', 'a', 'r'}}}};
    char text[STORE_TEXT_MAX + 1];

    (void)store_text_encode(&t, text);
    write_file(x->path, "tally-store", text);
}

static int open_with(struct place *x, unsigned flags)
{
    struct store_dir s;
    int err = store_dir_open(x->path, flags, "mount", "/mnt", &s, x->why);

    if (err == 0)
        store_dir_close(&s);
    return err;
}

Test(store, a_feature_that_is_not_known_is_named)
{
    struct place x;

    made(&x);
    set_features(&x, 0, 0, 1ull << 63);
    cr_assert_eq(open_with(&x, 0), -EPROTO);
    says(&x, "was written by a newer version of tally: it uses incompatible 63 (far)");
    cr_assert_eq(open_with(&x, STORE_READONLY), -EPROTO);
    says(&x, "incompatible 63 (far), which this one does not know");
    set_features(&x, 0, 1ull << 63, 0);
    cr_assert_eq(open_with(&x, 0), -EPROTO);
    says(&x, "it uses read_only 63 (quick), so this one can read it (tally check)");
    cr_assert_eq(open_with(&x, STORE_SALVAGE), -EPROTO);
    cr_assert_eq(open_with(&x, STORE_READONLY), 0, "%s", x.why);
    teardown(&x);
}

#define ALWAYS (FEATURE_ABSENT_OBJECTS | FEATURE_HELD_ROOTS | FEATURE_ARCHIVE)

Test(store, a_feature_that_harms_nobody_is_kept)
{
    char path[256], before[STORE_TEXT_MAX] = "", after[STORE_TEXT_MAX] = "";
    struct place x;

    made(&x);
    set_features(&x, 1ull << 63, FEATURE_QUOTAS, ALWAYS);
    snprintf(path, sizeof path, "%s/tally-store", x.path);
    read_text(path, before);
    cr_assert_eq(open_with(&x, 0), 0, "%s", x.why);
    read_text(path, after);
    cr_assert_str_eq(before, after);
    teardown(&x);
}

Test(store, what_any_store_may_have_is_a_feature_from_the_first_opening_for_writing_on)
{
    static const uint64_t before[] = {0, FEATURE_HELD_ROOTS, FEATURE_ARCHIVE};
    char path[256], text[STORE_TEXT_MAX];
    struct store_text t;
    struct place x;

    made(&x);
    snprintf(path, sizeof path, "%s/tally-store", x.path);
    for (size_t i = 0; i < 3; i++) {
        set_features(&x, 0, 0, before[i]);
        cr_assert_eq(open_with(&x, STORE_READONLY), 0, "%s", x.why);
        memset(text, 0, sizeof text);
        read_text(path, text);
        cr_assert_eq(store_text_decode(text, strlen(text), &t), 0, "%s", text);
        cr_assert_eq(t.features.mask[FEATURE_INCOMPATIBLE], before[i]);
        cr_assert_eq(open_with(&x, 0), 0, "%s", x.why);
        memset(text, 0, sizeof text);
        read_text(path, text);
        cr_assert_eq(store_text_decode(text, strlen(text), &t), 0, "%s", text);
        cr_assert_eq(t.features.mask[FEATURE_INCOMPATIBLE], ALWAYS);
        cr_assert_eq(t.features.mask[FEATURE_READ_ONLY], FEATURE_QUOTAS);
    }
    teardown(&x);
}

Test(store, records_are_compressed_only_after_a_feature_says_so)
{
    char path[256], text[STORE_TEXT_MAX] = "";
    struct state_compression c;
    struct store_dir s;
    struct store_text t;
    struct place x;

    made(&x);
    snprintf(path, sizeof path, "%s/tally-store", x.path);
    cr_assert_eq(store_dir_open(x.path, 0, "mount", "/mnt", &s, x.why), 0, "%s", x.why);
    c = store_get_compression(&s);
    cr_assert(!c.on);
    cr_assert_eq(c.raise(c.ctx), 0);
    read_text(path, text);
    cr_assert_eq(store_text_decode(text, strlen(text), &t), 0, "%s", text);
    cr_assert_eq(t.features.mask[FEATURE_INCOMPATIBLE], ALWAYS | FEATURE_COMPRESSED_RECORDS);
    cr_assert(strstr(text, " compressed-records absent-objects"), "%s", text);
    cr_assert(store_get_compression(&s).on);
    store_dir_close(&s);
    cr_assert_eq(store_dir_open(x.path, 0, "mount", "/mnt", &s, x.why), 0, "%s", x.why);
    cr_assert(store_get_compression(&s).on);
    store_dir_close(&s);
    teardown(&x);
}

Test(store, one_whose_features_cannot_be_read_is_damaged)
{
    struct place x;

    made(&x);
    write_file(x.path, "tally-store", "tallyfs store 6\ncompatible=0\n");
    cr_assert_eq(open_with(&x, STORE_READONLY), -EUCLEAN);
    says(&x, "its file tally-store is not as it was written");
    cr_assert_eq(store_init(x.path, "", NULL, NULL, 0, x.why), -EEXIST);
    teardown(&x);
}

Test(store, what_is_no_store_is_not_opened)
{
    struct place x;
    struct store_dir s;

    setup(&x);
    cr_assert_eq(store_dir_open(x.path, 0, "mount", "/mnt", &s, x.why), -ENOENT);
    cr_assert_eq(store_dir_open(x.dir, 0, "mount", "/mnt", &s, x.why), -ENOENT);
    says(&x, "is not a store");
    says(&x, "`tally init ");
    write_file(x.dir, "somebodys", "");
    cr_assert_eq(store_dir_open(x.dir, 0, "mount", "/mnt", &s, x.why), -ENOENT);
    says(&x, "is not a store: there is something else in it");
    cr_assert_not(is_there(x.dir, "lock"));
    write_file(x.dir, "tally-store", "tallyfs store 7\n");
    cr_assert_eq(store_dir_open(x.dir, 0, "mount", "/mnt", &s, x.why), -EPROTO);
    says(&x, "newer");
    write_file(x.dir, "tally-store", "tallyfs store 1 in a pool\n");
    cr_assert_eq(store_dir_open(x.dir, 0, "mount", "/mnt", &s, x.why), -EPROTO);
    says(&x, "older");
    cr_assert_eq(store_init(x.dir, "", NULL, NULL, 0, x.why), -EEXIST);
    teardown(&x);
}

/* ---- metadata that was damaged ---- */

#define KV_PAGE 4096
#define IS_LEAF 2

static void set_flags(int fd, off_t page, uint16_t flags)
{
    cr_assert_eq(pwrite(fd, &flags, 2, page + 10), 2);
}

/* The last leaf in use is none; a leaf that is free is found sound, and left. The file was written
 * at another time than when it was closed: the clock of a filesystem has ticks of milliseconds. */
static void spoil_leaf(const struct place *x)
{
    char path[256], why[KV_WHY];
    uint16_t flags = 0;

    snprintf(path, sizeof path, "%s/kv/data.mdb", x->path);
    int fd = open(path, O_RDWR | O_CLOEXEC), dir = open(x->path, O_RDONLY | O_CLOEXEC);
    cr_assert(fd >= 0 && dir >= 0);
    for (off_t at = lseek(fd, 0, SEEK_END) - KV_PAGE; kv_verify_lmdb(dir, "kv", true, why) == 0;
         at -= KV_PAGE) {
        cr_assert_gt(at, KV_PAGE);
        if (flags == IS_LEAF)
            set_flags(fd, at + KV_PAGE, IS_LEAF);
        cr_assert_eq(pread(fd, &flags, 2, at + 10), 2);
        if (flags == IS_LEAF)
            set_flags(fd, at, 64);
    }
    cr_assert_eq(futimens(fd, (const struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}), 0);
    close(dir);
    close(fd);
}

/* ---- counts of pages ---- */

#define COUNTS 6

static uint64_t counted_page(unsigned i)
{
    return 3 + i * 40;
}

static void put_counts(const struct place *x)
{
    char why[STORE_WHY];
    struct store_dir s;
    struct kv_txn *t;

    cr_assert_eq(store_dir_open(x->path, 0, "mount", "", &s, why), 0, "%s", why);
    cr_assert_eq(kv_txn_begin(s.kv, &t), 0);
    for (unsigned i = 0; i < COUNTS; i++) {
        uint8_t key[8], val[4];
        put_be64(key, counted_page(i));
        put_le32(val, 0xabcde000 + i); /* for find_key */
        cr_assert_eq(kv_put(t, TABLE_PAGE_COUNTS, key, sizeof key, val, sizeof val), 0);
    }
    cr_assert_eq(kv_commit(t), 0);
    store_dir_close(&s);
}

/* Where the key of that row is in the file, which has it once. */
static off_t find_key(int fd, unsigned i)
{
    uint8_t row[12];
    struct stat st;

    put_be64(row, counted_page(i));
    put_le32(row + 8, 0xabcde000 + i);
    cr_assert_eq(fstat(fd, &st), 0);
    size_t len = (size_t)st.st_size;
    uint8_t *p = malloc(len);
    cr_assert_eq(pread(fd, p, len, 0), (ssize_t)len);
    uint8_t *at = memmem(p, len, row, sizeof row);
    cr_assert_not_null(at);
    off_t place = at - p;
    cr_assert_null(memmem(at + 1, len - (size_t)place - 1, row, sizeof row));
    free(p);
    return place;
}

static int open_tables(const struct place *x)
{
    char path[256];

    snprintf(path, sizeof path, "%s/kv/data.mdb", x->path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    return fd;
}

static void flip_bit(int fd, off_t at, unsigned bit)
{
    uint8_t byte;

    at += bit / 8;
    cr_assert_eq(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1U << bit % 8);
    cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
}

Test(store, each_bit_of_the_key_of_a_count_of_a_page_is_seen_before_it_is_used)
{
    struct place x;
    struct store_dir s;
    unsigned named = 0;

    made(&x);
    put_counts(&x);
    int fd = open_tables(&x);
    for (unsigned i = 0; i < COUNTS; i++)
        for (unsigned bit = 0; bit < 64; bit++) {
            off_t at = find_key(fd, i);
            flip_bit(fd, at, bit);
            cr_assert_eq(store_dir_open(x.path, 0, "mount", "", &s, x.why), -EUCLEAN,
                         "row %u, bit %u", i, bit);
            named += strstr(x.why, "the table page_counts has the row with the key ") != NULL;
            flip_bit(fd, at, bit);
        }
    close(fd);
    cr_assert_gt(named, COUNTS * 3, "the others are not in order");
    cr_assert_eq(store_dir_open(x.path, 0, "mount", "", &s, x.why), 0, "%s", x.why);
    store_dir_close(&s);
    teardown(&x);
}

Test(store, a_repair_is_told_of_a_damaged_count_of_a_page_and_a_check_reads_on)
{
    struct place x;
    struct store_dir s;

    made(&x);
    put_counts(&x);
    int fd = open_tables(&x);
    flip_bit(fd, find_key(fd, 0), 57);
    close(fd);
    cr_assert_eq(store_dir_open(x.path, STORE_READONLY | STORE_VERIFY, "check", "", &s, x.why), 0,
                 "%s", x.why);
    store_dir_close(&s);
    cr_assert_eq(store_dir_open(x.path, STORE_SALVAGE, "check", "", &s, x.why), 0, "%s", x.why);
    cr_assert(s.unmended && s.salvaged.rows == 0);
    cr_assert_not(s.rows_lost);
    cr_assert_eq(store_is_mended(&s), 0);
    store_dir_close(&s);
    teardown(&x);
}

Test(store, what_was_saved_of_its_metadata_is_opened_by_nobody_else_before_it_is_mended)
{
    struct place x;
    struct store_dir s;

    made(&x);
    spoil_leaf(&x);
    cr_assert_eq(store_dir_open(x.path, 0, "mount", "", &s, x.why), -EUCLEAN);
    cr_assert_eq(store_dir_open(x.path, STORE_SALVAGE, "check", "", &s, x.why), 0, "%s", x.why);
    cr_assert(s.salvaged.rows && s.unmended && s.rows_lost);
    store_dir_close(&s); /* cut off */
    cr_assert_eq(store_dir_open(x.path, 0, "mount", "", &s, x.why), -EUCLEAN);
    says(&x, "did not come to its end: run `tally check --repair` once more");
    cr_assert_eq(store_dir_open(x.path, STORE_READONLY, "check", "", &s, x.why), -EUCLEAN);
    cr_assert_eq(store_dir_open(x.path, STORE_SALVAGE, "check", "", &s, x.why), 0, "%s", x.why);
    cr_assert(!s.salvaged.rows && s.unmended && s.rows_lost);
    cr_assert_eq(store_is_mended(&s), 0);
    store_dir_close(&s);
    cr_assert_eq(store_dir_open(x.path, 0, "mount", "", &s, x.why), 0, "%s", x.why);
    cr_assert(!s.unmended && !s.rows_lost);
    store_dir_close(&s);
    teardown(&x);
}
