// SPDX-License-Identifier: Apache-2.0
/*
 * disk: the interface to the files of the home shard: plain files in plain directories, which
 * become durable by explicit calls only. It has two implementations: a directory of the machine
 * (disk_dir.c), and one in memory that can lose power and flip bits (mem/disk_mem.c). A third one
 * keeps whole files alone, on a shard (disk_put.h); what it lacks is said there, and
 * disk_is_whole tells it from the others.
 *
 * Names are paths of at most DISK_NAME_MAX bytes below the root, such as "objects/ab/0123". `mkdir`
 * makes their directories. Durability is that of POSIX: the bytes of a file are durable after
 * `sync` of the file; a name that was created, linked or removed is durable after `sync_dir` of its
 * directory. Nothing else is promised, and disk_mem loses everything else. A sync that fails with a
 * shortage (io_is_short) has not begun, and can be tried again. After any other failure of a sync
 * it is unknown what the disk has.
 *
 * Errors: 0 or -errno. -ENOENT, -EEXIST, -ENOSPC, -EIO, -EROFS, -ENOMEM; -EUCLEAN: the name is that
 * of something else than a file, or than a directory. A write that fails may have written a part.
 * Threads: all calls from any thread; two writers of one range race as on any disk.
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
    uint64_t blocks; /* bytes that it occupies on the disk */
};

struct disk_space {
    /* `blocks` 0: no limit of the disk is known, and blocks_avail says nothing */
    uint64_t block_size, blocks, blocks_free, blocks_avail, files, files_free;
    int full; /* error of a write when no space is left: -ENOSPC, or -EDQUOT if a quota limits it */
};

enum disk_open_flags {
    DISK_READ = 0,
    DISK_WRITE = 1 << 0,  /* read and write */
    DISK_CREATE = 1 << 1, /* creates it; -EEXIST: the name exists */
    /* The file will stay open for a long time. -EMFILE: only those descriptors are left that are
     * reserved for commits and for files that are closed soon. */
    DISK_HELD = 1 << 2,
    /* For reading only: where to look for the name costs a request, the first read looks for it,
     * and may return -ENOENT. So a caller may hold a lock that nobody may hold while a shard is
     * asked. */
    DISK_LATER = 1 << 3,
    /* For reading only: where each read costs a request, all bytes are read now and kept here. So
     * it stays as it is, also if somebody replaces or removes it, and may be read with a lock held.
     * */
    DISK_COPIED = 1 << 4,
};

/* Called by disk_list for each name. It stops at a result other than 0, which disk_list then
 * returns. */
typedef int disk_list_fn(const char *name, void *ctx);

enum disk_flags {
    DISK_ONLY_READ = 1 << 0, /* every change fails with -EROFS */
    DISK_FOREIGN = 1 << 1,   /* as STORE_FOREIGN: it and its shards may belong to other users */
};

/* A disk that is a directory of this machine. `fd` is that directory; it stays the caller's. The
 * caller has checked who owns the directory. */
int disk_open_fd(int fd, unsigned flags, struct disk **ret_disk);
/* Was it opened with DISK_FOREIGN, so that its files may belong to other users? */
bool disk_is_foreign(const struct disk *d);
/* Are the files in objects/ and packs/ of this disk whole, so that they are put at once and never
 * changed (disk_put.h)? Then a pack that was synced cannot be appended to, punched or changed. */
bool disk_is_whole(const struct disk *d);
void disk_close(struct disk *d); /* NULL is fine; all files must be closed */

int disk_mkdir(struct disk *d, const char *name); /* 0, too, if it exists */
int disk_open(struct disk *d, const char *name, unsigned flags, struct disk_file **ret_file);
/* As disk_open for reading, of a file whose size the caller knows, and which never changes. Where
 * each answer takes long nobody is asked now: that the file is missing (-ENOENT) or has fewer bytes
 * is seen when it is read, and its size counts as `size`. */
int disk_open_sized(struct disk *d, const char *name, uint64_t size, unsigned flags,
                    struct disk_file **ret_file);
void disk_file_close(struct disk_file *f); /* NULL is fine */

/* Returns the bytes read, fewer than `len` only at the end of the file, or -errno. */
ssize_t disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off);
int disk_pwritev(struct disk_file *f, const struct iovec *iov, int count, uint64_t off);
int disk_pwrite(struct disk_file *f, const void *buf, size_t len, uint64_t off);
int disk_truncate(struct disk_file *f, uint64_t size);
/* Gives the range back to the disk; it reads as zeros afterwards. -EOPNOTSUPP: the disk cannot. */
int disk_punch(struct disk_file *f, uint64_t off, uint64_t len);
int disk_sync(struct disk_file *f); /* bytes and size (fdatasync) */
int disk_fstat(struct disk_file *f, struct disk_stat *ret);
int disk_stat(struct disk *d, const char *name, struct disk_stat *ret); /* of a file; -ENOENT */
/* Starts to write the range back, and does not wait (sync_file_range). A hint, which never
 * fails. */
void disk_flush_hint(struct disk_file *f, uint64_t off, uint64_t len);
/* Makes the file `size` bytes long, which must be more than it has. New bytes are zeros, and later
 * writes within the file need no room. After -ENOSPC and the like the old bytes are still there. */
int disk_allocate(struct disk_file *f, uint64_t size);
/* Maps the bytes [off, off+len); `off` is a multiple of 4096. In a file that was opened with
 * DISK_WRITE they may be changed there, otherwise only read. Programs see a change at once; it is
 * durable after disk_sync. The file must stay open and keep its length. */
int disk_map(struct disk_file *f, uint64_t off, size_t len, void **ret_map);
/* Says that these bytes of a mapping will be touched soon. They are read together, into small
 * pages: a store into a large page makes all of it dirty, and the next sync writes all of it. A
 * hint, which never fails. */
void disk_map_ahead(struct disk_file *f, uint64_t off, uint64_t len);
void disk_unmap(struct disk_file *f, void *map, size_t len); /* NULL map is fine */
/* Called after every change of bytes in a mapping, before any code relies on the change. */
void disk_map_wrote(struct disk_file *f, void *map, size_t at, size_t len);
/* The descriptor of the file, for splice and the like; -1: there is none. Borrowed. */
int disk_fd(struct disk_file *f);

int disk_link(struct disk *d, const char *from, const char *to); /* -EEXIST */
/* Puts a copy of all bytes of `from`, a file of any disk that nobody changes meanwhile, under the
 * name `to`, durably. -EEXIST; -EOPNOTSUPP: the disk is not of whole files. */
int disk_put_copy(struct disk *d, const char *to, struct disk_file *from);
int disk_unlink(struct disk *d, const char *name);
int disk_rename(struct disk *d, const char *from, const char *to); /* replaces */
int disk_sync_dir(struct disk *d, const char *name);               /* "" is the root */
/* Lists the names in a directory, in no order, without "." and "..". -ENOENT. */
int disk_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx);
/* Lists all files below a directory of a disk of whole files, by their names from there on
 * ("ab/0123"), in no order, and with fewer requests than lists of its directories would need.
 * -EOPNOTSUPP: the disk is not of whole files. */
int disk_list_below(struct disk *d, const char *name, disk_list_fn *fn, void *ctx);
int disk_space(struct disk *d, struct disk_space *ret);
/* A number of the disk's page cache, which is new after each boot, and when the filesystem was
 * mounted nowhere in between. As long as it is the same, all bytes that were written are there,
 * synced or not. Where the kernel does not tell that (most do of btrfs; of ext4, xfs and others
 * since Linux 6.9) it is new for each mount. 0 or -errno; any thread. */
int disk_incarnation(struct disk *d, uint8_t out[32]);
/* The number that older versions of this program would have had: always new for each mount. What
 * was written under it is in this page cache, too. */
int disk_incarnation_of_mount(struct disk *d, uint8_t out[32]);
