// SPDX-License-Identifier: Apache-2.0
/*
 * ending: one thread that sleeps in sigtimedwait(2). libfuse's main thread sleeps on a semaphore,
 * and looks whether the session has ended only when a signal has interrupted that. So it is sent a
 * signal every 20 ms until it has left the loop.
 */
#include "ending.h"

#include "clock.h"
#include "defer.h"
#include "io.h"
#include "job.h"
#include "mounts.h"
#include "report.h"
#include "strbuf.h"
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAKE_SIGNAL SIGUSR1 /* makes the main thread leave a system call */
#define LOOK_SIGNAL SIGUSR2 /* makes the thread of this module look at the flags of its struct */
#define POKE_NS (20 * NSEC_PER_MSEC)

struct ending {
    struct fs *fs;
    pthread_t thread, main; /* this module's own; the one in libfuse's loop */
    _Atomic bool looping;   /* main is in libfuse's loop */
    _Atomic bool asked;     /* ending_ask was called */
    _Atomic bool unmounted; /* the session is unmounted */
    _Atomic bool over;      /* the thread must end */
    struct mutex lock;      /* "ending"; held while the store or the session is used */
    bool watch;             /* guarded by: lock; the store and the session may be used */
    /* The rest is used by the thread alone: */
    bool ending;           /* the end has begun */
    bool exiting;          /* the loop was asked to end */
    unsigned signals;      /* how many have come */
    char device[32];       /* "major:minor" of our mount; "": unknown */
    struct jobs_rest rest; /* what was reported last */
    int64_t moved;         /* monotonic ns: when the end began, or `rest` last changed */
};

void ending_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
    sigaddset(ret, LOOK_SIGNAL);
}

/* Does nothing: a signal that is ignored would not interrupt a system call. */
static void on_wake(int sig)
{
    (void)sig;
}

/* ---- the forced end ---- */

extern char **environ;

/* Starts a program that unmounts. The daemon cannot do that itself: while it unmounts the kernel
 * may send the daemon requests, and nothing serves them any more. */
static void spawn_unmount(const char *mountpoint)
{
    char *root[] = {"umount", "-i", "-l", "--", (char *)(uintptr_t)mountpoint, NULL};
    char *user[] = {"fusermount3", "-uz", "--", (char *)(uintptr_t)mountpoint, NULL};
    char **argv = geteuid() == 0 ? root : user;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none;
    pid_t pid;
    sigemptyset(&none);
    if (posix_spawnattr_init(&attr) != 0 || posix_spawn_file_actions_init(&files) != 0)
        return;
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    /* The mount may be gone by then; its error message would confuse. */
    (void)posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    (void)posix_spawnp(&pid, argv[0], &files, &attr, argv, environ); /* the process ends now */
}

/* Starts the unmounts of all our mounts that this process sees. By the time of a forced end another
 * filesystem may be at the path where the first one was. */
static void spawn_unmounts(const struct ending *e)
{
    CLEANUP_FREE char *line = NULL;
    struct mounts_line m;
    size_t room = 0;
    FILE *f = fopen(MOUNTS_SELF, "re");
    if (!f)
        return;
    while (getline(&line, &room, f) >= 0)
        if (mounts_parse(line, &m) && strcmp(m.dev, e->device) == 0)
            spawn_unmount(m.point);
    fclose(f);
}

/* Ends the process at once, without any cleanup. All that calls have returned for is in the log. */
__attribute__((noreturn)) static void force(const struct ending *e, const char *why)
{
    report(REPORT_WARN, "%s: what is not done is dropped, the next mount goes on from the log",
           why);
    if (!atomic_load(&e->unmounted))
        spawn_unmounts(e);
    _exit(1);
}

/* ---- reporting ---- */

/* Adds "n things" to a list, unless n is 0. */
static void add_count(struct strbuf *out, uint64_t n, const char *one, const char *many)
{
    if (n != 0)
        strbuf_addf(out, "%s%llu %s", out->len != 0 ? ", " : "", (unsigned long long)n,
                    n == 1 ? one : many);
}

static void report_rest(const struct jobs_rest *r)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    add_count(&text, r->jobs, "job", "jobs");
    add_count(&text, r->pieces, "piece of work", "pieces of work");
    add_count(&text, r->flushes, "flush", "flushes");
    add_count(&text, r->unsealed, "unsealed file", "unsealed files");
    add_count(&text, r->dropped_pages, "dropped page", "dropped pages");
    if (text.len != 0 && strbuf_error(&text) == 0)
        report(REPORT_NOTE, "ending; remaining: %s", text.s);
}

/* Called about once a second while the mount ends, more often while the loop is being left. Reports
 * what is left if that has changed, and forces the end if it has not changed for too long. */
static void show_progress(struct ending *e)
{
    struct jobs_rest rest = e->rest;
    bool watched;
    {
        MUTEX_GUARD(&e->lock);
        watched = e->watch && !atomic_load(&e->looping);
        if (watched)
            jobs_get_rest(e->fs->p, &rest);
    }
    if (watched && memcmp(&rest, &e->rest, sizeof(rest)) != 0) {
        e->rest = rest;
        e->moved = clock_ticks(clock_real());
        report_rest(&rest);
    }
    if (clock_ticks(clock_real()) - e->moved > ENDING_PATIENCE * NSEC_PER_SEC)
        force(e, "nothing has moved for ten minutes");
}

/* ---- the thread ---- */

/* Begins the end of the mount; later calls do nothing. If the loop has ended before (umount), there
 * are no calls to interrupt: serve() of fs.c stops them. */
static void begin_ending(struct ending *e)
{
    if (e->ending)
        return;
    e->ending = true;
    e->moved = clock_ticks(clock_real());
    if (e->fs->o->ending)
        e->fs->o->ending(e->fs->o->ctx);
    MUTEX_GUARD(&e->lock); /* the session stays valid until ending_let_go() */
    if (!atomic_load(&e->looping))
        return;
    defer_interrupt_all(e->fs->defer);
}

/* Has the loop end once the interrupted calls have answered, or their time is over. */
static void end_loop(struct ending *e)
{
    MUTEX_GUARD(&e->lock);
    if (e->exiting || !atomic_load(&e->looping))
        return;
    if (defer_left(e->fs->defer) > 0 &&
        clock_ticks(clock_real()) - e->moved < ENDING_CALLS * NSEC_PER_SEC)
        return;
    e->exiting = true;
    fuse_session_exit(e->fs->se);
}

/* The first signal begins the end, and the second one forces it. */
static void on_signal(struct ending *e)
{
    e->signals++;
    if (e->signals == 1)
        begin_ending(e);
    else
        force(e, "told to end at once");
}

/* Waits for a signal: without an end before the end of the mount begins, then for a second, and for
 * POKE_NS while the loop is being left. -1: none came. */
static int next_signal(const struct ending *e)
{
    const bool poke = e->ending && atomic_load(&e->looping);
    const struct timespec nap = {.tv_sec = poke ? 0 : 1, .tv_nsec = poke ? POKE_NS : 0};
    sigset_t set;
    ending_signals(&set);
    return e->ending ? sigtimedwait(&set, NULL, &nap) : sigwaitinfo(&set, NULL);
}

/* The thread: waits for signals, and looks at the flags of the struct after each. It goes on until
 * ending_stop, also while the store is being closed. */
static void *ending_main(void *arg)
{
    struct ending *e = arg;
    for (;;) {
        const int sig = next_signal(e);
        if (atomic_load(&e->over))
            return NULL;
        if (sig == LOOK_SIGNAL && (atomic_load(&e->asked) || !atomic_load(&e->looping)))
            begin_ending(e);
        else if (sig > 0 && sig != LOOK_SIGNAL)
            on_signal(e);
        if (e->ending)
            end_loop(e);
        if (e->exiting && atomic_load(&e->looping))
            pthread_kill(e->main, WAKE_SIGNAL);
        if (sig < 0 && errno == EAGAIN)
            show_progress(e);
    }
}

/* Notes the device of our mount, without a request to it. */
static void note_device(struct ending *e)
{
    struct statx st;
    if (statx(AT_FDCWD, e->fs->o->mountpoint, AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0)
        snprintf(e->device, sizeof(e->device), "%u:%u", st.stx_dev_major, st.stx_dev_minor);
}

int ending_start(struct fs *fs, struct ending **ret_e)
{
    struct sigaction wake = {.sa_handler = on_wake}; /* no SA_RESTART: it interrupts a call */
    struct ending *e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    *e = (struct ending){.fs = fs, .main = pthread_self(), .looping = true, .watch = true};
    mutex_init(&e->lock, "ending");
    note_device(e);
    sigemptyset(&wake.sa_mask);
    int err = sigaction(WAKE_SIGNAL, &wake, NULL) < 0 ? -errno : 0;
    if (err == 0)
        err = -pthread_create(&e->thread, NULL, ending_main, e);
    if (err < 0) {
        mutex_destroy(&e->lock);
        free(e);
        return err;
    }
    *ret_e = e;
    return 0;
}

void ending_left_loop(struct ending *e)
{
    atomic_store(&e->looping, false);
    pthread_kill(e->thread, LOOK_SIGNAL);
}

void ending_unmounted(struct ending *e)
{
    atomic_store(&e->unmounted, true);
}

void ending_let_go(struct ending *e)
{
    MUTEX_GUARD(&e->lock);
    e->watch = false;
}

void ending_ask(struct ending *e)
{
    atomic_store(&e->asked, true);
    pthread_kill(e->thread, LOOK_SIGNAL);
}

void ending_stop(struct ending *e)
{
    if (!e)
        return;
    atomic_store(&e->over, true);
    pthread_kill(e->thread, LOOK_SIGNAL);
    pthread_join(e->thread, NULL);
    mutex_destroy(&e->lock);
    free(e);
}
