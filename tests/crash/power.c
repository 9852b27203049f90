// SPDX-License-Identifier: Apache-2.0
/*
 * power: the loss of power for a real directory, with disk_dir and LMDB on it as they are.
 *
 * The system calls by which this process changes files below the directory go through functions of
 * the same names here (the linker prefers them to libc's, for LMDB as well). Each is first done to
 * a shadow, a disk in memory (disk_mem), which counts it, lets it fail when the power is off, and
 * knows what is synced; then to the directory. Mapped bytes are told by disk_map_wrote, which is
 * wrapped by the linker. To cut the power the shadow loses what was not synced, and the directory
 * is made the copy of what is left; the boot number, which disk_dir reads from a file, is another
 * then. Everything after that, the recovery too, is done by disk_dir and LMDB on real files, as is
 * everything before.
 *
 * It proves that what disk_dir and LMDB sync, and what core asks them to, is enough: a sync that
 * disk_dir leaves out is not seen by the shadow either. A commit of LMDB is many writes, each of
 * which is cut and may be torn. It does not prove that the kernel and its disk keep what they
 * promise for a sync: the shadow's rules (disk_mem.h) are taken for theirs. Nor is a write in
 * flight at the cut ever there in part: it is when it was not synced and the next one is cut.
 * Reads go on to work after the cut, until the process is dead. LMDB's lock file is none that
 * counts; it makes its own anew.
 */
#include "power_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

struct power power;

static bool is_root(int fd)
{
    struct stat s;

    return power.on && fstat(fd, &s) == 0 && s.st_dev == power.dev && s.st_ino == power.ino;
}

/* 0, or -1 and errno, as libc has it. */
static int told(int err)
{
    if (err == 0)
        return 0;
    errno = -err;
    return -1;
}

/* ---- which file of the shadow is it? ---- */

static void forget(struct known *k)
{
    disk_file_close(k->shadow);
    *k = (struct known){0};
}

static struct known *known_of(ino_t ino)
{
    for (size_t i = 0; i < FILES; i++)
        if (power.known[i].shadow && power.known[i].ino == ino)
            return &power.known[i];
    return NULL;
}

static void remember(ino_t ino, struct disk_file *shadow)
{
    struct known *k = known_of(ino); /* of a file that is gone: its number is used again */

    if (k)
        forget(k);
    for (size_t i = 0; !k && i < FILES; i++)
        k = power.known[i].shadow ? NULL : &power.known[i];
    if (!k)
        abort();
    *k = (struct known){ino, shadow};
}

/* The path below the directory; NULL: it is elsewhere, or LMDB's lock file. */
static const char *name_of(int fd, char buf[PATH_MAX])
{
    char link[64];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, buf, PATH_MAX - 1);
    if (n < 0)
        return NULL;
    buf[n] = '\0';
    if (strncmp(buf, power.path, power.path_len) != 0)
        return NULL;
    const char *name = buf + power.path_len;
    return *name == '/' && !strstr(name, "lock.mdb") ? name + 1 : *name ? NULL : name;
}

/* The path below the directory of `name` in `dirfd`; NULL: it is elsewhere, or LMDB's lock file. */
static const char *path_of(int dirfd, const char *name, char buf[PATH_MAX])
{
    if (!power.on || *name == '/' || !strcmp(name, "lock.mdb"))
        return NULL;
    if (is_root(dirfd))
        return name;
    const char *dir = name_of(dirfd, buf); /* of a shard beside the store */
    if (!dir)
        return NULL;
    size_t at = (size_t)(dir - buf) + strlen(dir);
    if (snprintf(buf + at, PATH_MAX - at, "/%s", name) >= (int)(PATH_MAX - at))
        abort();
    return dir;
}

/* The shadow's file for a descriptor of a file below the directory; NULL: it is none. */
static int shadow_of(int fd, struct disk_file **ret_file)
{
    char buf[PATH_MAX];
    struct stat s;

    *ret_file = NULL;
    if (!power.on || fstat(fd, &s) < 0 || !S_ISREG(s.st_mode) || s.st_dev != power.dev)
        return 0;
    struct known *k = known_of(s.st_ino);
    const char *name = k ? NULL : name_of(fd, buf);
    if (k)
        *ret_file = k->shadow;
    if (!name)
        return 0;
    int err = disk_open(power.shadow, name, DISK_WRITE, ret_file);
    if (err == -ENOENT && !strcmp(name, "kv/data.mdb")) /* LMDB has made it */
        err = disk_open(power.shadow, name, DISK_WRITE | DISK_CREATE, ret_file);
    if (err == 0)
        remember(s.st_ino, *ret_file);
    return err;
}

void power_forget(void)
{
    for (size_t i = 0; i < FILES; i++)
        if (power.known[i].shadow)
            forget(&power.known[i]);
}

/* ---- system calls on files ---- */

static ssize_t do_pwritev(int fd, const struct iovec *iov, int count, off_t off)
{
    struct disk_file *f;
    int flags = power.on ? fcntl(fd, F_GETFL) : 0;
    MUTEX_GUARD(&power.lock);
    int err = shadow_of(fd, &f);

    if (err == 0 && f)
        err = disk_pwritev(f, iov, count, (uint64_t)off);
    if (err < 0)
        return told(err);
    long n = syscall(SYS_pwritev, fd, iov, (long)count, off, 0L);
    if (f && (flags & O_DSYNC)) /* LMDB's meta page: written, and then synced */
        err = disk_sync(f);
    return err < 0 ? told(err) : f ? both(n) : n;
}

/* LMDB's way to write several pages: where the descriptor stands. */
static ssize_t do_writev(int fd, const struct iovec *iov, int count)
{
    off_t at = power.on ? lseek(fd, 0, SEEK_CUR) : -1;
    ssize_t n;

    if (at < 0)
        return syscall(SYS_writev, fd, iov, (long)count);
    n = do_pwritev(fd, iov, count, at);
    if (n > 0)
        both(lseek(fd, at + n, SEEK_SET));
    return n;
}

static int do_ftruncate(int fd, off_t size)
{
    struct disk_file *f;
    MUTEX_GUARD(&power.lock);
    int err = shadow_of(fd, &f);

    if (err == 0 && f)
        err = disk_truncate(f, (uint64_t)size);
    return err < 0 ? told(err) : (int)syscall(SYS_ftruncate, fd, size);
}

static int do_fallocate(int fd, int mode, off_t off, off_t len)
{
    struct disk_file *f;
    MUTEX_GUARD(&power.lock);
    int err = shadow_of(fd, &f);

    if (err == 0 && f && mode & FALLOC_FL_PUNCH_HOLE)
        err = disk_punch(f, (uint64_t)off, (uint64_t)len);
    else if (err == 0 && f && !(mode & FALLOC_FL_KEEP_SIZE))
        err = disk_allocate(f, (uint64_t)(off + len));
    return err < 0 ? told(err) : (int)syscall(SYS_fallocate, fd, mode, off, len);
}

/* What the real one would do nobody could see: the shadow decides what is durable. */
static int do_sync(int fd, bool data, long number)
{
    char buf[PATH_MAX];
    struct disk_file *f;
    struct stat s;
    int err;
    MUTEX_GUARD(&power.lock);

    if (power.on && !data && fstat(fd, &s) == 0 && S_ISDIR(s.st_mode)) {
        const char *name = name_of(fd, buf);
        return name ? told(disk_sync_dir(power.shadow, name)) : (int)syscall(number, fd);
    }
    err = shadow_of(fd, &f);
    if (err == 0 && f)
        return told(disk_sync(f));
    return err < 0 ? told(err) : (int)syscall(number, fd);
}

/* ---- system calls on names ---- */

static int boot_file(void)
{
    char text[64];
    int n = snprintf(text, sizeof text, "00000000-0000-4000-8000-%012llx\n",
                     (unsigned long long)power.boots);
    int fd = memfd_create("boot_id", MFD_CLOEXEC);

    if (fd >= 0 && (syscall(SYS_write, fd, text, (size_t)n) != n || lseek(fd, 0, SEEK_SET) < 0))
        abort();
    return fd;
}

static int open_shadow(const char *path, int flags, struct disk_file **ret_file)
{
    int err = flags & O_EXCL ? -ENOENT : disk_open(power.shadow, path, DISK_WRITE, ret_file);

    if (err == -ENOENT && flags & O_CREAT)
        return disk_open(power.shadow, path, DISK_WRITE | DISK_CREATE, ret_file);
    return err == 0 && flags & O_TRUNC ? disk_truncate(*ret_file, 0) : err;
}

static int do_openat(int dirfd, const char *name, int flags, mode_t mode)
{
    char buf[PATH_MAX];
    const char *path;
    struct disk_file *f = NULL;
    struct stat s;
    int fd, err = 0;

    if (power.on && !strcmp(name, BOOT_ID))
        return boot_file();
    path = flags & (O_WRONLY | O_RDWR) ? path_of(dirfd, name, buf) : NULL;
    if (!path)
        return (int)syscall(SYS_openat, dirfd, name, flags, mode);
    MUTEX_GUARD(&power.lock);
    err = open_shadow(path, flags, &f);
    if (err < 0) {
        disk_file_close(f);
        return told(err);
    }
    fd = (int)syscall(SYS_openat, dirfd, name, flags, mode);
    if (both(fd) >= 0 && fstat(fd, &s) == 0 && (flags & O_CREAT || !known_of(s.st_ino)))
        remember(s.st_ino, f);
    else
        disk_file_close(f); /* what is known of it may be its last name's */
    return fd;
}

static int do_mkdirat(int dirfd, const char *name, mode_t mode)
{
    char buf[PATH_MAX];
    const char *path = path_of(dirfd, name, buf);
    MUTEX_GUARD(&power.lock);
    int err = path ? disk_mkdir(power.shadow, path) : 0;

    return err < 0 ? told(err) : (int)syscall(SYS_mkdirat, dirfd, name, mode);
}

static int do_linkat(int dirfd, const char *from, int dirfd2, const char *to, int flags)
{
    char buf[PATH_MAX], buf2[PATH_MAX];
    const char *path = path_of(dirfd, from, buf), *path2 = path_of(dirfd2, to, buf2);
    bool here = path && path2;
    MUTEX_GUARD(&power.lock);
    int err = here ? disk_link(power.shadow, path, path2) : 0;
    long r = err < 0 ? told(err) : syscall(SYS_linkat, dirfd, from, dirfd2, to, flags);

    return err < 0 || !here ? (int)r : (int)both(r);
}

static int do_unlinkat(int dirfd, const char *name, int flags)
{
    char buf[PATH_MAX];
    const char *path = path_of(dirfd, name, buf);
    MUTEX_GUARD(&power.lock);
    int err = path ? disk_unlink(power.shadow, path) : 0;
    long r = err < 0 ? told(err) : syscall(SYS_unlinkat, dirfd, name, flags);

    return err < 0 || !path ? (int)r : (int)both(r);
}

static int do_renameat(int dirfd, const char *from, int dirfd2, const char *to)
{
    char buf[PATH_MAX], buf2[PATH_MAX];
    const char *path = path_of(dirfd, from, buf), *path2 = path_of(dirfd2, to, buf2);
    bool here = path && path2;
    MUTEX_GUARD(&power.lock);
    int err = here ? disk_rename(power.shadow, path, path2) : 0;
    long r = err < 0 ? told(err) : syscall(SYS_renameat2, dirfd, from, dirfd2, to, 0);

    return err < 0 || !here ? (int)r : (int)both(r);
}

/* ---- libc's names, with the two spellings that a program may have been built with ---- */

#define AS(symbol) __asm__(symbol) __attribute__((used))
#define TWICE(ret, name, args, call)                                                               \
    ret power_##name args AS(#name);                                                               \
    ret power_##name args                                                                          \
    {                                                                                              \
        return call;                                                                               \
    }                                                                                              \
    ret power_##name##64 args AS(#name "64");                                                      \
    ret power_##name##64 args                                                                      \
    {                                                                                              \
        return call;                                                                               \
    }

static ssize_t do_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    return do_pwritev(fd, &(struct iovec){(void *)(uintptr_t)buf, len}, 1, off);
}

TWICE(ssize_t, pwrite, (int fd, const void *buf, size_t len, off_t off),
      do_pwrite(fd, buf, len, off))
TWICE(ssize_t, pwritev, (int fd, const struct iovec *iov, int count, off_t off),
      do_pwritev(fd, iov, count, off))
TWICE(int, ftruncate, (int fd, off_t size), do_ftruncate(fd, size))
TWICE(int, fallocate, (int fd, int mode, off_t off, off_t len), do_fallocate(fd, mode, off, len))
TWICE(int, openat, (int dirfd, const char *name, int flags, mode_t mode),
      do_openat(dirfd, name, flags, mode))

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    return do_writev(fd, iov, count);
}

int fdatasync(int fd)
{
    return do_sync(fd, true, SYS_fdatasync);
}

int fsync(int fd)
{
    return do_sync(fd, false, SYS_fsync);
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
    return do_mkdirat(dirfd, name, mode);
}

int linkat(int dirfd, const char *from, int dirfd2, const char *to, int flags)
{
    return do_linkat(dirfd, from, dirfd2, to, flags);
}

int unlinkat(int dirfd, const char *name, int flags)
{
    return do_unlinkat(dirfd, name, flags);
}

int renameat(int dirfd, const char *from, int dirfd2, const char *to)
{
    return do_renameat(dirfd, from, dirfd2, to);
}

/* ---- mappings: --wrap of the linker ---- */

int __real_disk_map(struct disk_file *f, uint64_t off, size_t len, void **ret_map);
int __wrap_disk_map(struct disk_file *f, uint64_t off, size_t len, void **ret_map);
void __real_disk_unmap(struct disk_file *f, void *map, size_t len);
void __wrap_disk_unmap(struct disk_file *f, void *map, size_t len);
void __real_disk_map_wrote(struct disk_file *f, void *map, size_t at, size_t len);
void __wrap_disk_map_wrote(struct disk_file *f, void *map, size_t at, size_t len);

static struct mapped *mapped_of(const void *map)
{
    for (size_t i = 0; i < MAPS; i++)
        if (power.mapped[i].map == map)
            return &power.mapped[i];
    return NULL;
}

int __wrap_disk_map(struct disk_file *f, uint64_t off, size_t len, void **ret_map)
{
    int err = __real_disk_map(f, off, len, ret_map);
    MUTEX_GUARD(&power.lock);
    struct mapped m = {.map = err == 0 ? *ret_map : NULL}, *free_one;

    if (err == 0 && power.on)
        err = shadow_of(disk_fd(f), &m.shadow);
    if (err < 0 || !m.shadow)
        return err;
    err = __real_disk_map(m.shadow, off, len, &m.shadow_map);
    free_one = mapped_of(NULL);
    if (!free_one)
        abort();
    if (err == 0)
        *free_one = m;
    return err;
}

void __wrap_disk_unmap(struct disk_file *f, void *map, size_t len)
{
    {
        MUTEX_GUARD(&power.lock);
        struct mapped *m = map ? mapped_of(map) : NULL;
        if (m) {
            __real_disk_unmap(m->shadow, m->shadow_map, len);
            *m = (struct mapped){0};
        }
    }
    __real_disk_unmap(f, map, len);
}

void __wrap_disk_map_wrote(struct disk_file *f, void *map, size_t at, size_t len)
{
    __real_disk_map_wrote(f, map, at, len);
    MUTEX_GUARD(&power.lock);
    struct mapped *m = mapped_of(map);
    if (!m)
        return;
    memcpy((uint8_t *)m->shadow_map + at, (uint8_t *)map + at, len);
    __real_disk_map_wrote(m->shadow, m->shadow_map, at, len);
}
