// SPDX-License-Identifier: Apache-2.0
/*
 * ino_names: the names of inodes in one tree, and paths.
 *
 * An entry leads from a name to an inode, and nothing leads back. So names are looked up in two
 * steps. What is known of an inode are *hints*: keys of entries that led to it when they were seen.
 * A hint is checked when it is used, which costs one look into the tree, so a hint that is wrong by
 * now does no harm. Inodes for which hints are missing are *wanted*, and ino_names_search looks for
 * these, without a lock that a writer would wait for:
 *
 *     for (;;) {
 *         { READ_GUARD(lock);  err = ino_names_each(&n, ino, nlink, fn, ctx); }
 *         if (err != -EAGAIN)
 *             break;
 *         err = ino_names_search(&n, lock, &interrupted);    then again, with more hints
 *     }
 *
 * The search looks for a directory among the entries of its parent, and for a file first among the
 * inodes with numbers a little below its own, where its directory is if the file was made soon
 * after it. What it has not found then, and all names of a file that has several, it finds by a
 * walk over all of the tree.
 *
 * Memory: 24 to 48 bytes for each inode that is asked for or is a directory on a path, 32 for each
 * of their names. Errors: 0 or -errno: -EAGAIN hints are missing, -E2BIG (the budget), -ENOMEM,
 * -EINTR, -EIO, -EUCLEAN damage hides a part of the tree. Threads: one at a time.
 */
#pragma once

#include "delta.h"
#include "map64.h"
#include "path.h"
#include "tree.h"

struct ino_hint {
    struct key at; /* of the entry */
    size_t next;   /* index + 1 of the next hint of that inode; 0: there is none */
};
struct ino_names {
    const struct tree *tree; /* borrowed */
    struct diff_room *room;  /* borrowed */
    struct map64 first;      /* inode number -> index + 1 of its first hint */
    struct ino_hint *hints;
    size_t count, hints_room;
    struct map64 wanted; /* inode number -> how many names the search looks for */
    bool all;            /* the search has seen all of the tree as it is now: what is missing is
                          * not there */
};
#define INO_NAMES_INIT(t, budget)                                                                  \
    {                                                                                              \
        .tree = (t), .room = (budget)                                                              \
    }
#define INO_NAMES_DEPTH 8192 /* directories on a path at most; -EUCLEAN beyond */

int ino_names_hint(struct ino_names *n, uint64_t ino, struct key at);
/* Calls `fn` for each name of an inode that has `nlink` of them. -EAGAIN: fewer are known; the
 * inode is wanted from now on, and `fn` was not called. If `all` is set it is called for those that
 * there are. A result of `fn` other than 0 ends it and is returned. The caller holds the lock of
 * the tree. */
typedef int ino_name_fn(struct key at, const struct dirent_item *e, void *ctx);
int ino_names_each(struct ino_names *n, uint64_t ino, uint32_t nlink, ino_name_fn *fn, void *ctx);
/* Puts the name of the directory *dir, which is not the root, before the path, and sets *dir to its
 * parent. -EAGAIN: as above; -ENAMETOOLONG: it does not fit into the path. The caller holds the
 * lock of the tree. */
int ino_names_step(struct ino_names *n, uint64_t *dir, struct path *p);
/* The same for the directory `dir` and all above it, but for the root. */
int ino_names_climb(struct ino_names *n, uint64_t dir, struct path *p);
/* Looks for all that is wanted, and for the directories above. `lock` is that of the tree, which
 * the search takes for reading for 1,000 items at a time; NULL: the caller holds it, and `all` is
 * set afterwards. `interrupted` may be NULL. */
int ino_names_search(struct ino_names *n, struct rwlock *lock, const _Atomic bool *interrupted);
void ino_names_release(struct ino_names *n);
