// SPDX-License-Identifier: Apache-2.0
/*
 * thread: starts threads of the mount. They block the signals that are sent to the process, so that
 * the thread of ending.h gets them. They do not block the signals that a fault of their own raises:
 * a disk that cannot be read raises SIGBUS where its metadata is mapped (kv.h).
 */
#pragma once

#include <pthread.h>

/* Starts a thread that runs fn(arg). The caller joins *ret; with `ret` NULL the thread is detached.
 * 0 or -errno. */
int thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg);
