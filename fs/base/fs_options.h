// SPDX-License-Identifier: Apache-2.0
/*
 * fs_options: what a mount is asked for. Whoever starts it fills one (fs.h), and it stays as it is.
 */
#pragma once

#include "store.h"
#include <stdbool.h>
#include <stdint.h>

/* How requests come: io_uring where it can be had, else by threads that read the device; only
 * io_uring; only threads. */
enum fs_transport { FS_TRANSPORT_AUTO, FS_TRANSPORT_URING, FS_TRANSPORT_THREADS };

/* Which files the kernel reads by itself, where it can: those that nobody may write; all large
 * sealed ones; none. */
enum fs_passthrough { FS_PASSTHROUGH_AUTO, FS_PASSTHROUGH_ALL, FS_PASSTHROUGH_OFF };

struct fs_options {
    struct state_config state;     /* disk and kv stay the caller's, open until fs_main returned */
    const char *store;             /* directory of the store; shown as the mount's source */
    const char *mountpoint;        /* absolute */
    unsigned ctl_mode;             /* permission bits of .tally/control, such as 0600 */
    uint32_t ctl_gid;              /* its group, if has_ctl_gid */
    bool has_ctl_gid;
    bool showctl;             /* list .tally in the root */
    bool noxattr;             /* the kernel is to ask for no extended attributes or ACLs */
    bool nlink_refs;          /* st_nlink counts the other references of a file's object, too */
    enum fs_transport transport;
    unsigned threads;         /* that read the device, without io_uring; 0: as many as suit */
    enum fs_passthrough passthrough;
    bool allow_other;         /* other users than the mount's owner may enter */
    const char *extra;        /* comma-separated options for libfuse, or NULL */
    bool set_attr;            /* the mount gets `attr`, which libfuse cannot say */
    uint64_t attr;            /* MOUNT_ATTR_…: all of the mount's own */
    void (*ready)(void *ctx); /* called once, from any thread: mounted and answering; or NULL */
    void (*ending)(void *ctx);    /* called once, from any thread: it will end; or NULL */
    void (*unmounted)(void *ctx); /* called once if it was mounted, when it is no more; or NULL */
    void *ctx;
};
