// SPDX-License-Identifier: Apache-2.0
/*
 * race_tree: threads that each change their own branches of one shared tree, while another drops
 * what they leave, one commits, and one reads; under ThreadSanitizer. A plain program, because
 * Criterion does not start there.
 *
 *     race_tree [SECONDS]
 *
 * As in the store, changes hold the freeze lock's read side and a freeze its write side. At the end
 * all counts are recounted.
 */
#include "lock.h"
#include "recount.h"

#include <pthread.h>
#include <time.h>

#define WRITERS 3
#define KEYS 2000

static struct forest f;
static struct rwlock freeze_lock;
static struct rwlock lock[FOREST_TREES]; /* tree i; taken below the freeze lock */
static _Atomic bool stop;
static uint64_t objects[16];

static unsigned below(uint64_t *state, unsigned n)
{
    return (unsigned)(fault_random(state) >> 16) % n;
}

static void change(uint64_t *state, unsigned tree)
{
    unsigned i = below(state, KEYS);
    uint8_t val[400] = {0};
    struct key k = key_make(1 + i, i % 2 ? ITEM_EXTENT : ITEM_SYMLINK, 0);

    if (below(state, 3) == 0) {
        (void)tree_del(&f.tree[tree], k);
        return;
    }
    extent_encode(&(struct extent){objects[below(state, 16)], 1}, val);
    MUST(tree_put(&f.tree[tree], k, val, i % 2 ? EXTENT_ITEM_LEN : sizeof val) == 0);
}

/* Branch the shared tree 0 to one's own, changing it now and then too. */
static void rebranch(unsigned tree)
{
    READ_GUARD(&freeze_lock);
    uint64_t old;
    {
        WRITE_GUARD(&lock[tree]);
        old = f.tree[tree].root;
        WRITE_GUARD(&lock[0]);
        MUST(tree_branch(&f.tree[0], &f.tree[tree]) == 0);
    }
    MUST(drops_push(f.drops, old) == 0);
}

static void *writer(void *arg)
{
    unsigned tree = (unsigned)(uintptr_t)arg;
    uint64_t state = tree + 77;

    while (!atomic_load(&stop)) {
        unsigned t = below(&state, 10) ? tree : 0;
        if (below(&state, 200) == 0)
            rebranch(tree);
        READ_GUARD(&freeze_lock);
        WRITE_GUARD(&lock[t]);
        change(&state, t);
    }
    return NULL;
}

static void *reader(void *arg)
{
    uint64_t state = 5;

    (void)arg;
    while (!atomic_load(&stop)) {
        unsigned t = below(&state, 1 + WRITERS), i = below(&state, KEYS);
        uint8_t val[400];
        size_t len;
        READ_GUARD(&lock[t]);
        int err = tree_get(&f.tree[t], key_make(1 + i, i % 2 ? ITEM_EXTENT : ITEM_SYMLINK, 0), val,
                           sizeof val, &len);
        MUST(err == 0 || err == -2);
    }
    return NULL;
}

static void *dropper(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        unsigned done;
        {
            READ_GUARD(&freeze_lock);
            MUST(drops_step(f.drops, 20, &done) == 0);
        }
        if (!done)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return NULL;
}

/* One, two or three batches with each commit. */
static void *committer(void *arg)
{
    unsigned turn = 0;
    (void)arg;
    while (!atomic_load(&stop)) {
        size_t batches = 1 + turn++ % 3;
        for (size_t i = 0; i < batches; i++) {
            {
                WRITE_GUARD(&freeze_lock);
                forest_freeze(&f);
            }
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        MUST(forest_write_some(&f, batches) == 0);
        forest_retire_some(&f, batches);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread[WRITERS + 3];
    uint64_t state = 1;

    forest_create(&f);
    pages_set_cache(f.pages, 256 * 1024);
    rwlock_init(&freeze_lock, "freeze");
    for (unsigned i = 0; i < FOREST_TREES; i++)
        rwlock_init(&lock[i], "tree");
    for (unsigned i = 0; i < 16; i++) {
        objects[i] = forest_object(&f);
        MUST(refs_pin(f.refs, objects[i]) == 0);
    }
    for (unsigned i = 0; i < 3000; i++)
        change(&state, 0);
    for (unsigned i = 0; i < WRITERS; i++)
        MUST(!pthread_create(&thread[i], NULL, writer, (void *)(uintptr_t)(i + 1)));
    MUST(!pthread_create(&thread[WRITERS], NULL, reader, NULL));
    MUST(!pthread_create(&thread[WRITERS + 1], NULL, dropper, NULL));
    MUST(!pthread_create(&thread[WRITERS + 2], NULL, committer, NULL));
    nanosleep(&(struct timespec){.tv_sec = argc > 1 ? atol(argv[1]) : 5}, NULL);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < WRITERS + 3; i++)
        MUST(!pthread_join(thread[i], NULL));
    forest_drop_all(&f);
    forest_commit(&f);
    printf("%zu pages left, %llu made\n", recount(&f), (unsigned long long)pages_next(f.pages));
    for (unsigned i = 0; i < FOREST_TREES; i++)
        rwlock_destroy(&lock[i]);
    rwlock_destroy(&freeze_lock);
    forest_destroy(&f);
    return 0;
}
