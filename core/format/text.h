// SPDX-License-Identifier: Apache-2.0
/*
 * text: small texts on disk that people can read, too: "tallyfs WHAT 1", lines NAME=VALUE in a
 * fixed order, and last "sum=" over all before it.
 *
 * One is right exactly if what was read of it is written again as the same text, so reading need
 * not be strict by itself:
 *
 *     err = text_begin(text, len, "tallyfs WHAT ", seed, copy, sizeof copy, &at);
 *     thing.number = text_number(&at, "number");
 *     if (!text_is_same(again, thing_encode(&thing, again), text, len)) -> -EUCLEAN
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_VERSION "1"

struct text_writer {
    char *out;
    size_t room; /* at least 1; what is beyond it is left out */
    size_t len;
};

void text_add(struct text_writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_add_hex(struct text_writer *w, const char *name, const uint8_t *b, size_t len);
/* The last line. Returns the length of all. */
size_t text_end(struct text_writer *w, uint64_t seed);

/* A copy with a NUL, whose checksum holds, of the right kind and version; *ret_at is behind that.
 * -EUCLEAN; -EPROTO a newer version: *ret_at and the copy are given all the same. */
int text_begin(const char *text, size_t len, const char *what, uint64_t seed, char *copy,
               size_t room, const char **ret_at);
/* What follows "\nNAME=" from *at on, which moves there; "" when there is none. */
const char *text_value(const char **at, const char *name);
uint64_t text_number(const char **at, const char *name);
void text_bytes(const char **at, const char *name, uint8_t *out, size_t len);
bool text_is_same(const char *again, size_t again_len, const char *text, size_t len);
