// SPDX-License-Identifier: Apache-2.0
/*
 * thin_pack: the head of a file that has some parts of a pack (FORMAT.md, section 19). A pure
 * codec.
 *
 * The file is the head, whose length depends on how many parts there are, and then the bytes of the
 * parts, one behind the other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thin_part {
    uint32_t offset, len; /* bytes of the pack; len is not 0 */
};
struct thin_head {
    uint32_t size; /* of the pack */
    uint32_t count;
    const struct thin_part *parts; /* ascending, without overlaps */
    uint64_t bytes;                /* of all parts; not read by the encoder */
};

#define THIN_PARTS 65536u
#define THIN_PEEK 24u /* bytes from which it is known how long the head is */

/* Are these parts of a pack of h->size bytes? If so h->bytes is set. */
bool thin_head_is_sound(struct thin_head *h);
/* Is that range of the pack within one of the parts of a sound head? */
bool thin_head_has(const struct thin_head *h, uint64_t offset, uint64_t len);
size_t thin_head_len(uint32_t count);
/* `out` has thin_head_len(h->count) bytes. */
void thin_head_encode(const struct thin_head *h, uint8_t *out);
/* The length of the head that begins with these bytes. -EUCLEAN, -EPROTO: it was written by a newer
 * version. */
int thin_head_peek(const void *bytes, size_t len, size_t *ret_len);
/* `len` is what thin_head_peek says. `parts` has room for as many as fit into that: it is set, and
 * ret->parts points to it. -EUCLEAN, -EPROTO. */
int thin_head_decode(const void *bytes, size_t len, struct thin_part *parts, struct thin_head *ret);
