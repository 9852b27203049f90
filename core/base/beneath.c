// SPDX-License-Identifier: Apache-2.0
/* beneath: see the header. */
#include "beneath.h"

#include "io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRIES 16 /* openat2 returns EAGAIN while another process renames something */

static bool slowly; /* beneath_go_slowly */

void beneath_go_slowly(int yes)
{
    slowly = yes;
}

/* Turns the errno of an open into the errors of the header: those that mean that the name has
 * something of the wrong kind become -EUCLEAN. */
static int told(int err)
{
    switch (err) {
    case ELOOP:
    case EXDEV:
    case ENOTDIR:
    case EISDIR:
    case ENXIO: /* a socket, or a FIFO without a reader */
    case ENODEV:
        return -EUCLEAN;
    case EAGAIN:
        return -EBUSY;
    default:
        return -err;
    }
}

/* Opens the name by openat2(2). -ENOSYS: the kernel has no such call, or a filter of system calls
 * forbids it, or every try met a rename. */
static int open_at_once(int dirfd, const char *name, int flags, mode_t mode)
{
    struct open_how how = {.flags = (unsigned)(flags | O_NOFOLLOW | O_CLOEXEC),
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

    for (int i = 0; i < TRIES && !slowly; i++) {
        long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof how);

        if (fd >= 0)
            return (int)fd;
        if (errno == EPERM || errno == ENOSYS)
            break;
        if (errno != EAGAIN && errno != EINTR)
            return told(errno);
    }
    return -ENOSYS;
}

/* Copies the next part of `*name`, and moves `*name` behind it. Returns its length; 0: there is
 * none. -EUCLEAN: it is "..". */
static int next_part(const char **name, char part[NAME_MAX + 1])
{
    while (**name == '/')
        (*name)++;
    size_t len = strcspn(*name, "/");

    if (len > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(part, *name, len);
    part[len] = '\0';
    *name += len;
    return strcmp(part, "..") == 0 ? -EUCLEAN : (int)len;
}

/* Opens the name part by part, each below the directory before it. The directories on the way are
 * opened as O_PATH, which needs no right to read them. */
static int open_slowly(int dirfd, const char *name, int flags, mode_t mode)
{
    char part[NAME_MAX + 1];
    int at = dirfd, err = *name == '/' ? -EUCLEAN : next_part(&name, part);

    while (err > 0) {
        bool last = strspn(name, "/") == strlen(name);
        int fd = last ? openat(at, part, flags | O_NOFOLLOW | O_CLOEXEC, mode)
                      : openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        err = fd < 0 ? told(errno) : 0;
        if (at != dirfd)
            close(at);
        if (err < 0 || last)
            return err < 0 ? err : fd;
        at = fd;
        err = next_part(&name, part);
    }
    if (at != dirfd)
        close(at);
    return err < 0 ? err : -ENOENT;
}

static int open_any(int dirfd, const char *name, int flags, mode_t mode)
{
    int fd = open_at_once(dirfd, name, flags, mode);

    return fd == -ENOSYS ? open_slowly(dirfd, name, flags, mode) : fd;
}

/* Opens the directory that `name` is in, and gives its last part. A name of one part is in `dirfd`
 * itself, which is returned as it is (close_above leaves it open). */
static int open_above(int dirfd, const char *name, const char **ret_last)
{
    const char *slash = strrchr(name, '/');
    char above[PATH_MAX];
    size_t len = slash ? (size_t)(slash - name) : 0;

    *ret_last = slash ? slash + 1 : name;
    if (!slash)
        return dirfd;
    if (len >= sizeof above)
        return -ENAMETOOLONG;
    memcpy(above, name, len);
    above[len] = '\0';
    return open_any(dirfd, above, O_PATH | O_DIRECTORY, 0);
}

static void close_above(int fd, int dirfd)
{
    if (fd >= 0 && fd != dirfd)
        close(fd);
}

/* Is what root makes in the directory `above` to be given to another user, its owner? */
static bool is_of_another(int above, struct stat *ret_above)
{
    return geteuid() == 0 && fstat(above, ret_above) == 0 && ret_above->st_uid != 0;
}

/* Makes a file that is not there. Root gives it to the owner of its directory; where the file
 * system cannot do that, the file stays root's. */
static int make_file(int dirfd, const char *name, int flags, mode_t mode)
{
    const char *last;
    struct stat dir;
    int fd = open_any(dirfd, name, flags | O_EXCL, mode);

    if (fd < 0 || geteuid() != 0)
        return fd;
    int above = open_above(dirfd, name, &last);

    if (is_of_another(above, &dir)) /* not if `above` is no descriptor */
        (void)fchown(fd, dir.st_uid, dir.st_gid);
    close_above(above, dirfd);
    return fd;
}

/* Opens a file that may be there, or makes it. It is known which of both happened: what was there
 * before may be a hard link to a file of root, and must not be given away. */
static int open_or_make(int dirfd, const char *name, int flags, mode_t mode)
{
    for (int i = 0; i < TRIES; i++) {
        int fd = make_file(dirfd, name, flags, mode);

        if (fd != -EEXIST || flags & O_EXCL)
            return fd;
        fd = open_any(dirfd, name, flags & ~O_CREAT, 0);
        if (fd != -ENOENT)
            return fd;
    }
    return -EBUSY;
}

int beneath_open(int dirfd, const char *name, int flags, mode_t mode)
{
    struct stat st;
    /* O_NONBLOCK: opening a FIFO must not wait for the other end. O_NOCTTY: a terminal must not
     * become ours. */
    int quick =
        flags & O_PATH ? 0 : O_NONBLOCK | O_NOCTTY; /* openat2 refuses flags that O_PATH ignores */
    int fd = flags & O_CREAT ? open_or_make(dirfd, name, flags | quick, mode)
                             : open_any(dirfd, name, flags | quick, mode);
    int err = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EUCLEAN;

    if (err < 0 && fd >= 0)
        close(fd);
    return err < 0 ? err : fd;
}

int beneath_open_dir(int dirfd, const char *name)
{
    return open_any(dirfd, *name ? name : ".", O_RDONLY | O_DIRECTORY, 0);
}

/* readdir returns NULL at the end and after an error, so errno tells which. */
static int list_names(DIR *dir, beneath_list_fn *fn, void *ctx)
{
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        int err;

        if (!e)
            return -errno;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        err = fn(e->d_name, ctx);
        if (err)
            return err;
    }
}

int beneath_list(int dirfd, const char *name, beneath_list_fn *fn, void *ctx)
{
    int fd = beneath_open_dir(dirfd, name), err;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        err = fd < 0 ? fd : -errno;
        io_cleanup_close(&fd);
        return err;
    }
    err = list_names(dir, fn, ctx);
    closedir(dir);
    return err;
}

static int any_name(const char *name, void *ctx)
{
    (void)name, (void)ctx;
    return 1;
}

/* As make_file, for a directory that was just made. The other user may have put another directory
 * of root in its place meanwhile, so it must be empty. */
static void give_directory(int above, const char *last, const struct stat *dir)
{
    struct stat st;
    int fd = open_any(above, last, O_RDONLY | O_DIRECTORY, 0);

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == 0 &&
        beneath_list(fd, ".", any_name, NULL) == 0)
        (void)fchown(fd, dir->st_uid, dir->st_gid);
    io_cleanup_close(&fd);
}

/* Makes a directory of the owner of `above`. It gets its name when it is theirs: another thread of
 * root could else put its files into a directory that is still root's. -EINVAL: the file system
 * has no such rename. */
static int make_given(int above, const char *last, mode_t mode, const struct stat *dir)
{
    char made[32];

    if (faccessat(above, last, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    snprintf(made, sizeof made, ".made.%d", (int)gettid());
    (void)unlinkat(above, made, AT_REMOVEDIR); /* one that a kill left */
    if (mkdirat(above, made, mode) < 0)
        return -errno;
    give_directory(above, made, dir);
    if (renameat2(above, made, above, last, RENAME_NOREPLACE) == 0)
        return 0;
    int err = -errno;

    (void)unlinkat(above, made, AT_REMOVEDIR);
    return err;
}

int beneath_mkdir(int dirfd, const char *name, mode_t mode)
{
    const char *last;
    struct stat dir;
    int fd = open_above(dirfd, name, &last);

    if (fd < 0 && fd != dirfd)
        return fd;
    int err = is_of_another(fd, &dir) ? make_given(fd, last, mode, &dir) : -EINVAL;

    if (err == -EINVAL)
        err = mkdirat(fd, last, mode) < 0 ? -errno : 0;
    close_above(fd, dirfd);
    return err;
}

int beneath_unlink(int dirfd, const char *name)
{
    const char *last;
    int fd = open_above(dirfd, name, &last);

    if (fd < 0 && fd != dirfd)
        return fd;
    int err = unlinkat(fd, last, 0) < 0 ? -errno : 0;

    close_above(fd, dirfd);
    return err;
}

/* Calls link or rename with both directories opened. */
static int between(int dirfd, const char *from, const char *to,
                   int (*call)(int, const char *, int, const char *))
{
    const char *last_from, *last_to;
    int a = open_above(dirfd, from, &last_from), b;

    if (a < 0 && a != dirfd)
        return a;
    b = open_above(dirfd, to, &last_to);
    int err = b < 0 && b != dirfd ? b : call(a, last_from, b, last_to) < 0 ? -errno : 0;

    close_above(b, dirfd);
    close_above(a, dirfd);
    return err;
}

static int link_at(int a, const char *from, int b, const char *to)
{
    return linkat(a, from, b, to, 0);
}

int beneath_link(int dirfd, const char *from, const char *to)
{
    return between(dirfd, from, to, link_at);
}

int beneath_rename(int dirfd, const char *from, const char *to)
{
    return between(dirfd, from, to, renameat);
}
