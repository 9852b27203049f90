// SPDX-License-Identifier: Apache-2.0
/*
 * content: bytes that are not sealed yet (contents.c), the slots of those that outgrew memory
 * (slots.c), how they become objects (seal.c), and what a commit keeps of those that cannot be
 * sealed (held.c). Part of state.h.
 */
#pragma once

#include "blob.h"
#include "held.h"
#include "lock.h"
#include "map64.h"
#include <stdatomic.h>
#include <sys/queue.h>

struct remote_bytes;
struct state;
struct txn;

/*
 * The states of a content, and the function that makes each move. content_set_state aborts at any
 * other move, in every build. A writer may change a content in place while its state is in a box. A
 * content in a box or SEALING is in the table.
 *
 *               ┌────────┐    2    ┌──────┐
 *     NEW ──1──>│ BUFFER ├────────>│ SLOT │<──1── NEW
 *               └──┬──^──┘         └──^───┘        a box ──5──> SEALING ──6──> the box it was in,
 *                 3│  │4             2│                           │            or SLOT
 *               ┌──v──┴──┐            │                           └─────7──> SEALED
 *               │  HELD  ├────────────┘            a box ──8──> CANCELLED
 *               └────────┘                         a box or SEALING ──9──> GONE
 *
 *     the move                            made by                    which holds, beside "contents"
 *     1  it is in the table               content_new,               freeze_lock (read);
 *                                         content_restore            at a start: nothing
 *     2  its bytes outgrow the buffer     content_make_slot          freeze_lock, "content"
 *     3  a commit will have its bytes     held_frozen; restore       "seal", freeze_lock (write); -
 *     4  they change                      who began a change of it   freeze_lock (read), "content"
 *     5  no writer may begin              mark                       "seal"
 *     6  it could not be sealed           unmark                     "seal"
 *     7  its number is that of an object  sealed                     "seal", freeze_lock
 *     8  its number is not needed         content_cancel             freeze_lock (read), "content"
 *     9  it is forgotten                  content_forget,            freeze_lock (read)
 *                                         replay, content_disown     a start; freeze_lock (write)
 *
 * `restore` is in held.c; `mark`, `unmark` and `sealed` are in seal.c. A content that is SEALING
 * from a buffer may get a slot meanwhile (2). A thread that has begun a change excludes move 5, and
 * a thread that holds "seal" excludes move 3.
 */
enum content_state {
    CONTENT_NEW,     /* only one thread knows it */
    CONTENT_BUFFER,  /* its bytes are in memory */
    CONTENT_HELD,    /* likewise; a commit has exactly these bytes, or will have them (held.h) */
    CONTENT_SLOT,    /* its bytes are in its slot */
    CONTENT_SEALING, /* its bytes are in memory or in the slot, and do not change */
    CONTENT_SEALED,
    CONTENT_CANCELLED, /* its bytes are not needed any more */
    CONTENT_GONE,      /* its number was collected; a commit may still name its slot */
};

struct content {
    uint64_t number;
    uint64_t owner;     /* nodeid of the file that wrote it first: a hint for sealing */
    uint64_t owner_off; /* offset of the block in that file, or one of the three below */
    _Atomic uint32_t refs;
    struct mutex io;                                 /* "content" */
    uint8_t *data GUARDED_BY(content);               /* up to CONTENT_BUFFER_MAX bytes, or NULL */
    size_t len GUARDED_BY(content);                  /* bytes of `data` that are used */
    size_t room GUARDED_BY(content);                 /* bytes that `data` has room for */
    struct slot *slot GUARDED_BY(content, contents); /* NULL: it is a buffer */
    /* A thread that has begun a change, or holds the freeze lock for writing, reads it without the
     * lock. */
    enum content_state state GUARDED_BY(contents);
    unsigned changing GUARDED_BY(contents); /* changes in flight */
    int64_t changed GUARDED_BY(contents);   /* when the last of them ended, monotonic ns */
    int seal_error GUARDED_BY(contents);    /* -errno of the last attempt to seal it, or 0 */
    int64_t tried GUARDED_BY(contents);     /* when that was, monotonic ns */
    struct content *next GUARDED_BY(contents);
};

/* The slot of a content that outgrew its buffer: where its bytes are, and what is durable of them
 * (slots.c). A slot is dirty while it has bytes that neither a sync nor a frame has. */
struct slot {
    struct blob *blob;                      /* fixed */
    struct mutex sync;                      /* "content sync" */
    bool told GUARDED_BY(content);          /* a frame or a commit calls the content a slot */
    uint64_t behind GUARDED_BY(content);    /* bytes that write-behind has been given */
    _Atomic uint32_t log_left;              /* bytes of small writes that frames may still carry */
    /* a frame or a freeze names it; then a commit lets its name go */
    bool named GUARDED_BY(contents);
    uint64_t recorded GUARDED_BY(contents); /* bytes that these name: they are never cut off */
    uint64_t changes GUARDED_BY(contents);  /* number of the last change of its bytes */
    uint64_t synced GUARDED_BY(contents);   /* the last change that a sync has, with sums */
    /* number of its insertion into the dirty list; 0: it is not dirty */
    uint64_t dirty_at GUARDED_BY(contents);
    /* in the dirty list, or in the list of the thread that has taken it out of there */
    TAILQ_ENTRY(content) dirty_next GUARDED_BY(contents);
    uint64_t gone_at GUARDED_BY(contents); /* freezes before its content left the table */
};

#define CONTENT_BUFFER_MAX EXTENT_BLOCK
#define CONTENT_WHOLE UINT64_MAX /* the content is the whole file */
/* | rest of the key: the content is an extended attribute */
#define CONTENT_XATTR (UINT64_C(1) << 63)
/* | offset: the content is a subblock extent; otherwise it is a block */
#define CONTENT_SUBBLOCK UINT64_C(1)
#define CONTENT_BUCKETS 16384
TAILQ_HEAD(content_list, content);
struct content_table {
    struct mutex lock; /* "contents" */
    struct content *bucket[CONTENT_BUCKETS] GUARDED_BY(contents);
    _Atomic size_t count;    /* changed under the lock */
    _Atomic size_t buffered; /* bytes of all buffers */
    _Atomic size_t slots;    /* contents that have a slot: each is an open file */
    _Atomic size_t stuck;    /* contents with a slot that could not be sealed */
    /* changes whose frame must come before anything is sealed (capture.h) */
    _Atomic unsigned barred;
    _Atomic bool behind;     /* a worker writes a slot back */
    _Atomic bool slot_names; /* slots were made since their directory was synced last */
    /* contents whose slot is dirty; the list has a reference on each */
    struct content_list dirty GUARDED_BY(contents);
    uint64_t dirtied GUARDED_BY(contents); /* insertions into that list */
    uint64_t freezes GUARDED_BY(contents);
    struct map64
        held GUARDED_BY(freeze); /* for writing; numbers that may have a row (held.h) */
    /* bytes of buffers that the last freeze could keep only in this way */
    _Atomic size_t held_room;
    bool held_told
        GUARDED_BY(freeze); /* for writing; it was reported that there are too many */
    /* slots that are not opened because they lack what the log has */
    struct map64 unwritten GUARDED_BY(contents);
};

/* Makes a move of the drawing above, or aborts. The caller holds "contents". */
void content_set_state(struct state *p, struct content *c, enum content_state to);
/* content_is_open: it is in the table, and a writer may begin. content_is_listed: it is in the
 * table. The caller holds "contents", or as at `state`. */
static inline bool content_is_open(const struct content *c)
{
    return c->state >= CONTENT_BUFFER && c->state <= CONTENT_SLOT;
}
static inline bool content_is_listed(const struct content *c)
{
    return content_is_open(c) || c->state == CONTENT_SEALING;
}

/* Makes a new unsealed content that has begun a change, with an object number of count 0. The
 * caller names it in an item and calls content_end, or calls content_cancel instead. The caller has
 * a reference. -ENOMEM; errors of refs_new. */
int content_new(struct txn *t, uint64_t owner, uint64_t owner_off, struct content **ret_c);
/* Cancels a new content that is not needed, unless an item names it already. It takes over the
 * caller's reference, and ends the change. */
void content_cancel(struct txn *t, struct content *c);
struct content *content_find(struct state *p, uint64_t number); /* with a reference; NULL: none */
void content_unref(struct content *c);
/* Begins a change of the content, if its bytes may be changed in place and those past `valid` be
 * cut off. True: it stays changeable until content_end. False: the caller makes a new content. */
bool content_begin(struct state *p, struct content *c, uint64_t valid);
void content_end(struct txn *t, struct content *c);
/* content_end at once, for a change that needs no frame. */
void content_let_go(struct state *p, struct content *c);
/* Writes bytes, between content_begin and content_end; the content grows as needed. Above
 * `pack_limit` it becomes a slot. If a slot is synced again and again, its small writes are in
 * their frames, too: then the next fsync needs only a sync of the log. */
int content_write(struct txn *t, struct content *c, const void *buf, size_t len, uint64_t off);
/* The same with bytes that the caller keeps unchanged until the change is in the log. */
int content_write_borrowed(struct txn *t, struct content *c, const void *buf, size_t len,
                           uint64_t off);
int content_truncate(struct txn *t, struct content *c, uint64_t len);
/* Moves the bytes of a content that is SEALING from its buffer to a slot. The caller holds the
 * freeze lock. */
int content_spill(struct state *p, struct content *c);
uint64_t content_length(struct content *c);
/* What reading needs, and what it reports beside the bytes. */
struct reader {
    struct remote_bytes *remote; /* bytes of other shards: gathered, and kept here. NULL: none */
    bool near;            /* no shard is asked for others: they are -EAGAIN */
    uint16_t unreachable; /* after -EHOSTUNREACH: the shard of the last read */
    uint64_t absent;      /* after -ENOENT: the number without bytes; 0: no read returned that */
};
/* Reads bytes of any number, sealed or not. Returns how many, fewer at the end of the content; or
 * -errno: -EUCLEAN: damaged; -EHOSTUNREACH, -ENOENT, -ENOMEM; -EAGAIN (see `near`); -EWOULDWAIT
 * (nowait.h). */
ssize_t content_read(struct state *p, uint64_t number, void *buf, size_t len, uint64_t off,
                     struct reader *r);
/* Forgets the bytes of a number that was collected. */
void content_forget(struct state *p, uint64_t number);
/* For a start: the content as it was before. It may be sealed at any time. `slot` is taken over;
 * NULL: the content is a buffer, whose bytes and length the other two set. A buffer may have more
 * bytes here than `pack_limit` allows by now. -ENOMEM (the slot is released); -ENOENT: there is no
 * such content; -EUCLEAN: it cannot have so many bytes. */
int content_restore(struct state *p, uint64_t number, uint64_t owner, uint64_t owner_off,
                    struct slot *slot);
int content_restore_bytes(struct state *p, uint64_t number, const void *buf, size_t len,
                          uint64_t off);
int content_restore_length(struct state *p, uint64_t number, uint64_t len);
/* Makes a content of the slot of that number again, whose row was lost for a while. Nothing happens
 * if there is a content of that number. */
int content_adopt_slot(struct state *p, uint64_t number, uint64_t size);
/* Undoes content_adopt_slot or held_adopt, before anybody has seen the content. */
void content_disown(struct state *p, uint64_t number);
void contents_release(struct state *p);
/* Fills `out` with up to `max` contents for which `want` is true, each with a reference; returns
 * how many. `want` is called with "contents" held. */
typedef bool content_want_fn(struct state *p, struct content *c, void *ctx);
size_t contents_pick(struct state *p, content_want_fn *want, void *ctx, struct content **out,
                     size_t max);
/* The same from *at on, which is 0 at first: the next call goes on there. *at is CONTENT_BUCKETS
 * behind the last content. */
size_t contents_pick_next(struct state *p, content_want_fn *want, void *ctx, struct content **out,
                          size_t max, size_t *at);
/* Removes a content from the table, and makes its state `to`. Nothing happens if it is not in the
 * table. */
void content_unlist(struct state *p, struct content *c, enum content_state to);

/* ---- slots (slots.c) ---- */

/* The slots that a frozen state names, each with a reference. */
struct slot_list {
    struct content **v;
    size_t count;
    uint64_t freeze; /* number of the freeze, from 1 */
};
#define SLOT_LOGGED_WRITE (64u * 1024) /* bytes; larger writes to a slot are not in their frame */
/* bytes of small writes in frames since the slot was last synced, at most */
#define SLOT_LOGGED_MAX (1024u * 1024)
/* Moves the bytes of a content from its buffer to a new slot. The caller holds its io. After an
 * error (-ENOMEM, or of the disk) it is unchanged. */
int content_make_slot(struct state *p, struct content *c);
void slot_free(struct slot *s); /* NULL is fine */
/* May the frame carry these bytes of a slot, so that only the log must be synced? The caller holds
 * its io. */
bool slot_takes_credit(struct slot *s, size_t len, uint64_t off);
/* Notes that a slot has new bytes. `logged`: their frame has them; otherwise the frame only says
 * that they exist. The caller holds its io. */
void content_slot_changed(struct txn *t, struct content *c, bool logged);
/* Lets a worker write a large slot back while it still grows, so that a later sync has less to do.
 * Bytes up to `end` exist. The caller holds its io. */
void content_write_behind(struct state *p, struct content *c, uint64_t end);
/* Takes a slot out of the dirty list: its bytes are durable, or are never needed again. The caller
 * holds "contents" and has a reference. */
void content_slot_clean(struct state *p, struct content *c);
/* Makes durable all that frames from before the call say of slots. A failure after which it is not
 * known what is on the disk turns the store read-only. The caller holds no lock. */
int slots_sync_logged(struct state *p);
/* Records in the entries how long each slot is, for the commit. The caller holds the freeze lock
 * for writing. */
int slots_record(struct state *p, struct slot_list *ret);
/* Syncs the recorded slots, also those that were sealed since: the commit still calls them
 * slots. */
int slots_sync_recorded(struct state *p, const struct slot_list *l);
/* The commit exists: contents that were deleted before it need not be synced for any frame. */
void slots_committed(struct state *p, const struct slot_list *l);
void slot_list_release(struct slot_list *l);

/* ---- sealing (seal.c) ---- */

enum seal_what {
    SEAL_NEW,     /* buffers that were not tried since they changed */
    SEAL_BUFFERS, /* all buffers */
    SEAL_READY,   /* also slots that were closed seal_delay ago */
    SEAL_CLOSED,  /* also all other closed slots */
};
/* One pass that seals, on the workers, what `what` says. It leaves what is changed after it began.
 * `since` >= 0 (monotonic ns) is the beginning of a view: then the pass ends when view_wait is
 * over, and does not wait longer for another pass either. Takes the freeze lock for reading, for
 * each content. A failure of one content does not fail the pass, unless the store's own disk is
 * full. That content stays a slot, which a commit can name, or a buffer, which a commit can keep
 * (held.h). */
int seal_pass(struct state *p, enum seal_what what, int64_t since);
/* Seals those of these contents that are not sealed. The caller holds a frozen tree that names them
 * (branch/ns_point.h), so no writer changes them, whether their files are open or not. It holds no
 * lock. -EAGAIN: some equal an object that no commit has yet (refs_is_aside), and a later call may
 * seal them; else the error of one that cannot be sealed. */
int seal_fixed(struct state *p, const uint64_t *numbers, size_t count);
/* One more pass of SEAL_NEW, by a caller that holds "seal" until the freeze. */
int seal_again(struct state *p);
/* Seals the few buffers that are left, except for those that were tried. The caller holds "seal",
 * and the freeze lock for writing. */
int seal_rest(struct state *p);
/* How many contents are unsealed that a view should show. */
size_t seal_waiting(struct state *p);
/* Has all that was closed before sealed by a pass in another thread, and waits for that as long as
 * view_wait allows, even if the disk never answers. In a store without threads, and where no thread
 * can be made, the pass is made here, and such a disk holds the caller. The caller holds no
 * lock. */
void seal_for_view(struct state *p);
/* seal_for_view, if there is something to be sealed. Returns how many contents are still unsealed.
 * The caller holds no lock. */
size_t seal_settle(struct state *p);
