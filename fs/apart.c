// SPDX-License-Identifier: Apache-2.0
#include "apart.h"

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

struct apart {
    struct fs *fs;
    apart_fn *fn;
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

static int open_handle(const struct apart *a, uint64_t nodeid, uint32_t generation, int flags)
{
    union {
        struct file_handle h;
        char room[sizeof(struct file_handle) + HANDLE_WORDS * sizeof(uint32_t)];
    } u = {.h = {.handle_bytes = HANDLE_WORDS * sizeof(uint32_t), .handle_type = HANDLE_TYPE}};
    const uint32_t words[HANDLE_WORDS] = {(uint32_t)(nodeid >> 32), (uint32_t)nodeid, generation};
    int root = open(a->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -errno;
    memcpy(u.h.f_handle, words, sizeof(words));
    int fd = open_by_handle_at(root, &u.h, flags | O_CLOEXEC);
    int err = fd < 0 ? -errno : fd;
    close(root);
    return err;
}

int apart_open(const struct apart *a, uint64_t nodeid, int flags)
{
    struct vfs_attr attr;
    int r = vfs_getattr(a->fs->p, nodeid, &attr);
    return r < 0 ? -ENOENT : open_handle(a, nodeid, attr.generation, flags);
}

/* Waits for work. False: the end. */
static bool take(struct apart *a, uint64_t *ret_nodeid)
{
    MUTEX_GUARD(&a->lock);
    while (a->asked == a->answered && !a->stopping)
        cond_wait(&a->work, &a->lock);
    *ret_nodeid = a->nodeid;
    return !a->stopping;
}

static void answer(struct apart *a, int result)
{
    MUTEX_GUARD(&a->lock);
    a->result = result;
    a->answered++;
    cond_broadcast(&a->done);
}

static void *apart_main(void *arg)
{
    struct apart *a = arg;
    uint64_t nodeid;
    atomic_store(&a->tid, gettid());
    const bool apart = unshare(CLONE_FILES) == 0 && close_range(0, ~0U, 0) == 0;
    while (take(a, &nodeid))
        answer(a, apart ? a->fn(a, nodeid) : -EPERM);
    return NULL;
}

/* ---- its users ---- */

int apart_start(struct fs *fs, const char *name, apart_fn *fn, struct apart **ret_a)
{
    struct apart *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return -ENOMEM;
    a->fs = fs;
    a->fn = fn;
    a->mountpoint = realpath(fs->o->mountpoint, NULL);
    mutex_init(&a->lock, name);
    cond_init(&a->work);
    cond_init(&a->done);
    int r = a->mountpoint == NULL ? -errno : thread_start(&a->thread, apart_main, a);
    if (r < 0) {
        free(a->mountpoint);
        free(a);
        return r;
    }
    *ret_a = a;
    return 0;
}

int apart_do(struct apart *a, uint64_t nodeid)
{
    MUTEX_GUARD(&a->lock);
    while (a->asked != a->answered && !a->stopping)
        cond_wait(&a->done, &a->lock);
    if (a->stopping)
        return 0;
    a->nodeid = nodeid;
    const uint64_t mine = ++a->asked;
    cond_signal(&a->work);
    while (a->answered < mine && !a->stopping)
        cond_wait(&a->done, &a->lock);
    return a->answered == mine ? a->result : 0;
}

bool apart_asks(const struct apart *a, uint32_t pid)
{
    return pid == (uint32_t)atomic_load_explicit(&a->tid, memory_order_relaxed);
}

void apart_give_up(struct apart *a)
{
    MUTEX_GUARD(&a->lock);
    a->stopping = true;
    cond_signal(&a->work);
    cond_broadcast(&a->done);
}

bool apart_stop(struct apart *a)
{
    struct timespec until;
    apart_give_up(a);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    if (pthread_timedjoin_np(a->thread, NULL, &until) != 0)
        return false;
    cond_destroy(&a->work);
    cond_destroy(&a->done);
    mutex_destroy(&a->lock);
    free(a->mountpoint);
    free(a);
    return true;
}
