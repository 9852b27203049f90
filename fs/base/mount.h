// SPDX-License-Identifier: Apache-2.0
/*
 * mount: one mount, struct fs: what each room of fs/ has of it. A pointer there belongs to the
 * module of its name; fs.c makes all of them, and fills the hooks.
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

#define FS_IO_MAX (1024u * 1024) /* bytes in one read or write request */

struct fs;
struct view_edge;

/* What a room has done by a higher one. Each function keeps the rules of the declaration that its
 * comment names; all are there, and nothing changes them. */
struct fs_hooks {
    /* For the answers. Core said -EWOULDWAIT: serve_postpone. */
    void (*postpone)(fuse_req_t req);
    /* For the transport. Answer a STATX: statx_answer. */
    void (*statx)(struct fs *fs, const void *msg, size_t len);
    /* What INIT is to say of passthrough: passthrough_wanted. */
    uint32_t (*stack_depth)(struct fs *fs);
    /* INIT is answered: passthrough_begin. */
    void (*agreed)(struct fs *fs);
    /* For the kernel's caches and `.tally`. End the mount: ending_ask. */
    void (*stop)(const struct fs *fs);
    /* Fill what a view tells of the mount, but for the requests. */
    void (*describe)(const struct fs *fs, struct view_edge *ret);
};

struct defer;
struct ending;
struct handle;
struct listed;
struct notify;
struct passthrough;
struct remount;
struct ring;
struct sync;
struct taldir;
struct waiting;

struct fs {
    struct state *p;
    const struct fs_options *o;
    const struct fs_hooks *hooks;
    uint32_t owner;                /* a user id: the mount's owner */
    struct fuse_session *se;
    struct taldir *tal;
    uint32_t tal_generation; /* of all its nodes: nobody can make up a handle of one */
    struct defer *defer;
    struct notify *notify;
    struct listed *listed; /* while requests are served */
    struct sync *sync;
    struct passthrough *passthrough;
    struct remount *remount;       /* while requests are served; may be NULL */
    _Atomic bool reads_all;        /* see fs_reads_all() */
    struct ending *ending;         /* from the mount to the end */
    _Atomic uint64_t init_unique;  /* the INIT request not answered yet, 0: none */
    _Atomic uint32_t init_offered, init_offered2; /* its flags */
    bool dirs_unopened;            /* the kernel takes it that directories need no opening */
    struct ring *ring;             /* NULL: requests come from the device */
    _Atomic bool ring_agreed;      /* with the kernel */
    struct requests requests;      /* counted where they are read (init.c) */
    struct waiting *waiting;       /* those that are not answered; NULL: not counted */
    struct mutex handles_lock;
    struct handle *handles; /* all open ones; guarded by handles_lock */
};

static inline struct fs *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}
/* Must each reading be seen, since it moves an access time? Then the kernel keeps no listing and no
 * target of a symlink, and what it has of a file only while that is open. */
static inline bool fs_reads_all(const struct fs *fs)
{
    return atomic_load_explicit(&fs->reads_all, memory_order_relaxed);
}
/* How reading moves access times from now on, bits of enum state_atime. */
static inline void fs_set_atime(struct fs *fs, unsigned how)
{
    atomic_store(&fs->reads_all, (how & STATE_STRICTATIME) != 0);
    state_set_atime(fs->p, how);
}
