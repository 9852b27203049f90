// SPDX-License-Identifier: Apache-2.0
/*
 * capture: what a change does, noted in its txn as operations while it does it, and appended to the
 * log as one frame before its locks go. Nobody else includes this but the files of core.
 *
 * A content cannot be sealed before the frame that makes it is in the log: else the frame of
 * somebody who names it as the equal of another content could come earlier.
 *
 * Sealing is not logged: until the commit that has it, log or slot have the bytes. So neither are
 * the aliases it makes, nor what it renames (tree_put_owned).
 */
#pragma once

#include "frame.h"
#include "tree.h"

struct content;
struct ns;
struct state;
struct txn;

#define CAPTURE_INLINE 1024 /* bytes of operations that need no memory */
#define CAPTURE_HELD 64     /* contents that wait for one frame; of more, none is sealed until then */
#define CAPTURE_BORROWED                                                                           \
    4 /* pieces of data in a frame that are not copied on their way to the log */

/* Data that comes behind the first `at` bytes of what is noted. */
struct capture_borrowed {
    size_t at, len;
    const void *data;
};

/* What is told of one tree: of namespace `ns`, or OP_NS_ORPHANS. */
struct capture_observer {
    struct tree_observer observer; /* first */
    uint32_t ns;
    struct txn *txn; /* that has the tree locked for writing; NULL: none */
};
void capture_observer_init(struct capture_observer *t, uint32_t ns);

/* Note one operation; its data is copied. Without a log nothing is noted. */
void capture_op(struct txn *t, const struct op *op);
/* The same, but much data is not copied: it has to stay as it is until its frame is appended. */
void capture_op_borrowed(struct txn *t, const struct op *op);
/* Append what was noted as one frame of `ns` (0: of the root). *ret_seq: the number of the last
 * change. The locks of the change are held. After a failure, which turns the store read-only, no
 * other frame is appended: the log is what was, up to some change. -EROFS, -EIO; -ENOMEM only of a
 * change that has no room of its own. */
int capture_emit(struct txn *t, uint32_t ns, uint64_t *ret_seq);
/* content_end has to wait for the frame: then content_let_go follows that. False: it need not, or,
 * where too many wait, no content at all is sealed before that frame. */
bool capture_defer_end(struct txn *t, struct content *c);
/* Before ns->lock (write) goes: what a failed change left of its operations. */
void capture_rest(struct txn *t, struct ns *ns);

/* The records of namespaces. */
void capture_ns_put(struct txn *t, const struct ns *ns);
void capture_ns_branch(struct txn *t, const struct ns *ns, const struct ns *from);

/* Where there was no memory to note a change (ENOMEM), memory has it and the log has not: its
 * caller gets the error, and until a commit has it no other change is logged. Is there such a one?
 * */
bool capture_has_gap(struct state *p);
/* A commit has the first `gaps` of them. */
void capture_gaps_committed(struct state *p, uint64_t gaps);
