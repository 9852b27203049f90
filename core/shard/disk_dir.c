// SPDX-License-Identifier: Apache-2.0
/*
 * disk_dir: a disk that is a directory of this machine. Every name is resolved from the one
 * descriptor opened at the start, so renaming or covering the path later changes nothing.
 */
#include "disk_impl.h"

#include "io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOV_BATCH 16
#define QUOTA_BLOCK 1024 /* bytes; the unit of limits, whatever the disk's blocks are */

struct dir_disk {
    struct disk base;
    int root;
};

struct dir_file {
    struct disk_file base;
    int fd;
};

static int root_of(struct disk *d)
{
    return ((struct dir_disk *)d)->root;
}

static int fd_of(struct disk_file *f)
{
    return ((struct dir_file *)f)->fd;
}

static int result(int r)
{
    return r < 0 ? -errno : 0;
}

static void dir_close(struct disk *d)
{
    close(root_of(d));
    free(d);
}

static int dir_mkdir(struct disk *d, const char *name)
{
    int r = result(mkdirat(root_of(d), name, 0700));

    return r == -EEXIST ? 0 : r;
}

static const struct disk_ops dir_ops;

static int dir_open(struct disk *d, const char *name, unsigned flags, struct disk_file **ret_file)
{
    int mode = flags & (DISK_WRITE | DISK_CREATE) ? O_RDWR : O_RDONLY;
    struct dir_file *f = calloc(1, sizeof *f);

    if (!f)
        return -ENOMEM;
    if (flags & DISK_CREATE)
        mode |= O_CREAT | O_EXCL;
    f->base.ops = &dir_ops;
    f->fd = openat(root_of(d), name, mode | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->fd < 0) {
        int r = -errno;

        free(f);
        return r;
    }
    *ret_file = &f->base;
    return 0;
}

static int dir_link(struct disk *d, const char *from, const char *to)
{
    return result(linkat(root_of(d), from, root_of(d), to, 0));
}

static int dir_unlink(struct disk *d, const char *name)
{
    return result(unlinkat(root_of(d), name, 0));
}

static int dir_rename(struct disk *d, const char *from, const char *to)
{
    return result(renameat(root_of(d), from, root_of(d), to));
}

static int open_dir(struct disk *d, const char *name)
{
    int fd = openat(root_of(d), *name ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int dir_sync_dir(struct disk *d, const char *name)
{
    int fd = open_dir(d, name);

    if (fd < 0)
        return fd;
    int r = result(fsync(fd));

    close(fd);
    return r;
}

static int list_names(DIR *dir, disk_list_fn *fn, void *ctx)
{
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(dir);

        if (!e)
            return -errno;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int r = fn(e->d_name, ctx);

        if (r)
            return r;
    }
}

static int dir_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    int fd = open_dir(d, name);

    if (fd < 0)
        return fd;
    DIR *dir = fdopendir(fd);

    if (!dir) {
        int r = -errno;

        close(fd);
        return r;
    }
    int r = list_names(dir, fn, ctx);

    closedir(dir);
    return r;
}

/* Neither fstatvfs tells of a user's or a group's quota, nor does glibc know the call. Whatever
 * fails says that there is none. */
static void limit_by_quota(int fd, unsigned type, unsigned id, struct disk_space *s)
{
    struct dqblk q = {0};

    if (syscall(SYS_quotactl_fd, fd, QCMD((unsigned)Q_GETQUOTA, type), id, &q) < 0 ||
        q.dqb_bhardlimit == 0)
        return;
    uint64_t limit = q.dqb_bhardlimit * QUOTA_BLOCK;
    uint64_t left = limit > q.dqb_curspace ? limit - q.dqb_curspace : 0;

    if (left / s->block_size >= s->blocks_avail)
        return;
    s->full = -EDQUOT;
    s->blocks_free = s->blocks_avail = left / s->block_size;
    if (limit / s->block_size < s->blocks)
        s->blocks = limit / s->block_size;
}

static int dir_space(struct disk *d, struct disk_space *ret)
{
    struct statvfs s;
    int r = result(fstatvfs(root_of(d), &s));

    if (r)
        return r;
    *ret = (struct disk_space){
        .block_size = s.f_frsize,
        .blocks = s.f_blocks,
        .blocks_free = s.f_bfree,
        .blocks_avail = s.f_bavail,
        .files = s.f_files,
        .files_free = s.f_ffree,
        .full = -ENOSPC,
    };
    if (geteuid() != 0) { /* root has none */
        limit_by_quota(root_of(d), USRQUOTA, geteuid(), ret);
        limit_by_quota(root_of(d), GRPQUOTA, getegid(), ret);
    }
    return 0;
}

static void dir_file_close(struct disk_file *f)
{
    close(fd_of(f));
    free(f);
}

static ssize_t dir_pread(struct disk_file *f, void *buf, size_t len, uint64_t off)
{
    return io_pread(fd_of(f), buf, len, off);
}

/* In batches, because io_pwritev uses up the array it is given. */
static int dir_pwritev(struct disk_file *f, const struct iovec *iov, int count, uint64_t off)
{
    while (count > 0) {
        struct iovec batch[IOV_BATCH];
        int n = count < IOV_BATCH ? count : IOV_BATCH;
        uint64_t len = 0;

        for (int i = 0; i < n; i++) {
            batch[i] = iov[i];
            len += iov[i].iov_len;
        }
        int r = io_pwritev(fd_of(f), batch, n, off);

        if (r)
            return r;
        off += len;
        iov += n;
        count -= n;
    }
    return 0;
}

static int dir_truncate(struct disk_file *f, uint64_t size)
{
    return result(ftruncate(fd_of(f), (off_t)size));
}

static int dir_punch(struct disk_file *f, uint64_t off, uint64_t len)
{
    return result(
        fallocate(fd_of(f), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len));
}

static int dir_sync(struct disk_file *f)
{
    return result(fdatasync(fd_of(f)));
}

static int dir_fstat(struct disk_file *f, struct disk_stat *ret)
{
    struct stat s;
    int r = result(fstat(fd_of(f), &s));

    if (r)
        return r;
    ret->size = (uint64_t)s.st_size;
    ret->blocks = (uint64_t)s.st_blocks * 512;
    return 0;
}

static void dir_flush_hint(struct disk_file *f, uint64_t off, uint64_t len)
{
    (void)sync_file_range(fd_of(f), (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

static const struct disk_ops dir_ops = {
    .close = dir_close,
    .mkdir = dir_mkdir,
    .open = dir_open,
    .link = dir_link,
    .unlink = dir_unlink,
    .rename = dir_rename,
    .sync_dir = dir_sync_dir,
    .list = dir_list,
    .space = dir_space,
    .file_close = dir_file_close,
    .pread = dir_pread,
    .pwritev = dir_pwritev,
    .truncate = dir_truncate,
    .punch = dir_punch,
    .sync = dir_sync,
    .fstat = dir_fstat,
    .flush_hint = dir_flush_hint,
    .fd = fd_of,
};

int disk_open_dir(const char *path, bool readonly, struct disk **ret_disk)
{
    struct dir_disk *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->base.ops = &dir_ops;
    d->base.readonly = readonly;
    d->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->root < 0) {
        int r = -errno;

        free(d);
        return r;
    }
    *ret_disk = &d->base;
    return 0;
}
