// SPDX-License-Identifier: Apache-2.0
/* vfs_types: what calls of the vfs take and return (vfs.h). */
#pragma once

#include "node.h"
#include <stddef.h>
#include <stdint.h>

struct vfs_attr {
    uint64_t nodeid;
    uint32_t generation;
    uint32_t mode, nlink, uid, gid, rdev;
    uint64_t size;                      /* bytes */
    uint64_t blocks;                    /* in units of 512 bytes */
    int64_t atime, mtime, ctime, btime; /* ns since the epoch */
};

struct vfs_cred {
    uint32_t uid, gid;
    uint32_t umask; /* removed from the mode of what is made, unless a default ACL decides it */
};

enum vfs_open_flags {
    VFS_WRITE = 1 << 0, /* may write; otherwise it only reads */
    VFS_TRUNC = 1 << 1,
    VFS_EXCL = 1 << 2, /* vfs_create: -EEXIST if the name is there */
    /* With VFS_TRUNC: the caller may not keep set-id bits. Only here the kernel leaves that to us,
     * because the truncation is part of the open. */
    VFS_OPEN_KILL_SUID = 1 << 3,
    VFS_NOATIME = 1 << 4,         /* reading through it does not change atime */
    VFS_MAY_PASSTHROUGH = 1 << 5, /* the kernel can read it by itself (passthrough_table.h) */
    VFS_PASSTHROUGH_ALL = 1 << 6, /* the same for files that may be written */
};

enum vfs_set {
    VFS_SET_MODE = 1 << 0,
    VFS_SET_UID = 1 << 1,
    VFS_SET_GID = 1 << 2,
    VFS_SET_SIZE = 1 << 3,
    VFS_SET_ATIME = 1 << 4, /* attr.atime is used */
    VFS_SET_MTIME = 1 << 5,
    VFS_SET_ATIME_NOW = 1 << 6,
    VFS_SET_MTIME_NOW = 1 << 7,
    VFS_SET_CTIME = 1 << 8,
    VFS_KILL_SUID = 1 << 9, /* removes set-uid, and set-gid if the group may execute */
};

struct vfs_passthroughs {
    size_t open;           /* inodes that are open by passthrough */
    size_t sealed_by_disk; /* those of these with fs-verity */
    size_t closed;         /* inodes that were open by passthrough and may still be mapped */
};
