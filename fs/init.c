// SPDX-License-Identifier: Apache-2.0
/*
 * init: what the kernel and we agree on at the start of a mount.
 *
 * libfuse 3.14 never tells the kernel of FUSE_PARALLEL_DIROPS, although it takes the wish, and does
 * not know FUSE_SETXATTR_EXT. So a hook below it remembers which request was INIT and adds the
 * flags to the reply, if the kernel offered them; and a SETXATTR, which then is longer, it makes as
 * short as libfuse expects. As every request passes it, it is also where they are counted. It costs
 * three compares and one increment a request; it takes splice away, which only writes of whole
 * pages would use and we do not.
 *
 * HANDLE_KILLPRIV_V2 spares a GETXATTR with each write: the kernel leaves it to us to drop set-id
 * bits, and says when in flags of WRITE and OPEN that libfuse 3.14 does not show. The hook notes
 * them for the thread that reads the request, which is the one that serves it.
 *
 * POSIX_ACL lets the kernel check ACLs, which are ours to keep, and DONT_MASK leaves the umask to
 * us, because a default ACL takes its place.
 *
 * O_TMPFILE is a request libfuse 3.14 does not know. It looks like a create, of the name "/", and
 * wants the same answer, so the hook makes it one. Requests for a time of birth it answers itself
 * (statx.h).
 *
 * No writeback cache: a branch must see every byte. The INIT reply is also the moment at which the
 * mount answers, so readiness is told from here.
 */
#include "fs_impl.h"

#include "message.h"
#include "statx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

/* From the kernel's fuse.h, as far as it is looked at. */
#define OPCODE_OPEN 14
#define OPCODE_WRITE 16
#define OPCODE_SETXATTR 21
#define OPCODE_INIT 26
#define OPCODE_CREATE 35
#define OPCODE_TMPFILE 51
#define OPCODE_STATX 52
#define INIT_PARALLEL_DIROPS (1u << 18)
#define INIT_KILLPRIV_V2 (1u << 28)
#define INIT_SETXATTR_EXT (1u << 29)
#define INIT_ADDED (INIT_PARALLEL_DIROPS | INIT_KILLPRIV_V2 | INIT_SETXATTR_EXT)

struct init_in {
    uint32_t major, minor, max_readahead, flags;
};

struct init_out {
    uint32_t major, minor, max_readahead, flags;
};

#define OPEN_KILL_SUIDGID (1u << 0)
struct open_in {
    uint32_t flags, open_flags;
};

#define WRITE_KILL_SUIDGID (1u << 2)
struct write_in {
    uint64_t fh, offset;
    uint32_t size, write_flags;
};

#define SETXATTR_ACL_KILL_SGID 1u
struct setxattr_in {
    uint32_t size, flags;             /* all that libfuse knows */
    uint32_t setxattr_flags, padding; /* with SETXATTR_EXT */
};
#define SETXATTR_SHORT 8u
#define SETXATTR_MORE 8u

_Static_assert(sizeof(struct setxattr_in) == SETXATTR_SHORT + SETXATTR_MORE, "fuse_setxattr_in");

static void want(struct fuse_conn_info *conn, unsigned flag, bool yes)
{
    if (!yes)
        conn->want &= ~flag;
    else if ((conn->capable & flag) != 0)
        conn->want |= flag;
}

void init_op(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->max_write = FS_IO_MAX;
    conn->max_readahead = FS_IO_MAX;
    conn->max_background = 64; /* read-ahead in flight */
    conn->congestion_threshold = 48;
    conn->time_gran = 1;
    want(conn, FUSE_CAP_WRITEBACK_CACHE, false);
    want(conn, FUSE_CAP_AUTO_INVAL_DATA, false); /* sole writer: nothing changes behind our back */
    want(conn, FUSE_CAP_HANDLE_KILLPRIV, false); /* its second version is added below */
    want(conn, FUSE_CAP_NO_OPEN_SUPPORT, false);
    want(conn, FUSE_CAP_NO_OPENDIR_SUPPORT, false);
    want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);
    want(conn, FUSE_CAP_ASYNC_READ, true);
    want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
    want(conn, FUSE_CAP_POSIX_ACL, true);
    want(conn, FUSE_CAP_DONT_MASK, true);
    want(conn, FUSE_CAP_CACHE_SYMLINKS, true);
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
    if (fs->o->ready != NULL)
        fs->o->ready(fs->o->ctx);
}

/* ---- the hook ---- */

/* An extended SETXATTR of `n` bytes as the short one; its flag goes to the others. The new length.
 */
static ssize_t shorten_setxattr(void *buf, ssize_t n)
{
    struct in_header *in = buf;
    char *body = (char *)buf + sizeof(*in);
    struct setxattr_in x;
    const ssize_t rest = n - (ssize_t)(sizeof(*in) + sizeof(x));
    if (rest < 0)
        return n;
    memcpy(&x, body, sizeof(x));
    if ((x.setxattr_flags & SETXATTR_ACL_KILL_SGID) != 0)
        x.flags |= FS_XATTR_KILL_SGID;
    memcpy(body, &x, SETXATTR_SHORT);
    memmove(body + SETXATTR_SHORT, body + sizeof(x), (size_t)rest);
    in->len -= SETXATTR_MORE;
    return n - (ssize_t)SETXATTR_MORE;
}

static _Thread_local bool asks_kill;

bool init_tells_kill(struct fs *fs)
{
    return (atomic_load_explicit(&fs->init_offered, memory_order_relaxed) & INIT_KILLPRIV_V2) != 0;
}

bool init_asks_kill(void)
{
    return asks_kill;
}

/* Is the request one that takes set-id bits away? `body` is aligned as the header is. */
static bool is_kill(uint32_t opcode, const void *body, size_t len)
{
    if (opcode == OPCODE_WRITE && len >= sizeof(struct write_in))
        return (((const struct write_in *)body)->write_flags & WRITE_KILL_SUIDGID) != 0;
    if (opcode == OPCODE_OPEN && len >= sizeof(struct open_in))
        return (((const struct open_in *)body)->open_flags & OPEN_KILL_SUIDGID) != 0;
    return false;
}

/* The next message that libfuse is to see. */
static ssize_t hook_read(int fd, void *buf, size_t len, void *userdata)
{
    struct fs *fs = userdata;
    struct in_header *in = buf;
    ssize_t n;

    for (;;) {
        n = read(fd, buf, len);
        if (n < (ssize_t)sizeof(*in))
            return n;
        requests_count(&fs->requests, in->opcode);
        if (in->opcode != OPCODE_STATX)
            break;
        statx_answer(fs, fd, buf, (size_t)n);
    }
    asks_kill = is_kill(in->opcode, in + 1, (size_t)n - sizeof(*in));
    if (in->opcode == OPCODE_TMPFILE)
        in->opcode = OPCODE_CREATE;
    if (n >= (ssize_t)(sizeof(*in) + sizeof(struct init_in)) && in->opcode == OPCODE_INIT) {
        struct init_in init;
        memcpy(&init, (const char *)buf + sizeof(*in), sizeof(init));
        atomic_store(&fs->init_offered, init.flags);
        atomic_store(&fs->init_unique, in->unique);
    }
    if (in->opcode == OPCODE_SETXATTR && (atomic_load(&fs->init_offered) & INIT_SETXATTR_EXT) != 0)
        n = shorten_setxattr(buf, n);
    return n;
}

static ssize_t hook_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    struct fs *fs = userdata;
    const uint64_t unique = atomic_load_explicit(&fs->init_unique, memory_order_relaxed);
    const struct out_header *out = iov[0].iov_base;
    if (unique == 0 || out->unique != unique)
        return writev(fd, iov, count);

    const bool good = out->error == 0 && count == 2 && iov[1].iov_len >= sizeof(struct init_out);
    if (good) {
        struct init_out *init = iov[1].iov_base;
        init->flags |= atomic_load(&fs->init_offered) & INIT_ADDED;
    }
    atomic_store(&fs->init_unique, 0);
    ssize_t n = writev(fd, iov, count);
    const int error = errno;
    if (good && n >= 0)
        answered(fs);
    errno = error;
    return n;
}

int init_hook(struct fs *fs)
{
    static const struct fuse_custom_io io = {.read = hook_read, .writev = hook_writev};
    return fuse_session_custom_io(fs->se, &io, fuse_session_fd(fs->se));
}
