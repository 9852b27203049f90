// SPDX-License-Identifier: Apache-2.0
/*
 * remount_mount: `mount -o remount`, which changes what mount(2) can change of an existing mount.
 */
#pragma once

#include "mount_options.h"

struct tally_mountinfo;

/* Which option of tally in `o` was not given to the daemon of the mount `m`, so that it would
 * change? Sets *ret to it, or to NULL: none. -errno: that cannot be found out. */
int remount_find_changed(const struct tally_mountinfo *m, const struct mount_options *o,
                         const char **ret);
/* Gives the mount at `mnt` these options. If it becomes read-only it is drained before. Returns the
 * exit code, after a sentence if that is not 0. */
int remount(const char *mnt, const struct mount_options *o);
