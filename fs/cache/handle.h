// SPDX-License-Identifier: Apache-2.0
/*
 * handle: what an open file of the mount is to us. A handle is owned by fi->fh from the reply of
 * open to release; the mount keeps a list of all of them only to release what clients still hold
 * when it ends.
 */
#pragma once

#include "mount.h"
#include "vfs.h"

#include <stddef.h>

struct control_session;

enum handle_kind {
    HANDLE_FILE,    /* file: of a namespace, or an object */
    HANDLE_CONTROL, /* control */
    HANDLE_TEXT,    /* text: rendered when it was opened */
    HANDLE_SPOOL,   /* fd: an unlinked file */
};

struct handle {
    enum handle_kind kind;
    bool uncached;              /* HANDLE_FILE: what is written goes past the kernel's cache */
    struct handle *prev, *next; /* in fs.handles */
    uint64_t backed; /* the nodeid that it counts for in passthrough.c; 0: none */
    union {
        struct vfs_file *file;
        struct control_session *control;
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

/* A handle in the mount's list; its kind and member are the caller's to fill. NULL: no memory. */
struct handle *handle_new(struct fs *fs, enum handle_kind kind);
/* Close what it holds and free it; -EWOULDWAIT (nowait.h): nothing of it is done. */
int handle_release(struct fs *fs, struct handle *h);
/* The same, if need be by another thread; no request stands for it. */
void handle_free(struct fs *fs, struct handle *h);
/* Free without closing anything: the open failed. */
void handle_drop(struct fs *fs, struct handle *h);
void handle_free_all(struct fs *fs);
