// SPDX-License-Identifier: Apache-2.0
/*
 * disk: dispatch to the implementation, and the checks that both implementations share, so that
 * they cannot differ in them.
 */
#include "disk_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The largest off_t. */
#define OFFSET_MAX ((uint64_t)INT64_MAX)
#define MAP_ALIGN 4096

/* The root itself is no file: "" is -ENOENT. */
static int check_name(const char *name)
{
    if (!*name)
        return -ENOENT;
    return strlen(name) > DISK_NAME_MAX ? -ENAMETOOLONG : 0;
}

static int check_change(const struct disk *d, const char *name)
{
    int err = check_name(name);

    if (err)
        return err;
    return d->readonly ? -EROFS : 0;
}

static int check_range(uint64_t off, uint64_t len)
{
    return off > OFFSET_MAX || len > OFFSET_MAX - off ? -EFBIG : 0;
}

static int check_write(const struct disk_file *f, uint64_t off, uint64_t len)
{
    if (!f->writable)
        return -EBADF;
    return check_range(off, len);
}

void disk_close(struct disk *d)
{
    if (d)
        d->ops->close(d);
}

bool disk_is_foreign(const struct disk *d)
{
    return d->foreign;
}

bool disk_is_whole(const struct disk *d)
{
    return d->whole;
}

int disk_mkdir(struct disk *d, const char *name)
{
    int err = check_change(d, name);

    return err ? err : d->ops->mkdir(d, name);
}

int disk_open(struct disk *d, const char *name, unsigned flags, struct disk_file **ret_file)
{
    bool writable = flags & (DISK_WRITE | DISK_CREATE);
    int err = writable ? check_change(d, name) : check_name(name);

    if (err)
        return err;
    err = d->ops->open(d, name, flags, ret_file);
    if (err)
        return err;
    (*ret_file)->writable = writable;
    return 0;
}

int disk_open_sized(struct disk *d, const char *name, uint64_t size, unsigned flags,
                    struct disk_file **ret_file)
{
    int err = check_name(name);

    if (err == 0 && !d->ops->open_sized)
        return disk_open(d, name, flags, ret_file);
    if (err == 0)
        err = d->ops->open_sized(d, name, size, ret_file);
    if (err == 0)
        (*ret_file)->writable = false;
    return err;
}

void disk_file_close(struct disk_file *f)
{
    if (f)
        f->ops->file_close(f);
}

ssize_t disk_pread(struct disk_file *f, void *buf, size_t len, uint64_t off)
{
    int err = check_range(off, len);

    return err || len == 0 ? err : f->ops->pread(f, buf, len, off);
}

int disk_pwritev(struct disk_file *f, const struct iovec *iov, int count, uint64_t off)
{
    uint64_t len = 0;

    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    int err = check_write(f, off, len);

    return err || len == 0 ? err : f->ops->pwritev(f, iov, count, off);
}

int disk_pwrite(struct disk_file *f, const void *buf, size_t len, uint64_t off)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};

    return disk_pwritev(f, &iov, 1, off);
}

int disk_truncate(struct disk_file *f, uint64_t size)
{
    int err = check_write(f, size, 0);

    return err ? err : f->ops->truncate(f, size);
}

int disk_punch(struct disk_file *f, uint64_t off, uint64_t len)
{
    int err = check_write(f, off, len);

    return err || len == 0 || f->unpunched ? err : f->ops->punch(f, off, len);
}

int disk_sync(struct disk_file *f)
{
    return f->ops->sync(f);
}

int disk_fstat(struct disk_file *f, struct disk_stat *ret)
{
    return f->ops->fstat(f, ret);
}

int disk_stat(struct disk *d, const char *name, struct disk_stat *ret)
{
    struct disk_file *f;
    int err = check_name(name);

    if (err < 0)
        return err;
    if (d->ops->stat)
        return d->ops->stat(d, name, ret);
    err = disk_open(d, name, DISK_READ, &f);
    if (err < 0)
        return err;
    err = disk_fstat(f, ret);
    disk_file_close(f);
    return err;
}

void disk_flush_hint(struct disk_file *f, uint64_t off, uint64_t len)
{
    if (check_range(off, len) == 0)
        f->ops->flush_hint(f, off, len);
}

int disk_allocate(struct disk_file *f, uint64_t size)
{
    int err = check_write(f, size, 0);

    return err || size == 0 ? err : f->ops->allocate(f, size);
}

int disk_map(struct disk_file *f, uint64_t off, size_t len, void **ret_map)
{
    int err = off % MAP_ALIGN || len == 0 ? -EINVAL : check_range(off, len);

    return err ? err : f->ops->map(f, off, len, ret_map);
}

void disk_map_ahead(struct disk_file *f, uint64_t off, uint64_t len)
{
    int fd = disk_fd(f);

    if (fd >= 0 && check_range(off, len) == 0)
        (void)posix_fadvise(fd, (off_t)off, (off_t)len, POSIX_FADV_WILLNEED);
}

void disk_unmap(struct disk_file *f, void *map, size_t len)
{
    if (map)
        f->ops->unmap(f, map, len);
}

void disk_map_wrote(struct disk_file *f, void *map, size_t at, size_t len)
{
    if (len)
        f->ops->map_wrote(f, map, at, len);
}

int disk_fd(struct disk_file *f)
{
    return f->ops->fd(f);
}

int disk_link(struct disk *d, const char *from, const char *to)
{
    int err = check_name(from);

    if (err)
        return err;
    err = check_change(d, to);
    return err ? err : d->ops->link(d, from, to);
}

int disk_put_copy(struct disk *d, const char *to, struct disk_file *from)
{
    int err = check_change(d, to);

    if (err)
        return err;
    return d->ops->put_copy ? d->ops->put_copy(d, to, from) : -EOPNOTSUPP;
}

int disk_unlink(struct disk *d, const char *name)
{
    int err = check_change(d, name);

    return err ? err : d->ops->unlink(d, name);
}

int disk_rename(struct disk *d, const char *from, const char *to)
{
    int err = check_name(from);

    if (err)
        return err;
    err = check_change(d, to);
    return err ? err : d->ops->rename(d, from, to);
}

int disk_sync_dir(struct disk *d, const char *name)
{
    return strlen(name) > DISK_NAME_MAX ? -ENAMETOOLONG : d->ops->sync_dir(d, name);
}

int disk_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    return strlen(name) > DISK_NAME_MAX ? -ENAMETOOLONG : d->ops->list(d, name, fn, ctx);
}

int disk_list_below(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    if (strlen(name) > DISK_NAME_MAX)
        return -ENAMETOOLONG;
    return d->ops->list_below ? d->ops->list_below(d, name, fn, ctx) : -EOPNOTSUPP;
}

int disk_space(struct disk *d, struct disk_space *ret)
{
    return d->ops->space(d, ret);
}

int disk_incarnation(struct disk *d, uint8_t out[32])
{
    return d->ops->incarnation(d, false, out);
}

int disk_incarnation_of_mount(struct disk *d, uint8_t out[32])
{
    return d->ops->incarnation(d, true, out);
}
