// SPDX-License-Identifier: Apache-2.0
/*
 * image: see the header. Each record begins with its length, its type and its sum. The sum is
 * seeded with that of the record before, so it vouches for all records so far: a record that is
 * lost, repeated or moved is found at the next one, and the END says that none is lost at the end.
 */
#include "image.h"
#include "bytes.h"
#include "id.h"
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC "TLYIMAGE"
#define MAGIC_REST "TLYIREST"
#define VERSION 1
#define RECORD_HEAD 16 /* length 4, type 1, zero 3, sum 8 */
#define CONTENT_SPARSE 1u
#define MODE_IMPLIED 0x10000u /* in the mode of a directory */
#define MODE_SEVERAL 0x20000u /* in the mode of anything else */
/* bytes of a payload before a name or the data */
static const size_t fixed[IMAGE_TYPE_END] = {
    [IMAGE_CONTENT] = 32, [IMAGE_INODE] = 48,          [IMAGE_ENTRY] = 16,
    [IMAGE_XATTR] = 9,    [IMAGE_REMOVE] = 8,          [IMAGE_OPAQUE] = 8,
    [IMAGE_END] = 24,     [IMAGE_BASE] = SHA256_LEN,   [IMAGE_FIND] = 16,
    [IMAGE_UNLINK] = 16,  [IMAGE_CLEAR] = 8,           [IMAGE_SHARE] = 16,
    [IMAGE_PATCH] = 16,   [IMAGE_DIGEST] = SHA256_LEN,
};

/* ---- what a record may say ---- */

bool image_is_name(const char *name, size_t len)
{
    if (len == 0 || len > ITEM_NAME_MAX || memchr(name, '/', len) || memchr(name, 0, len))
        return false;
    return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

static bool is_content(const struct image_record *r)
{
    return r->number > 0 && r->length > 0 && r->length <= IMAGE_LENGTH_MAX && r->len > 0 &&
           r->len <= IMAGE_PIECE_MAX && r->offset < r->length && r->len <= r->length - r->offset;
}

static bool is_symlink(const struct image_record *r)
{
    return r->len > 0 && r->len <= IMAGE_TARGET_MAX && r->size == r->len &&
           !memchr(r->data, 0, r->len);
}

static bool is_inode(const struct image_record *r)
{
    const bool device = S_ISCHR(r->mode) || S_ISBLK(r->mode);

    if (r->number == 0 || (r->mode & ~(uint32_t)(S_IFMT | 07777)) || (r->rdev && !device))
        return false;
    if ((r->implied && !S_ISDIR(r->mode)) || (r->several && S_ISDIR(r->mode)))
        return false;
    if (S_ISLNK(r->mode))
        return is_symlink(r) && r->content == 0;
    if (r->len)
        return false;
    if (S_ISREG(r->mode))
        return r->size <= IMAGE_LENGTH_MAX && (r->content == 0 || r->size > 0);
    return r->size == 0 && r->content == 0 &&
           (device || S_ISDIR(r->mode) || S_ISFIFO(r->mode) || S_ISSOCK(r->mode));
}

static bool is_xattr(const struct image_record *r)
{
    return r->number > 0 && r->name_len > 0 && r->name_len <= XATTR_NAME_MAX &&
           !memchr(r->name, 0, r->name_len) && r->len <= XATTR_VALUE_MAX;
}

static bool is_patch(const struct image_record *r)
{
    return r->number > IMAGE_ROOT && r->len > 0 && r->len <= IMAGE_PIECE_MAX &&
           r->offset < IMAGE_LENGTH_MAX && r->len <= IMAGE_LENGTH_MAX - r->offset;
}

/* Is the record right in itself? */
static bool is_sound(const struct image_record *r)
{
    switch (r->type) {
    case IMAGE_CONTENT:
        return is_content(r);
    case IMAGE_INODE:
        return is_inode(r);
    case IMAGE_XATTR:
        return is_xattr(r);
    case IMAGE_ENTRY:
    case IMAGE_FIND:
    case IMAGE_UNLINK:
        return r->number > IMAGE_ROOT && r->parent > 0 && image_is_name(r->name, r->name_len);
    case IMAGE_REMOVE:
        return r->parent > 0 && image_is_name(r->name, r->name_len);
    case IMAGE_OPAQUE:
    case IMAGE_CLEAR:
        return r->number > 0;
    case IMAGE_SHARE:
        return r->number > IMAGE_ROOT && r->content > IMAGE_ROOT && r->content != r->number;
    case IMAGE_PATCH:
        return is_patch(r);
    case IMAGE_BASE:
        return r->len <= IMAGE_LABEL_MAX;
    default:
        return r->type == IMAGE_END || r->type == IMAGE_DIGEST;
    }
}

/* ---- where it may stand ---- */

/* A piece begins the next content, or goes on with the last one. */
static bool content_fits(const struct image_stream *s, const struct image_record *r)
{
    const bool first = r->number == s->contents + 1;

    if (first)
        return r->sparse || r->offset == 0;
    return r->number == s->contents && r->length == s->length && r->sparse == s->sparse &&
           (r->sparse ? r->offset >= s->at : r->offset == s->at);
}

/* May a record come next that only a stream from another store has? */
static bool sent_fits(const struct image_stream *s, const struct image_record *r)
{
    const uint64_t of_base = s->found + IMAGE_ROOT; /* the last inode that the base has */

    if (r->type == IMAGE_BASE)
        return s->records == 0;
    if (!s->sent)
        return false;
    switch (r->type) {
    case IMAGE_FIND: /* before all other inodes but the root */
        return s->inodes == of_base && r->number == s->inodes + 1 && r->parent <= s->inodes;
    case IMAGE_UNLINK:
        return r->number <= of_base && r->parent <= of_base && s->inodes > 0;
    case IMAGE_CLEAR:
    case IMAGE_PATCH:
        return r->number <= of_base && s->inodes > 0;
    case IMAGE_SHARE:
        return r->number <= s->inodes && r->content <= s->inodes;
    default:
        return s->inodes >= IMAGE_ROOT;
    }
}

/* May the record come next? */
static bool fits(const struct image_stream *s, const struct image_record *r)
{
    if (r->type > IMAGE_END)
        return !s->digested && sent_fits(s, r);
    if (s->sent && (s->digested != (r->type == IMAGE_END) || r->type == IMAGE_OPAQUE))
        return false;
    switch (r->type) {
    case IMAGE_CONTENT:
        return content_fits(s, r);
    case IMAGE_INODE:
        return r->number <= s->inodes + 1 && r->content <= s->contents;
    case IMAGE_ENTRY:
        return r->number <= s->inodes && r->parent <= s->inodes;
    case IMAGE_REMOVE:
        return r->parent <= s->inodes;
    case IMAGE_END:
        return r->number == s->records && s->inodes >= IMAGE_ROOT;
    default:
        return r->number <= s->inodes;
    }
}

/* Notes that the record has come. */
static void pass(struct image_stream *s, const struct image_record *r, uint64_t sum)
{
    s->sum = sum;
    s->records++;
    s->ended = r->type == IMAGE_END;
    s->sent |= r->type == IMAGE_BASE;
    s->digested |= r->type == IMAGE_DIGEST;
    s->found += r->type == IMAGE_FIND;
    if (r->type == IMAGE_CONTENT) {
        s->contents = r->number;
        s->length = r->length;
        s->sparse = r->sparse;
        s->at = r->offset + r->len;
    } else if ((r->type == IMAGE_INODE || r->type == IMAGE_FIND) && r->number > s->inodes) {
        s->inodes = r->number;
    }
}

/* ---- bytes ---- */

static uint64_t sum_of(const struct image_stream *s, const uint8_t *head, const uint8_t *payload,
                       size_t len, const void *data, size_t data_len)
{
    uint64_t sum = id_checksum(head, 8, s->sum);

    sum = id_checksum(payload, len, sum);
    return data_len ? id_checksum(data, data_len, sum) : sum;
}

static uint8_t *put_inode(uint8_t *p, const struct image_record *r)
{
    p = append_le64(p, r->number);
    p = append_le32(p, r->mode | (r->implied ? MODE_IMPLIED : 0) | (r->several ? MODE_SEVERAL : 0));
    p = append_le32(p, r->uid);
    p = append_le32(p, r->gid);
    p = append_le32(p, r->rdev);
    p = append_le64(p, (uint64_t)r->mtime);
    p = append_le64(p, r->size);
    return append_le64(p, r->content);
}

static uint8_t *put_content(uint8_t *p, const struct image_record *r)
{
    p = append_le64(p, r->number);
    p = append_le64(p, r->length);
    p = append_le64(p, r->offset);
    p = append_le32(p, r->sparse ? CONTENT_SPARSE : 0);
    return append_le32(p, 0);
}

/* Writes the fields of the payload up to the name. */
static uint8_t *put_fields(const struct image_stream *s, uint8_t *p, const struct image_record *r)
{
    switch (r->type) {
    case IMAGE_CONTENT:
        return put_content(p, r);
    case IMAGE_INODE:
        return put_inode(p, r);
    case IMAGE_ENTRY:
    case IMAGE_FIND:
    case IMAGE_UNLINK:
        return append_le64(append_le64(p, r->parent), r->number);
    case IMAGE_SHARE:
        return append_le64(append_le64(p, r->number), r->content);
    case IMAGE_PATCH:
        return append_le64(append_le64(p, r->number), r->offset);
    case IMAGE_BASE:
    case IMAGE_DIGEST:
        memcpy(p, r->digest, SHA256_LEN);
        return p + SHA256_LEN;
    case IMAGE_XATTR:
        p = append_le64(p, r->number);
        *p = (uint8_t)r->name_len;
        return p + 1;
    case IMAGE_REMOVE:
        return append_le64(p, r->parent);
    case IMAGE_END:
        return append_le64(append_le64(append_le64(p, r->number), s->contents), s->inodes);
    default:
        return append_le64(p, r->number);
    }
}

void image_begin(struct image_stream *s, uint8_t out[IMAGE_HEAD])
{
    memcpy(out, MAGIC, 8);
    put_le32(out + 8, VERSION);
    put_le32(out + 12, 0);
    *s = (struct image_stream){.sum = id_checksum(out, 16, 0)};
    put_le64(out + 16, s->sum);
}

size_t image_put(struct image_stream *s, const struct image_record *r, uint8_t out[IMAGE_FIXED_MAX])
{
    uint8_t *payload = out + RECORD_HEAD, *p;
    size_t len;
    uint64_t sum;

    assert(!s->ended && is_sound(r) && fits(s, r));
    p = put_fields(s, payload, r);
    if (r->name_len)
        memcpy(p, r->name, r->name_len);
    len = (size_t)(p - payload) + r->name_len;
    put_le32(out, (uint32_t)(len + r->len));
    put_le32(out + 4, (uint32_t)r->type);
    sum = sum_of(s, out, payload, len, r->data, r->len);
    put_le64(out + 8, sum);
    pass(s, r, sum);
    return RECORD_HEAD + len;
}

int image_open(struct image_stream *s, const uint8_t *buf, size_t len)
{
    uint64_t sum;

    if (len < IMAGE_HEAD)
        return -EAGAIN;
    sum = id_checksum(buf, 16, 0);
    if (memcmp(buf, MAGIC, 8) != 0 || get_le64(buf + 16) != sum)
        return -EUCLEAN;
    if (get_le32(buf + 8) > VERSION)
        return -EPROTO;
    if (get_le32(buf + 8) == 0 || get_le32(buf + 12) != 0)
        return -EUCLEAN;
    *s = (struct image_stream){.sum = sum};
    return 0;
}

static void take_inode(struct field_reader *f, struct image_record *r)
{
    r->number = field_number(f, 8);
    r->mode = (uint32_t)field_number(f, 4);
    r->implied = r->mode & MODE_IMPLIED;
    r->several = r->mode & MODE_SEVERAL;
    r->mode &= ~(MODE_IMPLIED | MODE_SEVERAL);
    r->uid = (uint32_t)field_number(f, 4);
    r->gid = (uint32_t)field_number(f, 4);
    r->rdev = (uint32_t)field_number(f, 4);
    r->mtime = (int64_t)field_number(f, 8);
    r->size = field_number(f, 8);
    r->content = field_number(f, 8);
}

/* False: it has bits that no writer sets. */
static bool take_content(struct field_reader *f, struct image_record *r)
{
    uint64_t flags;

    r->number = field_number(f, 8);
    r->length = field_number(f, 8);
    r->offset = field_number(f, 8);
    flags = field_number(f, 8);
    r->sparse = flags & CONTENT_SPARSE;
    return flags <= CONTENT_SPARSE;
}

/* Reads the fields up to the name, all of which are there. */
static bool take_fields(const struct image_stream *s, struct field_reader *f,
                        struct image_record *r)
{
    switch (r->type) {
    case IMAGE_CONTENT:
        return take_content(f, r);
    case IMAGE_INODE:
        take_inode(f, r);
        return true;
    case IMAGE_ENTRY:
    case IMAGE_FIND:
    case IMAGE_UNLINK:
        r->parent = field_number(f, 8);
        r->number = field_number(f, 8);
        return true;
    case IMAGE_SHARE:
        r->number = field_number(f, 8);
        r->content = field_number(f, 8);
        return true;
    case IMAGE_PATCH:
        r->number = field_number(f, 8);
        r->offset = field_number(f, 8);
        return true;
    case IMAGE_BASE:
    case IMAGE_DIGEST:
        r->digest = field_bytes(f, SHA256_LEN);
        return true;
    case IMAGE_XATTR:
        r->number = field_number(f, 8);
        r->name_len = *field_bytes(f, 1);
        return true;
    case IMAGE_REMOVE:
        r->parent = field_number(f, 8);
        return true;
    case IMAGE_END:
        r->number = field_number(f, 8);
        return field_number(f, 8) == s->contents && field_number(f, 8) == s->inodes;
    default:
        r->number = field_number(f, 8);
        return true;
    }
}

static bool has_data(enum image_type type)
{
    return type == IMAGE_CONTENT || type == IMAGE_INODE || type == IMAGE_XATTR ||
           type == IMAGE_PATCH || type == IMAGE_BASE;
}

/* Reads a payload of the type r->type. False: it is none. */
static bool take_payload(const struct image_stream *s, const uint8_t *p, size_t len,
                         struct image_record *r)
{
    struct field_reader f = {p, p + len, false};

    if (len < fixed[r->type] || !take_fields(s, &f, r))
        return false;
    if (r->type == IMAGE_ENTRY || r->type == IMAGE_REMOVE || r->type == IMAGE_FIND ||
        r->type == IMAGE_UNLINK)
        r->name_len = (size_t)(f.end - f.p);
    if (r->name_len)
        r->name = (const char *)field_bytes(&f, r->name_len);
    r->len = (size_t)(f.end - f.p);
    r->data = r->len ? f.p : NULL;
    return !f.over && (r->len == 0 || has_data(r->type));
}

void image_put_rest(uint64_t bytes, uint64_t sum, uint8_t out[IMAGE_REST_HEAD])
{
    memcpy(out, MAGIC_REST, 8);
    put_le64(out + 8, bytes);
    put_le64(out + 16, sum);
}

bool image_get_rest(const uint8_t buf[IMAGE_REST_HEAD], uint64_t *ret_bytes, uint64_t *ret_sum)
{
    *ret_bytes = get_le64(buf + 8);
    *ret_sum = get_le64(buf + 16);
    return memcmp(buf, MAGIC_REST, 8) == 0;
}

bool image_may_end(const uint8_t *buf, size_t len)
{
    const size_t end = RECORD_HEAD + fixed[IMAGE_END];
    const uint8_t *at = buf + (len > end ? len - end : 0);

    return len < end || (get_le32(at) == fixed[IMAGE_END] && get_le32(at + 4) == IMAGE_END);
}

size_t image_size(const uint8_t *buf)
{
    size_t size = get_le32(buf);

    return size > IMAGE_RECORD_MAX - RECORD_HEAD ? IMAGE_RECORD_MAX : RECORD_HEAD + size;
}

int image_next(struct image_stream *s, const uint8_t *buf, size_t len, size_t *ret_used,
               struct image_record *ret)
{
    struct image_record r = {.type = len < RECORD_HEAD ? 0 : (enum image_type)buf[4]};
    const uint8_t *payload = buf + RECORD_HEAD;
    size_t size, before;
    uint64_t sum;

    if (s->ended)
        return -ENOENT;
    if (len < RECORD_HEAD)
        return -EAGAIN;
    size = get_le32(buf);
    if (get_le32(buf + 4) == 0 || get_le32(buf + 4) >= IMAGE_TYPE_END ||
        size > IMAGE_RECORD_MAX - RECORD_HEAD)
        return -EUCLEAN;
    if (len - RECORD_HEAD < size)
        return -EAGAIN;
    if (!take_payload(s, payload, size, &r))
        return -EUCLEAN;
    before = size - r.len;
    sum = sum_of(s, buf, payload, before, r.data, r.len);
    if (sum != get_le64(buf + 8) || !is_sound(&r) || !fits(s, &r))
        return -EUCLEAN;
    pass(s, &r, sum);
    *ret = r;
    *ret_used = RECORD_HEAD + size;
    return 0;
}
