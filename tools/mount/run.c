// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include "io.h"
#include "shard.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int tally_run(char *const argv[])
{
    posix_spawn_file_actions_t silent;
    pid_t child;
    int status = 0;
    int err = posix_spawn_file_actions_init(&silent);
    for (int fd = 0; err == 0 && fd < 3; fd++) {
        err = posix_spawn_file_actions_addopen(&silent, fd, "/dev/null", O_RDWR, 0);
    }
    if (err == 0) {
        err = posix_spawnp(&child, argv[0], &silent, NULL, argv, environ);
    }
    posix_spawn_file_actions_destroy(&silent);
    if (err != 0) {
        return -err;
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

int tally_enter_mounts(const char *file)
{
    int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNS) < 0) {
        int err = errno;
        io_cleanup_close(&fd);
        errno = err;
        return -err;
    }
    close(fd);
    return 0;
}

void tally_raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void tally_end(int code)
{
    if (!shard_is_silent(NULL, NULL)) {
        exit(code);
    }
    fflush(NULL);
    _exit(code);
}
