// SPDX-License-Identifier: Apache-2.0
/*
 * utab: what mount(8) notes of mounts beside the kernel's list, in /run/mount/utab. For ours that
 * is one line, by which umount(8) knows that it has to call our helper. umount(8) takes it away
 * again; whoever ends a mount otherwise calls utab_clean().
 *
 * A line of it:    SRC=/srv/store TARGET=/mnt/tally ROOT=/ OPTS=uhelper=fuse.tally
 *
 * It is changed as libmount(3) does: under flock(2) of utab.lock a new file takes its place.
 */
#pragma once

/* umount(8) is to call the helper for the mount of `source` at `target`. Root only; where it cannot
 * be noted a plain umount comes back early, nothing else. */
void utab_note(const char *source, const char *target);
/* Forget the lines of mounts of `source` that are none any more. Root only. Does not wait longer
 * than UTAB_PATIENCE for others: a line that stays is taken away by the next call. */
void utab_clean(const char *source);

#define UTAB_PATIENCE 2 /* seconds */
