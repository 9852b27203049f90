// SPDX-License-Identifier: Apache-2.0
/*
 * thread: threads of the mount. Signals sent to the process stay with the thread that waits for
 * them; those that a thread brings upon itself it must take: SIGBUS is how a disk that cannot be
 * read shows in mapped metadata (kv.h).
 */
#pragma once

#include <pthread.h>

/* ret NULL: nobody will join it. 0 or -errno. */
int thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg);
