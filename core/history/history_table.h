// SPDX-License-Identifier: Apache-2.0
/*
 * history_table: the operations on namespaces of an open store, in memory and as rows of the table
 * `history`. Each is noted in the frame of the change that it is, so the history has what the
 * recovered log has, and nothing else.
 *
 *     history_prepare(h, &entry, &row)    before the change is logged: all that can fail
 *     …                                   the row's bytes go into the frame (capture_history)
 *     history_add(h, row, seq)            the frame is there; or history_discard(h, row)
 *
 * An entry with `of` takes back another one, or does it again. The last such entry of an operation
 * is its *tip*, which is known with it, so nobody has to look for it.
 *
 * Limits: a commit keeps HISTORY_ENTRIES_MAX entries at most, and of those what is not older than
 * it is told; between two commits there may be more, one for each frame. Memory: 100 bytes an entry
 * and its names. Threads: any; the lock "history" inside is a leaf. Errors: 0 or -errno.
 */
#pragma once

#include "history_entry.h"
#include "kv.h"
#include "lock.h"

#define HISTORY_ENTRIES_MAX 10000

/* One entry in memory. */
struct history_row {
    uint64_t seq; /* 0: it is not added yet */
    int64_t time;
    uint64_t of, tip; /* 0: none */
    bool again;       /* as in the entry */
    bool undone;      /* its tip takes it back */
    bool dirty;       /* no freeze has it */
    size_t len;
    uint8_t bytes[]; /* the encoded entry */
};
struct history {
    struct mutex lock;      /* "history" */
    struct history_row **v; /* lock; by `seq`, each owned */
    size_t count, room;     /* lock */
    size_t prepared;        /* lock; rows that will be added: `v` has room for them */
    size_t over;            /* lock; so many of the oldest the last freeze has given up */
};

/* An entry as others see it. */
struct history_op {
    struct history_entry entry;
    uint64_t tip; /* the last entry that took it back or did it again; 0: none */
    bool undone;  /* the tip took it back */
};

void history_init(struct history *h);
void history_release(struct history *h);
/* Makes a row. The caller gives it to history_add or history_discard. -ENOMEM */
int history_prepare(struct history *h, const struct history_entry *e, struct history_row **ret);
void history_discard(struct history *h, struct history_row *r); /* NULL is fine */
/* Adds the row, which the history owns afterwards, as the change `seq`. */
void history_add(struct history *h, struct history_row *r, uint64_t seq);

/* The entry of that change. -ENOENT */
int history_get(struct history *h, uint64_t seq, struct history_op *ret);
/* The newest entry before that change; UINT64_MAX: the newest. -ENOENT */
int history_before(struct history *h, uint64_t seq, struct history_op *ret);
/* The operation that the entry is about: `of`, or itself if it takes nothing back. Of an entry that
 * is not there: `seq`. */
uint64_t history_root(struct history *h, uint64_t seq);

/* What a commit writes. */
struct history_batch {
    struct history_row **put; /* copies */
    uint64_t *gone;           /* numbers */
    size_t puts, gones;
};
/* Collects what changed since the last freeze. What is older than `oldest` (ns since the epoch), or
 * beyond HISTORY_ENTRIES_MAX, goes. Nothing changes before history_frozen, and until then the
 * caller holds the freeze lock for writing. It releases *ret, also after an error. -ENOMEM */
int history_freeze(struct history *h, int64_t oldest, struct history_batch *ret);
void history_frozen(struct history *h);
int history_write(const struct history_batch *b, struct kv_txn *t);
void history_batch_release(struct history_batch *b);
/* Reads the table. A damaged row is reported, and is as if it were not. -ENOMEM, -EIO */
int history_load(struct history *h, struct kv *kv);
