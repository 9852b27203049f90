// SPDX-License-Identifier: Apache-2.0
#include "confined.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 200

/* What both processes see. What the other one writes is only shown. */
struct shared {
    struct intake_counts counts;
    _Atomic int err;
    _Atomic bool ended;
    char why[INTAKE_WHY];
};

/* Says why the child cannot do its work. */
static int fail(struct shared *s, int err, const char *what)
{
    snprintf(s->why, sizeof(s->why), "%s: %s", what, strerror(-err));
    return err;
}

/* Does all of the work, in the child. */
static int read_confined(int out, const struct archive_source *source, int ended,
                         struct shared *s)
{
    const int keep[] = {source->fd, source->spool, out, ended, STDERR_FILENO};
    struct intake *in;
    int err = intake_open(out, &s->counts, &in);
    if (err < 0) {
        return err;
    }
    err = sandbox_enter(keep, sizeof(keep) / sizeof(*keep));
    if (err < 0) {
        return fail(s, err, "the process that reads the archive cannot give up its rights");
    }
    err = from_archive(in, source, &s->counts);
    if (err == 0) {
        err = intake_end(in);
    }
    memcpy(s->why, intake_why(in), sizeof(s->why));
    return err;
}

static _Noreturn void run_child(int out, const struct archive_source *source, int ended,
                                struct shared *s)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    s->err = read_confined(out, source, ended, s);
    s->ended = true;
    _exit(0); /* nothing of the parent is to be cleaned up here */
}

/* Waits until the other end of the pipe is closed. */
static void wait_for_end(int ended, const struct shared *s,
                         void (*tick)(const struct intake_counts *counts, void *ctx), void *ctx)
{
    struct pollfd fd = {.fd = ended, .events = POLLIN};
    while (poll(&fd, 1, TICK_MS) <= 0) {
        if (tick) {
            tick(&s->counts, ctx);
        }
    }
}

/* Takes over what the child says. It may have been made to say anything. */
static void take_result(struct shared *s, int status, struct confined_result *ret)
{
    ret->err = s->err < 0 ? s->err : 0;
    if (!s->ended) {
        ret->err = -EIO;
        snprintf(ret->why, sizeof(ret->why),
                 WIFSIGNALED(status)
                     ? "the process that reads the archive was ended by signal %d"
                     : "the process that reads the archive ended early",
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        return;
    }
    memcpy(ret->why, s->why, sizeof(ret->why));
    ret->why[sizeof(ret->why) - 1] = 0;
    ret->files = s->counts.files;
    ret->bytes = s->counts.bytes;
    ret->absolute = s->counts.absolute;
    ret->passed = s->counts.passed;
}

void confined_run(int out, const struct archive_source *source,
                  void (*tick)(const struct intake_counts *counts, void *ctx), void *ctx,
                  struct confined_result *ret)
{
    int pipe_of[2], status = 0;
    struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                            -1, 0);
    *ret = (struct confined_result){.err = -ENOMEM};
    if (s == MAP_FAILED || pipe2(pipe_of, O_CLOEXEC) < 0) {
        snprintf(ret->why, sizeof(ret->why), "no process can be made: %m");
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        run_child(out, source, pipe_of[1], s);
    }
    close(pipe_of[1]);
    if (pid < 0) {
        snprintf(ret->why, sizeof(ret->why), "no process can be made: %m");
    } else {
        wait_for_end(pipe_of[0], s, tick, ctx);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        take_result(s, status, ret);
    }
    close(pipe_of[0]);
    (void)munmap(s, sizeof(*s));
}
