// SPDX-License-Identifier: Apache-2.0
#include "set_ids.h"

#include "notify.h"
#include "serve.h"
#include "translate.h"
#include "vfs.h"

#include <errno.h>

/* Kernels before 5.11 do not say when the bits must go. There every user but root loses them. */
bool set_ids_go(fuse_req_t req)
{
    return translate_tells_kill(fs_of(req)) ? translate_asks_kill() : fuse_req_ctx(req)->uid != 0;
}

bool set_ids_go_untold(fuse_req_t req)
{
    return translate_tells_kill(fs_of(req)) && fuse_req_ctx(req)->uid != 0;
}

bool set_ids_are(struct fs *fs, uint64_t ino)
{
    struct vfs_attr a = {0};
    if (vfs_getattr(fs->p, ino, &a) < 0 || !S_ISREG(a.mode))
        return false;
    return (a.mode & S_ISUID) != 0 || (a.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
}

int set_ids_drop(struct fs *fs, uint64_t ino)
{
    struct vfs_attr a = {0};
    if (serve_takes()) /* no other thread was available, and the kernel would ask this one */
        return -EAGAIN;
    int err = vfs_setattr(fs->p, ino, VFS_KILL_SUID, &a, &a);
    return err < 0 ? err : notify_mode(fs, ino);
}
