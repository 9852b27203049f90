// SPDX-License-Identifier: Apache-2.0
/*
 * sums: an array of block checksums that is kept up to date during writes.
 *
 * A block that is written whole is summed from the data at hand. A block that is written in part
 * becomes stale; it is read and summed once, when the sums are needed, however often it changed
 * before. One exception: if a file is written from start to end in small pieces, the sum of the
 * present block grows with them.
 *
 *     file: magic u64 | version u32 | block size u32 | length u64 | count u64
 *           | count × sum u64 | checksum u64 of all before                    (little-endian)
 */
#include "sums.h"

#include "bytes.h"
#include "id.h"
#include "io.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUMS_MAGIC UINT64_C(0x534d5553594c4154) /* "TALYSUMS" */
#define SUMS_VERSION 1
#define SUMS_HEAD 32
#define SUMS_TAIL 8
/* 16 TiB, which are 1 GiB of sums. It limits how much memory a damaged file can make us
 * allocate. */
#define SUMS_LENGTH_MAX (UINT64_C(1) << 44)

/* The number of blocks of a file with that length. */
static size_t blocks_of(uint64_t length)
{
    return (size_t)((length + SUMS_BLOCK - 1) / SUMS_BLOCK);
}

/* Bytes of block `index`: SUMS_BLOCK except for the last. */
static size_t block_len(const struct sums *s, size_t index)
{
    uint64_t left = s->length - (uint64_t)index * SUMS_BLOCK;

    return left < SUMS_BLOCK ? (size_t)left : SUMS_BLOCK;
}

void sums_release(struct sums *s)
{
    free(s->block);
    free(s->stale);
    id_sum_destroy(s->growing);
    *s = (struct sums)SUMS_INIT;
}

/* Make room for `count` blocks. After a failure both arrays still fit the old `room`. */
static int reserve(struct sums *s, size_t count)
{
    if (count <= s->room)
        return 0;
    size_t room = s->room * 2 > count ? s->room * 2 : count;
    uint64_t *block = realloc(s->block, room * sizeof *block);

    if (!block)
        return -ENOMEM;
    s->block = block;
    uint8_t *stale = realloc(s->stale, room);

    if (!stale)
        return -ENOMEM;
    s->stale = stale;
    s->room = room;
    return 0;
}

/* ---- the block that grows ---- */

/* Called before the bytes [off, end) change: the growing sum is dropped if it has any of them. */
static void growing_spare(struct sums *s, uint64_t off, uint64_t end)
{
    uint64_t start = (uint64_t)s->growing_index * SUMS_BLOCK;

    if (off < start + s->growing_len && end > start)
        s->growing_len = 0;
}

/* Adds a part of block `index`, which is stale, to the growing sum, if it continues it. Without
 * memory the block stays stale. */
static void growing_add(struct sums *s, size_t index, const void *data, size_t len, size_t within)
{
    if (within == 0) {
        if (!s->growing && !(s->growing = id_sum_create()))
            return;
        id_sum_restart(s->growing, index);
        s->growing_index = index;
        s->growing_len = 0;
    }
    if (index != s->growing_index || within != s->growing_len)
        return;
    id_sum_add(s->growing, data, len);
    s->growing_len += len;
}

/* If the growing sum has all of block `index`, it becomes the sum of the block. */
static bool growing_take(struct sums *s, size_t index)
{
    if (!s->growing_len || index != s->growing_index || s->growing_len != block_len(s, index))
        return false;
    s->block[index] = id_sum_end(s->growing);
    s->stale[index] = 0;
    return true;
}

/* ---- following changes ---- */

int sums_note_truncate(struct sums *s, uint64_t length)
{
    if (length > SUMS_LENGTH_MAX)
        return -EFBIG;
    if (length == s->length)
        return 0;
    size_t count = blocks_of(length);
    int err = reserve(s, count);

    if (err)
        return err;
    /* The block at the smaller end changed its length; all after it are new. */
    uint64_t kept = length < s->length ? length : s->length;

    growing_spare(s, kept, UINT64_MAX);
    for (size_t i = (size_t)(kept / SUMS_BLOCK); i < count; i++)
        s->stale[i] = 1;
    s->count = count;
    s->length = length;
    return 0;
}

void sums_note_change(struct sums *s, uint64_t off, uint64_t end)
{
    growing_spare(s, off, end);
    for (uint64_t i = off / SUMS_BLOCK; i * SUMS_BLOCK < end; i++)
        s->stale[i] = 1;
}

/* Notes the part of block `index` that lies in a write of `data` to [off, end). */
static void note_part(struct sums *s, size_t index, const char *data, uint64_t off, uint64_t end)
{
    uint64_t start = (uint64_t)index * SUMS_BLOCK, stop = start + SUMS_BLOCK;
    uint64_t from = off > start ? off : start, to = end < stop ? end : stop;

    growing_add(s, index, data + (from - off), (size_t)(to - from), (size_t)(from - start));
    (void)growing_take(s, index);
}

int sums_note_write(struct sums *s, const void *data, size_t len, uint64_t off)
{
    if (off > SUMS_LENGTH_MAX || len > SUMS_LENGTH_MAX - off)
        return -EFBIG;
    if (len == 0)
        return 0;
    uint64_t end = off + len;

    if (end > s->length) {
        int err = sums_note_truncate(s, end);

        if (err)
            return err;
    }
    growing_spare(s, off, end);
    for (size_t i = (size_t)(off / SUMS_BLOCK); i < blocks_of(end); i++) {
        uint64_t start = (uint64_t)i * SUMS_BLOCK;

        s->stale[i] = start < off || start + SUMS_BLOCK > end;
        if (s->stale[i])
            note_part(s, i, data, off, end);
        else
            s->block[i] = id_checksum((const char *)data + (start - off), SUMS_BLOCK, i);
    }
    return 0;
}

int sums_refresh(struct sums *s, struct disk_file *data)
{
    CLEANUP_FREE void *buf = NULL;

    for (size_t i = 0; i < s->count; i++) {
        if (!s->stale[i] || growing_take(s, i))
            continue;
        if (!buf && !(buf = malloc(SUMS_BLOCK)))
            return -ENOMEM;
        size_t len = block_len(s, i);
        ssize_t n = disk_pread(data, buf, len, (uint64_t)i * SUMS_BLOCK);

        if (n < 0)
            return (int)n;
        if ((size_t)n != len)
            return -EUCLEAN;
        s->block[i] = id_checksum(buf, len, i);
        s->stale[i] = 0;
    }
    return 0;
}

int sums_take(struct sums *s, size_t index, const void *data, size_t len)
{
    if (index >= s->count || len != block_len(s, index))
        return -EUCLEAN;
    if (!s->stale[index])
        return sums_verify(s, index, data, len);
    s->block[index] = id_checksum(data, len, index);
    s->stale[index] = 0;
    return 0;
}

int sums_verify(const struct sums *s, size_t index, const void *data, size_t len)
{
    if (index >= s->count || len != block_len(s, index))
        return -EUCLEAN;
    return id_checksum(data, len, index) == s->block[index] ? 0 : -EUCLEAN;
}

int sums_name(const char *name, char out[DISK_NAME_MAX + 1])
{
    int n = snprintf(out, DISK_NAME_MAX + 1, "%s.sums", name);

    return n < 0 || n > DISK_NAME_MAX ? -ENAMETOOLONG : 0;
}

uint8_t *sums_encode(const struct sums *s, size_t *ret_len)
{
    size_t body = SUMS_HEAD + s->count * 8;
    uint8_t *p = malloc(body + SUMS_TAIL);

    if (!p)
        return NULL;
    put_le64(p, SUMS_MAGIC);
    put_le32(p + 8, SUMS_VERSION);
    put_le32(p + 12, SUMS_BLOCK);
    put_le64(p + 16, s->length);
    put_le64(p + 24, s->count);
    for (size_t i = 0; i < s->count; i++)
        put_le64(p + SUMS_HEAD + i * 8, s->block[i]);
    put_le64(p + body, id_checksum(p, body, 0));
    *ret_len = body + SUMS_TAIL;
    return p;
}

/* Write a file of sums, durably but for its name. A file that could not be written completely is
 * deleted. */
static int write_file(struct disk *disk, const char *name, const void *bytes, size_t len)
{
    struct disk_file *f;
    int err = disk_open(disk, name, DISK_WRITE | DISK_CREATE, &f);

    if (err)
        return err;
    err = disk_pwrite(f, bytes, len, 0);
    if (err == 0)
        err = disk_sync(f);
    disk_file_close(f);
    if (err)
        (void)disk_unlink(disk, name); /* a part of a file is of no use */
    return err;
}

int sums_store(const struct sums *s, struct disk *disk, const char *name)
{
    char file[DISK_NAME_MAX + 1];
    size_t len;
    int err = sums_name(name, file);

    if (err)
        return err;
    for (size_t i = 0; i < s->count; i++)
        if (s->stale[i])
            return -EINVAL;
    CLEANUP_FREE uint8_t *bytes = sums_encode(s, &len);

    if (!bytes)
        return -ENOMEM;
    err = disk_unlink(disk, file);
    if (err && err != -ENOENT)
        return err;
    return write_file(disk, file, bytes, len);
}

/* Decodes a file of sums. Every field is checked before it is used. */
static int decode(const uint8_t *p, size_t len, struct sums *ret)
{
    struct sums s = SUMS_INIT;
    size_t body = len - SUMS_TAIL;

    if (get_le64(p + body) != id_checksum(p, body, 0))
        return -EUCLEAN;
    if (get_le64(p) != SUMS_MAGIC || get_le32(p + 8) != SUMS_VERSION ||
        get_le32(p + 12) != SUMS_BLOCK)
        return -EUCLEAN;
    uint64_t length = get_le64(p + 16), count = get_le64(p + 24);

    if (length > SUMS_LENGTH_MAX || count != blocks_of(length) || body != SUMS_HEAD + count * 8)
        return -EUCLEAN;
    int err = sums_note_truncate(&s, length);

    if (err) {
        sums_release(&s);
        return err;
    }
    for (size_t i = 0; i < s.count; i++) {
        s.block[i] = get_le64(p + SUMS_HEAD + i * 8);
        s.stale[i] = 0;
    }
    *ret = s;
    return 0;
}

/* Read a file of sums whole. Its size is checked before memory is allocated for it. */
static int read_file(struct disk_file *f, uint8_t **ret_bytes, size_t *ret_len)
{
    struct disk_stat st;
    int err = disk_fstat(f, &st);

    if (err)
        return err;
    if (st.size < SUMS_HEAD + SUMS_TAIL ||
        st.size > SUMS_HEAD + SUMS_TAIL + SUMS_LENGTH_MAX / SUMS_BLOCK * 8)
        return -EUCLEAN;
    uint8_t *bytes = malloc(st.size);

    if (!bytes)
        return -ENOMEM;
    ssize_t n = disk_pread(f, bytes, st.size, 0);

    if (n < 0 || (uint64_t)n != st.size) {
        free(bytes);
        return n < 0 ? (int)n : -EUCLEAN;
    }
    *ret_bytes = bytes;
    *ret_len = st.size;
    return 0;
}

/* `size`: of the file of sums, if it is known. */
static int load(struct disk *disk, const char *name, uint64_t size, struct sums *ret)
{
    char file[DISK_NAME_MAX + 1];
    CLEANUP_FREE uint8_t *bytes = NULL;
    struct disk_file *f;
    size_t len = 0;
    int err = sums_name(name, file);

    if (err)
        return err;
    err = size == UINT64_MAX ? disk_open(disk, file, DISK_READ, &f)
                             : disk_open_sized(disk, file, size, DISK_READ, &f);
    if (err)
        return err;
    err = read_file(f, &bytes, &len);
    disk_file_close(f);
    return err ? err : decode(bytes, len, ret);
}

int sums_load(struct disk *disk, const char *name, struct sums *ret)
{
    return load(disk, name, UINT64_MAX, ret);
}

int sums_load_sealed(struct disk *disk, const char *name, uint64_t length, struct sums *ret)
{
    int err = load(disk, name, SUMS_HEAD + blocks_of(length) * 8 + SUMS_TAIL, ret);

    if (err == 0 && ret->length != length) {
        sums_release(ret);
        err = -EUCLEAN;
    }
    return err;
}
