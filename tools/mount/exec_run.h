// SPDX-License-Identifier: Apache-2.0
/*
 * exec_run: runs a command in a mount namespace of its own, in which one namespace of a store
 * stands at the path of another.
 */
#pragma once

#include "mountinfo.h"

struct exec_place {
    struct tally_mountinfo m; /* a mount of the store with its control file */
    char point[PATH_MAX];     /* the mount point that `path` is in, or is */
    char path[PATH_MAX];      /* where the command is to see the namespace */
};

/* Finds where the namespace `ns` is seen: at its own mount if `from` (a path) lies in that; else in
 * a mount of the whole; else at any mount of it. `m` is the mount of the store that was found.
 * False: nowhere. */
bool exec_find_place(const struct tally_mountinfo *m, const char *ns, const char *from,
                     struct exec_place *ret);
/* Runs `argv`, found along PATH, and waits for its end. With `branch` that namespace stands at the
 * path; NULL: what is there. If the current directory lies in the path the command has the same
 * one. Signals that end programs are passed on to the command, and do not end this process
 * meanwhile. *ret_code: its exit code as a shell has it, 128 and the number of the signal that
 * ended it, 127 or 126 if it cannot be run. -ECANCELED, after a sentence: it was not begun. */
int exec_run(const struct exec_place *place, const char *branch, char *const argv[], int *ret_code);
