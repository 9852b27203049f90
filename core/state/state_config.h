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

/* What the mount has to report to the kernel. Each function is called before the call that caused
 * it returns, and with no lock held unless its comment says otherwise. */
struct view_edge;
struct state_events {
    /* What the kernel keeps of the attributes of that nodeid is not true any more: it is a
     * directory that has other names now, or it was removed and answers -ESTALE. The kernel does
     * not keep names of the root for long, so `name` is not called for these. */
    void (*stale)(void *ctx, uint64_t nodeid);
    /* The name in that directory leads elsewhere now, or nowhere. Of the root only for what is
     * still there under its number: the kernel asks again for all others. No lock is held. May be
     * NULL. */
    void (*name)(void *ctx, uint64_t nodeid, const char *name);
    /* Neither attributes nor bytes that the kernel keeps of that nodeid are true any more. No lock
     * is held. May be NULL. */
    void (*bytes)(void *ctx, uint64_t nodeid);
    /* The mode, owner and ACL that the kernel keeps of that nodeid are not true any more: its
     * set-id bits are gone, or it has another ACL. The call that caused it returns no attributes,
     * or returns them to another caller. May be NULL. */
    void (*rights)(void *ctx, uint64_t nodeid);
    /* A branch or a freeze of a namespace needs what was written to that nodeid through shared
     * mappings: lets the kernel write it back, and returns after that. */
    void (*write_back)(void *ctx, uint64_t nodeid);
    /* What is on disk cannot be trusted any more, and the setting on_fatal is exit: ends the mount,
     * without waiting here. Locks may be held. May be NULL. */
    void (*stop)(void *ctx);
    /* Fills in what the status shows of the edge, except for the counts of requests (view.h). May
     * be NULL. */
    void (*describe)(void *ctx, struct view_edge *ret);
    void *ctx;
};

/* The pool that several stores share, as one of its members is given it (FORMAT.md, "Pool"). Packs
 * and files that the member puts there have the numbers pool_number(node, incarnation, 1, 2, ...),
 * which are never used twice, by any member. */
struct pool_member {
    struct disk *disk;    /* borrowed: the whole pool; config.disk is a route over it */
    unsigned node;        /* this store's number among the nodes: 1 ... POOL_NODE_MAX */
    uint32_t incarnation; /* a new one at each opening for writing: 1 ... POOL_INCARNATION_MAX */
    uint8_t token
        [16]; /* POOL_TOKEN_LEN; what nodes/N/node says as long as this incarnation is its own */
    struct id_key key;         /* the same for all members, so that equal bytes have equal ids */
    struct shard_meter *meter; /* borrowed: counts what is asked there; NULL: it is a directory */
};

/* What reading does to access times. */
enum state_atime {
    STATE_NOATIME = 1 << 0,     /* no access time changes */
    STATE_NODIRATIME = 1 << 1,  /* no access time of a directory changes */
    STATE_STRICTATIME = 1 << 2, /* each read changes it */
};

/* How far a repair lets the log be replayed. */
struct replay_limit {
    uint64_t until; /* number of the last change that is replayed; 0: all are */
    bool refused;   /* out: the log is the reason why the store cannot be opened */
    uint64_t at;    /* out: number of the change that cannot be made; 0: it is none of them */
};

/* Records of packs may be compressed only in a store that has a feature for it (FORMAT.md,
 * "Features"). */
struct state_compression {
    bool on;                 /* it has it */
    int (*raise)(void *ctx); /* gives it to it, durably: 0 or -errno. NULL: it cannot have it */
    void *ctx;
};

struct state_config {
    struct disk *disk;  /* borrowed */
    struct kv *kv;      /* borrowed; opened with store_tables */
    struct disk *cache; /* borrowed: where bytes of shards that are far are kept; NULL: nowhere */
    const struct clock *clock;
    void (*fold)(struct id *id);    /* for tests, see id.h; NULL */
    unsigned atime;                 /* bits of enum state_atime; 0: like relatime */
    size_t merge_at_once;           /* for tests, see merge.h; 0 */
    bool follow;                    /* a follower goes on (core/follow), by a thread */
    bool background;                /* starts threads; without them tests call each step */
    unsigned threads;               /* workers; 0: by the setting */
    uint64_t log_segment;           /* bytes of a segment of the log; 0: by the setting */
    bool accept_log_loss;           /* for repair: a damaged log is replayed up to the damage */
    struct replay_limit *limit;     /* for repair; may be NULL */
    const struct pool_member *pool; /* copied, but for the disk; NULL: a store alone */
    struct state_compression compression;
};

/* Sets the events; NULL: none are called from now on. When it returns, the events that were set
 * before are not called any more: it waits for calls that have begun, so an event must not call
 * this. Threads: one at a time. */
void state_set_events(struct state *p, const struct state_events *events);
struct latency;
struct profile;
/* Where the edge notes how long requests took. Valid until the store is closed. */
struct latency *state_latency(struct state *p);
struct profile *state_profile(struct state *p);
/* Calls fn with the value of watchdog_patience, in ns, now and whenever it changes. Once only, and
 * while no other thread uses the store. */
void state_watch_patience(struct state *p, void (*fn)(void *ctx, int64_t ns), void *ctx);
/* Changes config.atime. Threads: any. */
void state_set_atime(struct state *p, unsigned how);
/* The number of the last change. */
uint64_t state_seq(struct state *p);
