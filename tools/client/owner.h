// SPDX-License-Identifier: Apache-2.0
/*
 * owner: the process that has a store, as the lock file of the store says.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct tally_mountinfo;

struct owner {
    int pid;
    char what[32],
        at[PATH_MAX]; /* `what`: "mount", "ending", STORE_CLOSED, or the verb that runs; `at`:
                         the mount point */
    uid_t uid;        /* the owner of the lock file, whose word all of this is */
};

/* Reads the lock file of `store`. True: it names a process, and this process exists. False: no
 * process has the store. */
bool owner_read(const char *store, struct owner *ret);
/* The same for the store of the mount `m`. If root looks at the mount of another user, the path of
 * the store is the word of that user. Then it must be absolute, and must not lead through a symlink
 * or through a FUSE mount of a user. */
bool owner_of_mount(const struct tally_mountinfo *m, struct owner *ret);
/* Has process `pid` closed the store of `m`, although a shard does not answer? Then ret->at is the
 * URL of the shard. */
bool owner_has_closed(const struct tally_mountinfo *m, int pid, struct owner *ret);
/* Does process `pid` serve the FUSE mount `m`? A process id is the word of the daemon, and in the
 * pid namespace of a container it is the number of another process here. A kernel that does not
 * show which connection a process has gives the answer for any connection. False, too, if this
 * process may not look. */
bool owner_serves(int pid, const struct tally_mountinfo *m);
/* Has process `pid` a connection with any FUSE mount, so that it is not about to mount its first
 * one? False, too, if this process may not look. */
bool owner_has_served(int pid);
/* Is there a log in the store of `m`, which a daemon that has closed the store well has removed?
 * False if it cannot be seen, or if process `pid` is not the last one that had the store. */
bool owner_left_log(const struct tally_mountinfo *m, int pid);
