// SPDX-License-Identifier: Apache-2.0
/*
 * uncached: see the header. A message that has the kernel drop pages waits for pages that are being
 * read, so it is sent by a thread that may wait. If the daemon is killed while it waits there, the
 * mount can hang until `umount -f`, as it can where apart.h does not help. The message is sent only
 * for a file that is read and written at the same time.
 */
#include "uncached.h"

#include "defer.h"
#include "durability.h"
#include "handle.h"
#include "init.h"
#include "nowait.h"
#include "reply.h"
#include "ship.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct written {
    off_t off;
    size_t len;
    struct vfs_stale *stale;
    /* The memory for its call, and if it may need two for the second one: made before a byte is
     * changed. A call that is not needed is freed. */
    struct call *call, *second;
    bool counted;    /* it has one of the LATER_MAX places */
    bool sync, late; /* answer it when it is durable; answer it before the kernel drops pages */
};

/* A write that waits for pages holds two things that other requests need to bring these pages: one
 * of the kernel's background requests (asynchronous writes and read-ahead are such; init.c sets how
 * many there are), and an entry of a ring. So at most WAITING_MAX writes wait, half of the
 * background requests. Any further write is answered before the kernel has dropped the range, and a
 * client that reads at the same time may see the old bytes a moment longer. */
#define WAITING_MAX 32
/* How many messages may be due for writes that were answered. Beyond that, and without memory, a
 * write fails before it changes anything. */
#define LATER_MAX 4096
static _Atomic unsigned waiting, later; /* how many there are, of all mounts of the process */

/* Does the kernel drop its pages before a direct write? It does since 6.6. No flag says so, but
 * another flag came with that version. */
static bool kernel_forgets(struct fs *fs)
{
    return (atomic_load_explicit(&fs->init_offered2, memory_order_relaxed) &
            INIT2_DIRECT_IO_MMAP) != 0;
}

/* Not files that are appended to, since other clients often read these meanwhile; and not files of
 * which each write is synced. */
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

/* Removes the file's capabilities. 0 or -EWOULDWAIT: any other error means that the bytes cannot be
 * changed, either, and the write itself will return that. */
static int drop_capability(fuse_req_t req, fuse_ino_t ino)
{
    struct state *p = fs_of(req)->p;
    int64_t err = vfs_getxattr(p, ino, "security.capability", NULL, 0);
    if (err >= 0)
        err = vfs_removexattr(p, ino, "security.capability");
    return err == -EWOULDWAIT ? -EWOULDWAIT : 0;
}

/* ---- pages that the kernel has to drop ---- */

/* Has the kernel drop the range of a write. Not while the mount ends: the kernel might wait for a
 * page whose READ no thread will serve. */
static void forget(struct fs *fs, uint64_t ino, const struct written *w)
{
    if (!defer_is_ending(fs->defer)) /* -ENOENT: it knows no such inode */
        (void)fuse_lowlevel_notify_inval_inode(fs->se, ino, w->off, (off_t)w->len);
    vfs_stale_gone(w->stale);
}

/* In a thread of defer.h: the write is answered already. */
static void forget_later(struct call *c)
{
    struct written w;
    memcpy(&w, c->data, sizeof(w));
    forget(c->fs, c->ino, &w);
    atomic_fetch_sub(&later, 1);
}

/* ---- what a write needs to be answered ---- */

static void give_back(struct written *w)
{
    free(w->call);
    free(w->second);
    if (w->counted)
        atomic_fetch_sub(&later, 1);
    w->call = w->second = NULL;
    w->counted = false;
}

/* Takes a place and memory for whatever way the write will be answered. 0 or -ENOMEM. */
static int reserve(struct fs *fs, struct written *w)
{
    w->counted = atomic_fetch_add(&later, 1) < LATER_MAX;
    if (!w->counted)
        atomic_fetch_sub(&later, 1);
    w->call = w->counted ? call_new(fs, NULL, sizeof(*w)) : NULL;
    w->second = w->call && w->sync ? call_new(fs, NULL, sizeof(*w)) : NULL;
    if (w->call && (w->second || !w->sync))
        return 0;
    give_back(w);
    return -ENOMEM;
}

/* ---- answering ---- */

/* Answers a write first, and has the range dropped afterwards, by a call that takes over what
 * `c` is and the place of the write. */
static void reply_then_forget(fuse_req_t req, uint64_t ino, const struct written *w, struct call *c)
{
    c->fn = forget_later;
    c->ino = ino;
    c->lane = CALL_PAGES;
    memcpy(c->data, w, sizeof(*w));
    fuse_reply_write(req, w->len);
    call_run_in(c);
}

/* In a thread of defer.h: has the range dropped, syncs the write if it must be durable, and
 * answers. */
static void finish(struct call *c)
{
    struct fs *fs = c->fs;
    struct written w;
    memcpy(&w, c->data, sizeof(w));
    const bool waits = w.stale && !w.late;
    if (waits)
        forget(fs, c->ino, &w);
    int err = w.sync ? flush_sync(fs->p) : 0;
    if (err == 0 && w.sync && ship_is_sync(fs->p, c->ino)) {
        ship_kick(fs->p);
        err = ship_wait_all(fs->p, state_seq(fs->p), -1, &c->interrupted);
    }
    call_settle(c);
    if (w.late && err == 0) {
        reply_then_forget(c->req, c->ino, &w, w.second);
        return;
    }
    if (err < 0)
        fs_reply_err(c->req, err);
    else
        fuse_reply_write(c->req, w.len);
    if (w.late)
        vfs_stale_gone(w.stale);
    if (waits)
        atomic_fetch_sub(&waiting, 1);
    give_back(&w);
}

/* Has a thread of defer.h answer the write. */
static void reply_in_call(fuse_req_t req, fuse_ino_t ino, struct written *w)
{
    struct call *c = w->call;
    w->call = NULL; /* freed when it has run */
    c->req = req;
    c->fn = finish;
    c->ino = ino;
    c->lane = w->stale && !w->late ? CALL_PAGES : CALL_FAST;
    memcpy(c->data, w, sizeof(*w));
    call_run(c);
}

/* Takes one of the WAITING_MAX places; false: there is none. */
static bool may_wait(void)
{
    if (atomic_fetch_add(&waiting, 1) < WAITING_MAX)
        return true;
    atomic_fetch_sub(&waiting, 1);
    return false;
}

/* Answers a write that was done, here or in a call. A sync also waits, so it is done in a call. */
static void reply_write(fuse_req_t req, fuse_ino_t ino, struct written *w)
{
    w->late = w->stale && !may_wait();
    if (w->sync || (w->stale && !w->late))
        reply_in_call(req, ino, w);
    else if (w->late)
        reply_then_forget(req, ino, w, w->call);
    else {
        give_back(w);
        fuse_reply_write(req, w->len);
    }
}

void uncached_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                    const struct fuse_file_info *fi)
{
    struct written w = {.off = off, .sync = (fi->flags & O_DSYNC) != 0};
    struct vfs_file *file = fs_handle(fi)->file;
    ssize_t n = reserve(fs_of(req), &w);
    if (n == 0 && fs_handle(fi)->uncached) /* else the kernel has removed it */
        n = drop_capability(req, ino);
    if (n == 0)
        n = vfs_write_uncached(file, buf, size, (uint64_t)off, &w.stale);
    if (n < 0) {
        give_back(&w);
        fs_reply_err(req, n);
        return;
    }
    w.len = (size_t)n;
    reply_write(req, ino, &w);
}
