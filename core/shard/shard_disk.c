// SPDX-License-Identifier: Apache-2.0
/*
 * shard_disk: a shard as a disk that can only be read (disk.h). So the code that reads packs and
 * files of the home shard reads those of other shards, too. A mapping is a copy.
 */
#include "array.h"
#include "disk_impl.h"
#include "shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

/* A mapping is anonymous memory with a copy of the bytes. What the file does not have stays
 * zeros. */
static int shard_file_map(struct disk_file *f, uint64_t off, size_t len, void **ret_map)
{
    void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        return -errno;
    ssize_t n = shard_file_pread(f, map, len, off);

    if (n < 0) {
        munmap(map, len);
        return (int)n;
    }
    *ret_map = map;
    return 0;
}

static void shard_file_unmap(struct disk_file *f, void *map, size_t len)
{
    (void)f;
    munmap(map, len);
}

static int shard_file_sync(struct disk_file *f)
{
    (void)f; /* a file that was put is durable */
    return 0;
}

static int shard_disk_sync_dir(struct disk *d, const char *name)
{
    (void)d, (void)name;
    return 0;
}

static int no_fd(struct disk_file *f)
{
    (void)f;
    return -1;
}

static void no_hint(struct disk_file *f, uint64_t off, uint64_t len)
{
    (void)f, (void)off, (void)len;
}

/* ---- lists: names of a shard become names in a directory of a disk ---- */

struct disk_listing {
    disk_list_fn *fn;
    void *ctx;
    size_t skip; /* bytes of the name of the directory, with the slash */
    size_t count, room;
    struct dir_name {
        char name[DISK_NAME_MAX + 1];
    } *dir; /* the directories that were listed already */
};

/* Passes on the name of a directory, the first time that a name in it is listed. */
static int tell_dir_once(struct disk_listing *l, const char *name, size_t len)
{
    if (len > DISK_NAME_MAX)
        return 0;
    for (size_t i = 0; i < l->count; i++)
        if (strlen(l->dir[i].name) == len && memcmp(l->dir[i].name, name, len) == 0)
            return 0;
    int err = ARRAY_RESERVE(l->dir, l->room, l->count + 1);

    if (err < 0)
        return err;
    memcpy(l->dir[l->count].name, name, len);
    l->dir[l->count].name[len] = '\0';
    return l->fn(l->dir[l->count++].name, l->ctx);
}

static int list_one(const char *name, uint64_t size, void *ctx)
{
    struct disk_listing *l = ctx;
    const char *slash = strchr(name + l->skip, '/');

    (void)size;
    if (slash)
        return tell_dir_once(l, name + l->skip, (size_t)(slash - name) - l->skip);
    return l->fn(name + l->skip, l->ctx);
}

static int shard_disk_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    struct disk_listing l = {.fn = fn, .ctx = ctx, .skip = *name ? strlen(name) + 1 : 0};
    int err = shard_list(shard_of(d), name, list_one, &l);

    free(l.dir);
    return err;
}

/* A shard does not count files, so as many as a number can say are free. */
static int shard_disk_space(struct disk *d, struct disk_space *ret)
{
    struct shard_space s;
    int err = shard_space(shard_of(d), &s);

    if (err < 0)
        return err;
    *ret = (struct disk_space){.block_size = 4096,
                               .blocks = s.size / 4096,
                               .blocks_free = s.avail / 4096,
                               .blocks_avail = s.avail / 4096,
                               .files = UINT32_MAX,
                               .files_free = UINT32_MAX,
                               .full = -ENOSPC};
    return 0;
}

/* Always zeros: no file that was put can be lost with a page cache. */
static int shard_disk_incarnation(struct disk *d, uint8_t out[32])
{
    (void)d;
    memset(out, 0, 32);
    return 0;
}

/* The functions that change something are missing: disk.c refuses every change of a read-only
 * disk. */
static const struct disk_ops shard_ops = {
    .close = shard_disk_close,
    .open = shard_disk_file,
    .sync_dir = shard_disk_sync_dir,
    .list = shard_disk_list,
    .space = shard_disk_space,
    .incarnation = shard_disk_incarnation,
    .file_close = shard_file_close,
    .pread = shard_file_pread,
    .sync = shard_file_sync,
    .fstat = shard_file_fstat,
    .flush_hint = no_hint,
    .map = shard_file_map,
    .unmap = shard_file_unmap,
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
