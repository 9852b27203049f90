// SPDX-License-Identifier: Apache-2.0
/*
 * taldir: the tree of `.tally` (DESIGN 3), without FUSE: names to nodeids, attributes, listings and
 * texts. What the files mean is view.h's and control.h's.
 *
 *     nodeid (namespace number ‖ number)      what
 *     0        ‖ 2 …                          .tally and its fixed entries
 *     0x3ffffb ‖ job                          jobs/<job>
 *     0x3ffffc ‖ first byte                   objects/<ab>
 *     0x3ffffd ‖ hash of name : 4 bit file    namespaces/<name> (file 0) and its files
 *     0x3ffffe ‖ counter                      control: another one at each lookup, since a waiting
 *                                             write holds the kernel's lock of its inode
 *     0x3fffff ‖ object number                objects/<ab>/<id>
 *
 * Errors: 0 or -errno. Threads: any. Calls marked W may wait (they seal, at most view_wait).
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
    TALDIR_TEXT,  /* taldir_text */
    TALDIR_SPOOL, /* taldir_spool */
    TALDIR_OBJECT,
};

enum taldir_kind taldir_kind(uint64_t nodeid);
/* Is it there, with these attributes, as long as the mount is: the directories of objects? */
bool taldir_is_constant(uint64_t nodeid);

int taldir_create(const struct fs *fs, struct taldir **ret_t);
void taldir_destroy(struct taldir *t); /* NULL is fine */

/* st_ino is the nodeid; counted until taldir_forget. W if taldir_lookup_waits(). In VFS_ROOT it
 * knows `.tally` alone. */
int taldir_lookup(struct taldir *t, uint64_t parent, const char *name, struct stat *ret);
bool taldir_lookup_waits(uint64_t parent);
void taldir_forget(struct taldir *t, uint64_t nodeid, uint64_t count);
/* W for objects. */
int taldir_getattr(struct taldir *t, uint64_t nodeid, struct stat *ret);
/* Which object is it? -EPERM: none. */
int taldir_object(struct taldir *t, uint64_t nodeid, struct id *ret);

/* What a text says now. W */
int taldir_text(struct taldir *t, uint64_t nodeid, struct strbuf *out);
/* A fresh unlinked file with what a big text says now; the caller closes it. W */
int taldir_spool(struct taldir *t, uint64_t nodeid, int *ret_fd);

/* A piece of a directory as it is now, "." and ".." included: about `most` entries behind the
 * cookie `after`, 0: the start. */
struct taldir_list;
/* W if taldir_list_waits(). The caller frees *ret_l. */
int taldir_list_new(struct taldir *t, uint64_t nodeid, uint64_t after, size_t most,
                    struct taldir_list **ret_l);
bool taldir_list_waits(uint64_t nodeid);
void taldir_list_free(struct taldir_list *l); /* NULL is fine */
/* The name at `index`, valid as long as the list, and what is known of it: st_ino and the type, and
 * the cookie behind which the next one is. NULL: the end of the piece. */
const char *taldir_list_at(const struct taldir *t, const struct taldir_list *l, size_t index,
                           struct stat *ret, uint64_t *ret_cookie);
/* For an object in a listing: count a lookup as taldir_lookup does. -EINVAL: not an object. */
int taldir_list_take(struct taldir *t, const struct taldir_list *l, size_t index);
