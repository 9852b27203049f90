// SPDX-License-Identifier: Apache-2.0
/*
 * walk: opens a path through directories of other users. Root must not send a request to a FUSE
 * mount of another user (mountinfo.h), since its daemon may let root wait for ever. That holds on
 * the way to another place, too. The end of the path is not asked anything, so it may be such a
 * mount.
 */
#pragma once

#include <stdbool.h>

/* Opens `path` as a descriptor (O_PATH), which the caller closes; or -errno. -EACCES, too, if the
 * path leads through such a mount. Symlinks are followed, also the last one. With `follow` false a
 * symlink is the end of the path, and -ENOTDIR if more follows it. */
int walk_to(const char *path, bool follow);
