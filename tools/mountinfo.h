// SPDX-License-Identifier: Apache-2.0
/*
 * mountinfo: which tally mounts this process sees, from /proc/self/mountinfo.
 *
 * Nothing here asks the mount itself more than a lookup, so that a mount whose daemon has died is
 * still found by its mount point. Errors: 0 or -errno.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct tally_mountinfo {
    char point[PATH_MAX];  /* absolute, without symlinks */
    char source[PATH_MAX]; /* the store, as the daemon named it */
    char dev[32];          /* "major:minor": the same for all mounts that one daemon serves */
};

/* The mount that `path` lies in. -ENOENT: none, or not ours; also errors of looking at `path`. */
int mountinfo_of(const char *path, struct tally_mountinfo *ret);
/* The mount whose mount point is `path`, the last mounted if there are several. -ENOENT. */
int mountinfo_at(const char *path, struct tally_mountinfo *ret);
/* Is it mounted anywhere else, as by `mount --bind`? A daemon lives as long as its last mount. */
bool mountinfo_dev_is_mounted(const char *dev);
/* `path` without symlinks except in its last component, which need not answer. -errno. */
int mountinfo_absolute(const char *path, char out[PATH_MAX]);
