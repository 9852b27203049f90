// SPDX-License-Identifier: Apache-2.0
#include "translate.h"

#include "init.h"
#include "message.h"

#include <string.h>

/* From linux/fuse.h: the parts that are used here. */
#define OPCODE_OPEN 14
#define OPCODE_WRITE 16
#define OPCODE_SETXATTR 21
#define OPCODE_CREATE 35
#define OPCODE_TMPFILE 51
#define OPCODE_STATX 52

#define OPEN_KILL_SUIDGID (1u << 0)
struct open_in {
    uint32_t flags, open_flags;
};

#define WRITE_KILL_SUIDGID (1u << 2)
struct write_in {
    uint64_t fh, offset;
    uint32_t size, write_flags;
};

#define SETXATTR_ACL_KILL_SGID 1u
struct setxattr_in {
    uint32_t size, flags;             /* the short form, which libfuse knows */
    uint32_t setxattr_flags, padding; /* only with SETXATTR_EXT */
};
#define SETXATTR_SHORT 8u
#define SETXATTR_MORE 8u

_Static_assert(sizeof(struct setxattr_in) == SETXATTR_SHORT + SETXATTR_MORE, "fuse_setxattr_in");

static _Thread_local bool asks_kill; /* of the request that this thread serves */

bool translate_tells_kill(struct fs *fs)
{
    return (atomic_load_explicit(&fs->init_offered, memory_order_relaxed) & INIT_KILLPRIV_V2) != 0;
}

bool translate_asks_kill(void)
{
    return asks_kill;
}

/* Does the flag in this request say that set-id bits must be cleared? */
static bool is_kill(uint32_t opcode, const void *body, size_t len)
{
    if (opcode == OPCODE_WRITE && len >= sizeof(struct write_in))
        return (((const struct write_in *)body)->write_flags & WRITE_KILL_SUIDGID) != 0;
    if (opcode == OPCODE_OPEN && len >= sizeof(struct open_in))
        return (((const struct open_in *)body)->open_flags & OPEN_KILL_SUIDGID) != 0;
    return false;
}

/* Turns an extended SETXATTR into the short form. Its one extra flag moves into `flags`, at a bit
 * that setxattr(2) does not use. */
static void shorten_setxattr(struct in_header *in, size_t *len)
{
    char *body = (char *)(in + 1);
    struct setxattr_in x;
    if (*len < sizeof(*in) + sizeof(x))
        return;
    memcpy(&x, body, sizeof(x));
    if ((x.setxattr_flags & SETXATTR_ACL_KILL_SGID) != 0)
        x.flags |= FS_XATTR_KILL_SGID;
    memcpy(body, &x, SETXATTR_SHORT);
    memmove(body + SETXATTR_SHORT, body + sizeof(x), *len - sizeof(*in) - sizeof(x));
    in->len -= SETXATTR_MORE;
    *len -= SETXATTR_MORE;
}

void translate_again(const void *msg, size_t len)
{
    const struct in_header *in = msg;
    asks_kill = is_kill(in->opcode, in + 1, len - sizeof(*in));
}

bool translate_request(struct fs *fs, void *msg, size_t *len)
{
    struct in_header *in = msg;

    requests_count(&fs->requests, in->opcode);
    if (in->opcode == OPCODE_STATX && fs->p) { /* without a store: libfuse refuses it */
        fs->hooks->statx(fs, msg, *len);
        return false;
    }
    translate_again(msg, *len);
    if (in->opcode == OPCODE_TMPFILE)
        in->opcode = OPCODE_CREATE;
    if (in->opcode == OPCODE_SETXATTR && (atomic_load(&fs->init_offered) & INIT_SETXATTR_EXT) != 0)
        shorten_setxattr(in, len);
    return true;
}
