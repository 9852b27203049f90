// SPDX-License-Identifier: Apache-2.0
/*
 * io: whole transfers over system calls that may be short or interrupted. Each loop ends, because
 * every turn transfers bytes, or returns, or repeats a call that a signal has interrupted.
 */
#include "io.h"

#include "beneath.h"
#include "strbuf.h"
#include "waits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t io_pread(int fd, void *buf, size_t len, uint64_t off)
{
    size_t done = 0;
    WAITS_GUARD(WAITS_FILE, "a read of", fd, NULL);
    while (done < len) {
        ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(off + done));
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            done += (size_t)n;
    }
    return (ssize_t)done;
}

/* Drops `n` written bytes (and empty buffers) from the front of the vector. */
static void skip(struct iovec **iov, int *count, size_t n)
{
    while (*count > 0 && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (*count > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + n;
        (*iov)->iov_len -= n;
    }
}

/* Buffers of no bytes are skipped at the start: the kernel would return 0 for them, which means an
 * error here. */
int io_pwritev(int fd, struct iovec *iov, int count, uint64_t off)
{
    const int most = 1024; /* IOV_MAX on Linux */
    WAITS_GUARD(WAITS_FILE, "a write of", fd, NULL);
    skip(&iov, &count, 0);
    while (count > 0) {
        ssize_t n = pwritev(fd, iov, count < most ? count : most, (off_t)off);
        if (n == 0)
            return -EIO;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            off += (uint64_t)n;
            skip(&iov, &count, (size_t)n);
        }
    }
    return 0;
}

int io_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
    return io_pwritev(fd, &iov, 1, off);
}

int io_write(int fd, const void *buf, size_t len)
{
    const char *p = buf;
    WAITS_GUARD(WAITS_FILE, "a write of", fd, NULL);
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n == 0)
            return -EIO;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int io_read_rest(int fd, size_t max, struct strbuf *ret)
{
    char chunk[16384];
    size_t left = max;
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0)
            return strbuf_error(ret);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n < 0)
            continue;
        if ((size_t)n > left)
            return -EFBIG;
        left -= (size_t)n;
        strbuf_add(ret, chunk, (size_t)n);
        if (strbuf_error(ret) < 0)
            return strbuf_error(ret);
    }
}

int io_read_file(int dirfd, const char *name, size_t max, char **ret_buf, size_t *ret_len)
{
    CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;
    CLEANUP_CLOSE int fd = *name == '/' ? openat(dirfd, name, O_RDONLY | O_CLOEXEC)
                                        : beneath_open(dirfd, name, O_RDONLY, 0);
    if (fd < 0)
        return *name == '/' ? -errno : fd;
    int err = io_read_rest(fd, max, &b);
    if (err < 0)
        return err;
    size_t len;
    char *text = strbuf_detach(&b, &len);
    if (!text)
        return -ENOMEM;
    *ret_buf = text;
    *ret_len = len;
    return 0;
}

/* Makes a new file with these bytes and syncs it. After a failure the file is removed. */
static int write_new(int dirfd, const char *name, const void *buf, size_t len, mode_t mode)
{
    /* A crash may have left such a file; O_EXCL alone would then fail for ever. */
    int err = beneath_unlink(dirfd, name);
    if (err < 0 && err != -ENOENT)
        return err;
    CLEANUP_CLOSE int fd = beneath_open(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd < 0)
        return fd;
    err = io_write(fd, buf, len);
    WAITS_GUARD(WAITS_FILE, "a sync of", fd, NULL);
    if (err == 0 && fsync(fd) < 0)
        err = -errno;
    if (err < 0)
        (void)beneath_unlink(dirfd, name);
    return err;
}

/* Syncs the directory that `name` is in. */
static int sync_parent(int dirfd, const char *name)
{
    const char *slash = strrchr(name, '/');
    if (!slash)
        return io_sync_dir(dirfd, ".");
    CLEANUP_FREE char *dir = strndup(name, (size_t)(slash - name) + 1);
    return !dir ? -ENOMEM : io_sync_dir(dirfd, dir);
}

int io_write_file(int dirfd, const char *name, const void *buf, size_t len, mode_t mode)
{
    CLEANUP_STRBUF struct strbuf tmp = STRBUF_INIT;
    strbuf_addf(&tmp, "%s.tmp", name);
    int err = strbuf_error(&tmp);
    if (err < 0)
        return err;
    err = write_new(dirfd, tmp.s, buf, len, mode);
    if (err < 0)
        return err;
    err = beneath_rename(dirfd, tmp.s, name);
    if (err < 0) {
        (void)beneath_unlink(dirfd, tmp.s);
        return err;
    }
    return sync_parent(dirfd, name);
}

int io_sync_dir(int dirfd, const char *name)
{
    bool up = strcmp(name, "..") == 0;
    CLEANUP_CLOSE int fd = up ? openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                              : beneath_open_dir(dirfd, name);
    if (fd < 0)
        return up ? -errno : fd;
    WAITS_GUARD(WAITS_FILE, "a sync of", fd, NULL);
    return fsync(fd) < 0 ? -errno : 0;
}

void io_cleanup_close(const int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        (void)close(*fd);
    errno = saved;
}
