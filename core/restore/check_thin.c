// SPDX-License-Identifier: Apache-2.0
/* check_thin: see the header. */
#include "check_thin.h"

#include "array.h"
#include "packs.h"
#include "shard_thin.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct named_content {
    uint64_t where;
    uint32_t offset, size;
};

static int take_name(const char *name, uint64_t size, void *ctx)
{
    struct check_thin *t = ctx;
    uint64_t where;

    (void)size;
    return pack_parse_name(name + strlen(SHARD_THIN_DIR "/"), &where) < 0
               ? 0
               : map64_put(&t->packs, where, 1);
}

/* While the pack is there the thin one does not count. */
static int drop_pack(const char *name, uint64_t size, void *ctx)
{
    struct check_thin *t = ctx;
    uint64_t where;

    (void)size;
    if (pack_parse_name(name + strlen(SHARD_PACK_DIR "/"), &where) == 0)
        (void)map64_del(&t->packs, where);
    return 0;
}

int check_thin_begin(struct check_thin *t, struct shard *shard)
{
    int err;

    *t = (struct check_thin){.count = 0};
    err = shard_list(shard, SHARD_THIN_DIR, take_name, t);
    if (err == 0 && t->packs.count)
        err = shard_list(shard, SHARD_PACK_DIR, drop_pack, t);
    if (err < 0)
        check_thin_release(t);
    return err;
}

void check_thin_release(struct check_thin *t)
{
    map64_release(&t->packs);
    free(t->v);
    *t = (struct check_thin){.count = 0};
}

int check_thin_note(struct check_thin *t, const struct segment_content *content)
{
    uint64_t value;
    int err;

    if (!content->in_pack || !map64_get(&t->packs, content->where, &value))
        return 0;
    err = ARRAY_RESERVE(t->v, t->room, t->count + 1);
    if (err < 0)
        return err;
    t->v[t->count++] =
        (struct named_content){content->where, content->offset, (uint32_t)content->size};
    t->unsorted = true;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct named_content *x = a, *y = b;

    if (x->where != y->where)
        return x->where < y->where ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static size_t find_first(struct check_thin *t, uint64_t where)
{
    size_t low = 0, high = t->count;

    if (t->unsorted)
        qsort(t->v, t->count, sizeof *t->v, compare);
    t->unsorted = false;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;

        if (t->v[mid].where < where)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int check_thin_missing(struct check_thin *t, struct shard *shard, uint64_t where, uint64_t *ret)
{
    char name[DISK_NAME_MAX + 1];
    struct thin_part *parts = NULL;
    struct thin_head h;
    uint64_t value;
    int err;

    *ret = 0;
    if (!map64_get(&t->packs, where, &value))
        return 0;
    pack_name(where, name);
    err = shard_thin_head(shard, name, &h, &parts);
    if (err < 0)
        return err == -ENOENT ? 0 : err; /* it went meanwhile, and so did what named it */
    for (size_t i = find_first(t, where); i < t->count && t->v[i].where == where; i++)
        if (i == 0 || compare(&t->v[i - 1], &t->v[i]) != 0)
            *ret += !thin_head_has(&h, t->v[i].offset, pack_record_size(t->v[i].size));
    free(parts);
    return 0;
}
