// SPDX-License-Identifier: Apache-2.0
/*
 * capture: what a change does, noted in its txn as operations while it does it, and appended to the
 * log as one frame before its locks go. Only files of core include this.
 *
 * A content cannot be sealed before the frame that makes it is in the log: else another
 * change could name it as the equal of another content, in a frame that comes earlier.
 *
 * Sealing is not logged: until a commit has the sealed content, its bytes are in the log or in a
 * slot. So the aliases that sealing makes are not logged either, nor the entries that it renames
 * (tree_put_owned).
 */
#pragma once

#include "frame.h"
#include "tree.h"

struct content;
struct history_entry;
struct ns;
struct state;
struct txn;

#define CAPTURE_INLINE 1024 /* bytes of operations that need no memory */
/* contents that wait for one frame; if more wait, none is sealed before it */
#define CAPTURE_HELD 64
#define CAPTURE_BORROWED                                                                           \
    4 /* pieces of data in a frame that are not copied on their way to the log */

/* Borrowed data, to be inserted into the frame after the first `at` bytes of what is noted. */
struct capture_borrowed {
    size_t at, len;
    const void *data;
};

/* The observer of one tree: of namespace `ns`, or of the orphans (OP_NS_ORPHANS). */
struct capture_observer {
    struct tree_observer observer; /* first */
    uint32_t ns;
    struct txn *txn; /* the txn that has the tree locked for writing, or NULL */
};
void capture_observer_init(struct capture_observer *t, uint32_t ns);

/* Note one operation; its data is copied. Without a log nothing is noted. */
void capture_op(struct txn *t, const struct op *op);
/* Like capture_op, but large data is not copied: the caller must keep it unchanged until its frame
 * is appended. */
void capture_op_borrowed(struct txn *t, const struct op *op);
/* Append what was noted as one frame of `ns` (0: of the root). *ret_seq: the number of the last
 * change. The locks of the change are held. After a failure, which turns the store read-only, no
 * other frame is appended: so the log has all changes up to some change, and none behind it.
 * -EROFS, -EIO; any other error is one of the program, since a txn has reserved room and memory. */
int capture_emit(struct txn *t, uint32_t ns, uint64_t *ret_seq);
/* Forget what a change has noted and taken back. No content of it waits for its frame. */
void capture_forget(struct txn *t);
/* Make content_end wait for the frame of this change: content_let_go is called after that frame.
 * False: it need not wait; or too many contents wait already, and no content at all is sealed
 * before that frame. */
bool capture_defer_end(struct txn *t, struct content *c);
/* Append the operations that a failed change has noted. Called before ns->lock (write) is
 * released. */
void capture_rest(struct txn *t, struct ns *ns);

/* The frame that state_changed makes next is that operation on namespaces: its kind, and what it is
 * about. Who asks for it and when is added (history_by.h). If there is no such frame the operation
 * is forgotten. -ENOMEM */
int capture_history(struct txn *t, const struct history_entry *e);
/* It is none. */
void capture_no_history(struct txn *t);
/* Notes that operation for the frame (change.c). */
void capture_note_history(struct txn *t);

/* Note the record of a namespace; or that `ns` was branched from `from`. */
void capture_ns_put(struct txn *t, const struct ns *ns);
void capture_ns_branch(struct txn *t, const struct ns *ns, const struct ns *from);
