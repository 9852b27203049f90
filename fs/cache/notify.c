// SPDX-License-Identifier: Apache-2.0
#include "notify.h"

#include "apart.h"
#include "clock.h"
#include "listed.h"
#include "vfs.h"
#include "waits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE_TRIES 1000                   /* how often ask_mode asks for the mode of one file */
#define MODE_PATIENCE (10 * NSEC_PER_SEC) /* how long notify_mode waits for ask_mode */

struct notify {
    struct fs *fs;
    struct state_events events;
    struct apart *write_back, *mode;
};

/* ---- in threads apart ---- */

/* Has the kernel write all dirty pages of the file, and waits until they have come back as WRITE
 * requests. The FSYNC that the kernel sends for fdatasync is answered at once (notify_is_own). */
static int write_pages(const struct apart *a, uint64_t nodeid)
{
    int fd = apart_open(a, nodeid, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd; /* the file is gone, and its mapped pages with it */
    WAITS_GUARD(WAITS_KERNEL, "the kernel to write mapped pages", 0, NULL);
    int err = fdatasync(fd) < 0 ? -errno : 0;
    close(fd);
    return err;
}

/* The mode of the file. `flags` (AT_STATX_…) say whether the kernel asks the daemon for it or
 * answers from its cache. */
static int mode_of(int fd, int flags, uint32_t *ret)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH | flags, STATX_MODE, &st) < 0)
        return -errno;
    *ret = st.stx_mode;
    return 0;
}

/* Has the kernel ask for the mode until it keeps the answer: the kernel drops an answer if the
 * inode has changed since it asked. */
static int ask_mode(const struct apart *a, uint64_t nodeid)
{
    uint32_t is = 0, kept = 1;
    int fd = apart_open(a, nodeid, O_PATH);
    if (fd < 0)
        return fd;
    int err = 0;
    for (unsigned i = 0; err == 0 && is != kept && i < MODE_TRIES; i++) {
        err = mode_of(fd, AT_STATX_FORCE_SYNC, &is);
        if (err == 0)
            err = mode_of(fd, AT_STATX_DONT_SYNC, &kept);
    }
    close(fd);
    return err;
}

/* ---- events ---- */

/* Has the kernel forget of an inode what fuse_lowlevel_notify_inval_inode says. The kernel may have
 * to wait for a page that somebody else has locked. -ENOENT, which it may return: the kernel does
 * not know the inode. */
static void forget(const struct notify *n, uint64_t nodeid, off_t off)
{
    WAITS_GUARD(WAITS_KERNEL, "the kernel to forget an inode", 0, NULL);
    (void)fuse_lowlevel_notify_inval_inode(n->fs->se, nodeid, off, 0);
}

/* Event: the attributes of a node are stale, or its namespace is gone. */
static void on_stale(void *ctx, uint64_t nodeid)
{
    const struct notify *n = ctx;
    forget(n, nodeid, -1); /* a negative offset: attributes only */
    if (nodeid != VFS_ROOT)
        listed_drop(n->fs, vfs_node_ns(nodeid));
}

/* Event: a name leads elsewhere. */
static void on_name(void *ctx, uint64_t nodeid, const char *name)
{
    const struct notify *n = ctx;
    {
        WAITS_GUARD(WAITS_KERNEL, "the kernel to forget a name", 0, NULL);
        (void)fuse_lowlevel_notify_inval_entry(n->fs->se, nodeid, name, strlen(name));
    }
    if (nodeid != VFS_ROOT)
        listed_drop(n->fs, vfs_node_ns(nodeid));
}

/* Event: the bytes of a file are others now. */
static void on_bytes(void *ctx, uint64_t nodeid)
{
    const struct notify *n = ctx;
    forget(n, nodeid, 0);
}

/* Event: the mode of a file lost its set-id bits (set_ids.h). */
static void on_rights(void *ctx, uint64_t nodeid)
{
    const struct notify *n = ctx;
    forget(n, nodeid, -1);
}

/* Event: core needs the bytes that clients have changed in mapped pages of the file. */
static void on_write_back(void *ctx, uint64_t nodeid)
{
    const struct notify *n = ctx;
    /* If the thread could not do it: a message with offset 0 and length 0 makes the kernel write
     * all pages and drop them. */
    if (apart_do(n->write_back, nodeid, APART_PATIENT) < 0)
        forget(n, nodeid, 0);
}

static void on_describe(void *ctx, struct view_edge *ret)
{
    const struct notify *n = ctx;
    n->fs->hooks->describe(n->fs, ret);
}

static void on_stop(void *ctx)
{
    const struct notify *n = ctx;
    n->fs->hooks->stop(n->fs);
}

int notify_start(struct fs *fs, struct notify **ret_n)
{
    struct notify *n = calloc(1, sizeof(*n));
    if (!n)
        return -ENOMEM;
    n->fs = fs;
    int err = apart_start(fs, "write back", write_pages, &n->write_back);
    if (err == 0)
        err = apart_start(fs, "mode", ask_mode, &n->mode);
    if (err < 0) {
        if (n->write_back)
            (void)apart_stop(n->write_back);
        free(n);
        return err;
    }
    *ret_n = n;
    n->events = (struct state_events){.stale = on_stale,
                                      .name = on_name,
                                      .bytes = on_bytes,
                                      .rights = on_rights,
                                      .write_back = on_write_back,
                                      .stop = on_stop,
                                      .describe = on_describe,
                                      .ctx = n};
    state_set_events(fs->p, &n->events);
    return 0;
}

int notify_mode(struct fs *fs, uint64_t nodeid)
{
    int err = apart_do(fs->notify->mode, nodeid, MODE_PATIENCE);
    return err == -ETIMEDOUT ? err : 0; /* otherwise the mode is at least marked stale */
}

bool notify_is_own(const struct fs *fs, uint32_t pid)
{
    const struct notify *n = fs->notify;
    return n && (apart_asks(n->write_back, pid) || apart_asks(n->mode, pid));
}

void notify_give_up(struct notify *n)
{
    if (!n)
        return;
    apart_give_up(n->write_back);
    apart_give_up(n->mode);
}

void notify_stop(struct notify *n)
{
    if (!n)
        return;
    const bool written = apart_stop(n->write_back), asked = apart_stop(n->mode);
    if (written && asked)
        free(n);
}
