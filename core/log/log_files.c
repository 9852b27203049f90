// SPDX-License-Identifier: Apache-2.0
/* log_files: the segment files on a disk: listing, keeping and deleting them. */
#include "log_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_DIGITS 16

/* The serial of a segment's file name. False: it is another file. */
static bool parse_name(const char *name, uint64_t *ret)
{
    uint64_t v = 0;

    if (strlen(name) != NAME_DIGITS || strspn(name, "0123456789abcdef") != NAME_DIGITS)
        return false;
    for (const char *c = name; *c; c++)
        v = v << 4 | (uint64_t)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    *ret = v;
    return true;
}

/* The segments found so far. */
struct found {
    struct log_file *v;
    size_t count, room;
};

/* Called for each name in the directory. */
static int add_name(const char *name, void *ctx)
{
    struct found *f = ctx;
    struct log_file file = {0};

    if (!parse_name(name, &file.serial))
        return 0; /* not a segment */
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 16;
        struct log_file *v = realloc(f->v, room * sizeof *v);

        if (!v)
            return -ENOMEM;
        f->v = v;
        f->room = room;
    }
    f->v[f->count++] = file;
    return 0;
}

static int by_serial(const void *a, const void *b)
{
    uint64_t x = ((const struct log_file *)a)->serial, y = ((const struct log_file *)b)->serial;

    return x < y ? -1 : x > y;
}

int segment_read_head(struct disk_file *f, struct segment_head *ret)
{
    uint8_t bytes[SEGMENT_HEAD] = {0};
    ssize_t n = disk_pread(f, bytes, sizeof bytes, 0);

    return n < 0 ? (int)n : segment_head_decode(bytes, ret);
}

/* Reads the head and the size of one segment. */
static void look_at(struct disk *d, struct log_file *file)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_stat stat = {0};
    struct disk_file *f;

    log_name(file->serial, name);
    file->error = disk_open(d, name, DISK_READ, &f);
    if (file->error)
        return;
    file->error = segment_read_head(f, &file->head);
    if (disk_fstat(f, &stat) == 0)
        file->bytes = stat.size;
    disk_file_close(f);
}

int log_files(struct disk *d, struct log_file **ret_files, size_t *ret_count)
{
    struct found f = {0};
    int err = disk_list(d, LOG_DIRECTORY, add_name, &f);

    if (err && err != -ENOENT) {
        free(f.v);
        return err;
    }
    if (f.count)
        qsort(f.v, f.count, sizeof *f.v, by_serial);
    for (size_t i = 0; i < f.count; i++)
        look_at(d, &f.v[i]);
    *ret_files = f.v;
    *ret_count = f.count;
    return 0;
}

/* ---- keeping them ---- */

#define COMPARED 4096 /* bytes that are compared at once */

/* Are the bytes up to `size` the same? Two reads that fail alike count as the same. */
static bool has_same_bytes(struct disk_file *a, struct disk_file *b, uint64_t size)
{
    uint8_t x[COMPARED], y[COMPARED];

    for (uint64_t at = 0; at < size; at += COMPARED) {
        ssize_t n = disk_pread(a, x, sizeof x, at), m = disk_pread(b, y, sizeof y, at);
        if (n != m || (n > 0 && memcmp(x, y, (size_t)n) != 0))
            return false;
    }
    return true;
}

/* Are two files the same? No if that cannot be found out. */
static bool is_same(struct disk *d, const char *from, const char *to)
{
    struct disk_stat is = {0}, kept = {0};
    struct disk_file *a = NULL, *b = NULL;
    bool same = disk_open(d, from, DISK_READ, &a) == 0 && disk_open(d, to, DISK_READ, &b) == 0 &&
                disk_fstat(a, &is) == 0 && disk_fstat(b, &kept) == 0 && is.size == kept.size &&
                has_same_bytes(a, b, is.size);

    disk_file_close(a);
    disk_file_close(b);
    return same;
}

/* Gives one segment its second name. An earlier damaged log may have had the same serials: what is
 * kept of it stays, and a number is added to the new name. */
static int keep_one(struct disk *d, uint64_t serial)
{
    char from[DISK_NAME_MAX + 1], to[DISK_NAME_MAX + 1];
    bool same = false;
    int err = -EEXIST;

    log_name(serial, from);
    for (unsigned n = 1; err == -EEXIST && !same; n++) {
        int len = snprintf(to, sizeof to, LOG_DIRECTORY "/damaged.%016" PRIx64, serial);
        if (n > 1)
            snprintf(to + len, sizeof to - (size_t)len, ".%u", n);
        err = disk_link(d, from, to);
        /* the name may be from a repair that was interrupted */
        same = err == -EEXIST && is_same(d, from, to);
    }
    return same ? 0 : err;
}

/* The segments are linked and not renamed: if the process dies in between, the log is still
 * complete. */
int log_keep(struct disk *d)
{
    struct log_file *v;
    size_t count;
    int err = log_files(d, &v, &count);

    if (err)
        return err;
    for (size_t i = 0; i < count && err == 0; i++)
        err = keep_one(d, v[i].serial);
    free(v);
    return err == 0 && count ? disk_sync_dir(d, LOG_DIRECTORY) : err;
}

/* Is this a sound segment of that epoch, under its own name? */
static bool is_of(const struct log_file *f, uint64_t epoch)
{
    return f->error == 0 && f->head.epoch == epoch && f->head.serial == f->serial;
}

int log_reap(struct disk *d, uint64_t epoch)
{
    struct log_file *v;
    size_t count;
    int err = log_files(d, &v, &count);

    if (err)
        return err;
    for (size_t i = 0; i < count && err == 0; i++) {
        char name[DISK_NAME_MAX + 1];

        if (is_of(&v[i], epoch))
            continue;
        log_name(v[i].serial, name);
        err = disk_unlink(d, name);
    }
    free(v);
    return err;
}

static int unlink_one(const char *name, void *ctx)
{
    char path[DISK_NAME_MAX + 1];
    uint64_t serial;

    if (!parse_name(name, &serial))
        return 0;
    log_name(serial, path);
    return disk_unlink(ctx, path);
}

int log_remove(struct disk *d)
{
    int err = disk_list(d, LOG_DIRECTORY, unlink_one, d);

    if (err == -ENOENT)
        return 0;
    return err ? err : disk_sync_dir(d, LOG_DIRECTORY);
}
