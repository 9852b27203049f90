// SPDX-License-Identifier: Apache-2.0
/*
 * tree_walk: visits a tree from a node on: the node itself, then what is in it. A directory comes
 * before its entries, which come in the order of the bytes of their names, each with all below it.
 *
 * The tree must not change meanwhile: it is of a namespace that is frozen, or of a store that takes
 * no changes. The caller has a reference on the namespace, and holds no lock.
 */
#pragma once

#include "state.h"
#include "vfs.h"

/* One node. `path` is relative to where the walk began, "" for that node; it is valid during the
 * call. A result other than 0 ends the walk. */
typedef int tree_walk_fn(const char *path, const struct vfs_attr *attr, void *ctx);

/* Returns what `fn` returned, or an error: -ENOMEM, -ESTALE: the namespace was dropped; -EIO,
 * -EUCLEAN, as the vfs has them. */
int tree_walk_from(struct state *p, uint64_t node, tree_walk_fn *fn, void *ctx);

/* The same walk for who asks for one node after the other. */
struct tree_walk;
int tree_walk_open(struct state *p, uint64_t node, struct tree_walk **ret_w); /* -ENOMEM */
/* The next node. *ret_path is valid until the next call, and so is `*ret_name`, its last part.
 * *ret_depth is how many directories are above it in the walk. -ENOENT: there are no more; other
 * errors as tree_walk_from. */
int tree_walk_next(struct tree_walk *w, const char **ret_path, const char **ret_name,
                   size_t *ret_depth, struct vfs_attr *ret_attr);
void tree_walk_close(struct tree_walk *w); /* NULL is fine */
