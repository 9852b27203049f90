// SPDX-License-Identifier: Apache-2.0
#include "source_file.h"

#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TRIES 3 /* of reading a file that changes */

struct source_dir *source_dir_new(int fd, char *path)
{
    struct source_dir *d = malloc(sizeof(*d));
    if (!d || !path) {
        free(d);
        free(path);
        close(fd);
        return NULL;
    }
    *d = (struct source_dir){.fd = fd, .refs = 1, .path = path};
    return d;
}

void source_dir_put(struct source_dir *d)
{
    if (--d->refs == 0) {
        close(d->fd);
        free(d->path);
        free(d);
    }
}

struct source_file *source_new(struct source_dir *dir, const char *name)
{
    struct source_file *f = calloc(1, sizeof(*f));
    if (f) {
        f->fd = -1;
        f->name = strdup(name);
    }
    if (!f || !f->name) {
        free(f);
        return NULL;
    }
    f->dir = dir;
    dir->refs++;
    return f;
}

void source_free_xattrs(struct source_xattr *first)
{
    while (first) {
        struct source_xattr *x = first;
        first = x->next;
        free(x->name);
        free(x->value);
        free(x);
    }
}

void source_free(struct source_file *f)
{
    if (!f) {
        return;
    }
    source_free_xattrs(f->xattrs);
    io_cleanup_close(&f->fd);
    source_dir_put(f->dir);
    free(f->bytes);
    free(f->target);
    free(f->name);
    free(f);
}

char *source_path(const struct source_file *f)
{
    char *path;
    if (asprintf(&path, "%s%s%s", f->dir->path, *f->dir->path ? "/" : "", f->name) < 0) {
        return NULL;
    }
    return path;
}

static int fail(struct source_file *f, int err, const char *what)
{
    f->err = err;
    f->what = what;
    return err;
}

/* ---- extended attributes ---- */

static int add_xattr(struct source_file *f, const char *path, const char *name)
{
    static const size_t most = 65536;
    struct source_xattr *x = calloc(1, sizeof(*x));
    if (!x || !(x->name = strdup(name)) || !(x->value = malloc(most))) {
        if (x) {
            free(x->name);
        }
        free(x);
        return fail(f, -ENOMEM, "reading its attributes");
    }
    ssize_t n = lgetxattr(path, name, x->value, most);
    int err = n < 0 ? -errno : 0;
    if (n >= 0) {
        void *fits = realloc(x->value, n ? (size_t)n : 1);
        x->value = fits ? fits : x->value;
        x->len = (size_t)n;
        x->next = f->xattrs;
        f->xattrs = x;
        return 0;
    }
    free(x->name);
    free(x->value);
    free(x);
    /* it went meanwhile, or is none that a program may read */
    return err == -ENODATA || err == -EPERM || err == -EACCES || err == -EOPNOTSUPP
               ? 0
               : fail(f, err, "reading its attributes");
}

/* Reads all attributes. The path leads through the directory that is open. */
static int read_xattrs(struct source_file *f)
{
    static const size_t most = 65536;
    char path[64 + NAME_MAX + 1];
    CLEANUP_FREE char *names = malloc(most);
    if (!names) {
        return fail(f, -ENOMEM, "reading its attributes");
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", f->dir->fd, f->name);
    ssize_t n = llistxattr(path, names, most);
    if (n < 0) {
        return errno == EOPNOTSUPP || errno == ENOSYS ? 0
                                                      : fail(f, -errno, "listing its attributes");
    }
    int err = 0;
    for (const char *name = names; err == 0 && name < names + n; name += strlen(name) + 1) {
        err = add_xattr(f, path, name);
    }
    return err;
}

/* ---- bytes ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

bool source_has_changed(const struct source_file *f)
{
    struct stat now;
    return fstat(f->fd, &now) < 0 || !is_same(&now, &f->st);
}

bool source_has_holes(const struct source_file *f)
{
    return f->st.st_blocks * 512 < f->st.st_size;
}

/* Reads a small file once. 1: it changed meanwhile. */
static int read_once(struct source_file *f)
{
    size_t len = (size_t)f->st.st_size;
    free(f->bytes);
    f->bytes = malloc(len ? len : 1);
    if (!f->bytes) {
        return fail(f, -ENOMEM, "reading it");
    }
    ssize_t n = io_pread(f->fd, f->bytes, len, 0);
    if (n < 0) {
        return fail(f, (int)n, "reading it");
    }
    memset(f->bytes + n, 0, len - (size_t)n); /* it became shorter */
    return source_has_changed(f);
}

static bool is_small(const struct stat *st)
{
    return st->st_size <= (off_t)FILE_SMALL && st->st_blocks * 512 >= st->st_size;
}

static int read_small(struct source_file *f)
{
    int err = 1;
    for (int i = 0; err == 1 && i < TRIES && is_small(&f->st); i++) {
        err = read_once(f);
        if (err == 1 && fstat(f->fd, &f->st) < 0) {
            return fail(f, -errno, "looking at it");
        }
    }
    if (!is_small(&f->st)) { /* it is none any more, and is read in pieces */
        free(f->bytes);
        f->bytes = NULL;
        return 0;
    }
    if (err == 1) {
        err = read_once(f);
        f->changed = err == 1;
    }
    io_cleanup_close(&f->fd);
    f->fd = -1;
    return err < 0 ? err : 0;
}

/* Opens it if it has bytes or names, and looks whether it is still what was found. */
static int open_it(struct source_file *f)
{
    bool is_dir = S_ISDIR(f->st.st_mode);
    mode_t type = f->st.st_mode & S_IFMT;
    f->fd = openat(f->dir->fd, f->name,
                   O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (is_dir ? O_DIRECTORY : 0));
    if (f->fd < 0) {
        return fail(f, -errno, "opening it");
    }
    if (fstat(f->fd, &f->st) < 0) {
        return fail(f, -errno, "looking at it");
    }
    return (f->st.st_mode & S_IFMT) == type ? 0 : fail(f, -ESTALE, "it was replaced meanwhile");
}

static int read_target(struct source_file *f)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(f->dir->fd, f->name, target, sizeof(target) - 1);
    if (n < 0) {
        return fail(f, -errno, "reading where it leads");
    }
    target[n] = 0;
    f->target = strdup(target);
    return f->target ? 0 : fail(f, -ENOMEM, "reading where it leads");
}

void source_read(struct source_file *f)
{
    f->is_read = true;
    if (fstatat(f->dir->fd, f->name, &f->st, AT_SYMLINK_NOFOLLOW) < 0) {
        (void)fail(f, -errno, "looking at it");
        return;
    }
    int err = 0;
    if (S_ISREG(f->st.st_mode) || S_ISDIR(f->st.st_mode)) {
        err = open_it(f);
    } else if (S_ISLNK(f->st.st_mode)) {
        err = read_target(f);
    }
    if (err == 0 && S_ISREG(f->st.st_mode) && is_small(&f->st)) {
        err = read_small(f);
    }
    if (err == 0) {
        (void)read_xattrs(f);
    }
}
