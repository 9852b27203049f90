// SPDX-License-Identifier: Apache-2.0
/* state_config: what a store is opened with, and what it reports to the mount. */
#pragma once

#include "clock.h"
#include "disk.h"
#include "id.h"
#include "kv.h"
#include <stdbool.h>
#include <stdint.h>

struct state;
struct strbuf;

/* What the mount must tell the kernel. Called with no lock held, before the call that caused it
 * returns. */
struct view_edge;
struct state_events {
    /* Attributes that are kept of that nodeid are no longer true: it is a directory that has other
     * names now, or it is gone and answers -ESTALE. Names of the root are not kept for long, so
     * there is no message for names. */
    void (*stale)(void *ctx, uint64_t nodeid);
    /* Set-id bits of that nodeid are gone, or its ACL is another one, and the call that did it
     * gives no attributes back, or gives them to one who asked for something else: what is kept of
     * its mode, owner and ACL is no longer true. May be NULL. */
    void (*rights)(void *ctx, uint64_t nodeid);
    /* A branch, or a namespace that is frozen, is to have what was written to that nodeid through
     * shared mappings: have the kernel write it, and return then. */
    void (*write_back)(void *ctx, uint64_t nodeid);
    /* What is on disk can no longer be trusted, and the setting on_fatal says exit: end the mount,
     * without waiting here. Locks may be held. May be NULL. */
    void (*stop)(void *ctx);
    /* What a status says of the edge: all but the counts of requests (view.h). May be NULL. */
    void (*describe)(void *ctx, struct view_edge *ret);
    void *ctx;
};

/* The pool that several stores share, as one of them is given it (FORMAT.md, "Pool"). Packs and
 * files that it puts there have the numbers pool_number(node, life, 1, 2, ...): never used twice,
 * by nobody.
 */
struct pool_member {
    struct disk *disk; /* borrowed: the whole pool; config.disk is a route over it */
    unsigned node;     /* this store's number among the nodes: 1 ... POOL_NODE_MAX */
    uint32_t incarnation; /* of the store, a new one at each open: 1 ... POOL_INCARNATION_MAX */
    uint8_t token
        [16]; /* POOL_TOKEN_LEN; what nodes/N/node says as long as this incarnation is its own */
    struct id_key key; /* of all members: equal bytes have equal ids */
};

/* What reading does to access times. */
enum state_atime {
    STATE_NOATIME = 1 << 0,     /* nothing */
    STATE_NODIRATIME = 1 << 1,  /* nothing to those of directories */
    STATE_STRICTATIME = 1 << 2, /* each reading moves them */
};

/* How far a repair has the log replayed. */
struct replay_limit {
    uint64_t until; /* number of the last change that is made; 0: all are */
    bool refused;   /* out: the log is why the store cannot be opened; */
    uint64_t at;    /* and the number of the change that cannot be made; 0: it is none of them */
};

struct state_config {
    struct disk *disk; /* borrowed */
    struct kv *kv;     /* borrowed; opened with store_tables */
    const struct clock *clock;
    void (*fold)(struct id *id); /* tests: see id.h; NULL */
    unsigned atime;              /* bits of enum state_atime, 0: as relatime */
    bool background;             /* run the flusher and dropper threads; tests step by hand */
    unsigned threads;            /* sealing workers, 0: one per CPU */
    uint64_t log_segment;        /* bytes of a segment of the log, 0: as the setting says */
    bool accept_log_loss;        /* repair: of a damaged log what is before the damage is enough */
    struct replay_limit *limit;  /* repair; may be NULL */
    const struct pool_member *pool; /* copied, but for the disk; NULL: all is the store's own */
};

/* NULL: from now on nobody is told. What was set before is not used any more when it returns: it
 * waits for calls of it that have begun, so it is no business of such a call. One thread at once.
 * */
void state_set_events(struct state *p, const struct state_events *events);
/* As config.atime, from now on. Any thread. */
void state_set_atime(struct state *p, unsigned how);
/* The number of the last change. */
uint64_t state_seq(struct state *p);
