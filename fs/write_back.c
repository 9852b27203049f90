// SPDX-License-Identifier: Apache-2.0
#include "write_back.h"

#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* FUSE's handles, fs/fuse/inode.c of the kernel: FILEID_INO64_GEN, three words. */
#define HANDLE_TYPE 0x81
#define HANDLE_WORDS 3

struct write_back {
    struct fs *fs;
    char *mountpoint;
    pthread_t thread;
    _Atomic pid_t tid;
    struct mutex lock;
    struct cond work, done;
    /* guarded by lock: */
    uint64_t asked, answered; /* files; one is being worked on while they differ */
    uint64_t nodeid;
    int result; /* of the last one */
    bool stopping;
};

/* ---- the thread ---- */

static int open_node(const struct write_back *w, uint64_t nodeid, uint32_t generation)
{
    union {
        struct file_handle h;
        char room[sizeof(struct file_handle) + HANDLE_WORDS * sizeof(uint32_t)];
    } u = {.h = {.handle_bytes = HANDLE_WORDS * sizeof(uint32_t), .handle_type = HANDLE_TYPE}};
    const uint32_t words[HANDLE_WORDS] = {(uint32_t)(nodeid >> 32), (uint32_t)nodeid, generation};
    int root = open(w->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -errno;
    memcpy(u.h.f_handle, words, sizeof(words));
    int fd = open_by_handle_at(root, &u.h, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int err = fd < 0 ? -errno : fd;
    close(root);
    return err;
}

static int write_node(const struct write_back *w, uint64_t nodeid)
{
    struct vfs_attr a;
    int r = vfs_getattr(w->fs->p, nodeid, &a);
    if (r < 0)
        return 0; /* it is gone, and what was mapped with it */
    int fd = open_node(w, nodeid, a.generation);
    if (fd < 0)
        return fd;
    r = fdatasync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* Waits for work. False: the end. */
static bool take(struct write_back *w, uint64_t *ret_nodeid)
{
    MUTEX_GUARD(&w->lock);
    while (w->asked == w->answered && !w->stopping)
        cond_wait(&w->work, &w->lock);
    *ret_nodeid = w->nodeid;
    return !w->stopping;
}

static void answer(struct write_back *w, int result)
{
    MUTEX_GUARD(&w->lock);
    w->result = result;
    w->answered++;
    cond_broadcast(&w->done);
}

static void *write_back_main(void *arg)
{
    struct write_back *w = arg;
    uint64_t nodeid;
    atomic_store(&w->tid, gettid());
    const bool apart = unshare(CLONE_FILES) == 0 && close_range(0, ~0U, 0) == 0;
    while (take(w, &nodeid))
        answer(w, apart ? write_node(w, nodeid) : -EPERM);
    return NULL;
}

/* ---- its users ---- */

int write_back_start(struct fs *fs, struct write_back **ret_w)
{
    struct write_back *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return -ENOMEM;
    w->fs = fs;
    w->mountpoint = realpath(fs->o->mountpoint, NULL);
    mutex_init(&w->lock, "write back");
    cond_init(&w->work);
    cond_init(&w->done);
    int r = w->mountpoint == NULL ? -errno : thread_start(&w->thread, write_back_main, w);
    if (r < 0) {
        free(w->mountpoint);
        free(w);
        return r;
    }
    *ret_w = w;
    return 0;
}

/* What the thread said of that file. */
static int ask(struct write_back *w, uint64_t nodeid)
{
    MUTEX_GUARD(&w->lock);
    while (w->asked != w->answered && !w->stopping)
        cond_wait(&w->done, &w->lock);
    if (w->stopping)
        return 0;
    w->nodeid = nodeid;
    const uint64_t mine = ++w->asked;
    cond_signal(&w->work);
    while (w->answered < mine && !w->stopping)
        cond_wait(&w->done, &w->lock);
    return w->answered == mine ? w->result : 0;
}

void write_back_file(struct write_back *w, uint64_t nodeid)
{
    /* Offset 0, length 0: all pages are written, and let go of. */
    if (ask(w, nodeid) < 0)
        (void)fuse_lowlevel_notify_inval_inode(w->fs->se, nodeid, 0, 0);
}

bool write_back_asks(const struct write_back *w, fuse_req_t req)
{
    return fuse_req_ctx(req)->pid == atomic_load(&w->tid);
}

void write_back_give_up(struct write_back *w)
{
    MUTEX_GUARD(&w->lock);
    w->stopping = true;
    cond_signal(&w->work);
    cond_broadcast(&w->done);
}

bool write_back_stop(struct write_back *w)
{
    struct timespec until;
    write_back_give_up(w);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    if (pthread_timedjoin_np(w->thread, NULL, &until) != 0)
        return false;
    cond_destroy(&w->work);
    cond_destroy(&w->done);
    mutex_destroy(&w->lock);
    free(w->mountpoint);
    free(w);
    return true;
}
