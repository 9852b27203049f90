// SPDX-License-Identifier: Apache-2.0
/* scrub_record: see the header. */
#include "scrub_record.h"
#include "state.h"
#include <errno.h>

#define VERSION 2
#define FIELDS ((SCRUB_RECORD_LEN - 16) / 8) /* numbers of 8 bytes behind checksum, version, phase
                                              * and `running` */

void scrub_record_encode(const struct scrub_record *r, uint8_t out[SCRUB_RECORD_LEN])
{
    const uint64_t f[FIELDS] = {r->next,         r->seen,         (uint64_t)r->started,
                                r->now.objects,  r->now.pages,    r->now.bytes,
                                r->now.damaged,  (uint64_t)r->ended, r->last.objects,
                                r->last.pages,   r->last.bytes,   r->last.damaged,
                                r->now.unasked,  r->last.unasked};

    put_le32(out + 8, VERSION);
    out[12] = (uint8_t)r->phase;
    out[13] = r->running;
    put_le16(out + 14, 0);
    for (size_t i = 0; i < FIELDS; i++)
        put_le64(out + 16 + i * 8, f[i]);
    put_le64(out, id_checksum(out + 8, SCRUB_RECORD_LEN - 8, 2));
}

int scrub_record_decode(const void *val, size_t len, struct scrub_record *ret)
{
    const uint8_t *v = val;
    uint64_t f[FIELDS];

    if (len != SCRUB_RECORD_LEN || get_le64(v) != id_checksum(v + 8, len - 8, 2) ||
        get_le32(v + 8) != VERSION || v[12] >= SCRUB_PHASES || v[13] > 1 || get_le16(v + 14) != 0)
        return -EUCLEAN;
    for (size_t i = 0; i < FIELDS; i++)
        f[i] = get_le64(v + 16 + i * 8);
    *ret = (struct scrub_record){.phase = v[12],
                                 .running = v[13],
                                 .next = f[0],
                                 .seen = f[1],
                                 .started = (int64_t)f[2],
                                 .now = {f[3], f[4], f[5], f[6], f[12]},
                                 .ended = (int64_t)f[7],
                                 .last = {f[8], f[9], f[10], f[11], f[13]}};
    return 0;
}

int scrub_record_load(struct kv *kv, struct scrub_record *ret)
{
    uint8_t buf[SCRUB_RECORD_LEN];
    size_t len;
    int err = kv_get(kv, TABLE_META, "scrub", 5, buf, sizeof buf, &len);

    *ret = (struct scrub_record){.phase = SCRUB_NONE};
    if (err == 0)
        err = scrub_record_decode(buf, len, ret);
    return err == -ENOENT ? 0 : err == -ERANGE ? -EUCLEAN : err;
}

int scrub_record_save(struct kv *kv, const struct scrub_record *r)
{
    uint8_t buf[SCRUB_RECORD_LEN];

    scrub_record_encode(r, buf);
    return kv_put_row(kv, TABLE_META, "scrub", 5, buf, sizeof buf);
}
