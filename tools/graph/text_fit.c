// SPDX-License-Identifier: Apache-2.0
/* text_fit: see the header. */
#include "text_fit.h"

#include <stdbool.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Reads a character of UTF-8. Returns its length, or 0: these bytes are none. */
static size_t next_char(const char *text, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)text;
    size_t len = s[0] < 0x80                    ? 1
                 : s[0] >= 0xc2 && s[0] < 0xe0  ? 2
                 : s[0] >= 0xe0 && s[0] < 0xf0  ? 3
                 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                                : 0;
    if (len == 0) {
        return 0;
    }
    uint32_t c = len == 1 ? s[0] : s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (s[i] & 0x3fu);
    }
    if ((len > 1 && c < least[len]) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return 0;
    }
    *ret = c;
    return len;
}

/* May the character stand in a picture? Those that are left out are control characters, marks of
 * direction, line separators, and what XML does not allow. */
static bool is_drawn(uint32_t c)
{
    return c >= 0x20 && (c < 0x7f || c > 0x9f) && !(c >= 0x200e && c <= 0x200f) &&
           !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069) && (c & 0xfffe) != 0xfffe;
}

void text_clean(struct strbuf *out, const char *text)
{
    while (*text) {
        uint32_t c = 0;
        size_t len = next_char(text, &c);
        if (len > 0 && is_drawn(c)) {
            strbuf_add(out, text, len);
        } else {
            strbuf_adds(out, REPLACEMENT);
        }
        text += len > 0 ? len : 1;
    }
}

/* Is the character as wide as it is high, as those of East Asian scripts are? */
static bool is_wide(uint32_t c)
{
    return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
           (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
           (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
}

static bool is_combining(uint32_t c)
{
    return (c >= 0x300 && c <= 0x36f) || c == 0x200b || c == 0x200c || c == 0x200d ||
           (c >= 0xfe00 && c <= 0xfe0f) || (c >= 0x20d0 && c <= 0x20ff);
}

/* The width of a character in hundredths of the size of the font. */
static int char_width(uint32_t c)
{
    if (c < 0x80) {
        return strchr("iIjl.,:;'|!()[]ft ", (int)c) ? 42
               : strchr("mwMW@%", (int)c)           ? 98
               : c >= 'A' && c <= 'Z'               ? 74
                                                    : 62;
    }
    return is_combining(c) ? 0 : is_wide(c) ? 105 : c == 0xfffd ? 103 : 80;
}

int text_width(const char *text, int size)
{
    int width = 0;
    while (*text) {
        uint32_t c = 0xfffd;
        size_t len = next_char(text, &c);
        width += char_width(c);
        text += len > 0 ? len : 1;
    }
    return (width * size + 99) / 100;
}

void text_fit(struct strbuf *out, const char *text, int size, int width)
{
    int room = width * 100 / size, used = 0;
    size_t kept = 0, at = 0;
    while (text[at]) {
        uint32_t c = 0xfffd;
        size_t len = next_char(text + at, &c);
        used += char_width(c);
        at += len > 0 ? len : 1;
        if (used + 100 <= room) {
            kept = at;
        }
    }
    if (used <= room) {
        strbuf_adds(out, text);
        return;
    }
    strbuf_add(out, text, kept);
    strbuf_adds(out, "…");
}

int text_columns(const char *text)
{
    int columns = 0;
    while (*text) {
        uint32_t c = 0xfffd;
        size_t len = next_char(text, &c);
        columns += is_combining(c) ? 0 : is_wide(c) ? 2 : 1;
        text += len > 0 ? len : 1;
    }
    return columns;
}
