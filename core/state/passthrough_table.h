// SPDX-License-Identifier: Apache-2.0
/*
 * passthrough: which open files the kernel reads by itself, from the file of their object (DESIGN
 * 4.5, "Reading"). Part of state.h.
 *
 * The kernel keeps an inode in one mode while it is open, and what it reads by itself nobody can
 * change under it. So, in terms of one inode:
 *
 *                        no open files   ---an open of an eligible file, to read--->   passthrough
 *        (opens == 0)    cached          <---the last close---                         (opens > 0)
 *
 *     passthrough:       further opens to read are passthrough, whatever the file is by
 *                        now; to write, to truncate, to cut it by its name: -ETXTBSY
 *     other open files:  further opens are as these
 *     passthrough once:  a mapping outlives the close, so before the first change somebody must
 *                        prove that there is none: a write lease on the object's file, which the
 *                        kernel gives only where nobody else has it open. Else -ETXTBSY.
 *
 * All of the daemon reads such an object through one open file (objects_pin), or no lease would
 * ever be given. One object may be the content of several inodes: while one of them is read by
 * passthrough, the lease is refused for all. That is too careful, and does no harm but -ETXTBSY.
 *
 * Eligible is what is one sealed object in a file of its own in the home shard, if nobody may write
 * it: no write permission bits, a frozen namespace, or who mounts says so (VFS_PASSTHROUGH_ALL).
 *
 * An inode that was read by passthrough stays in the table until there is proof. Who looks: a
 * writer, an open where the table is half full, the flusher (passthrough_table_sweep). A full table
 * makes no file passthrough.
 *
 * Locks: the table is guarded by "inodes".
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
    uint64_t object;     /* the number that its content is sealed under, */
    uint64_t where;      /* and that of the object's file, */
    struct blob *blob;   /* which is pinned */
    bool sealed_by_disk; /* the disk itself checks what is read of it (fs-verity) */
    unsigned opens;      /* passthrough ones; 0: perhaps somebody maps it still */
    struct passthrough_file *next;
    TAILQ_ENTRY(passthrough_file) idle; /* while opens is 0; the one asked for longest ago first */
};

#define PASSTHROUGH_BUCKETS 256
#define PASSTHROUGH_MAX 4096 /* inodes, each an open file; less where fewer files may be open */
#define PASSTHROUGH_TRIES 50 /* a closed file is known to be free after so many, */
#define PASSTHROUGH_PAUSE_NS 1000000 /* with this between them: the kernel tells of a close later */
TAILQ_HEAD(passthrough_list, passthrough_file);

struct passthrough_table {
    struct passthrough_file *bucket[PASSTHROUGH_BUCKETS] GUARDED_BY(inodes);
    struct passthrough_list idle GUARDED_BY(inodes);
    _Atomic size_t count; /* of both */
    size_t max;
    _Atomic bool verify; /* some namespace has verify=open, or had */
    _Atomic bool damage; /* a read found some since the store was opened */
    /* Has nobody else that file open? 0, or the -errno of a lease; tests have their own. */
    int (*probe)(int fd);
};

void passthrough_table_init(struct state *p);
void passthrough_table_release(struct state *p); /* the mount is gone */

/* A namespace has its setting. */
static inline void passthrough_table_note_verify(struct passthrough_table *t, bool verify)
{
    if (verify)
        atomic_store(&t->verify, true);
}

/* A file that may be read by passthrough, with what takes time and locks done beforehand. */
struct passthrough_candidate {
    bool tried;
    bool verify; /* all of its bytes are to be verified first */
    uint64_t object, where;
    struct blob *blob; /* pinned; NULL: it is none */
};
/* Holding nothing. -EUCLEAN: damage, told; -EWOULDWAIT (nowait.h). Nothing else is an error. */
int passthrough_file_prepare(struct state *p, const struct inode *in,
                             struct passthrough_candidate *c);
void passthrough_candidate_release(struct state *p, struct passthrough_candidate *c);

/* Count an open of `v`, whose inode is `in`, with flags of enum vfs_open_flags, and decide what it
 * is; *ret NULL: not passthrough. -EAGAIN: it may be, and the candidate is to be prepared;
 * -ETXTBSY;
 * -ESTALE: only who may read by passthrough can have it just now. Needs v->ns->lock. */
int passthrough_file_count_open(struct state *p, struct vnode *v, const struct inode *in,
                                unsigned flags, struct passthrough_candidate *c,
                                struct passthrough_file **ret);
/* Before its vnode_close. */
void passthrough_file_close(struct state *p, struct passthrough_file *n);
/* The inode goes with its last close, and nobody can open it again. */
void passthrough_file_forget(struct state *p, uint64_t nodeid);

/* The size of `v` is changed by its name, between the two: -ETXTBSY. */
int passthrough_file_cut_begin(struct state *p, struct vnode *v);
void passthrough_file_cut_end(struct state *p, struct vnode *v);

int passthrough_pause(void); /* -EWOULDWAIT (nowait.h) */
/* Let go of those that nobody maps any more. Holding nothing. */
void passthrough_table_sweep(struct state *p);
void vfs_get_passthroughs(struct state *p, struct vfs_passthroughs *ret);
/* Can what a passthrough reading leaves behind be seen at all, on the disk of `fd`, a file that
 * nobody else has open? -errno of fcntl(2), F_SETLEASE. SIGIO must be ignored. */
int vfs_passthrough_probe(int fd);
