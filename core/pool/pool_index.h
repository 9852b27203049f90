// SPDX-License-Identifier: Apache-2.0
/*
 * pool_index: where the other nodes of a pool report to have bytes, so that a store need not write
 * them again; and which of these places count as absent, because a list of marks has them.
 *
 * A *view* answers this: one list of marks, and one report of each other node. The rule that makes
 * a place safe to name, and its proof:
 *
 *     every report of a view was read after its list was known to be published.
 *
 * A collector removes a place K only under these conditions. A list m has marked K. Every node's
 * report that the collector has read acknowledges m or a later list, and does not name K. And after
 * it has read all of them, the list that it took these acknowledgements to be about is still the
 * newest (gc_pool.h). At that moment no node's tables name K, and every view has a list with K in
 * it, so no node can come to name it. A later view, whose list does not have K any more (K was
 * removed, or a listing was short), has reports that were read later than that moment, and none of
 * these names K. So K is never named again, however late it is removed.
 *
 *     pool_index_load(ix, &view)        reads the pool; the caller holds no lock
 *     pool_index_install(ix, view)      from now on pool_index_find answers from it
 *     pool_index_update(ix)             reads newer reports for the same list
 *     pool_index_find                   as objects_pool.find; before the first install: nothing
 *
 * A node that wants to acknowledge a list installs its view with the freeze lock held for writing.
 * A seal holds the freeze lock for reading from its lookup to its entry, so no seal is half done at
 * that moment.
 *
 * Errors: 0 or -errno. If the pool cannot be read the view stays as it is: it is older, and still
 * true. Damage in one report hides what that report has, and no more: finding places only saves
 * space, while a collector is stricter. Memory: a view has 32 bytes for each mark; reports as in
 * pool_report.h. Threads: any. It has a lock of its own, "pool index", a leaf; a view belongs to
 * the caller until it is installed.
 */
#pragma once

#include "entry.h"
#include "pool_dir.h"

struct pool_index;
struct pool_view;

/* `node` is the node of this store: its own report is not looked into. `disk` is borrowed. */
int pool_index_create(struct disk *disk, unsigned node, struct pool_index **ret_index);
void pool_index_destroy(struct pool_index *ix); /* NULL is fine */

/* Reads the newest list and then the reports into a view, which the caller owns. `from` is the
 * serial of a list that is known to have been published; 0: none is. */
int pool_index_load(struct pool_index *ix, uint64_t from, struct pool_view **ret_view);
uint64_t pool_view_serial(const struct pool_view *v);
/* Installs a view and takes it over. A view with an older list than the installed one is released
 * instead. */
void pool_index_install(struct pool_index *ix, struct pool_view *v);
/* Reads the reports that have changed since. Does nothing before the first install. */
int pool_index_update(struct pool_index *ix);

/* The nth place (from 0) of these bytes that is not absent; `ctx` is the index. -ENOENT: there are
 * not as many. */
int pool_index_find(void *ctx, const struct id *id, uint64_t size, unsigned nth, struct entry *ret);

/* Does another node's report name the place of this sealed entry (PACK, FILE)? A report that cannot
 * be read does not. For figures alone. */
bool pool_index_names(struct pool_index *ix, const struct entry *e);

/* The serial of the list that first marked the place of this sealed entry; 0: the newest list does
 * not mark it. Before the first install it is 1, since any list may mark it. */
uint64_t pool_index_mark(struct pool_index *ix, const struct entry *e);
/* How many of these places, ascending by key, the list of marks has. */
size_t pool_index_count_marked(struct pool_index *ix, const struct pool_record *v, size_t count);

struct pool_index_stats {
    uint64_t serial;  /* serial of the list whose marks are absent; 0: none yet */
    uint64_t absent;  /* absent places */
    uint64_t reports; /* reports of other nodes that are looked into */
    uint64_t keys;    /* keys that these name */
};
void pool_index_get_stats(struct pool_index *ix, struct pool_index_stats *ret);

/* Lists the first `max` other nodes whose report has an object of that id, and returns how many
 * there are. For people. */
size_t pool_index_who(struct pool_index *ix, const struct id *id, uint64_t size,
                      unsigned *ret_nodes, size_t max);
