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
#define HEAD_2 72 /* version 2 has nothing about usage, reserved inode numbers and origins */
#define RECORD_HEAD 152
#define RECORD_VERSION 3

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

size_t ns_record_encode(uint32_t number, const struct ns_fields *f, uint8_t *out)
{
    size_t name = strlen(f->name), target = f->target ? strlen(f->target) : 0;

    memset(out, 0, RECORD_HEAD);
    out[8] = RECORD_VERSION;
    out[9] = (uint8_t)(f->frozen | (f->target ? 2 : 0) | (f->verify ? 4 : 0) |
                       (f->branched ? 8 : 0) | (f->counted ? 16 : 0));
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
    put_le64(out + 120, f->own_ino);
    put_instant(out + 128, &f->base);
    memcpy(out + RECORD_HEAD, f->name, name);
    if (target)
        memcpy(out + RECORD_HEAD + name, f->target, target);
    put_le64(out, id_checksum(out + 8, RECORD_HEAD + name + target - 8, number));
    return RECORD_HEAD + name + target;
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

/* Decodes what version 3 added about inode numbers and branches. The caller has set `ino_end` to
 * next_ino: a smaller value in the record reserves nothing. */
static void decode_branch(const uint8_t *v, struct ns_fields *ret)
{
    if (get_le64(v + 88) > ret->ino_end)
        ret->ino_end = get_le64(v + 88);
    ret->origin = get_instant(v + 96);
    ret->own_ino = get_le64(v + 120);
    ret->base = get_instant(v + 128);
}

int ns_decode(const void *val, size_t len, struct ns_fields *ret)
{
    const uint8_t *v = val;
    size_t head = head_of(v, len), name = head ? get_le16(v + 10) : 0;

    *ret = (struct ns_fields){.target = NULL};
    if (head == 0 || head + name > len || len > head + name + 4095 || !is_name(v + head, name))
        return -EUCLEAN;
    memcpy(ret->name, v + head, name);
    ret->frozen = v[9] & 1;
    ret->verify = v[9] & 4;
    ret->branched = v[9] & 8;
    ret->generation = get_le32(v + 12);
    ret->root = get_le64(v + 16);
    ret->next_ino = get_le64(v + 24);
    ret->seq = get_le64(v + 32);
    ret->time = (int64_t)get_le64(v + 40);
    ret->uid = get_le32(v + 48);
    ret->gid = get_le32(v + 52);
    if (head >= HEAD_2) {
        ret->flushes = get_le64(v + 56);
        ret->flushed = (int64_t)get_le64(v + 64);
    }
    if (head == RECORD_HEAD) {
        ret->usage = (struct usage){get_le64(v + 72), get_le64(v + 80)};
        ret->counted = v[9] & 16;
    }
    ret->ino_end = ret->next_ino;
    if (head == RECORD_HEAD)
        decode_branch(v, ret);
    if (ret->ino_end > KEY_INO_MAX + 1)
        return -EUCLEAN;
    if (v[9] & 2) {
        ret->target = strndup((const char *)v + head + name, len - head - name);
        if (!ret->target)
            return -ENOMEM;
    }
    return 0;
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
