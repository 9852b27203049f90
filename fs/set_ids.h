// SPDX-License-Identifier: Apache-2.0
/*
 * set_ids: whoever may not keep a file's set-id bits loses them by changing it (also by doing so
 * that changes nothing). The kernel leaves that to us, and says when; it says nothing before
 * fallocate(2) and copy_file_range(2), where any user but root is such a one.
 *
 *     if (set_ids_are(fs, ino)) in a call of CALL_RIGHTS: set_ids_drop(fs, ino), then the change
 *
 * When the change is answered the kernel has the mode without them (notify_mode).
 */
#pragma once

#include "fs_impl.h"

/* Has the file bits that would go? */
bool set_ids_are(struct fs *fs, uint64_t ino);
/* 0 or -errno: nothing is to be changed then. */
int set_ids_drop(struct fs *fs, uint64_t ino);
/* Does who changes a file by this request lose them? For requests that the kernel says it of; and
 * for those two. */
bool set_ids_go(fuse_req_t req);
bool set_ids_go_untold(fuse_req_t req);
