// SPDX-License-Identifier: Apache-2.0
/*
 * names: items under names: of a directory, or of the attributes of an inode. The lock of the tree is
 * held.
 */
#pragma once

#include "item.h"
#include "tree.h"
#include <stddef.h>

struct state;

/* The item of that type kept under `name`: the cursor then stands on it and is the caller's to end;
 * otherwise it has ended. `ret_key` gets where the item is, or, on -ENOENT, where it would go. That
 * is the place of a counter if its hashes of all levels are taken, which no chance brings about. */
int name_find(struct state *p, const struct tree *t, uint64_t ino, enum item_type type,
              const char *name, struct key *ret_key, struct tree_cursor *c);
/* Put the item of that name where name_find says, in place of one that is there, or delete the one
 * that is; the counters follow. -ENOSPC: at the place of a counter. After a failure the items are
 * as they were; a counter may say too much, which only costs those a little time who look for other
 * names of that hash. */
int name_put(struct state *p, struct tree *t, struct key k, const char *name, const void *val,
             size_t len);
int name_del(struct state *p, struct tree *t, struct key k, const char *name);
