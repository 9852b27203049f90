// SPDX-License-Identifier: Apache-2.0
/*
 * ns_draft: a namespace that is made aside, and then seen whole or not at all.
 *
 *     ns_draft(p, name, &ns);              hidden and empty; nobody else changes its tree
 *     …                                    its tree is changed, which no frame of the log has
 *     ns_draft_publish(p, ns, name, &seq); a commit, and then one small frame: it has its name
 *     ns_put(p, ns);
 *
 * or ns_draft_drop instead of the last two. A commit in between has the draft as it is then, as a
 * hidden namespace: so what it names is counted, and a start that finds a draft drops it. What is
 * stored for its tree has numbers that no frame makes (refs_new_aside): nothing that is logged may
 * name these before a commit.
 *
 * Threads: any; the caller holds no lock. Errors: 0 or -errno: what txn_begin and flush_now return.
 */
#pragma once

#include "state.h"

/* so many drafts there can be at a time */
#define NS_DRAFTS_MAX 32

/* Makes a draft. `name` is for people who look at what is hidden. *ret_ns has a reference.
 * -ENAMETOOLONG, -EINVAL: that cannot be the name of a namespace; -EMFILE; -EBUSY: there are
 * NS_DRAFTS_MAX. */
int ns_draft(struct state *p, const char *name, struct ns **ret_ns);
/* The same, however many there are: for one who makes several as one step. */
int ns_draft_empty(struct state *p, const char *name, struct ns **ret_ns);
/* Makes a draft that begins with the tree of `of`, as ns_draft_of, and is changed as one of
 * ns_draft. ns_draft_take may give it to a namespace. */
int ns_draft_from(struct state *p, struct ns *of, struct ns **ret_ns);
/* A draft of ns_draft_from is no branch any more, and can be changed once it is seen: so it can be
 * published as a namespace of its own. */
int ns_draft_detach(struct state *p, struct ns *draft);
/* How many drafts there are, of whatever. */
size_t ns_count_drafts(struct state *p);
/* Makes the draft durable, and shows it in the root under that name. From now on it is as any
 * namespace. *ret_seq: the number of the change that made it so. After an error it is a draft as
 * before. -EEXIST; -ENAMETOOLONG, -EINVAL. The caller's thread may wait. */
int ns_draft_publish(struct state *p, struct ns *draft, const char *name, uint64_t *ret_seq);
/* `ns` gets the tree of the draft, which a commit has as it is, instead of its own; with all that
 * the txn has noted that is one frame. The change is alone, and has the lock of `ns`. The draft
 * stays, and is to be dropped. -ENOMEM, -EIO: nothing was changed. */
int ns_draft_take(struct txn *t, struct ns *ns, const struct ns *draft);
/* Drops it, and gives the reference back. If that fails it is reported, and the next start drops
 * it. */
void ns_draft_drop(struct state *p, struct ns *draft);
