// SPDX-License-Identifier: Apache-2.0
/*
 * exec_run: a child prepares its mounts and becomes the command. This process stays outside, so
 * that it can still command the store, and waits. A pipe that closes when the command begins says
 * whether it did.
 */
#include "exec_run.h"

#include "io.h"
#include "ns_mount.h"
#include "private_mounts.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOT_FOUND 127 /* the exit codes of shells */
#define NOT_RUN 126
#define BY_SIGNAL 128

/* ---- where it stands ---- */

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool exec_find_place(const struct tally_mountinfo *m, const char *ns, const char *from,
                     struct exec_place *ret)
{
    struct tally_mountinfo at;
    ret->m = *m;
    const bool whole = strcmp(m->root, "/") == 0;
    if (mountinfo_of_ns(m->dev, ns, from, &at) < 0 &&
        (whole || mountinfo_of_ns(m->dev, ns, NULL, &at) < 0)) {
        const char *above = strcmp(m->point, "/") ? m->point : "";
        int n = snprintf(ret->path, sizeof(ret->path), "%s/%s", above, ns);
        if (n < 0 || n >= PATH_MAX) {
            return false;
        }
        memcpy(ret->point, m->point, sizeof(ret->point));
        return whole && is_dir(ret->path);
    }
    memcpy(ret->point, at.point, sizeof(ret->point));
    memcpy(ret->path, at.point, sizeof(ret->path));
    return true;
}

/* ---- the child ---- */

/* Prints why the mounts could not be prepared; `entered`: the child had mounts of its own. */
static void fail_mounts(const struct exec_place *p, bool entered, int err)
{
    const bool whole = strcmp(p->m.root, "/") == 0;
    if (entered && !whole && (err == -EPERM || err == -ESTALE)) {
        tally_fail("only root can put a branch at %s: the whole of %s is not mounted where this "
                   "process sees it",
                   p->path, p->m.source);
    } else if (err == -EPERM || err == -ENOSPC || err == -EACCES) {
        tally_fail("only root can put a branch at %s: this machine lets ordinary users have no "
                   "mounts of their own (user namespaces)",
                   p->path);
    } else {
        tally_fail("cannot put a branch at %s: %s", p->path, strerror(-err));
    }
}

/* Mounts the branch at the path, in the mount namespace of the child. */
static int put_branch(const struct exec_place *p, const char *branch)
{
    CLEANUP_CLOSE int root = ns_open_root(&p->m);
    CLEANUP_CLOSE int dir = root < 0 ? root : ns_open(root, branch, false);
    CLEANUP_CLOSE int mount = dir < 0 ? dir : ns_clone(dir);
    return mount < 0 ? mount : ns_attach(mount, p->path);
}

static bool is_within(const char *path, const char *dir)
{
    const size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* Prepares the mounts. The current directory is looked up anew: it is that of the parent until
 * then. 0 or -errno, after a sentence. */
static int prepare(const struct exec_place *p, const char *branch)
{
    char cwd[PATH_MAX];
    const bool inside = getcwd(cwd, sizeof(cwd)) && is_within(cwd, p->path);
    int err = private_mounts_enter(p->point);
    const bool entered = err == 0;
    if (entered && branch) {
        err = put_branch(p, branch);
    }
    if (err < 0) {
        fail_mounts(p, entered, err);
        return err;
    }
    if (branch && inside && chdir(cwd) < 0) {
        err = -errno;
        tally_fail("cannot enter %s: %m", cwd);
    }
    return err;
}

/* The child: becomes the command. The word on the pipe says that nothing was run. */
static _Noreturn void become(const struct exec_place *p, const char *branch, char *const argv[],
                             int pipe_fd, const sigset_t *mask)
{
    if (prepare(p, branch) < 0) {
        (void)!write(pipe_fd, "", 1);
        _exit(1);
    }
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(argv[0], argv);
    const int err = errno;
    tally_fail("cannot run %s: %s", argv[0], strerror(err));
    _exit(err == ENOENT ? NOT_FOUND : NOT_RUN);
}

/* ---- waiting ---- */

/* The signals that are passed on, and the one that says that a child has ended. */
static void take_signals(sigset_t *ret)
{
    static const int taken[] = {SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2};
    sigemptyset(ret);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        sigaddset(ret, taken[i]);
    }
}

/* Waits for the end of the child, and returns its exit code. A signal that the terminal sends goes
 * to the child as well, so it is not passed on. */
static int await(pid_t child, const sigset_t *taken)
{
    for (;;) {
        siginfo_t info;
        int status;
        const pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended < 0) {
            return NOT_RUN;
        }
        if (ended == child) {
            return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
        }
        if (sigwaitinfo(taken, &info) > 0 && info.si_signo != SIGCHLD && info.si_code <= 0) {
            kill(child, info.si_signo);
        }
    }
}

int exec_run(const struct exec_place *place, const char *branch, char *const argv[], int *ret_code)
{
    sigset_t taken, before;
    int fds[2];
    char word;
    if (pipe2(fds, O_CLOEXEC) < 0) {
        tally_fail("cannot make a pipe: %m");
        return -ECANCELED;
    }
    take_signals(&taken);
    sigprocmask(SIG_BLOCK, &taken, &before);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        become(place, branch, argv, fds[1], &before);
    }
    close(fds[1]);
    if (child < 0) {
        tally_fail("cannot start a process: %m");
    }
    const bool begun = child > 0 && read(fds[0], &word, 1) == 0;
    close(fds[0]);
    *ret_code = child > 0 ? await(child, &taken) : 1;
    /* The signals stay blocked: what is to be done with the branch is done, too. */
    return begun ? 0 : -ECANCELED;
}
