// SPDX-License-Identifier: Apache-2.0
/*
 * rados_impl: an open pool of RADOS, and what the files of the driver "rados:" share. Private to
 * core/engine.
 *
 * Three namespaces belong to a shard: NAMESPACE, NAMESPACE.pieces and NAMESPACE.writes.
 *
 *     NAME in NAMESPACE                       the file; or its head, if it is long: it has no bytes
 *                                             but the attribute tally.pieces (struct rados_pieces)
 *     NAME/TOKEN/INDEX in NAMESPACE.pieces    the pieces of a long file
 *     NAME/TOKEN/COUNT in NAMESPACE.writes    says that these pieces are being written or removed
 *
 * A file and a piece have the attribute tally.sum: XXH64 of the bytes, little-endian. It is written
 * in the same operation as the bytes.
 */
#pragma once

#include "engine_pieces.h"
#include "lock.h"
#include "rados_lib.h"
#include "rados_url.h"

#define RADOS_WHOLE_MOST (16u << 20) /* bytes of a file; a longer one has pieces */
#define RADOS_PIECE (8u << 20)       /* bytes of a piece; the last one may be shorter */
#define RADOS_NAME_MAX 2047          /* bytes of a name in RADOS */
#define RADOS_KNOWN 64

/* Of a long file. */
struct rados_pieces {
    uint64_t size;  /* bytes of the file */
    uint32_t piece; /* bytes of a piece; 0: it is no long file */
    uint64_t token; /* names the pieces of this put */
    uint64_t sum;   /* tally.sum of the object itself */
    bool summed;    /* it has one */
};

struct rados {
    struct shard base;
    const struct rados_lib *lib;
    struct rados_url url;
    rados_t cluster;
    rados_ioctx_t files, pieces, writes; /* one for each namespace */
    struct pieces_room room;
    struct mutex lock; /* "rados", a leaf; guards all fields below */
    bool cleaned;      /* the pieces of dead processes were removed */
    struct {           /* long files that were read lately */
        char name[DISK_NAME_MAX + 1];
        struct rados_pieces pieces;
    } known[RADOS_KNOWN];
    unsigned next; /* place in `known` that is overwritten next */
};

/* ---- rados_object.c: single objects. Errors are those of shard.h ---- */

int rados_told(int err); /* an error of librados as shard.h has it */
/* Writes an object with all its bytes and its sum. `p` (NULL: none) becomes its tally.pieces. */
int rados_object_put(const struct rados *r, rados_ioctx_t io, const char *name, const void *data,
                     size_t len, const struct rados_pieces *p, bool replace);
/* Reads bytes; fewer than `len` only at the end. *ret_pieces gets its tally.pieces. */
ssize_t rados_object_read(const struct rados *r, rados_ioctx_t io, const char *name, void *buf,
                          size_t len, uint64_t off, struct rados_pieces *ret_pieces);
/* The size of the object itself, and its age in seconds by this machine's clock (may be NULL). */
int rados_object_stat(const struct rados *r, rados_ioctx_t io, const char *name, uint64_t *ret_size,
                      int64_t *ret_age, struct rados_pieces *ret_pieces);
int rados_object_remove(const struct rados *r, rados_ioctx_t io, const char *name);
/* Has an OSD compare the bytes of an object with tally.sum, as shard_verify. *ret_pieces gets its
 * tally.pieces. */
int rados_object_verify(const struct rados *r, rados_ioctx_t io, const char *name,
                        struct rados_pieces *ret_pieces);

/* Reads tally.pieces from the attributes that a read operation has got, and frees these. */
void rados_attributes_read(const struct rados *r, rados_xattrs_iter_t attributes,
                           struct rados_pieces *ret);

/* ---- rados_long.c: long files ---- */

/* Puts a file in pieces, and then its head, if nothing has the name: else -EEXIST. */
int rados_long_put(struct rados *r, const char *name, const struct shard_source *source);
/* As shard_range, of a file of which `p` says what it consists of. -ENOENT: a piece is missing,
 * because the file was removed or replaced meanwhile. */
ssize_t rados_long_read(struct rados *r, const char *name, const struct rados_pieces *p, void *buf,
                        size_t len, uint64_t off);
/* As shard_verify, of all pieces. */
int rados_long_verify(struct rados *r, const char *name, const struct rados_pieces *p);
/* Removes the head, and then the pieces. */
int rados_long_remove(struct rados *r, const char *name, const struct rados_pieces *p);

/* ---- rados_list.c ---- */

int rados_list(struct shard *shard, const char *dir, shard_list_fn *fn, void *ctx);
/* Calls `fn` with each name in a namespace, and the size 0. */
int rados_each(const struct rados *r, rados_ioctx_t io, shard_list_fn *fn, void *ctx);
