// SPDX-License-Identifier: Apache-2.0
/*
 * init: what the kernel and we agree on at the start of a mount.
 */
#pragma once

#include "mount.h"

/* Flags of INIT, from the kernel's fuse.h, as far as they are looked at. */
#define INIT_PARALLEL_DIROPS (1u << 18)
#define INIT_KILLPRIV_V2 (1u << 28)
#define INIT_SETXATTR_EXT (1u << 29)
#define INIT_EXT (1u << 30)
#define INIT2_DIRECT_IO_MMAP (1u << 4)
#define INIT2_PASSTHROUGH (1u << 5)
#define INIT2_OVER_IO_URING (1u << 9)

void init_op(void *userdata, struct fuse_conn_info *conn);
/* Puts the hook below libfuse. The session must be mounted. */
int init_hook(struct fs *fs);
