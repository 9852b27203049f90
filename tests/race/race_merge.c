// SPDX-License-Identifier: Apache-2.0
/*
 * race_merge: commits of a branch into its origin, and merges back, while both are written and
 * read, under ThreadSanitizer. Two of three merges are made as large ones are. A plain program,
 * because Criterion does not start there.
 *
 *     race_merge [SEED [OPS]]          OPS of each thread
 *
 * Each writer has files of its own in one of the two namespaces. A file has one byte, many times,
 * and is always written as a whole: a reader of either side never sees two. Beside that a branch is
 * made, undone and done again by its number, and the history is read. At the end all is merged in
 * both directions, both sides have what every writer wrote last, and the store is checked.
 */
#include "check.h"
#include "disk_mem.h"
#include "kv_mem.h"
#include "merge.h"
#include "ns_branch.h"
#include "store.h"
#include "undo.h"
#include "vfs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS 4
#define FILES 4 /* of each writer */
#define SIZE 3000
#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what))                                                                               \
            die(__LINE__, #what);                                                                  \
    } while (0)

struct writer {
    unsigned number;
    uint64_t random;
    uint8_t last[FILES]; /* 0: there is no such file */
};

static struct state *p;
static const char *const spaces[] = {"main", "dev"};
static uint64_t root[2], seed = 1;
static unsigned long ops = 300;
static const struct vfs_cred cred;
static _Atomic bool stop;

static _Noreturn void die(int line, const char *what)
{
    fprintf(stderr, "race_merge: seed %llu, line %d: %s\n", (unsigned long long)seed, line, what);
    abort();
}

static void open_store(struct disk *d, struct kv *kv)
{
    struct state_config c = {
        .disk = d, .kv = kv, .clock = clock_real(), .background = true, .threads = 2};

    MUST(store_open(&c, &p) == 0);
    for (int s = 0; s < 2; s++) {
        struct vfs_attr a;
        if (vfs_lookup(p, VFS_ROOT, spaces[s], &a) == 0)
            root[s] = a.nodeid;
    }
}

static void name_of(unsigned writer, unsigned file, char name[16])
{
    snprintf(name, 16, "w%u-%u", writer, file);
}

/* Writes a file anew under another name, and renames it. */
static void write_one(struct writer *w, unsigned file)
{
    static const char *const parts[WRITERS] = {"p0", "p1", "p2", "p3"};
    uint64_t dir = root[w->number % 2];
    uint8_t bytes[SIZE];
    struct vfs_file *f;
    struct vfs_attr a;
    char name[16];

    name_of(w->number, file, name);
    w->last[file] = (uint8_t)(1 + fault_random(&w->random) % 255);
    memset(bytes, w->last[file], sizeof bytes);
    MUST(vfs_create(p, dir, parts[w->number], 0644, &cred, VFS_WRITE | VFS_TRUNC, &a, &f) == 0);
    MUST(vfs_write(f, bytes, sizeof bytes, 0) == SIZE);
    vfs_release(f);
    vfs_forget(p, a.nodeid, 1);
    MUST(vfs_rename(p, dir, parts[w->number], dir, name, 0, &cred) == 0);
}

/* The byte of a file; 0: it is not there, or it was being replaced. */
static uint8_t read_one(int side, unsigned writer, unsigned file)
{
    uint8_t bytes[SIZE];
    struct vfs_file *f;
    struct vfs_attr a;
    char name[16];
    ssize_t n;

    name_of(writer, file, name);
    if (vfs_lookup(p, root[side], name, &a) < 0)
        return 0;
    if (vfs_open(p, a.nodeid, 0, &f) < 0) {
        vfs_forget(p, a.nodeid, 1);
        return 0;
    }
    n = vfs_read(f, bytes, sizeof bytes, 0);
    MUST(n == SIZE);
    for (ssize_t i = 1; i < n; i++)
        MUST(bytes[i] == bytes[0]);
    vfs_release(f);
    vfs_forget(p, a.nodeid, 1);
    return bytes[0];
}

static void *write_some(void *arg)
{
    struct writer *w = arg;

    for (unsigned long i = 0; i < ops; i++)
        write_one(w, (unsigned)(fault_random(&w->random) % FILES));
    return NULL;
}

static void *read_some(void *arg)
{
    uint64_t random = seed + 100;

    (void)arg;
    while (!atomic_load(&stop))
        (void)read_one((int)(fault_random(&random) % 2), (unsigned)(fault_random(&random) % WRITERS),
                       (unsigned)(fault_random(&random) % FILES));
    return NULL;
}

/* Merges one side into the other; the file that a writer has open there may be in the way. */
static int merge(int from, enum merge_rule rule)
{
    struct merge_call c = {.label = spaces[from], .rule = rule};
    struct merge_result r;
    int err;

    MUST(ns_get_by_name(p, spaces[from], &c.theirs) == 0);
    MUST(ns_get_by_name(p, spaces[!from], &c.ours) == 0);
    err = merge_run(p, &c, &r);
    /* busy: a file was open at the end of each try */
    MUST(err == 0 || err == -EEXIST || err == -EBUSY);
    merge_result_release(&r);
    ns_put(p, c.theirs);
    ns_put(p, c.ours);
    return err;
}

static void *merge_some(void *arg)
{
    unsigned long *done = arg;

    for (unsigned i = 0; !atomic_load(&stop); i++) {
        p->config.merge_at_once = i / 2 % 3; /* nobody else merges; 2: each rest is large, too */
        *done += merge(i % 2, MERGE_FAIL) == 0;
    }
    p->config.merge_at_once = 0;
    return NULL;
}

static void undo(uint64_t seq, bool redo)
{
    const struct undo_call c = {.seq = seq, .redo = redo};
    struct undo_result r;

    MUST(undo_run(p, &c, &r) == 0 && r.seq > seq);
    merge_result_release(&r.merge);
}

/* The numbers of the history fall, and each of its operations can be looked at. */
static void read_history(void)
{
    struct history_op op = {.entry.seq = UINT64_MAX};
    uint64_t at = UINT64_MAX;

    while (history_before(&p->history, at, &op) == 0) {
        MUST(op.entry.seq < at);
        at = op.entry.seq;
        (void)undo_look(p, &op, false);
    }
    MUST(op.entry.kind == HISTORY_CREATE);
}

static void *operate_some(void *arg)
{
    char name[16];
    uint32_t number;
    uint64_t seq;

    (void)arg;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        snprintf(name, sizeof name, "b%u", i);
        MUST(ns_branch(p, "main", name, &seq, &number) == 0);
        undo(seq, false);
        undo(seq, true);
        undo(seq, false);
        read_history();
    }
    return NULL;
}

static void compare(const struct writer *w)
{
    for (int side = 0; side < 2; side++)
        for (unsigned i = 0; i < WRITERS; i++)
            for (unsigned file = 0; file < FILES; file++)
                MUST(read_one(side, i, file) == w[i].last[file]);
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    if (!strcmp(what, "note"))
        return;
    fprintf(stderr, "check: %s %s: %s\n", what, where, sentence);
    ++*(unsigned *)ctx;
}

static void run(struct writer w[WRITERS])
{
    pthread_t thread[WRITERS], reader, merger, operator;
    unsigned long merged = 0;

    for (unsigned i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){.number = i, .random = seed * 100 + i + 1};
        MUST(!pthread_create(&thread[i], NULL, write_some, &w[i]));
    }
    MUST(!pthread_create(&reader, NULL, read_some, NULL));
    MUST(!pthread_create(&merger, NULL, merge_some, &merged));
    MUST(!pthread_create(&operator, NULL, operate_some, NULL));
    for (unsigned i = 0; i < WRITERS; i++)
        MUST(!pthread_join(thread[i], NULL));
    atomic_store(&stop, true);
    MUST(!pthread_join(reader, NULL));
    MUST(!pthread_join(merger, NULL));
    MUST(!pthread_join(operator, NULL));
    MUST(merge(1, MERGE_FAIL) == 0 && merge(0, MERGE_FAIL) == 0);
    printf("%lu merges beside writers\n", merged);
}

int main(int argc, char **argv)
{
    unsigned findings = 0;
    const struct check_options check = {.found = found, .ctx = &findings};
    struct writer w[WRITERS];
    struct check_result result;
    struct kv_mem *mem;
    struct disk *d;
    struct kv *kv;
    uint64_t seq;
    uint32_t number;

    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    ops = argc > 2 ? strtoul(argv[2], NULL, 10) : ops;
    MUST(kv_mem_create(NULL, &mem) == 0 && disk_mem_create(NULL, 0, &d) == 0);
    MUST(kv_open_mem(mem, store_tables, store_table_count, KV_CREATE, &kv) == 0);
    MUST(store_format(d, kv, clock_real(), "o/p", 0, 0, NULL) == 0);
    open_store(d, kv);
    MUST(ns_branch(p, "main", "dev", &seq, &number) == 0);
    MUST(store_close(p) == 0);
    open_store(d, kv);
    run(w);
    compare(w);
    MUST(store_close(p) == 0);
    open_store(d, kv);
    compare(w);
    MUST(store_close(p) == 0);
    MUST(store_check(d, kv, &check, &result) == 0);
    MUST(findings == 0);
    kv_close(kv);
    kv_mem_destroy(mem);
    disk_close(d);
    return 0;
}
