// SPDX-License-Identifier: Apache-2.0
#include "thread.h"

#include <signal.h>
#include <stddef.h>

int thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg)
{
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};
    sigset_t blocked, before;
    pthread_attr_t attr;
    pthread_t id;
    int err = pthread_attr_init(&attr);
    if (err != 0)
        return -err;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        sigdelset(&blocked, own[i]);
    if (!ret)
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    err = pthread_create(ret ? ret : &id, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -err;
}
