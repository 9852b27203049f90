// SPDX-License-Identifier: Apache-2.0
/*
 * set_ids: a file loses its set-id bits when a user changes it who may not keep them, even if the
 * bytes stay as they were. The kernel leaves that to us. Its requests say when it is due, but not
 * those of fallocate(2) and copy_file_range(2): there it is due for every user but root.
 *
 *     if (set_ids_are(fs, ino)) in a call of CALL_RIGHTS: set_ids_drop(fs, ino), then the change
 *
 * When the change is answered the kernel has the mode without the bits. Two messages see to that:
 *   1. vfs_setattr raises the event `rights` (state_config.h), and the calling thread sends "attributes
 *      are stale" (on_rights in notify.c). It holds no lock of ours, and for attributes alone the
 *      kernel takes no lock of an inode: so this waits for nobody.
 *   2. notify_mode has the thread "mode" (apart.h) ask for the mode, and waits for it. The GETATTR
 *      of that thread is answered without work (notify_is_own) by a thread that takes requests from
 *      the kernel. So the caller must not be such a thread: hence CALL_RIGHTS (defer.h).
 */
#pragma once

#include "mount.h"

/* Has the file bits that would go? */
bool set_ids_are(struct fs *fs, uint64_t ino);
/* 0 or -errno: nothing is to be changed then. */
int set_ids_drop(struct fs *fs, uint64_t ino);
/* Does a change by this request take the bits away? The first is for requests in which the kernel
 * says so, the second for fallocate(2) and copy_file_range(2). */
bool set_ids_go(fuse_req_t req);
bool set_ids_go_untold(fuse_req_t req);
