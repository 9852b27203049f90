// SPDX-License-Identifier: Apache-2.0
/*
 * verdict: how one inode of side A and one of side B, of the same type, differ for whoever looks at
 * the files. It is found in two steps: under the locks of both trees what they say, and then, with
 * no lock, the bytes that have to be compared.
 *
 *     { both locks }  verdict_begin(&sides, &v);
 *     { no lock }     verdict_end(p, &v, &interrupted);
 *     verdict_release(refs, &v);
 *
 * ctime, atime, birth, link count and how bytes are stored are no difference. The time of a
 * directory is none if names in it differ, or if it is that of the last change of the directory;
 * nor is that of a file if its bytes differ: these follow.
 *
 * Errors as of file_image.h. Bytes that cannot be read count as different (`unread`).
 */
#pragma once

#include "file_image.h"

/* Attributes that differ, as bits. */
enum diff_attr {
    DIFF_MODE = 1 << 0,  /* permission bits */
    DIFF_OWNER = 1 << 1, /* user or group */
    DIFF_TIMES = 1 << 2, /* time of modification */
    DIFF_XATTR = 1 << 3, /* extended attributes */
    DIFF_ACL = 1 << 4,   /* access control lists */
};

/* The two inodes. */
struct verdict_sides {
    const struct tree *tree[DELTA_SIDES];
    uint64_t ino[DELTA_SIDES];
    struct inode at[DELTA_SIDES];
    /* The record, if both are one file and the record says what of it may differ; else NULL. */
    const struct delta_inode *record;
    const uint64_t *blocks; /* those of `record` */
    struct diff_room *room;
};

/* Bytes that are still to be compared. */
struct verdict_ask {
    unsigned attr; /* of enum diff_attr: what differs if they do; 0: the content */
    struct file_pair pair;
};
struct verdict {
    unsigned attrs; /* of enum diff_attr */
    bool modified;  /* the content differs */
    bool unread;    /* that is so because its bytes could not be read */
    struct verdict_ask *asks;
    size_t count, room;
};

/* *ret is zero before. After an error it is to be released, too. */
int verdict_begin(const struct verdict_sides *s, struct verdict *ret);
int verdict_end(struct state *p, struct verdict *v, const _Atomic bool *interrupted);
void verdict_release(struct refs *r, struct verdict *v);
