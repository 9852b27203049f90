// SPDX-License-Identifier: Apache-2.0
/*
 * io: system calls in the form that the other rooms use: they transfer everything, they hide EINTR,
 * and they return 0 or -errno.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct strbuf;

/* Reads `len` bytes at `off`, fewer only at the end of the file. Returns how many (0 … len), or
 * -errno. */
ssize_t io_pread(int fd, void *buf, size_t len, uint64_t off);
/* Writes all bytes, or fails; after a failure a part may be written. */
int io_pwrite(int fd, const void *buf, size_t len, uint64_t off);
/* The same from several buffers. The entries of `iov` are changed. */
int io_pwritev(int fd, struct iovec *iov, int count, uint64_t off);
/* Writes all bytes at the current position. */
int io_write(int fd, const void *buf, size_t len);

/* Appends to `ret` what there is from the current position to the end. -EFBIG: that is more than
 * `max` bytes; -ENOMEM. What was read before an error stays in `ret`. */
int io_read_rest(int fd, size_t max, struct strbuf *ret);
/* Reads a whole small file below `dirfd` (beneath.h) into a new buffer with a NUL at its end, which
 * the caller frees. An absolute name is one of the machine, not of a store, and is opened as it is.
 * -EFBIG: the file has more than `max` bytes. -EUCLEAN: it is no regular file. */
int io_read_file(int dirfd, const char *name, size_t max, char **ret_buf, size_t *ret_len);
/* Replaces a file atomically and durably: writes NAME.tmp, syncs it, renames it, and syncs the
 * directory. */
int io_write_file(int dirfd, const char *name, const void *buf, size_t len, mode_t mode);

/* Syncs the directory `name` below `dirfd`. "." is `dirfd` itself, ".." the directory above it.
 * -EUCLEAN: it is no directory. */
int io_sync_dir(int dirfd, const char *name);

/* Does that -errno mean that the disk, or the quota of a user, is full? Nothing was written then,
 * and the caller can try again when there is room. */
static inline bool io_is_full(int err)
{
    return err == -ENOSPC || err == -EDQUOT;
}

/* Does that -errno mean that the process or the machine lacks descriptors or memory? The disk was
 * not accessed then: its contents are as certain as before, and the caller can try again. */
static inline bool io_is_short(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOMEM;
}

/* Does that -errno mean one of these two conditions, which pass? */
static inline bool io_is_passing(int err)
{
    return io_is_full(err) || io_is_short(err);
}

static inline void io_cleanup_free(void *p)
{
    void *q = *(void **)p;
    __builtin_free(q);
}
void io_cleanup_close(const int *fd); /* keeps errno; ignores negative fds */
#define CLEANUP_FREE __attribute__((cleanup(io_cleanup_free)))
#define CLEANUP_CLOSE __attribute__((cleanup(io_cleanup_close)))
