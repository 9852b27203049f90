// SPDX-License-Identifier: Apache-2.0
/* ns_record: see the header. */
#include "ns_record.h"
#include "bytes.h"
#include "id.h"
#include "key.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- records: FORMAT.md, "Namespaces" ---- */

#define HEAD_1 56 /* version 1 has nothing about flushes */
#define HEAD_2                                                                                     \
    72 /* version 2 has nothing about usage, reserved inode numbers, origins and a tail */
#define RECORD_HEAD 140
#define RECORD_VERSION 3
#define TARGET_MAX 4095
#define TAG_HEAD 3          /* tag 1, length 2 */
#define TAG_MUST_KNOW 0x80u /* who does not know such a tag must not go on */
#define TAG_HIDDEN 0x83u    /* of the tags from 0x80 on the only one of this version */

enum record_flags {
    IS_FROZEN = 1,
    IS_SYMLINK = 2,
    IS_VERIFIED = 4,
    IS_BRANCH = 8,
    IS_COUNTED = 16, /* since version 3 */
};

static void put_instant(uint8_t *out, const struct ns_instant *i)
{
    put_le32(out, i->ns);
    put_le32(out + 4, i->generation);
    put_le64(out + 8, i->seq);
}

static struct ns_instant get_instant(const uint8_t *v)
{
    return (struct ns_instant){get_le32(v), get_le32(v + 4), get_le64(v + 8)};
}

enum hidden_flags {
    IS_HELD = 1,
    IS_THAWED = 2,
    IS_PASSING = 4,
};

/* Encodes the tagged field of a hidden namespace; the others have none. Returns its length. */
static size_t put_hidden(uint8_t *out, const struct ns_hidden *h)
{
    if (h->kind == NS_VISIBLE)
        return 0;
    out[0] = TAG_HIDDEN;
    put_le16(out + 1, NS_HIDDEN_LEN - TAG_HEAD);
    out[3] = (uint8_t)h->kind;
    out[4] = (uint8_t)((h->held ? IS_HELD : 0) | (h->thawed ? IS_THAWED : 0) |
                       (h->passing ? IS_PASSING : 0));
    put_instant(out + 5, &h->of);
    put_le64(out + 21, (uint64_t)h->since);
    return NS_HIDDEN_LEN;
}

size_t ns_record_encode(uint32_t number, const struct ns_fields *f, uint8_t *out)
{
    size_t name = strlen(f->name), target = f->target ? strlen(f->target) : 0;
    size_t tail = f->tail ? f->tail->len : 0, hidden;
    uint8_t *p = out + RECORD_HEAD;

    memset(out, 0, RECORD_HEAD);
    out[8] = RECORD_VERSION;
    out[9] = (uint8_t)((f->frozen ? IS_FROZEN : 0) | (f->target ? IS_SYMLINK : 0) |
                       (f->verify ? IS_VERIFIED : 0) | (f->branched ? IS_BRANCH : 0) |
                       (f->counted ? IS_COUNTED : 0));
    put_le16(out + 10, (uint16_t)name);
    put_le32(out + 12, f->generation);
    put_le64(out + 16, f->root);
    put_le64(out + 24, f->next_ino);
    put_le64(out + 32, f->seq);
    put_le64(out + 40, (uint64_t)f->time);
    put_le32(out + 48, f->uid);
    put_le32(out + 52, f->gid);
    put_le64(out + 56, f->flushes);
    put_le64(out + 64, (uint64_t)f->flushed);
    put_le64(out + 72, f->usage.inodes);
    put_le64(out + 80, f->usage.bytes);
    put_le64(out + 88, f->ino_end);
    put_instant(out + 96, &f->origin);
    put_le64(out + 112, f->own_ino);
    put_instant(out + 120, &f->base);
    put_le16(out + 136, (uint16_t)target);
    memcpy(p, f->name, name);
    p += name;
    if (target)
        memcpy(p, f->target, target);
    p += target;
    if (tail)
        memcpy(p, f->tail->bytes, tail);
    p += tail;
    hidden = put_hidden(p, &f->hidden);
    put_le16(out + 138, (uint16_t)(tail + hidden));
    p += hidden;
    put_le64(out, id_checksum(out + 8, (size_t)(p - out) - 8, number));
    return (size_t)(p - out);
}

/* The offset of the name, which depends on the version; 0: the version is unknown, or the record is
 * too short for it. */
static size_t head_of(const uint8_t *v, size_t len)
{
    static const size_t heads[] = {0, HEAD_1, HEAD_2, RECORD_HEAD};
    size_t head = len < HEAD_1 || v[8] > RECORD_VERSION ? 0 : heads[v[8]];

    return head <= len ? head : 0;
}

static bool is_name(const uint8_t *name, size_t len)
{
    return len > 0 && len <= VFS_NAME_MAX && !memchr(name, 0, len) && !memchr(name, '/', len);
}

/* Is it an instant, or as none is written? */
static bool is_instant(const struct ns_instant *i)
{
    return i->ns ? i->ns <= VFS_NS_MAX : i->generation == 0 && i->seq == 0;
}

/* Decodes the tagged field of a hidden namespace, without its tag and length. */
static bool get_hidden(const uint8_t *v, size_t len, struct ns_hidden *ret)
{
    if (len != NS_HIDDEN_LEN - TAG_HEAD || v[0] == NS_VISIBLE || v[0] >= NS_KIND_END ||
        v[1] > (IS_HELD | IS_THAWED | IS_PASSING))
        return false;
    *ret = (struct ns_hidden){
        .kind = v[0],
        .held = v[1] & IS_HELD,
        .thawed = v[1] & IS_THAWED,
        .passing = v[1] & IS_PASSING,
        .of = get_instant(v + 2),
        .since = (int64_t)get_le64(v + 18),
    };
    return ret->of.ns <= VFS_NS_MAX;
}

/* Is it a list of tagged fields, and does this version know those that must be known? *ret_known is
 * where the fields from 0x80 on begin. */
static bool is_tail(const uint8_t *tail, size_t len, size_t *ret_known, struct ns_hidden *ret)
{
    const uint8_t *at = tail, *end = tail + len;
    unsigned last = 0;

    *ret_known = len;
    while (end - at >= TAG_HEAD) {
        size_t field = TAG_HEAD + (size_t)get_le16(at + 1);

        if (at[0] <= last || (at[0] >= TAG_MUST_KNOW && at[0] != TAG_HIDDEN) ||
            field > (size_t)(end - at))
            return false;
        last = at[0];
        if (last == TAG_HIDDEN) {
            *ret_known = (size_t)(at - tail);
            if (!get_hidden(at + TAG_HEAD, field - TAG_HEAD, ret))
                return false;
        }
        at += field;
    }
    return at == end;
}

/* Decodes what version 3 added about usage, inode numbers and branches. */
static bool decode_v3(const uint8_t *v, struct ns_fields *ret)
{
    ret->usage = (struct usage){get_le64(v + 72), get_le64(v + 80)};
    ret->counted = v[9] & IS_COUNTED;
    ret->ino_end = get_le64(v + 88);
    ret->origin = get_instant(v + 96);
    ret->own_ino = get_le64(v + 112);
    ret->base = get_instant(v + 120);
    return ret->ino_end >= ret->next_ino && ret->own_ino <= KEY_INO_MAX + 1 &&
           is_instant(&ret->origin) && is_instant(&ret->base);
}

/* Decodes the head, from the version that has one of that length. False: a field is out of its
 * range. */
static bool decode_head(const uint8_t *v, size_t head, struct ns_fields *ret)
{
    unsigned flags = head == RECORD_HEAD ? 2 * IS_COUNTED - 1 : IS_COUNTED - 1;

    ret->frozen = v[9] & IS_FROZEN;
    ret->verify = v[9] & IS_VERIFIED;
    ret->branched = v[9] & IS_BRANCH;
    ret->generation = get_le32(v + 12);
    ret->root = get_le64(v + 16);
    ret->next_ino = ret->ino_end = get_le64(v + 24);
    ret->seq = get_le64(v + 32);
    ret->time = (int64_t)get_le64(v + 40);
    ret->uid = get_le32(v + 48);
    ret->gid = get_le32(v + 52);
    if (head >= HEAD_2) {
        ret->flushes = get_le64(v + 56);
        ret->flushed = (int64_t)get_le64(v + 64);
    }
    return v[9] <= flags && (head < RECORD_HEAD || decode_v3(v, ret)) &&
           ret->ino_end <= KEY_INO_MAX + 1;
}

/* The parts behind the head: where each begins, and its length. Before version 3 the target is all
 * that is behind the name. Of the tail it is what this version does not know. */
struct parts {
    const uint8_t *name, *target, *tail;
    size_t name_len, target_len, tail_len;
};

static bool find_parts(const uint8_t *v, size_t head, size_t len, struct parts *ret,
                       struct ns_hidden *ret_hidden)
{
    size_t name = get_le16(v + 10), rest = len - head;
    size_t tail = head == RECORD_HEAD ? get_le16(v + 138) : 0;

    if (name > rest || tail > rest - name || tail > NS_TAIL_MAX + NS_HIDDEN_LEN)
        return false;
    *ret =
        (struct parts){v + head, v + head + name, v + len - tail, name, rest - name - tail, tail};
    if (head == RECORD_HEAD && get_le16(v + 136) != ret->target_len)
        return false;
    return is_name(ret->name, name) && is_tail(ret->tail, tail, &ret->tail_len, ret_hidden) &&
           ret->tail_len <= NS_TAIL_MAX &&
           (v[9] & IS_SYMLINK
                ? ret_hidden->kind == NS_VISIBLE && ret->target_len > 0 &&
                      ret->target_len <= TARGET_MAX && !memchr(ret->target, 0, ret->target_len)
                : ret->target_len == 0);
}

/* Copies the parts. -ENOMEM */
static int copy_parts(const uint8_t *v, const struct parts *parts, struct ns_fields *ret)
{
    memcpy(ret->name, parts->name, parts->name_len);
    if (v[9] & IS_SYMLINK)
        ret->target = strndup((const char *)parts->target, parts->target_len);
    if (parts->tail_len)
        ret->tail = malloc(sizeof *ret->tail + parts->tail_len);
    if ((v[9] & IS_SYMLINK && !ret->target) || (parts->tail_len && !ret->tail)) {
        ns_fields_release(ret);
        return -ENOMEM;
    }
    if (ret->tail) {
        ret->tail->len = parts->tail_len;
        memcpy(ret->tail->bytes, parts->tail, parts->tail_len);
    }
    return 0;
}

int ns_decode(const void *val, size_t len, struct ns_fields *ret)
{
    const uint8_t *v = val;
    size_t head = head_of(v, len);
    struct parts parts;

    *ret = (struct ns_fields){.target = NULL};
    if (head == 0 || !decode_head(v, head, ret) || !find_parts(v, head, len, &parts, &ret->hidden))
        return -EUCLEAN;
    return copy_parts(v, &parts, ret);
}

void ns_fields_release(struct ns_fields *f)
{
    free(f->target);
    free(f->tail);
    f->target = NULL;
    f->tail = NULL;
}

int ns_record_check(uint32_t number, const void *val, size_t len)
{
    const uint8_t *v = val;

    return len < HEAD_1 || get_le64(v) != id_checksum(v + 8, len - 8, number) ? -EUCLEAN : 0;
}

int ns_read(uint64_t number, const void *val, size_t len, struct ns_fields *ret)
{
    int err =
        number && number <= VFS_NS_MAX ? ns_record_check((uint32_t)number, val, len) : -EUCLEAN;

    return err < 0 ? err : ns_decode(val, len, ret);
}

/* ---- tagged fields that need not be known ---- */

/* Where the first field begins that has that tag or a higher one. */
static size_t find_tag(const struct ns_tail *tail, unsigned tag)
{
    size_t at = 0;

    while (tail && at < tail->len && tail->bytes[at] < tag)
        at += TAG_HEAD + (size_t)get_le16(tail->bytes + at + 1);
    return at;
}

const uint8_t *ns_tail_find(const struct ns_tail *tail, unsigned tag, size_t *ret_len)
{
    size_t at = find_tag(tail, tag);

    if (!tail || at >= tail->len || tail->bytes[at] != tag)
        return NULL;
    *ret_len = get_le16(tail->bytes + at + 1);
    return tail->bytes + at + TAG_HEAD;
}

int ns_tail_put(const struct ns_tail *tail, unsigned tag, const void *bytes, size_t len,
                struct ns_tail **ret)
{
    size_t at = find_tag(tail, tag), old = 0, had = 0, all;
    struct ns_tail *t;

    if (ns_tail_find(tail, tag, &had))
        old = TAG_HEAD + had;
    all = (tail ? tail->len : 0) - old + TAG_HEAD + len;
    if (all > NS_TAIL_MAX)
        return -ENOSPC;
    t = malloc(sizeof *t + all);
    if (!t)
        return -ENOMEM;
    t->len = all;
    if (at)
        memcpy(t->bytes, tail->bytes, at);
    t->bytes[at] = (uint8_t)tag;
    put_le16(t->bytes + at + 1, (uint16_t)len);
    memcpy(t->bytes + at + TAG_HEAD, bytes, len);
    if (tail && tail->len > at + old)
        memcpy(t->bytes + at + TAG_HEAD + len, tail->bytes + at + old, tail->len - at - old);
    *ret = t;
    return 0;
}
