// SPDX-License-Identifier: Apache-2.0
#include "translate.h"

#include "init.h"

#include <linux/fuse.h>
#include <string.h>

#define OPCODE_STATX 52 /* newer than the linux/fuse.h of 7.38 */
/* By how much the long form of SETXATTR is longer than the short one, which libfuse knows. */
#define SETXATTR_MORE ((uint32_t)sizeof(struct fuse_setxattr_in) - FUSE_COMPAT_SETXATTR_IN_SIZE)

static _Thread_local bool asks_kill; /* of the request that this thread serves */

bool translate_tells_kill(struct fs *fs)
{
    return (atomic_load_explicit(&fs->init_offered, memory_order_relaxed) &
            FUSE_HANDLE_KILLPRIV_V2) != 0;
}

bool translate_asks_kill(void)
{
    return asks_kill;
}

/* Does the flag in this request say that set-id bits must be cleared? */
static bool is_kill(uint32_t opcode, const void *body, size_t len)
{
    if (opcode == FUSE_WRITE && len >= sizeof(struct fuse_write_in))
        return (((const struct fuse_write_in *)body)->write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
    if (opcode == FUSE_OPEN && len >= sizeof(struct fuse_open_in))
        return (((const struct fuse_open_in *)body)->open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
    return false;
}

/* Turns an extended SETXATTR into the short form. Its one extra flag moves into `flags`, at a bit
 * that setxattr(2) does not use. */
static void shorten_setxattr(struct fuse_in_header *in, size_t *len)
{
    char *body = (char *)(in + 1);
    struct fuse_setxattr_in x;
    if (*len < sizeof(*in) + sizeof(x))
        return;
    memcpy(&x, body, sizeof(x));
    if ((x.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0)
        x.flags |= FS_XATTR_KILL_SGID;
    memcpy(body, &x, FUSE_COMPAT_SETXATTR_IN_SIZE);
    memmove(body + FUSE_COMPAT_SETXATTR_IN_SIZE, body + sizeof(x), *len - sizeof(*in) - sizeof(x));
    in->len -= SETXATTR_MORE;
    *len -= SETXATTR_MORE;
}

void translate_again(const void *msg, size_t len)
{
    const struct fuse_in_header *in = msg;
    asks_kill = is_kill(in->opcode, in + 1, len - sizeof(*in));
}

bool translate_request(struct fs *fs, void *msg, size_t *len)
{
    struct fuse_in_header *in = msg;

    requests_count(&fs->requests, in->opcode);
    if (in->opcode == OPCODE_STATX && fs->p) { /* without a store: libfuse refuses it */
        fs->hooks->statx(fs, msg, *len);
        return false;
    }
    translate_again(msg, *len);
    if (in->opcode == FUSE_TMPFILE)
        in->opcode = FUSE_CREATE;
    if (in->opcode == FUSE_SETXATTR && (atomic_load(&fs->init_offered) & FUSE_SETXATTR_EXT) != 0)
        shorten_setxattr(in, len);
    return true;
}
