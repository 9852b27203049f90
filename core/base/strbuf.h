// SPDX-License-Identifier: Apache-2.0
/*
 * strbuf: a growing text. `s` is never NULL and always NUL-terminated at `len`.
 * A failed allocation sets `failed`, keeps what was there, and makes every later call a no-op, so
 * that a long composition is checked once, at its end, with `strbuf_error()`. So does a text that
 * would have more than `most` bytes, where its owner sets that; `full` tells them apart.
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
    size_t most; /* bytes; 0: no bound */
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
/* Nanoseconds since the epoch as "2026-01-02T03:04:05Z", or "never" for 0. */
void strbuf_add_time(struct strbuf *b, int64_t time_ns);
/* 0, or -ENOMEM if any call before failed, -E2BIG if it was too much. */
int strbuf_error(const struct strbuf *b);
/* You now own the storage (free() it); the strbuf is empty again. NULL if it failed. */
char *strbuf_detach(struct strbuf *b, size_t *ret_len);
#define CLEANUP_STRBUF __attribute__((cleanup(strbuf_release)))
