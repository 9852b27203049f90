// SPDX-License-Identifier: Apache-2.0
/*
 * statx: the FUSE_STATX request, which the kernel sends when a caller wants a file's time of birth.
 * libfuse up to 3.16 does not know this request. It is therefore answered below libfuse, so that
 * birth times are shown with every version of libfuse.
 */
#pragma once

#include "mount.h"
#include <sys/types.h>

/* Answer the whole request `msg` of `len` bytes. A request that may wait (for an object below
 * .tally, or for a file whose references are to be counted) is answered by a thread of defer.h,
 * any other at once. The caller holds no lock. */
void statx_answer(struct fs *fs, const void *msg, size_t len);
