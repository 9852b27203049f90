// SPDX-License-Identifier: Apache-2.0
/*
 * notify: tells the kernel what it must not keep any more, because it was changed by something that
 * the kernel did not ask for: a branch, a drop, whatever came in through the control file.
 *
 * Only one kind of message is sent: "attributes of this inode are stale", and of directories of a
 * namespace that is gone what is kept of their names (listed.h). It waits for no directory's lock,
 * and for no page that waits for us. That about attributes waits for nothing at all, not even for
 * the lock of the inode that the client holds whose request is being served: so any thread that
 * holds no lock sends it, before it answers. A message that names an entry would wait for the
 * directory; a daemon that is killed meanwhile would never end, since that thread keeps the
 * connection open that would have to be broken for the directory's lock to be let go. So names of
 * the root are kept for FS_ROOT_NAMES only, missing ones not at all, and who walks through a
 * namespace that is gone asks for its attributes, hears ESTALE, and looks the name up again.
 */
#pragma once

#include "mount.h"

struct notify;

/* Subscribes to the store's events. The session must be mounted. */
int notify_start(struct fs *fs, struct notify **ret_n);
/* Makes the kernel ask for the mode of that file anew, and waits until it has the answer. The event
 * `rights` (state_config.h) has said already that the mode is stale. That is not enough: a program that
 * is just being executed was looked up before, and gets its rights by the mode that the kernel
 * still has. The caller is a thread that may wait (defer.h) and holds no lock; the client whose
 * request is being served may hold the kernel's lock of the inode. Without CAP_DAC_READ_SEARCH, or
 * where the mount point is covered, it does nothing. -ETIMEDOUT: the kernel has not asked in time,
 * because its request did not reach us, or because somebody else is waited for on the way to the
 * mount point. */
int notify_mode(struct fs *fs, uint64_t nodeid);
/* Does a request of that process come from a thread of ours (apart.h)? An FSYNC is then answered
 * without work, and a GETATTR with what is known without any. */
bool notify_is_own(const struct fs *fs, uint32_t pid);
/* Nobody serves requests any more: who waits for the kernel goes on. NULL is fine. */
void notify_give_up(struct notify *n);
/* After the session was unmounted and the events are unset; NULL is fine. */
void notify_stop(struct notify *n);
