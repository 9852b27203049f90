// SPDX-License-Identifier: Apache-2.0
/* text: see text.h. */
#include "text.h"

#include "id.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

void text_add(struct text_writer *w, const char *fmt, ...)
{
    size_t left = w->room - w->len, n;
    va_list args;

    va_start(args, fmt);
    n = (size_t)vsnprintf(w->out + w->len, left, fmt, args);
    va_end(args);
    w->len += n < left ? n : left - 1;
}

void text_add_hex(struct text_writer *w, const char *name, const uint8_t *b, size_t len)
{
    text_add(w, "%s=", name);
    for (size_t i = 0; i < len; i++)
        text_add(w, "%02x", b[i]);
    text_add(w, "\n");
}

size_t text_end(struct text_writer *w, uint64_t seed)
{
    text_add(w, "sum=%016" PRIx64 "\n", id_checksum(w->out, w->len, seed));
    return w->len;
}

/* ---- reading ---- */

int text_begin(const char *text, size_t len, const char *what, uint64_t seed, char *copy,
               size_t room, const char **ret_at)
{
    char sum[TEXT_SUM_LINE + 1];

    if (len <= TEXT_SUM_LINE || len >= room)
        return -EUCLEAN;
    memcpy(copy, text, len);
    copy[len] = '\0';
    snprintf(sum, sizeof sum, "sum=%016" PRIx64 "\n", id_checksum(copy, len - TEXT_SUM_LINE, seed));
    if (memcmp(copy + len - TEXT_SUM_LINE, sum, TEXT_SUM_LINE) != 0 ||
        strncmp(copy, what, strlen(what)) != 0)
        return -EUCLEAN;
    *ret_at = copy + strlen(what);
    if (strncmp(*ret_at, TEXT_VERSION "\n", strlen(TEXT_VERSION "\n")) == 0)
        return 0;
    return isdigit((unsigned char)**ret_at) ? -EPROTO : -EUCLEAN;
}

const char *text_value(const char **at, const char *name)
{
    char want[16];
    int n = snprintf(want, sizeof want, "\n%s=", name);
    const char *found = strstr(*at, want);

    if (!found)
        return "";
    *at = found + n;
    return *at;
}

uint64_t text_number(const char **at, const char *name)
{
    return strtoull(text_value(at, name), NULL, 10);
}

/* Reads as many bytes as there are digits for. Missing or wrong digits are found by
 * text_is_same. */
void text_bytes(const char **at, const char *name, uint8_t *out, size_t len)
{
    const char *v = text_value(at, name);
    char two[3] = "";

    for (size_t i = 0; i < len && v[0] && v[1]; i++, v += 2) {
        memcpy(two, v, 2);
        out[i] = (uint8_t)strtoul(two, NULL, 16);
    }
}

bool text_is_same(const char *again, size_t again_len, const char *text, size_t len)
{
    return again_len == len && memcmp(again, text, len) == 0;
}
