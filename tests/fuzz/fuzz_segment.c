// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever an archive has in place of a segment or of items, it is refused, or written again it is
 * the same bytes. Length and checksum of a front are made right, else nothing would pass them.
 * Input: one byte (0: items; else: a front and what follows it), then for a front its length 2, its
 * flags 4 and what is between the length in its head and its checksum; then the rest.
 */
#include "segment.h"

#include "bytes.h"
#include "fuzz.h"
#include "id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIXED 24 /* bytes of a head up to its length */
#define SUM 8

static void check_sum(const struct segment_item *i)
{
    static const uint8_t zeros[SEGMENT_STATE_LEN];
    uint8_t state[SEGMENT_STATE_LEN] = {0};

    segment_state_add(state, i);
    segment_state_take(state, i);
    MUST(memcmp(state, zeros, sizeof zeros) == 0);
}

static void check_item(const struct segment_item *i)
{
    struct key k = key_make(i->ino, i->type, i->rest);

    MUST(i->ino > 0 && i->ino <= KEY_INO_MAX);
    MUST(i->gone == !i->val && i->len <= PAGE_VALUE_MAX);
    MUST(!i->name == !i->name_len && i->name_len <= ITEM_NAME_MAX);
    MUST((i->type == ITEM_DIRENT || i->type == ITEM_XATTR) == (i->name_len > 0));
    if (i->gone)
        return;
    MUST(item_check(k, i->val, i->len) == 0);
    MUST(item_object(k, i->val, i->len) == (i->has_content ? SEGMENT_OBJECT : 0));
    check_sum(i);
}

static void check_items(const uint8_t *data, size_t len)
{
    uint8_t again[SEGMENT_ITEM_MAX];
    struct segment_item i;
    size_t at = 0, was;
    int err;

    for (;;) {
        was = at;
        err = segment_item_next(data, len, &at, &i);
        if (err < 0)
            break;
        MUST(at > was && at <= len && segment_item_size(data + was) == at - was);
        check_item(&i);
        MUST(segment_item_encode(&i, again) == at - was);
        MUST(memcmp(again, data + was, at - was) == 0);
    }
    MUST(at == was && (err == -ENOENT) == (at == len));
}

static void check_sections(const struct segment_front *f)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < f->head.sections; i++) {
        const struct segment_section *s = &f->sections[i];

        MUST(s->offset == at && s->len <= f->head.items_len - at);
        MUST(strlen(s->name) > 0 && !strchr(s->name, '/'));
        MUST((s->from.ns == 0) == (s->from_at.epoch == 0));
        at += s->len;
    }
    MUST(at == f->head.items_len);
}

static void check_segment(const uint8_t *bytes, size_t len)
{
    struct strbuf again = STRBUF_INIT;
    struct segment_front f;
    size_t used;

    if (segment_front_decode(bytes, len, &f, &used) < 0)
        return;
    MUST(used <= len && len - used == (f.head.has_body ? 0 : f.head.items_len));
    check_sections(&f);
    for (uint32_t i = 0; i < f.head.names; i++)
        MUST(strlen(f.names[i].name) > 0 && (i == 0 || f.names[i].ns > f.names[i - 1].ns));
    MUST(segment_front_encode(&f, &again) == 0);
    MUST(again.len == used && memcmp(again.s, bytes, used) == 0);
    strbuf_release(&again);
    segment_front_release(&f);
}

/* `front` bytes of the input belong to the front. */
static void check_sealed(const uint8_t *data, size_t len, size_t front)
{
    const size_t size = FIXED + front - 4 + SUM, rest = len - front;
    uint8_t *bytes = malloc(size + rest);

    MUST(bytes);
    memcpy(bytes, "TLYSEGMT\1\0\0\0", 12);
    memcpy(bytes + 12, data, 4);
    put_le64(bytes + 16, size);
    memcpy(bytes + FIXED, data + 4, front - 4);
    put_le64(bytes + size - SUM, id_checksum(bytes, size - SUM, 0));
    if (rest)
        memcpy(bytes + size, data + front, rest);
    check_segment(bytes, size + rest);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t front;

    if (len > 0 && data[0] == 0) {
        check_items(data + 1, len - 1);
    } else if (len >= 3 + 4) {
        front = get_le16(data + 1);
        front = front < len - 3 ? front : len - 3;
        check_sealed(data + 3, len - 3, front < 4 ? 4 : front);
        check_segment(data, len);
    }
    return 0;
}
