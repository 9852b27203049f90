// SPDX-License-Identifier: Apache-2.0
/*
 * nowait: threads that must not wait for others, because others rely on them: those that take
 * requests from the kernel.
 *
 * A call that would have to wait answers such a thread -EWOULDWAIT. Then it has changed nothing, and
 * the thread has another one make the call again, or lets itself wait for once. So each call looks
 * at this before its first change, and what it does afterwards never answers so.
 *
 * Locks that are held for a moment, and reading from the store's own disk, are no waiting.
 *
 * Threads: each has its own; a new one may wait.
 */
#pragma once

#include <stdbool.h>

#define EWOULDWAIT 4096 /* above all that the kernel knows: it must not leave the program */

bool thread_may_wait(void);
/* Returns what it was. */
bool thread_set_may_wait(bool may);
