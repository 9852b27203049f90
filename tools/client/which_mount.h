// SPDX-License-Identifier: Apache-2.0
/*
 * which_mount: the mount that a verb is about.
 */
#pragma once

#include "mountinfo.h"

/* The MNT of `tally -C MNT`; NULL: the current directory is in the mount. */
extern const char *tally_mount;

/* mountinfo_of() that place; a symlink is followed, but never through a mount that root asks nothing
 * of (walk.h). */
int which_mount(struct tally_mountinfo *ret);
/* It gave `err`, and with -EREMOTE `part`: the sentence that explains it. Returns 1. */
int which_mount_fail(int err, const struct tally_mountinfo *part);
