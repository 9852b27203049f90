// SPDX-License-Identifier: Apache-2.0
/*
 * ops_dir: listing directories. A listing has no state of ours: the cookie says where to go on. So
 * the first OPENDIR is answered with ENOSYS: the kernel then opens and closes directories by itself
 * and keeps their listings, for nothing, until it changes the directory itself, which is the only
 * way in which one of a namespace changes; when a command drops it, listed.h knows what was kept.
 *
 * The mount root and `.tally` change by themselves, and with strictatime each listing is to be
 * seen. The kernel takes a listing for whole when it hears of its end by an empty answer; an answer
 * too short for an entry ends it for who lists, too, but leaves nothing that would be used again
 * (fs_end_uncached).
 *
 * vfs_readdir calls back under a lock of core, so fill() only fills this thread's buffer.
 */
#include "ops.h"

#include "listed.h"
#include "reply.h"
#include "tal_ops.h"
#include "tally_node.h"

#include <errno.h>
#include <string.h>

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
    if (taldir_owns(ino)) {
        tal_op_readdir(req, ino, size, off, plus);
        return;
    }
    const bool kept = ino != VFS_ROOT && listed_add(fs_of(req), ino);
    struct filling f = {
        .req = req, .fs = fs_of(req), .buf = fs_buffer(size), .room = size, .plus = plus};
    int r = f.buf == NULL ? -ENOMEM : list(&f, ino, off);
    if (r == 0 && f.used == 0 && (!kept || fs_reads_all(f.fs)))
        f.used = fs_end_uncached(f.buf, size);
    if (r < 0 && f.used == 0)
        fs_reply_err(req, r);
    else if (fuse_reply_buf(req, f.buf, f.used) != 0 && ino != VFS_ROOT && f.counted > 0)
        vfs_forget(f.fs->p, ino, f.counted); /* counts are a namespace's, and all are of this one */
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (fs_of(req)->dirs_unopened) {
        fuse_reply_err(req, ENOSYS);
        return;
    }
    (void)ino;
    fi->fh = 0;
    fi->keep_cache = 1;
    fi->cache_readdir = 1;
    fuse_reply_open(req, fi);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    (void)fi;
    read_dir(req, ino, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    (void)fi;
    read_dir(req, ino, size, off, true);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_reply_err(req, 0);
}
