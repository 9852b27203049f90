// SPDX-License-Identifier: Apache-2.0
/*
 * pack_format: the bytes of packs (layout: packs.c), made and checked. No locks.
 */
#include "compress.h"
#include "packs_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pack_name(uint64_t pack, char out[DISK_NAME_MAX + 1])
{
    snprintf(out, DISK_NAME_MAX + 1, "packs/%016" PRIx64, pack);
}

int pack_parse_name(const char *file_name, uint64_t *ret_pack)
{
    uint64_t pack;

    if (strlen(file_name) != 16 || strspn(file_name, "0123456789abcdef") != 16)
        return -EINVAL;
    pack = strtoull(file_name, NULL, 16);
    if (pack == 0)
        return -EINVAL;
    *ret_pack = pack;
    return 0;
}

/* Padding of up to 7 bytes a record does not count as dead. So bytes that are counted as dead
 * really are. */
uint64_t pack_entry_dead(const struct pack_entry *e)
{
    uint64_t used = FILE_HEAD + e->live_bytes + (uint64_t)e->live_records * (RECORD_HEAD + 7);

    return e->file_bytes > used ? e->file_bytes - used : 0;
}

void pack_entry_encode(const struct pack_entry *e, uint8_t out[PACK_ENTRY_LEN])
{
    put_le32(out, e->live_records);
    put_le64(out + 4, e->live_bytes);
    put_le64(out + 12, e->file_bytes);
}

int pack_entry_decode(const void *val, size_t len, struct pack_entry *ret)
{
    const uint8_t *p = val;

    if (len != PACK_ENTRY_LEN)
        return -EUCLEAN;
    struct pack_entry e = {get_le32(p), get_le64(p + 4), get_le64(p + 12)};

    if (e.live_bytes > e.file_bytes || e.file_bytes > UINT64_C(1) << 32)
        return -EUCLEAN;
    *ret = e;
    return 0;
}

uint64_t pack_record_size(uint32_t len)
{
    return (RECORD_HEAD + (uint64_t)len + 7) & ~UINT64_C(7);
}

/* Of the fields before the checksum, then (of compressed records only, as others had zeros there
 * before methods existed) of those behind it, then of the payload: each seeds the next. */
static uint64_t record_sum(const uint8_t *head, const struct pack_record *r, const void *data,
                           const struct pack_place *place)
{
    uint64_t seed = place->pack * UINT64_C(0x9e3779b97f4a7c15) + place->offset;
    uint64_t sum = id_checksum(head, RECORD_SUMMED, seed);

    if (r->method != PACK_PLAIN)
        sum = id_checksum(head + RECORD_METHOD, RECORD_HEAD - RECORD_METHOD, sum);
    return id_checksum(data, r->stored, sum);
}

void pack_record_encode(const struct pack_record *r, const void *data,
                        const struct pack_place *place, uint8_t head[RECORD_HEAD])
{
    memset(head, 0, RECORD_HEAD);
    put_le32(head, RECORD_MAGIC);
    put_le32(head + 4, r->stored);
    memcpy(head + 8, r->id.b, ID_LEN);
    head[RECORD_METHOD] = r->method;
    put_le32(head + 36, r->method == PACK_PLAIN ? 0 : r->size);
    put_le64(head + 24, record_sum(head, r, data, place));
}

int pack_record_decode(const uint8_t head[RECORD_HEAD], struct pack_record *ret)
{
    static const uint8_t zeros[3];
    struct pack_record r = {
        .stored = get_le32(head + 4), .method = head[RECORD_METHOD], .size = get_le32(head + 36)};

    if (get_le32(head) != RECORD_MAGIC || memcmp(head + 33, zeros, sizeof zeros) != 0)
        return -EUCLEAN;
    if (r.method == PACK_PLAIN ? r.size != 0 : r.size <= r.stored)
        return -EUCLEAN;
    if (r.method == PACK_PLAIN)
        r.size = r.stored;
    if (r.size > PACK_RECORD_MAX)
        return -EUCLEAN;
    memcpy(r.id.b, head + 8, ID_LEN);
    *ret = r;
    return 0;
}

void pack_file_head(uint8_t head[FILE_HEAD], uint64_t number)
{
    memset(head, 0, FILE_HEAD);
    put_le32(head, FILE_MAGIC);
    put_le32(head + 4, FILE_VERSION);
    put_le64(head + 8, number);
    put_le64(head + 24, id_checksum(head, 24, number));
}

/* Is this the head of the record of `id`, with a content of `len` bytes, that is stored as the
 * place says? How a newer version has stored it is not looked at. */
static int decode_head_of(const uint8_t head[RECORD_HEAD], const struct pack_place *place,
                          const struct id *id, uint32_t len, struct pack_record *ret)
{
    int err = pack_record_decode(head, ret);

    if (err < 0)
        return err;
    if (ret->size != len || !id_equal(&ret->id, id))
        return -EUCLEAN;
    return ret->method <= PACK_ZSTD && ret->stored != pack_payload(place, len) ? -EUCLEAN : 0;
}

/* Does the payload fit the checksum in its head? And can this version read it? */
static int verify_payload(const uint8_t head[RECORD_HEAD], const struct pack_record *r,
                          const void *data, const struct pack_place *place)
{
    if (record_sum(head, r, data, place) != get_le64(head + 24))
        return -EUCLEAN;
    return r->method <= PACK_ZSTD ? 0 : -EPROTO;
}

/* Decodes the head of a record in memory, and verifies its payload. */
static int verify_record(const uint8_t *record, size_t have, const struct pack_place *place,
                         const struct id *id, uint32_t len, struct pack_record *ret)
{
    bool whole = pack_place_ok(place, len) && have >= RECORD_HEAD;
    int err = whole ? decode_head_of(record, place, id, len, ret) : -EUCLEAN;

    if (err < 0)
        return err;
    return have - RECORD_HEAD < ret->stored
               ? -EUCLEAN
               : verify_payload(record, ret, record + RECORD_HEAD, place);
}

int pack_record_take(const void *record, size_t have, const struct pack_place *place,
                     const struct id *id, void *buf, uint32_t len)
{
    const uint8_t *payload = (const uint8_t *)record + RECORD_HEAD;
    struct pack_record r;
    int err = verify_record(record, have, place, id, len, &r);

    if (err < 0)
        return err;
    if (r.method == PACK_ZSTD)
        return compress_expand(payload, r.stored, buf, len);
    memcpy(buf, payload, len);
    return 0;
}

int pack_record_check(const void *record, size_t len, const struct pack_place *place, uint32_t size)
{
    struct pack_place at = *place;
    struct pack_record r;
    int err = len < RECORD_HEAD ? -EUCLEAN : pack_record_decode(record, &r);

    if (err < 0)
        return err;
    at.stored = r.method == PACK_ZSTD ? r.stored : 0;
    return verify_record(record, len, &at, &r.id, size, &r);
}

static int read_exactly(struct disk_file *f, void *buf, size_t len, uint64_t off)
{
    ssize_t n = disk_pread(f, buf, len, off);

    if (n < 0)
        return n == -ESTALE ? -EUCLEAN : (int)n; /* gone since it was opened: nothing is left */
    return (size_t)n == len ? 0 : -EUCLEAN;
}

/* Reads the bytes of a record, head and payload, by one read, which may be a request, and takes its
 * content. Where the file ends before, so does what is read. */
static int read_at_once(struct disk_file *f, void *record, size_t most,
                        const struct pack_place *place, const struct id *id, void *buf,
                        uint32_t len)
{
    ssize_t n = disk_pread(f, record, most, place->offset);

    if (n < 0)
        return n == -ESTALE ? -EUCLEAN : (int)n; /* gone since it was opened: nothing is left */
    return pack_record_take(record, (size_t)n, place, id, buf, len);
}

/* The place says how long the payload is, so one read is enough. */
static int read_compressed(struct disk_file *f, const struct pack_place *place, const struct id *id,
                           void *buf, uint32_t len)
{
    size_t most = RECORD_HEAD + (size_t)place->stored;
    void *record = compress_scratch(most);

    return record ? read_at_once(f, record, most, place, id, buf, len) : -ENOMEM;
}

int pack_record_read(struct disk_file *f, const struct pack_place *place, const struct id *id,
                     void *buf, uint32_t len)
{
    uint8_t head[RECORD_HEAD];
    struct pack_record is;
    int err;

    if (place->stored)
        return read_compressed(f, place, id, buf, len);
    err = read_exactly(f, head, sizeof head, place->offset);
    if (err == 0)
        err = decode_head_of(head, place, id, len, &is);
    if (err == 0)
        err = read_exactly(f, buf, is.stored, place->offset + (uint64_t)RECORD_HEAD);
    return err < 0 ? err : verify_payload(head, &is, buf, place);
}

bool pack_place_ok(const struct pack_place *place, uint32_t len)
{
    return len <= PACK_RECORD_MAX && (place->stored == 0 || place->stored < len) &&
           place->offset % 8 == 0 && place->offset >= FILE_HEAD;
}

int packs_check_head(struct disk_file *file, uint64_t pack)
{
    uint8_t head[FILE_HEAD], good[FILE_HEAD];
    int err = read_exactly(file, head, sizeof head, 0);

    if (err)
        return err;
    pack_file_head(good, pack);
    return memcmp(head, good, sizeof head) == 0 ? 0 : -EUCLEAN;
}

int packs_check_record(struct disk_file *file, const struct pack_place *place, const struct id *id,
                       void *buf, uint32_t len)
{
    return pack_place_ok(place, len) ? pack_record_read(file, place, id, buf, len) : -EUCLEAN;
}

int packs_read_from(struct disk *disk, const struct pack_place *place, const struct id *id,
                    void *buf, uint32_t len)
{
    const size_t most = RECORD_HEAD + (size_t)pack_payload(place, len);
    CLEANUP_FREE void *record = NULL;
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;
    int err;

    if (!pack_place_ok(place, len))
        return -EUCLEAN;
    pack_name(place->pack, name);
    err = disk_open(disk, name, DISK_READ, &f);
    if (err < 0)
        return err;
    record = malloc(most);
    err = record ? read_at_once(f, record, most, place, id, buf, len) : -ENOMEM;
    disk_file_close(f);
    return err;
}
