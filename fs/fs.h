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

#include "fs_options.h"

#include <stddef.h>

/* Open the store, mount it, serve until it is unmounted, close the store with everything on
 * disk. 0, or -errno with a sentence in `why`: what could not be opened or mounted, or that the
 * last flush failed. */
int fs_main(const struct fs_options *o, char *why, size_t why_len);

/* What a mount of ours does for the lower rooms; a session without a store uses it, too. */
extern const struct fs_hooks fs_hooks;
