// SPDX-License-Identifier: Apache-2.0
/* archive_read: see the header. */
#include "archive_read.h"

#include "archive_text.h"
#include "array.h"
#include "chain.h"
#include "map64.h"
#include "sha256.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE ((size_t)1 << 20) /* bytes of a body that are read at once; more than an item has */

int archive_read_format(struct shard *s, struct archive_format *ret)
{
    char text[ARCHIVE_TEXT_MAX];
    ssize_t n = shard_get(s, ARCHIVE_FORMAT, text, sizeof text);

    if (n < 0)
        return n == -EFBIG ? -EUCLEAN : (int)n;
    return archive_format_decode(text, (size_t)n, ret);
}

int archive_read_lineage(struct shard *s, uint32_t number, struct archive_lineage *ret)
{
    char name[ARCHIVE_NAME_MAX + 1], text[ARCHIVE_TEXT_MAX];
    ssize_t n;

    archive_lineage_name(number, name);
    n = shard_get(s, name, text, sizeof text);
    return n < 0 ? (int)n : archive_lineage_decode(text, (size_t)n, number, ret);
}

int archive_successor(struct shard *s, uint32_t lineage, const uint8_t *but, uint32_t below,
                      uint32_t *ret)
{
    struct archive_lineage l;
    int err = 0;

    *ret = 0;
    for (uint32_t n = lineage + 1; !*ret && n < below; n++) {
        err = archive_read_lineage(s, n, &l);
        if (err == -EUCLEAN || err == -EPROTO) /* it is nobody's that is known */
            continue;
        if (err < 0)
            break;
        if (l.why == ARCHIVE_PROMOTE && l.parent == lineage &&
            (!but || memcmp(l.store, but, sizeof l.store) != 0))
            *ret = n;
    }
    return err == -ENOENT || err == -EUCLEAN || err == -EPROTO ? 0 : err;
}

/* ---- one segment ---- */

static int decode(uint32_t lineage, struct segment_pos at, struct archive_segment *g)
{
    const struct front_head *h = &g->front.head;
    uint8_t sum[SHA256_LEN];
    int err = segment_front_decode(g->bytes, g->len, &g->front, &g->items_at);

    if (err < 0)
        return err;
    if (h->lineage != lineage || segment_pos_compare(h->at, at) != 0)
        return -EUCLEAN;
    err = sha256_of(g->bytes, g->len, g->sum);
    if (err < 0 || h->has_body)
        return err;
    err = sha256_of(g->bytes + g->items_at, g->len - g->items_at, sum);
    return err == 0 && memcmp(sum, h->items_sum, sizeof sum) != 0 ? -EUCLEAN : err;
}

/* Takes the bytes of a segment over. */
static int take(uint32_t lineage, struct segment_pos at, void *bytes, size_t len,
                struct archive_segment *ret)
{
    struct archive_segment g = {.bytes = bytes, .len = len};
    int err = decode(lineage, at, &g);

    if (err < 0)
        archive_segment_release(&g);
    else
        *ret = g;
    return err;
}

int archive_read(struct shard *s, uint32_t lineage, struct segment_pos at,
                 struct archive_segment *ret)
{
    void *bytes = NULL;
    ssize_t n = chain_get(s, lineage, at, &bytes);

    if (n < 0)
        return n == -ENODATA ? -ENOENT : (int)n;
    return take(lineage, at, bytes, (size_t)n, ret);
}

int archive_read_next(struct shard *s, uint32_t lineage, struct segment_pos *pos,
                      struct archive_segment *ret)
{
    struct segment_pos at = *pos;
    void *bytes = NULL;
    ssize_t n = chain_next(s, lineage, &at, &bytes);
    int err;

    if (n < 0) {
        *pos = at; /* perhaps behind the end of an epoch */
        return (int)n;
    }
    err = take(lineage, at, bytes, (size_t)n, ret);
    if (err == 0)
        *pos = at;
    return err;
}

void archive_segment_release(struct archive_segment *g)
{
    segment_front_release(&g->front);
    free(g->bytes);
    *g = (struct archive_segment){.len = 0};
}

/* ---- names ---- */

static int compare_names(const void *a, const void *b)
{
    const struct segment_name *x = a, *y = b;

    return (x->ns > y->ns) - (x->ns < y->ns);
}

/* Adds what a segment says of a namespace, unless a later one has said something of it: `seen` has
 * the numbers of those. A namespace that was gone is noted without a name, until the end. */
static int add_name(struct archive_names *n, struct map64 *seen, const struct segment_name *name)
{
    uint64_t before;

    if (map64_get(seen, name->ns, &before))
        return 0;
    if (ARRAY_RESERVE(n->v, n->room, n->count + 1) < 0 || map64_put(seen, name->ns, 1) < 0)
        return -ENOMEM;
    n->v[n->count++] = *name;
    return 0;
}

static int add_section(struct archive_names *n, struct map64 *seen, const struct segment_section *s,
                       struct segment_pos at)
{
    struct segment_name name = {
        .ns = s->is.ns, .generation = s->is.generation, .seq = s->is.seq, .at = at};

    if (s->kind == SECTION_CHANGE)
        memcpy(name.name, s->name, sizeof name.name);
    return add_name(n, seen, &name);
}

/* Adds what one segment says. A list of names has its own sections in it. */
static int add_segment(struct archive_names *n, struct map64 *seen, const struct segment_front *f)
{
    int err = 0;

    for (uint32_t i = 0; i < f->head.names && err == 0; i++)
        err = add_name(n, seen, &f->names[i]);
    for (uint32_t i = 0; i < f->head.sections && err == 0 && !f->head.has_names; i++)
        err = add_section(n, seen, &f->sections[i], f->head.at);
    return err;
}

/* Removes those that were gone, and sorts the rest. */
static void settle(struct archive_names *n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n->count; i++)
        if (n->v[i].name[0])
            n->v[kept++] = n->v[i];
    n->count = kept;
    if (kept)
        qsort(n->v, kept, sizeof *n->v, compare_names);
}

int archive_names(struct shard *s, uint32_t lineage, struct segment_pos at,
                  struct archive_names *ret)
{
    struct map64 seen = MAP64_INIT;
    bool whole = at.epoch == 0;
    int err = 0;

    while (err == 0 && !whole) {
        struct archive_segment g;

        err = archive_read(s, lineage, at, &g);
        if (err < 0)
            break;
        err = add_segment(ret, &seen, &g.front);
        at = g.front.head.before;
        whole = g.front.head.has_names || at.epoch == 0;
        archive_segment_release(&g);
    }
    map64_release(&seen);
    if (err == 0)
        settle(ret);
    return err;
}

const struct segment_name *archive_name_find(const struct archive_names *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->v[i].name, name) == 0)
            return &n->v[i];
    return NULL;
}

void archive_names_release(struct archive_names *n)
{
    free(n->v);
    *n = (struct archive_names){0};
}

/* ---- items ---- */

/* Gives the items that are whole in `buf`. *ret_used: bytes of these. */
static int give(const uint8_t *buf, size_t len, uint64_t *left, archive_item_fn *fn, void *ctx,
                size_t *ret_used)
{
    struct segment_item item;
    size_t at = 0;
    int err = 0;

    while (err == 0 && *left > 0 && len - at >= SEGMENT_ITEM_PEEK) {
        size_t size = segment_item_size(buf + at);

        if (size == 0)
            return -EUCLEAN;
        if (size > len - at)
            break;
        err = segment_item_next(buf, at + size, &at, &item);
        if (err == 0)
            err = fn(&item, ctx);
        --*left;
    }
    *ret_used = at;
    return err;
}

/* A body that is read in pieces. */
struct body {
    struct shard *shard;
    char name[ARCHIVE_NAME_MAX + 1];
    struct sha256 *sum;
    uint8_t *buf; /* of 2 * PIECE bytes */
    size_t used;  /* bytes of it that no item had so far */
};

/* Reads the bytes [from, end) of a body, and gives those that are of the section to `fn`. */
static int read_part(struct body *b, uint64_t from, uint64_t end, uint64_t *left,
                     archive_item_fn *fn, void *ctx)
{
    size_t taken;
    int err = 0;

    for (uint64_t at = from; err == 0 && at < end;) {
        size_t n = end - at < PIECE ? (size_t)(end - at) : PIECE;
        ssize_t got = shard_range(b->shard, b->name, b->buf + b->used, n, at);

        if (got < 0 || (size_t)got < n)
            return got < 0 && got != -ENOENT ? (int)got : -EUCLEAN;
        sha256_add(b->sum, b->buf + b->used, n);
        at += n;
        b->used += n;
        if (!fn) {
            b->used = 0;
            continue;
        }
        err = give(b->buf, b->used, left, fn, ctx, &taken);
        if (err != 0)
            return err;
        memmove(b->buf, b->buf + taken, b->used - taken);
        b->used -= taken;
        if (b->used > (*left ? SEGMENT_ITEM_MAX : 0)) /* no item is so long, or none is to come */
            return -EUCLEAN;
    }
    return err == 0 && b->used > 0 ? -EUCLEAN : err;
}

static int read_body(struct body *b, const struct archive_segment *g,
                     const struct segment_section *section, uint64_t *left, archive_item_fn *fn,
                     void *ctx)
{
    const uint64_t end = section->offset + section->len;
    uint8_t sum[SHA256_LEN];
    int err = read_part(b, 0, section->offset, left, NULL, NULL);

    if (err == 0)
        err = read_part(b, section->offset, end, left, fn, ctx);
    if (err == 0)
        err = read_part(b, end, g->front.head.items_len, left, NULL, NULL);
    if (err == 0)
        err = sha256_end(b->sum, sum);
    return err == 0 && memcmp(sum, g->front.head.items_sum, sizeof sum) != 0 ? -EUCLEAN : err;
}

static int items_of_body(struct shard *s, const struct archive_segment *g,
                         const struct segment_section *section, uint64_t *left, archive_item_fn *fn,
                         void *ctx)
{
    struct body b = {.shard = s, .buf = malloc(2 * PIECE)};
    int err = b.buf ? sha256_new(&b.sum) : -ENOMEM;

    archive_body_name(g->front.head.lineage, g->front.head.at, b.name);
    if (err == 0)
        err = read_body(&b, g, section, left, fn, ctx);
    sha256_free(b.sum);
    free(b.buf);
    return err;
}

int archive_items(struct shard *s, const struct archive_segment *g,
                  const struct segment_section *section, archive_item_fn *fn, void *ctx)
{
    const uint64_t all = g->front.head.items_len;
    uint64_t left = section->items;
    size_t used;
    int err;

    if (section->offset > all || section->len > all - section->offset)
        return -EUCLEAN;
    if (g->front.head.has_body) {
        err = items_of_body(s, g, section, &left, fn, ctx);
    } else {
        err = give(g->bytes + g->items_at + section->offset, section->len, &left, fn, ctx, &used);
        if (err == 0 && used != section->len)
            err = -EUCLEAN;
    }
    return err == 0 && left ? -EUCLEAN : err;
}

/* The sections stand one behind the other, without gaps. */
int archive_all_items(struct shard *s, const struct archive_segment *g, archive_item_fn *fn,
                      void *ctx)
{
    struct segment_section all = {.len = g->front.head.items_len};

    for (uint32_t i = 0; i < g->front.head.sections; i++)
        all.items += g->front.sections[i].items;
    return archive_items(s, g, &all, fn, ctx);
}
