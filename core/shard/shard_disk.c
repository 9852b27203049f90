// SPDX-License-Identifier: Apache-2.0
/*
 * shard_disk: the files of a shard as those of a disk (disk.h) that can only be read. So the code that
 * reads packs and files of the home shard reads those of other shards, too.
 */
#include "disk_impl.h"
#include "shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct shard_disk {
    struct disk base;
    struct shard *shard;
};

struct shard_file {
    struct disk_file base;
    struct shard *shard;
    char name[DISK_NAME_MAX + 1];
};

static struct shard *shard_of(struct disk *d)
{
    return ((struct shard_disk *)d)->shard;
}

static struct shard_file *file_of(struct disk_file *f)
{
    return (struct shard_file *)f;
}

static const struct disk_ops shard_ops;

static void shard_disk_close(struct disk *d)
{
    free(d);
}

/* Opens a file: a shard has no descriptors, so only its name is kept. An empty range is read to see
 * whether it exists and may be read. */
static int shard_disk_file(struct disk *d, const char *name, unsigned flags,
                           struct disk_file **ret_file)
{
    struct shard_file *f = calloc(1, sizeof *f);

    (void)flags; /* disk.c has refused everything but reading */
    if (!f)
        return -ENOMEM;
    ssize_t n = shard_range(shard_of(d), name, &(char){0}, 0, 0); /* fails if it cannot be read */

    if (n < 0) {
        free(f);
        return (int)n;
    }
    f->base.ops = &shard_ops;
    f->shard = shard_of(d);
    memcpy(f->name, name, strlen(name) + 1);
    *ret_file = &f->base;
    return 0;
}

static void shard_file_close(struct disk_file *f)
{
    free(f);
}

static ssize_t shard_file_pread(struct disk_file *f, void *buf, size_t len, uint64_t off)
{
    return shard_range(file_of(f)->shard, file_of(f)->name, buf, len, off);
}

static int shard_file_fstat(struct disk_file *f, struct disk_stat *ret)
{
    uint64_t size;
    int err = shard_stat(file_of(f)->shard, file_of(f)->name, &size);

    if (err == 0)
        *ret = (struct disk_stat){.size = size, .blocks = size};
    return err;
}

static int no_fd(struct disk_file *f)
{
    (void)f;
    return -1;
}

/* The functions that change something are missing, since disk.c refuses every change of a read-only
 * disk, and so are those of which shard.h says that they are not to be called. */
static const struct disk_ops shard_ops = {
    .close = shard_disk_close,
    .open = shard_disk_file,
    .file_close = shard_file_close,
    .pread = shard_file_pread,
    .fstat = shard_file_fstat,
    .fd = no_fd,
};

int shard_disk_open(struct shard *s, struct disk **ret_disk)
{
    struct shard_disk *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->base.ops = &shard_ops;
    d->base.readonly = true;
    d->shard = s;
    *ret_disk = &d->base;
    return 0;
}
