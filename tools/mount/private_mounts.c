// SPDX-License-Identifier: Apache-2.0
#include "private_mounts.h"

#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* Writes a text into a file of /proc/self in one piece. */
static int write_self(const char *file, const char *text)
{
    CLEANUP_CLOSE int fd = open(file, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Maps that user and that group to themselves. The kernel lets an ordinary user map his group only
 * after he has given up setgroups(2). */
static int map_self(uid_t uid, gid_t gid)
{
    char line[64];
    int err = write_self("/proc/self/setgroups", "deny");
    if (err < 0 && err != -ENOENT) {
        return err;
    }
    snprintf(line, sizeof(line), "%u %u 1\n", (unsigned)uid, (unsigned)uid);
    err = write_self("/proc/self/uid_map", line);
    if (err < 0) {
        return err;
    }
    snprintf(line, sizeof(line), "%u %u 1\n", (unsigned)gid, (unsigned)gid);
    return write_self("/proc/self/gid_map", line);
}

int private_mounts_enter(const char *point)
{
    const uid_t uid = geteuid();
    const gid_t gid = getegid();
    int err = unshare(CLONE_NEWNS) < 0 ? -errno : 0;
    if (err == -EPERM) {
        err = unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? -errno : map_self(uid, gid);
    }
    if (err < 0) {
        return err;
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0) {
        return 0;
    }
    return errno == EINVAL && mount(NULL, point, NULL, MS_PRIVATE, NULL) == 0 ? 0 : -errno;
}
