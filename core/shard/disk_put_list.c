// SPDX-License-Identifier: Apache-2.0
/* disk_put_list: the names on a shard as those in a directory. */
#include "disk_put_impl.h"

#include "array.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listing {
    size_t skip; /* bytes of a name before its part in the directory */
    char (*v)[DISK_NAME_MAX + 1];
    size_t count, room;
    disk_list_fn *fn; /* not NULL: names are given to it at once */
    void *ctx;
};

static bool is_listed(const struct listing *l, const char *part)
{
    for (size_t i = l->count; i-- > 0;) /* names of one directory mostly follow each other */
        if (strcmp(l->v[i], part) == 0)
            return true;
    return false;
}

/* Notes the part of a name that is in the directory. Only that of a subdirectory can come twice. */
static int note_name(const char *name, uint64_t size, void *ctx)
{
    struct listing *l = ctx;
    size_t len = strlen(name) > l->skip ? strcspn(name + l->skip, "/") : 0;
    char part[DISK_NAME_MAX + 1];

    (void)size;
    if (len == 0 || len > DISK_NAME_MAX)
        return 0;
    snprintf(part, sizeof part, "%.*s", (int)len, name + l->skip);
    if (name[l->skip + len] == '/' && is_listed(l, part))
        return 0;
    if (l->fn && name[l->skip + len] != '/')
        return l->fn(part, l->ctx);
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    memcpy(l->v[l->count++], part, sizeof part);
    return l->fn ? l->fn(part, l->ctx) : 0;
}

/* Names are given out when the list is complete, so that `fn` may ask the shard, and delete what
 * was listed. Those of the root, where the list may be that of a whole store of other things, are
 * given out at once: who lists the root only looks. */
int put_names(struct shard *s, const char *name, disk_list_fn *fn, void *ctx)
{
    bool root = !*name;
    struct listing l = {.skip = root ? 0 : strlen(name) + 1, .fn = root ? fn : NULL, .ctx = ctx};
    int err = shard_list(s, name, note_name, &l);

    for (size_t i = 0; i < l.count && err == 0 && !root; i++)
        err = fn(l.v[i], ctx);
    free(l.v);
    return err;
}

struct listing_below {
    size_t skip;
    disk_list_fn *fn;
    void *ctx;
};

static int give_below(const char *name, uint64_t size, void *ctx)
{
    const struct listing_below *l = ctx;

    (void)size;
    return strlen(name) > l->skip ? l->fn(name + l->skip, l->ctx) : 0;
}

int put_names_below(struct shard *s, const char *name, disk_list_fn *fn, void *ctx)
{
    struct listing_below l = {strlen(name) + 1, fn, ctx};

    return shard_list(s, name, give_below, &l);
}
