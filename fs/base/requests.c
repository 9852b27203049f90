// SPDX-License-Identifier: Apache-2.0
/*
 * requests: an array of counters, and the names of the opcodes without the kernel's prefix FUSE_.
 * The names are written here, since the header of the machine that builds may be older than the
 * kernel that sends the requests.
 */
#include "requests.h"

static const char *const names[REQUESTS_KINDS] = {
    [0] = "OTHER",         [1] = "LOOKUP",
    [2] = "FORGET",        [3] = "GETATTR",
    [4] = "SETATTR",       [5] = "READLINK",
    [6] = "SYMLINK",       [8] = "MKNOD",
    [9] = "MKDIR",         [10] = "UNLINK",
    [11] = "RMDIR",        [12] = "RENAME",
    [13] = "LINK",         [14] = "OPEN",
    [15] = "READ",         [16] = "WRITE",
    [17] = "STATFS",       [18] = "RELEASE",
    [20] = "FSYNC",        [21] = "SETXATTR",
    [22] = "GETXATTR",     [23] = "LISTXATTR",
    [24] = "REMOVEXATTR",  [25] = "FLUSH",
    [26] = "INIT",         [27] = "OPENDIR",
    [28] = "READDIR",      [29] = "RELEASEDIR",
    [30] = "FSYNCDIR",     [31] = "GETLK",
    [32] = "SETLK",        [33] = "SETLKW",
    [34] = "ACCESS",       [35] = "CREATE",
    [36] = "INTERRUPT",    [37] = "BMAP",
    [38] = "DESTROY",      [39] = "IOCTL",
    [40] = "POLL",         [41] = "NOTIFY_REPLY",
    [42] = "BATCH_FORGET", [43] = "FALLOCATE",
    [44] = "READDIRPLUS",  [45] = "RENAME2",
    [46] = "LSEEK",        [47] = "COPY_FILE_RANGE",
    [48] = "SETUPMAPPING", [49] = "REMOVEMAPPING",
    [50] = "SYNCFS",       [51] = "TMPFILE",
    [52] = "STATX",        [53] = "COPY_FILE_RANGE_64",
};

void requests_count(struct requests *r, uint32_t opcode)
{
    const bool known = opcode < REQUESTS_KINDS && names[opcode];
    atomic_fetch_add_explicit(&r->of[known ? opcode : 0], 1, memory_order_relaxed);
}

const char *const *requests_names(void)
{
    return names;
}

const char *requests_name(uint32_t opcode)
{
    return opcode < REQUESTS_KINDS && names[opcode] ? names[opcode] : names[0];
}

size_t requests_list(const struct requests *r, struct view_count ret[static REQUESTS_KINDS])
{
    size_t n = 0;
    for (size_t i = 0; i < REQUESTS_KINDS; i++) {
        const uint64_t count = atomic_load_explicit(&r->of[i], memory_order_relaxed);
        if (count > 0)
            ret[n++] = (struct view_count){.name = names[i], .count = count};
    }
    return n;
}
