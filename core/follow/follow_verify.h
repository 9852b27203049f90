// SPDX-License-Identifier: Apache-2.0
/*
 * follow_verify: is the tree that a section leads to what was shipped, and is it sound? What is
 * asked is what restore_verify.h asks of a whole tree. Here the tree that the section is the
 * difference to was sound, so it is enough to look at what differs, and the cost is that of the
 * difference, and of the items of files that have others now:
 *
 *   - every item that differs belongs to an inode that is there, and fits its type and its size
 *   - an inode that is gone has no items and no entries any more
 *   - every new entry leads to an inode that is there and has the type that the entry says; that of
 *     a directory is in the directory which its inode says
 *   - link counts, and the numbers of entries and subdirectories that directories say, differ by as
 *     many entries as there are more or less
 *   - a directory with a new entry is below the root
 *   - the state sum is that of the tree before, without what is gone and with what was put
 *
 * Threads: any; the caller holds the locks of both trees, for reading. Errors: 0 or -errno:
 * -EUCLEAN, with a sentence in `why` if the tree is not sound; -ENOMEM, -EIO, -ENODATA an object of
 * the tree before has no bytes any more.
 */
#pragma once

#include "segment.h"
#include "strbuf.h"
#include <stdint.h>

struct state;
struct tree;

/* `was` may be an empty tree. `sum`: that of `was`; it becomes that of `is`. *ret_last_ino: the
 * highest inode number of what differs, or 0. */
int follow_verify(struct state *p, const struct tree *was, const struct tree *is,
                  uint8_t sum[SEGMENT_STATE_LEN], uint64_t *ret_last_ino, struct strbuf *why);
