// SPDX-License-Identifier: Apache-2.0
/*
 * fill: many small files into a store that nobody has mounted, by the library that mounts it: a
 * million in seconds, because no request goes through a kernel.
 *
 *     bench-fill STORE NS DIRS FILES BYTES SEED [by-dir]
 *
 * FILES files of BYTES bytes (16 to 4096) in DIRS directories of the new namespace NS, under the
 * names that ops gives them: d<i % DIRS>/f<i / DIRS>. They are made in the order of i; with
 * `by-dir` one directory after the other, as programs that copy do. No two contents are equal, nor
 * are those of two SEEDs. All is sealed and on disk when it ends.
 */
#include "durability.h"
#include "store.h"
#include "store_dir.h"
#include "vfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BYTES_MIN 16
#define BYTES_MAX 4096
#define DIRS_MAX 1000

static const struct vfs_cred cred = {.umask = 022};
static struct state *state;
static uint64_t dirs[DIRS_MAX];
static unsigned char bytes[BYTES_MAX];

static void must(const char *what, int64_t err)
{
    if (err >= 0)
        return;
    fprintf(stderr, "bench-fill: %s: %s\n", what, strerror((int)-err));
    exit(1);
}

static uint64_t number(const char *word, uint64_t min, uint64_t max)
{
    char *end;
    uint64_t n = strtoull(word, &end, 10);

    if (*end || end == word || n < min || n > max)
        must(word, -ERANGE);
    return n;
}

static void make_directory(uint64_t root, uint64_t n)
{
    struct vfs_attr a;
    char name[32];

    snprintf(name, sizeof name, "d%llu", (unsigned long long)n);
    must(name, vfs_mknod(state, root, name, S_IFDIR | 0755, 0, &cred, &a));
    dirs[n] = a.nodeid;
}

/* File i of all. */
static void make_file(uint64_t i, uint64_t dir_count, size_t len, uint64_t seed)
{
    const uint64_t words[2] = {seed, i}, dir = dirs[i % dir_count], n = i / dir_count;
    struct vfs_attr a;
    struct vfs_file *f;
    char name[32];

    memcpy(bytes, words, sizeof words);
    snprintf(name, sizeof name, "f%llu", (unsigned long long)n);
    must(name, vfs_create(state, dir, name, 0644, &cred, VFS_WRITE | VFS_EXCL, &a, &f));
    must(name, vfs_write(f, bytes, len, 0));
    vfs_release(f);
    vfs_forget(state, a.nodeid, 1);
}

static void fill(uint64_t root, uint64_t dir_count, uint64_t files, size_t len, uint64_t seed)
{
    for (uint64_t i = 0; i < dir_count; i++)
        make_directory(root, i);
    for (uint64_t i = 0; i < files; i++)
        make_file(i, dir_count, len, seed);
}

static void fill_by_dir(uint64_t root, uint64_t dir_count, uint64_t files, size_t len,
                        uint64_t seed)
{
    for (uint64_t d = 0; d < dir_count; d++) {
        make_directory(root, d);
        for (uint64_t i = d; i < files; i += dir_count)
            make_file(i, dir_count, len, seed);
    }
}

int main(int argc, char **argv)
{
    struct state_config config = {.clock = clock_real(), .background = true};
    char why[STORE_WHY] = "";
    struct store_dir store;
    struct vfs_attr a;

    if (argc != 7 && !(argc == 8 && strcmp(argv[7], "by-dir") == 0)) {
        fprintf(stderr, "usage: bench-fill STORE NS DIRS FILES BYTES SEED [by-dir]\n");
        return 2;
    }
    if (store_dir_open(argv[1], 0, "bench", argv[1], &store, why) < 0) {
        fprintf(stderr, "bench-fill: %s\n", why);
        return 1;
    }
    config.disk = store.disk;
    config.kv = store.kv;
    config.pool = store_get_pool(&store);
    must(argv[1], store_open(&config, &state));
    must(argv[2], vfs_mknod(state, VFS_ROOT, argv[2], S_IFDIR | 0755, 0, &cred, &a));
    (argc == 8 ? fill_by_dir : fill)(a.nodeid, number(argv[3], 1, DIRS_MAX),
                                     number(argv[4], 1, UINT32_MAX),
                                     number(argv[5], BYTES_MIN, BYTES_MAX),
                                     number(argv[6], 0, UINT64_MAX));
    must("drain", flush_drain(state, false, -1, NULL));
    must("closing", store_close(state));
    store_dir_close(&store);
    return 0;
}
