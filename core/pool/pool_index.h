// SPDX-License-Identifier: Apache-2.0
/*
 * pool_index: where the other nodes of a pool say to have bytes, so that a store need not put them
 * once more; and which of these places count as absent, because a list of marks has them.
 *
 * What is asked is a *view*: one list of marks, and one report of each other node. The rule that
 * makes a place safe to name, and its proof:
 *
 *     every report of a view was read after its list was known to be published.
 *
 * A collector removes a place K only when K was marked by list m, every node's report that it read
 * acknowledges m or a later list and does not name K, and the list that it took these
 * acknowledgements to be about is still the newest after it has read all of them (gc_pool.h). At
 * that moment no node's tables name K, and every view has a list with K in it, so none can come to.
 * A later view, whose list no longer has K (it is gone, or a listing was short), has reports that
 * were read later than that moment, and none of these names K. So K is never named again, however
 * late it is removed.
 *
 *     pool_index_load(ix, &view)        reads the pool; holding nothing
 *     pool_index_install(ix, view)      from now on pool_index_find answers from it
 *     pool_index_update(ix)             newer reports, the same list: never puts off anything
 *     pool_index_find                   as objects_pool.find; before the first install: nothing
 *
 * Who wants to acknowledge a list installs its view with the freeze lock held for writing: a seal
 * holds the freeze lock for reading from its lookup to its entry, so that none is half done then.
 *
 * Errors: 0 or -errno; a pool that cannot be read leaves the view as it is, which is older, and as
 * true as before. What is damaged in one report hides what that report has, no more: this is a
 * saving, not a promise (a collector is stricter).
 * Memory: a view has 32 bytes for each mark; reports as in pool_report.h. Threads: any; a lock of
 * its own, "pool index", a leaf; a view is the caller's until it is installed.
 */
#pragma once

#include "entry.h"
#include "pool_dir.h"

struct pool_index;
struct pool_view;

/* `node`: whose index this is: its own report is not looked into. `disk` is borrowed. */
int pool_index_create(struct disk *disk, unsigned node, struct pool_index **ret_index);
void pool_index_destroy(struct pool_index *ix); /* NULL is fine */

/* `from`: the serial of a list that is known to have been published; 0. */
int pool_index_load(struct pool_index *ix, uint64_t from, struct pool_view **ret_view);
uint64_t pool_view_serial(const struct pool_view *v);
void pool_view_release(struct pool_view *v); /* NULL is fine */
/* Takes the view over. One with an older list than that which is installed is not installed. */
void pool_index_install(struct pool_index *ix, struct pool_view *v);
/* Read again what reports have changed since. Nothing before the first install. */
int pool_index_update(struct pool_index *ix);

/* `ctx` is the index. -ENOENT: there are no more. */
int pool_index_find(void *ctx, const struct id *id, uint64_t size, unsigned nth, struct entry *ret);

/* Does another node's report name the place of this sealed entry (PACK, FILE)? A report that cannot
 * be read does not. For figures. */
bool pool_index_names(struct pool_index *ix, const struct entry *e);

/* Does the list of marks have the place of this sealed entry? */
bool pool_index_is_marked(struct pool_index *ix, const struct entry *e);
/* How many of these places, ascending by key, it has. */
size_t pool_index_count_marked(struct pool_index *ix, const struct pool_record *v, size_t count);

struct pool_index_stats {
    uint64_t serial;  /* of the list whose marks are absent; 0: none yet */
    uint64_t absent;  /* places */
    uint64_t reports; /* of other nodes, that are looked into */
    uint64_t keys;    /* that these name */
};
void pool_index_get_stats(struct pool_index *ix, struct pool_index_stats *ret);

/* Numbers of the other nodes whose report has an object of that id, and how many there are;
 * `max` of them. For people. */
size_t pool_index_who(struct pool_index *ix, const struct id *id, uint64_t size,
                      unsigned *ret_nodes, size_t max);
