// SPDX-License-Identifier: Apache-2.0
/* thread: see the header. */
#include "thread.h"

#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- I/O priority: linux/ioprio.h, which not every system has ---- */

#define IOPRIO_WHO_THREAD 1
#define IOPRIO_CLASS 13 /* the class is above so many bits */
#define IOPRIO_IDLE (3 << IOPRIO_CLASS)

static _Thread_local int io_before; /* the priority to go back to */
static _Thread_local bool io_idle;

bool thread_io_is_idle(void)
{
    return io_idle;
}

void thread_io_idle(bool idle)
{
    io_idle = idle;
    const int is = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_THREAD, 0);
    if (idle && is >= 0 && is >> IOPRIO_CLASS != IOPRIO_IDLE >> IOPRIO_CLASS)
        io_before = is >> IOPRIO_CLASS == 0 ? 0 : is; /* class "none" takes no level */
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_THREAD, 0, idle ? IOPRIO_IDLE : io_before);
}

/* ---- starting one ---- */

int thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    const bool idle = io_idle;
    sigset_t blocked, before;
    pthread_attr_t attr;
    pthread_t id;
    int err = pthread_attr_init(&attr);
    if (err != 0)
        return -err;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&blocked, own[i]);
    if (!ret)
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (idle) /* a new thread inherits the priority, and the mask of signals */
        thread_io_idle(false);
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
    err = pthread_create(ret ? ret : &id, &attr, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (idle)
        thread_io_idle(true);
    (void)pthread_attr_destroy(&attr);
    return -err;
}

bool thread_join_soon(pthread_t thread)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 2;
    return pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0;
}
