// SPDX-License-Identifier: Apache-2.0
/*
 * strbuf: see the header. An empty one points at one shared static NUL. So `s` can always be read,
 * and a strbuf that is never written to allocates nothing. `room` is 0 in that state.
 */
#include "strbuf.h"
#include "clock.h"
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

char strbuf_empty[1];

void strbuf_release(struct strbuf *b)
{
    if (b->room > 0)
        free(b->s);
    *b = (struct strbuf)STRBUF_INIT;
}

void strbuf_clear(struct strbuf *b)
{
    b->len = 0;
    if (b->room > 0)
        b->s[0] = '\0';
}

/* Makes room for `more` bytes and the NUL. False: it failed, now or before. */
static bool grow(struct strbuf *b, size_t more)
{
    if (b->failed)
        return false;
    if (b->most > 0 && (more > b->most || b->len > b->most - more)) {
        b->failed = b->full = true;
        return false;
    }
    if (b->room > b->len && more < b->room - b->len)
        return true;
    size_t room = b->room < 32 ? 64 : b->room * 2;
    if (more >= SIZE_MAX / 4 - b->len)
        room = 0;
    else if (room < b->len + more + 1)
        room = b->len + more + 1;
    char *s = room == 0 ? NULL : realloc(b->room > 0 ? b->s : NULL, room);
    if (!s) {
        b->failed = true;
        return false;
    }
    s[b->len] = '\0';
    b->s = s;
    b->room = room;
    return true;
}

void strbuf_add(struct strbuf *b, const void *data, size_t len)
{
    if (len == 0 || !grow(b, len))
        return;
    memcpy(b->s + b->len, data, len);
    b->len += len;
    b->s[b->len] = '\0';
}

void strbuf_adds(struct strbuf *b, const char *text)
{
    strbuf_add(b, text, strlen(text));
}

void strbuf_addf(struct strbuf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    strbuf_vaddf(b, fmt, ap);
    va_end(ap);
}

/* Measures the text first, so that it is formatted into the buffer itself. */
void strbuf_vaddf(struct strbuf *b, const char *fmt, va_list ap)
{
    va_list measure;
    va_copy(measure, ap);
    int n = vsnprintf(NULL, 0, fmt, measure);
    va_end(measure);
    if (n < 0)
        b->failed = true;
    if (n <= 0 || !grow(b, (size_t)n))
        return;
    (void)vsnprintf(b->s + b->len, (size_t)n + 1, fmt, ap);
    b->len += (size_t)n;
}

int strbuf_error(const struct strbuf *b)
{
    return b->full ? -E2BIG : b->failed ? -ENOMEM : 0;
}

/* An empty text is allocated, too, since the caller frees what it gets. */
char *strbuf_detach(struct strbuf *b, size_t *ret_len)
{
    if (!grow(b, 0)) {
        strbuf_release(b);
        return NULL;
    }
    char *s = b->s;
    if (ret_len)
        *ret_len = b->len;
    *b = (struct strbuf)STRBUF_INIT;
    return s;
}

void strbuf_add_time(struct strbuf *out, int64_t time_ns)
{
    time_t seconds = (time_t)(time_ns / NSEC_PER_SEC);
    char text[32];
    struct tm tm;

    if (time_ns <= 0 || !gmtime_r(&seconds, &tm) || !strftime(text, sizeof text, "%FT%TZ", &tm))
        strbuf_adds(out, "never");
    else
        strbuf_adds(out, text);
}

size_t text_control_length(const char *text, size_t len)
{
    const uint8_t *s = (const uint8_t *)text;

    if (len > 1 && s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0)
        return 2;
    return len > 0 && (s[0] < ' ' || s[0] == 0x7f);
}

bool text_is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}
