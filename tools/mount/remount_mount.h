// SPDX-License-Identifier: Apache-2.0
/*
 * remount_mount: `mount -o remount`: what a mount(2) can change of a mount that is there.
 */
#pragma once

#include "mount_options.h"

/* The mount at `mnt` gets these options. What becomes read-only is drained before. The exit code; a
 * sentence was said. */
int remount(const char *mnt, const struct mount_options *o);
