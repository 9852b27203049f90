// SPDX-License-Identifier: Apache-2.0
/*
 * baton: a second thread that runs only while the first one waits for it, so that work of a node
 * can stand still between two of its operations while everything else goes on. Workers of the same
 * node are on its side.
 */
#include "sim.h"
#include <pthread.h>
#include <stdlib.h>

struct baton {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t turn;
    bool theirs; /* whose turn it is */
    bool ended;
    unsigned left; /* operations until it stands still */
    void (*fn)(void *ctx);
    void *ctx;
};

static void hand_over(struct baton *b, bool theirs)
{
    pthread_mutex_lock(&b->lock);
    b->theirs = theirs;
    pthread_cond_broadcast(&b->turn);
    pthread_mutex_unlock(&b->lock);
}

static void wait_for(struct baton *b, bool theirs)
{
    pthread_mutex_lock(&b->lock);
    while (b->theirs != theirs)
        pthread_cond_wait(&b->turn, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

static void *run_theirs(void *arg)
{
    struct baton *b = arg;

    wait_for(b, true);
    b->fn(b->ctx);
    b->ended = true;
    hand_over(b, false);
    return NULL;
}

static void end(struct baton *b)
{
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->turn);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void baton_go_on(struct baton **slot, unsigned operations)
{
    struct baton *b = *slot;

    b->left = operations;
    hand_over(b, true);
    wait_for(b, false);
    if (!b->ended)
        return;
    end(b);
    *slot = NULL;
}

void baton_begin(struct baton **slot, void (*fn)(void *ctx), void *ctx, unsigned after)
{
    struct baton *b = calloc(1, sizeof *b);

    CHECK(b && !*slot);
    *b = (struct baton){.fn = fn, .ctx = ctx};
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->turn, NULL);
    CHECK(pthread_create(&b->thread, NULL, run_theirs, b) == 0);
    *slot = b;
    baton_go_on(slot, after);
}

void baton_operation(struct baton *b)
{
    if (!b)
        return;
    wait_for(b, true); /* another thread of that side may have stopped it */
    if (b->left == 0 || --b->left > 0)
        return;
    hand_over(b, false);
    wait_for(b, true);
}
