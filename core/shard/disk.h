// SPDX-License-Identifier: Apache-2.0
/*
 * disk: the home shard's file interface: plain files in plain directories, and a durability that is
 * said aloud. Two implementations: a directory of the machine (disk_dir.c), and one in memory that
 * can lose power and flip bits (mem/disk_mem.c).
 *
 * Names are paths of at most DISK_NAME_MAX bytes below the root, such as "objects/ab/0123"; their
 * directories are made by `mkdir`. Durability, as POSIX has it: file bytes are durable after
 * `sync` of the file; a name (created, linked or removed) is durable after `sync_dir` of its
 * directory. Nothing else is promised, and disk_mem loses all the rest. A sync that fails with a
 * shortage (io_is_short) has not begun, and can be tried again; after any other failure it
 * is not known what the disk has.
 *
 * Errors: 0 or -errno. -ENOENT, -EEXIST, -ENOSPC, -EIO, -EROFS, -ENOMEM; -EUCLEAN what has the name
 * is no file, or no directory. A write that fails may have written a part. Threads: all calls from
 * any thread; two writers of one range race as on any disk.
 */
#pragma once

#include "clock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define DISK_NAME_MAX 127

struct disk;
struct disk_file;

struct disk_stat {
    uint64_t size;   /* bytes */
    uint64_t blocks; /* bytes really occupied */
};

struct disk_space {
    uint64_t block_size, blocks, blocks_free, blocks_avail, files, files_free;
    int full; /* error of a write when no space is left: -ENOSPC, or -EDQUOT if a quota limits it */
};

enum disk_open_flags {
    DISK_READ = 0,
    DISK_WRITE = 1 << 0,  /* read and write */
    DISK_CREATE = 1 << 1, /* must not exist: -EEXIST */
    /* The file will stay open for a long time. -EMFILE: the only descriptors left are
     * those that are kept for commits and for files that are closed soon. */
    DISK_HELD = 1 << 2,
};

/* A name found by disk_list; return non-zero to stop, which disk_list then returns. */
typedef int disk_list_fn(const char *name, void *ctx);

enum disk_flags {
    DISK_ONLY_READ = 1 << 0, /* every change fails with -EROFS */
    DISK_FOREIGN = 1 << 1,   /* as STORE_FOREIGN: it and its shards may be anybody's */
};

/* A directory of this machine that is open; `fd` stays the caller's. The caller has checked who
 * owns the directory. */
int disk_open_fd(int fd, unsigned flags, struct disk **ret_disk);
/* Was it opened with DISK_FOREIGN: may its files belong to other users? */
bool disk_is_foreign(const struct disk *d);
void disk_close(struct disk *d); /* NULL is fine; all files must be closed */

int disk_mkdir(struct disk *d, const char *name); /* -EEXIST is success */
int disk_open(struct disk *d, const char *name, unsigned flags, struct disk_file **ret_file);
void disk_file_close(struct disk_file *f); /* NULL is fine */

/* Bytes read, short only at the end of the file, or -errno. */
ssize_t disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off);
int disk_pwritev(struct disk_file *f, const struct iovec *iov, int count, uint64_t off);
int disk_pwrite(struct disk_file *f, const void *buf, size_t len, uint64_t off);
int disk_truncate(struct disk_file *f, uint64_t size);
/* Give the range back to the disk; it reads as zeros. -EOPNOTSUPP where the disk cannot. */
int disk_punch(struct disk_file *f, uint64_t off, uint64_t len);
int disk_sync(struct disk_file *f); /* data and size (fdatasync) */
int disk_fstat(struct disk_file *f, struct disk_stat *ret);
/* Start writing back without waiting (sync_file_range); a hint, never fails. */
void disk_flush_hint(struct disk_file *f, uint64_t off, uint64_t len);
/* Make the file `size` bytes long, which is more than it has. New bytes are zeros, and a write
 * within the file then needs no room. After -ENOSPC and the like the bytes that there were are
 * still there. */
int disk_allocate(struct disk_file *f, uint64_t size);
/* The bytes [off, off+len) as memory, off a multiple of 4096; of a file opened with DISK_WRITE to
 * be changed there, else only to be read. Programs see a change at once; it is durable after
 * disk_sync. The file must stay open, and as long. */
int disk_map(struct disk_file *f, uint64_t off, size_t len, void **ret_map);
/* These bytes of a mapping will be touched soon: they are read together, into small pages. A store
 * into a large one makes all of it dirty, and the next sync writes as much. A hint, never fails. */
void disk_map_ahead(struct disk_file *f, uint64_t off, uint64_t len);
void disk_unmap(struct disk_file *f, void *map, size_t len); /* NULL map is fine */
/* To be called after every change of bytes in a mapping, and before anybody relies on the change.
 * */
void disk_map_wrote(struct disk_file *f, void *map, size_t at, size_t len);
/* The descriptor behind it, for splice and the like; -1 where there is none. Borrowed. */
int disk_fd(struct disk_file *f);

int disk_link(struct disk *d, const char *from, const char *to); /* -EEXIST */
int disk_unlink(struct disk *d, const char *name);
int disk_rename(struct disk *d, const char *from, const char *to); /* replaces */
int disk_sync_dir(struct disk *d, const char *name);               /* "" is the root */
/* Names in a directory, without order, "." and "..". -ENOENT. */
int disk_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx);
int disk_space(struct disk *d, struct disk_space *ret);
/* A number of the disk's page cache, new after each boot and mount. As long as it is the same, all
 * bytes that were written are there, synced or not. */
int disk_incarnation(struct disk *d, uint8_t out[32]);
