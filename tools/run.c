// SPDX-License-Identifier: Apache-2.0
/*
 * run: mount(8), umount(8) and fusermount3(1), for what only they may or know to do; and what a
 * process that opens a store asks the machine for.
 */
#include "tally.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
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

void tally_raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}
