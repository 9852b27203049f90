// SPDX-License-Identifier: Apache-2.0
#include "which_mount.h"

#include "say.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *tally_mount;

static const char *place(void)
{
    return tally_mount ? tally_mount : ".";
}

static bool is_link(const char *path)
{
    struct statx st;
    const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    return statx(AT_FDCWD, path, flags, STATX_TYPE, &st) == 0 && S_ISLNK(st.stx_mode);
}

int which_mount(struct tally_mountinfo *ret)
{
    if (!is_link(place())) {
        return mountinfo_of(place(), ret);
    }
    int fd = walk_to(place(), true);
    if (fd < 0) {
        return fd;
    }
    int err = mountinfo_of_fd(fd, ret);
    close(fd);
    return err;
}

int which_mount_fail(int err, const struct tally_mountinfo *part)
{
    if (err == -ENOTCONN || err == -ECONNABORTED) {
        return tally_fail("%s: the daemon of this mount is gone; unmount it (`tally umount MNT`), "
                          "then mount it again",
                          place());
    }
    if (err == -EREMOTE) {
        return tally_fail(
            "only %s of the mount of %s can be seen here, and not its daemon: give the "
            "command where the whole store is mounted",
            part->root + 1, part->source);
    }
    if (err != -ENOENT) {
        return tally_fail("%s: %s", place(), strerror(-err));
    }
    if (tally_mount && access(tally_mount, F_OK) < 0) {
        return tally_fail("%s: %m", tally_mount);
    }
    return tally_mount ? tally_fail("%s is not in a tally mount", tally_mount)
                       : tally_fail("the current directory is not in a tally mount; go there or "
                                    "give -C MNT");
}
