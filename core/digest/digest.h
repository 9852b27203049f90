// SPDX-License-Identifier: Apache-2.0
/*
 * digest: one SHA-256 of a tree. It is that of these bytes: "tallyfs digest 1\n", and then of each
 * node in the order of tree_walk.h, numbers little-endian:
 *
 *     path    length 4, and the path below the top; "" of the top itself
 *     stat    mode with the type 4, uid 4, gid 4, mtime in ns since the epoch 8
 *     xattrs  how many, 4; of each, in the order of the bytes of their names: length of the name 4,
 *             the name, length of the value 4, the value. ACLs are among them; user.tally.* is not
 *     body    of a directory: nothing. Of another node that has a name before this one: "H", length
 *             4 and path of the first. Else of a regular file: "F", size 8, and the SHA-256 of its
 *             bytes, 32, with zeros for holes; of a symlink: "L", length 4, target; of a device:
 *             "D", major number 4, minor number 4; of a fifo or socket: nothing
 *
 * So inode numbers, access and change times, how bytes are stored, and names outside of the tree do
 * not enter. The top is a directory of a namespace, or any other file in it.
 *
 * Threads: any; the caller holds no lock.
 */
#pragma once

#include "entry.h"
#include "state.h"

struct digest {
    uint8_t sum[SHA256_LEN];
    uint64_t inodes; /* that were read */
    uint64_t bytes;  /* of their contents */
};

/* Called now and then, with what was read so far. A result other than 0 ends the work. */
typedef int digest_progress_fn(const struct digest *so_far, void *ctx);

/* Finds what is to be read: the node of `path` below the top of `ns`; "" is the top. A symlink is
 * not followed. The caller has a reference on `ns`. -ENOENT, -ENAMETOOLONG, -ESTALE. */
int digest_find(struct state *p, const struct ns *ns, const char *path, uint64_t *ret_node);
/* Makes the digest of that node, as it is at this instant. One change of the store holds the
 * instant meanwhile, unless the namespace is kept as it is, or the store takes no changes.
 * `progress` may be NULL. Errors of digest_find, tree_walk_from and `progress`; of the change that
 * holds the instant. */
int digest_tree(struct state *p, struct ns *ns, const char *path, digest_progress_fn *progress,
                void *ctx, struct digest *ret);
