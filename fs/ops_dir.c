// SPDX-License-Identifier: Apache-2.0
/*
 * ops_dir: listing directories of namespaces and the mount root. A listing has no state of ours:
 * the cookie says where to go on, so opendir of these leaves no handle (fh 0).
 *
 * vfs_readdir calls back under a lock of core, so fill() only fills this thread's buffer.
 */
#include "fs_impl.h"

#include "taldir.h"

#include <errno.h>

/* Behind every cookie of core: the entry `.tally` in the root, with showctl. */
#define COOKIE_TALLY INT64_MAX

struct filling {
    fuse_req_t req;
    struct fs *fs;
    char *buf;
    size_t used, room;
    uint64_t counted; /* entries that core counted as looked up */
    bool plus, full;
};

static bool add(struct filling *f, const char *name, const struct fuse_entry_param *e, off_t next)
{
    char *at = f->buf + f->used;
    const size_t left = f->room - f->used;
    const size_t need = f->plus ? fuse_add_direntry_plus(f->req, at, left, name, e, next)
                                : fuse_add_direntry(f->req, at, left, name, &e->attr, next);
    if (need > left) {
        f->full = true;
        return false;
    }
    f->used += need;
    return true;
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static bool fill(const struct vfs_dirent *d, void *ctx)
{
    struct filling *f = ctx;
    struct fuse_entry_param e = {0};
    if (f->plus)
        fs_entry(f->fs, &d->attr, &e);
    e.attr.st_ino = d->attr.nodeid;
    e.attr.st_mode = d->attr.mode;
    if (is_dots(d->name))
        e.ino = 0; /* the kernel takes no reference on these, so it must get none */
    if (!add(f, d->name, &e, (off_t)d->cookie))
        return false;
    f->counted += e.ino != 0;
    return true;
}

static void add_tally(struct filling *f)
{
    struct fuse_entry_param e = {0}; /* ino 0: only name and type; a lookup tells the rest */
    e.attr.st_ino = TALDIR_ROOT;
    e.attr.st_mode = S_IFDIR;
    add(f, FS_TALLY_NAME, &e, COOKIE_TALLY);
}

static int list(struct filling *f, fuse_ino_t ino, off_t off)
{
    if (off == COOKIE_TALLY)
        return 0;
    int r = vfs_readdir(f->fs->p, ino, (uint64_t)off, f->plus, fill, f);
    if (r == 0 && !f->full && ino == VFS_ROOT && f->fs->o->showctl)
        add_tally(f);
    return r;
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
    struct filling f = {
        .req = req, .fs = fs_of(req), .buf = fs_buffer(size), .room = size, .plus = plus};
    int r = f.buf == NULL ? -ENOMEM : list(&f, ino, off);
    if (r < 0 && f.used == 0)
        fs_reply_err(req, r);
    else if (fuse_reply_buf(req, f.buf, f.used) != 0 && ino != VFS_ROOT && f.counted > 0)
        vfs_forget(f.fs->p, ino, f.counted); /* counts are a namespace's, and all are of this one */
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (taldir_owns(ino)) {
        tal_op_opendir(req, ino, fi);
        return;
    }
    fi->fh = 0;
    fuse_reply_open(req, fi);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    if (fi->fh != 0)
        tal_op_readdir(req, size, off, fi, false);
    else
        read_dir(req, ino, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    if (fi->fh != 0)
        tal_op_readdir(req, size, off, fi, true);
    else
        read_dir(req, ino, size, off, true);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    if (fi->fh != 0)
        handle_free(fs_of(req), fs_handle(fi));
    fuse_reply_err(req, 0);
}
