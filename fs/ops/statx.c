// SPDX-License-Identifier: Apache-2.0
/*
 * statx: see the header. The messages are those of linux/fuse.h, protocol 7.39.
 *
 * libfuse counts a thread that is still reading as an idle one. At the end of the mount it cancels
 * that thread wherever it is. So nothing here waits in the reading thread, and cancelling is off
 * meanwhile.
 */
#include "statx.h"

#include "defer.h"
#include "loop.h"
#include "reply.h"
#include "serve.h"
#include "taldir.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

/* fuse_sx_time, fuse_statx and fuse_statx_out of linux/fuse.h. */
struct sx_time {
    int64_t sec;
    uint32_t nsec;
    int32_t reserved;
};

struct sx {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, spare0;
    uint64_t ino, size, blocks, attributes_mask;
    struct sx_time atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t spare2[14];
};

struct statx_out {
    uint64_t attr_valid; /* for how many seconds the kernel may keep it */
    uint32_t attr_valid_nsec, flags;
    uint64_t spare[2];
    struct sx stat;
};

_Static_assert(sizeof(struct sx) == 256, "fuse_statx");
_Static_assert(sizeof(struct statx_out) == 288, "fuse_statx_out");

static struct sx_time sx_time(const struct timespec *t)
{
    return (struct sx_time){.sec = t->tv_sec, .nsec = (uint32_t)t->tv_nsec};
}

/* The attributes of a struct stat in the form of the message. A time of birth is added by the
 * caller. */
static void fill(const struct stat *st, struct sx *ret)
{
    *ret = (struct sx){
        .mask = STATX_BASIC_STATS,
        .blksize = (uint32_t)st->st_blksize,
        .nlink = (uint32_t)st->st_nlink,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .mode = (uint16_t)st->st_mode,
        .ino = st->st_ino,
        .size = (uint64_t)st->st_size,
        .blocks = (uint64_t)st->st_blocks,
        .atime = sx_time(&st->st_atim),
        .ctime = sx_time(&st->st_ctim),
        .mtime = sx_time(&st->st_mtim),
        .rdev_major = major(st->st_rdev),
        .rdev_minor = minor(st->st_rdev),
    };
}

/* Fills the answer for one node. Nodes of `.tally` have no time of birth, and the kernel keeps
 * nothing of them. */
static int answer(struct fs *fs, const struct fuse_in_header *in, struct statx_out *ret)
{
    const uint64_t nodeid = in->nodeid;
    struct vfs_attr a;
    struct stat st;
    int err;

    if (taldir_owns(nodeid)) {
        err = taldir_getattr(fs->tal, nodeid, &st);
        if (err == 0)
            fill(&st, &ret->stat);
        return err;
    }
    err = vfs_getattr(fs->p, nodeid, &a);
    if (err < 0)
        return err;
    fs_stat(&a, &st);
    fs_add_refs(fs, in->uid, nodeid, &st);
    fill(&st, &ret->stat);
    ret->stat.mask |= STATX_BTIME;
    st.st_mtim = fs_time(a.btime);
    ret->stat.btime = sx_time(&st.st_mtim);
    ret->attr_valid = (uint64_t)fs_attr_timeout(fs, &a);
    return 0;
}

/* Sends the answer below libfuse. */
static void reply(struct fs *fs, const struct fuse_in_header *in)
{
    struct statx_out body = {0};
    struct fuse_out_header head = {.len = sizeof(head), .unique = in->unique};
    struct iovec iov[2] = {{&head, sizeof(head)}, {&body, sizeof(body)}};

    head.error = -fs_errno(answer(fs, in, &body));
    if (head.error == 0)
        head.len += (uint32_t)sizeof(body);
    /* It fails if the client was killed or the mount is gone: then no client waits. */
    if (loop_writev(fs, fuse_session_fd(fs->se), iov, head.error == 0 ? 2 : 1) < 0)
        return;
}

/* In a thread of defer.h. */
static void reply_later(struct call *c)
{
    struct fuse_in_header in;
    memcpy(&in, c->data, sizeof(in));
    reply(c->fs, &in);
}

/* May the answer have to wait? It may for an object and for the references of a file, since files
 * that were closed before are sealed first. */
static bool waits(const struct fs *fs, uint64_t nodeid)
{
    return taldir_owns(nodeid) ? taldir_kind(nodeid) == TALDIR_OBJECT : fs->o->nlink_refs;
}

void statx_answer(struct fs *fs, const void *msg, size_t len)
{
    struct fuse_in_header in;
    int before;

    if (len < sizeof(in))
        return;
    memcpy(&in, msg, sizeof(in));
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    serve_kept(); /* it is answered here, below libfuse */
    if (!waits(fs, in.nodeid) || !call_later(fs, reply_later, &in, sizeof(in)))
        reply(fs, &in);
    pthread_setcancelstate(before, NULL);
}
