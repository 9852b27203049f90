// SPDX-License-Identifier: Apache-2.0
/*
 * private_mounts: a mount namespace that only this process and its children see.
 *
 * It needs CAP_SYS_ADMIN. A process without it gets a user namespace as well, in which the kernel
 * lets it mount, and which maps its own user and group to themselves and nobody else. There set-id
 * programs and chown do nothing.
 */
#pragma once

/* Enters such a namespace. What is mounted there from now on is seen nowhere else: nothing
 * propagates, or where `/` is no mount point (in a chroot) at least not from the mount at `point`.
 * The caller has one thread; after an error it may only end. 0 or -errno; -EPERM, -ENOSPC, -EACCES:
 * the machine lets this user make no user namespace. */
int private_mounts_enter(const char *point);
