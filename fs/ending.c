// SPDX-License-Identifier: Apache-2.0
/*
 * ending: one thread that sleeps in sigtimedwait. libfuse's main thread sleeps on a semaphore that
 * only an interrupted system call makes it leave, so it is poked until it has left.
 */
#include "ending.h"

#include "clock.h"
#include "defer.h"
#include "job.h"
#include "report.h"
#include "strbuf.h"
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAKE_SIGNAL SIGUSR1 /* makes the main thread leave a system call */
#define LOOK_SIGNAL SIGUSR2 /* makes our thread look around */
#define POKE_NS (20 * NSEC_PER_MSEC)

struct ending {
    struct fs *fs;
    pthread_t thread, main;
    _Atomic bool looping;   /* main is in libfuse's loop */
    _Atomic bool asked;     /* the store wants the end */
    _Atomic bool unmounted; /* nothing is left of the mount */
    _Atomic bool over;      /* the thread may go */
    struct mutex lock;      /* "ending": held while the state or the session is used */
    bool watch;             /* guarded by lock */
    /* of the thread: */
    bool ending;  /* begun, at `moved` */
    bool exiting; /* the loop was told */
    unsigned signals;
    struct jobs_rest rest; /* told last */
    int64_t moved;         /* monotonic ns: when there was progress */
};

void ending_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
    sigaddset(ret, LOOK_SIGNAL);
}

static void on_wake(int sig)
{
    (void)sig;
}

/* ---- the forced end ---- */

extern char **environ;

/* By a program that outlives us: the kernel may ask us for something while it unmounts. */
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
    /* It may come too late, and say so. */
    (void)posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    (void)posix_spawnp(&pid, argv[0], &files, &attr, argv, environ); /* the process ends now */
}

__attribute__((noreturn)) static void force(const struct ending *e, const char *why)
{
    report(REPORT_WARN, "%s: what is not done is dropped, the next mount goes on from the log",
           why);
    if (!atomic_load(&e->unmounted))
        spawn_unmount(e->fs->o->mountpoint);
    _exit(1);
}

/* ---- telling ---- */

static void add(struct strbuf *out, uint64_t n, const char *one, const char *many)
{
    if (n != 0)
        strbuf_addf(out, "%s%llu %s", out->len != 0 ? ", " : "", (unsigned long long)n,
                    n == 1 ? one : many);
}

static void report_rest(const struct jobs_rest *r)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    add(&text, r->jobs, "job", "jobs");
    add(&text, r->pieces, "piece of work", "pieces of work");
    add(&text, r->flushes, "flush", "flushes");
    add(&text, r->unsealed, "unsealed file", "unsealed files");
    add(&text, r->dropped_pages, "dropped page", "dropped pages");
    if (text.len != 0 && strbuf_error(&text) == 0)
        report(REPORT_NOTE, "ending; remaining: %s", text.s);
}

/* Once a second while it ends, more often while the loop is being left. */
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

static void begin(struct ending *e)
{
    if (e->ending)
        return;
    e->ending = true;
    e->moved = clock_ticks(clock_real());
    if (e->fs->o->ending != NULL)
        e->fs->o->ending(e->fs->o->ctx);
    MUTEX_GUARD(&e->lock); /* it stays, until ending_let_go() */
    if (!atomic_load(&e->looping))
        return;
    defer_interrupt_all(e->fs->defer);
}

/* The loop ends once the calls that waited have answered, or had their time. */
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

static void on_signal(struct ending *e)
{
    e->signals++;
    if (e->signals == 1)
        begin(e);
    else
        force(e, "told to end at once");
}

/* A signal, or -1: there was none for as long as one may be waited for. */
static int next_signal(const struct ending *e)
{
    const bool poke = e->ending && atomic_load(&e->looping);
    const struct timespec nap = {.tv_sec = poke ? 0 : 1, .tv_nsec = poke ? POKE_NS : 0};
    sigset_t set;
    ending_signals(&set);
    return e->ending ? sigtimedwait(&set, NULL, &nap) : sigwaitinfo(&set, NULL);
}

static void *ending_main(void *arg)
{
    struct ending *e = arg;
    for (;;) {
        const int sig = next_signal(e);
        if (atomic_load(&e->over))
            return NULL;
        if (sig == LOOK_SIGNAL && (atomic_load(&e->asked) || !atomic_load(&e->looping)))
            begin(e);
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

int ending_start(struct fs *fs, struct ending **ret_e)
{
    struct sigaction wake = {.sa_handler = on_wake}; /* no SA_RESTART: it must interrupt */
    struct ending *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return -ENOMEM;
    *e = (struct ending){.fs = fs, .main = pthread_self(), .looping = true, .watch = true};
    mutex_init(&e->lock, "ending");
    sigemptyset(&wake.sa_mask);
    int r = sigaction(WAKE_SIGNAL, &wake, NULL) < 0 ? -errno : 0;
    if (r == 0)
        r = -pthread_create(&e->thread, NULL, ending_main, e);
    if (r < 0) {
        mutex_destroy(&e->lock);
        free(e);
        return r;
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
    if (e == NULL)
        return;
    atomic_store(&e->over, true);
    pthread_kill(e->thread, LOOK_SIGNAL);
    pthread_join(e->thread, NULL);
    mutex_destroy(&e->lock);
    free(e);
}
