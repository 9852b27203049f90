// SPDX-License-Identifier: Apache-2.0
/*
 * packs_scan: find the records of a pack's file without any table. A record is a head with the
 * right magic, at a multiple of 8, whose checksum is right. There may be anything between two
 * records.
 */
#include "packs_impl.h"

#include <errno.h>
#include <stdlib.h>

#define WINDOW (256 * 1024) /* bytes read at once while looking for a head */
#define SECTOR 4096         /* bytes that are passed over where the disk cannot read */

struct window {
    struct disk_file *file;
    uint8_t *bytes;
    uint64_t off; /* in the file */
    size_t len;
};

/* The bytes at `off` that may be a head. NULL: the file ends before, or *ret_err. If a sector in
 * the window cannot be read, the head alone is. */
static const uint8_t *head_at(struct window *w, uint64_t off, int *ret_err)
{
    if (off < w->off || off + RECORD_HEAD > w->off + w->len) {
        ssize_t n = disk_pread(w->file, w->bytes, WINDOW, off);

        if (n == -EIO)
            n = disk_pread(w->file, w->bytes, RECORD_HEAD, off);
        if (n < 0) {
            *ret_err = (int)n;
            return NULL;
        }
        w->off = off;
        w->len = (size_t)n;
    }
    return off + RECORD_HEAD <= w->off + w->len ? w->bytes + (off - w->off) : NULL;
}

/* Try each multiple of 8 as a head. Behind a sound record the search goes on at its end. What the
 * disk cannot read is passed over, so that it hides nothing behind it. */
static int scan(struct window *w, uint64_t pack, void *buf, packs_scan_fn *fn, void *ctx)
{
    uint64_t off = FILE_HEAD;
    int err = 0, unread = 0;

    while (err == 0 && off < UINT32_MAX) {
        const uint8_t *head = head_at(w, off, &err);
        struct pack_place place = {.pack = pack, .offset = (uint32_t)off};
        struct pack_record is;

        if (err == -EIO) {
            unread = err;
            err = 0;
            off = (off / SECTOR + 1) * SECTOR;
            continue;
        }
        if (!head)
            break;
        off += 8;
        if (pack_record_decode(head, &is) < 0)
            continue;
        place.stored = is.method == PACK_ZSTD ? is.stored : 0;
        err = pack_record_read(w->file, &place, &is.id, buf, is.size);
        if (err == 0 || err == -EPROTO)
            off = place.offset + pack_record_size(is.stored);
        unread = err == -EIO ? err : unread;
        if (err == 0)
            err = fn(&is.id, &place, buf, is.size, ctx);
        else if (err == -EUCLEAN || err == -EPROTO || err == -EIO)
            err = 0;
    }
    return err < 0 ? err : unread;
}

int packs_scan(struct disk_file *file, uint64_t pack, void *buf, packs_scan_fn *fn, void *ctx)
{
    struct window w = {.file = file, .bytes = malloc(WINDOW)};
    int err = w.bytes ? scan(&w, pack, buf, fn, ctx) : -ENOMEM;

    free(w.bytes);
    return err;
}
