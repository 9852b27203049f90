// SPDX-License-Identifier: Apache-2.0
/*
 * floor_mem: the files and directories of floor.c, in memory, and nothing else: no log, no hash of
 * contents, no checks but those which the kernel leaves to a filesystem.
 *
 * A nodeid is the node's address, the root's is FUSE_ROOT_ID, so that nothing is looked up but
 * names. A node lives while a name or the kernel (`lookups`) has it.
 *
 * Locks: each node's, a directory's before those of what is in it, of two directories the lower
 * address first. The kernel does not make cycles of directories.
 *
 * Errors: 0 or -errno. Only what a function says is locked by it.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define PIECE ((size_t)2 << 20) /* bytes of a file that lie together, and a huge page of the kernel */

struct node;

struct name {
    struct name *next; /* in its bucket */
    struct node *node;
    uint32_t hash;
    uint32_t slot; /* of `slots` */
    size_t len;
    char text[];
};

/* Bytes of a file from a multiple of PIECE on: `room` of them, the rest is zeros. The last ones,
 * behind the end of the file, are zeros, too. */
struct piece {
    char *bytes;
    size_t room;
};

struct node {
    pthread_rwlock_t lock;
    /* guarded by lock: */
    struct stat st;
    uint64_t lookups; /* the kernel's */
    union {
        struct { /* a directory */
            struct name **buckets, **slots; /* slots: as they came, NULL for those that went */
            uint32_t bucket_count, slot_count, slot_room, names;
            struct node *parent;
        };
        struct { /* a file; only the first piece may be shorter than PIECE, or all are missing */
            struct piece first, *more;
            size_t more_count;
        };
        char *target; /* of a symlink */
    };
};

int mem_start(void); /* makes the root */
struct node *mem_node(uint64_t nodeid);
uint64_t mem_id(const struct node *n);
struct timespec mem_now(void);

/* A node with mode, owner and times, which no name has yet. NULL: no memory. */
struct node *mem_new(mode_t mode, uid_t uid, gid_t gid);
/* Gives up `lookups` of the kernel's references, with `unnamed` one of its names as well; it may be
 * gone then. Locks it. */
void mem_drop(struct node *n, uint64_t lookups, bool unnamed);
/* One more reference of the kernel's; its attributes. Locks it. */
void mem_take(struct node *n, struct stat *ret);

/* `dir` is locked. */
struct name *mem_find(struct node *dir, const char *text);
int mem_add(struct node *dir, const char *text, struct node *n); /* -ENOMEM */
/* The node keeps its count of names. */
void mem_remove(struct node *dir, struct name *name);

/* The file is locked. */
int mem_write(struct node *n, const char *buf, size_t len, uint64_t off); /* -ENOMEM, -EFBIG */
/* Where `len` bytes lie together, or NULL: they do not, or are a hole. */
const char *mem_bytes(const struct node *n, size_t len, uint64_t off);
void mem_read(const struct node *n, char *buf, size_t len, uint64_t off); /* before its end */
void mem_cut(struct node *n, uint64_t size);
