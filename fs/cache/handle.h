// SPDX-License-Identifier: Apache-2.0
/*
 * handle: an open file of the mount. From the answer to OPEN to RELEASE the kernel holds the
 * handle, as fi->fh. The mount also has a list of all handles, only to release those that clients
 * still hold when it ends.
 */
#pragma once

#include "mount.h"
#include "vfs.h"

#include <stddef.h>

struct control_session;
struct export_session;
struct import;

enum handle_kind {
    HANDLE_FILE,    /* `file`: a file of a namespace, or an object */
    HANDLE_CONTROL, /* `control` */
    HANDLE_IMPORT,  /* `import` */
    HANDLE_EXPORT,  /* `export` */
    HANDLE_TEXT,    /* `text`: what the file said when it was opened */
    HANDLE_SPOOL,   /* `fd`: an unlinked file with what it said */
};

struct handle {
    enum handle_kind kind;
    bool uncached;              /* HANDLE_FILE: writes bypass the kernel's cache */
    LIST_ENTRY(handle) list;    /* guarded by: fs.handles_lock; in fs.handles */
    uint64_t backed; /* the nodeid under which passthrough.c counts it; 0: it does not */
    union {
        struct vfs_file *file;
        struct control_session *control;
        struct import *import;
        struct export_session *export;
        struct {
            char *s; /* owned */
            size_t len;
        } text;
        int fd;
    };
};

static inline struct handle *fs_handle(const struct fuse_file_info *fi)
{
    return (struct handle *)(uintptr_t)fi->fh;
}

/* Makes a handle and puts it into the mount's list. The caller sets the member that belongs to
 * `kind`. NULL: no memory. */
struct handle *handle_new(struct fs *fs, enum handle_kind kind);
/* Closes what the handle holds, and frees it. The only error is -EWOULDWAIT (nowait.h): then the
 * handle still exists. */
int handle_release(struct fs *fs, struct handle *h);
/* The same, in another thread if the calling one must not wait. For handles that no RELEASE will
 * come for. */
void handle_free(struct fs *fs, struct handle *h);
/* Frees the handle and closes nothing: for an open that failed. */
void handle_drop(struct fs *fs, struct handle *h);
/* Releases all handles that are left. Called when no thread serves requests any more. */
void handle_free_all(struct fs *fs);
