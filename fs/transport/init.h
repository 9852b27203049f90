// SPDX-License-Identifier: Apache-2.0
/*
 * init: the INIT request, by which the kernel and the daemon agree on the protocol, and the hook
 * through which libfuse reads and writes all messages.
 */
#pragma once

#include "mount.h"

/* Flags in `flags2` of INIT that are newer than the linux/fuse.h of 7.38. */
#define INIT2_DIRECT_IO_MMAP (1u << 4)
#define INIT2_PASSTHROUGH (1u << 5)
#define INIT2_OVER_IO_URING (1u << 9)

/* The operation INIT of libfuse: chooses among the features that the kernel offers. */
void init_op(void *userdata, struct fuse_conn_info *conn);
/* Puts the hook below libfuse: from here on libfuse reads and writes through init.c. The session
 * must be mounted. 0 or -errno. */
int init_hook(struct fs *fs);
