// SPDX-License-Identifier: Apache-2.0
/*
 * notify: a ring of events and the thread that sends them.
 *
 * Names are expired, not invalidated: the next use asks again and finds the same directory, so that
 * a shell that stands in it does not find itself in a deleted one. libfuse changed the prototype of
 * that call between releases, so this message and the epoch one are written here, as
 * FUSE-NOTES section 2 has them. Replies to nobody: the kernel knows a message without a request by
 * its unique of 0.
 *
 * Overflow: INC_EPOCH (Linux 6.16) makes every cached name be asked again; on older kernels each
 * name of the root is invalidated, which takes all that is below with it. A file that is open then
 * keeps its cached bytes until it is closed; all others are forgotten.
 */
#include "notify.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#define NOTIFY_QUEUE 1024

/* From the kernel's fuse.h. */
#define NOTIFY_INVAL_ENTRY 3
#define NOTIFY_INC_EPOCH 8
#define EXPIRE_ONLY 1u

struct notify_header {
    uint32_t len;
    int32_t code;
    uint64_t unique;
};

struct notify_entry {
    uint64_t parent;
    uint32_t name_len;
    uint32_t flags;
};

struct event {
    bool is_entry;
    uint64_t node; /* the inode, or the parent of `name` */
    char name[VFS_NAME_MAX + 1];
};

struct notify {
    struct fs *fs;
    struct project_events events;
    pthread_t thread;
    struct mutex lock;
    struct cond work;
    /* guarded by lock: */
    bool stopping, everything;
    size_t head, count;
    struct event ring[NOTIFY_QUEUE];
};

/* ---- from core, under its locks ---- */

static void add(struct notify *n, bool is_entry, uint64_t node, const char *name)
{
    MUTEX_GUARD(&n->lock);
    struct event *last = &n->ring[(n->head + n->count + NOTIFY_QUEUE - 1) % NOTIFY_QUEUE];
    if (n->count > 0 && last->is_entry == is_entry && last->node == node &&
        strcmp(last->name, name) == 0)
        return;
    if (n->count == NOTIFY_QUEUE || strlen(name) > VFS_NAME_MAX) {
        n->everything = true;
    } else {
        struct event *e = &n->ring[(n->head + n->count) % NOTIFY_QUEUE];
        e->is_entry = is_entry;
        e->node = node;
        snprintf(e->name, sizeof e->name, "%s", name);
        n->count++;
    }
    cond_signal(&n->work);
}

static void on_entry(void *ctx, uint64_t parent, const char *name)
{
    add(ctx, true, parent, name);
}
static void on_inode(void *ctx, uint64_t nodeid)
{
    add(ctx, false, nodeid, "");
}

/* syncfs() would ask only: the kernel does not wait there for a FUSE daemon. Letting go of the cached
 * pages it does, and no copy of a page is left unwritten. */
static void on_write_back(void *ctx, uint64_t nodeid)
{
    const struct notify *n = ctx;
    (void)fuse_lowlevel_notify_inval_inode(n->fs->se, nodeid, 0, 0);
}

/* ---- the thread ---- */

static ssize_t send_raw(struct fs *fs, int code, struct iovec *iov, int count)
{
    struct notify_header h = {.code = code};
    iov[0] = (struct iovec){.iov_base = &h, .iov_len = sizeof(h)};
    for (int i = 0; i < count; i++)
        h.len += (uint32_t)iov[i].iov_len;
    return writev(fuse_session_fd(fs->se), iov, count) < 0 ? -errno : 0;
}

static void send_entry(struct fs *fs, uint64_t parent, const char *name, unsigned flags)
{
    struct notify_entry e = {.parent = parent, .name_len = (uint32_t)strlen(name), .flags = flags};
    struct iovec iov[3] = {
        [1] = {.iov_base = &e, .iov_len = sizeof(e)},
        [2] = {.iov_base = (char *)(uintptr_t)name, .iov_len = (size_t)e.name_len + 1},
    };
    send_raw(fs, NOTIFY_INVAL_ENTRY, iov, 3); /* -ENOENT: the kernel does not know it; fine */
    /* For a name it does not know it leaves the directory's times and link count as they are. */
    fuse_lowlevel_notify_inval_inode(fs->se, parent, -1, 0);
}

static bool send_root_name(const struct vfs_dirent *d, void *ctx)
{
    struct event *e = ctx; /* one at a time: the callback runs under core's lock */
    if (e->is_entry)
        return false;
    if (strcmp(d->name, ".") != 0 && strcmp(d->name, "..") != 0) {
        memccpy(e->name, d->name, '\0', sizeof(e->name) - 1);
        e->is_entry = true;
    }
    e->node = d->cookie;
    return true;
}

static void send_everything(struct fs *fs)
{
    struct iovec iov[1];
    if (send_raw(fs, NOTIFY_INC_EPOCH, iov, 1) == 0)
        return;
    struct event e = {.is_entry = true};
    while (e.is_entry) {
        e.is_entry = false;
        if (vfs_readdir(fs->p, VFS_ROOT, e.node, false, send_root_name, &e) == 0 && e.is_entry)
            send_entry(fs, VFS_ROOT, e.name, 0);
    }
    fuse_lowlevel_notify_inval_inode(fs->se, VFS_ROOT, 0, 0);
}

/* Waits for work. False: the end. */
static bool take(struct notify *n, struct event *ret_e, bool *ret_everything)
{
    MUTEX_GUARD(&n->lock);
    while (n->count == 0 && !n->everything && !n->stopping)
        cond_wait(&n->work, &n->lock);
    if (n->stopping)
        return false;
    *ret_everything = n->everything;
    n->everything = false;
    if (*ret_everything)
        return true; /* what is queued comes after it */
    *ret_e = n->ring[n->head];
    n->head = (n->head + 1) % NOTIFY_QUEUE;
    n->count--;
    return true;
}

static void *notify_main(void *arg)
{
    struct notify *n = arg;
    struct event e;
    bool everything;
    while (take(n, &e, &everything)) {
        if (everything)
            send_everything(n->fs);
        else if (e.is_entry)
            send_entry(n->fs, e.node, e.name, EXPIRE_ONLY);
        else
            fuse_lowlevel_notify_inval_inode(n->fs->se, e.node, 0, 0);
    }
    return NULL;
}

int notify_start(struct fs *fs, struct notify **ret_n)
{
    sigset_t all, before;
    struct notify *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return -ENOMEM;
    n->fs = fs;
    mutex_init(&n->lock, "notify");
    cond_init(&n->work);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = -pthread_create(&n->thread, NULL, notify_main, n);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0) {
        free(n);
        return r;
    }
    *ret_n = n;
    n->events = (struct project_events){
        .entry = on_entry, .inode = on_inode, .write_back = on_write_back, .ctx = n};
    project_set_events(fs->p, &n->events);
    return 0;
}

void notify_stop(struct notify *n)
{
    struct timespec until;
    if (n == NULL)
        return;
    {
        MUTEX_GUARD(&n->lock);
        n->stopping = true;
        cond_signal(&n->work);
    }
    /* A message may hang in the kernel behind a request that nobody answers any more, until the
     * connection is gone; then the thread is left to the end of the process. */
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    if (pthread_timedjoin_np(n->thread, NULL, &until) != 0)
        return;
    cond_destroy(&n->work);
    mutex_destroy(&n->lock);
    free(n);
}
