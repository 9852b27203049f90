// SPDX-License-Identifier: Apache-2.0
/*
 * content: bytes that are not sealed yet (contents.c), the slots of those that outgrew memory
 * (slots.c), how they become objects (seal.c), and what a commit keeps of those that cannot
 * (held.c). Part of state.h.
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
 * What a content is, and who makes which move. content_set_state aborts at any other, in every
 * build. What is in a box a writer may change in place; that and SEALING is in the table.
 *
 *               ┌────────┐    2    ┌──────┐
 *     NEW ──1──>│ BUFFER ├────────>│ SLOT │<──1── NEW
 *               └──┬──^──┘         └──^───┘        a box ──5──> SEALING ──6──> the box it was in,
 *                 3│  │4             2│                           │            or SLOT
 *               ┌──v──┴──┐            │                           └─────7──> SEALED
 *               │  HELD  ├────────────┘            a box ──8──> CANCELLED
 *               └────────┘                         a box or SEALING ──9──> GONE
 *
 *     the move                              made by                      which holds, beside "contents"
 *     1  it is in the table                 content_new,                 freeze_lock (read);
 *                                           content_restore              at a start: nothing
 *     2  its bytes outgrow the buffer       content_make_slot            freeze_lock, "content"
 *     3  a commit will have its bytes       held_frozen; restore         "seal", freeze_lock (write); -
 *     4  they change                        who began a change of it     freeze_lock (read), "content"
 *     5  no writer may begin                mark                         "seal"
 *     6  it could not be sealed             unmark                       "seal"
 *     7  its number is that of an object    sealed                       "seal", freeze_lock
 *     8  its number is not needed           content_cancel               freeze_lock (read), "content"
 *     9  it is forgotten                    content_forget,              freeze_lock (read)
 *                                           replay, content_disown       at a start, or freeze_lock (write)
 *
 * `restore` is in held.c; `mark`, `unmark` and `sealed` are in seal.c. A content that SEALING finds
 * in a buffer may get a slot meanwhile (2). Who began a change keeps it from 5, and who holds
 * "seal" from 3.
 */
enum content_state {
    CONTENT_NEW,     /* one thread alone knows it */
    CONTENT_BUFFER,  /* its bytes are in memory */
    CONTENT_HELD,    /* likewise; a commit has these very ones, or will have them (held.h) */
    CONTENT_SLOT,    /* they are in its slot */
    CONTENT_SEALING, /* in either place; nobody changes them */
    CONTENT_SEALED,
    CONTENT_CANCELLED, /* nobody asks for its bytes any more */
    CONTENT_GONE,      /* its number was collected; a commit may still name its slot */
};

struct content {
    uint64_t number;
    uint64_t owner;     /* nodeid that wrote it first: a hint for sealing */
    uint64_t owner_off; /* of the grain in that file, or one of the three below */
    _Atomic uint32_t refs;
    struct mutex io;                                 /* "content" */
    uint8_t *data GUARDED_BY(content);               /* up to CONTENT_BUFFER_MAX bytes, or NULL */
    size_t len GUARDED_BY(content);                  /* of data */
    size_t room GUARDED_BY(content);                 /* of data */
    struct slot *slot GUARDED_BY(content, contents); /* NULL: it is a buffer */
    /* Who began a change, or holds the freeze lock for writing, reads it without the lock. */
    enum content_state state GUARDED_BY(contents);
    unsigned changing GUARDED_BY(contents); /* changes in flight */
    int64_t changed GUARDED_BY(contents);   /* when the last one ended, monotonic ns */
    int seal_error GUARDED_BY(contents);    /* of the last attempt to seal it, or 0 */
    int64_t tried GUARDED_BY(contents);     /* when that was, monotonic ns */
    struct content *next GUARDED_BY(contents);
};

/* Where the bytes of a content are that outgrew its buffer, and what is durable of them (slots.c).
 * It is dirty while it has bytes that neither a sync nor a frame has. */
struct slot {
    struct blob *blob;                      /* fixed */
    struct mutex sync;                      /* "content sync" */
    bool told GUARDED_BY(content);          /* a frame or a commit calls it a slot */
    uint64_t behind GUARDED_BY(content);    /* bytes that write-behind has taken */
    _Atomic uint32_t log_left;              /* bytes of small writes that frames may carry */
    bool named GUARDED_BY(contents);        /* a frame or a freeze names it: a commit lets it go */
    uint64_t recorded GUARDED_BY(contents); /* bytes that these name: never cut off */
    uint64_t changes GUARDED_BY(contents);  /* number of the last one of its bytes */
    uint64_t synced GUARDED_BY(contents);   /* of these, the last one that a sync has, with sums */
    uint64_t dirty_at GUARDED_BY(contents); /* number of its insertion; 0: it is not dirty */
    TAILQ_ENTRY(content) dirty_next GUARDED_BY(contents);
    uint64_t gone_at GUARDED_BY(contents); /* freezes before its content left the table */
};

#define CONTENT_BUFFER_MAX EXTENT_GRAIN
#define CONTENT_WHOLE UINT64_MAX          /* all of the file */
#define CONTENT_XATTR (UINT64_C(1) << 63) /* | rest of the key: an extended attribute */
#define CONTENT_PATCH UINT64_C(1)         /* | offset: a patch; else of a grain */
#define CONTENT_BUCKETS 16384
TAILQ_HEAD(content_list, content);
struct content_table {
    struct mutex lock; /* "contents" */
    struct content *bucket[CONTENT_BUCKETS] GUARDED_BY(contents);
    _Atomic size_t count;    /* changed under the lock */
    _Atomic size_t buffered; /* bytes of all buffers */
    _Atomic size_t slots;    /* contents that have one: an open file each */
    _Atomic size_t stuck;    /* contents with a slot that could not be sealed */
    _Atomic unsigned barred; /* changes before whose frame nothing is sealed (capture.h) */
    _Atomic bool behind;     /* a worker begins to write a slot back */
    _Atomic bool slot_names; /* slots were made since their directory was last synced */
    struct content_list dirty GUARDED_BY(contents); /* whose slot is; it has a reference of each */
    uint64_t dirtied GUARDED_BY(contents);          /* insertions into it */
    uint64_t freezes GUARDED_BY(contents);
    struct map64
        held GUARDED_BY(freeze); /* for writing; numbers that may have a row (held.h) */
    _Atomic size_t held_room;        /* bytes of buffers that the last freeze could only keep so */
    bool held_told
        GUARDED_BY(freeze); /* for writing; it was reported that there are too many */
    struct map64 unwritten GUARDED_BY(contents); /* slots that lack what the log has: not opened */
};

/* Make a move of the drawing above, or abort. Needs contents. */
void content_set_state(struct state *p, struct content *c, enum content_state to);
/* In the table, and a writer may begin; in the table. Need contents. */
static inline bool content_is_open(const struct content *c)
{
    return c->state >= CONTENT_BUFFER && c->state <= CONTENT_SLOT;
}
static inline bool content_is_listed(const struct content *c)
{
    return content_is_open(c) || c->state == CONTENT_SEALING;
}

/* A new unsealed content, begun, with an object number of count 0: name it in an item, or cancel
 * it instead of content_end. */
int content_new(struct txn *t, uint64_t owner, uint64_t owner_off, struct content **ret_c);
/* The new content is not needed. One that an item names already stays. Gives back the caller's
 * reference. */
void content_cancel(struct txn *t, struct content *c);
struct content *content_find(struct state *p, uint64_t number); /* referenced, or NULL */
void content_unref(struct content *c);
/* May this content's bytes be changed in place, and those past `valid` be cut off? Then it stays
 * changeable until content_end. */
bool content_begin(struct state *p, struct content *c, uint64_t valid);
void content_end(struct txn *t, struct content *c);
/* content_end of what no frame is to come of: at once. */
void content_let_go(struct state *p, struct content *c);
/* Between begin and end. Grows; spills to a slot above `pack_limit`. Small writes to a slot that is
 * synced again and again are in their frame, too: then the sync of the log is enough. */
int content_write(struct txn *t, struct content *c, const void *buf, size_t len, uint64_t off);
/* The same with bytes that stay as they are until the change is in the log. */
int content_write_borrowed(struct txn *t, struct content *c, const void *buf, size_t len,
                           uint64_t off);
int content_truncate(struct txn *t, struct content *c, uint64_t len);
/* The bytes of a content that is being sealed, so that nobody may change it, go from its buffer to
 * a slot. The freeze lock is held. */
int content_spill(struct state *p, struct content *c);
uint64_t content_length(struct content *c);
/* What reading needs, and what it says beside the bytes. */
struct reader {
    struct remote_bytes *remote; /* what is gathered of other shards; NULL: nothing */
    uint16_t unreachable; /* of the last read that said -EHOSTUNREACH: the shard */
    uint64_t absent; /* of the last that said -ENOENT: the number, without bytes; 0: none did */
};
/* Bytes of any number, sealed or not; short at the end of the content. */
ssize_t content_read(struct state *p, uint64_t number, void *buf, size_t len, uint64_t off,
                     struct reader *r);
/* Its number was collected: forget the bytes. */
void content_forget(struct state *p, uint64_t number);
/* As it was before a start: a content that may be sealed any time, with the slot that it takes, or
 * (NULL) a buffer; its bytes, however many there may be in a buffer by now. -ENOMEM (the slot is
 * released); -ENOENT, -EUCLEAN. */
int content_restore(struct state *p, uint64_t number, uint64_t owner, uint64_t owner_off,
                    struct slot *slot);
int content_restore_bytes(struct state *p, uint64_t number, const void *buf, size_t len,
                          uint64_t off);
int content_restore_length(struct state *p, uint64_t number, uint64_t len);
/* The slot of that number, of whose row nothing was known for a while, is a content again unless it
 * is one. */
int content_adopt_slot(struct state *p, uint64_t number, uint64_t size);
/* Nobody has seen the content that content_adopt_slot or held_adopt made: it is none again. */
void content_disown(struct state *p, uint64_t number);
void contents_release(struct state *p);
/* Fill `out` with the contents that `want` says true of, referenced; returns how many. */
size_t contents_pick(struct state *p, bool (*want)(struct state *, struct content *, void *),
                     void *ctx, struct content **out, size_t max);
/* Out of the table, where it still is in it, and what it is then. */
void content_unlist(struct state *p, struct content *c, enum content_state to);

/* ---- slots (slots.c) ---- */

/* Slots that a frozen state names, referenced. */
struct slot_list {
    struct content **v;
    size_t count;
    uint64_t freeze; /* counted from 1 */
};
#define SLOT_LOGGED_WRITE (64u * 1024) /* bytes; larger writes to a slot are not in their frame, */
#define SLOT_LOGGED_MAX (1024u * 1024) /* and no more than this since the slot was last synced */
/* From the buffer to a slot. Its io held. -ENOMEM, and what the disk says: it is as it was. */
int content_make_slot(struct state *p, struct content *c);
void slot_free(struct slot *s); /* NULL is fine */
/* May the frame have these bytes of its slot, so that only the log need be synced? Its io held. */
bool slot_takes_credit(struct slot *s, size_t len, uint64_t off);
/* Its slot has new bytes, which their frame has, or (`logged` false) says to be there. Its io held.
 * */
void content_slot_changed(struct txn *t, struct content *c, bool logged);
/* A large one that goes on growing is written back while it is written, by a worker: who then waits
 * for it to be durable waits for less. Bytes up to `end` are there; its io held. */
void content_write_behind(struct state *p, struct content *c, uint64_t end);
/* Its bytes are durable, or nobody will ever ask for them. Needs contents; the caller has a
 * reference. */
void content_slot_clean(struct state *p, struct content *c);
/* Everything that a frame of before the call says of slots is durable afterwards. Holding nothing.
 * A failure that leaves unknown what is on disk turns the store read-only. */
int slots_sync_logged(struct state *p);
/* The commit says how long each slot is. Gate held for writing. */
int slots_record(struct state *p, struct slot_list *ret);
/* Those that it names, also those that were sealed since: the commit calls them slots all the
 * same. */
int slots_sync_recorded(struct state *p, const struct slot_list *l);
/* The commit is there: what was deleted before it need not be synced for any frame. */
void slots_committed(struct state *p, const struct slot_list *l);
void slot_list_release(struct slot_list *l);

/* ---- sealing (seal.c) ---- */

enum seal_what {
    SEAL_NEW,     /* buffers that were not tried since they changed */
    SEAL_BUFFERS, /* all buffers */
    SEAL_READY,   /* and slots closed since seal_delay */
    SEAL_CLOSED,  /* and all closed slots */
};
/* One pass over what is unsealed, on the workers; of a view that began at `since` (monotonic ns,
 * -1: it is none) until view_wait is over, and it does not wait longer for who is at it,
 * either. *ret_left: contents of that kind still unsealed. Takes the freeze lock (read) per
 * content. What goes wrong with one content does not fail the pass, unless the disk is full: it
 * stays a slot, which a commit can name, or a buffer, which it can keep (held.h). */
int seal_pass(struct state *p, enum seal_what what, int64_t since, size_t *ret_left);
/* The few buffers that are left, with the freeze lock held for writing, but those that were tried.
 * */
int seal_rest(struct state *p);
/* How many contents wait that a view should show. */
size_t seal_waiting(struct state *p);
/* Seal what was closed before, as views do first: at most a pass of it. Returns how many contents
 * are unsealed still. Hold no lock. */
size_t seal_settle(struct state *p);
