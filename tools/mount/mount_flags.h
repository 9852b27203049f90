// SPDX-License-Identifier: Apache-2.0
/*
 * mount_flags: the options that mount(8) knows for every filesystem and passes to mount(2), as its
 * bits (MS_RDONLY …). Of two words about one thing the last one counts; of those about access
 * times, as in the kernel, strictatime before noatime.
 *
 * `mount -o remount` can change these alone, for the kernel passes no other option on: an option
 * that a remount may change is a bit of mount(2), and stands in `words` here. If it means something
 * to the daemon, fs/remount.c reads it from mountinfo (state_of, follow). All other options are in
 * `fixed` of mount_options.h.
 */
#pragma once

#include "strbuf.h"

#include <stdbool.h>
#include <stdint.h>

/* One word more: true if it is one of them. `flags` changes, as much as the word means. */
bool mount_flags_add(unsigned long *flags, const char *word);
/* The words of `flags` that libfuse knows, "a,b", at the end of `list`. What it does without them
 * depends on who mounts. -ENOMEM */
int mount_flags_for_libfuse(unsigned long flags, struct strbuf *list);
/* "rw,relatime" and the like, exactly as remount_state() of fs/remount.h says it: a remount waits
 * until the daemon says the same. */
void mount_flags_describe(unsigned long flags, char out[64]);
/* Is anything among them that libfuse has no word for? Then the mount needs mount_flags_attr(). */
bool mount_flags_beyond_libfuse(unsigned long flags);
/* What of them belongs to a mount, and not to its superblock, as bits of mount_setattr(2). */
uint64_t mount_flags_attr(unsigned long flags);
