// SPDX-License-Identifier: Apache-2.0
#include "loop.h"

#include "init.h"
#include "latency.h"
#include "node.h"
#include "profile.h"
#include "report.h"
#include "ring.h"
#include "serve.h"
#include "waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

/* How many threads read the device. The kernel wakes the thread that has waited longest, whatever
 * its CPU. The fewer threads there are, the more often that is the CPU of the client. But there
 * must be more of them than CPUs, since some requests read from the disk. */
#define THREADS_MORE 2
#define THREADS_MAX 10
#define GATHER_NS 1000000 /* for loop_gather */
#define RING_SWITCH "/sys/module/fuse/parameters/enable_uring"

/* Are rings switched on in the kernel's module? Its default is off. */
static bool switched_on(void)
{
    char c = 'N';
    int fd = open(RING_SWITCH, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (read(fd, &c, 1) != 1)
        c = 'N';
    close(fd);
    return c == 'Y';
}

int loop_prepare(struct fs *fs, char *why, size_t why_len)
{
    if (fs->o->transport == FS_TRANSPORT_THREADS)
        return 0;
    int err = switched_on() ? ring_create(fs, &fs->ring) : -EOPNOTSUPP;
    if (err == 0 || fs->o->transport == FS_TRANSPORT_AUTO)
        return 0;
    snprintf(why, why_len, "no requests by io_uring: %s",
             err == -EOPNOTSUPP ? "the kernel's switch is off or missing: echo Y >" RING_SWITCH
                                : strerror(-err));
    return err;
}

bool loop_takes_ring(struct fs *fs)
{
    if (!fs->ring || (atomic_load(&fs->init_offered2) & INIT2_OVER_IO_URING) == 0)
        return false;
    atomic_store(&fs->ring_agreed, true);
    return true;
}

void loop_begin(struct fs *fs)
{
    if (!atomic_load(&fs->ring_agreed))
        return;
    int err = ring_start(fs->ring);
    if (err == 0)
        return;
    report(REPORT_ALARM, "no threads for io_uring (%s): the mount ends", strerror(-err));
    kill(getpid(), SIGTERM);
}

/* How many threads libfuse is to have. */
static unsigned threads_wanted(const struct fs *fs)
{
    if (fs->o->threads != 0)
        return fs->o->threads;
    if (fs->ring) /* only FORGETs and the like come here (loop_gather) */
        return 1;
    const unsigned n = (unsigned)get_nprocs() + THREADS_MORE;
    return n < THREADS_MAX ? n : THREADS_MAX;
}

int loop_run(struct fs *fs)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    if (!config)
        return -ENOMEM;
    fuse_loop_cfg_set_max_threads(config, threads_wanted(fs));
    /* All threads share one descriptor of the device: with a clone for each thread an answer must
     * be written where its request was read, but here another thread than the reader may answer. */
    fuse_loop_cfg_set_clone_fd(config, 0);
    int err = fuse_session_loop_mt(fs->se, config);
    fuse_loop_cfg_destroy(config);
    /* Positive: a signal ended the loop. -ENODEV: the session was unmounted. Both are normal
     * ends. */
    return err < 0 && err != -ENODEV ? err : 0;
}

void loop_gather(const struct fs *fs, uint32_t opcode)
{
    if ((opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET) &&
        atomic_load_explicit(&fs->ring_agreed, memory_order_relaxed))
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = GATHER_NS}, NULL);
}

void loop_hold(struct fs *fs)
{
    if (fs->ring)
        ring_hold(fs->ring);
}

void loop_end(struct fs *fs)
{
    if (fs->ring)
        ring_stop(fs->ring);
}

void loop_note_answered(struct fs *fs, uint64_t unique)
{
    struct waiting_request r;
    if (!waiting_done(fs->waiting, unique, &r))
        return;
    latency_note(fs->latency, r.opcode, r.took);
    if (profile_records(fs->profile))
        profile_note(fs->profile, &(struct profile_request){.kind = r.opcode,
                                                            .ns = vfs_node_ns(r.nodeid),
                                                            .tid = r.tid,
                                                            .took = r.took});
}

ssize_t loop_writev(struct fs *fs, int fd, struct iovec *iov, int count)
{
    const struct fuse_out_header *out = iov[0].iov_base;
    ssize_t n = 0;
    if (out->unique != 0)
        loop_note_answered(fs, out->unique);
    if (!atomic_load_explicit(&fs->ring_agreed, memory_order_relaxed) ||
        !ring_reply(fs->ring, iov, count))
        return writev(fd, iov, count);
    for (int i = 0; i < count; i++)
        n += (ssize_t)iov[i].iov_len;
    return n;
}

void loop_commit_empty(struct fs *fs, const struct iovec *iov)
{
    if (atomic_load_explicit(&fs->ring_agreed, memory_order_relaxed))
        (void)ring_reply(fs->ring, iov, 1); /* false: it came through the device */
}

bool loop_may_park(void)
{
    return !ring_is_full();
}

const char *loop_transport(const struct fs *fs)
{
    return atomic_load(&fs->ring_agreed) ? "io_uring" : "threads";
}
