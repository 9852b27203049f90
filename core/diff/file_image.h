// SPDX-License-Identifier: Apache-2.0
/*
 * file_image: what the bytes of a file are made of, taken from its tree in one look, so that two
 * files can be compared when the locks of their trees are free again.
 *
 *     { both locks }  file_image_load(t, ino, &in, &pair.side[s]) of both; pair.blocks, if known
 *     { no lock }     file_pair_differs(p, &pair, &interrupted)
 *     file_pair_release(p, &pair);
 *
 * An image holds its objects (refs_hold), so they are there until its release, whatever becomes of
 * the files. A sealed object never changes: of such the comparison is that of the instant of the
 * load. Bytes that are not sealed yet may be overwritten in place by a writer of the file; of such
 * the comparison is that of the moment at which they are read, as for any reader of that file.
 *
 * What is the same on both sides is not read: parts that come from one object, holes, and all that
 * is behind the last byte that either side stores. Different objects are compared by their bytes,
 * since an object that was on a shard may have an equal twin under another id.
 *
 * Errors: 0 or -errno: -E2BIG (the budget), -ENOMEM, -EUCLEAN, -EIO; of the comparison also -EINTR,
 * -EHOSTUNREACH, -EREMOTE. Memory: 40 bytes for each extent and subblock extent that is needed.
 */
#pragma once

#include "delta.h"
#include "refs.h"
#include "state.h"

/* One extent, or one subblock extent, of a file. */
struct image_part {
    uint64_t at; /* offset in the file */
    struct extent e;
    bool hold; /* the object is held */
};
struct file_image {
    uint64_t size;          /* bytes of the file */
    uint64_t object, valid; /* the base: its first `valid` bytes; 0: there is none */
    bool hold;              /* the object is held */
    struct image_part *extents, *subblocks; /* each in the order of offsets */
    size_t extent_count, extents_room, subblock_count, subblocks_room;
};
/* Two files of the same size. */
struct file_pair {
    struct file_image side[DELTA_SIDES];
    /* Offsets of the blocks that alone may differ, rising; NULL: any may. Owned. */
    uint64_t *blocks;
    size_t block_count;
};

/* Loads the image of a regular file, of which `blocks` (rising, NULL: all) are needed. *ret is zero
 * before. The caller holds the lock of the tree. After an error *ret is to be released, too. */
int file_image_load(const struct tree *t, uint64_t ino, const struct inode *in,
                    const uint64_t *blocks, size_t count, struct diff_room *room,
                    struct file_image *ret);
/* Reads `len` bytes of the block at `at`, which the file has, from an image that was loaded with
 * that block. The caller holds no lock. */
int file_image_block(struct state *p, const struct file_image *f, uint64_t at, uint8_t *buf,
                     size_t len);
/* The image of bytes that are one object. */
void file_image_of_object(struct refs *r, uint64_t object, uint64_t len, struct file_image *ret);
/* Do the files differ? 1, 0 or -errno. The caller holds no lock. */
int file_pair_differs(struct state *p, const struct file_pair *pair,
                      const _Atomic bool *interrupted);
void file_image_release(struct refs *r, struct file_image *f); /* it is empty afterwards */
void file_pair_release(struct refs *r, struct file_pair *pair);
/* Have two numbers the same bytes for certain? Numbers of one object, or of two that are absent and
 * have one SHA-256. 0 is equal to 0 alone. */
bool object_is_same(struct refs *r, uint64_t x, uint64_t y);
