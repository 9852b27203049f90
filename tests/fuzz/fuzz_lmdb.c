// SPDX-License-Identifier: Apache-2.0
/*
 * LMDB's file, damaged: lmdb_walk ends, within the file's bounds, and says how it is damaged; what
 * it finds sound can be read by LMDB to its end. Input: changes of a sound file of some tables, 5
 * bytes each: where (4, modulo the length), and the byte that stands there then. An odd rest cuts
 * the file.
 */
#include "bytes.h"
#include "fuzz.h"
#include "io.h"
#include "kv.h"
#include "lmdb_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct kv_table tables[] = {
    {.name = "one", .checks_itself = true}, {.name = "two"}, {.name = "empty"}};

static char dir[256];
static int dirfd_of_all;
static uint8_t *sound;
static size_t sound_len;

static void clean_up(void)
{
    (void)unlinkat(dirfd_of_all, "kv/data.mdb", 0);
    (void)unlinkat(dirfd_of_all, "kv/lock.mdb", 0);
    (void)unlinkat(dirfd_of_all, "kv/closed", 0);
    (void)unlinkat(dirfd_of_all, "kv", AT_REMOVEDIR);
    (void)rmdir(dir);
}

/* Several pages of short rows, one value on pages of its own, and pages that are free again. */
static void fill(struct kv *kv)
{
    static uint8_t val[10000];
    uint8_t key[8];
    struct kv_txn *t;

    for (unsigned round = 0; round < 3; round++) {
        MUST(kv_txn_begin(kv, &t) == 0);
        for (unsigned i = 0; i < 120; i++) {
            put_be64(key, i * 7 + round);
            MUST(kv_put(t, i % 2, key, 8, val, 20 + i % 90) == 0);
        }
        for (unsigned i = 0; round > 0 && i < 100; i++) {
            put_be64(key, i * 7 + round - 1);
            MUST(kv_del(t, i % 2, key, 8) == 0);
        }
        MUST(kv_put(t, 0, "large", 5, val, sizeof val) == 0);
        MUST(kv_commit(t) == 0);
    }
}

static void make_sound(void)
{
    const char *tmp = getenv("TMPDIR");
    struct kv *kv;
    off_t len;
    int fd;

    snprintf(dir, sizeof dir, "%s/tally-fuzz-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    MUST(mkdtemp(dir));
    dirfd_of_all = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(dirfd_of_all >= 0 && atexit(clean_up) == 0);
    MUST(kv_open_lmdb(dirfd_of_all, "kv", tables, 3, KV_CREATE, &kv) == 0);
    fill(kv);
    kv_close(kv);
    fd = openat(dirfd_of_all, "kv/data.mdb", O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0);
    len = lseek(fd, 0, SEEK_END);
    MUST(len > 0);
    sound_len = (size_t)len;
    sound = malloc(sound_len);
    MUST(sound && io_pread(fd, sound, sound_len, 0) == (ssize_t)sound_len);
    close(fd);
}

/* A file in memory with those bytes. */
static int file_with(const uint8_t *bytes, size_t len)
{
    int fd = memfd_create("lmdb", MFD_CLOEXEC);

    MUST(fd >= 0 && io_pwrite(fd, bytes, len, 0) == 0);
    return fd;
}

/* What the walk found sound is given to LMDB. */
static void read_by_lmdb(const uint8_t *bytes, size_t len)
{
    int fd = openat(dirfd_of_all, "kv/data.mdb", O_WRONLY | O_TRUNC | O_CLOEXEC);
    struct kv *kv;

    MUST(fd >= 0 && io_pwrite(fd, bytes, len, 0) == 0);
    close(fd);
    int r = kv_open_lmdb(dirfd_of_all, "kv", tables, 3, KV_READONLY, &kv);
    if (r < 0) /* it has no table, or another error that says so */
        return;
    for (unsigned i = 0; i < 3; i++) {
        struct kv_each e = {.table = i};
        size_t sum = 0;

        MUST(kv_snap_begin(kv, &e.snap) == 0);
        while (kv_next(&e))
            for (size_t at = 0; e.len != KV_DAMAGED && at < e.len; at++)
                sum += ((const uint8_t *)e.val)[at];
        MUST(sum < SIZE_MAX);
        kv_snap_end(e.snap);
    }
    kv_close(kv);
}

static int count_row(void *ctx, const void *table, size_t tlen, const void *key, size_t klen,
                     const void *val, size_t vlen)
{
    size_t *sum = ctx;

    for (size_t i = 0; i < tlen; i++)
        *sum += ((const uint8_t *)table)[i];
    for (size_t i = 0; i < klen; i++)
        *sum += ((const uint8_t *)key)[i];
    for (size_t i = 0; i < vlen; i++)
        *sum += ((const uint8_t *)val)[i];
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char why[KV_WHY] = "";
    size_t sum = 0, n;
    struct lmdb_rows rows = {.row = count_row, .ctx = &sum, .value_max = KV_VALUE_MAX};
    uint64_t txn;

    if (!sound)
        make_sound();
    uint8_t *bytes = malloc(sound_len);
    MUST(bytes);
    memcpy(bytes, sound, sound_len);
    for (size_t i = 0; i + 5 <= len; i += 5)
        bytes[get_le32(data + i) % sound_len] = data[i + 4];
    n = len % 5 == 4 ? get_le32(data + len - 4) % sound_len : sound_len;
    int fd = file_with(bytes, n);
    int r = lmdb_walk(fd, why, sizeof why);

    MUST(r == 0 || (r == -EUCLEAN && *why));
    MUST(len >= 4 || r == 0);
    if (r == 0)
        read_by_lmdb(bytes, n);
    r = lmdb_walk_head(fd, &txn);
    MUST(r == 0 || r == -EUCLEAN);
    r = lmdb_walk_rows(fd, &rows, why, sizeof why);
    MUST(r == 0 || r == -EUCLEAN);
    close(fd);
    free(bytes);
    return 0;
}
