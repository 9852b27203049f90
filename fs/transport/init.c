// SPDX-License-Identifier: Apache-2.0
/*
 * libfuse 3.14 never tells the kernel of FUSE_PARALLEL_DIROPS, although it takes the wish, and does
 * not know of some newer flags. So a hook below it remembers which request was INIT and adds them
 * to the reply, if the kernel offered them; requests that they make different are translated
 * (translate.h). The hook takes splice away, which only writes of whole pages would use and we do
 * not.
 *
 * HANDLE_KILLPRIV_V2 spares a GETXATTR with each write: the kernel leaves it to us to drop set-id
 * bits, and says when in flags of WRITE and OPEN that libfuse 3.14 does not show. They are noted
 * for the thread that reads the request, which is the one that serves it.
 *
 * POSIX_ACL lets the kernel check ACLs, which are ours to keep, and DONT_MASK leaves the umask to
 * us, because a default ACL takes its place.
 *
 * No writeback cache: a branch must see every byte. The INIT reply is also the moment at which the
 * mount answers, so readiness is told from here.
 */
#include "init.h"

#include "loop.h"
#include "message.h"
#include "serve.h"
#include "waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

/* From the kernel's fuse.h, as far as it is looked at. */
#define OPCODE_INIT 26
#define INIT_ADDED (INIT_PARALLEL_DIROPS | INIT_KILLPRIV_V2 | INIT_SETXATTR_EXT)

struct init_in {
    uint32_t major, minor, max_readahead, flags, flags2, unused[11];
};

struct init_out {
    uint32_t major, minor, max_readahead, flags;
    uint16_t max_background, congestion_threshold;
    uint32_t max_write, time_gran;
    uint16_t max_pages, map_alignment;
    uint32_t flags2, max_stack_depth, unused[6];
};
_Static_assert(sizeof(struct init_out) == 64, "fuse_init_out");

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
    conn->max_background = 64; /* read-ahead in flight */
    conn->congestion_threshold = 48;
    conn->time_gran = 1;
    want(conn, FUSE_CAP_WRITEBACK_CACHE, false);
    want(conn, FUSE_CAP_AUTO_INVAL_DATA, false); /* sole writer: nothing changes behind our back */
    want(conn, FUSE_CAP_HANDLE_KILLPRIV, false); /* its second version is added below */
    want(conn, FUSE_CAP_NO_OPEN_SUPPORT, false);
    want(conn, FUSE_CAP_NO_OPENDIR_SUPPORT, true);
    want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);
    want(conn, FUSE_CAP_ASYNC_READ, true);
    want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
    want(conn, FUSE_CAP_POSIX_ACL, !fs->o->noxattr);
    want(conn, FUSE_CAP_DONT_MASK, true);
    want(conn, FUSE_CAP_CACHE_SYMLINKS, !fs_reads_all(fs));
    want(conn, FUSE_CAP_EXPORT_SUPPORT, true); /* "." and ".." are looked up by number */
    want(conn, FUSE_CAP_READDIRPLUS, true);
    want(conn, FUSE_CAP_READDIRPLUS_AUTO, true);
}

/* ---- when the reply is out ---- */

/* INIT cannot raise read-ahead above the kernel's default; root can. Without it: slower reads. */
static void raise_read_ahead(const char *mountpoint)
{
    struct statx st;
    char path[64];
    /* DONT_SYNC: this thread is the one that would have to answer. */
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

static void answered(struct fs *fs)
{
    raise_read_ahead(fs->o->mountpoint);
    fs->hooks->agreed(fs);
    if (fs->o->ready != NULL)
        fs->o->ready(fs->o->ctx);
}

/* ---- the hook ---- */

/* The next message that libfuse is to see. */
static ssize_t hook_read(int fd, void *buf, size_t len, void *userdata)
{
    struct fs *fs = userdata;
    static _Thread_local uint32_t before; /* the opcode of what this thread read last */
    const struct in_header *in = buf;
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
    if (in->opcode == OPCODE_INIT) {
        struct init_in init = {0}; /* older kernels say less */
        const size_t said = now - sizeof(*in);
        memcpy(&init, in + 1, said < sizeof(init) ? said : sizeof(init));
        atomic_store(&fs->init_offered, init.flags);
        atomic_store(&fs->init_offered2, (init.flags & INIT_EXT) != 0 ? init.flags2 : 0);
        atomic_store(&fs->init_unique, in->unique);
    }
    return (ssize_t)now;
}

static ssize_t hook_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    struct fs *fs = userdata;
    const uint64_t unique = atomic_load_explicit(&fs->init_unique, memory_order_relaxed);
    const struct out_header *out = iov[0].iov_base;
    serve_answered(out->unique);
    if (unique == 0 || out->unique != unique)
        return loop_writev(fs, fd, iov, count);

    const bool good = out->error == 0 && count == 2 && iov[1].iov_len >= sizeof(struct init_out);
    if (good) {
        struct init_out *init = iov[1].iov_base;
        init->flags |= atomic_load(&fs->init_offered) & INIT_ADDED;
        if (loop_takes_ring(fs)) {
            init->flags |= INIT_EXT;
            init->flags2 |= INIT2_OVER_IO_URING;
        }
        init->max_stack_depth = fs->hooks->stack_depth(fs);
        if (init->max_stack_depth != 0) {
            init->flags |= INIT_EXT;
            init->flags2 |= INIT2_PASSTHROUGH;
        }
    }
    atomic_store(&fs->init_unique, 0);
    waiting_done(fs->waiting, unique);
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
