// SPDX-License-Identifier: Apache-2.0
/*
 * walk: a way through directories that may be anybody's. Root asks nothing of a FUSE mount that a
 * user made (mountinfo.h), which may let root wait for good: not on the way to another place,
 * either. What the way ends at is not asked anything, so it may be such a mount.
 */
#pragma once

#include <stdbool.h>

/* Where `path` leads, as a descriptor (O_PATH) of the caller's; -errno. -EACCES also where the way
 * leads through such a mount. A symlink is followed, the last one, too; where `follow` is false it
 * is the end of the way, and -ENOTDIR if more comes behind it. */
int walk_to(const char *path, bool follow);
