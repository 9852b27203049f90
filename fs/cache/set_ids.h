// SPDX-License-Identifier: Apache-2.0
/*
 * set_ids: a file loses its set-id bits when a user changes it who may not keep them, even if the
 * bytes stay the same. The kernel leaves that to the daemon. Its requests say when the bits must
 * go, except those of fallocate(2) and copy_file_range(2): there they go for every user but root.
 *
 *     if (set_ids_are(fs, ino)) in a call of CALL_RIGHTS: set_ids_drop(fs, ino), then the change
 *
 * When the change is answered the kernel already has the mode without the bits. Two messages ensure
 * that:
 *   1. vfs_setattr raises the event `rights` (state_config.h), and the calling thread sends
 *      "attributes are stale" (on_rights in notify.c). The thread holds no lock of the daemon, and
 *      the kernel takes no lock of the inode for attributes alone. So this message waits for
 *      nothing.
 *   2. notify_mode has the thread "mode" (apart.h) ask for the mode, and waits for it. The GETATTR
 *      of that thread is answered without work (notify_is_own) by a thread that takes requests from
 *      the kernel. So the caller must not be such a thread: hence CALL_RIGHTS (defer.h).
 */
#pragma once

#include "mount.h"

/* Has the file set-id bits that a change would clear? A set-gid bit without group execution marks
 * mandatory locking and stays. */
bool set_ids_are(struct fs *fs, uint64_t ino);
/* Clears the set-id bits, and waits until the kernel has the new mode. The caller may wait and
 * holds no lock. After an error the caller must not do its change. */
int set_ids_drop(struct fs *fs, uint64_t ino);
/* Does a change by this request clear the bits? This is for requests in which the kernel says
 * so. */
bool set_ids_go(fuse_req_t req);
/* The same for fallocate(2) and copy_file_range(2), in which the kernel says nothing. */
bool set_ids_go_untold(fuse_req_t req);
