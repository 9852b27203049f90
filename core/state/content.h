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

struct far;
struct state;
struct txn;

struct content {
    uint64_t number;
    _Atomic uint32_t refs;
    struct mutex sync;  /* "content sync": one who hashes, syncs or seals its slot at a time */
    struct mutex io;    /* "content": one change of bytes or sync at a time */
    uint8_t *data;      /* up to CONTENT_BUFFER_MAX bytes, or NULL */
    size_t len, room;   /* of data */
    struct blob *blob;  /* io, contents; the slot, once the bytes outgrew the buffer */
    bool cancelled;     /* io; its slot is deleted */
    /* A commit has, or will have, these very bytes (held.h). Set and read with the gate held for
     * writing; cleared under io, with the gate held for reading. */
    bool kept;
    bool named;         /* gate; a frame or a freeze names its slot: only a commit may let it go */
    uint64_t recorded;  /* gate; bytes of the slot that frames or freezes name: never cut off */
    uint64_t owner;     /* nodeid that wrote it first: a hint for sealing */
    uint64_t owner_off; /* of the grain in that file, or one of the three below */
    unsigned changing;  /* contents; changes in flight */
    bool sealing;       /* contents; bytes must not change any more */
    bool listed;        /* contents; in the table */
    /* contents; numbers of changes of its slot (slots.c): of the last one; of the last one whose
     * bytes are in no frame; up to which a sync has the bytes; up to which a sync has the bytes and
     * their sums */
    uint64_t slot_changes, slot_unlogged, slot_durable, slot_synced;
    TAILQ_ENTRY(content) dirty_next;
    bool dirty;                /* contents; in the table's list `dirty`, which has a reference */
    uint64_t dirty_at;         /* contents; number of its insertion into that list */
    uint64_t behind;           /* io; bytes that write-behind has taken */
    bool slot_told;            /* io; a frame or a commit calls it a slot */
    uint64_t gone_at;          /* contents; freezes before it left the table */
    _Atomic uint32_t log_left; /* bytes of small writes that frames may carry for its slot */
    int seal_error;            /* contents; of the last attempt to seal it, or 0 */
    bool stuck;                /* contents; counted among those that cannot be sealed (stuck.h) */
    int64_t tried;             /* contents; when it was last tried to be sealed, monotonic ns */
    int64_t changed;           /* contents; monotonic ns of the last change */
    struct content *next;
};

#define CONTENT_BUFFER_MAX EXTENT_GRAIN
#define CONTENT_WHOLE UINT64_MAX          /* all of the file */
#define CONTENT_XATTR (UINT64_C(1) << 63) /* | rest of the key: an extended attribute */
#define CONTENT_PATCH UINT64_C(1)         /* | offset: a patch; else of a grain */
#define CONTENT_BUCKETS 16384
TAILQ_HEAD(content_list, content);
struct content_table {
    struct mutex lock; /* "contents" */
    struct content *bucket[CONTENT_BUCKETS];
    _Atomic size_t count;      /* changed under the lock */
    _Atomic size_t buffered;   /* bytes of all buffers */
    _Atomic size_t slots;      /* contents that have one: an open file each */
    _Atomic size_t stuck;      /* contents with a slot that could not be sealed */
    _Atomic unsigned barred;   /* changes before whose frame nothing is sealed (capture.h) */
    _Atomic bool behind;       /* a worker begins to write a slot back */
    _Atomic bool slot_names;   /* slots were made since their directory was last synced */
    struct content_list dirty; /* slots with bytes that no sync or frame has; deleted ones, too */
    uint64_t dirtied; /* insertions into it */
    uint64_t freezes;
    struct map64 held;         /* gate for writing; numbers that may have a row (held.h) */
    _Atomic size_t held_room;  /* bytes of buffers that the last freeze could only keep so */
    bool held_told;            /* gate for writing; it was reported that there are too many */
    struct map64 unwritten;    /* slots that lack what the log has for them: not opened */
};

/* A new unsealed content, begun, with an object number of count 0: name it in an item, or cancel
 * it instead of content_end. */
int content_new(struct txn *t, uint64_t owner, uint64_t owner_off, struct content **ret_c);
/* The new content is not needed. One that an item names already stays. Gives back the caller's
 * reference. */
void content_cancel(struct txn *t, struct content *c);
struct content *content_find(struct state *p, uint64_t number); /* referenced, or NULL */
void content_unref(struct content *c);
/* May this content's bytes be changed in place? Then it stays changeable until content_end. */
bool content_begin(struct state *p, struct content *c);
void content_end(struct txn *t, struct content *c);
/* content_end of what no frame is to come of: at once. */
void content_let_go(struct state *p, struct content *c);
/* Between begin and end. Grows; spills to a slot above `pack_limit`. Small writes to a slot that is
 * synced again and again are in their frame, too: then the sync of the log is enough. */
int content_write(struct txn *t, struct content *c, const void *buf, size_t len, uint64_t off);
/* The same with bytes that stay as they are until the change is in the log. */
int content_write_lent(struct txn *t, struct content *c, const void *buf, size_t len,
                       uint64_t off);
int content_truncate(struct txn *t, struct content *c, uint64_t len);
/* The bytes of a content that is being sealed, so that nobody may change it, go from its buffer to
 * a slot. The gate is held. */
int content_spill(struct state *p, struct content *c);
uint64_t content_length(struct content *c);
/* What reading needs, and what it says beside the bytes. */
struct reader {
    struct far *far; /* what is gathered of other shards; NULL: nothing */
    uint16_t away;   /* of the last read that said -EHOSTUNREACH: the shard that could not be asked */
    uint64_t absent; /* of the last that said -ENOENT: the number, without bytes; 0: none did */
};
/* Bytes of any number, sealed or not; short at the end of the content. */
ssize_t content_read(struct state *p, uint64_t number, void *buf, size_t len, uint64_t off,
                     struct reader *r);
/* Its number was collected: forget the bytes. */
void content_forget(struct state *p, uint64_t number);
/* As the log has it (replay.c): a content that may be sealed any time; its bytes, however many
 * there may be in a buffer by now. -ENOENT, -EUCLEAN. */
int content_restore(struct state *p, uint64_t number, uint64_t owner, uint64_t owner_off);
int content_restore_bytes(struct state *p, uint64_t number, const void *buf, size_t len,
                          uint64_t off);
int content_restore_length(struct state *p, uint64_t number, uint64_t len);
/* The slot of that number, of whose row nothing was known for a while, is a content again unless it
 * is one. */
int content_adopt_slot(struct state *p, uint64_t number, uint64_t size);
/* Nobody has seen the content that content_adopt_slot or held_adopt made: it is none again. */
void content_disown(struct state *p, uint64_t number);
/* After a restart: the slots that entries name are contents again; what no item names goes. The
 * log began numbers from `first` on. */
int contents_load(struct state *p, uint64_t first);
void contents_release(struct state *p);
/* Fill `out` with the contents that `want` says true of, referenced; returns how many. */
size_t contents_pick(struct state *p, bool (*want)(struct state *, struct content *, void *),
                     void *ctx, struct content **out, size_t max);
void content_unlist(struct state *p, struct content *c);

/* ---- slots (slots.c) ---- */

/* Slots that a frozen state names, referenced. */
struct slot_list {
    struct content **v;
    size_t count;
    uint64_t freeze; /* counted from 1 */
};
#define SLOT_LOGGED_WRITE (64u * 1024) /* bytes; larger writes to a slot are not in their frame, */
#define SLOT_LOGGED_MAX (1024u * 1024) /* and no more than this since the slot was last synced */
/* The bytes of its slot changed. `logged`: the frame of that change has them. Needs contents. */
void content_slot_changed(struct state *p, struct content *c, bool logged);
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
 * either. *ret_left: contents of that kind still unsealed. Takes the gate (read) per content. What
 * goes wrong with one content does not fail the pass, unless the disk is full: it stays a slot,
 * which a commit can name, or a buffer, which it can keep (held.h). */
int seal_pass(struct state *p, enum seal_what what, int64_t since, size_t *ret_left);
/* The few buffers that are left, with the gate held for writing, but those that were tried. */
int seal_rest(struct state *p);
/* How many contents wait that a view should show. */
size_t seal_waiting(struct state *p);
/* Seal what was closed before, as views do first: at most a pass of it. Returns how many contents
 * are unsealed still. Hold no lock. */
size_t seal_settle(struct state *p);
