// SPDX-License-Identifier: Apache-2.0
/*
 * disk_put_impl: what the files of disk_put share. Private to them.
 *
 *     disk_put.c         the disk: names, and what is put
 *     disk_put_draft.c   the bytes of a file in the making
 *     disk_put_send.c    puts bytes
 *     disk_put_list.c    lists names
 *     disk_put_read.c    reading a file that was put
 */
#pragma once

#include "disk_impl.h"
#include "disk_put.h"
#include "lock.h"
#include <sys/queue.h>

/* ---- disk_put_draft.c ---- */

/* A file in the making, or one that was put and is still open here. */
struct draft {
    LIST_ENTRY(draft) next;       /* in put_disk.drafts while it has a name */
    char name[DISK_NAME_MAX + 1]; /* guarded by: put_disk.lock; "": it has none any more */
    unsigned refs;                /* guarded by: put_disk.lock; open handles */
    bool put;                     /* guarded by: put_disk.lock; never changed any more */
    bool tried;                   /* guarded by: put_disk.lock; a put may have been done */
    struct mutex lock;            /* "put file": guards the fields below */
    uint64_t size;                /* bytes */
    uint8_t *bytes;               /* DISK_PUT_MEMORY bytes; NULL: none yet, or they are in `file` */
    struct disk_file *file;       /* on the scratch disk; NULL: `bytes` has all */
};
LIST_HEAD(draft_list, draft);

struct put_disk;

int draft_make(const char *name, struct draft **ret_draft);
void draft_free(struct draft *w);
uint64_t draft_size(struct draft *w);
int draft_write(struct put_disk *d, struct draft *w, const struct iovec *iov, int count,
                uint64_t off);
ssize_t draft_read(struct draft *w, void *buf, size_t len, uint64_t off);
int draft_truncate(struct put_disk *d, struct draft *w, uint64_t size);

/* ---- disk_put_read.c ---- */

/* Bytes of a file that was put, as they were read. */
struct put_view {
    struct shard *shard;
    char name[DISK_NAME_MAX + 1];
    struct mutex lock; /* "put file": guards the fields below */
    uint8_t *window;   /* bytes [at, at + len) of the file */
    uint64_t at;
    size_t len;
    size_t ahead; /* bytes that the next read asks for at least */
    uint64_t size;
    bool sized; /* `size` is known */
    bool found; /* the name was there: it can have vanished only since */
};

/* Opens a file: with `later` without a request. -ENOENT. */
int put_view_open(struct shard *shard, const char *name, bool later, struct put_view **ret_view);
void put_view_close(struct put_view *v);
ssize_t put_view_read(struct put_view *v, void *buf, size_t len, uint64_t off);
int put_view_size(struct put_view *v, uint64_t *ret_size);

/* ---- disk_put_send.c ---- */

/* The bytes to put: those of a draft, or of a file of another disk. */
struct put_bytes {
    struct draft *draft; /* NULL: those of `file` */
    struct disk_file *file;
    uint64_t size;
};
/* Puts them if nothing has the name: else -EEXIST, also after an attempt whose answer was lost. It
 * decides between writers, so all bytes are in memory meanwhile. */
int put_bytes_first(struct shard *s, const char *name, struct put_bytes *b);
/* The same under a name that is used once: a file there with the same bytes is an earlier attempt,
 * and the result is 0. */
int put_bytes_once(struct shard *s, const char *name, struct put_bytes *b);
/* Puts them in place of what has the name. */
int put_bytes_over(struct shard *s, const char *name, struct put_bytes *b);

/* ---- disk_put_list.c ---- */

/* As disk_list and disk_list_below. */
int put_names(struct shard *s, const char *name, disk_list_fn *fn, void *ctx);
int put_names_below(struct shard *s, const char *name, disk_list_fn *fn, void *ctx);

/* ---- disk_put.c ---- */

struct put_disk {
    struct disk base;
    struct shard *shard;
    struct disk *scratch;
    struct mutex lock; /* "disk put": guards the fields below, and what is said of drafts */
    struct draft_list drafts;
    unsigned next; /* number of the next scratch file */
    struct shard_space space;
    int64_t asked; /* ticks: when `space` was asked for */
};
/* Makes a file without a name on the scratch disk. */
int put_disk_scratch(struct put_disk *d, struct disk_file **ret_file);
