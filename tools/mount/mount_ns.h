// SPDX-License-Identifier: Apache-2.0
/*
 * mount_ns: `tally mount` where a mount is one of several of a store: of one namespace (the option
 * ns=), or of the whole while namespaces are mounted.
 *
 * If a daemon serves the store already, mount_ns_join adds a mount to it. Else a daemon begins, and
 * serves at a place of mount_ns_hide, which only root can enter. Before, it starts a process by
 * mount_ns_start. When the daemon is ready this process puts the namespace where it is to be seen,
 * and takes the place away. So no mount of the whole is left, whoever is killed or interrupted
 * meanwhile, and the daemon ends with the last mount that somebody sees.
 */
#pragma once

#include "mount_options.h"

#include <limits.h>
#include <stdbool.h>

struct mount_ns {
    const char *store; /* absolute path */
    const char *at;    /* the mount point, an absolute path without symlinks */
    bool create;       /* a namespace that is missing is made */
    bool in_group;     /* the process stays in the caller's process group (an automounter's) */
    const struct mount_options *options;
};

/* Adds the mount if a daemon serves the store. False: none does; or one does, and the whole, which
 * is to be mounted, is mounted. Else *ret_rc is the exit code, after a sentence if that is not
 * 0. */
bool mount_ns_join(const struct mount_ns *a, int *ret_rc);
/* Another process was faster to become the owner of the store. Waits until its mount can be seen,
 * for a minute at most. False: there is no such process, or its mounts are not seen here, or it was
 * unmounted and goes on, for which the caller has waited (owner_wait.h). */
bool mount_ns_await(const struct mount_ns *a);

#define MOUNT_NS_PLACE 64 /* bytes of a path of mount_ns_hide */

/* Makes the place, an empty directory. 0 or -errno. */
int mount_ns_hide(char place[MOUNT_NS_PLACE]);
/* Unmounts the place, and removes it. A daemon that no other mount leads to ends. */
void mount_ns_unhide(const char *place);

#define MOUNT_NS_SHOWN '\0' /* the namespace is mounted */
#define MOUNT_NS_SAID '\1'  /* it is not, and a sentence was printed */

/* Starts the process. The caller has one thread and will be the daemon. When it is ready it writes
 * a NUL byte to *ret_ready, and then the process writes one of the bytes above to `result`. If the
 * caller closes *ret_ready without that, the place is only taken away. The process has no terminal
 * unless it stays in the group, nobody has to wait for it, and `result` is closed at its end in any
 * case. 0 or -errno. */
int mount_ns_start(const struct mount_ns *a, const char *place, int result, int *ret_ready);
