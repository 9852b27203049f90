// SPDX-License-Identifier: Apache-2.0
/*
 * listed: the directories whose listings the kernel may keep.
 *
 * The kernel keeps a listing until it changes the directory itself (ops_dir.c). But when a command
 * drops a namespace, all of its directories are gone at once, and a client that is in one of them
 * would go on reading the listing that the kernel has kept. So up to LISTED_MAX directories are
 * remembered here, in half a megabyte. If there is no place for one more, the kernel is asked to
 * drop the listing of an older one, and it must not keep the new one yet.
 *
 * To drop a listing the kernel waits for its pages. A page is locked while names are copied to a
 * program, and the memory of the program may be such that this never ends (userfaultfd(2)). So a
 * thread of this module sends these messages, which holds nothing open but the connection. Other
 * threads wait for it at most LISTED_PATIENCE with each message. A message that takes longer is
 * delivered later.
 *
 * Threads: any that holds no lock.
 */
#pragma once

#include "mount.h"

#define LISTED_WAYS 4
#define LISTED_SETS 16384
#define LISTED_MAX (LISTED_WAYS * LISTED_SETS)
#define LISTED_PATIENCE (10 * (NSEC_PER_SEC / 1000)) /* 10 ms */

struct listed;

/* Makes the table and the thread. The session must be mounted. 0 or -errno. */
int listed_start(struct fs *fs, struct listed **ret_l);
/* Called before a piece of directory `nodeid` is read: a drop that runs meanwhile either makes the
 * read fail or finds the directory here. Never waits for the kernel. False: the kernel must not
 * keep the listing. */
bool listed_add(struct fs *fs, uint64_t nodeid);
/* Has the kernel drop the listing of one directory, so that the next reading of it reaches the
 * daemon: its access time must move then, or its ".." has changed. Waits for at most
 * LISTED_PATIENCE. */
void listed_again(struct fs *fs, uint64_t nodeid);
/* Called when the namespace with that number is gone: has the kernel drop the listings of all of
 * its directories. When it returns they are dropped, except those that wait behind a listing that a
 * program keeps locked. These are dropped later. */
void listed_drop(struct fs *fs, uint32_t ns);
/* Called when no thread serves requests any more: threads that wait here return, and the thread of
 * this module ends when it can. NULL is fine. */
void listed_give_up(struct listed *l);
/* Called after the unmount. Frees `l`, unless its thread hangs in the kernel. NULL is fine. */
void listed_stop(struct listed *l);
