// SPDX-License-Identifier: Apache-2.0
/*
 * strbuf: a text that grows. `s` is never NULL, and has a NUL at `len`.
 *
 * A failed allocation sets `failed`, keeps what was there, and makes every later call do nothing.
 * So the caller of many calls checks once, at the end, with `strbuf_error()`. A text that would get
 * more than `most` bytes, if its owner has set that, fails in the same way, and sets `full`, too.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf {
    char *s;
    size_t len;  /* bytes without the NUL */
    size_t room; /* bytes allocated, 0 while `s` is static */
    bool failed;
    bool full;   /* it failed because of `most` */
    size_t most; /* the most bytes that it may have; 0: any number */
};

extern char strbuf_empty[1];
#define STRBUF_INIT                                                                                \
    {                                                                                              \
        .s = strbuf_empty                                                                          \
    }

void strbuf_release(struct strbuf *b); /* frees and initialises again */
void strbuf_clear(struct strbuf *b);   /* keeps the memory */
void strbuf_add(struct strbuf *b, const void *data, size_t len);
void strbuf_adds(struct strbuf *b, const char *text);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vaddf(struct strbuf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* Adds a time in nanoseconds since the epoch as "2026-01-02T03:04:05Z", or "never" for 0 and
 * below. */
void strbuf_add_time(struct strbuf *b, int64_t time_ns);
/* 0; -ENOMEM: an earlier call found no memory; -E2BIG: the text would have more than `most`
 * bytes. */
int strbuf_error(const struct strbuf *b);
/* Gives the text to the caller, who frees it; *ret_len (may be NULL) is its length. The strbuf is
 * empty afterwards. NULL: it failed. */
char *strbuf_detach(struct strbuf *b, size_t *ret_len);
/* How many bytes the control character has with which the text begins: 1 if it is below U+0080; 2
 * if it is one of U+0080 to U+009F in UTF-8, which some terminals obey as well; 0: it is none. */
size_t text_control_length(const char *text, size_t len);
/* Has the text no byte below a space and none of 127, so that it can be a value in a line of a
 * file? (It may have control characters of U+0080 to U+009F: files of earlier versions do.) */
bool text_is_printable(const char *text);
#define CLEANUP_STRBUF __attribute__((cleanup(strbuf_release)))
