// SPDX-License-Identifier: Apache-2.0
/* Claims of waits.h: what a reader sees of a thread that waits. */
#include "lock.h"
#include "waits.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is noted of that thread now. False: nothing. */
static bool find(int tid, struct waits_seen *ret)
{
    for (unsigned i = 0; i < WAITS_THREADS; i++)
        if (waits_look(i, ret) && ret->tid == tid)
            return true;
    return false;
}

static struct waits_seen here(void)
{
    struct waits_seen s = {0};
    cr_assert(find(gettid(), &s));
    return s;
}

Test(waits, a_wait_is_seen_until_it_ends_and_each_has_a_serial_of_its_own, .timeout = 60)
{
    uint64_t first;

    cr_assert_eq(waits_self(), gettid());
    {
        WAITS_GUARD(WAITS_FILE, "a sync of", 5, NULL);
        first = here().serial;
        cr_assert(here().kind == WAITS_FILE && here().number == 5);
        cr_assert_str_eq(here().what, "a sync of");
        cr_assert_eq(here().serial, first);
    }
    cr_assert_eq(here().kind, WAITS_NOT);
    WAITS_GUARD(WAITS_FILE, "a sync of", 5, NULL);
    cr_assert_neq(here().serial, first);
}

Test(waits, the_innermost_counts_but_within_a_shard_the_shard_does, .timeout = 60)
{
    WAITS_GUARD(WAITS_ROOM, "room", 0, NULL);
    {
        WAITS_GUARD(WAITS_SHARD, "dir:/cold", 0, NULL);
        cr_assert_str_eq(here().what, "dir:/cold");
        {
            WAITS_GUARD(WAITS_FILE, "a read of", 3, NULL);
            cr_assert_str_eq(here().what, "dir:/cold");
        }
        cr_assert_str_eq(here().what, "dir:/cold");
    }
    cr_assert_str_eq(here().what, "room");
}

Test(waits, a_request_is_seen_as_long_as_it_is_served, .timeout = 60)
{
    waits_serve(8, true);
    cr_assert(here().request == 8 && here().takes);
    const uint64_t turn = here().turn;
    waits_serve(0, true);
    cr_assert(here().request == 0 && here().turn != turn);
}

static struct mutex m;
static struct rwlock l;
static _Atomic int locker;

static void *take_mutex(void *arg)
{
    atomic_store(&locker, gettid());
    MUTEX_GUARD(&m);
    return arg;
}

static void *read_lock(void *arg)
{
    atomic_store(&locker, gettid());
    READ_GUARD(&l);
    return arg;
}

/* Waits until the other thread waits for the lock. */
static struct waits_seen seen_waiting(void)
{
    struct waits_seen s;
    while (!find(atomic_load(&locker), &s) || s.kind != WAITS_LOCK)
        sched_yield();
    return s;
}

Test(waits, who_waits_for_a_lock_says_which_and_who_holds_it, .timeout = 60)
{
    pthread_t t;

    mutex_init(&m, "a mutex");
    rwlock_init(&l, "a lock");
    {
        MUTEX_GUARD(&m);
        cr_assert_eq(pthread_create(&t, NULL, take_mutex, NULL), 0);
        cr_assert_eq(seen_waiting().holder, gettid());
        cr_assert_str_eq(seen_waiting().what, "a mutex");
    }
    pthread_join(t, NULL);
    atomic_store(&locker, 0);
    {
        WRITE_GUARD(&l);
        cr_assert_eq(pthread_create(&t, NULL, read_lock, NULL), 0);
        cr_assert_eq(seen_waiting().holder, gettid());
        cr_assert_str_eq(seen_waiting().what, "a lock");
    }
    pthread_join(t, NULL);
}

static void *note_and_end(void *arg)
{
    waits_serve(7, false);
    atomic_store((_Atomic int *)arg, gettid());
    return NULL;
}

Test(waits, a_thread_that_ends_gives_its_slot_back, .timeout = 60)
{
    struct waits_seen s;
    _Atomic int tid = 0;
    pthread_t t;

    for (unsigned i = 0; i < 2 * WAITS_THREADS; i++) {
        cr_assert_eq(pthread_create(&t, NULL, note_and_end, &tid), 0);
        pthread_join(t, NULL);
        cr_assert(!find(atomic_load(&tid), &s));
    }
    WAITS_GUARD(WAITS_FILE, "a sync of", 5, NULL);
    cr_assert_eq(here().number, 5);
}

Test(waits, memory_that_is_gone_harms_no_reader, .timeout = 60)
{
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(page, MAP_FAILED);
    munmap(page + 4096, 4096);
    memcpy(page + 4090, "short", 6);
    {
        WAITS_GUARD(WAITS_ROOM, page + 4090, 0, NULL);
        cr_assert_str_eq(here().what, "short");
    }
    munmap(page, 4096);
    WAITS_GUARD(WAITS_LOCK, page, 0, (const _Atomic int *)(const void *)page);
    cr_assert(here().what[0] == '\0' && here().holder == 0);
}

Test(waits, a_forked_child_has_its_own, .timeout = 60)
{
    int status = -1;

    waits_serve(8, false);
    const pid_t child = fork();
    if (child == 0) {
        struct waits_seen s;
        const bool nothing = !find(getpid(), &s);
        WAITS_GUARD(WAITS_FILE, "a sync of", 5, NULL);
        _exit(nothing && find(gettid(), &s) && s.request == 0 && s.number == 5 ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_eq(here().request, 8);
}
