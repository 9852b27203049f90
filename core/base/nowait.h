// SPDX-License-Identifier: Apache-2.0
/*
 * nowait: marks threads that must not wait for others, because others rely on them. These are the
 * threads that take requests from the kernel.
 *
 * A call that would have to wait returns -EWOULDWAIT to such a thread, and has changed nothing
 * then. The thread has another thread make the call again, or allows itself to wait this once. So a
 * call looks at thread_may_wait before its first change, and does not return -EWOULDWAIT after it.
 * The exception is vfs_write_back of which a part failed: the kernel keeps the pages meanwhile, so
 * the second call writes the same bytes again.
 *
 * Taking a lock that is held for a moment, and reading from the store's own disk, does not count as
 * waiting.
 *
 * Threads: each has its own mark; a new thread may wait.
 */
#pragma once

#include <stdbool.h>

#define EWOULDWAIT 4096 /* greater than any errno of the kernel: it must not leave the program */

bool thread_may_wait(void);
/* Sets the mark of the calling thread. Returns what it was. */
bool thread_set_may_wait(bool may);
