// SPDX-License-Identifier: Apache-2.0
/*
 * listed: of which directories the kernel may keep a listing.
 *
 * It keeps them until it changes the directory itself (ops_dir.c). Where a namespace is dropped by a
 * command all of its directories are gone at once, and who stands in one would go on reading what
 * was kept of it. So they are remembered, LISTED_MAX of them, half a megabyte. Where there is no
 * place, the listing of an older one is taken from the kernel, and the new one is not kept yet.
 *
 * To have a listing forgotten, the kernel waits for its pages, and a page is locked for as long as
 * names are copied to a program, whose memory may be such that this never ends (userfaultfd(2)). So
 * one thread of its own sends these messages. It holds nothing open but the connection. Others wait
 * for it LISTED_PATIENCE at most with each message; a message that takes longer is delivered later.
 *
 * Threads: any that holds no lock.
 */
#pragma once

#include "mount.h"

#define LISTED_WAYS 4
#define LISTED_SETS 16384
#define LISTED_MAX (LISTED_WAYS * LISTED_SETS)
#define LISTED_PATIENCE (10 * (NSEC_PER_SEC / 1000))

struct listed;

/* The session must be mounted. */
int listed_start(struct fs *fs, struct listed **ret_l);
/* A piece of directory `nodeid` is about to be read. Before it is, so that a drop either makes that
 * fail or finds the directory here. Never waits for the kernel. False: the kernel must not keep the
 * listing. */
bool listed_add(struct fs *fs, uint64_t nodeid);
/* Who lists it next is to be seen: its access time is due to move, or it has another "..". */
void listed_again(struct fs *fs, uint64_t nodeid);
/* The namespace with that number is gone: the kernel has no listing of its directories any more,
 * except of those behind one that a program keeps locked: those go after that. */
void listed_drop(struct fs *fs, uint32_t ns);
/* Nobody serves requests any more: who waits here goes on, and the thread ends when it can. NULL is
 * fine. */
void listed_give_up(struct listed *l);
/* After the unmount. Frees, unless the thread hangs in the kernel; NULL is fine. */
void listed_stop(struct listed *l);
