// SPDX-License-Identifier: Apache-2.0
/* items_file: see the header. */
#include "items_file.h"

#include "io.h"
#include "sha256.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct items_file {
    uint8_t *memory; /* of ITEMS_INLINE bytes: what is not in the file yet */
    size_t used;
    int fd;         /* -1: all is in memory */
    uint64_t in_fd; /* bytes in the file */
    struct sha256 *sum;
};

int items_file_open(struct items_file **ret)
{
    struct items_file *f = calloc(1, sizeof *f);

    if (!f)
        return -ENOMEM;
    f->fd = -1;
    f->memory = malloc(ITEMS_INLINE);
    if (!f->memory || sha256_new(&f->sum) < 0) {
        items_file_close(f);
        return -ENOMEM;
    }
    *ret = f;
    return 0;
}

void items_file_close(struct items_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    sha256_free(f->sum);
    free(f->memory);
    free(f);
}

static int open_file(struct items_file *f)
{
    const char *dir = getenv("TMPDIR");

    f->fd = open(dir && *dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return f->fd < 0 ? -errno : 0;
}

/* Moves what is in memory to the file. */
static int spill(struct items_file *f)
{
    int err = f->fd < 0 ? open_file(f) : 0;

    if (err == 0)
        err = io_pwrite(f->fd, f->memory, f->used, f->in_fd);
    if (err < 0)
        return err;
    f->in_fd += f->used;
    f->used = 0;
    return 0;
}

int items_file_add(struct items_file *f, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;

    sha256_add(f->sum, bytes, len);
    while (len > 0) {
        size_t n = ITEMS_INLINE - f->used;
        int err = n == 0 ? spill(f) : 0;

        if (err < 0)
            return err;
        n = ITEMS_INLINE - f->used < len ? ITEMS_INLINE - f->used : len;
        memcpy(f->memory + f->used, from, n);
        f->used += n;
        from += n;
        len -= n;
    }
    return 0;
}

int items_file_end(struct items_file *f, uint8_t ret_sum[SHA256_LEN])
{
    int err = f->fd >= 0 ? spill(f) : 0;

    return err < 0 ? err : sha256_end(f->sum, ret_sum);
}

uint64_t items_file_len(const struct items_file *f)
{
    return f->in_fd + f->used;
}

const void *items_file_bytes(const struct items_file *f)
{
    return f->fd < 0 ? f->memory : NULL;
}

int items_file_read(struct items_file *f, void *buf, size_t len, uint64_t off)
{
    if (f->fd >= 0) {
        ssize_t n = io_pread(f->fd, buf, len, off);

        return n < 0 ? (int)n : (size_t)n < len ? -EIO : 0;
    }
    if (off > f->used || len > f->used - off)
        return -EIO;
    memcpy(buf, f->memory + off, len);
    return 0;
}
