// SPDX-License-Identifier: Apache-2.0
/*
 * restore_verify: is what an archive has a tree of directories? The state sum that comes with it
 * finds accidents, and whoever can write to the archive can make another one. So before a draft is
 * shown its items are compared with each other, by the rules of the offline check (check_tree.c):
 *
 *   - every item belongs to an inode that is there, and fits its type and its size
 *   - every inode has a type that files have; number 1 is the root directory
 *   - every entry leads to an inode that is there and has the type that the entry says, and none
 *     leads to the root
 *   - a directory has one entry, where its inode says, and is below the root; its inode says how
 *     many entries and subdirectories it has
 *   - any other inode has as many entries as its link count says, and at least one
 *
 * It is not looked at where names stand, for the store gave them their hashes itself; nor at
 * extended attributes, nor at the bytes of files.
 *
 * Threads: any; the caller does not have the lock of the draft, whose tree nobody changes
 * meanwhile. It takes 24 bytes of memory for each inode.
 */
#pragma once

#include "strbuf.h"
#include <stdint.h>

struct state;
struct ns;
struct tree;

/* 0: it is a tree. *ret_last_ino is its highest inode number. -EUCLEAN: it is none, and `why`,
 * which was empty, says which inode is wrong; or a page is damaged, and `why` stays empty. -ENOMEM,
 * -EIO; -ESHUTDOWN: the store is closing. */
int restore_verify(struct state *p, struct ns *draft, uint64_t *ret_last_ino, struct strbuf *why);
/* The same of the items of one inode alone: they belong to an inode that is there and has a type
 * that files have, and fit its type and its size. It does not look at the entries of a directory,
 * nor at extended attributes. The caller holds the lock of the tree. */
int restore_verify_inode(struct state *p, const struct tree *t, uint64_t ino, struct strbuf *why);
