// SPDX-License-Identifier: Apache-2.0
/* Claims of archive_read.h: the items of a segment, beside it and in a body, sound and hostile. */
#include "archive_read.h"
#include "archive_text.h"
#include "chain_fixture.h"
#include "sha256.h"

#define SECTIONS 3u
#define MIDDLE 1u     /* the section that has most of the items */
#define FEW 7u        /* items of each other section */
#define MANY 4000u    /* so many are more than are kept beside a front */
#define LONGEST 1999u /* bytes of a value */

static const struct segment_pos here = {1, 1};

/* A segment as it is written. */
static struct segment_front front;
static struct segment_section sections[SECTIONS];
static struct strbuf items = STRBUF_INIT;
static struct archive_segment segment; /* as it is read */

static void up(void)
{
    setup();
}
static void down(void)
{
    archive_segment_release(&segment);
    strbuf_release(&items);
    teardown();
}

TestSuite(archive_read, .init = up, .fini = down);

/* ---- making one ---- */

/* Item n, whose value has a length of its own. */
static struct segment_item item_of(uint64_t n, uint8_t val[LONGEST])
{
    size_t len = 1 + (size_t)(n * 7919 % LONGEST);

    memset(val, (int)(n % 255 + 1), len);
    return (struct segment_item){.type = ITEM_SYMLINK, .ino = n, .rest = n, .val = val, .len = len};
}

static void add_items(struct segment_section *s, uint64_t from, uint64_t count)
{
    uint8_t buf[SEGMENT_ITEM_MAX], val[LONGEST];

    s->offset = items.len;
    s->items = count;
    for (uint64_t n = from; n < from + count; n++) {
        struct segment_item i = item_of(n, val);

        strbuf_add(&items, buf, segment_item_encode(&i, buf));
    }
    s->len = items.len - s->offset;
}

static void sum_items(void)
{
    struct sha256 *h;

    cr_assert_eq(sha256_new(&h), 0);
    sha256_add(h, items.s, items.len);
    cr_assert_eq(sha256_end(h, front.head.items_sum), 0);
    sha256_free(h);
}

/* Puts the segment, with the items that there are now, and with the sum of these. */
static void put_segment(void)
{
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    char name[ARCHIVE_NAME_MAX + 1];

    sum_items();
    front.head.items_len = items.len;
    cr_assert_eq(segment_front_encode(&front, &bytes), 0);
    if (front.head.has_body) {
        archive_body_name(LINEAGE, here, name);
        cr_assert_eq(shard_put(shard, name, items.s, items.len), 0);
    } else {
        strbuf_add(&bytes, items.s, items.len);
    }
    archive_segment_name(LINEAGE, here, name);
    cr_assert_eq(shard_put(shard, name, bytes.s, bytes.len), 0);
}

static void make_sections(uint64_t most)
{
    uint64_t from = 1;

    front.head = (struct front_head){.lineage = LINEAGE, .at = here, .sections = SECTIONS};
    front.sections = sections;
    for (uint32_t i = 0; i < SECTIONS; i++) {
        uint64_t count = i == MIDDLE ? most : FEW;

        sections[i] = (struct segment_section){.kind = SECTION_CHANGE, .is = {.ns = i + 1}};
        snprintf(sections[i].name, sizeof sections[i].name, "section%u", i);
        add_items(&sections[i], from, count);
        from += count;
    }
}

static void read_segment(void)
{
    archive_segment_release(&segment);
    cr_assert_eq(archive_read(shard, LINEAGE, here, &segment), 0);
}

/* A segment with a body, or a small one without. */
static void make(bool has_body)
{
    make_sections(has_body ? MANY : FEW);
    front.head.has_body = has_body;
    put_segment();
    read_segment();
}

/* Puts a body of that length in place of the one that the segment speaks of. */
static void replace_body(size_t len)
{
    char name[ARCHIVE_NAME_MAX + 1];

    archive_body_name(LINEAGE, here, name);
    cr_assert_eq(shard_mem_lose(place, name), 0);
    if (len)
        cr_assert_eq(shard_put(shard, name, items.s, len), 0);
}

/* ---- reading it ---- */

struct seen {
    uint64_t next; /* item that should come */
    uint64_t stop; /* at this one with 7; 0: at none */
};

static int compare_item(const struct segment_item *i, void *ctx)
{
    struct seen *s = ctx;
    uint8_t val[LONGEST];
    struct segment_item want = item_of(s->next++, val);

    cr_assert(i->ino == want.ino && i->rest == want.rest && i->type == want.type);
    cr_assert(i->len == want.len && memcmp(i->val, val, want.len) == 0);
    return i->ino == s->stop ? 7 : 0;
}

/* The number of the first item of a section. */
static uint64_t first_of(uint32_t section)
{
    uint64_t first = 1;

    for (uint32_t i = 0; i < section; i++)
        first += sections[i].items;
    return first;
}

static int read_as(uint32_t number, const struct segment_section *s)
{
    struct seen seen = {.next = first_of(number)};
    int err = archive_items(shard, &segment, s, compare_item, &seen);

    cr_assert(err < 0 || seen.next == first_of(number) + sections[number].items);
    return err;
}

/* What the section would have if its head said something else of it. */
static int read_with(int items_more, int bytes_more)
{
    struct segment_section s = segment.front.sections[MIDDLE];

    s.items += (uint64_t)(int64_t)items_more;
    s.len += (uint64_t)(int64_t)bytes_more;
    return read_as(MIDDLE, &s);
}

static void all_come(void)
{
    cr_assert_eq(segment.front.head.sections, SECTIONS);
    for (uint32_t i = 0; i < SECTIONS; i++)
        cr_assert_eq(read_as(i, &segment.front.sections[i]), 0);
}

static void none_comes(void)
{
    for (uint32_t i = 0; i < SECTIONS; i++)
        cr_assert_eq(read_as(i, &segment.front.sections[i]), -EUCLEAN);
}

/* ---- in a body ---- */

Test(archive_read, the_items_of_each_section_come_from_a_body)
{
    make(true);
    cr_assert_gt(items.len, 3u << 20);
    all_come();
}

Test(archive_read, a_result_of_the_caller_ends_the_items_of_a_body)
{
    struct seen seen = {.next = FEW + 1, .stop = FEW + 3};
    struct segment_section s;

    make(true);
    s = segment.front.sections[MIDDLE];
    cr_assert_eq(archive_items(shard, &segment, &s, compare_item, &seen), 7);
    cr_assert_eq(seen.next, FEW + 4);
}

Test(archive_read, a_section_of_a_body_that_says_fewer_items_is_refused)
{
    make(true);
    cr_assert_eq(read_with(-1, 0), -EUCLEAN);
    cr_assert_eq(read_with(1 - (int)MANY, 0), -EUCLEAN);
    cr_assert_eq(read_with(-(int)MANY, 0), -EUCLEAN);
}

Test(archive_read, a_section_of_a_body_that_says_more_items_is_refused)
{
    make(true);
    cr_assert_eq(read_with(1, 0), -EUCLEAN);
    cr_assert_eq(read_with(1000000, 0), -EUCLEAN);
}

Test(archive_read, a_section_of_a_body_that_is_longer_than_its_items_is_refused)
{
    make(true);
    cr_assert_eq(read_with(0, 1), -EUCLEAN);
    cr_assert_eq(read_with(0, (int)sections[2].len), -EUCLEAN);
}

Test(archive_read, a_section_of_a_body_that_ends_within_an_item_is_refused)
{
    make(true);
    cr_assert_eq(read_with(0, -1), -EUCLEAN);
    cr_assert_eq(read_with(-1, -1), -EUCLEAN);
}

Test(archive_read, a_section_beyond_the_end_of_a_body_is_refused)
{
    struct segment_section s;

    make(true);
    s = segment.front.sections[2];
    s.len++;
    cr_assert_eq(read_as(2, &s), -EUCLEAN);
    s.len = UINT64_MAX;
    cr_assert_eq(read_as(2, &s), -EUCLEAN);
    s.offset = UINT64_MAX;
    cr_assert_eq(read_as(2, &s), -EUCLEAN);
}

/* The front itself says so, and all sums are right. */
Test(archive_read, a_front_that_says_fewer_items_than_a_body_has_is_refused)
{
    make_sections(MANY);
    front.head.has_body = true;
    sections[MIDDLE].items -= 1000;
    put_segment();
    sections[MIDDLE].items += 1000;
    read_segment();
    cr_assert_eq(read_as(0, &segment.front.sections[0]), 0);
    cr_assert_eq(read_as(MIDDLE, &segment.front.sections[MIDDLE]), -EUCLEAN);
}

Test(archive_read, a_body_of_zeros_behind_its_items_is_refused)
{
    static const uint8_t zeros[2 << 20];

    make_sections(MANY);
    front.head.has_body = true;
    strbuf_add(&items, zeros, sizeof zeros);
    sections[2].len += sizeof zeros;
    sections[2].items += sizeof zeros / SEGMENT_ITEM_MAX + 1;
    put_segment();
    read_segment();
    cr_assert_eq(read_as(2, &segment.front.sections[2]), -EUCLEAN);
}

Test(archive_read, a_body_that_is_cut_short_is_refused)
{
    make(true);
    replace_body(items.len - 1);
    none_comes();
    replace_body((size_t)sections[MIDDLE].offset + 5);
    none_comes();
    replace_body(1);
    none_comes();
}

Test(archive_read, a_body_that_is_not_there_is_refused)
{
    make(true);
    replace_body(0);
    none_comes();
}

Test(archive_read, a_flipped_bit_in_any_section_of_a_body_is_refused)
{
    char name[ARCHIVE_NAME_MAX + 1];

    make(true);
    archive_body_name(LINEAGE, here, name);
    for (uint32_t i = 0; i < SECTIONS; i++) {
        uint64_t last = sections[i].offset + sections[i].len - 1;

        cr_assert_eq(shard_mem_flip(place, name, last, 3), 0);
        for (uint32_t other = 0; other < SECTIONS; other++)
            if (other != i)
                cr_assert_eq(read_as(other, &segment.front.sections[other]), -EUCLEAN);
        cr_assert_eq(shard_mem_flip(place, name, last, 3), 0);
    }
    all_come();
}

/* The first two bytes of an item are its length. */
Test(archive_read, an_item_of_a_body_with_a_length_that_none_has_is_refused)
{
    make_sections(MANY);
    front.head.has_body = true;
    items.s[sections[MIDDLE].offset] = 1;
    items.s[sections[MIDDLE].offset + 1] = 0;
    put_segment();
    read_segment();
    cr_assert_eq(read_as(MIDDLE, &segment.front.sections[MIDDLE]), -EUCLEAN);
    items.s[sections[MIDDLE].offset + 1] = (char)0xff;
    replace_body(items.len);
    cr_assert_eq(read_as(MIDDLE, &segment.front.sections[MIDDLE]), -EUCLEAN);
}

/* ---- beside the front ---- */

Test(archive_read, the_items_of_each_section_come_from_the_segment)
{
    make(false);
    all_come();
}

Test(archive_read, a_section_that_says_another_number_of_items_is_refused)
{
    make(false);
    cr_assert_eq(read_with(-1, 0), -EUCLEAN);
    cr_assert_eq(read_with(1, 0), -EUCLEAN);
}

Test(archive_read, a_section_that_is_longer_or_shorter_than_its_items_is_refused)
{
    make(false);
    cr_assert_eq(read_with(0, 1), -EUCLEAN);
    cr_assert_eq(read_with(0, -1), -EUCLEAN);
    cr_assert_eq(read_with(0, 1 << 20), -EUCLEAN);
}

/* ---- the segment ---- */

Test(archive_read, a_segment_that_is_not_there_is_said)
{
    cr_assert_eq(archive_read(shard, LINEAGE, here, &segment), -ENOENT);
}

Test(archive_read, a_segment_of_another_place_is_refused)
{
    char from[ARCHIVE_NAME_MAX + 1], to[ARCHIVE_NAME_MAX + 1];
    static uint8_t bytes[1 << 20];
    ssize_t n;

    make(false);
    archive_segment_name(LINEAGE, here, from);
    n = shard_get(shard, from, bytes, sizeof bytes);
    cr_assert_gt(n, 0);
    archive_segment_name(LINEAGE, (struct segment_pos){1, 2}, to);
    cr_assert_eq(shard_put(shard, to, bytes, (size_t)n), 0);
    archive_segment_release(&segment);
    cr_assert_eq(archive_read(shard, LINEAGE, (struct segment_pos){1, 2}, &segment), -EUCLEAN);
}

Test(archive_read, a_flipped_bit_of_a_segment_is_refused)
{
    char name[ARCHIVE_NAME_MAX + 1];
    uint64_t len;

    make(false);
    archive_segment_name(LINEAGE, here, name);
    len = segment.len;
    archive_segment_release(&segment);
    for (uint64_t at = 0; at < len; at += 307) {
        int err;

        cr_assert_eq(shard_mem_flip(place, name, at, at % 8), 0);
        err = archive_read(shard, LINEAGE, here, &segment);
        cr_assert(err == -EUCLEAN || err == -EPROTO, "byte %llu: %d", (unsigned long long)at, err);
        cr_assert_eq(shard_mem_flip(place, name, at, at % 8), 0);
    }
    read_segment();
}
