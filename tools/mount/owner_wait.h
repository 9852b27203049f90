// SPDX-License-Identifier: Apache-2.0
/*
 * owner_wait: waits for a daemon that is ending.
 */
#pragma once

#include "store_dir.h"

#define OWNER_PATIENCE 60      /* seconds, for a daemon that says that it is ending */
#define OWNER_PATIENCE_LAZY 10 /* seconds, for one whose mount is gone but may be in use */

/* store_dir_open(); but if the last daemon of the store is ending, it waits for that. After a
 * second it prints what it waits for. */
int owner_open(const char *path, unsigned flags, const char *purpose, const char *at,
               struct store_dir *ret, char why[STORE_WHY]);
/* Waits until there is no tally mount at `point` any more, if its daemon is ending. -EBUSY: the
 * daemon is not ending, or takes too long. */
int owner_await_unmount(const char *point);
