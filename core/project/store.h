// SPDX-License-Identifier: Apache-2.0
/*
 * store: a project in a directory of this machine, owned by one process at a time.
 *
 *     STORE/tally-store   identity: "tallyfs store 1", what tells a store from any directory
 *     STORE/lock          flock'ed by the owner; holds "pid=… what=… at=…" for the message
 *     STORE/kv/           LMDB
 *     STORE/packs slots objects
 *
 * Errors: 0 or -errno, and a sentence in `why` (STORE_WHY bytes) fit for a person.
 */
#pragma once

#include "project.h"

#define STORE_WHY 512

struct store {
    int dirfd;
    int lockfd;
    struct disk *disk;
    struct kv *kv;
};

enum store_flags {
    STORE_READONLY = 1 << 0, /* check: never writes, still excludes a mount */
};

/* Make a new store; the directory may exist if it is empty. -EEXIST, -ENOTEMPTY. */
int store_init(const char *path, const char *label, char why[STORE_WHY]);
/* Is this directory a store? */
bool store_exists(const char *path);
/* `purpose`: what the owner is ("mount", "check") and `at` where, for others' messages.
 * -EBUSY another process owns it (why names it), -ENOENT not a store. */
int store_open(const char *path, unsigned flags, const char *purpose, const char *at,
               struct store *ret, char why[STORE_WHY]);
void store_close(struct store *s);
