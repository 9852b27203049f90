// SPDX-License-Identifier: Apache-2.0
/*
 * fs_options: the options of a mount. The caller of fs_main (fs.h) fills the struct. It does not
 * change while the mount lasts.
 */
#pragma once

#include "store.h"
#include <stdbool.h>
#include <stdint.h>

/* How requests reach the daemon. AUTO: by io_uring if it is available, else by threads that read
 * the device. URING: by io_uring, or the mount fails. THREADS: by threads. */
enum fs_transport { FS_TRANSPORT_AUTO, FS_TRANSPORT_URING, FS_TRANSPORT_THREADS };

/* Which files the kernel may read by itself. AUTO: files that no user may write. ALL: all large
 * sealed files. OFF: none. */
enum fs_passthrough { FS_PASSTHROUGH_AUTO, FS_PASSTHROUGH_ALL, FS_PASSTHROUGH_OFF };

struct fs_options {
    const char *follow_url;    /* with state.follow: what the store must follow; NULL: anything */
    struct state_config state; /* the caller owns disk and kv; open until fs_main returns */
    const char *store;         /* directory of the store; shown as the mount's source */
    const char *mountpoint;    /* absolute path where the session is mounted */
    bool shown_elsewhere;      /* once it is ready others mount parts of it elsewhere, and
                                      unmount `mountpoint` */
    unsigned ctl_mode;         /* permission bits of .tally/control, such as 0600 */
    uint32_t ctl_gid;          /* the group of .tally/control, if has_ctl_gid */
    bool has_ctl_gid;
    bool showctl;    /* list .tally in the root */
    bool nocontrol;  /* no .tally in the top directories of namespaces */
    bool noxattr;    /* answer all requests about extended attributes with ENOSYS */
    bool nlink_refs; /* st_nlink counts the other references of a file's object, too */
    enum fs_transport transport;
    unsigned threads; /* how many read the device, without io_uring; 0: automatic */
    enum fs_passthrough passthrough;
    bool allow_other;  /* other users than the mount's owner may enter */
    const char *extra; /* comma-separated options for libfuse, or NULL */
    bool set_attr;     /* set `attr` by mount_setattr(2), since libfuse cannot */
    uint64_t attr;     /* bits MOUNT_ATTR_…: all attributes that the mount is to have */
    /* Each of these is called once, from any thread, and may be NULL: */
    void (*ready)(void *ctx);     /* the mount serves requests */
    void (*ending)(void *ctx);    /* the mount begins to end */
    void (*unmounted)(void *ctx); /* the mount is gone; not called if there was none */
    void *ctx;                    /* given to them */
};
