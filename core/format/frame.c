// SPDX-License-Identifier: Apache-2.0
/*
 * frame: see the header. The kind of an operation determines its fields, so no byte lists them.
 */
#include "frame.h"
#include "id.h"
#include <errno.h>
#include <stdatomic.h>

/* ---- operations: kind 1, then the fields of that kind in this order, then the data ---- */

enum {
    HAS_NS = 1 << 0,     /* 4 */
    HAS_KEY = 1 << 1,    /* 14 */
    HAS_END = 1 << 2,    /* 14 */
    HAS_NUMBER = 1 << 3, /* 8 */
    HAS_A = 1 << 4,      /* 8 */
    HAS_B = 1 << 5,      /* 8 */
    HAS_DATA = 1 << 6,   /* 4: its length */
};

static const struct {
    const char *name;
    unsigned fields;
} kinds[OP_KIND_END] = {
    [OP_PUT] = {"put", HAS_NS | HAS_KEY | HAS_DATA},
    [OP_DEL] = {"del", HAS_NS | HAS_KEY},
    [OP_CONTENT_NEW] = {"content-new", HAS_NUMBER | HAS_A | HAS_B},
    [OP_CONTENT_WRITE] = {"content-write", HAS_NUMBER | HAS_A | HAS_DATA},
    [OP_RANGE_COPY] = {"range-copy", HAS_NS | HAS_KEY | HAS_END | HAS_A | HAS_B},
    [OP_CONTENT_TRUNCATE] = {"content-truncate", HAS_NUMBER | HAS_A},
    [OP_CONTENT_SLOT] = {"content-slot", HAS_NUMBER | HAS_A},
    [OP_CONTENT_CANCEL] = {"content-cancel", HAS_NUMBER},
    [OP_NS_PUT] = {"ns-put", HAS_NS | HAS_DATA},
    [OP_NS_BRANCH] = {"ns-branch", HAS_NS | HAS_NUMBER | HAS_DATA},
    [OP_NS_DROP] = {"ns-drop", HAS_NS},
    [OP_PIN] = {"pin", HAS_NUMBER},
    [OP_UNPIN] = {"unpin", HAS_NUMBER},
    [OP_SETTING] = {"setting", HAS_A | HAS_DATA},
    [OP_RANGE_DEL] = {"range-del", HAS_NS | HAS_KEY | HAS_END},
    [OP_REQUEST] = {"request", HAS_A},
    [OP_INO_RUN] = {"ino-run", HAS_NS | HAS_A | HAS_B},
    [OP_NS_SETTING] = {"ns-setting", HAS_NS | HAS_DATA},
    [OP_HISTORY] = {"history", HAS_DATA},
    [OP_NS_TAKE] = {"ns-take", HAS_NS | HAS_NUMBER},
};

const char *op_kind_name(enum op_kind kind)
{
    return (unsigned)kind < OP_KIND_END ? kinds[kind].name : NULL;
}

static uint8_t *put_key(uint8_t *p, struct key k)
{
    key_encode(k, p);
    return p + KEY_LEN;
}

size_t op_encode(const struct op *op, uint8_t out[OP_HEAD_MAX])
{
    unsigned f = kinds[op->kind].fields;
    uint8_t *p = out;

    *p++ = (uint8_t)op->kind;
    p = f & HAS_NS ? append_le32(p, op->ns) : p;
    p = f & HAS_KEY ? put_key(p, op->key) : p;
    p = f & HAS_END ? put_key(p, op->end) : p;
    p = f & HAS_NUMBER ? append_le64(p, op->number) : p;
    p = f & HAS_A ? append_le64(p, op->a) : p;
    p = f & HAS_B ? append_le64(p, op->b) : p;
    p = f & HAS_DATA ? append_le32(p, (uint32_t)op->len) : p;
    return (size_t)(p - out);
}

static struct key take_key(struct field_reader *r)
{
    const uint8_t *p = field_bytes(r, KEY_LEN);

    return p ? key_decode(p) : (struct key){0};
}

/* Is [from, to) a range: not empty, and both keys of one inode? */
static bool is_range(struct key from, struct key to)
{
    return key_ino(from) == key_ino(to) && key_compare(from, to) < 0;
}

int op_next(const void *payload, size_t len, size_t *at, struct op *ret)
{
    struct field_reader r = {(const uint8_t *)payload + *at, (const uint8_t *)payload + len, false};

    if (*at >= len)
        return *at == len ? -ENOENT : -EUCLEAN;
    struct op op = {.kind = (enum op_kind) * field_bytes(&r, 1)};

    if (!op_kind_name(op.kind))
        return -EUCLEAN;
    unsigned f = kinds[op.kind].fields;

    op.ns = f & HAS_NS ? (uint32_t)field_number(&r, 4) : 0;
    op.key = f & HAS_KEY ? take_key(&r) : op.key;
    op.end = f & HAS_END ? take_key(&r) : op.end;
    op.number = f & HAS_NUMBER ? field_number(&r, 8) : 0;
    op.a = f & HAS_A ? field_number(&r, 8) : 0;
    op.b = f & HAS_B ? field_number(&r, 8) : 0;
    op.len = f & HAS_DATA ? field_number(&r, 4) : 0;
    op.data = f & HAS_DATA ? field_bytes(&r, op.len) : NULL;
    if (r.over || op.number > OBJECT_NUMBER_MAX || (f & HAS_END && !is_range(op.key, op.end)))
        return -EUCLEAN;
    *at = (size_t)(r.p - (const uint8_t *)payload);
    *ret = op;
    return 0;
}

/* ---- segments: the head at 0 and at HEAD_COPY, zeros elsewhere ---- */

#define SEGMENT_MAGIC 0x674c7954u /* "TyLg" */
#define HEAD_LEN 96
#define HEAD_AFTER 80
#define HEAD_SUMMED 88 /* the checksum follows */
#define HEAD_COPY 2048

void segment_head_encode(const struct segment_head *h, uint8_t out[SEGMENT_HEAD])
{
    memset(out, 0, SEGMENT_HEAD);
    put_le32(out, SEGMENT_MAGIC);
    put_le32(out + 4, SEGMENT_VERSION);
    put_le64(out + 8, h->serial);
    put_le64(out + 16, h->epoch);
    put_le64(out + 24, h->seq);
    put_le64(out + 32, h->size);
    put_le64(out + 40, h->salt);
    memcpy(out + 48, h->incarnation, sizeof h->incarnation);
    put_le64(out + HEAD_AFTER, h->after);
    put_le64(out + HEAD_SUMMED, id_checksum(out, HEAD_SUMMED, 0));
    memcpy(out + HEAD_COPY, out, HEAD_LEN);
}

/* Decodes one copy of a segment's head. -EUCLEAN: damaged, -EPROTO: another version. */
static int head_decode(const uint8_t *in, struct segment_head *ret)
{
    struct segment_head h = {
        .serial = get_le64(in + 8),
        .epoch = get_le64(in + 16),
        .seq = get_le64(in + 24),
        .size = get_le64(in + 32),
        .salt = get_le64(in + 40),
        .after = get_le64(in + HEAD_AFTER),
    };

    if (get_le32(in) != SEGMENT_MAGIC ||
        get_le64(in + HEAD_SUMMED) != id_checksum(in, HEAD_SUMMED, 0))
        return -EUCLEAN;
    if (get_le32(in + 4) != SEGMENT_VERSION)
        return -EPROTO;
    if (h.size < SEGMENT_HEAD || h.size % 8 || (h.after && h.after != h.serial - 1))
        return -EUCLEAN;
    memcpy(h.incarnation, in + 48, sizeof h.incarnation);
    *ret = h;
    return 0;
}

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

int segment_head_decode(const uint8_t in[SEGMENT_HEAD], struct segment_head *ret)
{
    int err = head_decode(in, ret);

    if (err == -EUCLEAN)
        err = head_decode(in + HEAD_COPY, ret);
    return err == -EUCLEAN && is_zero(in, SEGMENT_HEAD) ? -ENOENT : err;
}

#define MIX UINT64_C(0x9e3779b97f4a7c15)

uint64_t segment_seed(const struct segment_head *h)
{
    return ((h->salt + h->epoch) * MIX ^ h->serial) * MIX;
}

/* ---- frames: checksum 8, then the bytes that it covers ---- */

#define FRAME_MAGIC 0x7246u /* "Fr" */
#define FRAME_AT_LEN 8      /* 4 */
#define FRAME_AT_KIND 12    /* 2, then the magic 2 */
#define FRAME_AT_SEQ 16
#define FRAME_AT_TIME 24
#define FRAME_AT_NS 32 /* 4, then zeros */

/* The checksum of a frame: head, then payload. It depends on the segment's seed and the offset: a
 * frame from an earlier use of the segment, or from another place, is not valid. */
static uint64_t frame_checksum(const uint8_t *frame, uint32_t len, uint64_t seed, uint64_t offset)
{
    uint64_t head = id_checksum(frame + 8, FRAME_HEAD - 8, seed + offset * MIX);

    return len ? id_checksum(frame + FRAME_HEAD, len, head) : head;
}

void frame_seal(uint8_t *frame, const struct frame_head *h, uint64_t seed, uint64_t offset)
{
    put_le32(frame + FRAME_AT_LEN, h->len);
    put_le16(frame + FRAME_AT_KIND, (uint16_t)h->kind);
    put_le16(frame + FRAME_AT_KIND + 2, FRAME_MAGIC);
    put_le64(frame + FRAME_AT_SEQ, h->seq);
    put_le64(frame + FRAME_AT_TIME, (uint64_t)h->time);
    put_le32(frame + FRAME_AT_NS, h->ns);
    put_le32(frame + FRAME_AT_NS + 4, 0);
    memset(frame + FRAME_HEAD + h->len, 0, frame_size(h->len) - FRAME_HEAD - h->len);
    uint64_t sum = frame_checksum(frame, h->len, seed, offset);

    /* The compiler must not move the checksum before the bytes that it covers: a frame counts once
     * its checksum is right. */
    atomic_signal_fence(memory_order_release);
    put_le64(frame, sum);
}

int frame_peek(const uint8_t head[FRAME_HEAD], struct frame_head *ret)
{
    /* First, and alone: the search behind a hole looks at every eighth byte of a segment. */
    if (get_le16(head + FRAME_AT_KIND + 2) != FRAME_MAGIC)
        return -EUCLEAN;

    struct frame_head h = {
        .kind = (enum frame_kind)get_le16(head + FRAME_AT_KIND),
        .len = get_le32(head + FRAME_AT_LEN),
        .ns = get_le32(head + FRAME_AT_NS),
        .seq = get_le64(head + FRAME_AT_SEQ),
        .time = (int64_t)get_le64(head + FRAME_AT_TIME),
    };

    if (get_le32(head + FRAME_AT_NS + 4) || h.kind < FRAME_CHANGE || h.kind >= FRAME_KIND_END)
        return -EUCLEAN;
    if ((h.kind == FRAME_SYNC && h.len != FRAME_SYNC_LEN) || (h.kind == FRAME_END && h.len))
        return -EUCLEAN;
    *ret = h;
    return 0;
}

int frame_decode(const uint8_t *frame, size_t room, uint64_t seed, uint64_t offset,
                 struct frame_head *ret)
{
    struct frame_head h;

    if (room < FRAME_HEAD || frame_peek(frame, &h) || frame_size(h.len) > room)
        return -EUCLEAN;
    if (get_le64(frame) != frame_checksum(frame, h.len, seed, offset))
        return -EUCLEAN;
    *ret = h;
    return 0;
}
