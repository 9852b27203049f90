// SPDX-License-Identifier: Apache-2.0
/*
 * to_directory: see the header. Attributes of directories are set at the end, the deepest first: a
 * directory may be one that nothing can be made in, and what is made in it moves its times.
 */
#include "to_directory.h"

#include "beneath.h"
#include "io.h"
#include "first_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A directory whose attributes are to be set. */
struct made_dir {
    struct made_dir *before;
    char *path;
    struct stat st;
    struct source_xattr *xattrs;
};

struct copying {
    struct export *e;
    int fd;
    struct made_dir *dirs; /* the last one first */
    struct first_names first;
    int parent;       /* the directory of the last file; -1: none */
    char *parent_path;
};

/* ---- places ---- */

/* Opens the directory that the path is in. *ret_name is the last part. */
static int open_parent(struct copying *c, const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    *ret_name = slash ? slash + 1 : path;
    if (c->parent >= 0 && strlen(c->parent_path) == len && memcmp(c->parent_path, path, len) == 0) {
        return 0;
    }
    io_cleanup_close(&c->parent);
    free(c->parent_path);
    c->parent = -1;
    c->parent_path = strndup(path, len);
    if (!c->parent_path) {
        return -ENOMEM;
    }
    c->parent = beneath_open_dir(c->fd, c->parent_path);
    return c->parent < 0 ? c->parent : 0;
}

/* ---- attributes ---- */

static int set_xattrs(const struct source_xattr *x, const char *path)
{
    for (; x; x = x->next) {
        bool may = geteuid() == 0 || strncmp(x->name, "trusted.", 8) != 0;
        if (may && lsetxattr(path, x->name, x->value, x->len, 0) < 0) {
            return -errno;
        }
    }
    return 0;
}

/* Sets what `st` says of a file that is reached by a directory and a name. Only root can set
 * owners. */
static int set_attributes(int dir, const char *name, const struct stat *st,
                          const struct source_xattr *xattrs)
{
    const struct timespec times[] = {st->st_mtim, st->st_mtim};
    char path[64 + 256];
    bool link = S_ISLNK(st->st_mode), is_root = geteuid() == 0;
    bool mine = st->st_uid == geteuid() && st->st_gid == getegid();
    /* Set-id bits of somebody else's file would give the caller's rights. */
    mode_t mode = st->st_mode & (is_root || mine ? 07777 : 01777);
    if (is_root && fchownat(dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0) {
        return -errno;
    }
    if (!link && fchmodat(dir, name, mode, 0) < 0) {
        return -errno;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
    int err = set_xattrs(xattrs, path);
    if (err == 0 && utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0) {
        err = -errno;
    }
    return err;
}

static int set_dirs(struct copying *c)
{
    int err = 0;
    while (c->dirs) {
        struct made_dir *d = c->dirs;
        const char *name = ".";
        if (err == 0) {
            err = *d->path ? open_parent(c, d->path, &name) : 0;
        }
        if (err == 0) {
            err = set_attributes(*d->path ? c->parent : c->fd, name, &d->st, d->xattrs);
        }
        if (err < 0 && !*c->e->why) {
            (void)export_fail(c->e, err, d->path, "its attributes");
        }
        c->dirs = d->before;
        source_free_xattrs(d->xattrs);
        free(d->path);
        free(d);
    }
    return err;
}

/* ---- files ---- */

static int write_data(const void *bytes, size_t len, uint64_t off, void *ctx)
{
    const int *to = ctx;
    return io_pwrite(*to, bytes, len, off);
}

/* Has the filesystem share the bytes, or copy them. False: it cannot. */
static bool share(const struct source_file *f, int to)
{
    loff_t in = 0, out = 0;
    while (in < f->st.st_size) {
        ssize_t n = copy_file_range(f->fd, &in, to, &out, (size_t)(f->st.st_size - in), 0);
        if (n <= 0) {
            return false;
        }
    }
    return true;
}

static int copy_file(struct copying *c, const struct source_file *f, const char *name)
{
    int to = openat(c->parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0) {
        return -errno;
    }
    bool shared = f->fd >= 0 && !source_has_holes(f) && share(f, to);
    int err = shared ? 0 : export_data(f, write_data, &to);
    if (err == 0 && ftruncate(to, f->st.st_size) < 0) {
        err = -errno;
    }
    if (close(to) < 0 && err == 0) {
        err = -errno;
    }
    c->e->bytes += (uint64_t)f->st.st_size;
    return err;
}

static int note_dir(struct copying *c, struct source_file *f, const char *path)
{
    struct made_dir *d = malloc(sizeof(*d));
    char *copy = strdup(path);
    if (!d || !copy) {
        free(d);
        free(copy);
        return -ENOMEM;
    }
    *d = (struct made_dir){.before = c->dirs, .path = copy, .st = f->st, .xattrs = f->xattrs};
    f->xattrs = NULL;
    c->dirs = d;
    return 0;
}

/* Makes a file that is not there under another name. */
static int make_file(struct copying *c, struct source_file *f, const char *path, const char *name)
{
    mode_t type = f->st.st_mode & S_IFMT;
    int err = 0;
    if (type == S_IFDIR) {
        err = mkdirat(c->parent, name, 0700) < 0 ? -errno : 0;
        return err < 0 ? err : note_dir(c, f, path);
    }
    if (type == S_IFREG) {
        err = copy_file(c, f, name);
    } else if (type == S_IFLNK) {
        err = symlinkat(f->target, c->parent, name) < 0 ? -errno : 0;
    } else {
        err = mknodat(c->parent, name, type | 0600, f->st.st_rdev) < 0 ? -errno : 0;
    }
    return err < 0 ? err : set_attributes(c->parent, name, &f->st, f->xattrs);
}

static int put(struct copying *c, struct source_file *f, const char *path)
{
    const char *name;
    if (!*path) {
        return note_dir(c, f, path);
    }
    int err = open_parent(c, path, &name);
    if (err < 0) {
        return err;
    }
    const char *first = first_names_find(&c->first, &f->st);
    if (first) {
        return beneath_link(c->fd, first, path);
    }
    err = make_file(c, f, path, name);
    return err == 0 ? first_names_add(&c->first, &f->st, path) : err;
}

static int put_file(struct source_file *f, const char *path, void *ctx)
{
    struct copying *c = ctx;
    int err = put(c, f, path);
    if (err < 0) {
        return export_fail(c->e, err, path, "writing it");
    }
    c->e->files++;
    if (c->e->tick) {
        c->e->tick(c->e->ctx);
    }
    return 0;
}

int to_directory(struct export *e, int fd)
{
    struct copying c = {.e = e, .fd = fd, .parent = -1};
    int err = first_names_open(&c.first) < 0 ? export_fail(e, -ENOMEM, "", "copying it") : 0;
    if (err == 0) {
        err = export_walk(e, put_file, &c);
    }
    int err_dirs = set_dirs(&c);
    io_cleanup_close(&c.parent);
    free(c.parent_path);
    first_names_close(&c.first);
    return err < 0 ? err : err_dirs;
}
