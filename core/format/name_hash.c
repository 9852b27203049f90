// SPDX-License-Identifier: Apache-2.0
/* name_hash: see the header. */
#include "name_hash.h"
#include "id.h"
#include <string.h>

#define NAME_MAX_LEN 255

uint64_t name_hash(const struct name_key *key, const char *name, size_t len, unsigned level)
{
    uint8_t text[NAME_MAX_LEN + 2];
    uint64_t hash;

    if (level == 0) {
        hash = key->old ? id_checksum(name, len, key->seed) : siphash(&key->sip, name, len);
    } else { /* the NUL, which no name has, keeps levels apart */
        memcpy(text, name, len);
        text[len] = 0;
        text[len + 1] = (uint8_t)level;
        hash = siphash(&key->sip, text, len + 2);
    }
    if (key->fold)
        hash = key->fold(hash, level);
    return hash >> 9 << NAME_INDEX_BITS;
}

int name_level(const struct name_key *key, const char *name, size_t len, uint64_t place)
{
    for (unsigned level = 0; level < NAME_LEVELS; level++)
        if (name_hash(key, name, len, level) == name_bucket(place))
            return (int)level;
    return -1;
}
