// SPDX-License-Identifier: Apache-2.0
/*
 * sha256: SHA-256 of bytes that come in pieces, by libcrypto.
 *
 *     struct sha256 *h;
 *     err = sha256_new(&h);
 *     sha256_add(h, bytes, len);         any number of times
 *     err = sha256_end(h, sum);          the next bytes begin another sum
 *     sha256_free(h);
 *
 * Threads: each struct by one at a time.
 */
#pragma once

#include "entry.h"
#include <stddef.h>
#include <stdint.h>

struct sha256;

/* -ENOMEM: libcrypto could not begin. */
int sha256_new(struct sha256 **ret_h);
void sha256_free(struct sha256 *h); /* NULL is fine */
/* An error is kept until the end. */
void sha256_add(struct sha256 *h, const void *bytes, size_t len);
/* -ENOMEM: libcrypto failed; `out` is as it was. */
int sha256_end(struct sha256 *h, uint8_t out[SHA256_LEN]);
/* The sum of bytes that are all there. -ENOMEM */
int sha256_of(const void *bytes, size_t len, uint8_t out[SHA256_LEN]);
