// SPDX-License-Identifier: Apache-2.0
/*
 * property_shards: random operations on files whose bytes move between three shards, of which two
 * go away, come back, turn read-only, run full and lie, against plain arrays.
 *
 *     property_shards [--seed S] [--ops N]
 *
 * The two are as stores of objects are: their drivers always lose some answers and send those puts
 * and deletes again, say late that a name exists, and give lists in any order. This alone hinders
 * nothing. For a while one of them also loses answers for good, cuts lists and stalls.
 *
 * Writes, truncations, copies, branches, drops, removals, moves by name, by age, by size and by
 * shard, recalls, sweeps, cycles, compactions, flushes, drains, restarts, deaths of the process and
 * losses of power behind a drain are drawn at random, with time between them. Files of the
 * namespace "safe" are never moved and share no bytes with others: they can always be read and
 * written. Every other read shows exactly the bytes, or, while something is wrong with a shard, an
 * error; and never one when all are well. What could not be done then has changed nothing. Now and
 * then all shards are well: then everything is compared, a sweep finds nothing lost, and two cycles
 * leave nothing on a shard that no ghost names. At the end everything is dropped, and nothing is
 * left anywhere. With an even seed the shards are far and have a cache. Prints its seed. The same seed
 * does the same operations; which call of a driver one of the drawn faults hits may differ by a few
 * calls from run to run.
 */
#include "blob.h"
#include "check.h"
#include "clock_manual.h"
#include "compact.h"
#include "disk_mem.h"
#include "durability.h"
#include "gc_store.h"
#include "kv_mem.h"
#include "move.h"
#include "ns_drop.h"
#include "ns_branch.h"
#include "report.h"
#include "shard_mem.h"
#include "shards.h"
#include "store.h"
#include "sweep.h"
#include "vfs.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACES 4
#define SAFE 3 /* the number of that namespace */
#define FILES 8
#define SHARDS 2
#define SIZE_MAX_MODEL (280u << 10)
#define CONTENTS 6

struct file {
    bool exists;
    uint8_t *data; /* SIZE_MAX_MODEL bytes, zeros past size */
    size_t size;
};

struct world {
    struct fault fault, elsewhere; /* of home; of the shards */
    struct shard_mem *place[SHARDS + 1];
    bool swapped; /* their media are */
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct clock_manual clock;
    struct state *p;
    bool exists[SPACES];
    struct file file[SPACES][FILES];
    bool ill[SHARDS + 1]; /* something is wrong with that shard, or was until a moment ago */
    uint64_t rng, op;
    uint64_t refused, moved, failed, cuts, faults;
};

/* What the driver of a store of objects hides from its callers, and what it does not. */
#define PATIENCE (600 * NSEC_PER_SEC) /* so that only what stalls is left */
static const struct shard_mem_odds always = {
    .patience = PATIENCE, .per_mille = {[SHARD_MEM_REPEATED] = 200, [SHARD_MEM_LATE_EXISTS] = 100}};
static const struct shard_mem_odds unwell = {.patience = PATIENCE,
                                             .per_mille = {[SHARD_MEM_LOST_REPLY] = 150,
                                                           [SHARD_MEM_REPEATED] = 150,
                                                           [SHARD_MEM_LATE_EXISTS] = 50,
                                                           [SHARD_MEM_CUT_LIST] = 200,
                                                           [SHARD_MEM_STALL] = 15}};

static struct world w;
static uint8_t buf[SIZE_MAX_MODEL + 1];
static const struct vfs_cred root = {0};
static const char *const names[SPACES] = {"main", "a", "b", "safe"};

static _Noreturn void fail(int line, const char *what)
{
    char text[REPORT_KEEP][REPORT_TEXT];
    size_t n = report_recent(REPORT_NOTE, text, REPORT_KEEP);

    fprintf(stderr, "%s:%d: op %llu: %s\n", __FILE__, line, (unsigned long long)w.op, what);
    for (size_t i = 0; i < n && i < 8; i++)
        fprintf(stderr, "  reported: %s\n", text[i]);
    abort();
}

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail(__LINE__, #cond);                                                                 \
    } while (0)

static uint64_t pick(uint64_t n)
{
    return (fault_random(&w.rng) >> 8) % n;
}

static bool any_ill(void)
{
    for (unsigned i = 1; i <= SHARDS; i++)
        if (w.ill[i])
            return true;
    return false;
}

/* What reading says of a shard that cannot be asked, or has wrong bytes: EIO for who has mounted
 * it. */
static bool is_refusal(int64_t r)
{
    return r == -EIO || r == -EHOSTUNREACH || r == -EUCLEAN;
}

/* Did it work? If not, nothing was done, and a shard is the reason. */
static bool worked(size_t space, int64_t r)
{
    if (r >= 0)
        return true;
    if (!is_refusal(r) || !any_ill() || space == SAFE)
        fprintf(stderr, "%s: %s\n", names[space], strerror((int)-r));
    CHECK(is_refusal(r) && any_ill() && space != SAFE);
    w.refused++;
    return false;
}

/* ---- the store ---- */

static struct disk *near; /* for the cache of shards; NULL: none */

static enum compression compression; /* option --compression */

static void open_store(void)
{
    struct state_config c = {.disk = w.disk,
                             .clock = &w.clock.base,
                             .threads = 2,
                             .log_segment = 1 << 20,
                             .compression = {.on = compression != COMPRESSION_OFF}};

    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, 0, &w.kv) == 0);
    c.kv = w.kv;
    c.cache = near;
    CHECK(store_open(&c, &w.p) == 0);
    settings_put(&w.p->settings, SET_COMPRESSION, compression);
    settings_put(&w.p->settings, SET_SHARD_CACHE, 1 << 20); /* so that blocks come and go */
    packs_set_size(w.p->packs, 200 << 10);
    settings_put(&w.p->settings, SET_SHARD_PARALLEL, 1); /* so that a seed gives one run */
}

static uint64_t space_node(size_t s)
{
    struct vfs_attr attr;

    CHECK(vfs_lookup(w.p, VFS_ROOT, names[s], &attr) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    return attr.nodeid;
}

static const char *file_name(size_t f)
{
    static const char *const v[FILES] = {"f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7"};

    return v[f];
}

static struct vfs_file *open_file(size_t s, size_t f, unsigned flags)
{
    struct vfs_attr attr;
    struct vfs_file *file;

    CHECK(vfs_lookup(w.p, space_node(s), file_name(f), &attr) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    CHECK(attr.size == w.file[s][f].size);
    CHECK(vfs_open(w.p, attr.nodeid, flags, &file) == 0);
    return file;
}

static void compare(size_t s, size_t f)
{
    struct file *m = &w.file[s][f];
    struct vfs_attr attr;
    struct vfs_file *file;
    ssize_t n;

    if (!m->exists) {
        CHECK(vfs_lookup(w.p, space_node(s), file_name(f), &attr) == -ENOENT);
        return;
    }
    file = open_file(s, f, 0);
    n = vfs_read(file, buf, sizeof buf, 0);
    if (worked(s, n)) {
        CHECK(n == (ssize_t)m->size);
        CHECK(memcmp(buf, m->data, m->size) == 0);
    }
    vfs_release(file);
}

static void compare_all(void)
{
    for (size_t s = 0; s < SPACES; s++)
        for (size_t f = 0; f < FILES; f++)
            if (w.exists[s])
                compare(s, f);
}

/* ---- files ---- */

static void model_clear(struct file *m)
{
    memset(m->data, 0, m->size);
    m->size = 0;
    m->exists = false;
}

static void fill(size_t len, uint64_t state)
{
    state = state * UINT64_C(0x9E3779B97F4A7C15) + 1;
    for (size_t i = 0; i < len; i += sizeof state) {
        uint64_t word = fault_random(&state);
        memcpy(buf + i, &word, len - i < sizeof word ? len - i : sizeof word);
    }
}

static void op_unlink(size_t s, size_t f)
{
    int err = vfs_unlink(w.p, space_node(s), file_name(f));

    CHECK(err == (w.file[s][f].exists ? 0 : -ENOENT));
    model_clear(&w.file[s][f]);
}

/* A file anew, with what others have, too; never in "safe". */
static void op_replace(size_t s, size_t f)
{
    struct file *m = &w.file[s][f];
    uint64_t which = pick(CONTENTS);
    size_t len = pick(8) ? 200 + (size_t)which * 3500 : (130u << 10) + (size_t)which * 20000;
    struct vfs_file *file;
    struct vfs_attr attr;

    if (m->exists)
        op_unlink(s, f);
    fill(len, s == SAFE || pick(2) ? fault_random(&w.rng) : which);
    CHECK(vfs_create(w.p, space_node(s), file_name(f), 0644, &root, VFS_WRITE, &attr, &file) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    CHECK(vfs_write(file, buf, len, 0) == (ssize_t)len);
    vfs_release(file);
    m->exists = true;
    m->size = len;
    memcpy(m->data, buf, len);
}

static void op_write(size_t s, size_t f)
{
    struct file *m = &w.file[s][f];
    size_t off = pick(m->size + 1), len = 1 + pick(3) * pick(6000);
    struct vfs_file *file;
    ssize_t n;

    if (!m->exists || off + len > SIZE_MAX_MODEL)
        return;
    file = open_file(s, f, VFS_WRITE);
    fill(len, fault_random(&w.rng));
    n = vfs_write(file, buf, len, off);
    if (worked(s, n)) {
        memcpy(m->data + off, buf, (size_t)n);
        m->size = off + (size_t)n > m->size ? off + (size_t)n : m->size;
    }
    vfs_release(file);
}

static void op_truncate(size_t s, size_t f)
{
    struct file *m = &w.file[s][f];
    struct vfs_attr attr, in = {.size = pick(4) ? pick(m->size + 1) : 0};

    if (!m->exists || (s == SAFE && in.size > 0 && in.size < 64)) /* others may have as few bytes */
        return;
    CHECK(vfs_lookup(w.p, space_node(s), file_name(f), &attr) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    if (!worked(s, vfs_setattr(w.p, attr.nodeid, VFS_SET_SIZE, &in, &attr)))
        return;
    memset(m->data + in.size, 0, m->size - (size_t)in.size);
    m->size = (size_t)in.size;
}

/* As `ln` across namespaces: the ghost stays one. */
static void op_link(size_t s, size_t f)
{
    size_t s2 = pick(SAFE), f2 = pick(FILES);
    struct vfs_attr attr;

    if (s == SAFE || s2 == s || !w.exists[s2] || !w.file[s][f].exists)
        return;
    if (w.file[s2][f2].exists)
        op_unlink(s2, f2);
    CHECK(vfs_lookup(w.p, space_node(s), file_name(f), &attr) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    CHECK(vfs_link(w.p, attr.nodeid, space_node(s2), file_name(f2), &attr) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    w.file[s2][f2].exists = true;
    w.file[s2][f2].size = w.file[s][f].size;
    memcpy(w.file[s2][f2].data, w.file[s][f].data, w.file[s][f].size);
}

static void op_branch(void)
{
    size_t to = 1 + pick(SAFE - 1), from = pick(SAFE);
    uint64_t seq;
    uint32_t number, open;

    if (w.exists[to]) {
        CHECK(ns_drop(w.p, names[to], false, false, false, &open) == 0);
        for (size_t f = 0; f < FILES; f++)
            model_clear(&w.file[to][f]);
        w.exists[to] = false;
        return;
    }
    if (!w.exists[from])
        from = 0;
    CHECK(ns_branch(w.p, names[from], names[to], &seq, &number) == 0);
    for (size_t f = 0; f < FILES; f++) {
        struct file *x = &w.file[to][f], *y = &w.file[from][f];
        x->exists = y->exists;
        x->size = y->size;
        memcpy(x->data, y->data, y->size);
    }
    w.exists[to] = true;
}

/* ---- shards ---- */

/* Time passes, and what was said to be away is looked for. */
static void look(void)
{
    clock_manual_advance(&w.clock, 2 * NSEC_PER_SEC);
    (void)shards_look(w.p->shards);
}

static bool is_of_a_shard(int err)
{
    return any_ill() && (err == -EHOSTUNREACH || err == -EIO || err == -EROFS || err == -ENOSPC ||
                         err == -EUCLEAN);
}

static int move_each(uint64_t number, void *ctx)
{
    return move_one(ctx, number, NULL);
}

static void move_those(const struct move_selection *what, uint16_t to)
{
    struct move_result r = {0};
    char why[256] = "";
    struct move *m;
    int end, err = move_begin(w.p, NULL, to, &m);

    if (err < 0) {
        CHECK(is_of_a_shard(err));
        return;
    }
    err = move_select(w.p, what, move_each, m, why);
    end = move_end(m, &r);
    CHECK(err >= 0 || is_of_a_shard(err));
    CHECK(end >= 0 || is_of_a_shard(end));
    CHECK(r.failed == 0 || any_ill());
    w.moved += r.objects;
    w.failed += r.failed;
}

static void op_move(size_t s, size_t f)
{
    uint16_t to = (uint16_t)pick(SHARDS + 1);
    struct move_selection what = {.idle = -1, .on = -1};
    char path[32];
    const char *words[1] = {path};

    if (pick(2)) {
        if (s == SAFE || !w.file[s][f].exists)
            return;
        snprintf(path, sizeof path, "%s/%s", names[s], file_name(f));
        what.words = words;
        what.count = 1;
    } else if (to == 0 || pick(2)) {
        what.on = 1 + (int)pick(SHARDS); /* not from home: "safe" is there */
    } else {
        s = pick(SAFE);
        for (f = 0; f < FILES; f++) {
            snprintf(path, sizeof path, "%s/%s", names[s], file_name(f));
            what.words = words;
            what.count = 1;
            if (w.exists[s] && w.file[s][f].exists)
                move_those(&what, to);
        }
        return;
    }
    move_those(&what, to);
}

static void set_odds(unsigned shard, const struct shard_mem_odds *odds)
{
    struct shard_mem_odds seeded = *odds;

    seeded.seed = fault_random(&w.rng);
    shard_mem_set_odds(w.place[shard], &seeded);
}

/* What stalls is done now, after what was done since. */
static void release_all(void)
{
    for (unsigned i = 1; i <= SHARDS; i++)
        if (w.place[i])
            shard_mem_release(w.place[i]);
}

static void heal(void)
{
    release_all();
    for (unsigned i = 1; i <= SHARDS; i++) {
        set_odds(i, &always);
        for (unsigned k = 0; k < SHARD_MEM_SWITCHES; k++)
            shard_mem_set(w.place[i], (enum shard_mem_switch)k, false);
        w.ill[i] = false;
    }
    if (w.swapped)
        shard_mem_swap(w.place[1], w.place[2]);
    w.swapped = false;
    w.faults += fault_fired(&w.elsewhere);
    fault_reset(&w.elsewhere);
    look();
}

/* What can go wrong with one of them. */
static void spoil(unsigned shard)
{
    static const enum shard_mem_switch ways[] = {
        SHARD_MEM_UNREACHABLE, SHARD_MEM_UNREACHABLE, SHARD_MEM_READONLY,   SHARD_MEM_FULL,
        SHARD_MEM_FLIPS,       SHARD_MEM_DENIES,      SHARD_MEM_SHORT_LISTS};
    uint64_t way = pick(13);

    w.ill[shard] = true;
    if (way < 7) {
        shard_mem_set(w.place[shard], ways[way], true);
    } else if (way > 8) {
        set_odds(shard, &unwell);
    } else if (way == 7) {
        shard_mem_swap(w.place[1], w.place[2]);
        w.swapped = !w.swapped;
        w.ill[1] = w.ill[2] = true;
    } else {
        w.ill[1] = w.ill[2] = true;
        w.elsewhere.fail_at = atomic_load(&w.elsewhere.writes) + 1 + pick(4);
        w.elsewhere.loss = FAULT_LOSE_SOME;
        w.elsewhere.seed = fault_random(&w.rng);
    }
}

static void op_ill(void)
{
    unsigned shard = 1 + (unsigned)pick(SHARDS);

    if (any_ill() && pick(3)) {
        heal();
        return;
    }
    spoil(shard);
    if (pick(2))
        look();
}

static void sweep(void)
{
    struct ghost_report r = {0};
    int err = sweep_store(w.p, NULL, false, NULL, &r);

    CHECK(err == 0 || is_of_a_shard(err));
    CHECK(r.lost == 0);
    CHECK(any_ill() || r.checked == r.kept + r.purged + r.inconclusive);
}

static void cycle(void)
{
    struct gc_result r = {0};
    int err = gc_store_run(w.p, NULL, false, 0, &r);

    CHECK(err == 0 || is_of_a_shard(err));
    gc_result_release(&r);
}

static void compact(void)
{
    struct compact_result r;
    int err = compact_store(w.p, NULL, 50, true, &r);

    CHECK(err == 0 || is_of_a_shard(err));
}

/* ---- what is left ---- */

static bool is_of(const struct entry *e, const char *name)
{
    char want[DISK_NAME_MAX + 1], sums[DISK_NAME_MAX + 8];

    if (e->kind == ENTRY_PACK) {
        pack_name(e->where, want);
        return !strcmp(name, want);
    }
    blob_object_name(&e->id, e->where, want);
    snprintf(sums, sizeof sums, "%s.sums", want);
    return !strcmp(name, want) || !strcmp(name, sums);
}

static int must_be_named(const char *name, uint64_t size, void *ctx)
{
    struct refs_ghosts_walk walk = {.shard = *(uint16_t *)ctx};
    struct entry e;

    if (!strncmp(name, "claims/", 7)) /* who takes the fence next removes it */
        return 0;
    walk.refs = w.p ? w.p->refs : NULL;
    while (w.p && refs_next_ghost(&walk, &e) == 0)
        if (is_of(&e, name))
            return 0;
    fprintf(stderr, "shard %u: nothing names %s, of %llu bytes\n", *(uint16_t *)ctx, name,
            (unsigned long long)size);
    return -EEXIST;
}

static void nothing_is_unnamed(void)
{
    static const char *const dirs[] = {"packs", "objects", "claims"};
    char url[SHARD_URL_MAX + 1], why[SHARD_WHY];
    struct shard *s;

    for (uint16_t i = 1; i <= SHARDS; i++) {
        snprintf(url, sizeof url, "mem:property%u", i);
        CHECK(shard_open(url, SHARD_READONLY, &s, why) == 0);
        for (size_t d = 0; d < sizeof dirs / sizeof dirs[0]; d++)
            CHECK(shard_list(s, dirs[d], must_be_named, &i) == 0);
        shard_close(s);
    }
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    if (!strcmp(what, "note"))
        return;
    ++*(unsigned *)ctx;
    fprintf(stderr, "check: %s: %s: %s\n", what, where, sentence);
}

static void check_store(void)
{
    unsigned findings = 0;
    struct check_options o = {.found = found, .ctx = &findings};
    struct check_result result;

    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, 0, &w.kv) == 0);
    CHECK(store_check(w.disk, w.kv, &o, &result) == 0);
    kv_close(w.kv);
    CHECK(findings == 0);
}

/* All shards are well: everything can be read, and after two cycles nothing is left over. */
static void all_is_well(void)
{
    heal();
    compare_all();
    CHECK(flush_drain(w.p, true, -1, NULL) == 0);
    cycle();
    cycle();
    CHECK(flush_drain(w.p, true, -1, NULL) == 0);
    sweep();
    compare_all();
    nothing_is_unnamed();
    CHECK(store_close(w.p) == 0);
    kv_close(w.kv);
    check_store();
    open_store();
}

/* ---- the store itself ---- */

static void op_restart(bool die)
{
    if (die)
        store_abandon(w.p);
    else
        CHECK(store_close(w.p) == 0);
    kv_close(w.kv);
    open_store();
    compare_all();
}

/* Behind a sync: so all is there again. */
static void op_power(void)
{
    static const enum fault_loss losses[] = {FAULT_LOSE_ALL, FAULT_LOSE_SOME, FAULT_LOSE_ONE};

    CHECK(flush_sync(w.p) == 0);
    store_abandon(w.p);
    kv_close(w.kv);
    w.fault.loss = losses[pick(3)];
    w.fault.seed = fault_random(&w.rng);
    disk_mem_power_cycle(w.disk);
    w.cuts++;
    open_store();
    compare_all();
}

static void op_store(void)
{
    switch (pick(9)) {
    case 0:
    case 1:
        CHECK(flush_now(w.p) == 0);
        break;
    case 2:
    case 3:
        CHECK(flush_drain(w.p, false, -1, NULL) == 0);
        break;
    case 4:
        sweep();
        break;
    case 5:
        cycle();
        break;
    case 6:
        compact();
        break;
    case 7:
        op_restart(pick(2));
        break;
    default:
        op_power();
    }
}

static void step(void)
{
    size_t s = pick(SPACES), f = pick(FILES);
    uint64_t what = pick(100);

    if (!w.exists[s])
        s = 0;
    clock_manual_advance(&w.clock, (int64_t)pick(400) * NSEC_PER_MSEC);
    if (pick(8) == 0)
        release_all();
    if (what < 16)
        op_replace(s, f);
    else if (what < 24)
        op_write(s, f);
    else if (what < 28)
        op_truncate(s, f);
    else if (what < 34)
        op_unlink(s, f);
    else if (what < 37)
        op_link(s, f);
    else if (what < 40)
        op_branch();
    else if (what < 56)
        op_move(s, f);
    else if (what < 60)
        op_ill();
    else if (what < 72)
        op_store();
    else
        compare(s, f);
    if (pick(400) == 0)
        all_is_well();
}

/* ---- the whole ---- */

static void begin(void)
{
    char url[SHARD_URL_MAX + 1], why[SHARD_WHY];
    uint32_t mode = 0755;

    bool cached = w.rng % 2 == 0;

    shard_mem_register();
    shard_mem_set_far(cached);
    CHECK(!cached || disk_mem_create(NULL, 0, &near) == 0);
    shard_set_patience(PATIENCE);
    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    CHECK(kv_mem_create(&w.fault, &w.mem) == 0 && disk_mem_create(&w.fault, 0, &w.disk) == 0);
    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    CHECK(store_format(w.disk, w.kv, &w.clock.base, "o/p", 0, 0, NULL) == 0);
    kv_close(w.kv);
    open_store();
    for (size_t s = 0; s < SPACES; s++)
        for (size_t f = 0; f < FILES; f++)
            w.file[s][f].data = calloc(1, SIZE_MAX_MODEL);
    for (unsigned i = 1; i <= SHARDS; i++) {
        snprintf(url, sizeof url, "mem:property%u", i);
        CHECK(shard_mem_create(url + 4, &w.elsewhere, &w.place[i]) == 0);
        CHECK(shards_add(w.p->shards, (uint16_t)i, url, why) == 0);
        set_odds(i, &always);
    }
    struct vfs_attr attr;
    CHECK(vfs_mknod(w.p, VFS_ROOT, names[SAFE], 0040000 | mode, 0, &root, &attr) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    w.exists[0] = w.exists[SAFE] = true;
}

static void drop_everything(void)
{
    uint64_t bytes, count;
    uint32_t open;

    heal();
    for (size_t s = 0; s < SPACES; s++)
        if (w.exists[s])
            CHECK(ns_drop(w.p, names[s], false, false, false, &open) == 0);
    CHECK(flush_drain(w.p, true, -1, NULL) == 0);
    cycle();
    cycle();
    CHECK(flush_drain(w.p, true, -1, NULL) == 0);
    CHECK(store_close(w.p) == 0);
    w.p = NULL;
    nothing_is_unnamed(); /* so there is nothing */
    kv_close(w.kv);
    check_store();
    disk_mem_usage(w.disk, &bytes, &count);
    CHECK(bytes == 0 && count == 0);
}

static const char *const fault_names[SHARD_MEM_FAULTS] = {"lost replies", "sent again", "late",
                                                          "lists cut", "stalls"};

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", 1, NULL, 's'}, {"ops", 1, NULL, 'n'}, {"compression", 1, NULL, 'c'}, {0}};
    uint64_t ops = 4000;
    int o;

    w.rng = 1;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 's')
            w.rng = strtoull(optarg, NULL, 0);
        else if (o == 'n')
            ops = strtoull(optarg, NULL, 0);
        else if (o == 'c')
            compression = *optarg == 'w' ? COMPRESSION_WRITE : COMPRESSION_REST;
        else
            return 2;
    }
    w.rng = w.rng ? w.rng : 1;
    printf("property_shards --seed %llu --ops %llu\n", (unsigned long long)w.rng,
           (unsigned long long)ops);
    fflush(stdout);
    begin();
    for (w.op = 0; w.op < ops; w.op++)
        step();
    drop_everything();
    for (size_t s = 0; s < SPACES; s++)
        for (size_t f = 0; f < FILES; f++)
            free(w.file[s][f].data);
    printf("%llu objects moved, %llu not, %llu calls refused, %llu losses of power, "
           "%llu writes failed\n",
           (unsigned long long)w.moved, (unsigned long long)w.failed, (unsigned long long)w.refused,
           (unsigned long long)w.cuts, (unsigned long long)w.faults);
    for (unsigned i = 0; i < SHARD_MEM_FAULTS; i++) {
        uint64_t hits = shard_mem_hits(w.place[1], (enum shard_mem_fault)i) +
                        shard_mem_hits(w.place[2], (enum shard_mem_fault)i);

        printf("%s %llu%s", fault_names[i], (unsigned long long)hits,
               i + 1 < SHARD_MEM_FAULTS ? ", " : "\n");
        CHECK(hits || ops < 4000 || i == SHARD_MEM_LATE_EXISTS);
    }
    if (ops >= 4000)
        CHECK(w.moved && w.refused && w.cuts && w.faults);
    disk_close(w.disk);
    disk_close(near);
    kv_mem_destroy(w.mem);
    for (unsigned i = 1; i <= SHARDS; i++)
        shard_mem_destroy(w.place[i]);
    return 0;
}
