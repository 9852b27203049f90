// SPDX-License-Identifier: Apache-2.0
/*
 * capture: what a change does, noted as operations while it does it, and appended to the log as one
 * frame before its locks go. Nobody else includes this but the files of core/project.
 *
 *     {
 *         CHANGE_GUARD(p);                 gate (read); operations are noted from here
 *         NS_GUARD(ns);
 *         tree_put, content_write ...      each tells capture_op what it did
 *         project_changed(p, ns);          one frame of all that was noted
 *     }                                    what a failed change left is a frame, too: memory is the
 *                                          truth, and the log must tell the same
 *
 * Frames are in the order of conflicting changes because they are appended under the locks that
 * keep those apart. A content cannot be sealed before the frame that makes it is in the log: else
 * the frame of somebody who names it as the equal of another content could come earlier.
 *
 * Sealing is not logged: until the commit that has it, log or slot have the bytes. So neither are
 * the aliases it makes, nor what it renames (tree_put_owned).
 *
 * Threads: a capture belongs to the thread that began it; one at a time.
 */
#pragma once

#include "frame.h"
#include "lock.h"
#include "tree.h"

struct content;
struct ns;
struct project;

#define CAPTURE_INLINE 1024 /* bytes of operations that need no memory */
#define CAPTURE_HELD 64     /* contents that may wait for one frame and need no memory */
#define CAPTURE_LENT 4      /* pieces of data in a frame that are not copied on their way to the log */

/* Data that comes behind the first `at` bytes of what is noted. */
struct capture_lent {
    size_t at, len;
    const void *data;
};

struct capture {
    struct project *p;
    bool instant;  /* the gate is held for writing */
    uint8_t *data; /* of `room` bytes; NULL: in `small` */
    bool borrowed; /* `data` is the memory of a change_room */
    size_t len, room;
    struct capture_lent lent[CAPTURE_LENT];
    size_t lent_count, lent_len;
    int error; /* an operation could not be noted */
    struct content **held; /* that wait for their frame; at first `few` */
    size_t held_count, held_room;
    struct content *few[CAPTURE_HELD];
    uint8_t small[CAPTURE_INLINE];
};

/* What is told of one tree: of namespace `ns`, or OP_NS_ORPHANS. */
struct capture_tap {
    struct tree_tap tap; /* first */
    uint32_t ns;
};
void capture_tap_init(struct capture_tap *t, uint32_t ns);

/* Take the gate, for reading or for writing, and begin noting; leave appends what is left. */
void change_enter(struct capture *c, struct project *p, bool instant);
void change_leave(struct capture *c);

/* Note one operation; its data is copied. Without a log nothing is noted. */
void capture_op(struct project *p, const struct op *op);
/* The same, but much data is not copied: it has to stay as it is until its frame is appended. */
void capture_op_lent(struct project *p, const struct op *op);
/* Append what was noted as one frame of `ns` (0: of the root). *ret_seq: the number of the last
 * change. The locks of the change are held. After a failure, which turns the store read-only, no
 * other frame is appended: the log is what was, up to some change. -EROFS, -EIO; -ENOMEM only of a
 * change that has neither room of its own nor few contents. */
int capture_emit(struct project *p, uint32_t ns, uint64_t *ret_seq);
/* Is anything noted that no frame has yet? */
bool capture_pending(void);
/* content_end has to wait for the frame: then it is called again. */
bool capture_defer_end(struct content *c);
/* Before ns->lock (write) goes: what a failed change left of its operations. */
void capture_rest(struct ns *ns);

/* The records of namespaces. */
void capture_ns_put(struct project *p, const struct ns *ns);
void capture_ns_branch(struct project *p, const struct ns *ns, const struct ns *from);

/* Room in the log for a change with so many bytes of data, and the memory to note it, kept until
 * the end of the block that has declared it with CHANGE_ROOM, or until change_room_done: where
 * memory is short the change has not begun. Before any lock, and one at a time. If there is none a
 * flush makes some. What is done to any number of items takes no more (items.c). -ENOSPC, -EDQUOT,
 * -EIO, -EROFS, -EFBIG, -ENOMEM. */
struct change_room {
    struct project *p; /* NULL: none */
    size_t bytes;
    uint8_t *memory; /* as many */
};
int change_room(struct project *p, size_t bytes, struct change_room *ret);
void change_room_done(struct change_room *r);
/* The least room, if it is there at once. */
bool change_room_now(struct project *p, struct change_room *ret);

/* For a thread that must not wait: see vfs_ahead. While it is ahead, flush_throttle and flush_room
 * let it go on, and its first change has the room that was taken here. */
bool change_ahead(struct project *p, size_t bytes);
void change_ahead_end(void);
bool change_is_ahead(void);
#define CHANGE_ROOM(name)                                                                          \
    struct change_room name __attribute__((cleanup(change_room_done))) = {.p = NULL}

static inline void change_cleanup(struct capture *c)
{
    change_leave(c);
}
void ns_guard_enter(struct ns *ns);
void ns_guard_leave(struct ns **ns);

/* For the rest of the enclosing block: a change among others; one that must be alone; the tree of a
 * namespace for writing. */
#define CHANGE_GUARD(p)                                                                            \
    struct capture LOCK_CAT(change_, __LINE__) __attribute__((cleanup(change_cleanup)));           \
    change_enter(&LOCK_CAT(change_, __LINE__), (p), false)
#define INSTANT_GUARD(p)                                                                           \
    struct capture LOCK_CAT(change_, __LINE__) __attribute__((cleanup(change_cleanup)));           \
    change_enter(&LOCK_CAT(change_, __LINE__), (p), true)
#define NS_GUARD(n)                                                                                \
    struct ns *LOCK_CAT(guard_, __LINE__) __attribute__((cleanup(ns_guard_leave), unused)) = (n);  \
    ns_guard_enter(LOCK_CAT(guard_, __LINE__))
