// SPDX-License-Identifier: Apache-2.0
/* json_text: see the header. */
#include "json_text.h"
#include "strbuf.h"
#include <stdbool.h>
#include <string.h>

static bool is_utf8(const char *text, size_t len)
{
    json_t *s = json_stringn(text, len);

    json_decref(s);
    return s;
}

/* The bytes of the character at `text`, 0: there is none. */
static size_t character(const char *text, size_t left)
{
    for (size_t n = 1; n <= 4 && n <= left; n++)
        if (is_utf8(text, n))
            return n;
    return 0;
}

json_t *json_text_of(const char *text, size_t len)
{
    CLEANUP_STRBUF struct strbuf plain = STRBUF_INIT;
    json_t *whole = json_stringn(text, len);

    if (whole)
        return whole;
    for (size_t at = 0; at < len;) {
        size_t n = character(text + at, len - at);

        strbuf_add(&plain, n ? text + at : "?", n ? n : 1);
        at += n ? n : 1;
    }
    return strbuf_error(&plain) < 0 ? NULL : json_stringn(plain.s, plain.len);
}

json_t *json_text(const char *text)
{
    return json_text_of(text, strlen(text));
}
