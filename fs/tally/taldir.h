// SPDX-License-Identifier: Apache-2.0
/*
 * taldir: the tree of `.tally` (DESIGN 3), without FUSE: its names and nodeids, attributes,
 * listings and texts. view.h makes the texts, and control.h runs the commands.
 *
 *     nodeid (namespace number ‖ number)      what it is
 *     0        ‖ 2 …                          .tally and its fixed entries
 *     0x3ffff8 ‖ counter                      export, as control
 *     0x3ffff9 ‖ counter                      import, as control
 *     0x3ffffa ‖ namespace number             snapshots/<name>; the snapshots in it have the nodes
 *                                             of their trees
 *     0x3ffffb ‖ job                          jobs/<job>
 *     0x3ffffc ‖ first byte                   objects/<ab>
 *     0x3ffffd ‖ number : 4 bit file          namespaces/<name> (file 0) and its files;
 *                                             12 to 15: directories in the namespace, see below
 *     0x3ffffe ‖ counter                      control: another one at each lookup, since a waiting
 *                                             write holds the kernel's lock of its inode
 *     0x3fffff ‖ object number                objects/<ab>/<id>; one above 42 bits is not shown
 *
 * The *door* of a namespace is the name `.tally` in its top directory: where this alone is mounted,
 * it is the way to the control file. It has the files of `.tally`, `jobs`, and in `snapshots` those
 * of this namespace alone; a directory that has two names would be one inode with two parents, so
 * the door is a node of its own (15), and so are its `jobs` (14) and `snapshots` (13).
 *
 * With the setting ns:NAME.snapdir the name `.tally-snap` in that directory has the snapshots of
 * the namespace (12), for all who can enter it. No listing shows either name. A snapshot is one
 * directory, whichever way leads to it: the kernel moves it to where it was looked up last.
 *
 * The number of an object is never given twice. That of a namespace is, after some 4 million
 * others: a file of namespaces/ that is open for so long may show another namespace.
 *
 * Errors: 0 or -errno. Threads: any. Calls that are marked W may wait: they seal files that were
 * closed before, for at most the setting view_wait.
 */
#pragma once

#include "id.h"
#include "strbuf.h"
#include "tally_node.h"
#include "vfs.h"
#include <sys/stat.h>

struct fs;
struct taldir;

enum taldir_kind {
    TALDIR_DIR,
    TALDIR_CONTROL,
    TALDIR_IMPORT,
    TALDIR_EXPORT,
    TALDIR_TEXT,  /* taldir_text */
    TALDIR_SPOOL, /* taldir_spool */
    TALDIR_OBJECT,
};

enum taldir_kind taldir_kind(uint64_t nodeid);
/* Does the node exist with the same attributes as long as the mount? True for `objects` and the
 * directories in it. */
bool taldir_is_constant(uint64_t nodeid);
/* Is it a directory of snapshots? Then its entries are nodes of the vfs: they are looked up with
 * vfs_lookup_snapshot. *ret_number (may be NULL): the number of their namespace. */
bool taldir_has_snapshots(uint64_t nodeid, uint32_t *ret_number);
/* Are moments that are held as bases of branches found there, too, by their numbers? */
bool taldir_has_bases(uint64_t nodeid);

/* Makes the tree of the mount `fs`, which must outlive it. -ENOMEM. */
int taldir_create(const struct fs *fs, struct taldir **ret_t);
void taldir_destroy(struct taldir *t); /* NULL is fine */

/* Looks a name up; ret->st_ino is its nodeid. Nothing counts lookups. W if taldir_lookup_waits().
 * The only name in VFS_ROOT is `.tally`, and in the top directory of a namespace that and
 * `.tally-snap`; the caller knows whether these are in force. -ENOENT, -ENOTDIR; -EOVERFLOW: no
 * nodeid can have the number of the object. */
int taldir_lookup(struct taldir *t, uint64_t parent, const char *name, struct stat *ret);
/* Does a lookup in this directory need a thread that may wait? */
bool taldir_lookup_waits(uint64_t parent);
/* The attributes of a node. W for objects. -ESTALE: the object is gone, or has another number
 * now. */
int taldir_getattr(struct taldir *t, uint64_t nodeid, struct stat *ret);
/* The id of the object that the node is. -EPERM: it is no object. -ESTALE: the object is gone. */
int taldir_object(struct taldir *t, uint64_t nodeid, struct id *ret);

/* Appends to *out what a TALDIR_TEXT says now. W */
int taldir_text(struct taldir *t, uint64_t nodeid, struct strbuf *out);
/* Makes an unlinked file with what a TALDIR_SPOOL says now. The caller closes it. W */
int taldir_spool(struct taldir *t, uint64_t nodeid, int *ret_fd);

/* A piece of a directory as it is now, "." and ".." included: about `most` entries behind the
 * cookie `after` (0: from the start). */
struct taldir_list;
/* W if taldir_list_waits(). The caller frees *ret_l. */
int taldir_list_new(struct taldir *t, uint64_t nodeid, uint64_t after, size_t most,
                    struct taldir_list **ret_l);
/* Does a listing of this directory need a thread that may wait? */
bool taldir_list_waits(uint64_t nodeid);
void taldir_list_free(struct taldir_list *l); /* NULL is fine */
/* The name at `index`; it is valid as long as the list. *ret gets its st_ino and type (of an object
 * all attributes), and *ret_cookie the cookie behind which the next entry is. NULL: the piece has
 * ended. */
const char *taldir_list_at(const struct taldir *t, const struct taldir_list *l, size_t index,
                           struct stat *ret, uint64_t *ret_cookie);
