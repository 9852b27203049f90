// SPDX-License-Identifier: Apache-2.0
/*
 * fs: the FUSE edge. It translates requests into calls of vfs.h, view.h and control.h and sends
 * their answers; it decides nothing.
 *
 *     fill struct fs_options, open the disk and the kv, then fs_main()
 *
 * fs_main() starts threads, so a program that runs in the background forks before the call, and its
 * `ready` reports to the parent. ending.h says how a mount ends, by a signal or otherwise.
 */
#pragma once

#include "fs_options.h"

#include <stddef.h>

/* Opens the store, mounts it, serves until it is unmounted, makes everything durable, and closes
 * the store. It blocks until then. 0, or -errno with a sentence in `why`: what could not be opened
 * or mounted, or what failed at the end (store_close_told). `o` must stay valid until the call
 * returns. */
int fs_main(const struct fs_options *o, char *why, size_t why_len);

/* The functions of struct fs_hooks. A session without a store (tests/bench/floor.c) uses them,
 * too. */
extern const struct fs_hooks fs_hooks;
