// SPDX-License-Identifier: Apache-2.0
#include "ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define ROOM 128u  /* pieces of work */
#define THREADS 8u /* at most */

struct ahead_queue {
    ahead_fn *fn;
    void *ctx;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t moved;
    size_t given, begun, taken; /* pieces so far; piece n is at n % ROOM */
    bool ended;
    void *work[ROOM];
    bool done[ROOM];
    pthread_t thread[THREADS];
    size_t threads;
};

/* Does the oldest piece that nobody has begun. The caller holds the lock. */
static void do_one(struct ahead_queue *a)
{
    size_t at = a->begun++ % ROOM;
    pthread_mutex_unlock(&a->lock);
    a->fn(a->work[at], a->ctx);
    pthread_mutex_lock(&a->lock);
    a->done[at] = true;
    pthread_cond_broadcast(&a->moved);
}

static void *work(void *arg)
{
    struct ahead_queue *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!a->ended) {
        if (a->begun < a->given) {
            do_one(a);
        } else {
            pthread_cond_wait(&a->moved, &a->lock);
        }
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

int ahead_open(ahead_fn *fn, void *ctx, struct ahead_queue **ret_a)
{
    struct ahead_queue *a = calloc(1, sizeof(*a));
    if (!a) {
        return -ENOMEM;
    }
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t most = cpus > 0 && (size_t)cpus < THREADS ? (size_t)cpus : THREADS;
    a->fn = fn;
    a->ctx = ctx;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->moved, NULL);
    while (a->threads < most &&
           pthread_create(&a->thread[a->threads], NULL, work, a) == 0) {
        a->threads++;
    }
    *ret_a = a;
    return 0;
}

void ahead_close(struct ahead_queue *a)
{
    if (!a) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    a->ended = true;
    pthread_cond_broadcast(&a->moved);
    pthread_mutex_unlock(&a->lock);
    for (size_t i = 0; i < a->threads; i++) {
        pthread_join(a->thread[i], NULL);
    }
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->moved);
    free(a);
}

bool ahead_has_room(const struct ahead_queue *a)
{
    return a->given - a->taken < ROOM; /* only the caller changes these */
}

size_t ahead_count(const struct ahead_queue *a)
{
    return a->given - a->taken;
}

void ahead_give(struct ahead_queue *a, void *piece)
{
    pthread_mutex_lock(&a->lock);
    a->work[a->given % ROOM] = piece;
    a->done[a->given++ % ROOM] = false;
    pthread_cond_broadcast(&a->moved);
    pthread_mutex_unlock(&a->lock);
}

void *ahead_take(struct ahead_queue *a)
{
    pthread_mutex_lock(&a->lock);
    size_t at = a->taken % ROOM;
    while (!a->done[at]) {
        if (a->begun == a->taken) {
            do_one(a);
        } else {
            pthread_cond_wait(&a->moved, &a->lock);
        }
    }
    a->taken++;
    pthread_mutex_unlock(&a->lock);
    return a->work[at];
}
