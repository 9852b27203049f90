// SPDX-License-Identifier: Apache-2.0
/*
 * entry_absent: what an ABSENT entry (entry.h) is known by: the SHA-256 of its bytes; or, where
 * nobody knows that, their id, as of what an archive lost: then the id and zeros stand in its
 * place.
 */
#pragma once

#include "entry.h"
#include <string.h>

static inline struct entry entry_absent(const struct id *id, uint64_t size)
{
    struct entry e = {.kind = ENTRY_ABSENT, .size = size};

    memcpy(e.sha256, id->b, ID_LEN);
    return e;
}

/* Is it known by its id? */
static inline bool entry_absent_has_id(const struct entry *e)
{
    static const uint8_t zeros[SHA256_LEN - ID_LEN];

    return memcmp(e->sha256 + ID_LEN, zeros, sizeof zeros) == 0;
}

/* Its id; or what stands for that, the first bytes of its SHA-256. */
static inline struct id entry_absent_id(const struct entry *e)
{
    struct id id;

    memcpy(id.b, e->sha256, ID_LEN);
    return id;
}
