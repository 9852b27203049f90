// SPDX-License-Identifier: Apache-2.0
/*
 * owner: the daemon that has a store, as its lock file tells.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct tally_mountinfo;

struct owner {
    int pid;
    char what[32],
        at[PATH_MAX]; /* "mount", "ending", STORE_CLOSED, or the verb that runs; where it is
                         mounted */
    uid_t uid;        /* whose the file is, and so the word */
};

/* Who has `store`, as a lock file that is one says; the process is there. False: nobody. */
bool owner_read(const char *store, struct owner *ret);
/* The same of the store that is mounted by `m`. Where root looks at a user's mount, its source is that
 * user's word, and no symlink, nor a mount that a user serves, may lie on the way there. */
bool owner_of_mount(const struct tally_mountinfo *m, struct owner *ret);
/* Has process `pid` closed the store of `m`, although a shard did not answer? Then `ret->at` is its URL. */
bool owner_has_closed(const struct tally_mountinfo *m, int pid, struct owner *ret);
