// SPDX-License-Identifier: Apache-2.0
/*
 * taldir_impl: what taldir.c and taldir_list.c share.
 */
#pragma once

#include "mount.h"
#include "taldir.h"
#include "view.h"

#include <stdatomic.h>
#include <time.h>

#define INO_MASK ((UINT64_C(1) << VFS_INO_BITS) - 1)

/* Namespace numbers of the nodes of `.tally`, above VFS_NS_MAX (the table in taldir.h). */
#define NS_EXPORT 0x3ffff8u
#define NS_IMPORT 0x3ffff9u
#define NS_SNAPSHOTS 0x3ffffau
#define NS_JOB 0x3ffffbu
#define NS_PREFIX 0x3ffffcu
#define NS_NAMESPACE 0x3ffffdu
#define NS_CONTROL 0x3ffffeu
#define NS_OBJECT 0x3fffffu

/* In nodeids of NS_NAMESPACE: 0 the directory, file + 1, or a directory in the namespace itself. */
#define NS_FILE_BITS 4
#define NS_FILE_MASK ((UINT64_C(1) << NS_FILE_BITS) - 1)
#define NS_FILE_SNAPDIR UINT64_C(12)
#define NS_FILE_DOOR_SNAPSHOTS UINT64_C(13)
#define NS_FILE_DOOR_JOBS UINT64_C(14)
#define NS_FILE_DOOR UINT64_C(15)

enum taldir_ino {
    INO_STATUS = 3,
    INO_STATS,
    INO_METRICS,
    INO_REFCOUNTS,
    INO_OBJECTS,
    INO_NAMESPACES,
    INO_SNAPSHOTS,
    INO_JOBS,
    INO_NODES,
    INO_GC_HISTORY,
    INO_GHOSTS,
    INO_FLUSHES,
    /* in listings only: each lookup gives another node of NS_CONTROL, NS_IMPORT or NS_EXPORT */
    INO_CONTROL,
    INO_IMPORT,
    INO_EXPORT,
};

struct taldir_fixed {
    const char *name;
    uint64_t ino;
    enum taldir_kind kind;
};
extern const struct taldir_fixed taldir_fixed[];
extern const size_t taldir_fixed_count;

struct taldir {
    const struct fs *fs;
    uint32_t gid;          /* of the mount's owner */
    struct timespec since; /* when it was mounted: the times of all nodes */
    _Atomic uint64_t controls; /* the number of the next node of NS_CONTROL, NS_IMPORT or
                                * NS_EXPORT */
};

/* The attributes of any node but an object. */
void taldir_stat(const struct taldir *t, uint64_t nodeid, struct stat *ret);
/* The attributes of an object: st_nlink is its count of references. */
void taldir_object_stat(const struct taldir *t, const struct view_object *o, struct stat *ret);
/* Can a nodeid have the number of the object? It has 42 bits for it, and a number up to 58. So many
 * objects are never made, but a repair gives numbers above all that a damaged store names. */
static inline bool taldir_has_node(const struct view_object *o)
{
    return vfs_node_ino(o->number) == o->number;
}
/* Is it the door of a namespace, or the `jobs` in one? */
static inline bool taldir_is_door(uint64_t nodeid)
{
    return vfs_node_ns(nodeid) == NS_NAMESPACE && (nodeid & NS_FILE_MASK) == NS_FILE_DOOR;
}
static inline bool taldir_is_door_jobs(uint64_t nodeid)
{
    return vfs_node_ns(nodeid) == NS_NAMESPACE && (nodeid & NS_FILE_MASK) == NS_FILE_DOOR_JOBS;
}
/* Is it an entry of a door, too? If so it is the same node there, but for a directory. */
static inline bool taldir_in_door(const struct taldir_fixed *f)
{
    return f->kind != TALDIR_DIR || f->ino == INO_JOBS || f->ino == INO_SNAPSHOTS;
}
/* The node of the directory of a namespace, of which a node is given. */
static inline uint64_t taldir_namespace_node(uint64_t nodeid)
{
    return vfs_node(NS_NAMESPACE, (uint64_t)vfs_node_ns(nodeid) << NS_FILE_BITS);
}
/* The door of a namespace, and its directory of snapshots, of which a node is given; a directory of
 * a door, by the fixed entry that it is as. */
static inline uint64_t taldir_door(uint64_t nodeid)
{
    return taldir_namespace_node(nodeid) | NS_FILE_DOOR;
}
static inline uint64_t taldir_snapdir(uint64_t nodeid)
{
    return taldir_namespace_node(nodeid) | NS_FILE_SNAPDIR;
}
static inline uint64_t taldir_door_dir(uint64_t door, const struct taldir_fixed *f)
{
    return (door & ~NS_FILE_MASK) |
           (f->ino == INO_JOBS ? NS_FILE_DOOR_JOBS : NS_FILE_DOOR_SNAPSHOTS);
}
/* Is it the directory of snapshots in a namespace that others can read? */
static inline bool taldir_is_snapdir(uint64_t nodeid)
{
    return vfs_node_ns(nodeid) == NS_NAMESPACE && (nodeid & NS_FILE_MASK) == NS_FILE_SNAPDIR;
}
/* The top directory of the namespace that a node of NS_NAMESPACE is about. */
static inline uint64_t taldir_top_of(uint64_t nodeid)
{
    return vfs_node((uint32_t)(vfs_node_ino(nodeid) >> NS_FILE_BITS), VFS_TOP_INO);
}
