// SPDX-License-Identifier: Apache-2.0
/*
 * fs: the FUSE edge. It translates requests into calls of vfs.h, view.h and control.h and sends
 * their answers; it decides nothing.
 *
 *     fill struct fs_options, open the disk and the kv, then fs_main()
 *
 * fs_main() starts threads, so a program that wants to live in the background forks before it and
 * lets `ready` tell the parent. How a mount ends, by signals or without: ending.h.
 */
#pragma once

#include "project.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How requests come: io_uring where it can be had, else by threads that read the device; only
 * io_uring; only threads. */
enum fs_transport { FS_TRANSPORT_AUTO, FS_TRANSPORT_URING, FS_TRANSPORT_THREADS };

/* Which files the kernel reads by itself, where it can: those that nobody may write; all large
 * sealed ones; none. */
enum fs_passthrough { FS_PASSTHROUGH_AUTO, FS_PASSTHROUGH_ALL, FS_PASSTHROUGH_OFF };

struct fs_options {
    struct project_config project; /* disk and kv stay the caller's, open until fs_main returned */
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

/* Open the project, mount it, serve until it is unmounted, close the project with everything on
 * disk. 0, or -errno with a sentence in `why`: what could not be opened or mounted, or that the
 * last flush failed. */
int fs_main(const struct fs_options *o, char *why, size_t why_len);
