// SPDX-License-Identifier: Apache-2.0
/*
 * image: a tree of files as a stream of records, for import, export, and between stores
 * (FORMAT.md, section 18). Pure: no I/O.
 *
 *     struct image_stream s;                             who writes
 *     write(image_begin(&s, head), IMAGE_HEAD);
 *     n = image_put(&s, &record, buf);                   for each record
 *     write(buf, n); write(record.data, record.len);
 *
 *     err = image_open(&s, buf, len);                    who reads; then IMAGE_HEAD bytes are used
 *     while ((err = image_next(&s, buf, len, &used, &record)) == 0)
 *         take(&record), buf += used, len -= used;       -EAGAIN: more bytes are needed
 *
 * A record that image_next returns is right in itself, and stands at a place where it may stand: it
 * has the sum that follows from all bytes before it, contents and inodes are counted up from 1, and
 * nothing comes behind the end. What a record says of inodes and contents of the stream (is that
 * inode a directory?) is for who takes it.
 *
 * Errors: 0 or -errno. -EUCLEAN: the bytes are not what a writer makes; nothing is changed.
 */
#pragma once

#include "entry.h"
#include "item.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_HEAD 24                        /* bytes before the first record */
#define IMAGE_PIECE_MAX (1u << 20)           /* bytes of a content in one record */
#define IMAGE_LENGTH_MAX (UINT64_C(1) << 44) /* bytes of a content */
#define IMAGE_TARGET_MAX 4095                /* bytes of the target of a symlink */
#define IMAGE_LABEL_MAX 1024                 /* bytes of what a sender calls its stream */
#define IMAGE_FIXED_MAX 320                  /* bytes of a record before its `data`, at most */
#define IMAGE_RECORD_MAX (IMAGE_FIXED_MAX + IMAGE_PIECE_MAX) /* bytes of a record */
#define IMAGE_ROOT 1u /* the number of the inode that the stream is put at */

enum image_type {
    IMAGE_CONTENT = 1, /* a piece of a content */
    IMAGE_INODE,       /* an inode, or other attributes of one */
    IMAGE_ENTRY,       /* a name of an inode */
    IMAGE_XATTR,       /* an extended attribute of an inode */
    IMAGE_REMOVE,      /* a name is removed, with all that is below it */
    IMAGE_OPAQUE,      /* what was in a directory before the stream is removed */
    IMAGE_END,
    /* of a stream that one store sends to another: */
    IMAGE_BASE,   /* the first record: what the stream is a difference to */
    IMAGE_FIND,   /* an inode of the base, by a name that it has there */
    IMAGE_UNLINK, /* an inode of the base loses a name */
    IMAGE_CLEAR,  /* an inode of the base loses its extended attributes */
    IMAGE_SHARE,  /* a file gets the bytes of another one */
    IMAGE_PATCH,  /* other bytes in a file of the base */
    IMAGE_DIGEST, /* the record before the end: what all of it must be */
    IMAGE_TYPE_END
};

/* The fields that a type has are named behind it; the others are 0. */
struct image_record {
    enum image_type type;
    /* CONTENT: number of the content. END: records before it. The others that have it: number of
     * the inode. From 1. */
    uint64_t number;
    uint64_t parent; /* ENTRY, REMOVE, FIND, UNLINK: number of the directory's inode, from 1 */
    /* CONTENT: bytes of the content, 1 … IMAGE_LENGTH_MAX; of the piece. PATCH: `offset` alone */
    uint64_t length, offset;
    bool sparse; /* CONTENT: there may be holes between its pieces */
    /* INODE. `mode` has the type; rdev is of devices. */
    uint32_t mode, uid, gid, rdev;
    /* INODE, of a directory: the source says nothing of it, so the attributes are only for one that
     * was not there before the stream. */
    bool implied;
    /* INODE, of anything else: it has names beside its next one, which may come later, or may be
     * outside of the tree. Said for a program that need not note the other inodes. */
    bool several;
    int64_t mtime; /* ns since the epoch */
    uint64_t size; /* of a file and a symlink, bytes */
    /* of a file; 0: it has only a hole, or nothing. SHARE: number of the other inode */
    uint64_t content;
    /* ENTRY, REMOVE, XATTR, FIND, UNLINK: 1 … 255 bytes, borrowed, not NUL-terminated */
    const char *name;
    size_t name_len;
    /* BASE, DIGEST: SHA256_LEN bytes, the digest of a tree (digest.h), borrowed. That of a BASE is
     * all zeros if the stream is a whole tree. */
    const uint8_t *digest;
    /* CONTENT, PATCH: 1 … IMAGE_PIECE_MAX bytes. INODE: the target of a symlink. XATTR: the value.
     * BASE: what the sender calls the stream, at most IMAGE_LABEL_MAX bytes. Borrowed. */
    const void *data;
    size_t len;
};

/* Where a writer or a reader is in a stream. */
struct image_stream {
    uint64_t sum; /* of the last record; it follows from all bytes so far */
    uint64_t records;
    uint64_t contents; /* the number of the last one */
    uint64_t inodes;
    /* the last content: */
    uint64_t length; /* its length */
    uint64_t at;     /* where its last piece ends */
    bool sparse;
    bool ended;
    bool sent;      /* it begins with a BASE: only then it may have the records from BASE on */
    bool digested;  /* the last record was the DIGEST */
    uint64_t found; /* inodes by FIND: those with the numbers 2 … found + 1 */
};

/* Writes the head of a stream. */
void image_begin(struct image_stream *s, uint8_t out[IMAGE_HEAD]);
/* Writes a record except for its `data`, which follows. Returns how many bytes. The record must be
 * one that may stand here: what image_next would refuse is a program error (assert). */
size_t image_put(struct image_stream *s, const struct image_record *r,
                 uint8_t out[IMAGE_FIXED_MAX]);

/* Reads the head, the first IMAGE_HEAD bytes. -EAGAIN: there are fewer. -EUCLEAN; -EPROTO: it is of
 * a newer version. */
int image_open(struct image_stream *s, const uint8_t *buf, size_t len);
/* Reads the record that begins at `buf`; *ret_used is how many bytes it has, at most
 * IMAGE_RECORD_MAX. Its name and data are borrowed from `buf`. -EAGAIN: it is not all there.
 * -ENOENT: the stream has ended. -EUCLEAN. */
int image_next(struct image_stream *s, const uint8_t *buf, size_t len, size_t *ret_used,
               struct image_record *ret);

/* How many bytes the record has that begins with these, of which there are IMAGE_PEEK at least.
 * What it says may be wrong, but is at most IMAGE_RECORD_MAX; then image_next refuses it. */
#define IMAGE_PEEK 4
size_t image_size(const uint8_t *buf);

/* The rest of a stream that was interrupted begins with a head of its own: how many bytes came
 * before, and the sum of the record that ended there. */
#define IMAGE_REST_HEAD IMAGE_HEAD
void image_put_rest(uint64_t bytes, uint64_t sum, uint8_t out[IMAGE_REST_HEAD]);
bool image_get_rest(const uint8_t buf[IMAGE_REST_HEAD], uint64_t *ret_bytes, uint64_t *ret_sum);

/* May a stream end with these bytes? If not they are followed by others. */
bool image_may_end(const uint8_t *buf, size_t len);

/* May a file have this name? 1 … 255 bytes, without '/' and NUL, and neither "." nor "..". */
bool image_is_name(const char *name, size_t len);
