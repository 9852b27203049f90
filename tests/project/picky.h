// SPDX-License-Identifier: Apache-2.0
/* picky: a fixture's disk on which calls fail for some names. */
#pragma once

#include "disk_impl.h"
#include "fixture.h"

/* The disk of a fixture, where calls fail for names that begin so. */
struct picky {
    struct disk base;
    struct disk *below;
    const char *name, *also; /* beginnings of names; `also` may be NULL */
    int err;
    bool removals; /* only these */
    unsigned calls; /* of incarnation: the first one, by who reads the log, is well */
};

static struct picky picky;

static bool refuses_any(const char *name)
{
    return picky.err && (strncmp(name, picky.name, strlen(picky.name)) == 0 ||
                         (picky.also && strncmp(name, picky.also, strlen(picky.also)) == 0));
}
static bool refuses(const char *name)
{
    return !picky.removals && refuses_any(name);
}
static void p_close(struct disk *d)
{
    (void)d;
}
static int p_mkdir(struct disk *d, const char *name)
{
    (void)d;
    return refuses(name) ? picky.err : disk_mkdir(picky.below, name);
}
static int p_open(struct disk *d, const char *name, unsigned flags, struct disk_file **ret_file)
{
    (void)d;
    return refuses(name) ? picky.err : disk_open(picky.below, name, flags, ret_file);
}
static int p_link(struct disk *d, const char *from, const char *to)
{
    (void)d;
    return refuses(to) ? picky.err : disk_link(picky.below, from, to);
}
static int p_unlink(struct disk *d, const char *name)
{
    (void)d;
    return refuses_any(name) ? picky.err : disk_unlink(picky.below, name);
}
static int p_rename(struct disk *d, const char *from, const char *to)
{
    (void)d;
    return refuses(from) ? picky.err : disk_rename(picky.below, from, to);
}
static int p_sync_dir(struct disk *d, const char *name)
{
    (void)d;
    return disk_sync_dir(picky.below, name);
}
static int p_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    (void)d;
    return refuses(name) ? picky.err : disk_list(picky.below, name, fn, ctx);
}
static int p_space(struct disk *d, struct disk_space *ret)
{
    (void)d;
    return disk_space(picky.below, ret);
}
static int p_incarnation(struct disk *d, uint8_t out[32])
{
    (void)d;
    return refuses("incarnation") && picky.calls++ ? picky.err : disk_incarnation(picky.below, out);
}

static const struct disk_ops picky_ops = {.close = p_close,
                                          .mkdir = p_mkdir,
                                          .open = p_open,
                                          .link = p_link,
                                          .unlink = p_unlink,
                                          .rename = p_rename,
                                          .sync_dir = p_sync_dir,
                                          .list = p_list,
                                          .space = p_space,
                                          .incarnation = p_incarnation};

/* Opened as fixture_open does, but with this disk, whatever it says. */
static int open_on(struct fixture *x, struct disk *disk)
{
    cr_assert_eq(kv_open_mem(x->mem, project_tables, project_table_count, KV_CREATE, &x->kv), 0);
    struct project_config config = {.disk = disk,
                                    .kv = x->kv,
                                    .clock = &x->clock.base,
                                    .threads = 1,
                                    .fold = x->fold,
                                    .log_segment = 1 << 20};
    return project_open(&config, &x->p);
}

/* From now on; an error of 0: none. */
static void picky_refuse(const char *name, int err)
{
    picky.name = name;
    picky.also = NULL;
    picky.removals = false;
    picky.err = err;
    picky.calls = 0;
}

static int picky_open(struct fixture *x)
{
    picky.base.ops = &picky_ops;
    picky.below = x->disk;
    return open_on(x, &picky.base);
}
