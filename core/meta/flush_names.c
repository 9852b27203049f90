// SPDX-License-Identifier: Apache-2.0
/* flush_names: see the header. */
#include "flush_names.h"
#include "bytes.h"
#include "command.h"
#include "id.h"
#include "record.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define HEAD 16
#define NAME_HEAD 17 /* bytes before each name: seq, time, length of the name */
#define BYTES_MAX (HEAD + FLUSH_NAMES_MAX * (NAME_HEAD + FLUSH_LABEL_MAX))

void flush_names_add(struct flush_names *l, const struct flush_name *n)
{
    if (l->count == FLUSH_NAMES_MAX)
        memmove(&l->v[0], &l->v[1], --l->count * sizeof l->v[0]);
    l->v[l->count++] = *n;
}

/* Encodes the record: checksum, version, count, and then the names one after the other. Returns its
 * length; `out` has room for BYTES_MAX. */
static size_t encode(const struct flush_names *l, uint8_t *out)
{
    uint8_t *at = out + HEAD;

    put_le32(out + 8, VERSION);
    put_le32(out + 12, (uint32_t)l->count);
    for (size_t i = 0; i < l->count; i++) {
        size_t n = strlen(l->v[i].name);
        put_le64(at, l->v[i].seq);
        put_le64(at + 8, (uint64_t)l->v[i].time);
        at[16] = (uint8_t)n;
        memcpy(at + NAME_HEAD, l->v[i].name, n);
        at += NAME_HEAD + n;
    }
    put_le64(out, id_checksum(out + 8, (size_t)(at - out) - 8, FLUSH_NAMES_SEED));
    return (size_t)(at - out);
}

/* Decodes the name at *at, and moves *at behind it. -EUCLEAN: it does not fit before `end`, is
 * empty or has a NUL byte. */
static int decode_one(const uint8_t **at, const uint8_t *end, struct flush_name *ret)
{
    size_t n;

    if (end - *at < NAME_HEAD)
        return -EUCLEAN;
    n = (*at)[16];
    if (n == 0 || (size_t)(end - *at) < NAME_HEAD + n || memchr(*at + NAME_HEAD, 0, n))
        return -EUCLEAN;
    *ret = (struct flush_name){get_le64(*at), (int64_t)get_le64(*at + 8), ""};
    memcpy(ret->name, *at + NAME_HEAD, n);
    *at += NAME_HEAD + n;
    return 0;
}

/* Decodes the record into *ret, which the caller has emptied. The names must fill the record
 * exactly: bytes behind the last one are damage. */
static int decode(const uint8_t *v, size_t len, struct flush_names *ret)
{
    const uint8_t *at = v + HEAD, *end = v + len;
    size_t count = len >= HEAD ? get_le32(v + 12) : 0;
    int err = len < HEAD || get_le64(v) != id_checksum(v + 8, len - 8, FLUSH_NAMES_SEED) ||
                      get_le32(v + 8) != VERSION || count > FLUSH_NAMES_MAX
                  ? -EUCLEAN
                  : 0;

    while (err == 0 && ret->count < count) {
        err = decode_one(&at, end, &ret->v[ret->count]);
        ret->count += err == 0;
    }
    return err == 0 && at != end ? -EUCLEAN : err;
}

int flush_names_load(struct kv *kv, struct flush_names *ret)
{
    uint8_t *buf = malloc(BYTES_MAX);
    size_t len;
    int err = buf ? kv_get(kv, TABLE_META, "flushes", 7, buf, BYTES_MAX, &len) : -ENOMEM;

    ret->count = 0;
    if (err == 0)
        err = decode(buf, len, ret);
    free(buf);
    if (err < 0)
        ret->count = 0;
    return err == -ENOENT ? 0 : err == -ERANGE ? -EUCLEAN : err;
}

int flush_names_write(const struct flush_names *l, struct kv_txn *t)
{
    uint8_t *buf = malloc(BYTES_MAX);
    int err = buf ? kv_put(t, TABLE_META, "flushes", 7, buf, encode(l, buf)) : -ENOMEM;

    free(buf);
    return err;
}

void flush_names_list(const struct flush_names *l, struct strbuf *out)
{
    for (size_t i = 0; i < l->count; i++) {
        strbuf_addf(out, "seq=%llu time=", (unsigned long long)l->v[i].seq);
        strbuf_add_time(out, l->v[i].time);
        strbuf_adds(out, " name=");
        command_add_word(out, l->v[i].name);
        strbuf_adds(out, "\n");
    }
}
