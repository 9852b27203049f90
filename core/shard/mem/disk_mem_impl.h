// SPDX-License-Identifier: Apache-2.0
/*
 * disk_mem_impl: what the files of the disk in memory share: disk_mem.c (names and files, as
 * programs see them), mem_bytes.c (the bytes of a file), mem_loss.c (what survives).
 */
#pragma once

#include "disk_impl.h"
#include "disk_mem.h"
#include "lock.h"
#include <stdlib.h>
#include <sys/queue.h>

#define MEM_PAGE 4096

struct bytes {
    uint8_t **page; /* NULL: a hole; `reserved` (mem_bytes.c): zeros with room on the disk */
    size_t pages;
    uint64_t size; /* bytes of the last page behind it are zeros */
};

enum change_kind { CHANGE_WRITE, CHANGE_MAPPED, CHANGE_TRUNCATE, CHANGE_PUNCH, CHANGE_ALLOCATE };

struct change {
    STAILQ_ENTRY(change) next;
    enum change_kind kind;
    uint64_t off; /* CHANGE_TRUNCATE, CHANGE_ALLOCATE: the size */
    uint64_t len;
    uint8_t data[]; /* CHANGE_WRITE, CHANGE_MAPPED */
};

struct inode;

struct entry {
    char name[DISK_NAME_MAX + 1];
    struct inode *inode;
};

struct names {
    struct entry *entry;
    size_t count, room;
};

/* A change of names in one directory: `remove` is removed, then `set` becomes a name of `inode`.
 * Either may be empty. A rename within one directory has both, so it is lost or kept as one. */
struct name_change {
    STAILQ_ENTRY(name_change) next;
    char remove[DISK_NAME_MAX + 1], set[DISK_NAME_MAX + 1];
    struct inode *inode;
};

struct inode {
    LIST_ENTRY(inode) all;
    uint64_t number; /* never used again */
    bool is_dir;
    unsigned links, opens; /* how many visible names, and how many open handles, it has */
    struct bytes visible, durable;
    STAILQ_HEAD(change_list, change) changes;
    struct names visible_names, durable_names;
    STAILQ_HEAD(name_change_list, name_change) name_changes;
    bool write_failed; /* the next sync fails: a store into a mapping was hit by a fault */
    bool reachable;    /* used by a power cycle: a durable name leads to it */
    uint64_t lost;     /* a hash of what the last power cycle did to its changes */
};

/* Decides what a power cycle does to the changes, one after the other. */
struct fates {
    enum fault_loss loss;
    uint64_t state;  /* of fault_random */
    uint64_t chosen; /* FAULT_LOSE_ONE, FAULT_KEEP_ONE: so many changes before that one */
    uint64_t told;   /* a hash of what was done to the changes of this inode so far */
};

struct mem_disk {
    struct disk base;
    struct mutex lock; /* guards all fields below */
    struct fault *fault;
    uint64_t capacity;
    uint64_t used;   /* bytes in pages of visible files */
    uint64_t cycles; /* power cycles */
    uint64_t lives;  /* how many of them may have lost something */
    uint64_t made;   /* inodes that were made */
    uint64_t lost;   /* disk_mem_lost */
    LIST_HEAD(, inode) inodes;
    struct inode *root;
};

static inline void *mem_must(void *p)
{
    if (!p)
        abort();
    return p;
}

static inline struct mem_disk *mem_disk_of(struct disk *d)
{
    return (struct mem_disk *)d;
}

/* ---- mem_bytes.c ---- */

/* Has page `i` bytes of its own? Not a hole, nor room with zeros. */
bool mem_page_has_bytes(const struct bytes *b, size_t i);
uint64_t mem_bytes_held(const struct bytes *b);
/* By how much mem_bytes_held grows if these bytes are written. */
uint64_t mem_bytes_growth(const struct bytes *b, uint64_t len, uint64_t off);
void mem_bytes_write(struct bytes *b, const uint8_t *data, uint64_t len, uint64_t off);
size_t mem_bytes_read(const struct bytes *b, uint8_t *out, size_t len, uint64_t off);
void mem_bytes_punch(struct bytes *b, uint64_t off, uint64_t len);
void mem_bytes_truncate(struct bytes *b, uint64_t size);
void mem_bytes_allocate(struct bytes *b, uint64_t size);
void mem_bytes_copy(struct bytes *to, const struct bytes *from);
void mem_bytes_release(struct bytes *b);

/* ---- mem_loss.c ---- */

struct change *mem_change_add(struct inode *n, enum change_kind kind, uint64_t off, uint64_t len);
void mem_change_apply(const struct change *c, struct bytes *b);
void mem_names_copy(struct names *to, const struct names *from);
struct entry *mem_names_find(const struct names *t, const char *name);
void mem_name_change_apply(const struct name_change *c, struct names *t);
/* Apply the changes to the durable side, as the fates decide, and free them. */
void mem_changes_settle(struct inode *n, struct fates *f);
void mem_name_changes_settle(struct inode *dir, struct fates *f);

/* ---- disk_mem.c ---- */

void mem_inode_destroy(struct inode *n);
