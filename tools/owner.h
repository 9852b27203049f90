// SPDX-License-Identifier: Apache-2.0
/*
 * owner: the daemon that has a store, as its lock file tells, and waiting for one that is ending.
 */
#pragma once

#include "store.h"

#include <limits.h>

#define OWNER_PATIENCE 60      /* seconds for one that says that it ends */
#define OWNER_PATIENCE_LAZY 10 /* and for one whose mount is gone, but which may still be in use */

struct owner {
    int pid;
    char what[32],
        at[PATH_MAX]; /* "mount" or "ending", or the verb that runs; where it is mounted */
    uid_t uid;        /* whose the file is, and so the word */
};

/* Who has `store`, as a lock file that is one says; the process is there. False: nobody. */
bool owner_read(const char *store, struct owner *ret);
/* Is the daemon that has `store` about to end? Its mount may still be there. */
bool owner_is_ending(const char *store);
/* store_open() for a mount, after the last daemon of the store has ended if it is ending. After a
 * second a sentence on standard error says what is waited for. */
int owner_open(const char *path, unsigned flags, const char *at, struct store *ret,
               char why[STORE_WHY]);
/* Waits until nothing of ours is mounted at `point` any more, if its daemon is ending. -EBUSY: it
 * is not, or takes too long. */
int owner_await_unmount(const char *point);
