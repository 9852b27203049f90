// SPDX-License-Identifier: Apache-2.0
/*
 * lock: mutexes, reader-writer locks and conditions that know their owner.
 *
 * Invariant: a function whose header says "needs L" calls `mutex_held(L)` or `rwlock_held_*(L)`
 * first, which aborts with the lock's name if the rule is broken. Every build has this check, which
 * costs one relaxed load. The order in which locks are taken is in core/state/state.h.
 *
 * Critical sections are braces:
 *
 *     {
 *         MUTEX_GUARD(&table->lock);
 *         ...
 *     }                               // unlocked here, on every way out
 *
 * Not recursive: taking a mutex or the write side twice aborts with the lock's name. All rwlocks
 * prefer writers, so a thread must not take the read side twice either. Not fair: a thread
 * that finds a lock taken spins for some microseconds before it sleeps, and may get the lock before
 * a thread that sleeps. A thread that keeps taking one lock calls mutex_let_others in between.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mutex {
    pthread_mutex_t m;
    _Atomic int owner;    /* thread id, 0 when free */
    _Atomic int sleepers; /* threads that gave up spinning and sleep */
    const char *name;     /* for messages; static storage */
};

struct rwlock {
    pthread_rwlock_t l;
    _Atomic int writer;  /* thread id of the writer, 0 when none */
    _Atomic int readers; /* how many hold the read side */
    const char *name;
};

/* A condition variable on the monotonic clock. It is used with one mutex only. */
struct cond {
    pthread_cond_t c;
};

void mutex_init(struct mutex *m, const char *name);
void mutex_destroy(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);
/* Takes the lock, but waits for at most `duration_ns`. False: it was not free in that time, and the
 * caller does not hold it. */
bool mutex_lock_for(struct mutex *m, int64_t duration_ns);
/* Lets threads that sleep for `m` take it first: waits until none of them sleeps any more, but for
 * at most 0.2 ms. The caller does not hold `m`. */
void mutex_let_others(struct mutex *m);
/* Aborts unless the calling thread holds `m`. */
void mutex_held(const struct mutex *m);

void rwlock_init(struct rwlock *l, const char *name);
void rwlock_destroy(struct rwlock *l);
void rwlock_rdlock(struct rwlock *l);
void rwlock_wrlock(struct rwlock *l);
/* Take a side of the lock if it is free now, or within the time for which the calls above spin
 * (some microseconds). False: it was not free, and the caller does not hold it. While a writer
 * waits no side is free. */
bool rwlock_tryrdlock(struct rwlock *l);
bool rwlock_trywrlock(struct rwlock *l);
void rwlock_rdunlock(struct rwlock *l);
void rwlock_wrunlock(struct rwlock *l);
/* rwlock_held_write aborts unless the calling thread holds the write side. rwlock_held aborts
 * unless the calling thread holds the write side, or some thread holds the read side. */
void rwlock_held_write(const struct rwlock *l);
void rwlock_held(const struct rwlock *l);

void cond_init(struct cond *c);
void cond_destroy(struct cond *c);
/* Both need `m`, and release it while they wait. The second waits for at most `duration_ns`. It
 * returns 0 after a signal (perhaps a spurious one), -ETIMEDOUT when the time is over. */
void cond_wait(struct cond *c, struct mutex *m);
int cond_wait_for(struct cond *c, struct mutex *m, int64_t duration_ns);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

static inline void lock_cleanup_mutex(struct mutex **m)
{
    mutex_unlock(*m);
}
static inline void lock_cleanup_rd(struct rwlock **l)
{
    rwlock_rdunlock(*l);
}
static inline void lock_cleanup_wr(struct rwlock **l)
{
    rwlock_wrunlock(*l);
}

/* Names the lock that guards a field, as in the table of core/state/state.h. It is for readers only
 * and means nothing to the compiler: clang 14 knows such an attribute in C++ only. */
#define GUARDED_BY(...)

#define LOCK_CAT_(a, b) a##b
#define LOCK_CAT(a, b) LOCK_CAT_(a, b)

/* Hold the lock for the rest of the enclosing block. */
#define MUTEX_GUARD(lock)                                                                          \
    struct mutex *LOCK_CAT(guard_, __LINE__)                                                       \
        __attribute__((cleanup(lock_cleanup_mutex), unused)) = (lock);                             \
    mutex_lock(LOCK_CAT(guard_, __LINE__))
#define READ_GUARD(lock)                                                                           \
    struct rwlock *LOCK_CAT(guard_, __LINE__) __attribute__((cleanup(lock_cleanup_rd), unused)) =  \
        (lock);                                                                                    \
    rwlock_rdlock(LOCK_CAT(guard_, __LINE__))
#define WRITE_GUARD(lock)                                                                          \
    struct rwlock *LOCK_CAT(guard_, __LINE__) __attribute__((cleanup(lock_cleanup_wr), unused)) =  \
        (lock);                                                                                    \
    rwlock_wrlock(LOCK_CAT(guard_, __LINE__))
