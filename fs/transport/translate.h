// SPDX-License-Identifier: Apache-2.0
/*
 * translate: the kernel's requests, in the words of libfuse 3.14.
 *
 * It does not know FUSE_SETXATTR_EXT: such a request, which is longer, is made as short as it
 * expects. O_TMPFILE looks like a create, of the name "/", and wants the same answer, so it is made
 * one. Requests for a time of birth are answered here (statx.h). As every request passes by, however
 * it came, this is also where they are counted. It costs a few compares and one increment a
 * request.
 */
#pragma once

#include "mount.h"

/* O_TMPFILE: a create of this name, which no file can have. */
#define INIT_TMPFILE_NAME "/"
/* In `flags` of setxattr: an access ACL is set by who may not keep a set-gid bit. */
#define FS_XATTR_KILL_SGID (1 << 30)

/* The request `msg` of *len bytes, aligned as its header is, is changed in place. False: it is
 * answered, or will be. */
bool translate_request(struct fs *fs, void *msg, size_t *len);
/* One that is translated, for another thread to serve. */
void translate_again(const void *msg, size_t len);

/* Does the kernel say when set-id bits are to go (init.c); and does the request that this thread
 * serves say that they are? */
bool translate_tells_kill(struct fs *fs);
bool translate_asks_kill(void);
