// SPDX-License-Identifier: Apache-2.0
/*
 * remount: follows `mount -o remount`. The kernel keeps the options of a mount itself and sends the
 * daemon no request when they change. But poll(2) on /proc/self/mountinfo returns whenever a mount
 * changes. So a thread waits there, and then reads the line of our mount.
 *
 * Two things follow from the options: how reads move access times, and that the store is flushed
 * when the mount becomes read-only, as other filesystems do it.
 */
#pragma once

#include "mount.h"

struct remount;

/* Starts the thread, unless users see the mount in parts elsewhere (`shown_elsewhere`): then
 * the options stay those of the beginning. The session must be mounted, but need not serve requests
 * yet. If the kernel does not say which line is ours (before Linux 5.8), nothing is watched, the
 * call returns 0 and *ret_r stays as it is. -ENOMEM, or -errno of making the thread. */
int remount_start(struct fs *fs, struct remount **ret_r);
/* Ends the thread and frees `r`. NULL is fine. */
void remount_stop(struct remount *r);
/* The options as the kernel has them, such as "rw,relatime"; "" if they are not watched. Static
 * text. Any thread. */
const char *remount_state(const struct remount *r);

/* Both for bits of mount(2), of which strictatime counts before noatime, as in the kernel. How
 * reads move access times: bits of enum state_atime. Nothing moves on a read-only mount. */
unsigned remount_atime(unsigned long flags);
/* The same text as remount_state shows then. */
const char *remount_text(unsigned long flags);
