// SPDX-License-Identifier: Apache-2.0
/*
 * init: the answer to INIT, and the hook below libfuse (fuse_session_custom_io).
 *
 * libfuse 3.14 lets a filesystem ask for FUSE_PARALLEL_DIROPS, but never sends the flag to the
 * kernel. It does not know some newer flags at all. So the hook remembers which request was INIT,
 * and adds to its answer those flags that the kernel offered. Requests whose form these flags
 * change are translated (translate.h). With a hook libfuse does not use splice(2), which would only
 * help writes of whole pages through the kernel's cache.
 *
 * HANDLE_KILLPRIV_V2 saves a GETXATTR before each write. The daemon then clears set-id bits itself.
 * The kernel says when, in flags of WRITE and OPEN that libfuse 3.14 does not pass on. translate.c
 * notes them for the thread that reads the request, which is the thread that serves it.
 *
 * POSIX_ACL makes the kernel check the ACLs that the daemon stores. DONT_MASK leaves the umask to
 * the daemon, because a default ACL takes the place of the umask.
 *
 * The kernel's writeback cache stays off: a branch must see every byte that was written.
 *
 * From the answer to INIT on the mount serves requests, so `ready` of the options is called here.
 */
#include "init.h"

#include "loop.h"
#include "serve.h"
#include "waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#define INIT_ADDED (FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT)

/* Where the answer has max_stack_depth, which headers before version 7.40 do not name. */
#define INIT_STACK_DEPTH (offsetof(struct fuse_init_out, flags2) + sizeof(uint32_t))

/* Asks for a feature if the kernel offers it, or declines it. */
static void want(struct fuse_conn_info *conn, unsigned flag, bool yes)
{
    if (!yes)
        conn->want &= ~flag;
    else if ((conn->capable & flag) != 0)
        conn->want |= flag;
}

void init_op(void *userdata, struct fuse_conn_info *conn)
{
    struct fs *fs = userdata;
    fs->dirs_unopened = (conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT) != 0;
    conn->max_write = FS_IO_MAX;
    conn->max_readahead = FS_IO_MAX;
    conn->max_background = 64; /* the most background requests (read-ahead) at once */
    conn->congestion_threshold = 48;
    conn->time_gran = 1;
    want(conn, FUSE_CAP_WRITEBACK_CACHE, false);
    want(conn, FUSE_CAP_AUTO_INVAL_DATA, false); /* no one but this kernel changes bytes */
    want(conn, FUSE_CAP_HANDLE_KILLPRIV, false); /* version 2 is added by the hook */
    want(conn, FUSE_CAP_NO_OPEN_SUPPORT, false);
    want(conn, FUSE_CAP_NO_OPENDIR_SUPPORT, true);
    want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);
    want(conn, FUSE_CAP_ASYNC_READ, true);
    want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
    want(conn, FUSE_CAP_POSIX_ACL, !fs->o->noxattr);
    want(conn, FUSE_CAP_DONT_MASK, true);
    want(conn, FUSE_CAP_CACHE_SYMLINKS, !fs_reads_all(fs));
    want(conn, FUSE_CAP_EXPORT_SUPPORT, true); /* the kernel may look up "." and ".." */
    want(conn, FUSE_CAP_READDIRPLUS, true);
    want(conn, FUSE_CAP_READDIRPLUS_AUTO, true);
}

/* ---- after the answer to INIT ---- */

/* Raises read-ahead to 1 MiB. INIT cannot raise it above the kernel's default of 128 KiB, but root
 * can, in /sys. A failure only makes reads slower. */
static void raise_read_ahead(const char *mountpoint)
{
    struct statx st;
    char path[64];
    /* DONT_SYNC: this thread itself would have to answer a request for attributes. */
    if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, 0, &st) < 0)
        return;
    snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major,
             st.stx_dev_minor);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "1024\n", 5) < 0) { /* not root: fine */
    }
    close(fd);
}

/* The answer to INIT has reached the kernel, so the mount serves requests. */
static void answered(struct fs *fs)
{
    raise_read_ahead(fs->o->mountpoint);
    fs->hooks->agreed(fs);
    if (fs->o->ready)
        fs->o->ready(fs->o->ctx);
}

/* ---- the hook ---- */

/* Reads the next message that libfuse is to process. Messages that are answered below libfuse, or
 * given to another thread, are passed over. Of INIT it notes what the kernel offers. */
static ssize_t hook_read(int fd, void *buf, size_t len, void *userdata)
{
    struct fs *fs = userdata;
    static _Thread_local uint32_t before; /* the opcode of what this thread read last */
    const struct fuse_in_header *in = buf;
    ssize_t n;
    size_t now;

    do {
        serve_read_next(fs);
        loop_gather(fs, before);
        n = read(fd, buf, len);
        if (n < (ssize_t)sizeof(*in))
            return n;
        now = (size_t)n;
        before = in->opcode;
    } while (!serve_read(fs, buf, &now));
    if (in->opcode == FUSE_INIT) {
        struct fuse_init_in init = {0}; /* older kernels send a shorter one */
        const size_t said = now - sizeof(*in);
        memcpy(&init, in + 1, said < sizeof(init) ? said : sizeof(init));
        atomic_store(&fs->init_offered, init.flags);
        atomic_store(&fs->init_offered2, (init.flags & FUSE_INIT_EXT) != 0 ? init.flags2 : 0);
        atomic_store(&fs->init_unique, in->unique);
    }
    return (ssize_t)now;
}

/* Sends an answer, or a message of the daemon. To the answer of INIT it adds what libfuse leaves
 * out. That answer goes to the device, since the rings start with it. */
static ssize_t hook_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    struct fs *fs = userdata;
    const uint64_t unique = atomic_load_explicit(&fs->init_unique, memory_order_relaxed);
    const struct fuse_out_header *out = iov[0].iov_base;
    serve_answered(out->unique);
    if (unique == 0 || out->unique != unique)
        return loop_writev(fs, fd, iov, count);

    const bool good =
        out->error == 0 && count == 2 && iov[1].iov_len >= sizeof(struct fuse_init_out);
    if (good) {
        struct fuse_init_out *init = iov[1].iov_base;
        init->flags |= atomic_load(&fs->init_offered) & INIT_ADDED;
        if (loop_takes_ring(fs)) {
            init->flags |= FUSE_INIT_EXT;
            init->flags2 |= INIT2_OVER_IO_URING;
        }
        const uint32_t depth = fs->hooks->stack_depth(fs);
        if (depth != 0) {
            memcpy((char *)init + INIT_STACK_DEPTH, &depth, sizeof(depth));
            init->flags |= FUSE_INIT_EXT;
            init->flags2 |= INIT2_PASSTHROUGH;
        }
    }
    atomic_store(&fs->init_unique, 0);
    loop_note_answered(fs, unique);
    ssize_t n = writev(fd, iov, count);
    const int error = errno;
    if (good && n >= 0) {
        loop_begin(fs);
        answered(fs);
    }
    errno = error;
    return n;
}

int init_hook(struct fs *fs)
{
    static const struct fuse_custom_io io = {.read = hook_read, .writev = hook_writev};
    return fuse_session_custom_io(fs->se, &io, fuse_session_fd(fs->se));
}
