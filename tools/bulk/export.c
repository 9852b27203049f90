// SPDX-License-Identifier: Apache-2.0
#include "export.h"

#include "io.h"
#include "source_stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE (1u << 20)

_Static_assert(EXPORT_WHY == SOURCE_WALK_WHY, "one sentence is copied to the other");

int export_fail(struct export *e, int err, const char *path, const char *what)
{
    snprintf(e->why, sizeof(e->why), "%s: %s: %s", *path ? path : "the directory", what,
             strerror(-err));
    return err;
}

static int put_range(const struct source_file *f, uint64_t from, uint64_t end, export_data_fn *fn,
                     void *ctx)
{
    static uint8_t piece[PIECE];
    int err = 0;
    while (err == 0 && from < end) {
        size_t want = end - from < PIECE ? (size_t)(end - from) : PIECE;
        ssize_t n = io_pread(f->fd, piece, want, from);
        if (n <= 0) {
            return n < 0 ? (int)n : -ESTALE; /* it became shorter */
        }
        err = fn(piece, (size_t)n, from, ctx);
        from += (uint64_t)n;
    }
    return err;
}

/* The data of a file that comes from a stream. */
static int export_pieces(const struct source_file *f, export_data_fn *fn, void *ctx)
{
    const void *bytes;
    size_t len;
    uint64_t off;
    int err;
    while ((err = f->next_piece(f->piece_ctx, &bytes, &len, &off)) == 0) {
        err = fn(bytes, len, off, ctx);
        if (err < 0) {
            return err;
        }
    }
    return err == -ENOENT ? 0 : err;
}

int export_walk(struct export *e, int (*visit)(struct source_file *f, const char *path, void *ctx),
                void *ctx)
{
    static struct source_walk t;
    t = (struct source_walk){.fd = e->fd, .visit = visit, .ctx = ctx};
    int err = e->session < 0 ? source_walk(&t) : source_stream(&t, e->session);
    e->session_failed = t.stream_failed;
    if (err < 0 && (*t.why || t.stream_failed)) {
        memcpy(e->why, t.why, sizeof(t.why));
    }
    return err;
}

int export_data(const struct source_file *f, export_data_fn *fn, void *ctx)
{
    uint64_t size = (uint64_t)f->st.st_size;
    int err = 0;
    if (f->next_piece) {
        return export_pieces(f, fn, ctx);
    }
    if (f->bytes) {
        return size ? fn(f->bytes, (size_t)size, 0, ctx) : 0;
    }
    for (off_t at = 0; err == 0 && (uint64_t)at < size;) {
        off_t data = lseek(f->fd, at, SEEK_DATA);
        if (data < 0 || (uint64_t)data >= size) {
            return data < 0 && errno != ENXIO ? -errno : 0;
        }
        off_t hole = lseek(f->fd, data, SEEK_HOLE);
        at = hole < 0 || (uint64_t)hole > size ? (off_t)size : hole;
        err = put_range(f, (uint64_t)data, (uint64_t)at, fn, ctx);
    }
    return err;
}
