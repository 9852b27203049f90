// SPDX-License-Identifier: Apache-2.0
/*
 * disk_route: see the header. Files are handed out as the disk below opened them. Those that were
 * made in objects/ or packs/ of the pool are marked, so that they cannot be punched.
 */
#include "disk_route.h"

#include "disk_impl.h"
#include "disk_put.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS "slots"
#define NAME_ROOM                                                                                  \
    (DISK_NAME_MAX + 16) /* of a name with the directory of the node; the disk checks it */

struct route {
    struct disk base;
    struct disk *own, *pool;
    uint32_t node;
};

static struct route *route_of(struct disk *d)
{
    return (struct route *)d;
}

static bool is_below(const char *name, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(name, dir, n) == 0 && (name[n] == '\0' || name[n] == '/');
}

static bool is_shared(const char *name)
{
    return is_below(name, "objects") || is_below(name, "packs");
}

/* The disk that has `name`, and its name there. */
static struct disk *find_disk(struct disk *d, const char *name, char ret_name[NAME_ROOM])
{
    const struct route *r = route_of(d);
    bool slot = is_below(name, SLOTS) && !r->pool->whole;

    if (slot)
        snprintf(ret_name, NAME_ROOM, "nodes/%04x/%s", r->node, name);
    else
        snprintf(ret_name, NAME_ROOM, "%s", name);
    return slot || is_shared(name) ? r->pool : r->own;
}

/* ---- names ---- */

static void route_close(struct disk *d)
{
    free(d);
}

static int route_mkdir(struct disk *d, const char *name)
{
    char there[NAME_ROOM];

    return disk_mkdir(find_disk(d, name, there), there);
}

/* A file of the pool that exists already may be one of another store, so it cannot be opened for
 * writing. Bytes of a new one may soon be in use by other nodes of the pool, so it keeps them. */
static int route_open(struct disk *d, const char *name, unsigned flags, struct disk_file **ret_file)
{
    char there[NAME_ROOM];
    int err;

    if (is_shared(name) && flags & DISK_WRITE && !(flags & DISK_CREATE))
        return -EROFS;
    err = disk_open(find_disk(d, name, there), there, flags, ret_file);
    if (err == 0)
        (*ret_file)->unpunched = is_shared(name);
    return err;
}

static int route_stat(struct disk *d, const char *name, struct disk_stat *ret)
{
    char there[NAME_ROOM];

    return disk_stat(find_disk(d, name, there), there, ret);
}

/* Puts the bytes of a file of the store into the pool. */
static int copy_over(const struct route *r, const char *from, const char *to)
{
    struct disk_file *f;
    int err = disk_open(r->own, from, DISK_READ, &f);

    if (err < 0)
        return err;
    err = disk_put_copy(r->pool, to, f);
    disk_file_close(f);
    return err;
}

static int route_link(struct disk *d, const char *from, const char *to)
{
    const struct route *r = route_of(d);
    char here[NAME_ROOM], there[NAME_ROOM];
    struct disk *disk = find_disk(d, from, here);

    if (find_disk(d, to, there) == disk)
        return disk_link(disk, here, there);
    return r->pool->whole && disk == r->own ? copy_over(r, here, there) : -EXDEV;
}

/* What was put into a pool stays there. A file in the making, which only this store has, does
 * not. */
static int route_unlink(struct disk *d, const char *name)
{
    char there[NAME_ROOM];

    if (!is_shared(name))
        return disk_unlink(find_disk(d, name, there), there);
    if (route_of(d)->pool->whole)
        disk_put_forget(route_of(d)->pool, name);
    return 0;
}

static int route_rename(struct disk *d, const char *from, const char *to)
{
    char here[NAME_ROOM], there[NAME_ROOM];
    struct disk *disk = find_disk(d, from, here);

    if (is_shared(from) || is_shared(to))
        return -EROFS;
    return find_disk(d, to, there) == disk ? disk_rename(disk, here, there) : -EXDEV;
}

static int sync_roots(const struct route *r)
{
    char node[DISK_NAME_MAX + 1];
    int err = disk_sync_dir(r->own, "");

    snprintf(node, sizeof node, "nodes/%04x", r->node);
    if (err == 0)
        err = disk_sync_dir(r->pool, "");
    return err ? err : disk_sync_dir(r->pool, node);
}

static int route_sync_dir(struct disk *d, const char *name)
{
    char there[NAME_ROOM];

    return *name ? disk_sync_dir(find_disk(d, name, there), there) : sync_roots(route_of(d));
}

static int route_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    char there[NAME_ROOM];

    return is_shared(name) ? 0 : disk_list(find_disk(d, name, there), there, fn, ctx);
}

/* ---- both ---- */

static int route_space(struct disk *d, struct disk_space *ret)
{
    const struct route *r = route_of(d);
    struct disk_space pool;
    int err = disk_space(r->own, ret);

    if (err == 0)
        err = disk_space(r->pool, &pool);
    if (err == 0 && pool.blocks &&
        pool.blocks_avail * pool.block_size < ret->blocks_avail * ret->block_size)
        *ret = pool;
    return err;
}

/* A word of a hash of both numbers: FNV-1a, another word for each `start`. */
static uint64_t mix(const uint8_t *bytes, size_t len, uint64_t start)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) + start;

    for (size_t i = 0; i < len; i++)
        h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
    return h;
}

static int route_incarnation(struct disk *d, bool of_mount, uint8_t out[32])
{
    int (*get)(struct disk *, uint8_t[32]) =
        of_mount ? disk_incarnation_of_mount : disk_incarnation;
    uint8_t both[64];
    int err = get(route_of(d)->own, both);

    if (err == 0)
        err = get(route_of(d)->pool, both + 32);
    for (uint64_t i = 0; err == 0 && i < 4; i++) {
        uint64_t word = mix(both, sizeof both, i);
        memcpy(out + 8 * i, &word, sizeof word);
    }
    return err;
}

static const struct disk_ops route_ops = {
    .close = route_close,
    .mkdir = route_mkdir,
    .open = route_open,
    .stat = route_stat,
    .link = route_link,
    .unlink = route_unlink,
    .rename = route_rename,
    .sync_dir = route_sync_dir,
    .list = route_list,
    .space = route_space,
    .incarnation = route_incarnation,
};

int disk_route_open(struct disk *own, struct disk *pool, uint32_t node, struct disk **ret_disk)
{
    struct route *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    r->base.ops = &route_ops;
    r->base.readonly = own->readonly || pool->readonly;
    r->base.foreign = own->foreign;
    r->base.whole = pool->whole;
    r->own = own;
    r->pool = pool;
    r->node = node;
    *ret_disk = &r->base;
    return 0;
}
