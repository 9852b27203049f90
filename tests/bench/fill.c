// SPDX-License-Identifier: Apache-2.0
/*
 * fill: many small files into a store that nobody has mounted, by the library that mounts it: a
 * million in seconds, because no request goes through a kernel.
 *
 *     bench-fill STORE NS DIRS FILES BYTES SEED
 *
 * FILES files of BYTES bytes (16 to 4096) in DIRS directories of the new namespace NS, under the
 * names that ops gives them: d<i % DIRS>/f<i / DIRS>. No two contents are equal, nor are those of
 * two SEEDs. All is sealed and on disk when it ends.
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

static void make_directories(uint64_t root, uint64_t count)
{
    struct vfs_attr a;
    char name[32];

    for (uint64_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "d%llu", (unsigned long long)i);
        must(name, vfs_mknod(state, root, name, S_IFDIR | 0755, 0, &cred, &a));
        dirs[i] = a.nodeid;
    }
}

static void make_file(uint64_t dir, uint64_t n, size_t len)
{
    struct vfs_attr a;
    struct vfs_file *f;
    char name[32];

    snprintf(name, sizeof name, "f%llu", (unsigned long long)n);
    must(name, vfs_create(state, dir, name, 0644, &cred, VFS_WRITE | VFS_EXCL, &a, &f));
    must(name, vfs_write(f, bytes, len, 0));
    vfs_release(f);
    vfs_forget(state, a.nodeid, 1);
}

static void fill(const char *ns, uint64_t dir_count, uint64_t files, size_t len, uint64_t seed)
{
    struct vfs_attr a;

    must(ns, vfs_mknod(state, VFS_ROOT, ns, S_IFDIR | 0755, 0, &cred, &a));
    make_directories(a.nodeid, dir_count);
    for (uint64_t i = 0; i < files; i++) {
        uint64_t words[2] = {seed, i};
        memcpy(bytes, words, sizeof words);
        make_file(dirs[i % dir_count], i / dir_count, len);
    }
    must("drain", flush_drain(state, false, -1, NULL));
}

int main(int argc, char **argv)
{
    struct state_config config = {.clock = clock_real(), .background = true};
    char why[STORE_WHY] = "";
    struct store_dir store;

    if (argc != 7) {
        fprintf(stderr, "usage: bench-fill STORE NS DIRS FILES BYTES SEED\n");
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
    fill(argv[2], number(argv[3], 1, DIRS_MAX), number(argv[4], 1, UINT32_MAX),
         number(argv[5], BYTES_MIN, BYTES_MAX), number(argv[6], 0, UINT64_MAX));
    must("closing", store_close(state));
    store_dir_close(&store);
    return 0;
}
