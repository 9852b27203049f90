// SPDX-License-Identifier: Apache-2.0
/*
 * message: the heads of the kernel's requests and answers (linux/fuse.h: fuse_in_header,
 * fuse_out_header), for the code that runs below libfuse.
 */
#pragma once

#include <stdint.h>

/* The opcodes of messages that have no answer. */
enum {
    MESSAGE_FORGET = 2,
    MESSAGE_INTERRUPT = 36,
    MESSAGE_NOTIFY_REPLY = 41,
    MESSAGE_BATCH_FORGET = 42,
};

struct in_header {
    uint32_t len, opcode;
    uint64_t unique, nodeid;
    uint32_t uid, gid, pid, padding;
};

struct out_header {
    uint32_t len;
    int32_t error;
    uint64_t unique;
};

_Static_assert(sizeof(struct in_header) == 40, "fuse_in_header");
_Static_assert(sizeof(struct out_header) == 16, "fuse_out_header");
