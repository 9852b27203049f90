// SPDX-License-Identifier: Apache-2.0
/*
 * names: items that are kept under a name: entries of a directory, or attributes of an inode. The
 * caller holds the lock of the tree, for writing where something changes.
 */
#pragma once

#include "item.h"
#include "tree.h"
#include <stddef.h>

struct state;

/* Finds the item of that type under `name`. 0: the cursor is at it, and the caller ends it. After
 * an error the cursor has ended. *ret_key gets the key of the item, or after -ENOENT the key that a
 * new item would get. That is the key of a counter if the places of its hashes on all levels are
 * taken, which no chance brings about. */
int name_find(struct state *p, const struct tree *t, uint64_t ino, enum item_type type,
              const char *name, struct key *ret_key, struct tree_cursor *c);
/* name_put puts the item under the key that name_find returned, and replaces one that is there.
 * name_del deletes it. Both update the counters. -ENOSPC: the key is that of a counter. After a
 * failure the items are unchanged. A counter may then be too high, which only makes searches for
 * other names of that hash a little slower. */
int name_put(struct state *p, struct tree *t, struct key k, const char *name, const void *val,
             size_t len);
int name_del(struct state *p, struct tree *t, struct key k, const char *name);
