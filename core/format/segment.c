// SPDX-License-Identifier: Apache-2.0
/*
 * segment: the front of a segment; see the header.
 *
 * Where the items of a section begin is not stored: they begin where those of the section before it
 * end.
 */
#include "segment.h"

#include "bytes.h"
#include "image.h"
#include "node.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "TLYSEGMT"
#define VERSION 1
#define LEN_AT 16 /* where the length of the front stands in its head, in any version */
#define HEAD_LEN 192
#define SECTION_HEAD 28  /* of a section: kind 1, flags 1, length of the name 1, zero 1, `is` */
#define SECTION_REST 104 /* what a CHANGE has more, before the name */
#define NAME_HEAD 33     /* bytes of one of the names before the name itself */
#define SUM_LEN 8

enum head_flags { HAS_NAMES = 1 << 0, HAS_BODY = 1 << 1, ALL_HEAD_FLAGS = HAS_NAMES | HAS_BODY };
enum section_flags { IS_FROZEN = 1 << 0, ALL_SECTION_FLAGS = IS_FROZEN };

/* ---- what a front may say ---- */

static bool is_zero(const uint8_t *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (b[i])
            return false;
    return true;
}

static bool is_none(struct segment_pos p)
{
    return p.epoch == 0 && p.serial == 0;
}

static bool is_pos(struct segment_pos p)
{
    return p.epoch > 0 && p.serial > 0;
}

/* Is it none, or one before `at`? */
static bool is_none_or_before(struct segment_pos p, struct segment_pos at)
{
    return is_none(p) || (is_pos(p) && segment_pos_compare(p, at) < 0);
}

static bool is_instant(const struct segment_instant *i)
{
    if (i->ns == 0)
        return i->generation == 0 && i->seq == 0 && i->since == 0;
    return i->ns <= VFS_NS_MAX;
}

static bool head_is_sound(const struct front_head *h)
{
    if (h->lineage == 0 || !is_pos(h->at) || !is_none_or_before(h->before, h->at))
        return false;
    if (is_none(h->before) != is_zero(h->before_sum, sizeof h->before_sum))
        return false;
    return (h->has_names || h->names == 0) && (!h->has_body || h->items_len > 0);
}

/* May so many items have so many bytes? */
static bool is_items(uint64_t items, uint64_t len)
{
    return items <= len / SEGMENT_ITEM_MIN &&
           items >= len / SEGMENT_ITEM_MAX + (len % SEGMENT_ITEM_MAX != 0);
}

/* `offset` is where its items should begin. */
static bool section_is_sound(const struct front_head *h, const struct segment_section *s,
                             uint64_t offset)
{
    if (s->is.ns == 0 || !is_instant(&s->is) || !image_is_name(s->name, strlen(s->name)))
        return false;
    if (s->offset != offset || s->len > h->items_len - offset || !is_items(s->items, s->len))
        return false;
    if (s->kind == SECTION_GONE)
        return s->len == 0 && !s->frozen;
    return s->kind == SECTION_CHANGE && is_instant(&s->from) &&
           is_none_or_before(s->from_at, h->at) && is_none(s->from_at) == (s->from.ns == 0) &&
           s->own_ino <= KEY_INO_MAX + 1 && (s->inodes == UINT64_MAX) == (s->bytes == UINT64_MAX);
}

/* `above` is the number of the namespace before it, or 0. */
static bool name_is_sound(const struct front_head *h, const struct segment_name *n, uint32_t above)
{
    return n->ns > above && n->ns <= VFS_NS_MAX && is_pos(n->at) &&
           segment_pos_compare(n->at, h->at) <= 0 && image_is_name(n->name, strlen(n->name));
}

static bool front_is_sound(const struct segment_front *f)
{
    uint64_t offset = 0;

    if (!head_is_sound(&f->head))
        return false;
    for (uint32_t i = 0; i < f->head.sections; i++) {
        if (!section_is_sound(&f->head, &f->sections[i], offset))
            return false;
        offset += f->sections[i].len;
    }
    for (uint32_t i = 0; i < f->head.names; i++)
        if (!name_is_sound(&f->head, &f->names[i], i ? f->names[i - 1].ns : 0))
            return false;
    return offset == f->head.items_len;
}

/* ---- writing ---- */

static uint8_t *append(uint8_t *p, const void *data, size_t len)
{
    memcpy(p, data, len);
    return p + len;
}

static uint8_t *put_pos(uint8_t *p, struct segment_pos pos)
{
    return append_le64(append_le64(p, pos.epoch), pos.serial);
}

static uint8_t *put_instant(uint8_t *p, const struct segment_instant *i)
{
    p = append_le32(p, i->ns);
    p = append_le32(p, i->generation);
    p = append_le64(p, i->seq);
    return append_le64(p, (uint64_t)i->since);
}

/* Adds the head. The length of the front is put in at the end. */
static void add_head(const struct front_head *h, struct strbuf *out)
{
    uint8_t b[HEAD_LEN], *p = b;

    p = append(p, MAGIC, 8);
    p = append_le32(p, VERSION);
    p = append_le32(p, (h->has_names ? HAS_NAMES : 0u) | (h->has_body ? HAS_BODY : 0u));
    p = append_le64(p, 0);
    p = append_le32(p, h->lineage);
    p = append_le32(p, 0);
    p = put_pos(p, h->at);
    p = put_pos(p, h->before);
    p = append(p, h->before_sum, sizeof h->before_sum);
    p = append(p, h->token, sizeof h->token);
    p = append_le64(p, (uint64_t)h->time);
    p = append_le64(p, h->seq);
    p = append_le64(p, h->packs_below);
    p = append_le64(p, h->retain_seen);
    p = append_le32(p, h->sections);
    p = append_le32(p, h->names);
    p = append_le64(p, h->items_len);
    p = append(p, h->items_sum, sizeof h->items_sum);
    assert(p == b + sizeof b);
    strbuf_add(out, b, sizeof b);
}

/* What a section has only if its namespace is still there. */
static uint8_t *put_change(uint8_t *p, const struct segment_section *s)
{
    p = put_instant(p, &s->from);
    p = put_pos(p, s->from_at);
    p = append(p, s->state, sizeof s->state);
    p = append_le64(p, s->own_ino);
    p = append_le64(p, s->inodes);
    p = append_le64(p, s->bytes);
    p = append_le64(p, s->lost);
    p = append_le64(p, s->items);
    return append_le64(p, s->len);
}

static void add_section(const struct segment_section *s, struct strbuf *out)
{
    uint8_t b[SECTION_HEAD + SECTION_REST], *p = b + 4;

    b[0] = (uint8_t)s->kind;
    b[1] = s->frozen ? IS_FROZEN : 0;
    b[2] = (uint8_t)strlen(s->name);
    b[3] = 0;
    p = put_instant(p, &s->is);
    if (s->kind == SECTION_CHANGE)
        p = put_change(p, s);
    strbuf_add(out, b, (size_t)(p - b));
    strbuf_adds(out, s->name);
}

static void add_name(const struct segment_name *n, struct strbuf *out)
{
    uint8_t b[NAME_HEAD], *p = b;

    p = append_le32(p, n->ns);
    p = append_le32(p, n->generation);
    p = append_le64(p, n->seq);
    p = put_pos(p, n->at);
    *p = (uint8_t)strlen(n->name);
    strbuf_add(out, b, sizeof b);
    strbuf_adds(out, n->name);
}

int segment_front_encode(const struct segment_front *f, struct strbuf *out)
{
    const size_t start = out->len;
    uint8_t sum[SUM_LEN];

    assert(front_is_sound(f));
    add_head(&f->head, out);
    for (uint32_t i = 0; i < f->head.sections; i++)
        add_section(&f->sections[i], out);
    for (uint32_t i = 0; i < f->head.names; i++)
        add_name(&f->names[i], out);
    if (strbuf_error(out) < 0)
        return strbuf_error(out);
    put_le64(out->s + start + LEN_AT, out->len - start + SUM_LEN);
    put_le64(sum, id_checksum(out->s + start, out->len - start, 0));
    strbuf_add(out, sum, sizeof sum);
    return strbuf_error(out);
}

/* ---- reading: a field that is not there reads as zeros, and `over` is set ---- */

static void take_bytes(struct field_reader *f, void *out, size_t len)
{
    const uint8_t *p = field_bytes(f, len);

    if (p)
        memcpy(out, p, len);
}

static uint8_t take_byte(struct field_reader *f)
{
    uint8_t b = 0;

    take_bytes(f, &b, 1);
    return b;
}

static struct segment_pos take_pos(struct field_reader *f)
{
    struct segment_pos p;

    p.epoch = field_number(f, 8);
    p.serial = field_number(f, 8);
    return p;
}

static struct segment_instant take_instant(struct field_reader *f)
{
    struct segment_instant i;

    i.ns = (uint32_t)field_number(f, 4);
    i.generation = (uint32_t)field_number(f, 4);
    i.seq = field_number(f, 8);
    i.since = (int64_t)field_number(f, 8);
    return i;
}

/* Reads the head from behind the length of the front on. False: there are not zeros where there
 * should be. */
static bool take_head(struct field_reader *f, uint32_t flags, struct front_head *h)
{
    bool zero;

    h->has_names = flags & HAS_NAMES;
    h->has_body = flags & HAS_BODY;
    h->lineage = (uint32_t)field_number(f, 4);
    zero = field_number(f, 4) == 0;
    h->at = take_pos(f);
    h->before = take_pos(f);
    take_bytes(f, h->before_sum, sizeof h->before_sum);
    take_bytes(f, h->token, sizeof h->token);
    h->time = (int64_t)field_number(f, 8);
    h->seq = field_number(f, 8);
    h->packs_below = field_number(f, 8);
    h->retain_seen = field_number(f, 8);
    h->sections = (uint32_t)field_number(f, 4);
    h->names = (uint32_t)field_number(f, 4);
    h->items_len = field_number(f, 8);
    take_bytes(f, h->items_sum, sizeof h->items_sum);
    return zero && flags <= ALL_HEAD_FLAGS;
}

/* Reads a name of `len` bytes. False: it has a NUL. */
static bool take_name(struct field_reader *f, size_t len, char name[SECTION_NAME_MAX + 1])
{
    take_bytes(f, name, len);
    return strlen(name) == len;
}

/* *offset is where its items begin, and becomes where they end. */
static bool take_section(struct field_reader *f, uint64_t *offset, struct segment_section *s)
{
    unsigned flags, name_len;
    bool zero;

    s->kind = (enum section_kind)take_byte(f);
    flags = take_byte(f);
    name_len = take_byte(f);
    zero = take_byte(f) == 0 && (flags & ~(unsigned)ALL_SECTION_FLAGS) == 0;
    s->frozen = flags & IS_FROZEN;
    s->is = take_instant(f);
    s->offset = *offset;
    if (s->kind == SECTION_CHANGE) {
        s->from = take_instant(f);
        s->from_at = take_pos(f);
        take_bytes(f, s->state, sizeof s->state);
        s->own_ino = field_number(f, 8);
        s->inodes = field_number(f, 8);
        s->bytes = field_number(f, 8);
        s->lost = field_number(f, 8);
        s->items = field_number(f, 8);
        s->len = field_number(f, 8);
    }
    *offset += s->len; /* if it goes beyond the end, section_is_sound finds out before it is used */
    return take_name(f, name_len, s->name) && zero;
}

static bool take_one_name(struct field_reader *f, struct segment_name *n)
{
    n->ns = (uint32_t)field_number(f, 4);
    n->generation = (uint32_t)field_number(f, 4);
    n->seq = field_number(f, 8);
    n->at = take_pos(f);
    return take_name(f, take_byte(f), n->name);
}

/* Makes room for the sections and the names, of which there are not more than bytes for them. */
static int make_room(size_t bytes, struct segment_front *front)
{
    const size_t sections = front->head.sections, names = front->head.names;

    if (sections > bytes / (SECTION_HEAD + 1) || names > bytes / (NAME_HEAD + 1))
        return -EUCLEAN;
    front->sections = sections ? calloc(sections, sizeof *front->sections) : NULL;
    front->names = names ? calloc(names, sizeof *front->names) : NULL;
    return (sections && !front->sections) || (names && !front->names) ? -ENOMEM : 0;
}

/* Reads what is behind the length of the front. The caller releases *front also after an error. */
static int take_front(struct field_reader *f, uint32_t flags, struct segment_front *front)
{
    uint64_t offset = 0;
    bool good = true;
    int err;

    if (!take_head(f, flags, &front->head))
        return -EUCLEAN;
    err = make_room((size_t)(f->end - f->p), front);
    if (err < 0)
        return err;
    for (uint32_t i = 0; good && i < front->head.sections; i++)
        good = take_section(f, &offset, &front->sections[i]);
    for (uint32_t i = 0; good && i < front->head.names; i++)
        good = take_one_name(f, &front->names[i]);
    return good && !f->over && f->p == f->end && front_is_sound(front) ? 0 : -EUCLEAN;
}

/* Checks what is the same in all versions: magic, version, length and checksum. */
static int check_front(const uint8_t *buf, size_t len, size_t *ret_front_len)
{
    uint64_t front_len;

    if (len < HEAD_LEN + SUM_LEN || memcmp(buf, MAGIC, 8) != 0)
        return -EUCLEAN;
    front_len = get_le64(buf + LEN_AT);
    if (front_len < HEAD_LEN + SUM_LEN || front_len > len)
        return -EUCLEAN;
    if (get_le64(buf + front_len - SUM_LEN) != id_checksum(buf, (size_t)front_len - SUM_LEN, 0))
        return -EUCLEAN;
    if (get_le32(buf + 8) != VERSION)
        return get_le32(buf + 8) > VERSION ? -EPROTO : -EUCLEAN;
    *ret_front_len = (size_t)front_len;
    return 0;
}

int segment_front_decode(const void *buf, size_t len, struct segment_front *ret, size_t *ret_used)
{
    const uint8_t *b = buf;
    struct segment_front front = {0};
    struct field_reader f;
    size_t front_len;
    int err = check_front(b, len, &front_len);

    if (err < 0)
        return err;
    f = (struct field_reader){b + LEN_AT + 8, b + front_len - SUM_LEN, false};
    err = take_front(&f, get_le32(b + 12), &front);
    if (err == 0 && len - front_len != (front.head.has_body ? 0 : front.head.items_len))
        err = -EUCLEAN;
    if (err < 0) {
        segment_front_release(&front);
        return err;
    }
    *ret = front;
    *ret_used = front_len;
    return 0;
}

void segment_front_release(struct segment_front *f)
{
    free(f->sections);
    free(f->names);
    *f = (struct segment_front){0};
}
