// SPDX-License-Identifier: Apache-2.0
/*
 * apart: a thread that does something to files of our own mount, as a client of it. Other threads
 * of the daemon ask it to, and wait for the result.
 *
 * The thread has its own table of open files, which is empty at first: the thread waits in the
 * kernel for answers of the daemon, and if the daemon is killed meanwhile, the thread must not keep
 * /dev/fuse open. It opens a file by its handle (name_to_handle_at(2)), which needs
 * CAP_DAC_READ_SEARCH.
 */
#pragma once

#include "mount.h"

struct apart;

/* The function that the thread runs for each apart_do, which returns its result: 0 or -errno. */
typedef int apart_fn(const struct apart *a, uint64_t nodeid);

/* Starts a thread that runs `fn`. `name` (static) names its lock. The session must be mounted. */
int apart_start(struct fs *fs, const char *name, apart_fn *fn, struct apart **ret_a);
#define APART_PATIENT INT64_MAX /* a `patience` without an end */

/* Has the thread run its function for the file, and returns the result. The caller may be any
 * thread that holds no lock and may wait. The thread does one file at a time. 0, too, if the mount
 * is ending; -ETIMEDOUT: the function was not begun or not finished within `patience` ns. */
int apart_do(struct apart *a, uint64_t nodeid, int64_t patience);
/* Was the request of process `pid` made by the thread of `a`? */
bool apart_asks(const struct apart *a, uint32_t pid);
/* Called when no requests are served any more: callers that wait in apart_do return, and later
 * calls do not wait. */
void apart_give_up(struct apart *a);
/* Called after the unmount: ends the thread and frees `a`. False: the thread did not end within two
 * seconds, because it hangs in the kernel, and `a` stays allocated for it. */
bool apart_stop(struct apart *a);

/* For apart_fn: open the file with `flags` of open(2). A descriptor that the caller closes, or
 * -errno. -ENOENT: the file is gone. -ESTALE: other mounts cover all mounts of ours, among other
 * causes. */
int apart_open(const struct apart *a, uint64_t nodeid, int flags);
