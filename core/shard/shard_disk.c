// SPDX-License-Identifier: Apache-2.0
/*
 * shard_disk: the files of a shard as those of a disk (disk.h) that can only be read. So the code
 * that reads packs and files of the home shard reads those of other shards, too. With a cache
 * (shard_near) the files are its files, and it asks the shard for what it lacks.
 */
#include "disk_impl.h"
#include "shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct shard_disk {
    struct disk base;
    struct shard_lender lender;
};

struct shard_file {
    struct disk_file base;
    struct shard_lender lender;
    struct cache_file *kept; /* NULL: without a cache */
    char name[DISK_NAME_MAX + 1];
};

static struct shard_file *file_of(struct disk_file *f)
{
    return (struct shard_file *)f;
}

static const struct disk_ops shard_ops;

static void shard_disk_close(struct disk *d)
{
    free(d);
}

static void shard_file_close(struct disk_file *f)
{
    const struct shard_near *near = &file_of(f)->lender.near;

    if (file_of(f)->kept)
        near->ops->close(near->cache, file_of(f)->kept);
    free(f);
}

/* ---- asking the shard ---- */

static ssize_t ask_range(void *ctx, void *buf, size_t len, uint64_t off)
{
    const struct shard_file *f = ctx;
    const struct shard_lender *l = &f->lender;
    struct shard *s;
    ssize_t n;
    int err = l->lend(l->ctx, l->number, &s);

    if (err < 0)
        return err;
    n = shard_range(s, f->name, buf, len, off);
    err = l->take_back(l->ctx, l->number, n < 0 ? (int)n : 0);
    return err < 0 ? err : n;
}

static int ask_stat(void *ctx, uint64_t *ret_size)
{
    const struct shard_file *f = ctx;
    const struct shard_lender *l = &f->lender;
    struct shard *s;
    int err = l->lend(l->ctx, l->number, &s);

    return err < 0 ? err : l->take_back(l->ctx, l->number, shard_stat(s, f->name, ret_size));
}

static struct shard_fetch fetch_of(struct shard_file *f)
{
    return (struct shard_fetch){ask_range, ask_stat, f};
}

/* ---- files ---- */

static ssize_t shard_file_pread(struct disk_file *f, void *buf, size_t len, uint64_t off)
{
    const struct shard_near *near = &file_of(f)->lender.near;
    const struct shard_fetch from = fetch_of(file_of(f));

    if (!file_of(f)->kept)
        return ask_range(f, buf, len, off);
    return near->ops->read(near->cache, file_of(f)->kept, &from, buf, len, off);
}

static int shard_file_fstat(struct disk_file *f, struct disk_stat *ret)
{
    uint64_t size;
    int err = 0;

    if (file_of(f)->kept)
        size = file_of(f)->lender.near.ops->size(file_of(f)->kept);
    else
        err = ask_stat(f, &size);
    if (err == 0)
        *ret = (struct disk_stat){.size = size, .blocks = size};
    return err;
}

/* The size is asked for to see whether the name exists. Reading would not tell: a driver may read
 * from a file that it has open, whose name has gone. A cache asks for it, too, unless it has the
 * file, or `size` is known. */
static int look_for(struct shard_file *f, uint64_t size)
{
    const struct shard_near *near = &f->lender.near;
    const struct shard_fetch from = fetch_of(f);

    return near->ops ? near->ops->open(near, f->name, &from, size, &f->kept) : ask_stat(f, &size);
}

static int open_sized(struct disk *d, const char *name, uint64_t size, struct disk_file **ret_file)
{
    struct shard_file *f = calloc(1, sizeof *f);
    int err;

    if (!f)
        return -ENOMEM;
    f->base.ops = &shard_ops;
    f->lender = ((struct shard_disk *)d)->lender;
    memcpy(f->name, name, strlen(name) + 1);
    err = look_for(f, size);
    if (err < 0)
        free(f);
    else
        *ret_file = &f->base;
    return err;
}

/* disk.c has refused everything but reading. */
static int shard_disk_file(struct disk *d, const char *name, unsigned flags,
                           struct disk_file **ret_file)
{
    (void)flags;
    return open_sized(d, name, UINT64_MAX, ret_file);
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
    .open_sized = open_sized,
    .file_close = shard_file_close,
    .pread = shard_file_pread,
    .fstat = shard_file_fstat,
    .fd = no_fd,
};

int shard_disk_open(const struct shard_lender *lender, struct disk **ret_disk)
{
    struct shard_disk *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->base.ops = &shard_ops;
    d->base.readonly = true;
    d->lender = *lender;
    *ret_disk = &d->base;
    return 0;
}
