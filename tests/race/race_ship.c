// SPDX-License-Identifier: Apache-2.0
/*
 * race_ship: a store ships to two archives while its files are written, its namespaces branched and
 * restored, and the archives added, forked, removed and asked; under ThreadSanitizer. A plain
 * program, because Criterion does not start there.
 *
 *     race_ship [SEED [OPS]]          OPS of each writer, in each of MOUNTS mounts
 *
 * Each writer has files of its own in main. A file has one byte, many times, and is always written
 * as a whole and renamed, but for one that stays open: of that, each block is written as a whole.
 * So whatever instant is restored, no file and no block has two bytes. The archives lose answers.
 * At the end of each mount all is shipped, and the next one finds that it has the history of its
 * archive. At the end main is restored: it has what every writer wrote last, and the store is
 * checked.
 */
#include "check.h"
#include "disk_mem.h"
#include "durability.h"
#include "flush.h"
#include "kv_mem.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_restore.h"
#include "shard_mem.h"
#include "shards.h"
#include "ship.h"
#include "store.h"
#include "vfs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITERS 3
#define FILES 4      /* of each writer; the last one stays open */
#define BLOCK 131072 /* of files that stay open */
#define BLOCKS 3
#define SIZE 3000 /* of all others */
#define MOUNTS 2
#define LONG (100 * NSEC_PER_SEC)
#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what))                                                                               \
            die(__LINE__, #what);                                                                  \
    } while (0)

struct writer {
    unsigned number;
    uint64_t random;
    uint8_t last[FILES][BLOCKS]; /* 0: there is no such file; of small ones the first */
    uint8_t block[BLOCK];
};

static struct state *p;
static struct writer writer[WRITERS];
static uint64_t main_node, seed = 1;
static unsigned long ops = 100;
static const struct vfs_cred cred;
static _Atomic bool stop;
static _Atomic unsigned restored, forked, removed;
static uint16_t first; /* the archive that stays */
static struct shard_mem *place[2];

static _Noreturn void die(int line, const char *what)
{
    fprintf(stderr, "race_ship: seed %llu, line %d: %s\n", (unsigned long long)seed, line, what);
    abort();
}

/* ---- files ---- */

static void name_of(unsigned number, unsigned file, char name[16])
{
    snprintf(name, 16, "w%u-%u", number, file);
}

static struct vfs_file *create(const char *name)
{
    struct vfs_file *f;
    struct vfs_attr a;

    MUST(vfs_create(p, main_node, name, 0644, &cred, VFS_WRITE | VFS_TRUNC, &a, &f) == 0);
    vfs_forget(p, a.nodeid, 1);
    return f;
}

/* Writes a file anew under another name, and renames it. */
static void replace(struct writer *w, unsigned file)
{
    struct vfs_file *f;
    char part[16], name[16];

    snprintf(part, sizeof part, "p%u", w->number);
    name_of(w->number, file, name);
    w->last[file][0] = (uint8_t)(1 + fault_random(&w->random) % 255);
    memset(w->block, w->last[file][0], SIZE);
    f = create(part);
    MUST(vfs_write(f, w->block, SIZE, 0) == SIZE);
    vfs_release(f);
    MUST(vfs_rename(p, main_node, part, main_node, name, 0, &cred) == 0);
}

static void write_block(struct writer *w, struct vfs_file *f)
{
    const unsigned at = (unsigned)(fault_random(&w->random) % BLOCKS);
    uint8_t *last = &w->last[FILES - 1][at];

    *last = (uint8_t)(1 + fault_random(&w->random) % 255);
    memset(w->block, *last, BLOCK);
    MUST(vfs_write(f, w->block, BLOCK, at * BLOCK) == BLOCK);
}

/* As an fsync where the namespace is shipped in sync mode. The second archive may be removed or
 * forked meanwhile. */
static void sync_all(void)
{
    const uint64_t seq = atomic_load(&p->seq);

    MUST(flush_sync(p) == 0);
    ship_kick(p);
    MUST(ship_wait_all(p, seq, LONG, NULL) == 0);
}

static void *write_some(void *arg)
{
    struct writer *w = arg;
    struct vfs_file *f;
    char name[16];

    name_of(w->number, FILES - 1, name);
    memset(w->last[FILES - 1], 0, BLOCKS);
    f = create(name);
    for (unsigned long i = 0; i < ops; i++) {
        const unsigned what = (unsigned)(fault_random(&w->random) % 16);

        if (what == 0)
            sync_all();
        else if (what < 4)
            write_block(w, f);
        else
            replace(w, what % (FILES - 1));
    }
    vfs_release(f);
    return NULL;
}

/* ---- who looks at what was shipped ---- */

/* Reads a file, which has one byte in each piece; *last gets those, 0: it is not there. */
static void read_one(uint64_t dir, unsigned number, unsigned file, uint8_t last[BLOCKS])
{
    const size_t piece = file == FILES - 1 ? BLOCK : SIZE;
    uint8_t *bytes = malloc(BLOCKS * BLOCK);
    struct vfs_file *f;
    struct vfs_attr a;
    char name[16];
    ssize_t n;

    MUST(bytes);
    memset(last, 0, BLOCKS);
    name_of(number, file, name);
    if (vfs_lookup(p, dir, name, &a) == 0) {
        MUST(vfs_open(p, a.nodeid, 0, &f) == 0);
        n = vfs_read(f, bytes, BLOCKS * BLOCK, 0);
        MUST(n >= 0 && (size_t)n % piece == 0);
        for (size_t i = 0; i < (size_t)n; i++)
            MUST(bytes[i] == bytes[i / piece * piece]);
        for (size_t i = 0; i < (size_t)n / piece; i++)
            last[i] = bytes[i * piece];
        vfs_release(f);
        vfs_forget(p, a.nodeid, 1);
    }
    free(bytes);
}

/* `same`: it has what every writer wrote last. */
static void read_all(const char *ns, bool same)
{
    uint8_t last[BLOCKS];
    struct vfs_attr a;

    MUST(vfs_lookup(p, VFS_ROOT, ns, &a) == 0);
    for (unsigned i = 0; i < WRITERS; i++)
        for (unsigned file = 0; file < FILES; file++) {
            read_one(a.nodeid, i, file, last);
            MUST(!same || memcmp(last, writer[i].last[file], sizeof last) == 0);
        }
    vfs_forget(p, a.nodeid, 1);
}

static void restore(bool same)
{
    const struct restore_ask ask = {.name = "main", .when = RESTORE_LAST};
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct restore_result r;
    struct restore_plan plan;
    uint32_t open;
    int err = restore_plan(p, first, &ask, &plan, &why);

    if (err == 0) {
        err = restore_run(p, &plan, "back", NULL, NULL, &r, &why);
        restore_plan_release(&plan);
    }
    if (!same && (err == -EHOSTUNREACH || err == -EIO)) /* an answer was lost */
        return;
    if (err < 0)
        fprintf(stderr, "race_ship: %s\n", why.s ? why.s : strerror(-err));
    MUST(err == 0);
    read_all("back", same);
    MUST(ns_drop(p, "back", true, false, false, &open) == 0);
    atomic_fetch_add(&restored, 1);
}

static void *restore_some(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        restore(false);
        usleep(1000);
    }
    return NULL;
}

static void *look_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        struct ship_stats s;
        unsigned count = 0;

        for (unsigned at = 0; ship_next(p, at, &s) == 0; at = s.archive) {
            MUST(s.state != SHIP_REFUSED && s.seq <= atomic_load(&p->seq));
            count++;
        }
        MUST(count == 1 || count == 2);
        ship_kick(p);
        usleep(2000);
    }
    return NULL;
}

/* ---- who changes what is shipped, and where ---- */

/* While somebody looks whether the place is there a removal may be refused. */
static void remove_archive(uint16_t number)
{
    char why[SHARD_WHY];
    int err;

    while ((err = ship_remove(p, number, why)) == -EBUSY)
        usleep(1000);
    if (err < 0)
        fprintf(stderr, "race_ship: %s: %s\n", strerror(-err), why);
    MUST(err == 0);
}

/* The second archive comes, goes on in another lineage, and goes. */
static void *operate(void *arg)
{
    char why[SHARD_WHY];
    uint16_t second;
    uint32_t lineage;

    (void)arg;
    while (!atomic_load(&stop)) {
        MUST(ship_add(p, "mem:second", &second, why) == 0);
        MUST(ship_wait(p, second, atomic_load(&p->seq), LONG, NULL) == 0);
        MUST(ship_fork(p, second, &lineage, why) == 0);
        atomic_fetch_add(&forked, 1);
        usleep(3000); /* so that it is also removed in the midst of a round */
        remove_archive(second);
        atomic_fetch_add(&removed, 1);
    }
    return NULL;
}

static void drop_branch(unsigned i)
{
    uint32_t open;
    char name[16];

    snprintf(name, sizeof name, "b%u", i);
    MUST(ns_drop(p, name, true, false, false, &open) == 0);
}

static void *branch_some(void *arg)
{
    unsigned first_one = 0, next = 0;
    uint32_t number;
    uint64_t at;
    char name[16];

    (void)arg;
    while (!atomic_load(&stop)) {
        snprintf(name, sizeof name, "b%u", next++);
        MUST(ns_branch(p, "main", name, &at, &number) == 0);
        if (next - first_one > 4)
            drop_branch(first_one++);
        usleep(3000);
    }
    while (first_one < next)
        drop_branch(first_one++);
    return NULL;
}

/* ---- all of it ---- */

static void open_store(struct disk *d, struct kv *kv)
{
    struct state_config c = {
        .disk = d, .kv = kv, .clock = clock_real(), .background = true, .threads = 2};
    struct vfs_attr a;

    MUST(store_open(&c, &p) == 0);
    settings_put(&p->settings, SET_ARCHIVE_INTERVAL, 100 * NSEC_PER_MSEC);
    MUST(vfs_lookup(p, VFS_ROOT, "main", &a) == 0);
    main_node = a.nodeid;
}

/* One mount, and its end, which ships what is left. */
static void mount_once(void)
{
    static void *(*const others[])(void *) = {restore_some, look_on, operate, branch_some};
    pthread_t w[WRITERS], other[4];

    atomic_store(&stop, false);
    for (unsigned i = 0; i < WRITERS; i++)
        MUST(!pthread_create(&w[i], NULL, write_some, &writer[i]));
    for (unsigned i = 0; i < 4; i++)
        MUST(!pthread_create(&other[i], NULL, others[i], NULL));
    for (unsigned i = 0; i < WRITERS; i++)
        MUST(!pthread_join(w[i], NULL));
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 4; i++)
        MUST(!pthread_join(other[i], NULL));
    MUST(store_close(p) == 0);
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    if (!strcmp(what, "note"))
        return;
    fprintf(stderr, "check: %s %s: %s\n", what, where, sentence);
    ++*(unsigned *)ctx;
}

static void begin(struct disk *d, struct kv *kv)
{
    static const struct shard_mem_odds odds = {
        .patience = LONG, .per_mille = {[SHARD_MEM_REPEATED] = 100, [SHARD_MEM_LATE_EXISTS] = 50}};
    char why[SHARD_WHY];

    shard_mem_register();
    MUST(shard_mem_create("first", NULL, &place[0]) == 0);
    MUST(shard_mem_create("second", NULL, &place[1]) == 0);
    MUST(store_format(d, kv, clock_real(), "o/p", 0, 0, NULL) == 0);
    open_store(d, kv);
    MUST(ship_add(p, "mem:first", &first, why) == 0);
    MUST(ship_wait(p, first, atomic_load(&p->seq), LONG, NULL) == 0);
    for (unsigned i = 0; i < 2; i++) {
        struct shard_mem_odds seeded = odds;

        seeded.seed = seed + i;
        shard_mem_set_odds(place[i], &seeded);
    }
}

int main(int argc, char **argv)
{
    unsigned findings = 0;
    const struct check_options check = {.found = found, .ctx = &findings};
    struct check_result result;
    struct kv_mem *mem;
    struct disk *d;
    struct kv *kv;

    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    ops = argc > 2 ? strtoul(argv[2], NULL, 10) : ops;
    MUST(kv_mem_create(NULL, &mem) == 0 && disk_mem_create(NULL, 0, &d) == 0);
    MUST(kv_open_mem(mem, store_tables, store_table_count, KV_CREATE, &kv) == 0);
    for (unsigned i = 0; i < WRITERS; i++)
        writer[i] = (struct writer){.number = i, .random = seed * 100 + i + 1};
    begin(d, kv);
    for (unsigned i = 0; i < MOUNTS; i++) {
        mount_once();
        open_store(d, kv);
        MUST(ship_wait(p, first, atomic_load(&p->seq), LONG, NULL) == 0);
        read_all("main", true);
        restore(true);
    }
    MUST(store_close(p) == 0);
    MUST(store_check(d, kv, &check, &result) == 0);
    MUST(findings == 0);
    printf("%u restored, %u forked, %u removed\n", restored, forked, removed);
    kv_close(kv);
    kv_mem_destroy(mem);
    disk_close(d);
    shard_mem_destroy(place[0]);
    shard_mem_destroy(place[1]);
    return 0;
}
