// SPDX-License-Identifier: Apache-2.0
/*
 * which_mount: finds the mount that a verb is about.
 */
#pragma once

#include "mountinfo.h"

/* The MNT of `tally -C MNT`; NULL: the mount that the current directory is in. */
extern const char *tally_mount;

/* mountinfo_of() for that place. A symlink is followed, but never through a mount that root must
 * not ask (walk.h). */
int which_mount(struct tally_mountinfo *ret);
/* Prints the sentence for the error `err` of which_mount, which with -EREMOTE has set `part`.
 * Returns 1. */
int which_mount_fail(int err, const struct tally_mountinfo *part);
