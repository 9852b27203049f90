// SPDX-License-Identifier: Apache-2.0
/*
 * quota: the limits of a namespace, ns:NAME.quota in bytes and ns:NAME.quota_files in inodes.
 *
 * What counts is what the inodes of the namespace take (struct usage): each once, 512 bytes for
 * each block of st_blocks, before anything is shared; also those without a name that are still
 * open. All of that is counted as it changes (tree.usage, ns.unlinked), so nothing is searched.
 *
 * Who makes a namespace larger asks before the first change, with the lock of the namespace held
 * for writing until the change is made:
 *
 *     err = quota_check(ns, (struct usage){.inodes = 1});
 *     if (err < 0)
 *         return err;                       -EDQUOT: nothing was changed
 *
 * A write gives the lock back while it moves bytes. It promises its growth before that, which
 * counts as used, and settles the promise when the inode has it:
 *
 *     err = quota_promise(ns, bytes);       with the lock
 *     quota_settle(ns, bytes);              with the lock, or after a failure without it
 *
 * Only growth is refused: a namespace that is above a limit, because that was set so, may be
 * changed in all other ways, and may shrink. A namespace that follows an archive has no limit: what
 * it becomes is decided elsewhere. The same is true of what a start takes from the log.
 *
 * A branch begins with the limits of what it is made of (ns_settings_inherit).
 *
 * Threads: any. The caller has the freeze lock for reading, by its change, so a limit stays as it
 * is until the change ends.
 */
#pragma once

#include "disk.h"
#include "item.h"
#include "state.h"
#include "strbuf.h"

/* What the namespace takes now. The caller holds ns->lock. */
struct usage quota_used(const struct ns *ns);
/* The limits; 0: there is none. */
struct usage quota_limits(const struct ns *ns);
/* Has it any? While it has none, nothing has to be found out. */
bool quota_is_limited(const struct ns *ns);
/* May the namespace take so much more? -EDQUOT: it would be above a limit. The caller holds
 * ns->lock for writing. */
int quota_check(const struct ns *ns, struct usage more);
/* The same for who knows the result: may the namespace, which took `was`, take `result`? */
int quota_check_result(const struct ns *ns, struct usage was, struct usage result);
/* Says of that, as a sentence, which limit is in the way. Nothing where none is: then a disk had no
 * room. `name` is what people call the namespace. */
void quota_explain(const struct ns *ns, const char *name, struct usage result, struct strbuf *why);
/* How many bytes more the inode takes than it did; 0: not more. */
uint64_t quota_growth(const struct inode *was, const struct inode *in);
/* As quota_check, and keeps `bytes` for the caller until quota_settle. */
int quota_promise(struct ns *ns, uint64_t bytes);
void quota_settle(struct ns *ns, uint64_t bytes);

/* Reduces *s, which is that of the disk, to what the namespace of the node may still have: size and
 * number of inodes are the limits, and never more is available than the disk has. Where bytes are
 * what the limit lacks, s->full is -EDQUOT. Nothing if the namespace has no limit. The caller holds
 * no lock. */
void quota_space(struct state *p, uint64_t nodeid, struct disk_space *s);

/* Changes a limit, NS_LIMIT_BYTES or NS_LIMIT_INODES; 0 removes it. Less than what is used is
 * allowed. -EOPNOTSUPP: what the namespace takes was never counted (usage.h); errors of
 * ns_setting_set. The caller holds no lock. */
int quota_set(struct state *p, struct ns *ns, const char *which, uint64_t limit);
