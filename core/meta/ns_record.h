// SPDX-License-Identifier: Apache-2.0
/* ns_record: the record of one namespace in the table of namespaces (FORMAT.md, "Namespaces").
 * Threads: any. */
#pragma once

#include "item.h"
#include "node.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A namespace as it was at one moment. */
struct ns_instant {
    uint32_t ns, generation; /* ns 0: none, or not known */
    uint64_t seq;            /* number of the last change of the store at that moment */
};

/* Why a namespace is kept that is not in the root. The numbers are on disk. */
enum ns_kind {
    NS_VISIBLE,  /* it is in the root */
    NS_ORIGIN,   /* it is what a branch was made of, at that instant */
    NS_SNAPSHOT, /* somebody named that instant */
    NS_TRASH,    /* it was dropped, and can be taken back */
    NS_DRAFT,    /* somebody makes or reads it; else it goes */
    NS_POINT,    /* an archive has that instant, or is about to have it (branch/ns_point.h) */
    NS_KIND_END,
};
/* What a namespace that is not in the root has beside its other fields. */
struct ns_hidden {
    enum ns_kind kind;    /* NS_VISIBLE: it is in the root, and the other fields are 0 */
    bool held;            /* a snapshot that nothing removes */
    bool passing;         /* a snapshot that goes as the trash does */
    bool thawed;          /* in the trash: it was not frozen when it was dropped */
    struct ns_instant of; /* of which namespace, at which instant; in the trash: itself */
    int64_t since;        /* when it began to be kept, ns since the epoch */
};

/* Tagged fields at the end of a record that a version need not know, as they stand there: each is a
 * tag below 0x80, 1, a length, 2, and as many bytes; tags rise. */
struct ns_tail {
    size_t len;
    uint8_t bytes[];
};
#define NS_TAIL_MAX 4096
/* A tagged field that says the digest of the tree as it was at a change: the number of that change
 * 8, SHA-256 32 (digest/noted.h). */
#define NS_TAG_DIGEST 0x01u
/* Of a point: which segment of which archive has it (branch/ns_point.h). */
#define NS_TAG_POINT 0x02u
/* Of a namespace of a follower: which instant of an archive it is (branch/ns_followed.h). */
#define NS_TAG_FOLLOWED 0x03u

struct ns_fields {
    char name[VFS_NAME_MAX + 1];
    /* What a symlink at the top leads to; a namespace has none. ns_decode allocates it and the
     * tail, and the caller frees both (ns_fields_release). */
    char *target;
    struct ns_tail *tail; /* NULL: none */
    uint32_t generation, uid, gid;
    uint64_t root, next_ino, seq;
    /* the inode numbers from next_ino to ino_end - 1 are reserved for this namespace */
    uint64_t ino_end;
    /* `origin`: what this is a branch of. `base`: the last moment up to which both sides are
     * one. */
    struct ns_instant origin, base;
    /* Of a branch: a lower inode number stands for the same file as in its origin. 0: not known. */
    uint64_t own_ino;
    /* `time` is when it was made, `flushed` when its last flush began: ns since the epoch.
     * `flushes` counts the flushes that had changes of it. */
    int64_t time, flushed;
    uint64_t flushes;
    struct usage usage; /* what its inodes take; valid if `counted` */
    struct ns_hidden hidden;
    bool frozen, verify, branched, counted;
};
#define NS_HIDDEN_LEN 29 /* bytes of the tagged field of a hidden namespace */
#define NS_RECORD_MAX (140 + VFS_NAME_MAX + 4095 + NS_TAIL_MAX + NS_HIDDEN_LEN)
/* Encodes the record with its checksum, whose seed is the number. Returns the length, which is at
 * most NS_RECORD_MAX bytes; `out` has room for that. */
size_t ns_record_encode(uint32_t number, const struct ns_fields *f, uint8_t *out);
/* Checks the length and the checksum: -EUCLEAN: the record is damaged, or that of another
 * number. */
int ns_record_check(uint32_t number, const void *val, size_t len);
/* Decodes the fields; the checksum was checked before. -EUCLEAN: a field is out of its range, or
 * there is a flag or a tag that this version must know and does not; -ENOMEM. After an error
 * nothing is allocated. */
int ns_decode(const void *val, size_t len, struct ns_fields *ret);
/* ns_record_check and ns_decode for the row of that number. -EUCLEAN also for a number that no
 * namespace can have. */
int ns_read(uint64_t number, const void *val, size_t len, struct ns_fields *ret);
/* The bytes of a tagged field; NULL: there is none. *ret_len is their number. */
const uint8_t *ns_tail_find(const struct ns_tail *tail, unsigned tag, size_t *ret_len);
/* Makes a copy of a tail (NULL: of an empty one) with a tagged field, which takes the place of one
 * with that tag. The caller frees *ret. -ENOMEM; -ENOSPC: it would be too long. */
int ns_tail_put(const struct ns_tail *tail, unsigned tag, const void *bytes, size_t len,
                struct ns_tail **ret);
/* Frees what ns_decode has allocated. A second call is fine. */
void ns_fields_release(struct ns_fields *f);
