// SPDX-License-Identifier: Apache-2.0
/*
 * names: what requests of small files cost inside the daemon: the calls that unpacking a tarball,
 * looking around in it and removing it make of core, with no kernel between.
 *
 *     bench-names STORE NS DIRS FILES [THREADS]
 *
 * FILES files of 4 KiB in DIRS directories of the new namespace NS, by THREADS threads (1), each in
 * directories of its own; then each is looked up, and removed. After that 4 KiB are written at
 * SUBBLOCKS places of a sealed file of LARGE bytes. Tells the nanoseconds of each kind of call, and
 * apart from them what took more than WAIT. Under `valgrind --tool=callgrind` the functions vfs_*
 * show the instructions, which others on the machine do not change.
 */
#include "flush.h"
#include "store.h"
#include "store_dir.h"
#include "vfs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BYTES 4096
#define WAIT 50000 /* ns; what takes longer has waited for others, and is told apart */
#define THREADS_MAX 64
#define LARGE (UINT64_C(256) << 20)
#define SUBBLOCKS 2000

enum call {
    MISS,
    CREATE,
    XATTR,
    WRITE,
    UTIMES,
    CHOWN,
    CHMOD,
    PARENT,
    RELEASE,
    FORGET,
    LOOKUP,
    UNLINK,
    SUBBLOCK,
    CALLS
};
static const char *const name_of[CALLS] = {
    [MISS] = "lookup, not there",
    [CREATE] = "create",
    [XATTR] = "getxattr, none there",
    [WRITE] = "write of 4 KiB",
    [UTIMES] = "setattr, times",
    [CHOWN] = "setattr, owner",
    [CHMOD] = "setattr, mode",
    [PARENT] = "getattr of the directory",
    [RELEASE] = "release",
    [FORGET] = "forget",
    [LOOKUP] = "lookup",
    [UNLINK] = "unlink",
    [SUBBLOCK] = "write of 4 KiB, large file",
};

static const struct vfs_cred cred = {.umask = 022};
static struct state *state;
static uint64_t root;
static unsigned dirs_each, files_each;

struct worker {
    pthread_t thread;
    unsigned number;
    int64_t ns[CALLS], calls[CALLS];
    int64_t waited[CALLS], waits[CALLS]; /* of calls of more than WAIT */
    unsigned char bytes[BYTES];
};

static void must(const char *what, int64_t err)
{
    if (err >= 0)
        return;
    fprintf(stderr, "bench-names: %s: %s\n", what, strerror((int)-err));
    exit(1);
}

static unsigned number(const char *word, unsigned max)
{
    char *end;
    unsigned long n = strtoul(word, &end, 10);

    if (*end || end == word || n < 1 || n > max)
        must(word, -ERANGE);
    return (unsigned)n;
}

static int64_t counter_now(void)
{
    return clock_ticks(clock_real());
}

static void count(struct worker *w, enum call which, int64_t ns)
{
    bool waited = ns > WAIT;

    w->ns[which] += waited ? 0 : ns;
    w->calls[which] += !waited;
    w->waited[which] += waited ? ns : 0;
    w->waits[which] += waited;
}

#define TIMED(w, which, expr)                                                                      \
    do {                                                                                           \
        int64_t begun = counter_now();                                                                   \
        must(name_of[which], (expr));                                                              \
        count(w, which, counter_now() - begun);                                                          \
    } while (0)

static int64_t expected(int64_t err, int64_t want)
{
    return err == want ? 0 : err < 0 ? err : -EEXIST;
}

static int64_t forget(uint64_t nodeid, uint64_t count)
{
    vfs_forget(state, nodeid, count);
    return 0;
}

static int64_t release(struct vfs_file *f)
{
    vfs_release(f);
    return 0;
}

static void make_file(struct worker *w, uint64_t dir, const char *name)
{
    struct vfs_attr a, b, in = {.mode = 0640, .uid = 1000, .gid = 1000, .atime = 1, .mtime = 2};
    struct vfs_file *f;

    TIMED(w, PARENT, vfs_getattr(state, dir, &b));
    TIMED(w, MISS, expected(vfs_lookup(state, dir, name, &b), -ENOENT));
    TIMED(w, CREATE, vfs_create(state, dir, name, 0600, &cred, VFS_WRITE | VFS_EXCL, &a, &f));
    TIMED(w, XATTR,
          expected(vfs_getxattr(state, a.nodeid, "security.capability", NULL, 0), -ENODATA));
    TIMED(w, WRITE, vfs_write(f, w->bytes, BYTES, 0));
    TIMED(w, UTIMES, vfs_setattr(state, a.nodeid, VFS_SET_ATIME | VFS_SET_MTIME, &in, &b));
    TIMED(w, CHOWN, vfs_setattr(state, a.nodeid, VFS_SET_UID | VFS_SET_GID, &in, &b));
    TIMED(w, CHMOD, vfs_setattr(state, a.nodeid, VFS_SET_MODE, &in, &b));
    TIMED(w, RELEASE, release(f));
    TIMED(w, FORGET, forget(a.nodeid, 1));
}

/* The file `i` of a worker: its directory and its name there. */
static uint64_t place(const uint64_t *dir, unsigned i, char name[32])
{
    snprintf(name, 32, "file%u.c", i / dirs_each);
    return dir[i % dirs_each];
}

static void *work(void *arg)
{
    struct worker *w = arg;
    uint64_t *dir = calloc(dirs_each, sizeof *dir), *node = calloc(files_each, sizeof *node);
    struct vfs_attr a;
    char name[32];

    must("memory", dir && node ? 0 : -ENOMEM);
    for (unsigned i = 0; i < dirs_each; i++) {
        snprintf(name, sizeof name, "d%u.%u", w->number, i);
        must(name, vfs_mknod(state, root, name, S_IFDIR | 0755, 0, &cred, &a));
        dir[i] = a.nodeid;
    }
    for (unsigned i = 0; i < files_each; i++) {
        uint64_t at = place(dir, i, name);
        memcpy(w->bytes, &i, sizeof i);
        memcpy(w->bytes + sizeof i, &w->number, sizeof w->number);
        make_file(w, at, name);
    }
    for (unsigned i = 0; i < files_each; i++) {
        uint64_t at = place(dir, i, name);
        TIMED(w, LOOKUP, vfs_lookup(state, at, name, &a));
        node[i] = a.nodeid;
    }
    for (unsigned i = 0; i < files_each; i++) {
        uint64_t at = place(dir, i, name);
        TIMED(w, UNLINK, vfs_unlink(state, at, name));
        TIMED(w, PARENT, vfs_getattr(state, at, &a));
        TIMED(w, FORGET, forget(node[i], 1));
    }
    free(node);
    free(dir);
    return NULL;
}

static int64_t fill(struct vfs_file *f)
{
    static unsigned char piece[1 << 20];

    for (uint64_t off = 0; off < LARGE; off += sizeof piece) {
        for (size_t i = 0; i < sizeof piece; i += BYTES)
            memcpy(piece + i, &(uint64_t){off + i}, sizeof off);
        must("fill", vfs_write(f, piece, sizeof piece, off));
    }
    return 0;
}

/* At each place once: the places are those of a walk by a step that shares no factor with their
 * number. */
static void subblock(struct worker *w)
{
    struct vfs_attr a;
    struct vfs_file *f;
    uint64_t at = 0;

    must("large", vfs_create(state, root, "large", 0600, &cred, VFS_WRITE | VFS_EXCL, &a, &f));
    must("large", fill(f));
    vfs_release(f);
    must("drain", flush_drain(state, false, -1, NULL));
    must("large", vfs_open(state, a.nodeid, VFS_WRITE, &f));
    for (unsigned i = 0; i < SUBBLOCKS; i++) {
        memcpy(w->bytes, &i, sizeof i);
        at = (at + 40503) % (LARGE / BYTES);
        TIMED(w, SUBBLOCK, vfs_write(f, w->bytes, BYTES, at * BYTES));
    }
    vfs_release(f);
}

static void run(const char *ns, unsigned threads)
{
    static struct worker w[THREADS_MAX];
    struct vfs_attr a;
    int64_t begun = counter_now();

    must(ns, vfs_mknod(state, VFS_ROOT, ns, S_IFDIR | 0755, 0, &cred, &a));
    root = a.nodeid;
    for (unsigned i = 0; i < threads; i++) {
        w[i].number = i;
        must("thread", -pthread_create(&w[i].thread, NULL, work, &w[i]));
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(w[i].thread, NULL);
    printf("%-26s %8.3f s\n", "all", (double)(counter_now() - begun) / 1e9);
    must("drain", flush_drain(state, false, -1, NULL));
    printf("%-26s %8.3f s\n", "... until drained", (double)(counter_now() - begun) / 1e9);
    subblock(&w[0]);
    for (int c = 0; c < CALLS; c++) {
        int64_t ns_all = 0, calls = 0, waited = 0, waits = 0;
        for (unsigned i = 0; i < threads; i++) {
            ns_all += w[i].ns[c];
            calls += w[i].calls[c];
            waited += w[i].waited[c];
            waits += w[i].waits[c];
        }
        printf("%-26s %8lld ns   %6lld waited, %8.3f ms in all\n", name_of[c],
               (long long)(calls ? ns_all / calls : 0), (long long)waits, (double)waited / 1e6);
    }
}

int main(int argc, char **argv)
{
    struct state_config config = {.clock = clock_real(), .background = true};
    char why[STORE_WHY] = "";
    struct store_dir store;
    unsigned threads;

    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: bench-names STORE NS DIRS FILES [THREADS]\n");
        return 2;
    }
    if (store_dir_open(argv[1], 0, "bench", argv[1], &store, why) < 0) {
        fprintf(stderr, "bench-names: %s\n", why);
        return 1;
    }
    config.disk = store.disk;
    config.kv = store.kv;
    config.pool = store_get_pool(&store);
    must(argv[1], store_open(&config, &state));
    threads = argc == 6 ? number(argv[5], THREADS_MAX) : 1;
    dirs_each = number(argv[3], 1000000);
    files_each = number(argv[4], UINT32_MAX) / threads;
    run(argv[2], threads);
    must("closing", store_close(state));
    store_dir_close(&store);
    return 0;
}
