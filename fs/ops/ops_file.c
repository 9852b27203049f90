// SPDX-License-Identifier: Apache-2.0
/*
 * ops_file: opening, reading, writing, syncing and sharing files, and the holes in them.
 *
 * Files of namespaces are opened with keep_cache. Only requests of this kernel change their bytes;
 * when something else changes, notify.c informs the kernel.
 *
 * Files that are created to be written bypass the kernel's cache (uncached.c). Then each write(2)
 * is one request, wherever it begins and ends, and the bytes are copied once, from the program to
 * the daemon. Through the cache a write that begins in the middle of a page becomes two requests,
 * and the kernel asks for security.capability before the first. A small file that is read again
 * soon is in the daemon's buffers; a large one would be in memory twice.
 */
#include "ops.h"

#include "defer.h"
#include "handle.h"
#include "notify.h"
#include "passthrough.h"
#include "reply.h"
#include "ring.h"
#include "serve.h"
#include "set_ids.h"
#include "ship.h"
#include "sync.h"
#include "tal_ops.h"
#include "tally_node.h"
#include "translate.h"
#include "uncached.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The bits of enum vfs_open_flags for those of open(2). `kill`: the client may not keep set-id
 * bits. */
static unsigned open_flags(int flags, bool kill)
{
    unsigned v = (flags & O_ACCMODE) != O_RDONLY ? VFS_WRITE : 0;
    if ((flags & O_TRUNC) != 0)
        v |= VFS_TRUNC | (kill ? VFS_OPEN_KILL_SUID : 0);
    if ((flags & O_EXCL) != 0)
        v |= VFS_EXCL;
    if ((flags & O_NOATIME) != 0)
        v |= VFS_NOATIME;
    return v;
}

/* May the kernel keep the pages of the file? The daemon does not see reads from the kernel's cache.
 * So not if the next read must move the access time. */
static bool may_keep_cache(const struct handle *h, int flags)
{
    return (flags & O_ACCMODE) == O_WRONLY || !vfs_atime_due(h->file);
}

/* Opens the file and answers. O_EXCL is dropped: it is about files that do not exist yet. */
static void open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, bool kill)
{
    struct fs *fs = fs_of(req);
    struct handle *h = handle_new(fs, HANDLE_FILE);
    if (!h) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    const unsigned flags =
        (open_flags(fi->flags, kill) & ~(unsigned)VFS_EXCL) | passthrough_flags(fs);
    int err = vfs_open(fs->p, ino, flags, &h->file);
    if (err < 0) {
        handle_drop(fs, h);
        fs_reply_err(req, err);
        return;
    }
    fi->fh = (uintptr_t)h;
    fi->keep_cache = may_keep_cache(h, fi->flags);
    uncached_open(fs, h, fi, (fi->flags & O_TRUNC) != 0);
    passthrough_reply_open(req, ino, h, fi);
}

/* In a thread of defer.h: clears set-id bits, then opens with O_TRUNC. */
static void do_open(struct call *c)
{
    int err = set_ids_drop(c->fs, c->ino);
    call_settle(c);
    if (err < 0)
        fs_reply_err(c->req, err);
    else
        open_file(c->req, c->ino, &c->fi, true);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (taldir_owns(ino)) {
        tal_op_open(req, ino, fi);
        return;
    }
    const bool kill = (fi->flags & O_TRUNC) != 0 && set_ids_go(req);
    if (!kill || !set_ids_are(fs_of(req), ino)) {
        open_file(req, ino, fi, kill);
        return;
    }
    call_defer(req, do_open, &(struct call_args){.lane = CALL_RIGHTS, .ino = ino, .fi = fi});
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct vfs_attr a;
    struct fuse_entry_param e;
    if (taldir_owns(parent) || fs_is_tally(parent, name)) {
        fuse_reply_err(req, EPERM);
        return;
    }
    if (fs_must_seal(req))
        return;
    struct handle *h = handle_new(fs, HANDLE_FILE);
    if (!h) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    const struct vfs_cred cred = fs_cred(req);
    const unsigned flags = open_flags(fi->flags, set_ids_go(req));
    int err = strcmp(name, INIT_TMPFILE_NAME) == 0
                  ? vfs_tmpfile(fs->p, parent, mode, &cred, flags, &a, &h->file)
                  : vfs_create(fs->p, parent, name, mode, &cred, flags, &a, &h->file);
    if (err < 0) {
        handle_drop(fs, h);
        fs_reply_err(req, err);
        return;
    }
    fs_entry(fs, &a, &e);
    fs_add_refs(fs, cred.uid, a.nodeid, &e.attr);
    fi->fh = (uintptr_t)h;
    fi->keep_cache = may_keep_cache(h, fi->flags);
    uncached_open(fs, h, fi, true);
    if (fuse_reply_create(req, &e, fi) != 0) {
        handle_free(fs, h);
        vfs_forget(fs->p, a.nodeid, 1);
    }
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    const struct handle *h = fs_handle(fi);
    (void)ino;
    if (h->kind != HANDLE_FILE) {
        tal_op_read(req, size, off, fi);
        return;
    }
    char *buf = size <= FS_IO_MAX ? ring_answer_room() : NULL;
    if (!buf)
        buf = fs_buffer(size);
    ssize_t n = !buf                 ? -ENOMEM
                : uncached_is(h, fi) ? vfs_read_uncached(h->file, buf, size, (uint64_t)off)
                                     : vfs_read(h->file, buf, size, (uint64_t)off);
    if (n < 0)
        fs_reply_err(req, n);
    else
        fuse_reply_buf(req, buf, (size_t)n);
}

/* Does a WRITE and answers it. A page that the kernel writes back (writepage) may have bytes that a
 * direct write has changed since: vfs_write_back keeps those. */
static void write_file(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    const struct handle *h = fs_handle(fi);
    if (uncached_is(h, fi)) {
        uncached_write(req, ino, buf, size, off, fi);
        return;
    }
    const ssize_t n = fi->writepage ? vfs_write_back(h->file, buf, size, (uint64_t)off)
                                    : vfs_write(h->file, buf, size, (uint64_t)off);
    if (n < 0)
        fs_reply_err(req, n);
    else
        fuse_reply_write(req, (size_t)n);
}

/* In a thread of defer.h: clears set-id bits, then writes. */
static void do_write(struct call *c)
{
    int err = set_ids_drop(c->fs, c->ino);
    call_settle(c);
    if (err < 0)
        fs_reply_err(c->req, err);
    else
        write_file(c->req, c->ino, c->data, c->len, c->off, &c->fi);
}

/* Before a write that clears set-id bits the kernel sends a SETATTR, too. That one is obeyed for
 * the owner and root only (ops.c), so here the bits are cleared for everybody else. */
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
              struct fuse_file_info *fi)
{
    if (fs_handle(fi)->kind != HANDLE_FILE) {
        tal_op_write(req, buf, size, off, fi);
        return;
    }
    if (!translate_asks_kill() || !set_ids_are(fs_of(req), ino)) {
        write_file(req, ino, buf, size, off, fi);
        return;
    }
    call_defer(req, do_write,
               &(struct call_args){.lane = CALL_RIGHTS,
                                   .ino = ino,
                                   .fi = fi,
                                   .len = size,
                                   .off = off,
                                   .data = buf,
                                   .room = size});
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    fs_reply_err(req, handle_release(fs_of(req), fs_handle(fi)));
}

/* One sync serves files and directories alike: it makes everything durable that was acknowledged
 * before. A thread of our own (apart.h) needs no sync: it only wants pages to be written back. */
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    (void)fi;
    if (taldir_owns(ino) || notify_is_own(fs_of(req), (uint32_t)fuse_req_ctx(req)->pid)) {
        fuse_reply_err(req, 0);
        return;
    }
    serve_kept();
    struct fs *fs = fs_of(req);
    sync_request(ship_is_sync(fs->p, ino) ? fs->sync_shipped : fs->sync, req);
}

struct copied {
    struct fuse_file_info in;
    off_t off_in, off_out;
    size_t len;
};

/* Shares a range if both offsets are equal. In any other case the kernel copies the bytes
 * itself. */
static void copy_range(fuse_req_t req, const struct copied *k, const struct fuse_file_info *fi_out)
{
    const struct handle *in = fs_handle(&k->in), *out = fs_handle(fi_out);
    ssize_t n = -EOPNOTSUPP; /* then the kernel copies the bytes */
    if (in->kind == HANDLE_FILE && out->kind == HANDLE_FILE && k->off_in == k->off_out)
        n = vfs_share_range(in->file, (uint64_t)k->off_in, out->file, (uint64_t)k->off_out, k->len);
    if (n < 0)
        fs_reply_err(req, n);
    else
        fuse_reply_write(req, (size_t)n);
}

/* In a thread of defer.h: clears set-id bits, then shares. */
static void do_copy_range(struct call *c)
{
    struct copied k;
    memcpy(&k, c->data, sizeof(k));
    int err = set_ids_drop(c->fs, c->ino);
    call_settle(c);
    if (err < 0)
        fs_reply_err(c->req, err);
    else
        copy_range(c->req, &k, &c->fi);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
                        struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
                        struct fuse_file_info *fi_out, size_t len, int flags)
{
    const struct copied k = {.in = *fi_in, .off_in = off_in, .off_out = off_out, .len = len};
    (void)ino_in;
    (void)flags;
    if (!set_ids_go_untold(req) || !set_ids_are(fs_of(req), ino_out)) {
        copy_range(req, &k, fi_out);
        return;
    }
    call_defer(req, do_copy_range,
               &(struct call_args){.lane = CALL_RIGHTS,
                                   .ino = ino_out,
                                   .fi = fi_out,
                                   .data = &k,
                                   .room = sizeof(k)});
}

struct space {
    int mode;
    uint64_t off, len;
    bool kill; /* clear set-id bits first */
};

/* In a thread of defer.h: a hole may be as large as a disk, and vfs_fallocate makes several
 * changes, so a thread that takes requests must not do it. */
static void do_fallocate(struct call *c)
{
    struct space s;
    memcpy(&s, c->data, sizeof(s));
    int err = s.kill ? set_ids_drop(c->fs, c->ino) : 0;
    if (err == 0)
        err = vfs_fallocate(fs_handle(&c->fi)->file, s.mode, s.off, s.len);
    call_settle(c);
    fs_reply_err(c->req, err);
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                  struct fuse_file_info *fi)
{
    const struct space s = {.mode = mode,
                            .off = (uint64_t)off,
                            .len = (uint64_t)len,
                            .kill = set_ids_go_untold(req) && set_ids_are(fs_of(req), ino)};
    if (fs_handle(fi)->kind != HANDLE_FILE) {
        fuse_reply_err(req, EOPNOTSUPP);
        return;
    }
    call_defer(req, do_fallocate,
               &(struct call_args){.lane = s.kill ? CALL_RIGHTS : CALL_FAST,
                                   .ino = ino,
                                   .fi = fi,
                                   .data = &s,
                                   .room = sizeof(s)});
}

/* Answers SEEK_DATA and SEEK_HOLE; the kernel handles the other values of `whence`. A text of
 * `.tally` has size 0 in stat, so it has no data to find. */
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
    const struct handle *h = fs_handle(fi);
    int64_t pos = -ENXIO; /* or -errno */
    (void)ino;
    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        pos = -EINVAL;
    else if (off >= 0 && h->kind == HANDLE_FILE)
        pos = vfs_seek(h->file, (uint64_t)off, whence == SEEK_DATA);
    if (pos < 0)
        fs_reply_err(req, pos);
    else
        fuse_reply_lseek(req, pos);
}
