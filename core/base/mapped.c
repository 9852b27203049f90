// SPDX-License-Identifier: Apache-2.0
/*
 * mapped: one handler of SIGBUS and a table of the maps, which it may look at whatever was
 * interrupted. A fault that is not in one of them is none of ours and goes to whoever had the
 * signal before. What lies in a map can be damaged, and lead out of it: within mapped_guard that is
 * an error, too (SIGSEGV).
 */
#include "mapped.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#define MAPS_MAX 64 /* one of metadata, the others of the log */

struct map {
    _Atomic uintptr_t base; /* 0: free */
    _Atomic size_t len;
    const char *_Atomic file;
};

static struct map maps[MAPS_MAX];
static mapped_fault_fn *_Atomic on_fault;
static struct sigaction before, before_segv;
static _Thread_local sigjmp_buf *way_back; /* NULL: none */

void mapped_add(const void *base, size_t len, const char *file)
{
    for (unsigned i = 0; i < MAPS_MAX; i++) {
        uintptr_t none = 0;
        if (!atomic_compare_exchange_strong(&maps[i].base, &none, (uintptr_t)base))
            continue;
        atomic_store(&maps[i].file, file);
        atomic_store(&maps[i].len, len);
        return;
    }
}

void mapped_remove(const void *base)
{
    for (unsigned i = 0; i < MAPS_MAX; i++)
        if (atomic_load(&maps[i].base) == (uintptr_t)base) {
            atomic_store(&maps[i].len, 0);
            atomic_store(&maps[i].base, 0);
        }
}

static bool in_map(uintptr_t at, const char **ret_file, uint64_t *ret_offset)
{
    for (unsigned i = 0; i < MAPS_MAX; i++) {
        uintptr_t base = atomic_load(&maps[i].base);
        if (base == 0 || at < base || at - base >= atomic_load(&maps[i].len))
            continue;
        *ret_file = atomic_load(&maps[i].file);
        *ret_offset = at - base;
        return true;
    }
    return false;
}

/* A fault is synchronous: the thread is in LMDB, or copies from or to a map, and holds no lock of
 * libc or of ours that what is called here would want. */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    const char *file;
    uint64_t offset;

    (void)sig;
    (void)context;
    if (!in_map((uintptr_t)info->si_addr, &file, &offset)) {
        (void)sigaction(SIGBUS, &before, NULL); /* it happens again at once */
        return;
    }
    if (way_back != NULL)
        siglongjmp(*way_back, 1);
    _exit(atomic_load(&on_fault)(file, offset));
}

void mapped_give_up(void)
{
    if (way_back != NULL)
        siglongjmp(*way_back, 1);
}

static void on_sigsegv(int sig)
{
    if (way_back != NULL)
        siglongjmp(*way_back, 1);
    (void)sigaction(sig, &before_segv, NULL); /* likewise */
}

int mapped_catch_faults(mapped_fault_fn *fn)
{
    /* NODEFER: the way back leaves the handler without returning. */
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct sigaction segv = {.sa_handler = on_sigsegv, .sa_flags = SA_NODEFER};

    if (atomic_exchange(&on_fault, fn) != NULL)
        return 0;
    sigemptyset(&action.sa_mask);
    sigemptyset(&segv.sa_mask);
    if (sigaction(SIGBUS, &action, &before) < 0 || sigaction(SIGSEGV, &segv, &before_segv) < 0)
        return -errno;
    return 0;
}

int mapped_guard(int (*fn)(void *arg), void *arg)
{
    sigjmp_buf here;

    if (atomic_load_explicit(&on_fault, memory_order_relaxed) == NULL)
        return fn(arg);
    if (sigsetjmp(here, 0) != 0) {
        way_back = NULL;
        return -EIO;
    }
    way_back = &here;
    int r = fn(arg);
    way_back = NULL;
    return r;
}
