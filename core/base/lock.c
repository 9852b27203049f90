// SPDX-License-Identifier: Apache-2.0
/*
 * lock: pthread locks that know their owner.
 *
 * Only the thread that holds a lock writes its own id into `owner`. So one relaxed load tells a
 * thread for sure whether it is the owner: no other thread ever writes this thread's id.
 */
#include "lock.h"

#include "waits.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined __SANITIZE_THREAD__
#define THREAD_SANITIZER true
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER true
#endif
#endif
#ifndef THREAD_SANITIZER
#define THREAD_SANITIZER false
#endif

/* The id of the calling thread. */
static int self(void)
{
    return waits_self();
}

static _Noreturn void die(const char *name, const char *what)
{
    fprintf(stderr, "lock %s: %s\n", name, what);
    abort();
}

static void must(int error, const char *name, const char *what)
{
    if (error != 0)
        die(name, what);
}

static int load(const _Atomic int *p)
{
    return atomic_load_explicit(p, memory_order_relaxed);
}

static void store(_Atomic int *p, int value)
{
    atomic_store_explicit(p, value, memory_order_relaxed);
}

/* ---- spinning ---- */

/* A thread that finds a lock taken spins for some time before it sleeps.
 *
 * Requests that change a name or a file hold locks for two to five microseconds. Sleeping costs the
 * sleeper its way into the kernel and back. It costs the holder a system call to wake it, and in a
 * virtual machine an interrupt to a CPU that is asleep: 10 us and more, and a queue of waiting
 * threads multiplies that. Measured with 16 threads that create and sync files in directories of
 * their own, on two CPUs: 96 us a file without spinning; 87, 66, 56, 57 us with 50, 200, 400, 800
 * rounds for reader-writer locks; 50 us with 400 rounds for mutexes, too.
 *
 * 400 rounds took about 35 us. A holder that takes longer reads from a disk, or does not run. */
#define SPIN_NS 35000
#define SPINS_A_LOOK 16 /* rounds between two looks at the clock */
#define LET_NS 200000   /* enough for a thread to wake up on another CPU */

static bool spins;

/* Spinning needs two CPUs: on one CPU the holder cannot run while the spinning thread does. Under
 * ThreadSanitizer locks do not spin, since it learns the order of locks only from calls that
 * wait. */
__attribute__((constructor)) static void look_for_cpus(void)
{
    cpu_set_t set;

    spins =
        !THREAD_SANITIZER && (sched_getaffinity(0, sizeof set, &set) < 0 || CPU_COUNT(&set) > 1);
}

static void pause_shortly(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("isb" ::: "memory");
#endif
}

static int64_t ticks(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Spins until `try` takes the lock. False: the time is over. While the lock has an owner only that
 * field is read, which disturbs the owner little. */
static bool spin(int (*try)(void *), void *lock, const _Atomic int *owner)
{
    int64_t until = 0;

    for (unsigned i = 0; spins; i++) {
        if (load(owner) == 0 && try(lock) == 0)
            return true;
        if (i == 0)
            until = ticks() + SPIN_NS;
        else if (i % SPINS_A_LOOK == 0 && ticks() > until)
            break;
        pause_shortly();
    }
    return false;
}

/* ---- mutex ---- */

static int try_mutex(void *m)
{
    return pthread_mutex_trylock(m);
}

void mutex_init(struct mutex *m, const char *name)
{
    m->name = name;
    atomic_init(&m->owner, 0);
    atomic_init(&m->sleepers, 0);
    must(pthread_mutex_init(&m->m, NULL), name, "cannot be made");
}

void mutex_destroy(struct mutex *m)
{
    if (load(&m->owner) != 0)
        die(m->name, "destroyed while held");
    must(pthread_mutex_destroy(&m->m), m->name, "destroyed while in use");
}

void mutex_lock(struct mutex *m)
{
    if (load(&m->owner) == self())
        die(m->name, "taken twice");
    if (!spin(try_mutex, &m->m, &m->owner)) {
        atomic_fetch_add_explicit(&m->sleepers, 1, memory_order_relaxed);
        WAITS_GUARD(WAITS_LOCK, m->name, 0, &m->owner);
        must(pthread_mutex_lock(&m->m), m->name, "cannot be taken");
        atomic_fetch_sub_explicit(&m->sleepers, 1, memory_order_relaxed);
    }
    store(&m->owner, self());
}

bool mutex_lock_for(struct mutex *m, int64_t duration_ns)
{
    const struct timespec rest = {.tv_nsec = 200000};
    int64_t until = ticks() + duration_ns;
    bool got;

    if (load(&m->owner) == self())
        die(m->name, "taken twice");
    while (!(got = spin(try_mutex, &m->m, &m->owner) || try_mutex(&m->m) == 0) && ticks() < until)
        (void)nanosleep(&rest, NULL);
    if (got)
        store(&m->owner, self());
    return got;
}

/* The unlock has woken one of the sleepers. It gets the lock only if the caller does not take the
 * lock again before it runs. */
void mutex_let_others(struct mutex *m)
{
    int64_t until;

    if (load(&m->sleepers) == 0)
        return;
    until = ticks() + LET_NS;
    do
        sched_yield();
    while (load(&m->sleepers) > 0 && ticks() < until);
}

void mutex_unlock(struct mutex *m)
{
    const char *name = m->name; /* once it is unlocked, the next holder may free the struct */

    mutex_held(m);
    store(&m->owner, 0);
    must(pthread_mutex_unlock(&m->m), name, "cannot be released");
}

void mutex_held(const struct mutex *m)
{
    if (load(&m->owner) != self())
        die(m->name, "not held by this thread");
}

/* ---- rwlock ---- */

static int try_read(void *l)
{
    return pthread_rwlock_tryrdlock(l);
}

static int try_write(void *l)
{
    return pthread_rwlock_trywrlock(l);
}

void rwlock_init(struct rwlock *l, const char *name)
{
    pthread_rwlockattr_t attr;
    l->name = name;
    atomic_init(&l->writer, 0);
    atomic_init(&l->readers, 0);
    must(pthread_rwlockattr_init(&attr), name, "cannot be made");
    must(pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP), name,
         "cannot prefer writers");
    must(pthread_rwlock_init(&l->l, &attr), name, "cannot be made");
    (void)pthread_rwlockattr_destroy(&attr);
}

void rwlock_destroy(struct rwlock *l)
{
    if (load(&l->writer) != 0 || load(&l->readers) != 0)
        die(l->name, "destroyed while held");
    must(pthread_rwlock_destroy(&l->l), l->name, "destroyed while in use");
}

/* Spins for the read side. True: the caller has it. */
static bool spin_to_read(struct rwlock *l)
{
    if (load(&l->writer) == self())
        die(l->name, "read side taken by its writer");
    return spin(try_read, &l->l, &l->writer);
}

/* Spins for the write side. True: the caller has it. */
static bool spin_to_write(struct rwlock *l)
{
    if (load(&l->writer) == self())
        die(l->name, "write side taken twice");
    return spin(try_write, &l->l, &l->writer);
}

bool rwlock_tryrdlock(struct rwlock *l)
{
    if (!spin_to_read(l) && try_read(&l->l) != 0)
        return false;
    atomic_fetch_add_explicit(&l->readers, 1, memory_order_relaxed);
    return true;
}

/* A try that succeeds would hide the order of locks from ThreadSanitizer, so without spinning the
 * call that waits is the only one. */
void rwlock_rdlock(struct rwlock *l)
{
    if (!spin_to_read(l)) {
        WAITS_GUARD(WAITS_LOCK, l->name, 0, &l->writer);
        must(pthread_rwlock_rdlock(&l->l), l->name, "cannot be taken for reading");
    }
    atomic_fetch_add_explicit(&l->readers, 1, memory_order_relaxed);
}

bool rwlock_trywrlock(struct rwlock *l)
{
    if (!spin_to_write(l) && try_write(&l->l) != 0)
        return false;
    store(&l->writer, self());
    return true;
}

void rwlock_wrlock(struct rwlock *l)
{
    if (!spin_to_write(l)) {
        WAITS_GUARD(WAITS_LOCK, l->name, 0, &l->writer);
        must(pthread_rwlock_wrlock(&l->l), l->name, "cannot be taken for writing");
    }
    store(&l->writer, self());
}

void rwlock_rdunlock(struct rwlock *l)
{
    const char *name = l->name;

    if (atomic_fetch_sub_explicit(&l->readers, 1, memory_order_relaxed) <= 0)
        die(name, "read side not held");
    must(pthread_rwlock_unlock(&l->l), name, "cannot be released");
}

void rwlock_wrunlock(struct rwlock *l)
{
    const char *name = l->name;

    rwlock_held_write(l);
    store(&l->writer, 0);
    must(pthread_rwlock_unlock(&l->l), name, "cannot be released");
}

void rwlock_held_write(const struct rwlock *l)
{
    if (load(&l->writer) != self())
        die(l->name, "write side not held by this thread");
}

void rwlock_held(const struct rwlock *l)
{
    if (load(&l->writer) != self() && load(&l->readers) <= 0)
        die(l->name, "held by nobody");
}

/* ---- condition ---- */

void cond_init(struct cond *c)
{
    pthread_condattr_t attr;
    must(pthread_condattr_init(&attr), "condition", "cannot be made");
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), "condition", "has no clock");
    must(pthread_cond_init(&c->c, &attr), "condition", "cannot be made");
    (void)pthread_condattr_destroy(&attr);
}

void cond_destroy(struct cond *c)
{
    must(pthread_cond_destroy(&c->c), "condition", "destroyed while in use");
}

void cond_wait(struct cond *c, struct mutex *m)
{
    mutex_held(m);
    store(&m->owner, 0);
    int error = pthread_cond_wait(&c->c, &m->m);
    store(&m->owner, self());
    must(error, m->name, "cannot wait");
}

static struct timespec deadline_in(int64_t duration_ns)
{
    const int64_t second = 1000000000;
    struct timespec ts;
    if (duration_ns < 0)
        duration_ns = 0;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    int64_t part = ts.tv_nsec + duration_ns % second;
    ts.tv_sec += duration_ns / second + part / second;
    ts.tv_nsec = part % second;
    return ts;
}

int cond_wait_for(struct cond *c, struct mutex *m, int64_t duration_ns)
{
    struct timespec until = deadline_in(duration_ns);
    mutex_held(m);
    store(&m->owner, 0);
    int error = pthread_cond_timedwait(&c->c, &m->m, &until);
    store(&m->owner, self());
    if (error != 0 && error != ETIMEDOUT)
        die(m->name, "cannot wait");
    return -error;
}

void cond_signal(struct cond *c)
{
    (void)pthread_cond_signal(&c->c);
}

void cond_broadcast(struct cond *c)
{
    (void)pthread_cond_broadcast(&c->c);
}
