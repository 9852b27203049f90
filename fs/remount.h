// SPDX-License-Identifier: Apache-2.0
/*
 * remount: what `mount -o remount` changed. The kernel keeps the options of a mount and does not
 * tell us of new ones, whoever sets them; but /proc/self/mountinfo says that something was mounted
 * otherwise. So one thread waits for that and looks at the line of our mount.
 *
 * What it means to us: access times; and a mount that became read-only is flushed, as other
 * filesystems do it.
 */
#pragma once

#include "mount.h"

struct remount;

/* The mount answers. Where the kernel says too little (before Linux 5.8) nothing is watched, which
 * is no error: *ret is NULL then. -errno of making a thread. */
int remount_start(struct fs *fs, struct remount **ret_r);
/* Ends the thread and frees. NULL is fine. */
void remount_stop(struct remount *r);
/* "rw,relatime", as the kernel has it; "" if it is not watched. Static. */
const char *remount_state(const struct remount *r);
