// SPDX-License-Identifier: Apache-2.0
/*
 * property_tree: a forest of trees does what arrays would do, whatever happens to it.
 *
 *     property_tree [--seed S] [--ops N] [--oom 1]
 *
 * Random puts, deletes, branches, drops, commits that fail and are tried again, crashes. Each tree
 * has a model, an array over all keys; a branch copies it, a crash takes the one of the last
 * commit. Now and then everything is compared, and all counts are recounted (recount.h). With --oom
 * allocations fail while trees are changed: a change that failed has changed no item, and no count
 * may be too low. Linked with --wrap=malloc,calloc,realloc.
 */
#include "recount.h"
#include "report.h"

#include <dirent.h>
#include <errno.h>
#include <time.h>

#define KEYS 16384
#define OBJECTS 300
#define NUMBERS (1u << 21)
#define CHECK_EVERY 50000

struct item {
    uint64_t object;
    uint32_t seed;
    uint16_t len;
    bool there;
};
struct model {
    struct item tree[FOREST_TREES][KEYS];
};

static struct forest f;
static struct model now, frozen, committed;
static bool freezing;
static uint64_t state, objects[OBJECTS];
/* number -> what it became an alias of; a crash takes back what was not committed */
static uint32_t alias[NUMBERS], alias_log[NUMBERS];
static size_t aliases, aliases_frozen, aliases_committed;
static bool filling[FOREST_TREES];
static uint64_t crashes, failures, commits, diffs, checks;

static unsigned below(unsigned n)
{
    return (unsigned)(fault_random(&state) >> 16) % n;
}

/* ---- memory that runs out ---- */

static unsigned oom_left; /* the allocation so many from now fails; 0: none */
static bool oom;
static uint64_t ooms;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool fails(void)
{
    return oom_left && --oom_left == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

static void oom_arm(void)
{
    oom_left = oom ? below(40) : 0;
}

/* Did the call fail for want of memory? Then it must be that, and have been asked for. */
static bool oom_hit(int err)
{
    MUST(err != -ENOMEM || oom);
    oom_left = 0;
    ooms += err == -ENOMEM;
    return err == -ENOMEM;
}

/* ---- items ---- */

static struct key key_at(unsigned i)
{
    static const enum item_type types[] = {ITEM_INODE, ITEM_SYMLINK, ITEM_DIRENT, ITEM_EXTENT};
    unsigned t = i % 4;
    return key_make(1 + i / 4, types[t], t == 2 ? i * 977u : 0);
}

static unsigned index_of(struct key k)
{
    unsigned first = (unsigned)(key_ino(k) - 1) * 4;
    for (unsigned i = first; i < first + 4; i++)
        if (key_compare(key_at(i), k) == 0)
            return i;
    MUST(false); /* a key nobody put */
    return 0;
}

static size_t write_item(unsigned i, const struct item *it, uint8_t out[PAGE_VALUE_MAX])
{
    uint64_t s = it->seed | (uint64_t)1 << 32;

    if (i % 4 == 0)
        return inode_encode(&(struct inode){.mode = 0100644,
                                            .nlink = 1 + it->seed % 2,
                                            .object = it->object,
                                            .mtime = it->seed},
                            out);
    if (i % 4 == 3) {
        extent_encode(&(struct extent){it->object, it->seed % EXTENT_BLOCK}, out);
        return EXTENT_ITEM_LEN;
    }
    for (size_t b = 0; b < it->len; b += 8) {
        uint64_t r = fault_random(&s);
        memcpy(out + b, &r, it->len - b < 8 ? it->len - b : 8);
    }
    return it->len;
}

static uint64_t resolved(uint64_t n)
{
    return n && alias[n] ? alias[n] : n;
}

static bool same(unsigned i, const struct item *it, const void *val, size_t len)
{
    uint8_t want[PAGE_VALUE_MAX];
    size_t n = write_item(i, it, want);
    uint64_t named = item_object(key_at(i), val, len);

    if (named != it->object && resolved(named) != resolved(it->object))
        return false;
    item_set_object(key_at(i), want, n, named);
    return n == len && memcmp(want, val, len) == 0;
}

static bool models_differ(unsigned i, const struct item *a, const struct item *b)
{
    uint8_t val[PAGE_VALUE_MAX];
    if (!a->there || !b->there)
        return a->there != b->there;
    return !same(i, a, val, write_item(i, b, val));
}

/* ---- objects ---- */

static uint64_t some_object(void)
{
    uint64_t *n = &objects[below(OBJECTS)];
    struct entry e;

    if (*n == 0 || refs_entry(f.refs, *n, false, NULL, &e) == -ENOENT) {
        if (below(3) == 0)
            MUST(refs_new(f.refs, n) == 0);
        else
            *n = forest_object(&f);
        MUST(*n < NUMBERS);
    }
    return *n;
}

static void do_alias(void)
{
    uint64_t a = some_object(), b = some_object();
    struct entry ea, eb;

    MUST(refs_entry(f.refs, a, false, NULL, &ea) == 0);
    MUST(refs_entry(f.refs, b, false, NULL, &eb) == 0);
    if (a == b || ea.kind != ENTRY_NEW || eb.kind != ENTRY_PACK)
        return;
    MUST(refs_seal_alias(f.refs, a, b) == 0);
    alias[a] = (uint32_t)b;
    alias_log[aliases++] = (uint32_t)a;
}

static void do_pin(void)
{
    uint64_t n = some_object();
    MUST((below(2) ? refs_pin(f.refs, n) : refs_unpin(f.refs, n)) == 0);
}

static void do_collect(void)
{
    struct refs_dead dead[64];
    size_t n;

    MUST(refs_collect(f.refs, below(100), NULL, NULL) >= 0);
    n = refs_collected(f.refs, dead, 64);
    for (size_t i = 0; i < n; i++) {
        struct entry e;
        MUST(refs_entry(f.refs, dead[i].number, false, NULL, &e) == -ENOENT);
        MUST(refs_reclaimed(f.refs, &dead[i], 1) == 0);
    }
}

/* ---- changes ---- */

static struct item new_item(unsigned i)
{
    struct item it = {.there = true, .seed = (uint32_t)fault_random(&state)};
    unsigned how = below(10);

    if (i % 4 == 3 || (i % 4 == 0 && how))
        it.object = some_object();
    it.len = (uint16_t)(how < 4 ? below(40) : how < 8 ? below(300) : how < 9 ? below(2045) : 2044);
    return it;
}

static void do_put(unsigned t, unsigned i)
{
    uint8_t val[PAGE_VALUE_MAX];
    struct item it = new_item(i);
    int err;

    oom_arm();
    err = tree_put(&f.tree[t], key_at(i), val, write_item(i, &it, val));
    if (oom_hit(err))
        return;
    MUST(err == 0);
    now.tree[t][i] = it;
}

static void do_put_owned(unsigned t, unsigned i)
{
    uint8_t val[PAGE_VALUE_MAX];
    struct item it = new_item(i);
    int err;

    oom_arm();
    err = tree_put_owned(&f.tree[t], key_at(i), val, write_item(i, &it, val));
    if (oom_hit(err))
        return;
    MUST(now.tree[t][i].there ? err == 0 || err == -EAGAIN : err == -ENOENT);
    if (err == 0)
        now.tree[t][i] = it;
}

static void do_del(unsigned t, unsigned i)
{
    int err;

    oom_arm();
    err = tree_del(&f.tree[t], key_at(i));
    if (oom_hit(err))
        return;
    MUST(err == (now.tree[t][i].there ? 0 : -ENOENT));
    now.tree[t][i] = (struct item){0};
}

static void do_own(unsigned t, unsigned i)
{
    int err;

    oom_arm();
    err = tree_own(&f.tree[t], key_at(i));
    MUST(oom_hit(err) || err == (now.tree[t][i].there ? 0 : -ENOENT));
}

static void do_get(unsigned t, unsigned i)
{
    uint8_t val[PAGE_VALUE_MAX];
    size_t len;
    int err = tree_get(&f.tree[t], key_at(i), val, sizeof val, &len);

    MUST(err == (now.tree[t][i].there ? 0 : -ENOENT));
    MUST(err || same(i, &now.tree[t][i], val, len));
}

/* A run of keys, up or down: fills pages at one end, empties them from the other. */
static unsigned do_run(unsigned t, unsigned i)
{
    unsigned n = 1 + below(1500);
    bool put = filling[t], up = below(2);

    for (unsigned k = 0; k < n; k++) {
        unsigned at = (up ? i + k : i + KEYS - k) % KEYS;
        if (put)
            do_put(t, at);
        else
            do_del(t, at);
    }
    return n;
}

/* A range of any length, with the pages in it. */
static void do_cut(unsigned t, unsigned i)
{
    unsigned upto = i + (below(2) ? below(20) : below(KEYS));
    struct key to = upto < KEYS ? key_at(upto) : (struct key){UINT64_MAX >> 16, 0}, done;
    int err;

    oom_arm();
    err = tree_cut(&f.tree[t], key_at(i), to, f.drops, &done);
    MUST(oom_hit(err) || (err == 0 && key_compare(done, to) == 0));
    for (; i < KEYS && key_compare(key_at(i), done) < 0; i++)
        now.tree[t][i] = (struct item){0};
}

static void do_branch(unsigned t)
{
    unsigned to = below(FOREST_TREES);

    if (to == t)
        return;
    MUST(drops_push(f.drops, f.tree[to].root) == 0);
    MUST(tree_branch(&f.tree[t], &f.tree[to]) == 0);
    memcpy(now.tree[to], now.tree[t], sizeof now.tree[t]);
}

static void do_drop(unsigned t)
{
    MUST(drops_push(f.drops, f.tree[t].root) == 0);
    f.tree[t].root = 0;
    memset(now.tree[t], 0, sizeof now.tree[t]);
}

static void do_drops_step(void)
{
    unsigned done;
    int err;

    oom_arm();
    err = drops_step(f.drops, below(60), &done);
    MUST(oom_hit(err) || err == 0);
}

/* ---- reading ---- */

static void walk(unsigned t, unsigned i, unsigned most)
{
    struct tree_cursor c;
    int err = tree_seek(&f.tree[t], key_at(i), &c);

    for (; i < KEYS && most; i++) {
        size_t len;
        const void *val;
        if (!now.tree[t][i].there)
            continue;
        MUST(err == 0 && index_of(tree_cursor_key(&c)) == i);
        val = tree_cursor_value(&c, &len);
        MUST(same(i, &now.tree[t][i], val, len));
        err = tree_next(&c);
        most--;
    }
    MUST(i < KEYS || err == -ENOENT);
    tree_cursor_end(&c);
}

struct diff {
    unsigned a, b, next;
};

static int differs(struct key k, const void *a, size_t alen, const void *b, size_t blen, void *ctx)
{
    struct diff *d = ctx;
    unsigned i = index_of(k);

    for (; d->next < i; d->next++)
        MUST(!models_differ(d->next, &now.tree[d->a][d->next], &now.tree[d->b][d->next]));
    MUST(d->next == i);
    d->next++;
    MUST(!a == !now.tree[d->a][i].there && !b == !now.tree[d->b][i].there);
    MUST(!a || same(i, &now.tree[d->a][i], a, alen));
    MUST(!b || same(i, &now.tree[d->b][i], b, blen));
    return 0;
}

static void do_diff(unsigned a, unsigned b)
{
    struct diff d = {a, b, 0};

    MUST(tree_diff(&f.tree[a], &f.tree[b], differs, &d) == 0);
    for (; d.next < KEYS; d.next++)
        MUST(!models_differ(d.next, &now.tree[a][d.next], &now.tree[b][d.next]));
    diffs++;
}

/* ---- committing, crashing ---- */

static void freeze(void)
{
    forest_freeze(&f);
    frozen = now;
    aliases_frozen = aliases;
    freezing = true;
}

static void do_commit(bool fail)
{
    if (!freezing)
        freeze();
    if (fail)
        forest_fail_next_commit(&f);
    if (forest_write(&f) < 0) {
        MUST(fail);
        failures++;
        return; /* it stays frozen while work goes on, and is tried again */
    }
    MUST(!fail);
    forest_retire(&f);
    committed = frozen;
    aliases_committed = aliases_frozen;
    freezing = false;
    commits++;
}

static void do_crash(void)
{
    forest_crash(&f);
    now = committed;
    while (aliases > aliases_committed)
        alias[alias_log[--aliases]] = 0;
    freezing = false;
    crashes++;
}

static void check(bool all)
{
    if (freezing)
        do_commit(false);
    if (all)
        forest_drop_all(&f);
    do_commit(false);
    (void)recount(&f);
    for (unsigned t = 0; t < FOREST_TREES; t++)
        walk(t, 0, UINT32_MAX);
    MUST(oom || report_count(REPORT_WARN) == 0);
    MUST(report_count(REPORT_ALARM) == 0);
    checks++;
}

/* ---- the run ---- */

static void do_rare(unsigned t)
{
    unsigned what = below(1000);

    if (what < 12)
        do_branch(t);
    else if (what < 14)
        do_drop(t);
    else if (what < 16)
        do_cut(t, below(KEYS));
    else if (what < 18)
        do_diff(t, below(FOREST_TREES));
    else if (what < 28)
        do_commit(below(3) == 0);
    else if (what < 30 && !freezing)
        freeze();
    else if (what < 31)
        do_crash();
    else if (what < 33)
        filling[t] = !filling[t];
    else if (what < 36)
        pages_set_cache(f.pages, below(4) ? below(1 << 21) : 0);
    else if (what < 200)
        do_drops_step();
    else if (what < 300)
        do_collect();
    else if (what < 500)
        do_pin();
    else
        do_alias();
}

static unsigned step(void)
{
    unsigned t = below(FOREST_TREES), i = below(KEYS), what = below(1000);

    if (what < 1)
        return do_run(t, i);
    if (what < 250)
        do_get(t, i);
    else if (what < 300)
        do_own(t, i);
    else if (what < 350)
        do_put_owned(t, i);
    else if (what < 380)
        walk(t, i, 10);
    else if (what < 420)
        do_rare(t);
    else if (what < (filling[t] ? 850u : 550u))
        do_put(t, i);
    else
        do_del(t, i);
    return 1;
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL), ops = 1000000, done = 0, next = CHECK_EVERY;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--ops") == 0)
            ops = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--oom") == 0)
            oom = argv[i + 1][0] == '1';
    }
    printf("property_tree --seed %llu --ops %llu --oom %d\n", (unsigned long long)seed,
           (unsigned long long)ops, oom);
    fflush(stdout);
    state = seed ? seed : 1;
    forest_create(&f);
    f.leaks = oom;
    for (unsigned t = 0; t < FOREST_TREES; t++)
        filling[t] = t % 2;
    while (done < ops) {
        done += step();
        if (done >= next) {
            check(below(2));
            next += CHECK_EVERY;
        }
    }
    for (unsigned t = 0; t < FOREST_TREES; t++)
        do_drop(t);
    check(true);
    MUST(recount(&f) == 0 || oom);
    forest_destroy(&f);
    printf("%llu commits, %llu failed, %llu crashes, %llu diffs, %llu checks, %llu out of memory\n",
           (unsigned long long)commits, (unsigned long long)failures, (unsigned long long)crashes,
           (unsigned long long)diffs, (unsigned long long)checks, (unsigned long long)ooms);
    if (ops >= 250000)
        MUST(commits && failures && crashes && diffs && checks && (ooms || !oom));
    return 0;
}
