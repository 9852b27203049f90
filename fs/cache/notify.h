// SPDX-License-Identifier: Apache-2.0
/*
 * notify: tells the kernel what it must drop from its caches, because something changed that the
 * kernel did not ask for: a branch, a drop, or another command of the control file.
 *
 * This module sends one kind of message: "attributes of this inode are stale". Listings of the
 * directories of a namespace that is gone are withdrawn by listed.h. The message about attributes
 * waits for nothing in the kernel, not even for the inode lock of the client whose request is being
 * served. So any thread of ours that holds no lock sends it, before it answers.
 *
 * Messages that name a directory entry are not sent. Such a message waits for the directory's lock;
 * if the daemon were killed during that wait, it would never end: the waiting thread keeps the
 * connection open, and the lock is released only when the connection breaks. Instead, the kernel
 * keeps names of the root for FS_ROOT_NAMES only, and missing names not at all. A client that walks
 * through a namespace that is gone asks for its attributes, gets ESTALE, and looks the name up
 * again.
 */
#pragma once

#include "mount.h"

struct notify;

/* Subscribes to the store's events. The session must be mounted. */
int notify_start(struct fs *fs, struct notify **ret_n);
/* Makes the kernel ask for the mode of that file again, and waits until the kernel has the answer.
 * The event `rights` (state_config.h) has already reported the mode as stale. That is not enough: a
 * program that is just being executed was looked up before, and gets its rights by the mode that
 * the kernel still has. The caller is a thread that may wait (defer.h) and holds no lock; the
 * client whose request is being served may hold the kernel's lock of the inode. Without
 * CAP_DAC_READ_SEARCH, or where the mount point is covered, this does nothing and returns 0.
 * -ETIMEDOUT: the kernel has not asked within 10 s, because its request did not reach us, or
 * because the path to the mount point leads through another filesystem that does not answer. */
int notify_mode(struct fs *fs, uint64_t nodeid);
/* Was the request of process `pid` made by a thread of ours (apart.h)? An FSYNC of such a thread is
 * answered without work, and a GETATTR with the attributes that are known without work. */
bool notify_is_own(const struct fs *fs, uint32_t pid);
/* Called when no requests are served any more: threads that wait for the kernel stop waiting. NULL
 * is fine. */
void notify_give_up(struct notify *n);
/* Called after the session was unmounted and the events were unset. Frees `n`, unless one of its
 * threads hangs in the kernel. NULL is fine. */
void notify_stop(struct notify *n);
