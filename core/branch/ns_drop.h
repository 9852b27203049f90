// SPDX-License-Identifier: Apache-2.0
/*
 * ns_drop: the instants that end a namespace, hide it in the trash, show it again, or rename it.
 *
 * A drop by force keeps what is open in the namespace for those who have it open. The drop of one
 * that has snapshots drops these as well; one with a snapshot that is held is not dropped: -EBUSY.
 *
 * Threads: any; the caller holds no lock. Errors: 0 or -errno: what txn_begin_alone returns;
 * -ENOENT: it is not there any more; -EBUSY: *ret_open files are open in it, and there is no
 * `force`; -EROFS, -ESHUTDOWN.
 */
#pragma once

#include "state.h"

/* Drops a namespace of the root, or with `only_symlink` a symlink there (-EISDIR, -ENOTDIR: it is
 * the other kind). `only_empty` removes an empty namespace, however many files are open:
 * -ENOTEMPTY; -EBUSY: it has snapshots. */
int ns_drop(struct state *p, const char *name, bool force, bool only_empty, bool only_symlink,
            uint32_t *ret_open);
/* Drops a namespace of any kind but a symlink. -ENOENT also if it is of another kind than `kind` by
 * now: somebody has dropped it or taken it back. */
int ns_remove(struct state *p, struct ns *ns, enum ns_kind kind, bool force, uint32_t *ret_open);
/* Moves a namespace of the root into the trash: it is frozen, and its name is free. What is open in
 * it stays open, and can be read. */
int ns_trash(struct state *p, struct ns *ns, bool force, uint32_t *ret_open);
/* Would a drop move it there? What is empty, and what is only kept, is deleted at once, and so is
 * all if `trash_keep` is 0. */
bool ns_goes_to_trash(struct state *p, struct ns *ns);
/* Takes it from the trash, as it was, under a name: -EEXIST, -ENAMETOOLONG, -EINVAL: it is not in
 * the trash, or that is no name. */
int ns_undrop(struct state *p, struct ns *ns, const char *as);
int ns_rename(struct state *p, const char *name, const char *newname, unsigned flags);
/* The same for one that is found already. -ENOENT also if it is not in the root. */
int ns_rename_it(struct state *p, struct ns *ns, const char *newname, unsigned flags);
/* How many files are open in it just now. */
uint32_t ns_open_files(const struct ns *ns);

/* Private to this room. Drops what is kept (kept.h) if `may`, which is called while nothing else
 * changes, says so: else -ENOENT. The caller calls flush_kick_drops. */
int drop_kept(struct state *p, struct ns *ns, bool (*may)(struct state *p, const struct ns *ns));
/* Tells the kernel that it is gone, after a drop. */
void drop_tell(struct state *p, const struct ns *ns);
/* Drops one while the caller holds the freeze lock and ns->lock, both for
 * writing. */
int drop_under_locks(struct txn *t, struct ns *ns);
