// SPDX-License-Identifier: Apache-2.0
/*
 * drop: the persistent queue of trees, and parts of trees, that nothing names any more.
 *
 * An entry is one reference on a page, waiting to be given back. Working one off takes the count
 * down; at zero the page's children become entries, its objects lose a reference, the page goes.
 * Last in, first out, so the queue stays as short as the tree is deep times a page's children.
 * Every step leaves counts and queue consistent, so the queue may be committed between any two and
 * dropping resumes after a restart.
 *
 * Errors: 0 or -errno. A damaged page on the way: -EUCLEAN, its entry is put aside (the pages and
 * objects below leak until `rebuild`) and reported. Threads: any; one mutex inside ("drops").
 */
#pragma once

#include "kv.h"
#include "pages.h"
#include "refs.h"

struct drops;

int drops_open(struct kv *kv, unsigned table, struct pages *pages, struct refs *refs,
               struct drops **ret_drops);
void drops_close(struct drops *d); /* NULL is fine */

/* Give up one reference on a root (0: nothing to do). */
int drops_push(struct drops *d, uint64_t root);
/* Work off up to `budget` entries. *ret_done: how many; 0 when the queue is empty. The caller holds
 * the freeze lock so that no commit happens within. */
int drops_step(struct drops *d, unsigned budget, unsigned *ret_done);
/* How many entries wait, with the one that is being worked off; 0: all is done. It does not wait
 * for a step that runs. */
size_t drops_left(struct drops *d);
/* Entries worked off since open. Any thread, no lock. */
uint64_t drops_worked(const struct drops *d);
/* Pages given back since open. Likewise. */
uint64_t drops_freed(const struct drops *d);

/* Its part in a commit: as of pages. */
int drops_freeze(struct drops *d);
int drops_write(struct drops *d, size_t n, struct kv_txn *t);
void drops_retire(struct drops *d, size_t n);
