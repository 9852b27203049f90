// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever an archive has in place of items, beside a front or in a body, and whatever a section
 * says of them: what comes are the items that stand there, one behind the other, and no others. It
 * is refused unless they are as many as the section says, and fill its bytes. Sums are made right,
 * else nothing would pass them.
 * Input: one byte (bit 0: there is a body), how often the items stand there 1 (0: once), offset of
 * the section 2, its length 4, its number of items 4; then the items. A length or number of 0
 * stands for that of all items.
 */
#include "archive_read.h"

#include "archive_text.h"
#include "bytes.h"
#include "fuzz.h"
#include "sha256.h"
#include "shard_mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINEAGE 7
#define HEAD 12 /* bytes of an input before its items */

/* What should come. */
struct expected {
    const uint8_t *items;
    size_t len, at;
    uint64_t count;
};

static int compare(const struct segment_item *i, void *ctx)
{
    struct expected *e = ctx;
    struct segment_item want;

    MUST(segment_item_next(e->items, e->len, &e->at, &want) == 0);
    MUST(i->type == want.type && i->ino == want.ino && i->rest == want.rest);
    MUST(i->gone == want.gone && i->len == want.len && i->name_len == want.name_len);
    MUST(i->len == 0 || memcmp(i->val, want.val, want.len) == 0);
    MUST(i->name_len == 0 || memcmp(i->name, want.name, want.name_len) == 0);
    e->count++;
    return 0;
}

/* Is the section as it should be? */
static bool is_sound(const uint8_t *items, const struct segment_section *s)
{
    struct segment_item i;
    uint64_t count = 0;
    size_t at = 0;

    while (count < s->items && segment_item_next(items, s->len, &at, &i) == 0)
        count++;
    return count == s->items && at == s->len;
}

static struct shard *place(void)
{
    static struct shard_mem *mem;
    static struct shard *shard;
    char why[SHARD_WHY];

    if (!shard) {
        shard_mem_register();
        MUST(shard_mem_create("items", NULL, &mem) == 0);
        MUST(shard_open("mem:items", 0, &shard, why) == 0);
    }
    return shard;
}

static void put_body(const struct archive_segment *g, const uint8_t *items, size_t len)
{
    char name[ARCHIVE_NAME_MAX + 1];

    archive_body_name(LINEAGE, g->front.head.at, name);
    MUST(shard_put(place(), name, items, len) == 0);
}

static void check(struct archive_segment *g, uint8_t *items, size_t len,
                  const struct segment_section *s)
{
    bool fits = s->offset <= len && s->len <= len - s->offset;
    struct expected e = {.items = items + (fits ? s->offset : 0), .len = fits ? s->len : 0};
    struct sha256 *h;
    int err;

    MUST(sha256_new(&h) == 0);
    sha256_add(h, items, len);
    MUST(sha256_end(h, g->front.head.items_sum) == 0);
    sha256_free(h);
    if (g->front.head.has_body)
        put_body(g, items, len);
    else
        g->bytes = items;
    err = archive_items(place(), g, s, compare, &e);
    MUST(err == (fits && is_sound(items + s->offset, s) ? 0 : -EUCLEAN));
    MUST(e.count <= s->items && (err < 0 || (e.count == s->items && e.at == s->len)));
}

static uint64_t count_items(const uint8_t *items, size_t len)
{
    struct segment_item i;
    uint64_t count = 0;
    size_t at = 0;

    while (segment_item_next(items, len, &at, &i) == 0)
        count++;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct archive_segment g = {.front.head = {.lineage = LINEAGE, .at = {1, 1}}};
    struct segment_section s = {.kind = SECTION_CHANGE};
    size_t one = len > HEAD ? len - HEAD : 0, times, all;
    uint8_t *items;

    if (one == 0)
        return 0;
    times = data[1] ? data[1] : 1;
    all = one * times;
    items = malloc(all);
    MUST(items);
    for (size_t i = 0; i < times; i++)
        memcpy(items + i * one, data + HEAD, one);
    g.front.head.has_body = data[0] & 1;
    g.front.head.items_len = g.len = all;
    s.offset = get_le16(data + 2);
    s.len = get_le32(data + 4) ? get_le32(data + 4) : all;
    s.items = get_le32(data + 8) ? get_le32(data + 8) : count_items(items, all);
    check(&g, items, all, &s);
    free(items);
    return 0;
}
