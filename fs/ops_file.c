// SPDX-License-Identifier: Apache-2.0
/*
 * ops_file: opening, reading, writing, syncing and sharing files, and the holes in them.
 *
 * Files of namespaces are opened with keep_cache: only we change bytes, and what changes without
 * the kernel's doing is told by notify.c.
 *
 * Files that are made to be written are written past the kernel's cache: one request for each
 * write(2), wherever it begins and ends, and one copy, from the program's memory to ours. Through
 * the cache a write that begins in the midst of a page is two, and the kernel asks for
 * security.capability before the first. What is so small that it is read again at once lies in our
 * buffers; a large file would be twice in memory. See uncached.c.
 */
#include "fs_impl.h"

#include "defer.h"
#include "loop.h"
#include "notify.h"
#include "passthrough.h"
#include "ring.h"
#include "serve.h"
#include "sync.h"
#include "taldir.h"
#include "translate.h"
#include "uncached.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does who opens or writes lose set-id bits by it? Kernels before 5.11 do not tell of opens: there
 * root keeps them. */
static bool kill_suid(fuse_req_t req)
{
    return translate_tells_kill(fs_of(req)) ? translate_asks_kill() : fuse_req_ctx(req)->uid != 0;
}

static unsigned open_flags(fuse_req_t req, int flags)
{
    unsigned v = (flags & O_ACCMODE) != O_RDONLY ? VFS_WRITE : 0;
    if ((flags & O_TRUNC) != 0)
        v |= VFS_TRUNC | (kill_suid(req) ? VFS_OPEN_KILL_SUID : 0);
    if ((flags & O_EXCL) != 0)
        v |= VFS_EXCL;
    if ((flags & O_NOATIME) != 0)
        v |= VFS_NOATIME;
    return v;
}

/* What is read from the kernel's cache we do not see: where the next read moves atime, it must come
 * to us. */
static bool may_keep_cache(const struct handle *h, int flags)
{
    return (flags & O_ACCMODE) == O_WRONLY || !vfs_atime_due(h->file);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    if (taldir_owns(ino)) {
        tal_op_open(req, ino, fi);
        return;
    }
    struct handle *h = handle_new(fs, HANDLE_FILE);
    if (h == NULL) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    const unsigned flags = (open_flags(req, fi->flags) & ~(unsigned)VFS_EXCL) |
                           passthrough_flags(fs) | (loop_may_wait() ? VFS_MAY_WAIT : 0);
    int r = vfs_open(fs->p, ino, flags, &h->file);
    if (r < 0) {
        handle_drop(fs, h);
        fs_reply_err(req, r);
        return;
    }
    fi->fh = (uintptr_t)h;
    fi->keep_cache = may_keep_cache(h, fi->flags);
    uncached_open(fs, h, fi, (fi->flags & O_TRUNC) != 0);
    passthrough_reply_open(req, ino, h, fi);
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
    struct handle *h = handle_new(fs, HANDLE_FILE);
    if (h == NULL) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    const struct vfs_cred cred = fs_cred(req);
    const unsigned flags = open_flags(req, fi->flags);
    int r = strcmp(name, INIT_TMPFILE_NAME) == 0
                ? vfs_tmpfile(fs->p, parent, mode, &cred, flags, &a, &h->file)
                : vfs_create(fs->p, parent, name, mode, &cred, flags, &a, &h->file);
    if (r < 0) {
        handle_drop(fs, h);
        fs_reply_err(req, r);
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
    if (buf == NULL)
        buf = fs_buffer(size);
    ssize_t n = buf == NULL          ? -ENOMEM
                : uncached_is(h, fi) ? vfs_read_uncached(h->file, buf, size, (uint64_t)off)
                                     : vfs_read(h->file, buf, size, (uint64_t)off);
    if (n < 0)
        fs_reply_err(req, n);
    else
        fuse_reply_buf(req, buf, (size_t)n);
}

/* The kernel asks for it by SETATTR first, which is only heard from the owner and root (ops.c). */
static void drop_set_ids(fuse_req_t req, fuse_ino_t ino)
{
    struct project *p = fs_of(req)->p;
    struct vfs_attr a;
    if (vfs_getattr(p, ino, &a) == 0 && (a.mode & (S_ISUID | S_ISGID)) != 0)
        (void)vfs_setattr(p, ino, VFS_KILL_SUID, &a, &a); /* cannot it, a write cannot */
}

/* The same for changes that do not say it. */
static bool changes_as_stranger(fuse_req_t req)
{
    return translate_tells_kill(fs_of(req)) && fuse_req_ctx(req)->uid != 0;
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
              struct fuse_file_info *fi)
{
    const struct handle *h = fs_handle(fi);
    (void)ino;
    if (h->kind != HANDLE_FILE) {
        tal_op_write(req, buf, size, off, fi);
        return;
    }
    if (translate_asks_kill())
        drop_set_ids(req, ino);
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

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    handle_free(fs_of(req), fs_handle(fi));
    fuse_reply_err(req, 0);
}

/* One sync serves files and directories alike: it makes everything durable that was acknowledged
 * before. */
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    (void)fi;
    if (taldir_owns(ino) || notify_is_own(fs_of(req), req)) {
        fuse_reply_err(req, 0);
        return;
    }
    serve_kept();
    sync_request(fs_of(req)->sync, req);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
                        struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
                        struct fuse_file_info *fi_out, size_t len, int flags)
{
    const struct handle *in = fs_handle(fi_in), *out = fs_handle(fi_out);
    (void)ino_in;
    (void)flags;
    ssize_t n = -EOPNOTSUPP; /* the kernel copies */
    if (changes_as_stranger(req))
        drop_set_ids(req, ino_out);
    if (in->kind == HANDLE_FILE && out->kind == HANDLE_FILE && off_in == off_out)
        n = vfs_share_range(in->file, (uint64_t)off_in, out->file, (uint64_t)off_out, len);
    if (n < 0)
        fs_reply_err(req, n);
    else
        fuse_reply_write(req, (size_t)n);
}

struct space {
    int mode;
    uint64_t off, len;
};

/* A hole may be as large as a disk: not on a thread that others wait for. */
static void do_fallocate(struct call *c)
{
    struct space s;
    memcpy(&s, c->data, sizeof(s));
    int r = vfs_fallocate(fs_handle(&c->fi)->file, s.mode, s.off, s.len);
    call_settle(c);
    fs_reply_err(c->req, r);
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                  struct fuse_file_info *fi)
{
    const struct space s = {.mode = mode, .off = (uint64_t)off, .len = (uint64_t)len};
    if (fs_handle(fi)->kind != HANDLE_FILE) {
        fuse_reply_err(req, EOPNOTSUPP);
        return;
    }
    if (changes_as_stranger(req))
        drop_set_ids(req, ino);
    struct call *c = call_new(req, do_fallocate, sizeof(s));
    if (c == NULL)
        return;
    c->fi = *fi;
    memcpy(c->data, &s, sizeof(s));
    call_run(c);
}

/* SEEK_DATA and SEEK_HOLE; the kernel knows the rest. What .tally renders has size 0 in stat. */
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
    const struct handle *h = fs_handle(fi);
    int64_t r = -ENXIO;
    (void)ino;
    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        r = -EINVAL;
    else if (off >= 0 && h->kind == HANDLE_FILE)
        r = vfs_seek(h->file, (uint64_t)off, whence == SEEK_DATA);
    if (r < 0)
        fs_reply_err(req, r);
    else
        fuse_reply_lseek(req, r);
}
