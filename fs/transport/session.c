// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* Builds the arguments for libfuse. -ENOMEM. */
static int add_options(const struct fs_options *o, struct fuse_args *args)
{
    char *source = NULL, *opts = NULL;
    int err = -ENOMEM;
    if (asprintf(&source, "fsname=%s", o->store) < 0)
        return -ENOMEM;
    /* The source is any path, so it is escaped: a comma would end the option. */
    if (fuse_opt_add_opt_escaped(&opts, source) == 0 &&
        fuse_opt_add_opt(&opts, "subtype=tally") == 0 &&
        fuse_opt_add_opt(&opts, "default_permissions") == 0 &&
        (!o->allow_other || fuse_opt_add_opt(&opts, "allow_other") == 0) &&
        (!o->extra || o->extra[0] == '\0' || fuse_opt_add_opt(&opts, o->extra) == 0) &&
        fuse_opt_add_arg(args, "tally") == 0 && fuse_opt_add_arg(args, "-o") == 0 &&
        fuse_opt_add_arg(args, opts) == 0)
        err = 0;
    free(source);
    free(opts);
    return err;
}

int session_new(struct fs *fs, const struct fuse_lowlevel_ops *ops)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int err = add_options(fs->o, &args);
    if (err == 0) {
        fs->se = fuse_session_new(&args, ops, sizeof(*ops), fs);
        err = !fs->se ? -EINVAL : 0; /* libfuse has printed which option it is */
    }
    fuse_opt_free_args(&args);
    return err;
}

#define ATTR_NOSYMFOLLOW UINT64_C(0x00200000) /* newer than some C libraries */

/* Sets the attributes of the mount that libfuse cannot set, and clears those about access times. An
 * ordinary user must not call mount_setattr. Then the attributes are left as they are: access times
 * are kept by the daemon, so the mount only shows other options. But nosymfollow protects, so
 * without it the mount fails. */
static int set_attr(const struct fs_options *o)
{
    /* libfuse has set the rest. No attribute that protects is cleared: the owner of a directory
     * above may have put another mount at this place meanwhile. */
    struct mount_attr attr = {.attr_set = o->attr, .attr_clr = MOUNT_ATTR__ATIME};
    if (mount_setattr(AT_FDCWD, o->mountpoint, AT_SYMLINK_NOFOLLOW, &attr, sizeof(attr)) == 0)
        return 0;
    if ((errno == EPERM || errno == ENOSYS) && (o->attr & ATTR_NOSYMFOLLOW) == 0)
        return 0;
    return -errno;
}

/* Closes the connection as if it were severed: in its place comes the end of a pipe that nobody
 * reads, of which poll(2) says POLLERR as it does of a severed connection. */
static void sever(struct fuse_session *se)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    close(ends[0]);
    (void)dup3(ends[1], fuse_session_fd(se), O_CLOEXEC);
    close(ends[1]);
}

void session_unmount(struct fs *fs)
{
    /* What was mounted there is not there any more if users see it elsewhere, and libfuse would
     * complain. After a severed connection it does not unmount. */
    if (fs->o->shown_elsewhere)
        sever(fs->se);
    fuse_session_unmount(fs->se);
}

int session_mount(struct fs *fs, char *why, size_t why_len)
{
    if (fuse_session_mount(fs->se, fs->o->mountpoint) != 0) {
        int err = errno > 0 ? -errno : -EIO;
        snprintf(why, why_len, "cannot mount at %s", fs->o->mountpoint);
        return err;
    }
    int err = fs->o->set_attr ? set_attr(fs->o) : 0;
    if (err < 0) {
        snprintf(why, why_len, "the kernel refuses these mount options: %s", strerror(-err));
        session_unmount(fs);
    }
    return err;
}
