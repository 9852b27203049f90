// SPDX-License-Identifier: Apache-2.0
#include "apart.h"

#include "clock.h"
#include "io.h"
#include "mounts.h"
#include "thread.h"
#include "waits.h"
#include "vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* FUSE's handles, fs/fuse/inode.c of the kernel: FILEID_INO64_GEN, three words. */
#define HANDLE_TYPE 0x81
#define HANDLE_WORDS 3

/* What one caller of apart_do wants. It lives on the caller's stack. */
struct ask {
    uint64_t nodeid;
    int result; /* of the function; valid once `done` is true */
    bool done;
};

struct apart {
    struct fs *fs;
    apart_fn *fn;
    char *mountpoint;
    uint64_t device; /* of our mount; compared later, when another mount may cover it */
    pthread_t thread;
    _Atomic pid_t tid;
    struct mutex lock;
    struct cond work, done;
    /* The rest is guarded by: lock */
    struct ask *ask; /* NULL: nothing to do, or the caller does not wait any more */
    bool working;    /* the thread has taken an ask and not answered it yet */
    bool stopping;
};

/* ---- the thread ---- */

/* The device number of what is mounted at that path, found without a request to a FUSE daemon. 0:
 * it cannot be found. */
static uint64_t device_of(int fd, const char *path)
{
    struct statx st;
    const int flags = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    if (statx(fd, path, flags, STATX_TYPE, &st) < 0)
        return 0;
    return (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
}

/* Opens what is mounted at `point`, or -errno. -ESTALE: another mount covers it, and our handle
 * could mean a file of that one. */
static int open_point(const struct apart *a, const char *point)
{
    int at = open(point, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return -errno;
    int root = -ESTALE;
    if (device_of(at, "") == a->device) {
        root = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        root = root < 0 ? -errno : root;
    }
    close(at);
    return root;
}

/* Opens any mount of ours, or -errno: a handle finds each file through each of them, be it a mount
 * of the whole or of one namespace. -ESTALE: there is none in this mount namespace. */
static int open_any(const struct apart *a)
{
    CLEANUP_FREE char *line = NULL;
    struct mounts_line m;
    size_t room = 0;
    char device[32];
    int root = -ESTALE;
    FILE *f = fopen(MOUNTS_SELF, "re");
    if (!f)
        return -errno;
    snprintf(device, sizeof(device), "%u:%u", (unsigned)(a->device >> 32), (unsigned)a->device);
    while (root < 0 && getline(&line, &room, f) >= 0)
        if (mounts_parse(line, &m) && strcmp(m.dev, device) == 0)
            root = open_point(a, m.point);
    fclose(f);
    return root;
}

static int open_root(const struct apart *a)
{
    int root = open_point(a, a->mountpoint);
    return root < 0 ? open_any(a) : root;
}

/* Open the file by a handle made of its nodeid and generation: no path is walked, so no directory's
 * lock is waited for. */
static int open_handle(const struct apart *a, uint64_t nodeid, uint32_t generation, int flags)
{
    union {
        struct file_handle h;
        char room[sizeof(struct file_handle) + HANDLE_WORDS * sizeof(uint32_t)];
    } u = {.h = {.handle_bytes = HANDLE_WORDS * sizeof(uint32_t), .handle_type = HANDLE_TYPE}};
    const uint32_t words[HANDLE_WORDS] = {(uint32_t)(nodeid >> 32), (uint32_t)nodeid, generation};
    int root = open_root(a);
    if (root < 0)
        return root;
    memcpy(u.h.f_handle, words, sizeof(words));
    int fd = open_by_handle_at(root, &u.h, flags | O_CLOEXEC);
    int err = fd < 0 ? -errno : fd;
    close(root);
    return err;
}

int apart_open(const struct apart *a, uint64_t nodeid, int flags)
{
    struct vfs_attr attr;
    int err = vfs_getattr(a->fs->p, nodeid, &attr);
    return err < 0 ? -ENOENT : open_handle(a, nodeid, attr.generation, flags);
}

/* Waits for an ask and takes it. False: the thread must end. */
static bool take_ask(struct apart *a, uint64_t *ret_nodeid)
{
    MUTEX_GUARD(&a->lock);
    while (!a->ask && !a->stopping)
        cond_wait(&a->work, &a->lock);
    if (a->stopping)
        return false;
    a->working = true;
    *ret_nodeid = a->ask->nodeid;
    return true;
}

/* Give the result to the caller, if it still waits, and let the next one in. */
static void answer(struct apart *a, int result)
{
    MUTEX_GUARD(&a->lock);
    if (a->ask) {
        a->ask->result = result;
        a->ask->done = true;
    }
    a->ask = NULL;
    a->working = false;
    cond_broadcast(&a->done);
}

/* The thread. It first gives itself a table of open files of its own, and empties it. If that fails
 * it answers every ask with -EPERM, since it must not hang while it holds /dev/fuse open. */
static void *apart_main(void *arg)
{
    struct apart *a = arg;
    uint64_t nodeid;
    atomic_store(&a->tid, gettid());
    const bool apart = unshare(CLONE_FILES) == 0 && close_range(0, ~0U, 0) == 0;
    while (take_ask(a, &nodeid))
        answer(a, apart ? a->fn(a, nodeid) : -EPERM);
    return NULL;
}

/* ---- its users ---- */

int apart_start(struct fs *fs, const char *name, apart_fn *fn, struct apart **ret_a)
{
    struct apart *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->fs = fs;
    a->fn = fn;
    a->mountpoint = realpath(fs->o->mountpoint, NULL);
    a->device = a->mountpoint ? device_of(AT_FDCWD, a->mountpoint) : 0;
    mutex_init(&a->lock, name);
    cond_init(&a->work);
    cond_init(&a->done);
    int err = !a->mountpoint ? -errno : thread_start(&a->thread, apart_main, a);
    if (err < 0) {
        free(a->mountpoint);
        free(a);
        return err;
    }
    *ret_a = a;
    return 0;
}

/* Waits until an ask was answered. False: the time `end` has come, or the mount is ending. */
static bool await(struct apart *a, int64_t end)
{
    const int64_t left = end - clock_ticks(clock_real());
    mutex_held(&a->lock);
    WAITS_GUARD(WAITS_KERNEL, "the kernel, which a thread apart asks", 0, NULL);
    return left > 0 && !a->stopping && cond_wait_for(&a->done, &a->lock, left) >= 0;
}

int apart_do(struct apart *a, uint64_t nodeid, int64_t patience)
{
    struct ask mine = {.nodeid = nodeid};
    int64_t end;
    if (__builtin_add_overflow(clock_ticks(clock_real()), patience, &end))
        end = INT64_MAX;
    MUTEX_GUARD(&a->lock);
    while ((a->ask || a->working) && await(a, end)) {
    }
    if (!a->ask && !a->working && !a->stopping) {
        a->ask = &mine;
        cond_signal(&a->work);
        while (!mine.done && await(a, end)) {
        }
        if (!mine.done)
            a->ask = NULL;
    }
    return mine.done ? mine.result : a->stopping ? 0 : -ETIMEDOUT;
}

bool apart_asks(const struct apart *a, uint32_t pid)
{
    /* pid is 0 for a process of another pid namespace; tid is 0 before the thread has begun. */
    return pid != 0 && pid == (uint32_t)atomic_load_explicit(&a->tid, memory_order_relaxed);
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
    apart_give_up(a);
    if (!thread_join_soon(a->thread))
        return false;
    cond_destroy(&a->work);
    cond_destroy(&a->done);
    mutex_destroy(&a->lock);
    free(a->mountpoint);
    free(a);
    return true;
}
