// SPDX-License-Identifier: Apache-2.0
/* bytes: reads and writes integers of fixed width. Values are little-endian. Keys are big-endian,
 * so that their bytes sort as the numbers do. `p` need not be aligned. */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_le16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return le16toh(v);
}
static inline uint32_t get_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return le32toh(v);
}
static inline uint64_t get_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return le64toh(v);
}
static inline uint64_t get_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return be64toh(v);
}
static inline void put_le16(void *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, 2);
}
static inline void put_le32(void *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, 4);
}
static inline void put_le64(void *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, 8);
}
static inline void put_be64(void *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, 8);
}

/* Write at `p`, and return the place behind. */
static inline uint8_t *append_le32(uint8_t *p, uint32_t v)
{
    put_le32(p, v);
    return p + 4;
}
static inline uint8_t *append_le64(uint8_t *p, uint64_t v)
{
    put_le64(p, v);
    return p + 8;
}

/* Reads fields one after the other. `over`: a read went beyond the end; all further reads fail. */
struct field_reader {
    const uint8_t *p, *end;
    bool over;
};

/* The next `n` bytes; NULL: there are fewer. */
static inline const uint8_t *field_bytes(struct field_reader *r, size_t n)
{
    const uint8_t *p = r->p;
    r->over |= (size_t)(r->end - p) < n;
    if (r->over)
        return NULL;
    r->p += n;
    return p;
}
/* The next `n` bytes (2, 4 or 8) as a number; 0: there are fewer. */
static inline uint64_t field_number(struct field_reader *r, size_t n)
{
    const uint8_t *p = field_bytes(r, n);
    return !p ? 0 : n == 2 ? get_le16(p) : n == 4 ? get_le32(p) : get_le64(p);
}
