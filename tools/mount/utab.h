// SPDX-License-Identifier: Apache-2.0
/*
 * utab: the notes that mount(8) keeps of mounts beside the kernel's list, in /run/mount/utab. For a
 * tally mount that is one line, from which umount(8) knows that it must call our helper. umount(8)
 * removes the line again. Code that ends a mount in another way calls utab_clean().
 *
 * A line of it:    SRC=/srv/store TARGET=/mnt/tally ROOT=/ OPTS=uhelper=fuse.tally
 *
 * It is changed as by libmount(3): under flock(2) of utab.lock a new file replaces it.
 */
#pragma once

/* Notes that umount(8) must call the helper for the mount of `source` at `target`. Root only. If
 * that fails, umount(8) only returns before the daemon has ended. */
void utab_note(const char *source, const char *target);
/* The same for a mount of a part, whose root is as in mountinfo: "/NS". */
void utab_note_part(const char *source, const char *target, const char *root);
/* Removes the lines of mounts of `source` that do not exist any more. Root only. It waits at most
 * UTAB_PATIENCE for the lock; a line that stays is removed by the next call. */
void utab_clean(const char *source);

#define UTAB_PATIENCE 2 /* seconds */
