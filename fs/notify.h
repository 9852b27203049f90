// SPDX-License-Identifier: Apache-2.0
/*
 * notify: what changed by itself (branch, drop, restore: whatever came in through the control file)
 * must leave the kernel's caches, which otherwise keep things for ever.
 *
 * core reports with its locks held; sending may wait for a directory that a request of ours has
 * locked in the kernel. So events go into a bounded queue, and one thread without locks sends them.
 * An overflow is remembered as "everything": every cached name is looked up again.
 */
#pragma once

#include "fs_impl.h"

/* Starts the thread and subscribes to the project's events. The session must be mounted. */
int notify_start(struct fs *fs, struct notify **ret_n);
/* No more events are taken. After the session was unmounted: ends the thread and frees; NULL is
 * fine. */
void notify_stop(struct notify *n);
