// SPDX-License-Identifier: Apache-2.0
/*
 * mount_flags: the options that mount(8) knows for every filesystem and passes to mount(2), as bits
 * of mount(2) (MS_RDONLY and the like). If several words are about one thing, the last one counts.
 * About access times strictatime counts before noatime, as in the kernel.
 *
 * `mount -o remount` can change these options only, since the kernel does not pass on others. So an
 * option that a remount may change is a bit of mount(2), with a word in `words` of mount_flags.c.
 * If the daemon must know of it, fs/remount.c reads it from mountinfo (flags_of, follow). All other
 * options are in `fixed` of mount_options.h.
 */
#pragma once

#include "strbuf.h"

#include <stdbool.h>
#include <stdint.h>

/* Applies one word to `flags`. False: it is none of these words. */
bool mount_flags_add(unsigned long *flags, const char *word);
/* Adds the words of `flags` that libfuse knows to `list`, as "a,b". What libfuse does without them
 * depends on the user who mounts. -ENOMEM */
int mount_flags_for_libfuse(unsigned long flags, struct strbuf *list);
/* Has libfuse no word for some of them? Then the mount needs mount_flags_attr(). */
bool mount_flags_beyond_libfuse(unsigned long flags);
/* Those that belong to the mount and not to its superblock, as bits of mount_setattr(2). */
uint64_t mount_flags_attr(unsigned long flags);
