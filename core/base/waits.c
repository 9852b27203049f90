// SPDX-License-Identifier: Apache-2.0
/*
 * waits: a table of slots, each written by its own thread.
 *
 * A reader may meet a slot while its thread changes it, so `serial` is written last, with release,
 * and read first and last: what was read between two equal values belongs together. `what` and
 * `holder` point into memory that may be gone when a reader follows them. It reads through
 * process_vm_readv, which fails where nothing is mapped, and an unchanged `serial` afterwards says
 * that the wait still lasts, and that what was read was valid.
 */
#include "waits.h"

#include <pthread.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define ORDER memory_order_relaxed

struct slot {
    _Atomic int tid; /* 0: free */
    _Atomic uint64_t serial, turn, request;
    _Atomic bool takes;
    _Atomic(enum waits_kind) kind;
    _Atomic int number;
    const char *_Atomic what;
    const _Atomic int *_Atomic holder;
} __attribute__((aligned(64)));

static struct slot slots[WAITS_THREADS];
static _Atomic unsigned used; /* no slot from here on was ever taken */
static pthread_key_t ends;    /* its destructor frees the slot of a thread that ends */
static bool has_key;
static _Thread_local struct slot *mine;
static _Thread_local bool without; /* there was no slot for this thread */
_Thread_local int waits_tid;       /* 0: not asked yet */

/* ---- whose slot ---- */

static void free_slot(void *slot)
{
    struct slot *s = slot;
    mine = NULL;
    without = true;
    atomic_store_explicit(&s->request, 0, ORDER);
    atomic_store_explicit(&s->kind, WAITS_NOT, ORDER);
    atomic_store_explicit(&s->tid, 0, memory_order_release);
}

/* In a child that was forked there is one thread. */
static void forget_all(void)
{
    for (unsigned i = 0; i < atomic_load(&used); i++)
        free_slot(&slots[i]);
    without = false;
    waits_tid = 0;
    if (has_key)
        (void)pthread_setspecific(ends, NULL);
}

__attribute__((constructor)) static void prepare(void)
{
    has_key = pthread_key_create(&ends, free_slot) == 0;
    (void)pthread_atfork(NULL, NULL, forget_all);
}

int waits_ask_tid(void)
{
    return waits_tid = gettid();
}

static void note_used(unsigned count)
{
    unsigned before = atomic_load(&used);
    while (before < count && !atomic_compare_exchange_weak(&used, &before, count))
        ;
}

static struct slot *take_slot(void)
{
    for (unsigned i = 0; has_key && !without && i < WAITS_THREADS; i++) {
        int nobody = 0;
        if (atomic_load_explicit(&slots[i].tid, ORDER) != 0 ||
            !atomic_compare_exchange_strong(&slots[i].tid, &nobody, waits_self()))
            continue;
        note_used(i + 1);
        if (pthread_setspecific(ends, &slots[i]) == 0)
            return mine = &slots[i];
        atomic_store(&slots[i].tid, 0);
        break;
    }
    without = true;
    return NULL;
}

static struct slot *own(void)
{
    return mine ? mine : without ? NULL : take_slot();
}

/* ---- noting ---- */

/* Only the own thread writes, so that needs no atomic addition. */
static void raise(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, ORDER) + 1, memory_order_release);
}

static void put(struct slot *s, struct waits w)
{
    raise(&s->serial);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&s->kind, w.kind, ORDER);
    atomic_store_explicit(&s->what, w.what, ORDER);
    atomic_store_explicit(&s->number, w.number, ORDER);
    atomic_store_explicit(&s->holder, w.holder, ORDER);
    raise(&s->serial);
}

struct waits waits_begin(struct waits w)
{
    struct slot *s = own();
    if (!s)
        return (struct waits){0};
    const struct waits before = {
        .kind = atomic_load_explicit(&s->kind, ORDER),
        .what = atomic_load_explicit(&s->what, ORDER),
        .number = atomic_load_explicit(&s->number, ORDER),
        .holder = atomic_load_explicit(&s->holder, ORDER),
    };
    if (before.kind != WAITS_SHARD)
        put(s, w);
    return before;
}

void waits_end(struct waits before)
{
    if (mine && before.kind != WAITS_SHARD)
        put(mine, before);
}

void waits_serve(uint64_t request, bool takes)
{
    struct slot *s = own();
    if (!s)
        return;
    atomic_store_explicit(&s->takes, takes, ORDER);
    atomic_store_explicit(&s->request, request, ORDER);
    raise(&s->turn);
}

/* ---- looking ---- */

/* Copies memory that may be gone. How many bytes, or -1. */
static ssize_t copy(const void *from, void *to, size_t len)
{
    const struct iovec local = {to, len}, remote = {(void *)(uintptr_t)from, len};
    return from ? process_vm_readv(getpid(), &local, 1, &remote, 1, 0) : -1;
}

/* A string may end just before memory that is not mapped: then less is copied, up to that page. */
static void copy_text(const char *from, char to[WAITS_WHAT])
{
    memset(to, 0, WAITS_WHAT);
    if (copy(from, to, WAITS_WHAT - 1) < 0 && from) {
        const size_t left = 4096 - (uintptr_t)from % 4096;
        (void)copy(from, to, left < WAITS_WHAT - 1 ? left : WAITS_WHAT - 1);
    }
}

bool waits_look(unsigned slot, struct waits_seen *ret)
{
    const unsigned count = atomic_load_explicit(&used, ORDER);
    struct slot *s = slot < count ? &slots[slot] : NULL;
    int holder = 0;

    if (!s || atomic_load_explicit(&s->tid, memory_order_acquire) == 0)
        return false;
    const uint64_t serial = atomic_load_explicit(&s->serial, memory_order_acquire);
    *ret = (struct waits_seen){
        .tid = atomic_load_explicit(&s->tid, ORDER),
        .serial = serial,
        .turn = atomic_load_explicit(&s->turn, memory_order_acquire),
        .request = atomic_load_explicit(&s->request, ORDER),
        .takes = atomic_load_explicit(&s->takes, ORDER),
        .kind = atomic_load_explicit(&s->kind, ORDER),
        .number = atomic_load_explicit(&s->number, ORDER),
    };
    if (ret->kind != WAITS_NOT) {
        copy_text(atomic_load_explicit(&s->what, ORDER), ret->what);
        if (copy((const void *)atomic_load_explicit(&s->holder, ORDER), &holder, sizeof holder) > 0)
            ret->holder = holder;
    }
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&s->serial, ORDER) == serial;
}
