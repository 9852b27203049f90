// SPDX-License-Identifier: Apache-2.0
/*
 * statx: the FUSE_STATX request, which the kernel sends when a caller wants a file's time of birth.
 * libfuse up to 3.16 does not know it; answering it below libfuse shows birth times on all.
 */
#pragma once

#include "mount.h"
#include <sys/types.h>

/* Answer the whole request `msg` of `len` bytes: at once, or, for what may wait (an object below
 * .tally, a file whose references are to be counted), in a thread of defer's. Holding nothing. */
void statx_answer(struct fs *fs, const void *msg, size_t len);
