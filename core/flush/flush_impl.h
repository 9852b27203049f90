// SPDX-License-Identifier: Apache-2.0
/* flush_impl: the data of an open store that the files of this room share. */
#pragma once

#include "content.h"
#include "flush.h"
#include "lock.h"
#include "log.h"
#include "replay_slots.h"
#include "stored_record.h"
#include <pthread.h>
#include <stdatomic.h>

/* A frozen state, from its rotation to its commit. Only the thread that the coordinator lets work
 * on it uses it; there is no lock. */
struct batch {
    uint64_t seq;           /* of the last change in it */
    struct log_pos log_pos; /* where the log goes on behind it */
    char *name;             /* the name that the flush was given, or NULL */
    int64_t time;           /* when it was given `name` */
    char *label; /* a copy of `name`, until the flush has a number */
    struct ns_records ns_records;
    struct history_batch history;
    struct growth_sample sample; /* time 0: none is due */
    struct growth_batch growth;
    struct stored_record stored;
    bool stored_known; /* false: the commit removes that record */
    struct slot_list slots;
    struct held_list held;
    uint8_t state[STORE_RECORD_LEN]; /* the meta record */
};

#define FLUSH_RATE_OF 16

/* The argument of coordinator_flush. */
struct flush_ask {
    enum seal_what what;
    const char *name; /* or NULL */
};

struct flusher {
    const struct flush_hooks *hooks; /* fixed */
    struct mutex lock;               /* "flush": a leaf */
    struct cond wake, done;
    struct mutex run;  /* "flush run": without threads, one flush at a time */
    struct mutex reclaim_dead; /* "reclaim dead": one thread at a time deletes dead bytes */
    struct mutex seal; /* "seal": one sealing pass or freeze at a time */
    struct coordinator *coordinator;
    /* By number modulo COORDINATOR_MAX, from the rotation to the commit. Only the thread that the
     * coordinator lets work on a batch uses it. */
    struct batch *batch[COORDINATOR_MAX];
    struct flush_label {
        uint64_t number;
        char *name;
    } label[TICKETS_KEPT];            /* lock; by number modulo */
    struct flush_names names;         /* lock; committed */
    uint64_t started, finished;       /* runs of the flush thread; lock */
    int result;                       /* of the last one: of its rotation; lock */
    struct ticket *ticket;            /* of the last one that rotated; lock */
    bool kicked, urgent, stop;        /* lock */
    bool kick_drops;                  /* lock */
    unsigned in_flight;               /* lock; batches */
    _Atomic bool writers_held;        /* written with lock; see flush_hold_writers */
    size_t waiting;                   /* lock; writers that wait for memory now */
    int64_t waited_ns;                /* lock; sum of all waits of writers for memory so far */
    _Atomic uint64_t reclaimed;       /* dead objects deleted so far */
    /* seal; of the last pass over all contents: the error of one that was not sealed, or 0 */
    int slot_error;
    uint64_t durable_seq;             /* lock */
    uint64_t commits, failed;         /* lock */
    uint64_t limits;                  /* lock; how often one of memory was set */
    _Atomic uint64_t committed;       /* commits, counted before any of their data looks clean */
    int error;                        /* lock; of the last failure; 0: a commit came after it */
    int64_t commit_at[FLUSH_RATE_OF]; /* lock; monotonic ns; of the last commits, a ring */
    int64_t last_commit;              /* lock; realtime ns */
    /* monotonic ns; until then the disk is not asked for free room */
    _Atomic int64_t plenty_until;
    _Atomic bool giving; /* a thread gives up what is kept, because the disk is full */
    /* lock; views that have asked for a pass, and those of them that had one that began later */
    uint64_t views_asked, views_served;
    bool seals_for_views; /* lock; a thread makes such passes now */
    pthread_t flush_thread, drop_thread;
    _Atomic bool threads_running; /* set before the first of them begins */
    size_t slots_wait; /* the number of open slots from which on writers wait; set at start */
};

/* ---- flush_labels.c ---- */

/* The name of a batch. -ENOMEM */
int flush_name_batch(struct state *p, const char *name, struct batch *b);
/* Batch `b` belongs to flush `number`: keep its name as long as the ticket of that flush. */
void flush_set_label(struct state *p, uint64_t number, struct batch *b);
/* Append the names of the batches `first` to `last`. False: none of them has a name. */
bool flush_add_names(struct state *p, uint64_t first, uint64_t last, struct flush_names *to);
int flush_write_names(struct state *p, uint64_t first, uint64_t last, struct kv_txn *t);

/* ---- flush_growth.c ---- */

/* Sets the time and the free room of the batch's sample, if one is due. The disk is asked, so the
 * caller holds no lock. */
void flush_growth_begin(struct state *p, struct batch *b);
/* Fills in the rest, and collects what the commit writes. Needs the freeze lock for writing.
 * -ENOMEM */
int flush_growth_freeze(struct state *p, struct batch *b);

/* ---- flusher.c ---- */

/* Have changes wait before they take any lock, or end that. */
void flush_hold_writers(struct state *p, bool hold);
/* Watch the settings that the flusher, or a caller that waits for it, depends on. At the start. */
void flusher_watch(struct state *p);
/* Pages of one step of a drop. A thread that wants the freeze lock for writing waits for the whole
 * step, and all other changes wait for that thread. */
#define DROP_AT_ONCE 4

/* ---- durable.c ---- */

struct durable {
    struct mutex lock; /* "durable" */
    struct cond advanced;
    uint64_t seq; /* lock; everything up to it is durable */
};

/* ---- recover.c ---- */

/* The work on slots that a start put off because memory or file descriptors were
 * short. */
struct slots_left {
    bool written;              /* the slots have the data that the log has for them */
    uint64_t first;            /* the last commit gave all numbers below this one */
    struct replay_slots slots; /* the data for slots that the log has */
    struct log_scan scan;      /* the places in the log where that data is */
};

/* Do the work that a shortage put off. Called in a rotation, before each flush for which
 * state_lacks is not 0: that is the -errno of the shortage. */
int recover_slots(struct state *p);
/* A commit has all that the start recovered from the log: the old segments are deleted, and then
 * changes are accepted again. */
void recover_settled(struct state *p);
