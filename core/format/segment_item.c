// SPDX-License-Identifier: Apache-2.0
/*
 * segment_item: the items of a segment, and the state sum; see segment.h.
 *
 * An item is: length of all of it 2, type 1, flags 1, inode number 8, [rest 8], [id 16, size 8,
 * number 8, offset 4], then its value, or its name if it is gone. What is in brackets is there if
 * the type or the flags say so.
 */
#include "segment.h"

#include "bytes.h"
#include "image.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

enum item_flags {
    IS_GONE = 1 << 0,
    HAS_CONTENT = 1 << 1,
    IN_PACK = 1 << 2, /* only with HAS_CONTENT */
    ALL_FLAGS = IS_GONE | HAS_CONTENT | IN_PACK,
};
/* As FORMAT.md has them in sections 9 and 10. */
#define PACK_HEAD 32
#define PACK_ALIGN 8
#define PACK_PAYLOAD_MAX (UINT64_C(1) << 20)

#define SUMMED_MAX (2 + 16 + ID_LEN + 8 + PAGE_VALUE_MAX) /* bytes of an item that are summed */

/* ---- what an item may say ---- */

static bool type_has_rest(enum item_type type)
{
    return type == ITEM_SYMLINK || type == ITEM_EXTENT || type == ITEM_SUBBLOCK ||
           type == ITEM_HOLES;
}

static bool type_has_name(enum item_type type)
{
    return type == ITEM_DIRENT || type == ITEM_XATTR;
}

static bool is_content(const struct segment_content *c)
{
    if (c->size == 0)
        return false;
    if (c->in_pack)
        return c->where && c->size <= PACK_PAYLOAD_MAX && c->offset >= PACK_HEAD &&
               c->offset % PACK_ALIGN == 0;
    return c->size <= SEGMENT_CONTENT_MAX && c->offset == 0;
}

/* May an item of that type have this name? */
static bool is_name(enum item_type type, const char *name, size_t len)
{
    if (type == ITEM_DIRENT)
        return image_is_name(name, len);
    return len > 0 && len <= XATTR_NAME_MAX && !memchr(name, 0, len);
}

/* May an item of that type have this rest in its key? */
static bool is_rest(enum item_type type, uint64_t rest)
{
    switch (type) {
    case ITEM_SYMLINK:
        return true;
    case ITEM_EXTENT:
    case ITEM_HOLES:
        return rest % EXTENT_BLOCK == 0;
    case ITEM_SUBBLOCK:
        return rest % FILE_PAGE == 0;
    default:
        return rest == 0;
    }
}

static bool is_gone_item(const struct segment_item *i)
{
    if (i->len || i->has_content)
        return false;
    return type_has_name(i->type) ? is_name(i->type, i->name, i->name_len) : i->name_len == 0;
}

/* Is the value one of its type, with the name and the object that it should have? The key has no
 * hash, so no item is taken for a counter. */
static bool is_put_item(const struct segment_item *i)
{
    struct key k = key_make(i->ino, i->type, i->rest);
    const char *name;
    size_t len;

    if (i->len > PAGE_VALUE_MAX || item_check(k, i->val, i->len) < 0)
        return false;
    if (item_object(k, i->val, i->len) != (i->has_content ? SEGMENT_OBJECT : 0))
        return false;
    if (!type_has_name(i->type))
        return true;
    return item_name(k, i->val, i->len, &name, &len) == 0 && is_name(i->type, name, len);
}

/* Is it one that can be summed? Where its content is does not matter for that. The type is looked
 * at first: a key has but 6 bits of it. */
static bool is_item(const struct segment_item *i)
{
    if (i->type < ITEM_INODE || i->type > ITEM_HOLES)
        return false;
    if (i->ino == 0 || i->ino > KEY_INO_MAX || !is_rest(i->type, i->rest))
        return false;
    return i->gone ? is_gone_item(i) : is_put_item(i);
}

/* Is it one that can be encoded? */
static bool is_sound(const struct segment_item *i)
{
    return is_item(i) && (!i->has_content || is_content(&i->content));
}

/* ---- bytes ---- */

static uint8_t *append(uint8_t *p, const void *data, size_t len)
{
    if (len)
        memcpy(p, data, len);
    return p + len;
}

static uint8_t flags_of(const struct segment_item *i)
{
    if (!i->has_content)
        return i->gone ? IS_GONE : 0;
    return i->content.in_pack ? HAS_CONTENT | IN_PACK : HAS_CONTENT;
}

static uint8_t *put_content(uint8_t *p, const struct segment_content *c)
{
    p = append(p, c->id.b, ID_LEN);
    p = append_le64(p, c->size);
    p = append_le64(p, c->where);
    return append_le32(p, c->offset);
}

size_t segment_item_encode(const struct segment_item *i, uint8_t out[SEGMENT_ITEM_MAX])
{
    uint8_t *p = out + 4;

    assert(is_sound(i));
    out[2] = (uint8_t)i->type;
    out[3] = flags_of(i);
    p = append_le64(p, i->ino);
    if (type_has_rest(i->type))
        p = append_le64(p, i->rest);
    if (i->has_content)
        p = put_content(p, &i->content);
    p = i->gone ? append(p, i->name, i->name_len) : append(p, i->val, i->len);
    put_le16(out, (uint16_t)(p - out));
    return (size_t)(p - out);
}

size_t segment_item_size(const uint8_t buf[SEGMENT_ITEM_PEEK])
{
    size_t size = get_le16(buf);

    return size < SEGMENT_ITEM_MIN || size > SEGMENT_ITEM_MAX ? 0 : size;
}

static void take_content(struct field_reader *f, struct segment_content *c)
{
    const uint8_t *id = field_bytes(f, ID_LEN);

    if (id)
        memcpy(c->id.b, id, ID_LEN);
    c->size = field_number(f, 8);
    c->where = field_number(f, 8);
    c->offset = (uint32_t)field_number(f, 4);
}

/* What is behind the fields: the name of an item that is gone, else the value. */
static void take_end(struct field_reader *f, struct segment_item *i)
{
    size_t len = (size_t)(f->end - f->p);

    if (!i->gone) {
        i->val = f->p;
        i->len = len;
    } else if (len) {
        i->name = (const char *)f->p;
        i->name_len = len;
    }
}

/* Reads the `size` bytes of an item. */
static int decode(const uint8_t *buf, size_t size, struct segment_item *ret)
{
    struct field_reader f = {buf + 4, buf + size, false};
    struct segment_item i = {.type = (enum item_type)buf[2]};
    unsigned flags = buf[3];

    i.gone = flags & IS_GONE;
    i.has_content = flags & HAS_CONTENT;
    i.content.in_pack = flags & IN_PACK;
    if (flags & ~(unsigned)ALL_FLAGS || (i.content.in_pack && !i.has_content))
        return -EUCLEAN;
    i.ino = field_number(&f, 8);
    i.rest = type_has_rest(i.type) ? field_number(&f, 8) : 0;
    if (i.has_content)
        take_content(&f, &i.content);
    if (f.over)
        return -EUCLEAN;
    take_end(&f, &i);
    if (!is_sound(&i))
        return -EUCLEAN;
    *ret = i;
    if (i.gone || !type_has_name(i.type))
        return 0;
    return item_name(key_make(i.ino, i.type, 0), i.val, i.len, &ret->name, &ret->name_len);
}

int segment_item_next(const void *items, size_t len, size_t *at, struct segment_item *ret)
{
    const uint8_t *buf = items;
    size_t left = len - *at, size;
    int err;

    if (left == 0)
        return -ENOENT;
    if (left < SEGMENT_ITEM_MIN)
        return -EUCLEAN;
    size = segment_item_size(buf + *at);
    if (size == 0 || size > left)
        return -EUCLEAN;
    err = decode(buf + *at, size, ret);
    if (err == 0)
        *at += size;
    return err;
}

/* ---- the state sum ---- */

/* The checksum of an item: of its type, whether it has a content, its inode number, its rest, the
 * id and the size of its content if it has one, and its value. A name is in the value. */
static void sum_item(const struct segment_item *i, uint64_t ret_sum[2])
{
    uint8_t text[SUMMED_MAX], *p = text + 2;

    assert(!i->gone && is_item(i) && (!i->has_content || i->content.size > 0));
    text[0] = (uint8_t)i->type;
    text[1] = i->has_content;
    p = append_le64(p, i->ino);
    p = append_le64(p, i->rest);
    if (i->has_content) {
        p = append(p, i->content.id.b, ID_LEN);
        p = append_le64(p, i->content.size);
    }
    p = append(p, i->val, i->len);
    id_checksum_128(text, (size_t)(p - text), ret_sum);
}

void segment_state_add(uint8_t state[SEGMENT_STATE_LEN], const struct segment_item *i)
{
    uint64_t sum[2], low = get_le64(state), high = get_le64(state + 8);

    sum_item(i, sum);
    low += sum[0];
    high += sum[1] + (low < sum[0]);
    put_le64(state, low);
    put_le64(state + 8, high);
}

void segment_state_take(uint8_t state[SEGMENT_STATE_LEN], const struct segment_item *i)
{
    uint64_t sum[2], low = get_le64(state), high = get_le64(state + 8);

    sum_item(i, sum);
    high -= sum[1] + (low < sum[0]);
    low -= sum[0];
    put_le64(state, low);
    put_le64(state + 8, high);
}
