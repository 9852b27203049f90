// SPDX-License-Identifier: Apache-2.0
/*
 * drop: the persistent queue of trees, and parts of trees, that nothing names any more.
 *
 * An entry is one reference on a page that is to be given back. Working it off lowers the page's
 * count. At zero the page's children become entries, its objects lose a reference, and the page is
 * freed. The last entry is taken first, so dropping one tree adds at most the height of the tree
 * times the children of a page to the queue. A tree that is dropped later stands in front of all:
 * it delays none that was there before. Every step leaves counts and queue consistent. So a commit
 * may come between any two steps, and dropping continues after a restart.
 *
 * Errors: 0 or -errno. A damaged page is reported and its entry is given up: what it names leaks
 * until `rebuild`. Threads: any; the locks inside are "drop step" and, after it, "drops".
 */
#pragma once

#include "kv.h"
#include "pages.h"
#include "refs.h"

struct drops;

/* Open the queue and load what the last commit has of it. `kv`, `pages` and `refs` are borrowed.
 * -EUCLEAN: the table is damaged. */
int drops_open(struct kv *kv, unsigned table, struct pages *pages, struct refs *refs,
               struct drops **ret_drops);
void drops_close(struct drops *d); /* NULL is fine */

/* Put one reference on a root into the queue (0: nothing to do). -ENOMEM. */
int drops_push(struct drops *d, uint64_t root);
/* Work off up to `budget` entries. *ret_done: how many; less if the queue is empty. The caller
 * holds the freeze lock, so that no rotation comes in between. After an error the entry stays in
 * the queue. */
int drops_step(struct drops *d, unsigned budget, unsigned *ret_done);
/* The number of entries that wait, with the one that is being worked off; 0: all is done. The call
 * does not wait for a step that runs. */
size_t drops_left(struct drops *d);
/* How many roots were put in since drops_open. */
uint64_t drops_pushed(struct drops *d);
/* Is anything left of what was in the queue when drops_pushed returned `pushed`? */
bool drops_has_older(struct drops *d, uint64_t pushed);
/* Number of entries worked off since drops_open; takes no lock. */
uint64_t drops_worked(const struct drops *d);
/* Number of pages freed since drops_open; takes no lock. */
uint64_t drops_freed(const struct drops *d);

/* The queue's part in a commit: as pages_freeze, pages_write and pages_retire. */
int drops_freeze(struct drops *d);
int drops_write(struct drops *d, size_t n, struct kv_txn *t);
void drops_retire(struct drops *d, size_t n);
