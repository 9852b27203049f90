// SPDX-License-Identifier: Apache-2.0
/* ns_record: what the table of namespaces says of one (FORMAT.md, "Namespaces"). */
#pragma once

#include "item.h"
#include "node.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An instant of a namespace. */
struct ns_instant {
    uint32_t ns, generation; /* ns 0: none, or not known */
    uint64_t seq;            /* of the last change of the store that it has */
};

struct ns_fields {
    char name[VFS_NAME_MAX + 1];
    char *target; /* malloc'd or NULL */
    uint32_t generation, uid, gid;
    uint64_t root, next_ino, seq;
    uint64_t ino_end; /* numbers of inodes from next_ino to before that are its own */
    struct ns_instant origin, base; /* whose branch it is; up to where both sides are one */
    uint64_t own_ino; /* of a branch: numbers below that say the same file in its origin; 0: none */
    int64_t time, flushed;
    uint64_t flushes;
    struct usage usage; /* of its inodes, if it is `counted` */
    bool frozen, verify, branched, counted;
};
#define NS_RECORD_MAX (152 + VFS_NAME_MAX + 4096)
/* Returns the length; at most NS_RECORD_MAX bytes. */
size_t ns_record_encode(uint32_t number, const struct ns_fields *f, uint8_t *out);
/* 0 or -EUCLEAN: is the record whole, and that of this number? check uses both, too. */
int ns_record_check(uint32_t number, const void *val, size_t len);
int ns_decode(const void *val, size_t len, struct ns_fields *ret);
/* Both: the row of that number. -EUCLEAN also of a number that no namespace has, -ENOMEM. */
int ns_read(uint64_t number, const void *val, size_t len, struct ns_fields *ret);
