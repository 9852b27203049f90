// SPDX-License-Identifier: Apache-2.0
/*
 * thread: starts threads, and sets their I/O priority.
 *
 * A new thread blocks the signals that are sent to the process, so that a thread of the program
 * gets them. It does not block the signals that a fault of its own raises: a disk that cannot be
 * read raises SIGBUS where its metadata is mapped (kv.h).
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

/* Starts a thread that runs fn(arg). It may work for others than the caller: it begins with the I/O
 * priority that the caller has when that is not idle. The caller joins *ret; with `ret` NULL the
 * thread is detached. 0 or -errno. */
int thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg);
/* Joins a thread that may hang in the kernel. False: it did not end within two seconds. */
bool thread_join_soon(pthread_t thread);
/* Sets the I/O priority of the calling thread to idle (it is served when no other process wants the
 * disk), or back to what it was. If the kernel has no such priority, nothing happens. */
void thread_io_idle(bool idle);
/* Did the calling thread ask for idle priority? For code that passes its work to another thread. */
bool thread_io_is_idle(void);
