// SPDX-License-Identifier: Apache-2.0
/*
 * listed: of which directories the kernel may keep a listing.
 *
 * It keeps them until it changes the directory itself (ops_dir.c). Where a namespace is dropped by a
 * command all of its directories are gone at once, and who stands in one would go on reading what
 * was kept of it. So they are remembered, LISTED_MAX of them, half a megabyte: one too many, and
 * the listing of an older one is taken from the kernel.
 *
 * Threads: any, without locks.
 */
#pragma once

#include "fs_impl.h"

#define LISTED_WAYS 4
#define LISTED_SETS 16384
#define LISTED_MAX (LISTED_WAYS * LISTED_SETS)

/* A piece of directory `nodeid` is about to be read. Before it is, so that a drop either makes that
 * fail or finds the directory here. */
void listed_add(struct fs *fs, uint64_t nodeid);
/* Who lists it next is to be seen: its access time is due to move, or it has another "..". */
void listed_again(struct fs *fs, uint64_t nodeid);
/* The namespace with that number is gone: the kernel has no listing of its directories any more. */
void listed_drop(struct fs *fs, uint32_t ns);
