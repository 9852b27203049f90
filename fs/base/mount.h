// SPDX-License-Identifier: Apache-2.0
/*
 * mount: struct fs is one mount: everything that the rooms of fs/ keep of it. A pointer in it
 * belongs to the module with its name. fs.c makes and frees all of them, and fills the hooks.
 */
#pragma once

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>

#include "fs_options.h"
#include "lock.h"
#include "store.h"
#include "requests.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define FS_IO_MAX (1024u * 1024) /* the most bytes of one READ or WRITE request */

struct fs;
struct view_edge;

/* Functions of higher rooms that lower rooms call. Each keeps the contract of the declaration that
 * its comment names. All are set, and none changes. */
struct fs_hooks {
    /* Called by reply.h when core returned -EWOULDWAIT, or before it may: serve_postpone. */
    void (*postpone)(fuse_req_t req);
    /* Called by the transport to answer a STATX request: statx_answer. */
    void (*statx)(struct fs *fs, const void *msg, size_t len);
    /* Called by the transport for the answer to INIT: passthrough_wanted. */
    uint32_t (*stack_depth)(struct fs *fs);
    /* Called by the transport when INIT is answered: passthrough_begin. */
    void (*agreed)(struct fs *fs);
    /* Called by notify.h to end the mount: ending_ask. */
    void (*stop)(const struct fs *fs);
    /* Called by notify.h and taldir.h: fills what the views show of the mount, except the counts of
     * requests. */
    void (*describe)(const struct fs *fs, struct view_edge *ret);
};

struct defer;
struct ending;
struct handle;
struct latency;
struct listed;
struct notify;
struct passthrough;
struct profile;
struct remount;
struct ring;
struct sync;
struct taldir;
struct waiting;
struct watchdog;

struct fs {
    struct state *p;
    const struct fs_options *o;
    const struct fs_hooks *hooks;
    uint32_t owner; /* the user id of the mount's owner */
    struct fuse_session *se;
    struct taldir *tal;
    uint32_t tal_generation; /* of all nodes of .tally; random, so no file handle can be guessed */
    struct defer *defer;
    struct notify *notify;
    struct listed *listed; /* valid while requests are served */
    struct sync *sync;
    struct sync *sync_shipped; /* of namespaces of which an fsync waits for archives */
    struct passthrough *passthrough;
    struct remount *remount;      /* valid while requests are served; NULL: not watched */
    _Atomic bool reads_all;       /* see fs_reads_all() */
    struct ending *ending;        /* valid from the mount to the end of the process */
    _Atomic uint64_t init_unique; /* the INIT request that is not answered yet; 0: none */
    _Atomic uint32_t init_offered, init_offered2; /* flags, flags2 of the kernel's INIT */
    bool dirs_unopened;                           /* the kernel accepts ENOSYS to OPENDIR */
    struct ring *ring;                            /* NULL: requests come from the device */
    _Atomic bool ring_agreed;                     /* the answer to INIT promised rings */
    struct requests requests;                     /* counted by translate.c */
    struct latency *latency;                      /* of the store: how long requests took */
    struct profile *profile;     /* of the store: records them when somebody asks */
    struct waiting *waiting;     /* requests that are not answered; NULL: not counted */
    struct watchdog *watchdog;   /* looks for what hangs; NULL: nothing does */
    struct mutex handles_lock;   /* "handles" */
    LIST_HEAD(, handle) handles; /* guarded by: handles_lock; all open handles */
};

static inline struct fs *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}
/* Must the daemon see each read, because each one moves an access time (strictatime)? Then the
 * kernel keeps no listing and no target of a symlink, and pages of a file only while it is open. */
static inline bool fs_reads_all(const struct fs *fs)
{
    return atomic_load_explicit(&fs->reads_all, memory_order_relaxed);
}
/* Sets how reads move access times from now on: bits of enum state_atime. Any thread. */
static inline void fs_set_atime(struct fs *fs, unsigned how)
{
    atomic_store(&fs->reads_all, (how & STATE_STRICTATIME) != 0);
    state_set_atime(fs->p, how);
}
