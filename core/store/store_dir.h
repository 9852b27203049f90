// SPDX-License-Identifier: Apache-2.0
/*
 * store_dir: a store in a directory of this machine, owned by one process at a time.
 *
 *     STORE/tally-store   identity: what tells a store from any directory (feature_flags.h)
 *     STORE/lock          the owner holds a flock on it; its text is "pid=… what=… at=…"
 *     STORE/kv/           LMDB
 *     STORE/packs slots objects
 *
 * For a store in a pool the last three are in the pool, and STORE/pool says in which
 * (store_pool.h).
 *
 * Errors: 0 or -errno, and a sentence for people in `why` (STORE_WHY bytes).
 */
#pragma once

#include "state_config.h"

#define STORE_WHY 512
/* A value of `what` in the lock file: that process has closed the store. It may still exist,
 * because the shard whose URL is `at` never answered. */
#define STORE_CLOSED "closed"

struct store_dir {
    int dirfd;         /* the directory of the store */
    int lockfd;        /* STORE/lock, with the flock */
    struct disk *disk; /* for state_config: `own`, or a route over it and the pool's disk */
    struct disk *own;  /* the directory of the store */
    struct kv *kv;
    struct pool_member pool; /* its disk is NULL: the store is in no pool */
    int nodefd;              /* the locked file of its node in the pool; -1: in no pool */
    /* with STORE_SALVAGE: what was saved; its `rows` is 0: the tables were sound */
    struct kv_salvaged salvaged;
    /* with STORE_SALVAGE: tables that were saved, now or before, are not repaired yet; or a row
     * among the counts of pages is damaged */
    bool unmended;
    /* the first of the two, and some of their rows are lost, or it is not known any more */
    bool rows_lost;
    bool compressed; /* it has the feature compressed-records */
};

enum store_flags {
    STORE_READONLY = 1 << 0, /* for check: nothing is written; a mount is still excluded */
    STORE_FOREIGN = 1 << 1,  /* the store, its pool and its shards may belong to anybody */
    /* if the metadata is damaged, what can be read of it is saved and replaces it */
    STORE_SALVAGE = 1 << 3,
    STORE_VERIFY = 1 << 2, /* the structure of the metadata is checked even after a clean close */
};

/* Makes a new store. The directory may exist if it is empty. `pool` is "dir:PATH" or the URL of a
 * shard (shard.h), and the store becomes a new node of that pool, which is made if there is nothing
 * yet; NULL: a store alone. `key` is the key of its ids, without a pool; NULL: it gets a new one.
 * `flags`: STORE_FOREIGN or 0. -EEXIST: it is a store already; -ENOTEMPTY; -EINVAL: a bad label or
 * pool, or a directory within a store; -EPERM, -EUCLEAN as for store_dir_open. After an error what
 * it made is removed again. */
int store_init(const char *path, const char *label, const char *pool, const struct id_key *key,
               unsigned flags, char why[STORE_WHY]);
/* Is it ORG/PROJECT: at most STORE_LABEL_MAX bytes, a slash with text on both sides, no blanks and
 * control characters? */
bool store_label_ok(const char *label);
/* Is this directory a store, of whatever version and state? */
bool store_exists(const char *path);
/* 0 if the directory is a store. Otherwise -errno, and a sentence that says what it is instead, and
 * what to do. */
int store_explain(const char *path, char why[STORE_WHY]);
/* Locks and opens a store. `purpose` says what the owner is ("mount", "check") and `at` where;
 * others read them in the lock file. The caller closes *ret with store_dir_close. Each opening for
 * writing of a node of a pool begins a new incarnation of the node.
 *
 * -EBUSY: another process owns the store (`why` names it). -ENOENT: not a store, or its pool is
 * missing. -EHOSTUNREACH: the shard of its pool cannot be asked now. -EPERM: the store or its pool
 * does not belong to the caller, or others may write it.
 * -EPROTO: another version wrote it. -ESTALE: it is not, or not any more, a node of the pool that
 * is there: a copy of the store is, or it was retired; nothing was changed. -EUCLEAN: a name in it
 * is a symlink, a FIFO or a device; or the structure of its metadata is damaged; or, unless
 * STORE_READONLY, a row among the counts of pages; or what could be read of it was saved, and the
 * repair of that did not end. After an error nothing is open. */
int store_dir_open(const char *path, unsigned flags, const char *purpose, const char *at,
                   struct store_dir *ret, char why[STORE_WHY]);
/* Writes into the lock file that the mount which was opened for `at` is ending. Others read it in
 * messages, and wait for it. Threads: any. */
void store_tell_end(const struct store_dir *s, const char *at);
/* Notes that what STORE_SALVAGE saved is repaired. From now on the store can be opened without that
 * flag. */
int store_is_mended(struct store_dir *s);
/* The pool for state_config, valid while `s` is open; NULL: the store is in none. */
const struct pool_member *store_get_pool(const struct store_dir *s);
/* May its records be compressed, for state_config? Valid while `s` is open, and stays where it
 * is. */
struct state_compression store_get_compression(struct store_dir *s);
/* Closes all and gives the lock up. The state that uses it must be closed before. */
void store_dir_close(struct store_dir *s);
