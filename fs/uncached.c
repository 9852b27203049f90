// SPDX-License-Identifier: Apache-2.0
/*
 * uncached: see the header. A message that has the kernel forget pages waits for those that are
 * just being read, so it is sent by a thread that may wait; a SIGKILL at that instant can leave the
 * mount hanging until `umount -f`, as where apart.h cannot help. It is sent only for a file that is
 * being read and written at once.
 */
#include "uncached.h"

#include "defer.h"
#include "init.h"

#include <fcntl.h>
#include <string.h>

struct written {
    off_t off;
    size_t len;
    struct vfs_file *file;
    struct vfs_stale *stale;
    bool sync;
};

/* Since 6.6 the kernel forgets before it writes. That version has no flag; another of it has. */
static bool kernel_forgets(struct fs *fs)
{
    return (atomic_load_explicit(&fs->init_offered2, memory_order_relaxed) &
            INIT2_DIRECT_IO_MMAP) != 0;
}

/* Not what is appended to: others like to read that meanwhile. Nor what each write syncs. */
bool uncached_wanted(struct fs *fs, int flags)
{
    return (flags & O_ACCMODE) == O_WRONLY && (flags & (O_APPEND | O_DSYNC | O_SYNC)) == 0 &&
           kernel_forgets(fs);
}

void uncached_open(struct fs *fs, struct handle *h, struct fuse_file_info *fi, bool made)
{
    const bool asked = (fi->flags & O_ACCMODE) != O_RDONLY && (fi->flags & O_DIRECT) != 0;
    if (made && uncached_wanted(fs, fi->flags)) {
        h->uncached = true;
        fi->direct_io = 1;
    }
    if (h->uncached || asked)
        vfs_set_uncached(h->file);
}

bool uncached_is(const struct handle *h, const struct fuse_file_info *fi)
{
    if (fi->writepage)
        return false;
    return h->uncached || ((fi->flags & O_DIRECT) != 0 && fi->lock_owner != 0);
}

static void drop_capability(fuse_req_t req, fuse_ino_t ino)
{
    struct project *p = fs_of(req)->p;
    /* If it cannot be removed, the bytes cannot be changed either, and the caller sees that. */
    if (vfs_getxattr(p, ino, "security.capability", NULL, 0) >= 0)
        (void)vfs_removexattr(p, ino, "security.capability");
}

static void finish(struct call *c)
{
    struct fs *fs = fs_of(c->req);
    struct written w;
    memcpy(&w, c->data, sizeof(w));
    if (w.stale != NULL) { /* -ENOENT: the kernel has none */
        (void)fuse_lowlevel_notify_inval_inode(fs->se, c->ino, w.off, (off_t)w.len);
        vfs_stale_gone(w.file, w.stale);
    }
    const int r = w.sync ? project_sync(fs->p) : 0;
    call_settle(c);
    if (r < 0)
        fs_reply_err(c->req, r);
    else
        fuse_reply_write(c->req, w.len);
}

static void reply_write(fuse_req_t req, fuse_ino_t ino, const struct written *w)
{
    if (w->stale == NULL && !w->sync) {
        fuse_reply_write(req, w->len);
        return;
    }
    struct call *c = call_new(req, finish, sizeof(*w));
    if (c == NULL) {
        if (w->stale != NULL)
            vfs_stale_gone(w->file, w->stale);
        return;
    }
    c->ino = ino;
    c->lane = w->stale != NULL ? CALL_PAGES : CALL_FAST;
    memcpy(c->data, w, sizeof(*w));
    call_run(c);
}

void uncached_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                    const struct fuse_file_info *fi)
{
    struct written w = {.off = off,
                        .file = fs_handle(fi)->file,
                        .sync = (fi->flags & O_DSYNC) != 0};
    if (fs_handle(fi)->uncached) /* else the kernel has done that */
        drop_capability(req, ino);
    const ssize_t n = vfs_write_uncached(w.file, buf, size, (uint64_t)off, &w.stale);
    if (n < 0) {
        fs_reply_err(req, n);
        return;
    }
    w.len = (size_t)n;
    reply_write(req, ino, &w);
}
