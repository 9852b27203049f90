// SPDX-License-Identifier: Apache-2.0
/* shard_format: see shard_format.h. */
#include "shard_format.h"

#include "bytes.h"
#include "id.h"
#include "strbuf.h"
#include "text.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VERSION 1
#define FLAG_DRAINING 1u
#define FLAG_NEXT 2u
#define FLAG_ARCHIVE 4u
#define FLAG_GAP 8u
#define FLAG_FOLLOWS 16u

void shard_fence_name(const uint8_t token[SHARD_TOKEN_LEN], char out[SHARD_FENCE_NAME])
{
    int n = snprintf(out, SHARD_FENCE_NAME, "%s/", SHARD_FENCES);

    for (size_t i = 0; i < SHARD_TOKEN_LEN; i++)
        n += snprintf(out + n, SHARD_FENCE_NAME - (size_t)n, "%02x", token[i]);
}

/* ---- texts ---- */

size_t shard_identity_encode(const struct shard_identity *i, char out[SHARD_TEXT_MAX])
{
    struct text_writer w = {out, SHARD_TEXT_MAX, 0};

    text_add(&w, "tallyfs shard " TEXT_VERSION "\n");
    text_add_hex(&w, "id", i->id, sizeof i->id);
    text_add_hex(&w, "store", i->store, sizeof i->store);
    text_add(&w, "number=%u\n", i->number);
    return text_end(&w, 0);
}

int shard_identity_decode(const char *text, size_t len, struct shard_identity *ret)
{
    char copy[SHARD_TEXT_MAX], again[SHARD_TEXT_MAX];
    struct shard_identity i = {0};
    const char *at;
    int err = text_begin(text, len, "tallyfs shard ", 0, copy, sizeof copy, &at);

    if (err < 0)
        return err;
    text_bytes(&at, "id", i.id, sizeof i.id);
    text_bytes(&at, "store", i.store, sizeof i.store);
    i.number = (uint16_t)text_number(&at, "number");
    if (i.number == 0 || !text_is_same(again, shard_identity_encode(&i, again), text, len))
        return -EUCLEAN;
    *ret = i;
    return 0;
}

size_t shard_token_encode(const uint8_t token[SHARD_TOKEN_LEN], char out[SHARD_TEXT_MAX])
{
    struct text_writer w = {out, SHARD_TEXT_MAX, 0};

    text_add(&w, "tallyfs shard owner " TEXT_VERSION "\n");
    text_add_hex(&w, "token", token, SHARD_TOKEN_LEN);
    return text_end(&w, 0);
}

int shard_token_decode(const char *text, size_t len, uint8_t ret_token[SHARD_TOKEN_LEN])
{
    char copy[SHARD_TEXT_MAX], again[SHARD_TEXT_MAX];
    uint8_t token[SHARD_TOKEN_LEN] = {0};
    const char *at;
    int err = text_begin(text, len, "tallyfs shard owner ", 0, copy, sizeof copy, &at);

    if (err < 0)
        return err;
    text_bytes(&at, "token", token, sizeof token);
    if (!text_is_same(again, shard_token_encode(token, again), text, len))
        return -EUCLEAN;
    memcpy(ret_token, token, sizeof token);
    return 0;
}

/* ---- records ---- */

/* What only the record of a shard has, and only that of an archive. */
static void encode_shard(const struct shard_record *r, uint8_t out[SHARD_RECORD_MAX])
{
    put_le32(out + 12, (r->draining ? FLAG_DRAINING : 0) | (r->has_next ? FLAG_NEXT : 0));
    put_le32(out + 16, r->incarnation);
    memcpy(out + 40, r->token, sizeof r->token);
    if (r->has_next)
        memcpy(out + 56, r->next, sizeof r->next);
}

static void encode_archive(const struct shard_record *r, uint8_t out[SHARD_RECORD_MAX])
{
    put_le32(out + 12, FLAG_ARCHIVE | (r->draining ? FLAG_DRAINING : 0) | (r->gap ? FLAG_GAP : 0) |
                           (r->follows ? FLAG_FOLLOWS : 0));
    put_le32(out + 16, r->seen);
    put_le32(out + 20, r->lineage);
    put_le64(out + 56, (uint64_t)r->drilled);
}

size_t shard_record_encode(const struct shard_record *r, uint16_t number,
                           uint8_t out[SHARD_RECORD_MAX])
{
    size_t url = strlen(r->url);

    memset(out, 0, SHARD_RECORD_HEAD);
    put_le32(out + 8, VERSION);
    memcpy(out + 24, r->id, sizeof r->id);
    if (r->archive)
        encode_archive(r, out);
    else
        encode_shard(r, out);
    memcpy(out + SHARD_RECORD_HEAD, r->url, url);
    put_le64(out, id_checksum(out + 8, SHARD_RECORD_HEAD - 8 + url, number));
    return SHARD_RECORD_HEAD + url;
}

int shard_record_decode(const void *in, size_t len, uint16_t number, struct shard_record *ret)
{
    const uint8_t *v = in;
    uint8_t again[SHARD_RECORD_MAX];
    struct shard_record r = {0};

    if (len <= SHARD_RECORD_HEAD || get_le64(v) != id_checksum(v + 8, len - 8, number))
        return -EUCLEAN;
    if (get_le32(v + 8) > VERSION)
        return -EPROTO;
    if (len > SHARD_RECORD_MAX)
        return -EUCLEAN;
    uint32_t flags = get_le32(v + 12);

    r.draining = flags & FLAG_DRAINING;
    r.has_next = flags & FLAG_NEXT;
    r.archive = flags & FLAG_ARCHIVE;
    r.gap = flags & FLAG_GAP;
    r.follows = flags & FLAG_FOLLOWS;
    r.incarnation = r.archive ? 0 : get_le32(v + 16);
    r.seen = r.archive ? get_le32(v + 16) : 0;
    r.lineage = get_le32(v + 20);
    memcpy(r.id, v + 24, sizeof r.id);
    memcpy(r.token, v + 40, sizeof r.token);
    if (r.archive)
        r.drilled = (int64_t)get_le64(v + 56);
    else
        memcpy(r.next, v + 56, sizeof r.next);
    memcpy(r.url, v + SHARD_RECORD_HEAD, len - SHARD_RECORD_HEAD);
    /* a URL is shown to people */
    if (!text_is_printable(r.url) || shard_record_encode(&r, number, again) != len ||
        memcmp(again, v, len) != 0)
        return -EUCLEAN;
    *ret = r;
    return 0;
}

void shard_floor_encode(uint32_t incarnation, uint8_t out[SHARD_FLOOR_LEN])
{
    put_le32(out + 8, VERSION);
    put_le32(out + 12, incarnation);
    put_le64(out, id_checksum(out + 8, SHARD_FLOOR_LEN - 8, 0));
}

int shard_floor_decode(const void *in, size_t len, uint32_t *ret_incarnation)
{
    const uint8_t *v = in;

    if (len < SHARD_FLOOR_LEN || get_le64(v) != id_checksum(v + 8, len - 8, 0))
        return -EUCLEAN;
    if (get_le32(v + 8) > VERSION)
        return -EPROTO;
    if (len != SHARD_FLOOR_LEN || get_le32(v + 8) != VERSION)
        return -EUCLEAN;
    *ret_incarnation = get_le32(v + 12);
    return 0;
}
