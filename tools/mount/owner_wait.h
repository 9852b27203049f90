// SPDX-License-Identifier: Apache-2.0
/*
 * owner_wait: waiting for a daemon that is ending.
 */
#pragma once

#include "store_dir.h"

#define OWNER_PATIENCE 60      /* seconds for one that says that it ends */
#define OWNER_PATIENCE_LAZY 10 /* and for one whose mount is gone, but which may still be in use */

/* store_dir_open(), after the last daemon of the store has ended if it is ending. After a second a
 * sentence on standard error says what is waited for. */
int owner_open(const char *path, unsigned flags, const char *purpose, const char *at,
               struct store_dir *ret, char why[STORE_WHY]);
/* Waits until nothing of ours is mounted at `point` any more, if its daemon is ending. -EBUSY: it
 * is not, or takes too long. */
int owner_await_unmount(const char *point);
