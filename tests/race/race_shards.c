// SPDX-License-Identifier: Apache-2.0
/*
 * race_shards: objects move to two other shards, between them and home, while threads read, write,
 * link, branch and remove the files that name them, and others sweep, collect, compact and scrub;
 * under ThreadSanitizer. A plain program, because Criterion does not start there.
 *
 *     race_shards [SEED [OPS]]          OPS of each worker, in each of two halves
 *
 * Each worker has files of its own, and an array beside each that says what is in it. Half of what
 * is written is drawn from a few contents, so that equal bytes come into being where there are
 * ghosts of them. In the first half everything must work, although the drivers lose some answers and
 * send those puts and deletes again; in the second a shard goes away and comes back, loses answers
 * for good, cuts lists and stalls: then a call may be refused and have done nothing, and must never
 * show other bytes. Flushes never fail. At the end all is compared, again after a restart, and the store checked: no damage,
 * and after two cycles no leak either.
 */
#include "check.h"
#include "control.h"
#include "disk_mem.h"
#include "durability.h"
#include "gc_store.h"
#include "kv_mem.h"
#include "move.h"
#include "ns_drop.h"
#include "ns_branch.h"
#include "shard_mem.h"
#include "shards.h"
#include "store.h"
#include "sweep.h"
#include "vfs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 3
#define FILES 6                 /* of each worker */
#define SIZE_MAX_ (300u * 1024) /* bytes of a file: some have a file of their own */
#define CONTENTS 5
#define SHARDS 2

#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what))                                                                               \
            die(__LINE__, #what);                                                                  \
    } while (0)

struct file {
    char name[32];
    uint8_t *bytes;
    size_t size;
};

struct worker {
    unsigned number;
    uint64_t random;
    unsigned long ops;
    struct file file[FILES];
    bool has_branch;
    uint8_t *scratch;
    unsigned refused; /* calls that said EIO */
};

static struct state *p;
static uint64_t main_node;
static const struct vfs_cred cred;
static const _Atomic bool never;
static _Atomic bool stop, flapping;
static _Atomic uint64_t moved, home;
static uint64_t seed = 1;

static struct shard_mem *place[SHARDS + 1];
static struct disk *near; /* for the cache of shards */

static _Noreturn void die(int line, const char *what)
{
    fprintf(stderr, "race_shards: seed %llu, line %d: %s\n", (unsigned long long)seed, line, what);
    abort();
}

static unsigned below(uint64_t *random, unsigned n)
{
    return (unsigned)(fault_random(random) >> 20) % n;
}

/* Did it work? That a shard cannot be asked (EIO, for who has mounted it) is an answer only while
 * shards go away, and then nothing was done. */
static bool worked(struct worker *w, ssize_t r)
{
    if ((r == -EIO || r == -EHOSTUNREACH) && atomic_load(&flapping)) {
        w->refused++;
        return false;
    }
    if (r < 0)
        fprintf(stderr, "race_shards: %s\n", strerror((int)-r));
    MUST(r >= 0);
    return true;
}

/* ---- files ---- */

static uint64_t find(uint64_t dir, const char *name)
{
    struct vfs_attr a;

    MUST(vfs_lookup(p, dir, name, &a) == 0);
    vfs_forget(p, a.nodeid, 1);
    return a.nodeid;
}

static struct vfs_file *open_node(uint64_t node, unsigned flags)
{
    struct vfs_file *f;

    MUST(vfs_open(p, node, flags, &f) == 0);
    return f;
}

static void same(struct worker *w, struct vfs_file *f, const uint8_t *bytes, size_t size)
{
    ssize_t n = vfs_read(f, w->scratch, SIZE_MAX_ + 1, 0);

    if (!worked(w, n))
        return;
    MUST(n == (ssize_t)size);
    MUST(memcmp(w->scratch, bytes, size) == 0);
}

static void same_node(struct worker *w, uint64_t node, const struct file *file)
{
    struct vfs_file *f = open_node(node, 0);

    same(w, f, file->bytes, file->size);
    vfs_release(f);
}

static void make(struct file *file)
{
    struct vfs_file *f;
    struct vfs_attr a;

    MUST(vfs_create(p, main_node, file->name, 0644, &cred, VFS_WRITE | VFS_EXCL, &a, &f) == 0);
    vfs_forget(p, a.nodeid, 1);
    vfs_release(f);
    memset(file->bytes, 0, SIZE_MAX_);
    file->size = 0;
}

static void fill(uint8_t *to, size_t len, uint64_t state)
{
    state = state * UINT64_C(0x9E3779B97F4A7C15) + 1;
    for (size_t i = 0; i < len; i += sizeof state) {
        uint64_t word = fault_random(&state);
        memcpy(to + i, &word, len - i < sizeof word ? len - i : sizeof word);
    }
}

/* ---- what a worker does ---- */

/* The whole file anew, often with what others have. */
static void do_replace(struct worker *w, struct file *file)
{
    unsigned which = below(&w->random, CONTENTS);
    bool own = below(&w->random, 2);
    size_t len = 2000 + which * 3000;

    MUST(vfs_unlink(p, main_node, file->name) == 0);
    make(file);
    if (below(&w->random, 6) == 0)
        len = 140u * 1024 + which * 30000;
    fill(w->scratch, len, own ? fault_random(&w->random) : which + 1);
    struct vfs_file *f = open_node(find(main_node, file->name), VFS_WRITE);
    MUST(vfs_write(f, w->scratch, len, 0) == (ssize_t)len); /* a new file needs no shard */
    memcpy(file->bytes, w->scratch, len);
    file->size = len;
    vfs_release(f);
}

static void do_change(struct worker *w, struct file *file)
{
    struct vfs_file *f = open_node(find(main_node, file->name), VFS_WRITE);
    size_t off = below(&w->random, SIZE_MAX_ - 5000), len = 1 + below(&w->random, 5000);
    ssize_t n;

    if (off > file->size)
        off = file->size;
    fill(w->scratch, len, fault_random(&w->random));
    n = vfs_write(f, w->scratch, len, off);
    if (worked(w, n)) {
        memcpy(file->bytes + off, w->scratch, (size_t)n);
        file->size = off + (size_t)n > file->size ? off + (size_t)n : file->size;
    }
    vfs_release(f);
}

static void do_truncate(struct worker *w, struct file *file)
{
    struct vfs_attr in = {.size = below(&w->random, 4) ? below(&w->random, SIZE_MAX_) : 0}, out;

    if (!worked(w, vfs_setattr(p, find(main_node, file->name), VFS_SET_SIZE, &in, &out)))
        return;
    if (in.size < file->size)
        memset(file->bytes + in.size, 0, file->size - (size_t)in.size);
    file->size = (size_t)in.size;
}

static void branch_name(const struct worker *w, char out[16])
{
    snprintf(out, 16, "b%u", w->number);
}

static void drop_branch(struct worker *w)
{
    char name[16];
    uint32_t open;

    branch_name(w, name);
    MUST(ns_drop(p, name, true, false, false, &open) == 0);
    w->has_branch = false;
}

/* Nobody else writes this worker's files: they stand in the branch as they are now, also later. */
static void do_branch(struct worker *w)
{
    struct file *file = &w->file[below(&w->random, FILES)];
    char name[16];
    uint64_t seq, node;
    uint32_t number;

    if (w->has_branch)
        drop_branch(w);
    branch_name(w, name);
    MUST(ns_branch(p, "main", name, &seq, &number) == 0);
    w->has_branch = true;
    node = find(find(VFS_ROOT, name), file->name);
    same_node(w, node, file);
    struct vfs_file *f = open_node(node, 0);
    uint8_t *was = malloc(file->size + 1);
    size_t size = file->size;
    MUST(was);
    memcpy(was, file->bytes, size);
    do_change(w, file);
    do_replace(w, file);
    same(w, f, was, size);
    free(was);
    vfs_release(f);
}

/* Open while it moves, changes and goes. */
static void do_held(struct worker *w, struct file *file)
{
    struct vfs_file *f = open_node(find(main_node, file->name), 0);

    same(w, f, file->bytes, file->size);
    if (below(&w->random, 2))
        MUST(flush_now(p) == 0);
    same(w, f, file->bytes, file->size);
    vfs_release(f);
}

static void do_copy(struct worker *w, struct file *from, struct file *to)
{
    struct vfs_file *in, *out;
    struct vfs_attr zero = {0}, got;
    ssize_t n;

    if (from == to)
        return;
    in = open_node(find(main_node, from->name), 0);
    out = open_node(find(main_node, to->name), VFS_WRITE);
    MUST(vfs_setattr(p, find(main_node, to->name), VFS_SET_SIZE, &zero, &got) == 0);
    memset(to->bytes, 0, SIZE_MAX_);
    to->size = 0;
    n = vfs_share_range(in, 0, out, 0, SIZE_MAX_);
    if (n != -EOPNOTSUPP && worked(w, n)) {
        memcpy(to->bytes, from->bytes, (size_t)n);
        to->size = (size_t)n;
    }
    same(w, out, to->bytes, to->size);
    vfs_release(in);
    vfs_release(out);
}

static void step(struct worker *w)
{
    struct file *file = &w->file[below(&w->random, FILES)];

    switch (below(&w->random, 16)) {
    case 0:
    case 1:
    case 2:
        do_replace(w, file);
        break;
    case 3:
        do_change(w, file);
        break;
    case 4:
        do_truncate(w, file);
        break;
    case 5:
        do_branch(w);
        break;
    case 6:
        do_copy(w, file, &w->file[below(&w->random, FILES)]);
        break;
    case 7:
        MUST(flush_now(p) == 0);
        break;
    case 8:
        MUST(flush_drain(p, false, -1, NULL) == 0);
        break;
    case 9:
    case 10:
        do_held(w, file);
        break;
    default:
        same_node(w, find(main_node, file->name), file);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;

    for (unsigned long i = 0; i < w->ops; i++)
        step(w);
    if (w->has_branch)
        drop_branch(w);
    return NULL;
}

/* ---- who moves ---- */

static int move_each(uint64_t number, void *ctx)
{
    return move_one(ctx, number, NULL);
}

/* A shard that has gone ends a move. */
static bool is_unreachable(int err)
{
    return atomic_load(&flapping) && (err == -EHOSTUNREACH || err == -EIO || err == -EROFS);
}

static void move_some(uint64_t *random, const struct move_selection *what)
{
    uint16_t to = (uint16_t)below(random, SHARDS + 1);
    struct move_result r = {0};
    char why[256] = "";
    struct move *m;
    int end, err = move_begin(p, NULL, to, &m);

    if (err < 0) {
        MUST(is_unreachable(err));
        return;
    }
    err = move_select(p, what, move_each, m, why);
    end = move_end(m, &r);
    /* A name may have gone meanwhile. */
    MUST(err >= 0 || is_unreachable(err) || (what->words && (err == -ENOENT || err == -ESTALE)));
    MUST(end >= 0 || is_unreachable(end));
    MUST(r.failed == 0 || atomic_load(&flapping));
    atomic_fetch_add(to ? &moved : &home, r.objects);
}

static void *mover(void *arg)
{
    uint64_t random = seed * 77 + (uintptr_t)arg + 1;
    char path[40];
    const char *words[1] = {path};

    while (!atomic_load(&stop)) {
        struct move_selection what = {.idle = -1, .on = -1};
        if (below(&random, 2)) {
            snprintf(path, sizeof path, "main/w%u-f%u", below(&random, WORKERS),
                     below(&random, FILES));
            what.words = words;
            what.count = 1;
        } else if (below(&random, 2)) {
            what.larger = 100000;
        } else {
            what.on = (int)below(&random, SHARDS + 1);
        }
        move_some(&random, &what);
        usleep(500);
    }
    return NULL;
}

/* ---- who looks after all of it ---- */

/* Never is anything lost, and what is away is only uncertain. */
static void sweep(void)
{
    struct ghost_report r = {0};
    int err = sweep_store(p, NULL, false, NULL, &r);

    MUST(err == 0);
    MUST(r.lost == 0);
    MUST(r.checked == r.purged + r.kept + r.inconclusive);
}

static void cycle(void)
{
    struct gc_result r = {0};
    int err = gc_store_run(p, NULL, false, 0, &r);

    MUST(err == 0 || is_unreachable(err));
    gc_result_release(&r);
}

static void command(struct control_session *s, const char *text, const char *part)
{
    char reply[4096];
    ssize_t r = control_write_at(s, text, strlen(text), -1, &never);
    ssize_t n = control_read_at(s, reply, sizeof reply - 1, -1);

    MUST(n > 0);
    reply[n] = 0;
    if (r != (ssize_t)strlen(text) && !atomic_load(&flapping))
        fprintf(stderr, "%s: %s", text, reply);
    MUST(r == (ssize_t)strlen(text) || atomic_load(&flapping));
    MUST(r < 0 || strstr(reply, part));
}

static void *keeper(void *arg)
{
    struct control_session *s;

    (void)arg;
    MUST(control_open(p, &s) == 0);
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        sweep();
        cycle();
        command(s, "compact wait\n", "");
        if (i % 4 == 0)
            command(s, "scrub wait\n", " damaged=0 ");
        command(s, "status\n", "");
        usleep(2000);
    }
    control_close(s);
    return NULL;
}

/* Draws the faults of one shard anew. */
static void set_odds(unsigned shard, bool unwell, uint64_t odds_seed)
{
    struct shard_mem_odds odds = {.seed = odds_seed, .patience = 30 * NSEC_PER_SEC};

    odds.per_mille[SHARD_MEM_REPEATED] = 200;
    odds.per_mille[SHARD_MEM_LATE_EXISTS] = 100;
    odds.per_mille[SHARD_MEM_LOST_REPLY] = unwell ? 100 : 0;
    odds.per_mille[SHARD_MEM_CUT_LIST] = unwell ? 200 : 0;
    odds.per_mille[SHARD_MEM_STALL] = unwell ? 10 : 0;
    shard_mem_set_odds(place[shard], &odds);
}

static void *flapper(void *arg)
{
    uint64_t random = seed * 99 + 1;

    (void)arg;
    while (!atomic_load(&stop)) {
        unsigned shard = 1 + below(&random, SHARDS);
        bool away = below(&random, 2);

        if (away)
            shard_mem_set(place[shard], SHARD_MEM_UNREACHABLE, true);
        else
            set_odds(shard, true, fault_random(&random));
        usleep(1000 + below(&random, 20000));
        shard_mem_set(place[shard], SHARD_MEM_UNREACHABLE, false);
        set_odds(shard, false, fault_random(&random));
        shard_mem_release(place[shard]);
        (void)shards_look(p->shards);
        usleep(1000 + below(&random, 20000));
    }
    return NULL;
}

/* ---- the whole ---- */

static struct disk *disk;
static struct kv *kv;

static void open_store(void)
{
    struct state_config c = {
        .disk = disk, .kv = kv, .cache = near, .clock = clock_real(), .background = true,
        .threads = 2};

    MUST(store_open(&c, &p) == 0);
    settings_put(&p->settings, SET_SHARD_CACHE, 1 << 20); /* so that blocks come and go */
    main_node = find(VFS_ROOT, "main");
}

static void add_shards(void)
{
    char url[32], why[SHARD_WHY];

    shard_mem_register();
    shard_mem_set_far(true);
    for (unsigned i = 1; i <= SHARDS; i++) {
        snprintf(url, sizeof url, "mem:race%u", i);
        MUST(shard_mem_create(url + 4, NULL, &place[i]) == 0);
        MUST(shards_add(p->shards, (uint16_t)i, url, why) == 0);
        set_odds(i, false, seed * 55 + i);
    }
}

static void all_are_back(void)
{
    struct shards_info info;

    for (unsigned i = 1; i <= SHARDS; i++) {
        shard_mem_set(place[i], SHARD_MEM_UNREACHABLE, false);
        shard_mem_release(place[i]);
        for (unsigned n = 0;; n++) {
            (void)shards_look(p->shards);
            MUST(shards_info_get(p->shards, (uint16_t)i, &info) == 0);
            if (info.state == SHARDS_OK || info.state == SHARDS_NEW)
                break;
            MUST(n < 6000);
            usleep(10000);
        }
    }
}

static void worker_init(struct worker *w, unsigned number, unsigned long ops)
{
    *w = (struct worker){.number = number, .ops = ops};
    w->random = seed * 1000 + number + 1;
    w->scratch = malloc(SIZE_MAX_ + 1);
    MUST(w->scratch);
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(w->file[i].name, sizeof w->file[i].name, "w%u-f%u", number, i);
        w->file[i].bytes = malloc(SIZE_MAX_);
        MUST(w->file[i].bytes);
        make(&w->file[i]);
        do_replace(w, &w->file[i]);
    }
}

static void compare(struct worker *w)
{
    for (unsigned i = 0; i < FILES; i++)
        same_node(w, find(main_node, w->file[i].name), &w->file[i]);
}

static void half(struct worker *w, bool flap)
{
    pthread_t thread[WORKERS + 4];
    unsigned n = 0;

    atomic_store(&stop, false);
    atomic_store(&flapping, flap);
    MUST(!pthread_create(&thread[n++], NULL, mover, (void *)1));
    MUST(!pthread_create(&thread[n++], NULL, mover, (void *)2));
    MUST(!pthread_create(&thread[n++], NULL, keeper, NULL));
    if (flap)
        MUST(!pthread_create(&thread[n++], NULL, flapper, NULL));
    pthread_t worker[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++)
        MUST(!pthread_create(&worker[i], NULL, work, &w[i]));
    for (unsigned i = 0; i < WORKERS; i++)
        MUST(!pthread_join(worker[i], NULL));
    atomic_store(&stop, true);
    while (n > 0)
        MUST(!pthread_join(thread[--n], NULL));
    all_are_back();
    atomic_store(&flapping, false);
    for (unsigned i = 0; i < WORKERS; i++)
        compare(&w[i]);
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    ++*(unsigned *)ctx;
    fprintf(stderr, "check: %s: %s: %s\n", what, where, sentence);
}

/* What failed moves left is marked by the one and collected by the other. */
static void end_of_it(struct worker *w)
{
    unsigned findings = 0;
    struct check_options check = {.found = found, .ctx = &findings};
    struct check_result result;

    MUST(store_close(p) == 0);
    open_store();
    for (unsigned i = 0; i < WORKERS; i++)
        compare(&w[i]);
    MUST(flush_drain(p, true, -1, NULL) == 0);
    cycle();
    cycle();
    MUST(flush_drain(p, true, -1, NULL) == 0);
    for (unsigned i = 0; i < WORKERS; i++)
        compare(&w[i]);
    MUST(store_close(p) == 0);
    MUST(store_check(disk, kv, &check, &result) == 0);
    MUST(result.problems == 0 && findings == 0);
}

int main(int argc, char **argv)
{
    struct worker w[WORKERS];
    struct fault fault = {0};
    struct kv_mem *mem;
    unsigned refused = 0;

    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    MUST(disk_mem_create(&fault, 0, &disk) == 0);
    MUST(disk_mem_create(NULL, 0, &near) == 0);
    MUST(kv_mem_create(&fault, &mem) == 0);
    MUST(kv_open_mem(mem, store_tables, store_table_count, KV_CREATE, &kv) == 0);
    MUST(store_format(disk, kv, clock_real(), "org/race", 0, 0, NULL) == 0);
    open_store();
    add_shards();
    for (unsigned i = 0; i < WORKERS; i++)
        worker_init(&w[i], i, argc > 2 ? strtoul(argv[2], NULL, 10) : 300);
    half(w, false);
    half(w, true);
    end_of_it(w);
    for (unsigned i = 0; i < WORKERS; i++) {
        refused += w[i].refused;
        for (unsigned k = 0; k < FILES; k++)
            free(w[i].file[k].bytes);
        free(w[i].scratch);
    }
    printf("race_shards: seed %llu, %llu objects moved out, %llu home, %u calls refused\n",
           (unsigned long long)seed, (unsigned long long)atomic_load(&moved),
           (unsigned long long)atomic_load(&home), refused);
    MUST(atomic_load(&moved) > 0 && atomic_load(&home) > 0);
    kv_close(kv);
    kv_mem_destroy(mem);
    disk_close(disk);
    disk_close(near);
    for (unsigned i = 1; i <= SHARDS; i++)
        shard_mem_destroy(place[i]);
    return 0;
}
