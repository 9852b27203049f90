// SPDX-License-Identifier: Apache-2.0
/*
 * io: system calls as the rest wants them: whole transfers, EINTR hidden, 0 or -errno.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Read up to `len` bytes at `off`; stops early only at the end of the file.
 * Returns the bytes read (0 … len) or -errno. */
ssize_t io_pread(int fd, void *buf, size_t len, uint64_t off);
/* Write all of it or fail; on failure part may be written. */
int io_pwrite(int fd, const void *buf, size_t len, uint64_t off);
/* The same from several buffers; `iov` is used up (its entries change). */
int io_pwritev(int fd, struct iovec *iov, int count, uint64_t off);
/* Write all at the current position. */
int io_write(int fd, const void *buf, size_t len);

/* Whole small file below `dirfd` (beneath.h) into a fresh NUL-terminated buffer the caller frees; a
 * name that is absolute, and so the machine's, is opened as it is. -EFBIG above `max` bytes;
 * -EUCLEAN what is there is no regular file. */
int io_read_file(int dirfd, const char *name, size_t max, char **ret_buf, size_t *ret_len);
/* Replace a file atomically and durably: temporary name, fsync, rename, fsync of the directory. */
int io_write_file(int dirfd, const char *name, const void *buf, size_t len, mode_t mode);

/* fsync the directory `name` below `dirfd` ("." for itself; ".." is the one above). -EUCLEAN */
int io_sync_dir(int dirfd, const char *name);

/* Does that -errno say that there is no room: of the disk, or of a user on it? Nothing was written,
 * and it can be tried again when there is. */
static inline bool io_is_full(int err)
{
    return err == -ENOSPC || err == -EDQUOT;
}

/* Does it say that the process or the machine is short of something, descriptors or memory? Then
 * the disk was not even asked: what is on it is as certain as before, and it can be tried again. */
static inline bool io_is_short(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOMEM;
}

/* Something that passes: either of them. */
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
