// SPDX-License-Identifier: Apache-2.0
/*
 * tally_node: is a node, or a name, one of `.tally`? Every operation asks this first. taldir.h says
 * what the numbers mean.
 */
#pragma once

#include "vfs.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FS_TALLY_NAME ".tally"
#define FS_SNAPDIR_NAME ".tally-snap"
#define TALDIR_ROOT UINT64_C(2)

/* Numbers above those of all namespaces, and those of namespace 0 except 1, the mount root. */
static inline bool taldir_owns(uint64_t nodeid)
{
    return vfs_node_ns(nodeid) > VFS_NS_MAX || (nodeid < UINT64_C(1) << VFS_INO_BITS && nodeid > 1);
}

/* Is it the name `.tally` in the mount root? */
static inline bool fs_is_tally(uint64_t parent, const char *name)
{
    return parent == VFS_ROOT && name[0] == '.' && strcmp(name, FS_TALLY_NAME) == 0;
}

/* Is it that name in the top directory of a namespace? */
static inline bool fs_is_at_top(uint64_t parent, const char *name, const char *wanted)
{
    return name[0] == '.' && vfs_node_ino(parent) == VFS_TOP_INO && parent != VFS_ROOT &&
           !taldir_owns(parent) && strcmp(name, wanted) == 0;
}

/* Is it `.tally` there? It is the door of the namespace (taldir.h), unless the namespace has a file
 * of that name. */
static inline bool fs_is_door(uint64_t parent, const char *name)
{
    return fs_is_at_top(parent, name, FS_TALLY_NAME);
}

/* Is it `.tally-snap` there? With the setting ns:NAME.snapdir it has the snapshots of the
 * namespace, unless the namespace has a file of that name. */
static inline bool fs_is_snapdir(uint64_t parent, const char *name)
{
    return fs_is_at_top(parent, name, FS_SNAPDIR_NAME);
}
