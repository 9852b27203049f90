// SPDX-License-Identifier: Apache-2.0
/*
 * own: checks that no other user may change a directory or file.
 *
 * It must belong to the effective user or to root, who can do everything anyway. Neither its group
 * nor everybody may have the right to write it. A group with the user's name and no other member
 * counts as the user, since many systems make such a group for each user. Its members are the
 * users that its record names and those who have it as primary group. Where the system does not
 * list all of its users, no group counts as the user. As with sudo, only the file itself is
 * checked, not the directories above: a user who may write these can replace it by another file of
 * ours, but not by a file of his own.
 *
 * Threads: any.
 */
#pragma once

#include <stddef.h>

#define OWN_WHY 128 /* bytes */

/* 0; or -EPERM, with the reason in `why`: "belongs to user 1000", "may be written by everybody".
 * Other errors are those of fstat. */
int own_check(int fd, char why[OWN_WHY]);
/* The same for a name in `dirfd`. -EUCLEAN: it is a symlink or otherwise neither a regular file nor
 * a directory, and `why` says which. -ENOENT. `foreign`: only its kind is checked, not its
 * owner. */
int own_check_at(int dirfd, const char *name, int foreign, char why[OWN_WHY]);
