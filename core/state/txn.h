// SPDX-License-Identifier: Apache-2.0
/*
 * txn: one change of an open store, from the room for it in the log to its last frame.
 *
 *     TXN(t);
 *     int err = txn_begin(p, bytes, &t);   room in the log, and memory; then the freeze lock (read)
 *     if (err < 0)
 *         return err;                      nothing was changed
 *     NS_GUARD(&t, ns);
 *     tree_put, content_write(&t, ...)     each notes in the txn what it did
 *     state_changed(&t, ns);               one frame of all that was noted
 *                                          what a failed change left is a frame, too: memory is the
 *                                          truth, and the log must say the same
 *
 * A txn is handed to all that changes something. A tree finds the txn that has it locked for
 * writing in its observer (ns_lock, orphans_lock).
 *
 * Frames are in the order of conflicting changes because they are appended under the locks that
 * keep those apart.
 *
 * Threads: a txn belongs to the thread that began it; a thread has one at a time.
 */
#pragma once

#include "capture.h"
#include "lock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct content;
struct history_row;
struct remote_bytes;
struct ns;
struct orphans;
struct state;

/* Memory in which a change is noted. */
struct txn_memory {
    size_t size; /* of `bytes` */
    uint8_t bytes[];
};

/* Reserved room in the log, and memory to note the change that will use this room. */
struct txn_room {
    struct state *p; /* NULL: none */
    size_t bytes;
    struct txn_memory *memory; /* of `bytes` bytes or more */
};

struct txn {
    struct state *p;             /* NULL: not begun, or ended */
    struct ns *ns;               /* a referenced namespace that txn_end gives back, or NULL */
    struct remote_bytes *remote; /* remote bytes gathered for this change; NULL: none */
    bool alone;                  /* the freeze lock is held for writing */
    uint64_t request; /* the kernel's number of the request that this change serves; 0: none */
    struct txn_room reserved;
    size_t room_left; /* unused bytes of `reserved`; a frame that needs more is a program error */
    /* The operations that are noted and not yet in a frame (capture.c). */
    uint8_t *data; /* of `room` bytes; NULL: the operations are in `small` */
    bool borrowed; /* `data` is the reserved memory */
    size_t len, room;
    struct capture_borrowed pieces[CAPTURE_BORROWED];
    size_t borrowed_count, borrowed_len;
    int error;                   /* an operation could not be noted */
    struct history_row *history; /* the operation on namespaces that the next frame is, or NULL */
    struct content *held[CAPTURE_HELD]; /* contents that wait for their frame */
    size_t held_count;
    bool bars; /* more contents than `held` can take wait; this txn counts in contents.barred */
    uint8_t small[CAPTURE_INLINE];
};

/* Begin a change: reserve room in the log for `bytes` bytes of data, and memory to note it, both
 * until txn_end; then take the freeze lock for reading. After an error the change has not begun.
 * The caller holds no lock. If there is no room a flush makes some. A change of many items needs no
 * more room than one of a single item (items.c). -ENOSPC, -EDQUOT, -EIO, -EROFS, -EFBIG, -ENOMEM.
 * -EWOULDWAIT: there is no room now, or a commit has the freeze lock, and this thread must not wait
 * (nowait.h). */
int txn_begin(struct state *p, size_t bytes, struct txn *ret);
/* Like txn_begin, but takes the freeze lock for writing: no other change is in flight. */
int txn_begin_alone(struct state *p, size_t bytes, struct txn *ret);
/* Like txn_begin, with the least room, and as if this thread must not wait. */
int txn_begin_now(struct state *p, struct txn *ret);
/* Begin a change that needs no frame: no room is reserved. */
void txn_open(struct state *p, bool alone, struct txn *ret);
/* Append what is noted and not yet in a frame, and end the change. A txn that was not begun is
 * fine. */
void txn_end(struct txn *t);

/* The changes that this thread begins from now on serve this request of the kernel; 0: none, which
 * is the initial value. Frames record the number, so that a process that takes over the connection
 * knows which requests have begun: one may make several frames. */
void txn_set_request(uint64_t unique);
uint64_t txn_request(void);

/* Lock the tree of a namespace, or that of the orphans, for writing. Who locks the orphans changes
 * those of `of`, whose lock it holds for writing: of->unlinked follows. */
void ns_lock(struct txn *t, struct ns *ns);
void ns_unlock(struct ns *ns);
void orphans_lock(struct txn *t, struct ns *of);
void orphans_unlock(struct orphans *o);

/* For the rest of the enclosing block: a txn that ends with it, to be begun; one that is alone and
 * has no room; the tree of a namespace, with a frame of what is left; the tree of the orphans. */
#define TXN(name)                                                                                  \
    struct txn name __attribute__((cleanup(txn_end)));                                             \
    name.p = NULL
#define INSTANT_TXN(name, state)                                                                   \
    TXN(name);                                                                                     \
    txn_open((state), true, &name)
void ns_guard_leave(struct ns **ns);
#define NS_GUARD(txn, n)                                                                           \
    struct ns *LOCK_CAT(guard_, __LINE__) __attribute__((cleanup(ns_guard_leave), unused)) = (n);  \
    ns_lock((txn), LOCK_CAT(guard_, __LINE__))
void orphans_guard_leave(struct orphans **o);
#define ORPHANS_GUARD(ns)                                                                          \
    struct orphans *LOCK_CAT(guard_, __LINE__)                                                     \
        __attribute__((cleanup(orphans_guard_leave), unused)) = &(ns)->observer.txn->p->orphans;   \
    orphans_lock((ns)->observer.txn, (ns))
