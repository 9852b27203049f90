// SPDX-License-Identifier: Apache-2.0
/*
 * no_mount: why no mount was found where the user stands or points.
 */
#include "tally.h"

#include "mountinfo.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int tally_no_mount(int err, const struct tally_mountinfo *part)
{
    const char *place = tally_mount ? tally_mount : ".";
    if (err == -ENOTCONN || err == -ECONNABORTED) {
        return tally_fail("%s: the daemon of this mount is gone; unmount it (`tally umount MNT`), "
                          "then mount it again",
                          place);
    }
    if (err == -EREMOTE) {
        return tally_fail("only %s of the mount of %s can be seen here, and not its daemon: say it "
                          "where the whole is mounted",
                          part->root + 1, part->source);
    }
    if (err != -ENOENT) {
        return tally_fail("%s: %s", place, strerror(-err));
    }
    if (tally_mount && access(tally_mount, F_OK) < 0) {
        return tally_fail("%s: %m", tally_mount);
    }
    return tally_mount ? tally_fail("%s is not in a tally mount", tally_mount)
                       : tally_fail("the current directory is not in a tally mount; go there or "
                                    "say -C MNT");
}
