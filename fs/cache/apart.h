// SPDX-License-Identifier: Apache-2.0
/*
 * apart: a thread that does something to files of our own mount, as a client of it. Other threads
 * of the daemon ask it to, and wait for the result.
 *
 * The thread has its own table of open files, which is empty. For it waits in the kernel for
 * answers of the daemon, and if the daemon is killed meanwhile, the thread must not keep /dev/fuse
 * open. It opens a file by its handle (name_to_handle_at(2)), which needs CAP_DAC_READ_SEARCH.
 */
#pragma once

#include "mount.h"

struct apart;

/* Runs in the thread. apart_do returns its result. */
typedef int apart_fn(const struct apart *a, uint64_t nodeid);

int apart_start(struct fs *fs, const char *name, apart_fn *fn, struct apart **ret_a);
#define APART_PATIENT INT64_MAX

/* Any thread that holds no lock and may wait; one file at a time. 0, too, when it is ending;
 * -ETIMEDOUT: it did not come to it, or to its end, in `patience` ns. */
int apart_do(struct apart *a, uint64_t nodeid, int64_t patience);
/* Does a request of that process come from its thread? */
bool apart_asks(const struct apart *a, uint32_t pid);
/* Nobody serves requests any more: those who wait in apart_do return, and later calls do not
 * wait. */
void apart_give_up(struct apart *a);
/* After the unmount. Frees; false: its thread hangs in the kernel and keeps it. */
bool apart_stop(struct apart *a);

/* For apart_fn: a descriptor, or -errno; -ENOENT: the file is gone. Where the mount point is
 * covered it fails, too. */
int apart_open(const struct apart *a, uint64_t nodeid, int flags);
