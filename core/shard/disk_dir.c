// SPDX-License-Identifier: Apache-2.0
/*
 * disk_dir: a disk that is a directory of this machine. Every name is resolved from the one
 * descriptor that was opened at the start, so it does not matter if the path is renamed or covered
 * later. No symlink is followed (beneath.h), so a name never leads out of the directory.
 */
#include "disk_impl.h"

#include "beneath.h"
#include "io.h"
#include "waits.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define IOV_BATCH 16
#define FILES_RESERVE 64 /* descriptors; at most a quarter of those that the process may have */
#define QUOTA_BLOCK 1024 /* bytes: the unit of limits, whatever the blocks of the disk are */

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

static int result(int rc)
{
    return rc < 0 ? -errno : 0;
}

/* The result of a sync. A shortage is returned as -EIO: the kernel may have dropped what it could
 * not write, and disk.h promises that a sync which fails with a shortage has not begun. */
static int sync_result(int rc)
{
    int err = result(rc);

    return io_is_short(err) ? -EIO : err;
}

static void dir_close(struct disk *d)
{
    close(root_of(d));
    free(d);
}

static int dir_mkdir(struct disk *d, const char *name)
{
    int err = beneath_mkdir(root_of(d), name, 0700);

    return err == -EEXIST ? 0 : err;
}

/* Is `fd` one of the last descriptors that the process may have? The kernel gives out the lowest
 * free number, so a high one means that few are left. */
static bool is_of_reserve(int fd)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    rlim_t reserve = limit.rlim_cur / 4 < FILES_RESERVE ? limit.rlim_cur / 4 : FILES_RESERVE;

    return (rlim_t)fd >= limit.rlim_cur - reserve;
}

/* Opens a file; one to be held (DISK_HELD) must not use up the last descriptors: -EMFILE. */
static int open_file(struct disk *d, const char *name, unsigned flags, int mode)
{
    WAITS_GUARD(WAITS_FILE, "the opening of a file in", root_of(d), NULL);
    int fd = beneath_open(root_of(d), name, mode, 0600);

    if (fd < 0 || !(flags & DISK_HELD) || !is_of_reserve(fd))
        return fd;
    close(fd);
    if (flags & DISK_CREATE)
        (void)beneath_unlink(root_of(d), name);
    return -EMFILE;
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
    f->fd = open_file(d, name, flags, mode);
    if (f->fd < 0) {
        int err = f->fd;

        free(f);
        return err;
    }
    *ret_file = &f->base;
    return 0;
}

static int dir_link(struct disk *d, const char *from, const char *to)
{
    WAITS_GUARD(WAITS_FILE, "a new name in", root_of(d), NULL);
    return beneath_link(root_of(d), from, to);
}

static int dir_unlink(struct disk *d, const char *name)
{
    WAITS_GUARD(WAITS_FILE, "a deletion in", root_of(d), NULL);
    return beneath_unlink(root_of(d), name);
}

static int dir_rename(struct disk *d, const char *from, const char *to)
{
    WAITS_GUARD(WAITS_FILE, "a new name in", root_of(d), NULL);
    return beneath_rename(root_of(d), from, to);
}

static int dir_sync_dir(struct disk *d, const char *name)
{
    int fd = beneath_open_dir(root_of(d), name);

    if (fd < 0)
        return fd;
    WAITS_GUARD(WAITS_FILE, "a sync of", fd, NULL);
    int err = sync_result(fsync(fd));

    close(fd);
    return err;
}

static int dir_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    return beneath_list(root_of(d), name, fn, ctx);
}

/* Lowers the space to what the quota of a user or a group leaves: fstatvfs does not know quotas,
 * and glibc has no quotactl_fd. If the call fails, there is no quota. */
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

/* The space of the file system, lowered by quotas. */
static int dir_space(struct disk *d, struct disk_space *ret)
{
    struct statvfs s;
    WAITS_GUARD(WAITS_FILE, "the free space of", root_of(d), NULL);
    int err = result(fstatvfs(root_of(d), &s));

    if (err)
        return err;
    *ret = (struct disk_space){
        .block_size = s.f_frsize,
        .blocks = s.f_blocks,
        .blocks_free = s.f_bfree,
        .blocks_avail = s.f_bavail,
        .files = s.f_files,
        .files_free = s.f_ffree,
        .full = -ENOSPC,
    };
    if (geteuid() != 0) { /* quotas do not limit root */
        limit_by_quota(root_of(d), USRQUOTA, geteuid(), ret);
        limit_by_quota(root_of(d), GRPQUOTA, getegid(), ret);
    }
    return 0;
}

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000u /* Linux 6.8; such a number is not used twice in one boot */
#endif

/* The kernel's random number of this boot, as 16 bytes. If it cannot be read, a new random number
 * is used, which is like no other. */
static int boot_number(uint8_t out[16])
{
    static const char hex[] = "0123456789abcdef";
    char *text = NULL;
    size_t len;
    unsigned digits = 0;

    memset(out, 0, 16);
    if (io_read_file(AT_FDCWD, BOOT_ID, 64, &text, &len) == 0)
        for (const char *c = text; *c && digits < 32; c++) {
            const char *found = strchr(hex, *c); /* other bytes are dashes */
            unsigned value = found ? (unsigned)(found - hex) : 0;

            if (found)
                out[digits / 2] |= (uint8_t)(value << (digits % 2 ? 0 : 4));
            digits += !!found;
        }
    free(text);
    return digits == 32 || getrandom(out, 16, 0) == 16 ? 0 : -EIO;
}

/* What FS_IOC_GETFSSYSFSPATH of Linux 6.9 fills in; <linux/fs.h> of older kernels lacks it. */
struct sysfs_path {
    uint8_t len;
    uint8_t name[128];
};
#define GET_SYSFS_PATH _IOR(0x15, 1, struct sysfs_path)
#define OF_FILESYSTEM (UINT64_C(1) << 63) /* no mount has so high a number */
#define SYSFS_NAME 160                    /* bytes of a path in sysfs */

/* The directory of a btrfs, which has the name of its id. 0 or -errno. */
static int btrfs_directory(int fd, char path[SYSFS_NAME])
{
    struct btrfs_ioctl_fs_info_args info = {0};
    int n = snprintf(path, SYSFS_NAME, "/sys/fs/btrfs/");

    if (ioctl(fd, BTRFS_IOC_FS_INFO, &info) < 0)
        return -errno;
    for (int i = 0; i < BTRFS_FSID_SIZE; i++)
        n += snprintf(path + n, SYSFS_NAME - (size_t)n, "%s%02x",
                      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", info.fsid[i]);
    return 0;
}

/* The directory in sysfs of the mounted filesystem that `fd` is of. 0 or -errno: there is none. */
static int sysfs_directory(int fd, char path[SYSFS_NAME])
{
    struct sysfs_path p;
    struct statfs fs;

    if (fstatfs(fd, &fs) == 0 && fs.f_type == BTRFS_SUPER_MAGIC)
        return btrfs_directory(fd, path);
    if (ioctl(fd, GET_SYSFS_PATH, &p) < 0)
        return -errno;
    (void)snprintf(path, SYSFS_NAME, "/sys/fs/%.*s", p.len, (const char *)p.name);
    return 0;
}

/* A number of the mounted filesystem that `fd` is of, the same for all its mounts in all
 * namespaces, and not used twice in one boot: the inode of its directory in sysfs, which the kernel
 * makes when the filesystem is mounted first, and removes when it is mounted nowhere any more. 0:
 * there is none. */
static uint64_t filesystem_number(int fd)
{
    char path[SYSFS_NAME];
    struct stat st;
    struct statfs fs;

    if (sysfs_directory(fd, path) < 0)
        return 0;
    CLEANUP_CLOSE int dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 || fstatfs(dir, &fs) < 0 || fs.f_type != SYSFS_MAGIC || fstat(dir, &st) < 0)
        return 0;
    return st.st_ino | OF_FILESYSTEM;
}

/* The number of this boot, the device, and the number of the filesystem or, if there is none or it
 * is asked for, that of the mount. */
static int dir_incarnation(struct disk *d, bool of_mount, uint8_t out[32])
{
    uint64_t filesystem = of_mount ? 0 : filesystem_number(root_of(d));
    struct statx s;
    struct stat st;
    int err = boot_number(out);

    if (err == 0)
        err = result(fstat(root_of(d), &st));
    if (err == 0)
        err = result(statx(root_of(d), "", AT_EMPTY_PATH, STATX_MNT_ID | STATX_MNT_ID_UNIQUE, &s));
    if (err)
        return err;
    uint64_t numbers[2] = {st.st_dev, filesystem ? filesystem : s.stx_mnt_id};

    memcpy(out + 16, numbers, 16);
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

/* Writes in batches of a copy, because io_pwritev changes the array that it is given. */
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
        int err = io_pwritev(fd_of(f), batch, n, off);

        if (err)
            return err;
        off += len;
        iov += n;
        count -= n;
    }
    return 0;
}

static int dir_truncate(struct disk_file *f, uint64_t size)
{
    WAITS_GUARD(WAITS_FILE, "a truncation of", fd_of(f), NULL);
    return result(ftruncate(fd_of(f), (off_t)size));
}

static int dir_punch(struct disk_file *f, uint64_t off, uint64_t len)
{
    WAITS_GUARD(WAITS_FILE, "a hole in", fd_of(f), NULL);
    return result(
        fallocate(fd_of(f), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len));
}

/* Allocates by writing zeros, if the file system has no fallocate. */
static int write_zeros(int fd, uint64_t from, uint64_t size)
{
    static const uint8_t zeros[256 * 1024];

    while (from < size) {
        size_t n = size - from < sizeof zeros ? (size_t)(size - from) : sizeof zeros;
        int err = io_pwrite(fd, zeros, n, from);

        if (err)
            return err;
        from += n;
    }
    return 0;
}

/* If the disk fills up on the way, the part that was allocated is given back. */
static int dir_allocate(struct disk_file *f, uint64_t size)
{
    struct stat s;
    WAITS_GUARD(WAITS_FILE, "an allocation in", fd_of(f), NULL);
    int err = result(fstat(fd_of(f), &s));

    if (err)
        return err;
    err = result(fallocate(fd_of(f), 0, 0, (off_t)size));
    if (err == -EOPNOTSUPP)
        err = write_zeros(fd_of(f), (uint64_t)s.st_size, size);
    if (err)
        (void)ftruncate(fd_of(f), s.st_size);
    return err;
}

static int dir_map(struct disk_file *f, uint64_t off, size_t len, void **ret_map)
{
    int prot = f->writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *map = mmap(NULL, len, prot, MAP_SHARED, fd_of(f), (off_t)off);

    if (map == MAP_FAILED)
        return -errno;
    *ret_map = map;
    return 0;
}

static void dir_unmap(struct disk_file *f, void *map, size_t len)
{
    (void)f;
    munmap(map, len);
}

static void dir_map_wrote(struct disk_file *f, void *map, size_t at, size_t len)
{
    (void)f, (void)map, (void)at, (void)len; /* the mapping is the page cache */
}

static int dir_sync(struct disk_file *f)
{
    WAITS_GUARD(WAITS_FILE, "a sync of", fd_of(f), NULL);
    return sync_result(fdatasync(fd_of(f)));
}

static int dir_fstat(struct disk_file *f, struct disk_stat *ret)
{
    struct stat s;
    int err = result(fstat(fd_of(f), &s));

    if (err)
        return err;
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
    .incarnation = dir_incarnation,
    .file_close = dir_file_close,
    .pread = dir_pread,
    .pwritev = dir_pwritev,
    .truncate = dir_truncate,
    .punch = dir_punch,
    .sync = dir_sync,
    .fstat = dir_fstat,
    .flush_hint = dir_flush_hint,
    .allocate = dir_allocate,
    .map = dir_map,
    .unmap = dir_unmap,
    .map_wrote = dir_map_wrote,
    .fd = fd_of,
};

int disk_open_fd(int fd, unsigned flags, struct disk **ret_disk)
{
    struct dir_disk *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->base.ops = &dir_ops;
    d->base.readonly = flags & DISK_ONLY_READ;
    d->base.foreign = flags & DISK_FOREIGN;
    d->root = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->root < 0) {
        int err = -errno;

        free(d);
        return err;
    }
    *ret_disk = &d->base;
    return 0;
}
