// SPDX-License-Identifier: Apache-2.0
/*
 * save_bytes: the bytes of the present inode, as pieces of a content, or of a file that the base
 * has as a patch; and which contents the stream has by now.
 */
#include "save_impl.h"
#include "array.h"
#include <errno.h>
#include <string.h>

/* ---- which contents the stream has ---- */

/* The object that a content is known by; 0: it is made of several. */
static uint64_t object_of(struct save *s, const struct inode *in)
{
    return in->object && !(in->flags & (INODE_EXTENTS | INODE_HOLES))
               ? refs_resolve(s->p->refs, in->object)
               : 0;
}

uint64_t save_find_known(struct save *s)
{
    const struct inode *in = &s->now.in;
    uint64_t object = object_of(s, in), at = 0;
    const struct save_known *k;

    if (!object || !map64_get(&s->known, object, &at))
        return 0;
    k = &s->contents[at - 1];
    if (k->size != in->size || k->valid != in->valid || (k->passing && s->stage != STAGE_NEW))
        return 0;
    return k->number;
}

int save_note_known(struct save *s, const struct inode *in, uint64_t number, bool passing)
{
    const struct save_known k = {number, in->size, in->valid, passing};
    uint64_t object = object_of(s, in), at = 0;
    int err = 0;

    if (!object || s->contents_count >= SAVE_KNOWN_MAX)
        return 0;
    if (map64_get(&s->known, object, &at)) {
        if (s->contents[at - 1].passing)
            s->contents[at - 1] = k;
        return 0;
    }
    err = ARRAY_RESERVE(s->contents, s->contents_room, s->contents_count + 1);
    if (err == 0)
        err = map64_put(&s->known, object, s->contents_count + 1);
    if (err == 0)
        s->contents[s->contents_count++] = k;
    return err;
}

/* ---- pieces ---- */

/* Is the file all data from the beginning to the end? *ret_none: it has no data. */
static int look_for_holes(struct save *s, bool *ret_none)
{
    struct save_now *n = &s->now;
    int64_t data = vfs_seek(n->file, 0, true), hole;

    *ret_none = data == -ENXIO;
    if (data < 0)
        return data == -ENXIO ? 0 : (int)data;
    hole = vfs_seek(n->file, 0, false);
    if (hole < 0)
        return (int)hole;
    n->sparse = n->seek = data > 0 || (uint64_t)hole < n->attr.size;
    return 0;
}

int save_open_bytes(struct save *s)
{
    struct save_now *n = &s->now;
    bool none = false;
    int err = vfs_open(s->p, n->attr.nodeid, VFS_NOATIME, &n->file);

    if (err < 0)
        return err;
    n->at = 0;
    n->end = n->attr.size;
    if (n->blocks)
        return vfs_open(s->p, vfs_node(s->base->number, n->ino), VFS_NOATIME, &n->was);
    if (n->in.flags & (INODE_EXTENTS | INODE_HOLES))
        err = look_for_holes(s, &none);
    else
        n->end = n->in.valid;
    if (s->for_program && n->end < n->attr.size)
        n->sparse = true;
    if (err < 0 || none || n->end == 0) {
        save_close_bytes(s);
        return err;
    }
    n->content = s->stream.contents + 1;
    return 0;
}

void save_close_bytes(struct save *s)
{
    if (s->now.file)
        (void)vfs_release(s->now.file); /* who saves may wait, and that is its only error */
    if (s->now.was)
        (void)vfs_release(s->now.was);
    s->now.file = s->now.was = NULL;
}

/* Reads up to `len` bytes, fewer at the end of the file. */
static ssize_t read_some(struct vfs_file *f, uint8_t *buf, uint64_t at, size_t len)
{
    size_t done = 0;
    ssize_t n = 1;

    while (done < len && n > 0) {
        n = vfs_read(f, buf + done, len - done, at + done);
        done += n > 0 ? (size_t)n : 0;
    }
    return n < 0 ? n : (ssize_t)done;
}

/* Reads exactly `len` bytes of the present inode. */
static int read_all(struct save *s, uint64_t at, size_t len)
{
    ssize_t n = read_some(s->now.file, s->piece, at, len);

    return n < 0 ? (int)n : (size_t)n < len ? -EIO : 0;
}

/* Finds where the next piece is. -ENOENT: there is none. */
static int find_piece(struct save *s, uint64_t *ret_at, size_t *ret_len)
{
    struct save_now *n = &s->now;
    uint64_t end = n->end;

    if (n->seek) {
        int64_t data = vfs_seek(n->file, n->at, true);
        int64_t hole = data < 0 ? data : vfs_seek(n->file, (uint64_t)data, false);

        if (hole < 0)
            return hole == -ENXIO ? -ENOENT : (int)hole;
        n->at = (uint64_t)data;
        end = (uint64_t)hole;
    }
    if (n->at >= end)
        return -ENOENT;
    *ret_at = n->at;
    *ret_len = end - n->at < IMAGE_PIECE_MAX ? (size_t)(end - n->at) : IMAGE_PIECE_MAX;
    return 0;
}

/* The end of the pages from `at` on that differ from what `was` has; of equal ones if not `differ`.
 * Both are of `len` bytes, at the beginning of a page. */
static size_t end_of_run(const uint8_t *is, const uint8_t *was, size_t at, size_t len, bool differ)
{
    while (at < len) {
        size_t n = len - at < FILE_PAGE ? len - at : FILE_PAGE;

        if ((memcmp(is + at, was + at, n) != 0) != differ)
            break;
        at += n;
    }
    return at;
}

/* The pages of a block that differ. `was` is what the base has there, with zeros behind its end. */
static int put_patches(struct save *s, const uint8_t *was, uint64_t off, size_t len)
{
    size_t at = end_of_run(s->piece, was, 0, len, false), end;
    int err = 0;

    for (; err == 0 && at < len; at = end_of_run(s->piece, was, end, len, false)) {
        end = end_of_run(s->piece, was, at, len, true);
        err = save_put(s, &(struct image_record){.type = IMAGE_PATCH,
                                                 .number = s->now.number,
                                                 .offset = off + at,
                                                 .data = s->piece + at,
                                                 .len = end - at});
    }
    return err;
}

int save_next_patch(struct save *s)
{
    struct save_now *n = &s->now;
    uint8_t *was = s->piece + EXTENT_BLOCK;
    uint64_t at = n->block_count ? *n->blocks : 0;
    size_t len;
    ssize_t had;
    int err;

    if (n->block_count == 0)
        return -ENOENT;
    n->blocks++;
    n->block_count--;
    if (at >= n->end)
        return 0;
    len = n->end - at < EXTENT_BLOCK ? (size_t)(n->end - at) : EXTENT_BLOCK;
    err = read_all(s, at, len);
    had = err < 0 ? err : read_some(n->was, was, at, len);
    if (had < 0)
        return (int)had;
    memset(was + had, 0, len - (size_t)had);
    return put_patches(s, was, at, len);
}

int save_next_piece(struct save *s)
{
    struct save_now *n = &s->now;
    uint64_t at = 0;
    size_t len = 0;
    int err = find_piece(s, &at, &len);

    if (err == 0)
        err = read_all(s, at, len);
    if (err < 0)
        return err;
    n->at = at + len;
    return save_put(s, &(struct image_record){.type = IMAGE_CONTENT,
                                              .number = n->content,
                                              .length = n->attr.size,
                                              .offset = at,
                                              .sparse = n->sparse,
                                              .data = s->piece,
                                              .len = len});
}
