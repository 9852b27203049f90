// SPDX-License-Identifier: Apache-2.0
/*
 * id: content ids and checksums, all of them from XXH3.
 *
 * Both ways to make an id, at once and in pieces, use the same key and write the same big-endian
 * bytes. So a content has the same id in both.
 */
#include "id.h"
#include "bytes.h"
#include "permute.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>
#ifdef XXH_DISPATCH /* by meson.build */
#include <xxh_x86dispatch.h>
#endif

#define SALT_LEN 8      /* bytes of a salted id that are its salt */
#define CHAIN_EVER 1000 /* the longest chain of any version; ID_CHAIN_MAX may not be above it */

_Static_assert(ID_CHAIN_MAX <= CHAIN_EVER, "id_fits accepts every id that is given out");

struct id_stream {
    XXH3_state_t *state;
    struct id_key key; /* a copy: the state points into its secret */
};

bool id_key_equal(const struct id_key *a, const struct id_key *b)
{
    return memcmp(a->secret, b->secret, ID_SECRET_LEN) == 0 && a->veiled == b->veiled &&
           memcmp(a->veil.b, b->veil.b, SIP_KEY_LEN) == 0;
}

/* Veils a hash, if ids of the store are veiled, and writes it as an id. */
static void from_hash(const struct id_key *key, XXH128_hash_t hash, struct id *ret_id)
{
    uint64_t word[2] = {hash.high64, hash.low64};

    if (key->veiled)
        permute_128(&key->veil, word);
    put_be64(ret_id->b, word[0]);
    put_be64(ret_id->b + 8, word[1]);
}

static void fold(const struct id_key *key, struct id *id)
{
    if (key->fold)
        key->fold(id);
}

void id_of(const struct id_key *key, const void *data, size_t len, struct id *ret_id)
{
    from_hash(key, XXH3_128bits_withSecret(data, len, key->secret, ID_SECRET_LEN), ret_id);
    fold(key, ret_id);
}

void id_derive(const struct id_key *key, const struct id *id, struct id *ret_id)
{
    from_hash(key, XXH3_128bits_withSecret(id->b, ID_LEN, key->secret, ID_SECRET_LEN), ret_id);
}

void id_salt(const struct id_key *key, const struct id *hash, uint64_t salt, struct id *ret_id)
{
    uint8_t text[ID_LEN + SALT_LEN];
    struct id sum;

    memcpy(text, hash->b, ID_LEN);
    put_be64(text + ID_LEN, salt);
    from_hash(key, XXH3_128bits_withSecret(text, sizeof text, key->secret, ID_SECRET_LEN), &sum);
    memcpy(ret_id->b, text + ID_LEN, SALT_LEN);
    memcpy(ret_id->b + SALT_LEN, sum.b, ID_LEN - SALT_LEN);
}

/* The salted form is tried before the chain: it costs one hash, and the chain up to CHAIN_EVER of
 * them. */
bool id_fits(const struct id_key *key, const struct id *id, const struct id *hash)
{
    struct id next = *hash, with_salt;

    if (id_equal(id, hash))
        return true;
    id_salt(key, hash, get_be64(id->b), &with_salt);
    if (id_equal(id, &with_salt))
        return true;
    for (unsigned i = 1; i < CHAIN_EVER; i++) {
        id_derive(key, &next, &next);
        if (id_equal(id, &next))
            return true;
    }
    return false;
}

int id_stream_create(const struct id_key *key, struct id_stream **ret_s)
{
    struct id_stream *s = malloc(sizeof *s);

    if (!s)
        return -ENOMEM;
    s->key = *key;
    s->state = XXH3_createState();
    if (!s->state) {
        free(s);
        return -ENOMEM;
    }
    XXH3_128bits_reset_withSecret(s->state, s->key.secret, ID_SECRET_LEN);
    *ret_s = s;
    return 0;
}

int id_stream_add(struct id_stream *s, const void *data, size_t len)
{
    if (len == 0) /* xxhash refuses NULL even for no bytes */
        return 0;
    return XXH3_128bits_update(s->state, data, len) == XXH_OK ? 0 : -EINVAL;
}

void id_stream_end(struct id_stream *s, struct id *ret_id)
{
    from_hash(&s->key, XXH3_128bits_digest(s->state), ret_id);
    fold(&s->key, ret_id);
}

void id_stream_destroy(struct id_stream *s)
{
    if (!s)
        return;
    XXH3_freeState(s->state);
    free(s);
}

void id_stream_restart(struct id_stream *s)
{
    XXH3_128bits_reset_withSecret(s->state, s->key.secret, ID_SECRET_LEN);
}

uint64_t id_checksum(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}

void id_checksum_128(const void *data, size_t len, uint64_t ret_sum[2])
{
    XXH128_hash_t sum = XXH3_128bits(data, len);

    ret_sum[0] = sum.low64;
    ret_sum[1] = sum.high64;
}

/* ---- a checksum in pieces: struct id_sum is the state of xxhash ---- */

static XXH3_state_t *state_of(struct id_sum *s)
{
    return (XXH3_state_t *)(void *)s;
}

struct id_sum *id_sum_create(void)
{
    return (struct id_sum *)(void *)XXH3_createState();
}

void id_sum_restart(struct id_sum *s, uint64_t seed)
{
    XXH3_64bits_reset_withSeed(state_of(s), seed);
}

void id_sum_add(struct id_sum *s, const void *data, size_t len)
{
    if (len)
        (void)XXH3_64bits_update(state_of(s), data, len);
}

uint64_t id_sum_end(struct id_sum *s)
{
    return XXH3_64bits_digest(state_of(s));
}

void id_sum_destroy(struct id_sum *s)
{
    XXH3_freeState(state_of(s));
}

int id_compare(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, ID_LEN);
}

size_t id_lower_bound(const void *v, size_t n, size_t size, const struct id *id)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (id_compare((const struct id *)((const uint8_t *)v + mid * size), id) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void id_to_hex(const struct id *id, char out[ID_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < ID_LEN; i++) {
        out[2 * i] = digits[id->b[i] >> 4];
        out[2 * i + 1] = digits[id->b[i] & 15];
    }
    out[ID_HEX] = '\0';
}

/* The value of a hex digit; 16: it is none. */
static uint8_t digit(char c)
{
    if (c >= '0' && c <= '9')
        return (uint8_t)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (uint8_t)(c - 'a' + 10);
    if (c >= 'A' && c <= 'F')
        return (uint8_t)(c - 'A' + 10);
    return 16;
}

int id_from_hex(const char *text, struct id *ret_id)
{
    struct id id;

    if (strlen(text) != ID_HEX)
        return -EINVAL;
    for (size_t i = 0; i < ID_LEN; i++) {
        uint8_t high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

        if (high > 15 || low > 15)
            return -EINVAL;
        id.b[i] = (uint8_t)(high << 4 | low);
    }
    *ret_id = id;
    return 0;
}

static int random_bytes(void *out, size_t len)
{
    return getrandom(out, len, 0) == (ssize_t)len ? 0 : -EIO;
}

int id_key_make(struct id_key *ret)
{
    struct id_key key = {.veiled = true};
    int err = random_bytes(key.secret, sizeof key.secret);

    if (err == 0)
        err = random_bytes(key.veil.b, sizeof key.veil.b);
    if (err == 0)
        *ret = key;
    return err;
}
