// SPDX-License-Identifier: Apache-2.0
/* node: how a file is named by one number, and how long names may be (DESIGN 4.2). */
#pragma once

#include <stdint.h>

#define VFS_NAME_MAX 255
#define VFS_INO_BITS 42
#define VFS_NS_MAX 0x3ffff0u /* namespace numbers are 1 … this; above: the mount's own nodes */
#define VFS_ROOT UINT64_C(1)
#define VFS_TOP_INO 1 /* inode number of what stands at the root: a directory or a symlink */

static inline uint64_t vfs_node(uint32_t ns, uint64_t ino)
{
    return (uint64_t)ns << VFS_INO_BITS | ino;
}
static inline uint32_t vfs_node_ns(uint64_t node)
{
    return (uint32_t)(node >> VFS_INO_BITS);
}
static inline uint64_t vfs_node_ino(uint64_t node)
{
    return node & ((UINT64_C(1) << VFS_INO_BITS) - 1);
}
