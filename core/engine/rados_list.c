// SPDX-License-Identifier: Apache-2.0
/*
 * rados_list: lists the objects of a namespace. RADOS gives names alone, in no order, and all of
 * the namespace. The sizes of those that are wanted are asked for with many operations at once.
 */
#include "rados_impl.h"
#include "shard_traffic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 64 /* objects whose sizes are asked for at once */

/* One object of a list, whose size is being asked for. */
struct asked {
    char *name;
    rados_read_op_t op;
    rados_completion_t done; /* NULL: this place is free */
    rados_xattrs_iter_t attributes;
    uint64_t size;
    time_t changed;
    int attributes_err, stat_err;
};

struct listing {
    struct rados *r;
    const char *dir;
    size_t dir_len;
    shard_list_fn *fn;
    void *ctx;
    struct asked asked[AT_ONCE];
    unsigned next; /* the place that is used next, and whose answer is the oldest */
};

/* Is the pool still there? A list of a pool that was deleted ends, too. */
static int check_pool(const struct rados *r)
{
    return r->lib->pool_lookup(r->cluster, r->url.pool) < 0 ? -EHOSTUNREACH : 0;
}

int rados_each(const struct rados *r, rados_ioctx_t io, shard_list_fn *fn, void *ctx)
{
    const char *name, *key, *space;
    rados_list_ctx_t list;
    int stopped = 0, err = r->lib->nobjects_list_open(io, &list);

    if (err < 0)
        return rados_told(err);
    while ((err = r->lib->nobjects_list_next(list, &name, &key, &space)) == 0 && stopped == 0) {
        stopped = fn(name, 0, ctx);
        if (stopped == 0)
            stopped = shard_goes_on();
    }
    r->lib->nobjects_list_close(list);
    if (stopped)
        return stopped;
    return err == -ENOENT ? check_pool(r) : rados_told(err); /* -ENOENT: there is no further one */
}

/* Starts to ask for the size of an object. */
static int ask(struct listing *l, struct asked *a, const char *name)
{
    const struct rados_lib *lib = l->r->lib;
    int err;

    shard_count(&l->r->base, SHARD_STAT, 1);
    *a = (struct asked){.name = strdup(name), .op = lib->create_read_op()};
    err = a->name && a->op ? lib->aio_create_completion2(NULL, NULL, &a->done) : -ENOMEM;
    if (err == 0) {
        lib->read_op_getxattrs(a->op, &a->attributes, &a->attributes_err);
        lib->read_op_stat(a->op, &a->size, &a->changed, &a->stat_err);
        err =
            lib->aio_read_op_operate(a->op, l->r->files, a->done, name, LIBRADOS_OPERATION_NOFLAG);
        if (err < 0)
            lib->aio_release(a->done);
    }
    if (err < 0) {
        if (a->op)
            lib->release_read_op(a->op);
        free(a->name);
        *a = (struct asked){.name = NULL};
    }
    return err;
}

/* Waits for the answer, and frees the place. An object that went meanwhile is passed over: *ret is
 * then false. */
static int take(struct listing *l, struct asked *a, bool *ret)
{
    const struct rados_lib *lib = l->r->lib;
    struct rados_pieces p = {.piece = 0};
    int err;

    (void)lib->aio_wait_for_complete(a->done);
    err = lib->aio_get_return_value(a->done);
    if (err == 0)
        err = a->attributes_err ? a->attributes_err : a->stat_err;
    if (a->attributes)
        rados_attributes_read(l->r, a->attributes, &p);
    if (p.piece)
        a->size = p.size;
    lib->aio_release(a->done);
    lib->release_read_op(a->op);
    a->done = NULL;
    *ret = err >= 0;
    return err == -ENOENT || err >= 0 ? 0 : rados_told(err);
}

/* Passes on the oldest object whose size was asked for, if there is one. With `quiet` it is only
 * freed. */
static int pass_on(struct listing *l, struct asked *a, bool quiet)
{
    bool there;
    int err;

    if (!a->done)
        return 0;
    err = take(l, a, &there);
    if (err == 0 && there && !quiet)
        err = l->fn(a->name, a->size, l->ctx);
    free(a->name);
    return err;
}

static int list_one(const char *name, uint64_t size, void *ctx)
{
    struct listing *l = ctx;
    struct asked *a = &l->asked[l->next];
    int err;

    (void)size;
    if (l->dir_len && (strncmp(name, l->dir, l->dir_len) != 0 || name[l->dir_len] != '/'))
        return 0;
    err = pass_on(l, a, false);
    if (err == 0)
        err = ask(l, a, name);
    l->next = (l->next + 1) % AT_ONCE;
    return err;
}

int rados_list(struct shard *shard, const char *dir, shard_list_fn *fn, void *ctx)
{
    struct rados *r = (struct rados *)shard;
    struct listing *l = calloc(1, sizeof *l);
    int err;

    if (!l)
        return -ENOMEM;
    *l = (struct listing){.r = r, .dir = dir, .dir_len = strlen(dir), .fn = fn, .ctx = ctx};
    err = rados_each(r, r->files, list_one, l);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        int last = pass_on(l, &l->asked[(l->next + i) % AT_ONCE], err != 0);

        err = err ? err : last;
    }
    free(l);
    return err;
}
