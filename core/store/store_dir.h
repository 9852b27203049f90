// SPDX-License-Identifier: Apache-2.0
/*
 * store_dir: a store in a directory of this machine, owned by one process at a time.
 *
 *     STORE/tally-store   identity: what tells a store from any directory (feature_flags.h)
 *     STORE/lock          flock'ed by the owner; holds "pid=… what=… at=…" for the message
 *     STORE/kv/           LMDB
 *     STORE/packs slots objects
 *
 * Of a store in a pool the last three are in the pool, and STORE/pool says in which (store_pool.h).
 *
 * Errors: 0 or -errno, and a sentence in `why` (STORE_WHY bytes) fit for a person.
 */
#pragma once

#include "state_config.h"

#define STORE_WHY 512
/* In the lock file, for `what`: that process has closed the store. It may be there still, because
 * the shard whose URL is `at` never answered. */
#define STORE_CLOSED "closed"

struct store_dir {
    int dirfd;
    int lockfd;
    struct disk *disk; /* an open store's: `own`, or a route over it and the pool */
    struct disk *own;
    struct kv *kv;
    struct pool_member pool;  /* disk NULL: the store is in none */
    int nodefd;               /* the lock of its node */
    struct kv_salvaged salvaged; /* with STORE_SALVAGE: rows 0: there was no need */
    bool unmended; /* with STORE_SALVAGE: what was saved, now or before, is not repaired yet */
};

enum store_flags {
    STORE_READONLY = 1 << 0, /* check: never writes, still excludes a mount */
    STORE_FOREIGN = 1 << 1,  /* option foreign_store: it, its pool, its shards may be anybody's */
    STORE_SALVAGE = 1 << 3,  /* where that is damaged, what can be read of it takes its place */
    STORE_VERIFY = 1 << 2,   /* the structure of its metadata is read even if it was closed well */
};

/* Make a new store; the directory may exist if it is empty. `pool`, "dir:PATH" or NULL: as a new
 * node of that pool, which is made where there is nothing yet. `flags`: STORE_FOREIGN. -EEXIST,
 * -ENOTEMPTY, -EINVAL (within a store), -EPERM as below. */
int store_init(const char *path, const char *label, const char *pool, unsigned flags,
               char why[STORE_WHY]);
/* Is this directory a store? */
bool store_exists(const char *path);
/* What it is instead, and what to do: -errno with a sentence; 0: it is a store. */
int store_explain(const char *path, char why[STORE_WHY]);
/* `purpose`: what the owner is ("mount", "check") and `at` where, for others' messages.
 * -EPERM the store, or its pool, is not the caller's own, or others may write it; -EUCLEAN under a
 * name in it is a symlink, a FIFO, a device. -EBUSY another process owns it (why names it), -ENOENT
 * not a store, or its pool is missing. -ESTALE it is not, or no longer, a node of the pool that is
 * there: a copy of the store is, or it was retired; nothing was changed. -EUCLEAN, too: the
 * structure of its metadata is damaged, and no more of it can be read; or what could be was saved,
 * and a repair of that was cut off. Each opening of a node that
 * may write begins a new life of it. */
int store_dir_open(const char *path, unsigned flags, const char *purpose, const char *at,
                   struct store_dir *ret, char why[STORE_WHY]);
/* For others' messages, and for who waits: the mount that was opened for `at` is ending. Any
 * thread. */
void store_tell_end(const struct store_dir *s, const char *at);
/* What STORE_SALVAGE saved is repaired: from now on it can be opened without. */
int store_is_mended(struct store_dir *s);
/* For state_config; NULL: it is in none. */
const struct pool_member *store_get_pool(const struct store_dir *s);
void store_dir_close(struct store_dir *s);
