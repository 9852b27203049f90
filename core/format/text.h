// SPDX-License-Identifier: Apache-2.0
/*
 * text: small texts on disk that people can read, too: a line "tallyfs WHAT 1", lines NAME=VALUE in
 * a fixed order, and a last line "sum=" with a checksum of everything before it.
 *
 * A text is valid if and only if what was read from it encodes to the same text again. So the
 * functions that read need not be strict:
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
#define TEXT_SUM_LINE (sizeof "sum=0123456789abcdef\n" - 1) /* bytes of the last line */

struct text_writer {
    char *out;
    size_t room; /* bytes of `out`, at least 1; a longer text is cut */
    size_t len;
};

void text_add(struct text_writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_add_hex(struct text_writer *w, const char *name, const uint8_t *b, size_t len);
/* Adds the last line. Returns the length of the text. */
size_t text_end(struct text_writer *w, uint64_t seed);

/* Copies the text, adds a NUL, and checks its checksum, kind and version. *ret_at points behind
 * "tallyfs WHAT " in the copy. -EUCLEAN: it is damaged, or something else. -EPROTO: it is of
 * another version; *ret_at and the copy are set nevertheless. */
int text_begin(const char *text, size_t len, const char *what, uint64_t seed, char *copy,
               size_t room, const char **ret_at);
/* Finds the next line NAME=VALUE from *at on, moves *at to its value, and returns it; "" if there
 * is none. The value ends at the newline. */
const char *text_value(const char **at, const char *name);
/* The value as a number, and as `len` bytes in hex. */
uint64_t text_number(const char **at, const char *name);
void text_bytes(const char **at, const char *name, uint8_t *out, size_t len);
/* Are both texts equal? */
bool text_is_same(const char *again, size_t again_len, const char *text, size_t len);
