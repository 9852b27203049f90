// SPDX-License-Identifier: Apache-2.0
/*
 * disk_put_draft: the bytes of a file in the making: at first in memory, and in a file of the
 * scratch disk once there are more than DISK_PUT_MEMORY.
 */
#include "disk_put_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int draft_make(const char *name, struct draft **ret_draft)
{
    struct draft *w = calloc(1, sizeof *w);

    if (!w)
        return -ENOMEM;
    memcpy(w->name, name, strlen(name) + 1);
    w->refs = 1;
    mutex_init(&w->lock, "put file");
    *ret_draft = w;
    return 0;
}

void draft_free(struct draft *w)
{
    disk_file_close(w->file);
    free(w->bytes);
    mutex_destroy(&w->lock);
    free(w);
}

uint64_t draft_size(struct draft *w)
{
    MUTEX_GUARD(&w->lock);
    return w->size;
}

/* ---- writing ---- */

/* Moves the bytes into a file of the scratch disk. Needs the lock. */
static int spill(struct put_disk *d, struct draft *w)
{
    struct disk_file *f;
    int err = put_disk_scratch(d, &f);

    mutex_held(&w->lock);
    if (err < 0)
        return err;
    if (w->bytes)
        err = disk_pwrite(f, w->bytes, (size_t)w->size, 0);
    if (err < 0) {
        disk_file_close(f);
        return err;
    }
    free(w->bytes);
    w->bytes = NULL;
    w->file = f;
    return 0;
}

/* Makes sure that the draft can have `end` bytes: in memory, or in a file. Needs the lock. */
static int make_room(struct put_disk *d, struct draft *w, uint64_t end)
{
    mutex_held(&w->lock);
    if (w->file)
        return 0;
    if (end > DISK_PUT_MEMORY)
        return spill(d, w);
    if (!w->bytes)
        w->bytes = calloc(1, DISK_PUT_MEMORY);
    return w->bytes ? 0 : -ENOMEM;
}

static uint64_t bytes_of(const struct iovec *iov, int count)
{
    uint64_t n = 0;

    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    return n;
}

static void copy_in(struct draft *w, const struct iovec *iov, int count, uint64_t off)
{
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len)
            memcpy(w->bytes + off, iov[i].iov_base, iov[i].iov_len);
        off += iov[i].iov_len;
    }
}

static void note_end(struct draft *w, uint64_t end)
{
    mutex_held(&w->lock);
    if (w->size < end)
        w->size = end;
}

/* A write to the scratch file is made without the lock, so that several can run at once. Nobody
 * closes that file meanwhile, since the writer has the draft open. */
int draft_write(struct put_disk *d, struct draft *w, const struct iovec *iov, int count,
                uint64_t off)
{
    uint64_t end = off + bytes_of(iov, count);
    struct disk_file *f;
    int err;

    {
        MUTEX_GUARD(&w->lock);
        err = make_room(d, w, end);
        if (err < 0)
            return err;
        f = w->file;
        if (!f) {
            copy_in(w, iov, count, off);
            note_end(w, end);
            return 0;
        }
    }
    err = disk_pwritev(f, iov, count, off);
    if (err < 0)
        return err;
    MUTEX_GUARD(&w->lock);
    note_end(w, end);
    return 0;
}

int draft_truncate(struct put_disk *d, struct draft *w, uint64_t size)
{
    MUTEX_GUARD(&w->lock);
    int err = make_room(d, w, size);

    if (err == 0 && w->file)
        err = disk_truncate(w->file, size);
    else if (err == 0 && size < w->size)
        memset(w->bytes + size, 0, (size_t)(w->size - size));
    if (err == 0)
        w->size = size;
    return err;
}

/* ---- reading ---- */

/* Reads exactly `len` bytes that the draft has. What was never written in between is zeros. */
static int read_file(struct disk_file *f, uint8_t *buf, size_t len, uint64_t off)
{
    ssize_t n = disk_pread(f, buf, len, off);

    if (n < 0)
        return (int)n;
    memset(buf + n, 0, len - (size_t)n);
    return 0;
}

ssize_t draft_read(struct draft *w, void *buf, size_t len, uint64_t off)
{
    struct disk_file *f;
    int err;

    {
        MUTEX_GUARD(&w->lock);
        if (off >= w->size)
            return 0;
        if (len > w->size - off)
            len = (size_t)(w->size - off);
        f = w->file;
        if (!f) {
            memcpy(buf, w->bytes + off, len);
            return (ssize_t)len;
        }
    }
    err = read_file(f, buf, len, off);
    return err < 0 ? err : (ssize_t)len;
}
