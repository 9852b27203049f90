// SPDX-License-Identifier: Apache-2.0
#include "ahead.h"

#include "handle.h"
#include "message.h"
#include "notify.h"
#include "passthrough.h"
#include "tally_node.h"

#include <fcntl.h>
#include <string.h>

/* From the kernel's fuse.h, as far as it is looked at. */
enum opcode {
    OP_LOOKUP = 1,
    OP_GETATTR = 3,
    OP_SETATTR = 4,
    OP_SYMLINK = 6,
    OP_MKNOD = 8,
    OP_MKDIR = 9,
    OP_UNLINK = 10,
    OP_RMDIR = 11,
    OP_RENAME = 12,
    OP_LINK = 13,
    OP_OPEN = 14,
    OP_READ = 15,
    OP_WRITE = 16,
    OP_RELEASE = 18,
    OP_SETXATTR = 21,
    OP_GETXATTR = 22,
    OP_REMOVEXATTR = 24,
    OP_CREATE = 35,
    OP_FALLOCATE = 43,
    OP_RENAME2 = 45,
    OP_COPY_FILE_RANGE = 47,
    OP_TMPFILE = 51,
};

#define VALID_SIZE (1u << 3) /* in the first word of a SETATTR */

/* One of the first words behind the head; 0: there is none. */
static uint64_t word(const void *msg, size_t len, size_t bytes)
{
    uint64_t v = 0;
    if (len >= sizeof(struct in_header) + bytes)
        memcpy(&v, (const struct in_header *)msg + 1, bytes); /* little-endian, as its machine is */
    return v;
}

/* Does its answer tell what a file has become when it is sealed, which may have to be done first?
 * With nlink=refs attributes do (a STATX goes its own way). */
static bool seals(const struct fs *fs, uint32_t opcode, uint32_t pid)
{
    if (!fs->o->nlink_refs)
        return false;
    if (opcode == OP_GETATTR) /* such a one of our own a worker may wait for */
        return !notify_is_own(fs, pid);
    return opcode == OP_LOOKUP || opcode == OP_SETATTR ||
           opcode == OP_LINK || opcode == OP_CREATE;
}

/* Is it a change? */
static bool changes(uint32_t opcode, uint64_t first)
{
    switch (opcode) {
    case OP_SETATTR:
    case OP_SYMLINK:
    case OP_MKNOD:
    case OP_MKDIR:
    case OP_UNLINK:
    case OP_RMDIR:
    case OP_RENAME:
    case OP_LINK:
    case OP_WRITE:
    case OP_RELEASE:
    case OP_SETXATTR:
    case OP_REMOVEXATTR:
    case OP_CREATE:
    case OP_FALLOCATE:
    case OP_RENAME2:
    case OP_COPY_FILE_RANGE:
    case OP_TMPFILE:
        return true;
    case OP_OPEN:
        return ((uint32_t)first & O_TRUNC) != 0;
    default:
        return false;
    }
}

/* Might it have to wait until the kernel itself has done with a file, or read all of one? */
static bool is_slow(struct fs *fs, uint32_t opcode, uint64_t nodeid, uint32_t first)
{
    if (taldir_owns(nodeid))
        return false;
    if (opcode == OP_SETATTR && (first & VALID_SIZE) != 0)
        return vfs_open_is_work(fs->p, nodeid, VFS_WRITE);
    if (opcode != OP_OPEN)
        return false;
    const bool changes = (first & O_ACCMODE) != O_RDONLY || (first & O_TRUNC) != 0;
    return vfs_open_is_work(fs->p, nodeid, changes ? VFS_WRITE : passthrough_flags(fs));
}

/* Does it have to move bytes, or might it? */
static bool is_work(struct fs *fs, uint32_t opcode, uint64_t nodeid, uint64_t first)
{
    const struct handle *h = (const struct handle *)(uintptr_t)first;
    if (opcode == OP_RELEASE)
        return h != NULL && h->kind == HANDLE_FILE && vfs_release_is_work(h->file);
    if ((opcode == OP_SETATTR && ((uint32_t)first & VALID_SIZE) != 0) || opcode == OP_OPEN)
        return !taldir_owns(nodeid) && vfs_cut_is_work(fs->p, nodeid);
    return false;
}

/* How the kernel's READ and WRITE begin. */
struct io_in {
    uint64_t fh, off;
    uint32_t size;
};

/* Does it read from another shard, or might it? That one may be slow. */
static bool is_far(struct fs *fs, uint32_t opcode, const void *msg, size_t len)
{
    struct io_in io;
    if (opcode != OP_READ && opcode != OP_WRITE && opcode != OP_GETXATTR &&
        opcode != OP_FALLOCATE)
        return false;
    if (!vfs_has_ghosts(fs->p))
        return false;
    if (opcode == OP_GETXATTR || opcode == OP_FALLOCATE ||
        len < sizeof(struct in_header) + sizeof(io))
        return true;
    memcpy(&io, (const struct in_header *)msg + 1, sizeof(io));
    const struct handle *h = (const struct handle *)(uintptr_t)io.fh;
    if (h == NULL || h->kind != HANDLE_FILE)
        return false;
    return opcode == OP_READ ? vfs_read_is_work(h->file, io.off, io.size)
                             : vfs_write_is_work(h->file, io.off, io.size);
}

bool ahead_begin(struct fs *fs, const void *msg, size_t len)
{
    struct in_header in;
    if (fs->p == NULL) /* session.h */
        return true;
    memcpy(&in, msg, sizeof(in));
    if (is_far(fs, in.opcode, msg, len) || seals(fs, in.opcode, in.pid))
        return false;
    const uint64_t first = word(msg, len, in.opcode == OP_RELEASE ? 8 : 4);
    if (is_slow(fs, in.opcode, in.nodeid, (uint32_t)first))
        return false;
    if (!changes(in.opcode, first))
        return true;
    return !is_work(fs, in.opcode, in.nodeid, first) && vfs_ahead(fs->p, len);
}

void ahead_end(void)
{
    vfs_ahead_end();
}
