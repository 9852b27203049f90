// SPDX-License-Identifier: Apache-2.0
/*
 * passthrough_table: which open files the kernel reads by itself, from the file of their object
 * (DESIGN 4.5, "Reading"). Part of state.h.
 *
 * The kernel keeps an inode in one mode while it is open. What the kernel reads by itself cannot be
 * changed under it. So, in terms of one inode:
 *
 *                        no open files   ---an open of an eligible file, to read--->   passthrough
 *        (opens == 0)    cached          <---the last close---                         (opens > 0)
 *
 *     passthrough:       further opens to read are passthrough, whatever the file is by
 *                        now; to write, to truncate, to cut it by its name: -ETXTBSY
 *     other open files:  further opens are like these
 *     passthrough once:  a mapping outlives the close. So before the first change it must be proved
 *                        that there is none, by a write lease on the object's file, which the
 *                        kernel gives only if nobody else has the file open. Otherwise -ETXTBSY.
 *
 * The whole daemon reads such an object through one open file (objects_pin); otherwise no lease
 * would ever be given. One object may be the content of several inodes: while one of them is read
 * by passthrough, the lease is refused for all. That is too careful, and the only harm is -ETXTBSY.
 *
 * Eligible is a file whose content is one sealed object in a file of its own at home, if nobody may
 * write it: it has no write permission bits, or its namespace is frozen, or the mount allows it
 * (VFS_PASSTHROUGH_ALL).
 *
 * An inode that was read by passthrough stays in the table until there is that proof. A writer asks
 * for it, an open when the table is half full, and the flusher (passthrough_table_sweep). When the
 * table is full no further file becomes passthrough.
 *
 * Locks: "inodes" guards the table.
 */
#pragma once

#include "blob.h"
#include "lock.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

struct inode;
struct state;
struct vnode;

struct passthrough_file {
    uint64_t nodeid;
    uint64_t object;     /* the number that its content is sealed under */
    uint64_t where;      /* the number of the object's file */
    struct blob *blob;   /* that file, which is pinned */
    bool sealed_by_disk; /* the disk itself checks what is read (fs-verity) */
    unsigned opens;      /* open files by passthrough; 0: perhaps it is still mapped */
    struct passthrough_file *next;
    /* while opens is 0; the one that was asked for longest ago comes first */
    TAILQ_ENTRY(passthrough_file) idle;
};

#define PASSTHROUGH_BUCKETS 256
#define PASSTHROUGH_MAX 4096 /* inodes, each with an open file; fewer if fewer files may be open */
#define PASSTHROUGH_TRIES 50 /* how often a closed file is tried before it counts as mapped */
#define PASSTHROUGH_PAUSE_NS 1000000 /* ns between two tries: the kernel reports a close later */
TAILQ_HEAD(passthrough_list, passthrough_file);

struct passthrough_table {
    struct passthrough_file *bucket[PASSTHROUGH_BUCKETS] GUARDED_BY(inodes);
    struct passthrough_list idle GUARDED_BY(inodes);
    _Atomic size_t count; /* entries in the buckets, with the idle ones */
    size_t max;
    _Atomic bool damage; /* a read found damage since the store was opened */
    /* Has nobody else that file open? 0, or the -errno of a lease. Tests replace it. */
    int (*probe)(int fd);
};

void passthrough_table_init(struct state *p);
void passthrough_table_release(struct state *p); /* when the mount has ended */

/* A file that may be read by passthrough. What takes time or locks was done before the decision. */
struct passthrough_candidate {
    bool tried;
    bool verify; /* all of its bytes are to be verified first */
    uint64_t object, where;
    struct blob *blob; /* pinned; NULL: the file is not eligible */
};
/* Prepares a candidate. -EUCLEAN: damage, which was reported; -EWOULDWAIT (nowait.h). Anything else
 * only leaves c->blob NULL. The caller holds no lock. */
int passthrough_file_prepare(struct state *p, const struct inode *in,
                             struct passthrough_candidate *c);
void passthrough_candidate_release(struct state *p, struct passthrough_candidate *c);

/* Counts an open of `v`, whose inode is `in`, with flags of enum vfs_open_flags, and decides how it
 * is read. *ret NULL: not by passthrough. -EAGAIN: it may be eligible, and the caller prepares the
 * candidate; -ETXTBSY; -ESTALE: it can be opened just now only by passthrough, which this open may
 * not. The caller holds v->ns->lock. */
int passthrough_file_count_open(struct state *p, struct vnode *v, const struct inode *in,
                                unsigned flags, struct passthrough_candidate *c,
                                struct passthrough_file **ret);
/* Called before its vnode_close. */
void passthrough_file_close(struct state *p, struct passthrough_file *n);
/* The inode is removed with its last close, and cannot be opened again. */
void passthrough_file_forget(struct state *p, uint64_t nodeid);

/* The size of `v` is changed by its name between the two calls. -ETXTBSY: it is read by
 * passthrough. */
int passthrough_file_cut_begin(struct state *p, struct vnode *v);
void passthrough_file_cut_end(struct state *p, struct vnode *v);

int passthrough_pause(void); /* waits PASSTHROUGH_PAUSE_NS; -EWOULDWAIT (nowait.h) */
/* Removes the inodes that are not mapped any more. The caller holds no lock. */
void passthrough_table_sweep(struct state *p);
void vfs_get_passthroughs(struct state *p, struct vfs_passthroughs *ret);
/* Can the kernel prove, on the disk of `fd`, that a file is not mapped any more? `fd` is a file
 * that nobody else has open. 0, or -errno of fcntl(2), F_SETLEASE. SIGIO must be ignored. */
int vfs_passthrough_probe(int fd);
