// SPDX-License-Identifier: Apache-2.0
/* identity: see the header. */
#include "identity.h"
#include "bytes.h"
#include "record.h"
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum identity_flags {
    NAMES_BY_SIPHASH = 1 << 0,
    IDS_VEILED = 1 << 1,
    ALL_FLAGS = NAMES_BY_SIPHASH | IDS_VEILED,
};

#define SECRET_AT 24
#define LABEL_AT (SECRET_AT + ID_SECRET_LEN)
#define KEYS_AT (LABEL_AT + STORE_LABEL_MAX)
#define VERSION_1_LEN KEYS_AT
static_assert(IDENTITY_LEN == KEYS_AT + 3 * SIP_KEY_LEN, "as in FORMAT.md");

static int random_bytes(void *out, size_t len)
{
    return getrandom(out, len, 0) == (ssize_t)len ? 0 : -EIO;
}

/* Makes the key of names and the key of cookies. The key of ids is not one of them: it may be that
 * of a pool. */
static int make_keys(struct identity *id)
{
    int err = random_bytes(id->names.sip.b, SIP_KEY_LEN);

    if (err == 0)
        err = random_bytes(id->cookies.b, SIP_KEY_LEN);
    id->complete = err == 0;
    return err;
}

int identity_make(const char *label, int64_t created, const struct id_key *key,
                  struct identity *ret)
{
    struct identity id = {.created = created};
    int err = strlen(label) > STORE_LABEL_MAX ? -ENAMETOOLONG : make_keys(&id);

    if (err == 0 && !key)
        err = id_key_make(&id.key);
    if (err < 0)
        return err;
    if (key)
        id.key = *key;
    memcpy(id.label, label, strlen(label) + 1);
    *ret = id;
    return 0;
}

void identity_encode(const struct identity *id, uint8_t out[IDENTITY_LEN])
{
    uint32_t flags = (id->names.old ? 0 : NAMES_BY_SIPHASH) | (id->key.veiled ? IDS_VEILED : 0);

    memset(out, 0, IDENTITY_LEN);
    put_le32(out + 8, IDENTITY_VERSION);
    put_le32(out + 12, flags);
    put_le64(out + 16, (uint64_t)id->created);
    memcpy(out + SECRET_AT, id->key.secret, ID_SECRET_LEN);
    memcpy(out + LABEL_AT, id->label, strlen(id->label));
    memcpy(out + KEYS_AT, id->names.sip.b, SIP_KEY_LEN);
    memcpy(out + KEYS_AT + SIP_KEY_LEN, id->cookies.b, SIP_KEY_LEN);
    memcpy(out + KEYS_AT + 2 * SIP_KEY_LEN, id->key.veil.b, SIP_KEY_LEN);
    put_le64(out, id_checksum(out + 8, IDENTITY_LEN - 8, 0));
}

/* Decodes what version 2 added to the record: three keys, and the flags that say which of them are
 * used. */
static void decode_keys(const uint8_t *v, uint32_t flags, struct identity *id)
{
    memcpy(id->names.sip.b, v + KEYS_AT, SIP_KEY_LEN);
    memcpy(id->cookies.b, v + KEYS_AT + SIP_KEY_LEN, SIP_KEY_LEN);
    memcpy(id->key.veil.b, v + KEYS_AT + 2 * SIP_KEY_LEN, SIP_KEY_LEN);
    id->key.veiled = flags & IDS_VEILED;
    id->names.old = !(flags & NAMES_BY_SIPHASH);
    id->complete = true;
}

int identity_decode(const void *val, size_t len, struct identity *ret)
{
    const uint8_t *v = val;
    struct identity id = {.names.old = true};
    uint32_t flags;

    if (len < VERSION_1_LEN || get_le64(v) != id_checksum(v + 8, len - 8, 0))
        return -EUCLEAN;
    if (get_le32(v + 8) == 0 || get_le32(v + 8) > IDENTITY_VERSION)
        return -EPROTO;
    flags = get_le32(v + 12);
    if (len != (get_le32(v + 8) == 1 ? VERSION_1_LEN : IDENTITY_LEN))
        return -EUCLEAN;
    if (flags & ~(uint32_t)ALL_FLAGS)
        return -EPROTO;
    id.created = (int64_t)get_le64(v + 16);
    memcpy(id.key.secret, v + SECRET_AT, ID_SECRET_LEN);
    memcpy(id.label, v + LABEL_AT, STORE_LABEL_MAX);
    if (len == IDENTITY_LEN)
        decode_keys(v, flags, &id);
    if (id.names.old)
        id.names.seed = get_le64(id.key.secret);
    *ret = id;
    return 0;
}

/* Writes the record in a transaction of its own. */
static int write_identity(struct kv *kv, const struct identity *id)
{
    uint8_t buf[IDENTITY_LEN];

    identity_encode(id, buf);
    return kv_put_row(kv, TABLE_META, "identity", 8, buf, sizeof buf);
}

int identity_load(struct kv *kv, struct identity *ret)
{
    uint8_t buf[IDENTITY_LEN];
    size_t len;
    int err = kv_get(kv, TABLE_META, "identity", 8, buf, sizeof buf, &len);

    if (err == 0)
        err = identity_decode(buf, len, ret);
    if (err < 0 || ret->complete)
        return err == -ERANGE ? -EUCLEAN : err;
    err = make_keys(ret);
    return err < 0 ? err : write_identity(kv, ret);
}
