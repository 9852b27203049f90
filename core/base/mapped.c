// SPDX-License-Identifier: Apache-2.0
/*
 * mapped: one handler of SIGBUS and a table of the maps. The table is atomic, so the handler may
 * read it whatever was interrupted. A fault outside of these maps goes to the handler that was set
 * before. The contents of a map may be damaged, and lead to an address without memory (SIGSEGV).
 * Within mapped_guard that is an error, too.
 */
#include "mapped.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#define MAPS_MAX 64 /* one for the tables, the others for segments of the log */

struct map {
    _Atomic uintptr_t base; /* 0: free */
    _Atomic size_t len;
    const char *_Atomic file;
};

static struct map maps[MAPS_MAX];
static mapped_fault_fn *_Atomic on_fault;
static struct sigaction before, before_segv;
static _Thread_local sigjmp_buf *way_back; /* of mapped_guard; NULL: not within it */

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

/* The fault is synchronous: the thread is in LMDB, or copies from or to a map. It holds no lock of
 * libc, and none of ours that the functions called here would take. */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    const char *file;
    uint64_t offset;

    (void)sig;
    (void)context;
    if (!in_map((uintptr_t)info->si_addr, &file, &offset)) {
        (void)sigaction(SIGBUS, &before, NULL); /* the access is repeated, and faults again */
        return;
    }
    if (way_back)
        siglongjmp(*way_back, 1);
    _exit(atomic_load(&on_fault)(file, offset));
}

void mapped_give_up(void)
{
    if (way_back)
        siglongjmp(*way_back, 1);
}

static void on_sigsegv(int sig)
{
    if (way_back)
        siglongjmp(*way_back, 1);
    (void)sigaction(sig, &before_segv, NULL); /* as for SIGBUS */
}

int mapped_catch_faults(mapped_fault_fn *fn)
{
    /* NODEFER: siglongjmp leaves the handler without returning, so the signal must not stay
     * blocked. */
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct sigaction segv = {.sa_handler = on_sigsegv, .sa_flags = SA_NODEFER};

    if (atomic_exchange(&on_fault, fn))
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

    if (!atomic_load_explicit(&on_fault, memory_order_relaxed))
        return fn(arg);
    if (sigsetjmp(here, 0) != 0) {
        way_back = NULL;
        return -EIO;
    }
    way_back = &here;
    int err = fn(arg);
    way_back = NULL;
    return err;
}
