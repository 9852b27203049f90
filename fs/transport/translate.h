// SPDX-License-Identifier: Apache-2.0
/*
 * translate: changes requests of the kernel into the form that libfuse 3.14 knows.
 *
 *   - SETXATTR: with FUSE_SETXATTR_EXT the request is longer than libfuse expects. It is shortened.
 *   - O_TMPFILE: the request looks like a CREATE of the name "/", and its answer is the same. It is
 *     turned into a CREATE.
 *   - STATX, which asks for a time of birth, is answered here (statx.h).
 *
 * Every request passes here, however it came, so this is also where requests are counted. The cost
 * is a few comparisons and one increment a request.
 */
#pragma once

#include "mount.h"

/* The name in the CREATE that an O_TMPFILE becomes. No file can have this name. */
#define INIT_TMPFILE_NAME "/"
/* In `flags` of setxattr: the client sets an access ACL, and may not keep a set-gid bit. */
#define FS_XATTR_KILL_SGID (1 << 30)

/* Translates the request `msg` of *len bytes in place; both may change. `msg` is aligned as its
 * head is. False: the request is answered, or another thread will answer it. */
bool translate_request(struct fs *fs, void *msg, size_t *len);
/* Notes for the calling thread what the message, which is translated already, says of set-id bits.
 * For a thread that serves a request which another one has translated. */
void translate_again(const void *msg, size_t len);

/* Does the kernel say when set-id bits must be cleared (HANDLE_KILLPRIV_V2, init.c)? */
bool translate_tells_kill(struct fs *fs);
/* Does the request that the calling thread serves say so? */
bool translate_asks_kill(void);
