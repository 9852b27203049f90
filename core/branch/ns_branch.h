// SPDX-License-Identifier: Apache-2.0
/*
 * ns_branch: the instants that make a namespace of another one. Each takes the freeze lock for
 * writing, so it is a point in time of the whole tree, and costs one more count on the root page.
 *
 * A branch remembers its base: the last moment at which it and its origin were one. The tree of
 * that moment is held by a hidden namespace (NS_ORIGIN), which all branches with this base share,
 * until none has it or `origin_keep` has passed (kept.h). A snapshot is a hidden namespace as well,
 * frozen, with a name. A draft is a hidden namespace that somebody makes or reads just now.
 *
 * Threads: any; the caller holds no lock. Errors: 0 or -errno: what txn_begin_alone returns;
 * -ENOENT: there is no such namespace; -EMFILE: there are VFS_NS_MAX; -ENAMETOOLONG, -EINVAL.
 */
#pragma once

#include "state.h"

#define NS_AUTOMATIC "auto-" /* how names of snapshots begin that the program makes by itself */

/* Makes `to` a branch of what `from` names (ns_find.h). -EEXIST: there is a namespace of that name;
 * -EINVAL also if `from` is a symlink. *ret_seq: the number of the change that made it. */
int ns_branch(struct state *p, const char *from, const char *to, uint64_t *ret_seq,
              uint32_t *ret_number);
/* Makes a snapshot of a namespace in the root. Its name has no `@`, is no number, and does not
 * begin as NS_LABEL_DROPPED or NS_AUTOMATIC. -EEXIST: the namespace has a snapshot of that name,
 * or a namespace has the name that people would call it by, NS@NAME; -EINVAL also if `of` is a
 * symlink. */
int ns_snapshot(struct state *p, struct ns *of, const char *name, uint64_t *ret_seq);
/* The same for one that the program makes by itself. It is called by the time, as
 * auto-2026-11-26T09:45:00Z. */
int ns_snapshot_automatic(struct state *p, struct ns *of, uint64_t *ret_seq);
/* Is it such a snapshot? The caller holds "names". */
bool ns_is_automatic(const struct ns *ns);
/* Makes a draft of a namespace, frozen, for somebody who reads it as it is at this instant, with a
 * reference: who has the reference drops it with ns_remove, and gives the reference back. After a
 * death it goes by itself (kept.h). */
int ns_draft_of(struct state *p, struct ns *of, struct ns **ret_ns);
/* The same within a change that is alone, without what is dirty in mappings. */
int ns_draft_now(struct txn *t, struct ns *of, struct ns **ret_ns);
/* Within a change that is alone, makes the new struct `ns` (ns_alloc) one that is kept of `of` at
 * this instant, frozen. The table owns it afterwards, and the caller has a reference; after an
 * error it is the caller's. */
int ns_keep_now(struct txn *t, struct ns *of, enum ns_kind kind, struct ns *ns);
/* From now on nothing removes a snapshot, or things do again. -EINVAL: it is no snapshot. */
int ns_hold(struct state *p, struct ns *snapshot, bool held);
/* Gives up the base of a branch: what only the base holds is freed. -ENODATA: it has none. */
int ns_detach(struct state *p, struct ns *ns);
/* Holds the tree that `from` has now, as the base of a branch; nothing if `origin_keep` is 0. The
 * change is alone. */
int ns_hold_base(struct txn *t, const struct ns *from);
/* A passing snapshot that is to be made: one that goes as the trash does. */
struct ns_passing {
    const char *name;
    int64_t since; /* when it began to be kept, ns since the epoch */
    /* How the base of a branch moves with the change that it is kept for; ns 0: none does. `from`
     * is the old base, and becomes that of the snapshot, so it is held as long. `branch` becomes
     * its origin: the branch, with the number of the change that the new base is of. */
    struct ns_instant from, branch;
};
/* Makes a passing snapshot. An older one that has the name gets another: its own with a full stop
 * and the number of its change. If it is one that people made, the new one gets such a name. The
 * change is alone. */
int ns_keep_passing(struct txn *t, const struct ns *of, const struct ns_passing *how);
/* The instant that a namespace is: of one in the root as it is now, of a hidden one that of which
 * it is kept. The caller keeps the namespace from being changed. */
struct ns_instant ns_now(const struct ns *ns);
