// SPDX-License-Identifier: Apache-2.0
/* node: the nodeid, one number that names a file (DESIGN 4.4), and the longest name. */
#pragma once

#include <stdint.h>

#define VFS_NAME_MAX 255
#define VFS_INO_BITS 42
#define VFS_NS_MAX 0x3ffff0u /* namespaces are 1 … this; above are the mount's own nodes */
#define VFS_ROOT UINT64_C(1)
#define VFS_TOP_INO 1 /* inode number of a namespace's top directory, or of a symlink in the root */

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
