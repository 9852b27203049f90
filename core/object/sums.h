// SPDX-License-Identifier: Apache-2.0
/*
 * sums: one checksum per SUMS_BLOCK bytes of a slot or of an object with a file of its own.
 *
 * In memory an array; on disk the file beside the bytes with ".sums" appended: magic, version,
 * length of the data, the sums, and a checksum over all that (FORMAT.md, "Block checksums"). The
 * seed of a block's sum is its index.
 *
 * Threads: none of its own; the owner serialises changes. Reads of a finished one are free.
 */
#pragma once

#include "disk.h"

#define SUMS_BLOCK (128 * 1024) /* bytes */

struct id_sum;
struct sums {
    uint64_t *block; /* sum of each block; NULL while count is 0 */
    uint8_t *stale;  /* 1: the block changed and its sum must be made again from the bytes */
    size_t count;    /* blocks */
    size_t room;     /* blocks allocated */
    uint64_t length; /* bytes covered: the last block may be short */
    /* One block that is written piece by piece, from its start: the sum of its first so many bytes.
     * 0: there is none. */
    struct id_sum *growing;
    size_t growing_index, growing_len;
};
#define SUMS_INIT                                                                                  \
    {                                                                                              \
        0                                                                                          \
    }

void sums_release(struct sums *s);
/* Called before the bytes [off, end) change: their blocks are stale until sums_note_write. */
void sums_note_change(struct sums *s, uint64_t off, uint64_t end);
/* Bytes [off, off+len) were just written as `data`: whole blocks are summed from it, partly
 * written ones become stale, but not one to which pieces were added one behind the other from its
 * start. Grows the length. -ENOMEM, -EFBIG. */
int sums_note_write(struct sums *s, const void *data, size_t len, uint64_t off);
/* The file was cut or grown (with zeros) to `length`. -ENOMEM */
int sums_note_truncate(struct sums *s, uint64_t length);
/* Make stale sums again by reading the blocks. */
int sums_refresh(struct sums *s, struct disk_file *data);
/* Takes one whole block that was read: checks it, or sums it if it is stale. 0 or -EUCLEAN. */
int sums_take(struct sums *s, size_t index, const void *data, size_t len);
/* Check one whole block as read; `len` is SUMS_BLOCK except for the last. 0 or -EUCLEAN. Never
 * call for a stale block. */
int sums_verify(const struct sums *s, size_t index, const void *data, size_t len);

/* The name of the file of sums, "<name>.sums". -ENAMETOOLONG */
int sums_name(const char *name, char out[DISK_NAME_MAX + 1]);
/* The bytes of the file of sums; none may be stale. The caller frees them; NULL: no memory. */
uint8_t *sums_encode(const struct sums *s, size_t *ret_len);
/* Write beside `name` and sync the file (not the directory). No block may be stale. */
int sums_store(const struct sums *s, struct disk *disk, const char *name);
/* Read "<name>.sums". -ENOENT there is none, -EUCLEAN it is damaged. */
int sums_load(struct disk *disk, const char *name, struct sums *ret);
/* The same of an object's file, which has `length` bytes, and so has its file of sums. -EUCLEAN
 * also if those sums are of another length. */
int sums_load_sealed(struct disk *disk, const char *name, uint64_t length, struct sums *ret);
