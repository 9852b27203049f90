// SPDX-License-Identifier: Apache-2.0
/*
 * ops_dir: listing directories. The daemon has no state for a listing: the cookie says where to go
 * on. So the first OPENDIR is answered with ENOSYS. From then on the kernel opens and closes
 * directories by itself, without requests. It keeps a listing until it changes the directory
 * itself. A directory of a namespace changes in no other way, except when a command drops its
 * namespace; for that listed.h remembers what the kernel has kept.
 *
 * The listings of the mount root and of `.tally` must not be kept, since these change without a
 * request of the kernel. Nor must any listing be kept with strictatime, since the daemon must see
 * each reading. The kernel takes a listing for complete, and keeps it, when it gets an empty answer
 * at the end. An answer that is too short for an entry also ends the listing for the program, but
 * the kernel keeps nothing then (fs_end_uncached).
 *
 * vfs_readdir calls fill() under a lock of core, so fill() only writes into the buffer of this
 * thread.
 */
#include "ops.h"

#include "listed.h"
#include "reply.h"
#include "tal_ops.h"
#include "tally_node.h"

#include <errno.h>
#include <string.h>

/* The cookie of the entry `.tally` in the root, with showctl. It is the last: the entry comes after
 * all of core's. */
#define COOKIE_TALLY INT64_MAX

struct filling {
    fuse_req_t req;
    struct fs *fs;
    char *buf;
    size_t used, room;
    uint64_t counted; /* entries that core has counted as looked up */
    bool plus, full;
};

/* Adds an entry to the answer. False: there is no more room. */
static bool add_entry(struct filling *f, const char *name, const struct fuse_entry_param *e,
                      off_t next)
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

/* Adds an entry of core to the answer. Called by vfs_readdir under a lock of core. */
static bool fill(const struct vfs_dirent *d, void *ctx)
{
    struct filling *f = ctx;
    struct fuse_entry_param e = {0};
    if (f->plus)
        fs_entry(f->fs, &d->attr, &e);
    e.attr.st_ino = d->attr.nodeid;
    e.attr.st_mode = d->attr.mode;
    if (is_dots(d->name))
        e.ino = 0; /* the kernel counts no lookup of these */
    if (!add_entry(f, d->name, &e, (off_t)d->cookie))
        return false;
    f->counted += e.ino != 0;
    return true;
}

static void add_tally(struct filling *f)
{
    struct fuse_entry_param e = {0}; /* ino 0: name and type only, no lookup is counted */
    e.attr.st_ino = TALDIR_ROOT;
    e.attr.st_mode = S_IFDIR;
    add_entry(f, FS_TALLY_NAME, &e, COOKIE_TALLY);
}

static int list_entries(struct filling *f, fuse_ino_t ino, off_t off)
{
    if (off == COOKIE_TALLY)
        return 0;
    int err = vfs_readdir(f->fs->p, ino, (uint64_t)off, f->plus, fill, f);
    if (err == 0 && !f->full && ino == VFS_ROOT && f->fs->o->showctl)
        add_tally(f);
    return err;
}

/* Answers READDIR and READDIRPLUS. listed_add comes before the reading, so that a drop meanwhile is
 * not missed. Entries that were added before an error are sent; the next request gets the error. */
static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
    if (taldir_owns(ino)) {
        tal_op_readdir(req, ino, size, off, plus);
        return;
    }
    const bool kept = ino != VFS_ROOT && listed_add(fs_of(req), ino);
    struct filling f = {
        .req = req, .fs = fs_of(req), .buf = fs_buffer(size), .room = size, .plus = plus};
    int err = !f.buf ? -ENOMEM : list_entries(&f, ino, off);
    if (err == 0 && f.used == 0 && (!kept || fs_reads_all(f.fs)))
        f.used = fs_end_uncached(f.buf, size);
    if (err < 0 && f.used == 0)
        fs_reply_err(req, err);
    else if (fuse_reply_buf(req, f.buf, f.used) != 0 && ino != VFS_ROOT && f.counted > 0)
        vfs_forget(f.fs->p, ino, f.counted); /* a count is one of the namespace */
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
