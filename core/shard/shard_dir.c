// SPDX-License-Identifier: Apache-2.0
/*
 * shard_dir: a shard that is a directory of this machine: on another disk, or mounted from another
 * machine.
 *
 * Every name is resolved from the one descriptor opened at the start, and through no symlink: what
 * was recognised then is what is written to, and never the empty mount point below it. Each
 * call first checks that the path still leads there; reads check it once a second.
 *
 *     tmp/put.<16 hex>    written and synced, locked by the process that puts
 *     packs/0123          then linked to its name, or renamed over it, and the directory is synced
 *
 * Files that dead processes left in tmp/ are not locked: the first put after an opening removes
 * them.
 */
#include "beneath.h"
#include "clock.h"
#include "io.h"
#include "own.h"
#include "shard_dir_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1u << 20)        /* bytes copied at once */
#define TRIES 8                 /* of a put whose temporary file another process removes */
#define DEPTH_MAX 16            /* of directories in a list */
#define LOST_FOUND "lost+found" /* the file system's own; only root may look into it */
#define TMP_NAME (sizeof "put.0123456789abcdef")

struct dir_shard {
    struct shard base;
    int root;  /* the directory */
    dev_t dev; /* its device and inode number, for check_here */
    ino_t ino;
    char path[PATH_MAX];    /* by which it was opened */
    _Atomic int64_t looked; /* when a read last checked the path, in monotonic seconds */
    struct mutex lock;      /* "shard dir"; a leaf */
    bool cleaned;           /* guarded by: lock; a put has cleaned tmp/ */
    struct map64 durable;   /* guarded by: lock; inodes of directories with a durable name */
    struct shard_dir_files files;
};

static struct dir_shard *dir_of(struct shard *s)
{
    return (struct dir_shard *)s;
}

/* Turns an error of a system call or of beneath.h into the one that shard.h has for it. */
static int told(int err)
{
    switch (err) {
    case -ESTALE:
    case -ENODEV:
    case -ENXIO:
    case -ENOTCONN:
    case -ETIMEDOUT:
    case -EHOSTDOWN:
    case -ENETDOWN:
    case -ENETUNREACH:
    case -ENOLINK:
    case -ESHUTDOWN:
        return -EHOSTUNREACH;
    case -ELOOP: /* a symlink, or a file, where a directory should be */
    case -ENOTDIR:
    case -EISDIR:
    case -EUCLEAN:
        return -EIO; /* beneath.h: something of the wrong kind */
    case -EPERM:
        return -EACCES;
    default:
        return err;
    }
}

static int result(int rc)
{
    return rc < 0 ? told(-errno) : 0;
}

/* ---- is it there? ---- */

/* Checks that the path still leads to the directory that was opened. -EHOSTUNREACH: it does not,
 * for example because the disk was unmounted. */
static int check_here(struct dir_shard *d)
{
    struct stat st;

    if (stat(d->path, &st) < 0)
        return errno == EIO ? -EIO : -EHOSTUNREACH;
    return st.st_dev == d->dev && st.st_ino == d->ino ? 0 : -EHOSTUNREACH;
}

/* As check_here, but only if the last check of a read was in another second. */
static int check_here_now_and_then(struct dir_shard *d)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec == atomic_load_explicit(&d->looked, memory_order_relaxed))
        return 0;
    int err = check_here(d);

    if (err == 0)
        atomic_store_explicit(&d->looked, now.tv_sec, memory_order_relaxed);
    return err;
}

/* ---- directories ---- */

static int open_part(int dir, const char *part)
{
    int fd = openat(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* Makes the name of directory `fd` in `above` durable. Each directory is synced once: `durable`
 * remembers it. */
static int make_durable(struct dir_shard *d, int above, int fd)
{
    struct stat st;
    int err = result(fstat(fd, &st));

    if (err == 0) {
        MUTEX_GUARD(&d->lock);
        if (map64_get(&d->durable, st.st_ino, &(uint64_t){0}))
            return 0;
    }
    if (err == 0)
        err = result(fsync(above));
    if (err == 0) {
        MUTEX_GUARD(&d->lock);
        err = map64_put(&d->durable, st.st_ino, 1);
    }
    return err;
}

/* Opens the directory `part` in `above`, made if it is missing, with a durable name. */
static int open_or_make(struct dir_shard *d, int above, const char *part)
{
    int err = beneath_mkdir(above, part, 0700);

    if (err < 0 && err != -EEXIST)
        return told(err);
    int fd = open_part(above, part);

    err = fd < 0 ? told(fd) : make_durable(d, above, fd);

    if (err < 0 && fd >= 0)
        close(fd);
    return err < 0 ? err : fd;
}

/* Opens the directory of a name; the caller closes it. *ret_last is the last part of the name.
 * Missing directories are made with `make`, and are -ENOENT without. */
static int open_above(struct dir_shard *d, const char *name, bool make, const char **ret_last)
{
    int fd = openat(d->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *slash;

    if (fd < 0)
        return told(-errno);
    for (; (slash = strchr(name, '/')); name = slash + 1) {
        char part[DISK_NAME_MAX + 1];

        snprintf(part, sizeof part, "%.*s", (int)(slash - name), name);
        int next = make ? open_or_make(d, fd, part) : open_part(fd, part);

        close(fd);
        if (next < 0)
            return make || next == -ENOENT ? next : told(next);
        fd = next;
    }
    *ret_last = name;
    return fd;
}

/* ---- reading ---- */

/* Opens a file with these flags, and gives its attributes. */
static int open_as(struct dir_shard *d, const char *name, int flags, struct stat *ret_stat)
{
    int fd = beneath_open(d->root, name, flags, 0);

    if (fd < 0)
        return told(fd);
    int err = result(fstat(fd, ret_stat));

    if (err < 0)
        close(fd);
    return err < 0 ? err : fd;
}

static int open_file(struct dir_shard *d, const char *name, struct stat *ret_stat)
{
    return open_as(d, name, O_RDONLY, ret_stat);
}

/* Reads from a file that is open already, or keeps the one that it opens: a pack is read in many
 * ranges. */
static ssize_t read_kept(struct dir_shard *d, const char *name, void *buf, size_t len, uint64_t off)
{
    uint64_t changes;
    struct stat st;
    struct shard_dir_file *file = shard_dir_files_get(&d->files, name, &changes);
    int fd = file ? file->fd : open_file(d, name, &st);

    if (fd < 0)
        return fd;
    ssize_t n = io_pread(fd, buf, len, off);

    if (file)
        shard_dir_files_put_back(&d->files, file);
    else if (n < 0 || !shard_dir_files_add(&d->files, name, fd, changes))
        close(fd);
    return n;
}

/* On NFS a file that is kept open, and that another machine has deleted, cannot be read any more
 * (-ESTALE): whether there is still one of that name is asked then. */
static ssize_t dir_range(struct shard *s, const char *name, void *buf, size_t len, uint64_t off)
{
    struct dir_shard *d = dir_of(s);
    int err = check_here_now_and_then(d);
    ssize_t n = err < 0 ? err : read_kept(d, name, buf, len, off);

    if (n == -ESTALE) {
        shard_dir_files_forget(&d->files, name);
        n = read_kept(d, name, buf, len, off);
    }
    return n < 0 ? told((int)n) : n;
}

/* Reads through no file that is kept open, so that a replacement by another process is seen. The
 * path is checked each time, since claims are read by this. */
static ssize_t dir_get(struct shard *s, const char *name, void *buf, size_t cap)
{
    struct dir_shard *d = dir_of(s);
    struct stat st;
    int err = check_here(d);
    int fd = err < 0 ? err : open_file(d, name, &st);

    if (fd < 0)
        return fd;
    ssize_t n = (uint64_t)st.st_size > cap ? -EFBIG : io_pread(fd, buf, cap, 0);

    close(fd);
    return n < 0 ? told((int)n) : n;
}

/* The path is checked again before -ENOENT is returned: a name that is missing because the disk was
 * unmounted must not look lost. */
static int stat_file(struct shard *s, const char *name, struct stat *ret_stat)
{
    struct dir_shard *d = dir_of(s);
    int err = check_here_now_and_then(d);
    int fd = err < 0 ? err : open_as(d, name, O_PATH, ret_stat);

    if (fd == -ENOENT && check_here(d) < 0)
        return -EHOSTUNREACH;
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static int dir_stat(struct shard *s, const char *name, uint64_t *ret_size)
{
    struct stat st;
    int err = stat_file(s, name, &st);

    if (err == 0)
        *ret_size = (uint64_t)st.st_size;
    return err;
}

/* Since the file got its bytes, just before it got its name. The clock of a directory is that of
 * this machine. */
static int dir_age(struct shard *s, const char *name, int64_t *ret_ns)
{
    struct timespec now;
    struct stat st;
    int err = stat_file(s, name, &st);

    if (err < 0)
        return err;
    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        return -errno;
    *ret_ns = (now.tv_sec - st.st_mtim.tv_sec) * NSEC_PER_SEC + now.tv_nsec - st.st_mtim.tv_nsec;
    return 0;
}

/* ---- temporary files ---- */

/* Removes a file that a dead put left in tmp/. A file that a process is writing is locked. An error
 * does not matter: it is only space. */
static int clean_one(const char *name, void *ctx)
{
    const int tmp = *(const int *)ctx;
    int fd;

    if (strlen(name) != TMP_NAME - 1 || strncmp(name, "put.", 4) != 0 ||
        strspn(name + 4, "0123456789abcdef") != TMP_NAME - 5)
        return 0;
    fd = beneath_open(tmp, name, O_RDWR, 0);
    if (fd < 0)
        return 0;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(tmp, name, 0);
    close(fd);
    return 0;
}

/* Opens tmp/, made if it is missing; the first time after the opening it is cleaned. */
static int open_tmp(struct dir_shard *d)
{
    bool clean_it;

    int err = beneath_mkdir(d->root, SHARD_TMP, 0700);

    if (err < 0 && err != -EEXIST)
        return told(err);
    int fd = open_part(d->root, SHARD_TMP);

    if (fd < 0)
        return told(fd);
    {
        MUTEX_GUARD(&d->lock);
        clean_it = !d->cleaned;
        d->cleaned = true;
    }
    if (clean_it)
        (void)beneath_list(fd, ".", clean_one, &fd);
    return fd;
}

/* Makes a new temporary file and locks it. If another process cleaned the file away before it was
 * locked, the next try makes another one. */
static int create_tmp(int tmp, char name[TMP_NAME])
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t number;
        struct stat st;

        if (getrandom(&number, sizeof number, 0) != sizeof number)
            return -EIO;
        snprintf(name, TMP_NAME, "put.%016" PRIx64, number);
        int fd = beneath_open(tmp, name, O_RDWR | O_CREAT | O_EXCL, 0600);

        if (fd < 0)
            return told(fd);
        /* Where locks do not work, other processes may clean the file too early, or late. A process
         * that holds its lock is cleaning it: it is not waited for. */
        bool taken = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;

        if (!taken && fstat(fd, &st) == 0 && st.st_nlink > 0)
            return fd;
        close(fd);
    }
    return -EIO;
}

/* Copies the source into the file, and syncs the file. */
static int copy(int fd, const struct shard_source *source)
{
    size_t room = source->size < CHUNK ? (size_t)source->size : CHUNK;
    uint8_t *buf = malloc(room ? room : 1);
    int err = buf ? 0 : -ENOMEM;

    for (uint64_t off = 0; err == 0 && off < source->size;) {
        size_t n = source->size - off < room ? (size_t)(source->size - off) : room;

        err = source->read(source->ctx, buf, n, off);
        if (err == 0)
            err = told(io_pwrite(fd, buf, n, off));
        off += n;
    }
    free(buf);
    return err < 0 ? err : result(fsync(fd));
}

/* ---- putting ---- */

/* Gives the file `from` the name `to`; -EEXIST if something has it. Some file systems have no hard
 * links, and others no RENAME_NOREPLACE. */
static int name_new(int tmp, const char *from, int dir, const char *to)
{
    if (linkat(tmp, from, dir, to, 0) == 0) {
        (void)unlinkat(tmp, from, 0);
        return 0;
    }
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        return -errno;
    return renameat2(tmp, from, dir, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

/* Gives the temporary file its name, and makes the name durable. An existing name is made durable,
 * too: a caller that gets -EEXIST relies on it as if it had put it. -EAGAIN: the file is gone. */
static int name_it(struct dir_shard *d, int tmp, const char *from, const char *to, bool replace)
{
    const char *last;
    int dir = open_above(d, to, true, &last);

    if (dir < 0)
        return dir;
    int err = replace ? (renameat(tmp, from, dir, last) < 0 ? -errno : 0)
                      : name_new(tmp, from, dir, last);
    int synced = err == 0 || err == -EEXIST ? result(fsync(dir)) : 0;

    close(dir);
    if (synced < 0)
        return synced;
    return err == -ENOENT ? -EAGAIN : told(err); /* another process removed the file */
}

/* One try of a put. -EAGAIN or -ENOENT: another process removed the temporary file. */
static int put_once(struct dir_shard *d, int tmp, const char *name,
                    const struct shard_source *source, bool replace)
{
    char from[TMP_NAME];
    int fd = create_tmp(tmp, from);

    if (fd < 0)
        return fd;
    int err = copy(fd, source);

    if (err == 0)
        err = check_here(d);
    if (err == 0)
        err = name_it(d, tmp, from, name, replace);
    if (err < 0)
        (void)unlinkat(tmp, from, 0);
    close(fd);
    return err;
}

/* Puts a file under a temporary name first. If another process cleans that away it tries again. */
static int dir_put(struct shard *s, const char *name, const struct shard_source *source,
                   bool replace)
{
    struct dir_shard *d = dir_of(s);
    int err = check_here(d), tmp;

    if (err < 0)
        return err;
    for (int i = 0; i < TRIES; i++) {
        tmp = open_tmp(d);
        if (tmp < 0)
            return tmp == -ENOENT ? -EHOSTUNREACH : tmp; /* the root was deleted */
        err = put_once(d, tmp, name, source, replace);
        close(tmp);
        shard_dir_files_forget(&d->files, name);
        if (err != -EAGAIN && err != -ENOENT)
            return err;
    }
    return -EIO;
}

/* Removes a name durably. -ENOENT is returned only when the removal is durable. */
static int dir_remove(struct shard *s, const char *name)
{
    struct dir_shard *d = dir_of(s);
    const char *last;
    int err = check_here(d);
    int dir = err < 0 ? err : open_above(d, name, false, &last);

    if (dir < 0)
        return dir;
    err = result(unlinkat(dir, last, 0));
    shard_dir_files_forget(&d->files, name);
    if (err == 0 || err == -ENOENT) { /* an earlier removal may not be durable yet */
        int synced = result(fsync(dir));

        err = synced < 0 ? synced : err;
    }
    close(dir);
    return err;
}

/* ---- listing ---- */

struct dir_listing {
    shard_list_fn *fn;
    void *ctx;
    char name[PATH_MAX]; /* path of the entry that is listed; see list_one */
};

static int list_dir(struct dir_listing *l, int dir, size_t at, unsigned depth);

/* Lists the entry `e` of `dir`, and what is below it. l->name has the path of `dir` with a slash at
 * its end, `at` bytes long; the name of the entry is added behind it. */
static int list_one(struct dir_listing *l, int dir, const struct dirent *e, size_t at,
                    unsigned depth)
{
    size_t len = strlen(e->d_name);
    struct stat st;

    if (at + len + 2 > sizeof l->name)
        return -ENAMETOOLONG;
    memcpy(l->name + at, e->d_name, len + 1);
    if (at == 0 && (strcmp(e->d_name, SHARD_TMP) == 0 || strcmp(e->d_name, LOST_FOUND) == 0))
        return 0;
    if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : told(-errno);
    if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
        return l->fn(l->name, S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0, l->ctx);
    memcpy(l->name + at + len, "/", 2);
    int fd = open_part(dir, e->d_name);

    return fd == -ENOENT ? 0 : fd < 0 ? told(fd) : list_dir(l, fd, at + len + 1, depth + 1);
}

/* Lists all entries of a directory. Closes `fd` in any case. */
static int list_dir(struct dir_listing *l, int fd, size_t at, unsigned depth)
{
    DIR *dir = fdopendir(fd);
    int err = 0;

    if (!dir) {
        err = told(-errno);
        close(fd);
        return err;
    }
    while (err == 0) {
        errno = 0;
        struct dirent *e = readdir(dir);

        if (!e) {
            err = errno ? told(-errno) : 0;
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            err = list_one(l, dirfd(dir), e, at, depth);
    }
    closedir(dir);
    return err;
}

/* Lists a directory and all below it. A directory that does not exist is empty, but only if the
 * root is still there. */
static int dir_list(struct shard *s, const char *name, shard_list_fn *fn, void *ctx)
{
    struct dir_shard *d = dir_of(s);
    struct dir_listing l = {.fn = fn, .ctx = ctx};
    char below[DISK_NAME_MAX + 3];
    const char *last;
    int err = check_here(d);

    snprintf(below, sizeof below, "%s%s", name, *name ? "/" : "");
    memcpy(l.name, below, strlen(below) + 1);
    int fd = err < 0 ? err : open_above(d, below, false, &last);

    if (fd == -ENOENT) /* an empty list, unless the root itself is gone */
        return check_here(d);
    if (fd < 0)
        return fd;
    err = list_dir(&l, fd, strlen(below), 0);
    return err < 0 ? err : err > 0 ? err : check_here(d);
}

static int dir_space(struct shard *s, struct shard_space *ret)
{
    struct dir_shard *d = dir_of(s);
    struct statvfs st;
    int err = check_here(d);

    if (err == 0)
        err = result(fstatvfs(d->root, &st));
    if (err < 0)
        return err;
    ret->size = (uint64_t)st.f_blocks * st.f_frsize;
    ret->avail = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

/* ---- opening ---- */

static void dir_close(struct shard *s)
{
    struct dir_shard *d = dir_of(s);

    shard_dir_files_release(&d->files);
    map64_release(&d->durable);
    mutex_destroy(&d->lock);
    close(d->root);
    free(d);
}

/* Opens the directory of the shard. Errors that mean that it is not there now become
 * -EHOSTUNREACH. */
static int open_root(const char *path, struct stat *ret_stat, char why[SHARD_WHY])
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 ? -errno : fstat(fd, ret_stat) < 0 ? -errno : 0;

    if (err == 0)
        return fd;
    snprintf(why, SHARD_WHY, "%.150s: %s", path, strerror(-err));
    if (fd >= 0)
        close(fd);
    return err == -EACCES || err == -EIO || err == -ENOMEM || err == -EMFILE ? err : -EHOSTUNREACH;
}

/* Checks that the directory and those that tallyfs makes in it are the caller's own (own.h).
 * With SHARD_FOREIGN only those below are checked, and only that none of them is a symlink. */
static int check_own(int fd, const char *path, unsigned flags, char why[SHARD_WHY])
{
    static const char *const names[] = {"packs", "objects", "claims", SHARD_TMP};
    char reason[OWN_WHY];
    bool foreign = flags & SHARD_FOREIGN;
    int err = foreign ? 0 : own_check(fd, reason);

    for (size_t i = 0; i < sizeof names / sizeof names[0] && err == 0; i++) {
        err = own_check_at(fd, names[i], foreign, reason);
        err = err == -EUCLEAN || err == -EPERM ? err : 0;
    }
    if (err < 0)
        snprintf(why, SHARD_WHY, "%.100s, or what is in it, %.60s%s", path, reason,
                 err == -EPERM ? " (option foreign_store: they are trusted)" : "");
    return err;
}

/* Opens the directory once; all names are resolved from this descriptor. */
static int dir_open(const char *path, unsigned flags, struct shard **ret_shard, char why[SHARD_WHY])
{
    struct stat st;

    if (*path != '/' || strlen(path) >= PATH_MAX) {
        snprintf(why, SHARD_WHY, "dir: needs an absolute path");
        return -EINVAL;
    }
    int fd = open_root(path, &st, why);
    int err = fd < 0 ? fd : check_own(fd, path, flags, why);

    if (err < 0) {
        if (fd >= 0)
            close(fd);
        return err;
    }
    struct dir_shard *d = calloc(1, sizeof *d);

    if (!d) {
        close(fd);
        return -ENOMEM;
    }
    d->root = fd;
    d->dev = st.st_dev;
    d->ino = st.st_ino;
    memcpy(d->path, path, strlen(path) + 1);
    mutex_init(&d->lock, "shard dir");
    shard_dir_files_init(&d->files);
    *ret_shard = &d->base;
    return 0;
}

/* A directory has no checksums of its files. */
static int dir_verify(struct shard *s, const char *name)
{
    (void)s, (void)name;
    return -EOPNOTSUPP;
}

const struct shard_driver shard_dir_driver = {
    .scheme = "dir",
    .form = "dir:PATH",
    .normal = shard_dir_normal,
    .open = dir_open,
    .close = dir_close,
    .put = dir_put,
    .range = dir_range,
    .get = dir_get,
    .stat = dir_stat,
    .age = dir_age,
    .remove = dir_remove,
    .list = dir_list,
    .space = dir_space,
    .verify = dir_verify,
};
