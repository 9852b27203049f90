// SPDX-License-Identifier: Apache-2.0
/* flush_impl: what the files of this room keep of an open store, and share. */
#pragma once

#include "content.h"
#include "flush.h"
#include "lock.h"
#include "log.h"
#include "replay_slots.h"
#include <pthread.h>
#include <stdatomic.h>

/* A frozen state, from its rotation to its commit; whoever the coordinator lets work on it. */
struct batch {
    uint64_t seq;           /* of the last change in it */
    uint64_t gaps;          /* state.gaps that it closes */
    struct log_pos log_pos; /* where the log goes on behind it */
    char *name;             /* that the flush was given, and when; or NULL */
    int64_t time;
    char *label; /* the same, until the flush has a number */
    struct ns_records ns_records;
    struct slot_list slots;
    struct held_list held;
    uint8_t state[STORE_RECORD_LEN]; /* the meta record */
};

#define FLUSH_RATE_OF 16

/* What a flush of the coordinator is begun with. */
struct flush_ask {
    enum seal_what what;
    const char *name; /* or NULL */
};

struct flusher {
    const struct flush_hooks *hooks; /* fixed */
    struct mutex lock;               /* "flush": a leaf */
    struct cond wake, done;
    struct mutex run;  /* "flush run": without threads, one flush at a time */
    struct mutex reclaim_dead; /* "reclaim dead": one who deletes dead bytes at a time */
    struct mutex seal; /* "seal": one sealing pass or freeze at a time */
    struct coordinator *coordinator;
    /* By number modulo, from the rotation to the commit; whoever the coordinator lets work on it.
     * */
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
    size_t waiting;                   /* lock; writers that wait for memory, */
    int64_t waited_ns;                /* lock; and all that was ever waited so */
    _Atomic uint64_t reclaimed;       /* dead ones deleted */
    int slot_error;                   /* seal; of the last pass: a slot could not be sealed */
    uint64_t durable_seq;             /* lock */
    uint64_t commits, failed;         /* lock */
    uint64_t limits;                  /* lock; how often one of memory was set */
    _Atomic uint64_t committed;       /* commits, told before anything of them looks clean */
    int error;                        /* lock; of the last failure; 0: a commit came after it */
    int64_t commit_at[FLUSH_RATE_OF]; /* lock; monotonic ns; of the last commits, a ring */
    int64_t last_commit;              /* lock; realtime ns */
    _Atomic int64_t plenty_until;     /* monotonic ns; the disk need not be asked for room before */
    pthread_t flush_thread, drop_thread;
    bool threads_running;
    size_t slots_wait; /* so many open slots make writers wait; set at start */
};

/* ---- flush.c ---- */

/* Needs flush.lock: something failed, or a commit came. */
void flush_note(struct state *p, int err);

/* ---- flush_labels.c ---- */

/* The name of a batch. -ENOMEM */
int flush_name_batch(struct state *p, const char *name, struct batch *b);
/* It is flush `number`, whose name is kept as long as its ticket. */
void flush_set_label(struct state *p, uint64_t number, struct batch *b);
/* Append the names of those batches. False: they have none. */
bool flush_add_names(struct state *p, uint64_t first, uint64_t last, struct flush_names *to);
int flush_write_names(struct state *p, uint64_t first, uint64_t last, struct kv_txn *t);

/* ---- flusher.c ---- */

/* Settings that the flusher, or who waits for it, waits by. At the start. */
void flusher_watch(struct state *p);
/* Pages of one step of a drop: whoever wants the freeze lock for writing waits for it, and
 * everybody else for that one. */
#define DROP_AT_ONCE 4

/* ---- durable.c ---- */

struct durable_watches {
    struct mutex lock; /* "durable" */
    struct durable_watch *first;
};

/* ---- recover.c ---- */

/* What a start has still to do for the slots, for which there was too little of something. */
struct slots_left {
    bool written;              /* they have what the log has for them */
    uint64_t first;            /* numbers before it the last commit gave */
    struct replay_slots slots; /* what the log has, */
    struct log_scan scan;      /* and where */
};

/* The rest of it that a shortage put off: before each flush that finds state_lacks, which is that
 * shortage's -errno, or 0. Rotation. */
int recover_slots(struct state *p);
/* A commit is there. */
void recover_settled(struct state *p);
