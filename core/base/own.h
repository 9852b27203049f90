// SPDX-License-Identifier: Apache-2.0
/*
 * own: whether a directory or file is the caller's own, and nobody else's to change.
 *
 * It is if its owner is the effective user, or root, who can do everything anyway; and if neither
 * its group nor everybody may write it. The group that has the user's name and nobody else in it is
 * the user, as many systems give each one. As with sudo only the thing itself counts, not the
 * directories above: who may write those can put another one of ours in its place, but none of
 * theirs.
 *
 * Threads: any.
 */
#pragma once

#include <stddef.h>

#define OWN_WHY 128

/* 0; or -EPERM, and what speaks against it: "belongs to user 1000", "may be written by everybody".
 * Other errors are those of fstat. */
int own_check(int fd, char why[OWN_WHY]);
/* The same of a name in `dirfd`; a symlink is none: -EUCLEAN "is a symlink". -ENOENT. What is
 * neither a directory nor a regular file: -EUCLEAN, too. `foreign`: only that is asked, and not
 * whose it is. */
int own_check_at(int dirfd, const char *name, int foreign, char why[OWN_WHY]);
