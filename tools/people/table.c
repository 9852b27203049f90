// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include "array.h"
#include "io.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define GAP 2                /* blanks between two columns */
#define NARROWEST 8          /* what shrinks stays as wide as this */
#define NARROWEST_WRAPPED 20 /* and what wraps as wide as this */
#define ELLIPSIS "…"         /* one column wide */

/* ---- characters ---- */

/* The length of the first character of `text` in bytes, and its width. */
static size_t first_character(const char *text, size_t *ret_width)
{
    mbstate_t state = {0};
    wchar_t c;
    const size_t len = mbrtowc(&c, text, strlen(text), &state);
    if (len == 0 || len > strlen(text)) {
        *ret_width = 1;
        return 1;
    }
    const int width = wcwidth(c);
    *ret_width = width < 0 ? 1 : (size_t)width;
    return len;
}

static size_t width_of(const char *text)
{
    size_t sum = 0, width;
    while (*text) {
        text += first_character(text, &width);
        sum += width;
    }
    return sum;
}

/* How many bytes of the text fit into so many columns. */
static size_t fitting(const char *text, size_t columns)
{
    size_t at = 0, sum = 0, width;
    while (text[at]) {
        const size_t len = first_character(text + at, &width);
        if (sum + width > columns) {
            break;
        }
        sum += width;
        at += len;
    }
    return at;
}

/* A copy with '?' for control characters. NULL: no memory. */
static char *plain_copy(const char *text)
{
    char *copy = strdup(text ? text : "");
    for (size_t at = 0, len = copy ? strlen(copy) : 0; at < len;) {
        const size_t n = text_control_length(copy + at, len - at);
        memset(copy + at, '?', n);
        at += n ? n : 1;
    }
    return copy;
}

/* ---- the table ---- */

void table_init(struct table *t, const struct table_column *columns, size_t count)
{
    *t = (struct table){.columns = columns, .count = count};
}

void table_add(struct table *t, const char *const *texts)
{
    const size_t first = t->rows * t->count;
    if (t->failed || ARRAY_RESERVE(t->cells, t->room, first + t->count) < 0) {
        t->failed = true;
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        t->cells[first + i] = plain_copy(texts[i]);
        t->failed |= !t->cells[first + i];
    }
    t->rows++;
}

void table_release(struct table *t)
{
    for (size_t i = 0; i < t->rows * t->count; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
    *t = (struct table){0};
}

/* The width of each column; 0: it has no text. */
static void measure(const struct table *t, size_t widths[static TABLE_COLUMNS])
{
    for (size_t c = 0; c < t->count; c++) {
        widths[c] = 0;
        for (size_t r = 0; r < t->rows; r++) {
            const size_t width = width_of(t->cells[r * t->count + c]);
            widths[c] = width > widths[c] ? width : widths[c];
        }
        const size_t title = width_of(t->columns[c].title);
        widths[c] = widths[c] && title > widths[c] ? title : widths[c];
    }
}

static size_t sum_of(const struct table *t, const size_t *widths)
{
    size_t sum = 0;
    for (size_t c = 0; c < t->count; c++) {
        sum += widths[c] ? widths[c] + (sum ? GAP : 0) : 0;
    }
    return sum;
}

static bool may_shrink(const struct table_column *c, size_t width)
{
    return (c->shrinks && width > NARROWEST) || (c->wraps && width > NARROWEST_WRAPPED);
}

/* Makes the widest column that may shrink narrower, by a column of the terminal at a time. */
static void shrink(const struct table *t, size_t width, size_t *widths)
{
    for (size_t sum = sum_of(t, widths); width && sum > width; sum--) {
        size_t *widest = NULL;
        for (size_t c = 0; c < t->count; c++) {
            if (may_shrink(&t->columns[c], widths[c]) && (!widest || widths[c] > *widest)) {
                widest = &widths[c];
            }
        }
        if (!widest) {
            return;
        }
        (*widest)--;
    }
}

static void add_cell(struct strbuf *out, const char *text, size_t width, bool right, bool last)
{
    size_t len = strlen(text), has = width_of(text);
    const bool cut = has > width;
    if (cut) {
        len = fitting(text, width - 1);
        CLEANUP_FREE char *part = strndup(text, len);
        has = part ? width_of(part) + 1 : width;
    }
    const int blanks = (int)(width > has ? width - has : 0);
    strbuf_addf(out, "%*s", right ? blanks : 0, "");
    strbuf_add(out, text, len);
    strbuf_adds(out, cut ? ELLIPSIS : "");
    strbuf_addf(out, "%*s", right || last ? 0 : blanks, "");
}

/* How many bytes of the text go into one line of that width: up to a blank, if there is one. */
static size_t line_length(const char *text, size_t width)
{
    const size_t most = fitting(text, width);
    size_t len = most;
    while (text[most] && len > 0 && text[len] != ' ') {
        len--;
    }
    return len ? len : most ? most : strlen(text);
}

/* Adds a text that goes on in further lines, which begin where the first one does. */
static void add_wrapped(struct strbuf *out, const char *text, size_t width, size_t indent)
{
    for (bool first = true; *text || first; first = false) {
        const size_t len = line_length(text, width);
        if (!first) {
            strbuf_addf(out, "\n%*s", (int)indent, "");
        }
        strbuf_add(out, text, len);
        text += len + strspn(text + len, " ");
    }
}

/* Adds a row, without blanks at its end. `cells` NULL: the titles. */
static void add_row(const struct table *t, const size_t *widths, char *const *cells,
                    struct strbuf *out)
{
    size_t end = t->count, indent = 0;
    while (end > 0 &&
           (!widths[end - 1] || !*(cells ? cells[end - 1] : t->columns[end - 1].title))) {
        end--;
    }
    for (size_t c = 0; c < end; c++) {
        const char *text = cells ? cells[c] : t->columns[c].title;
        if (!widths[c]) {
            continue;
        }
        strbuf_addf(out, "%*s", indent ? GAP : 0, "");
        indent += indent ? GAP : 0;
        if (t->columns[c].wraps && c + 1 == t->count) {
            add_wrapped(out, text, widths[c], indent);
        } else {
            add_cell(out, text, widths[c], t->columns[c].right, c + 1 == end);
        }
        indent += widths[c];
    }
    strbuf_adds(out, "\n");
}

void table_print(const struct table *t, size_t width, struct strbuf *out)
{
    size_t widths[TABLE_COLUMNS];
    if (t->failed) {
        out->failed = true;
        return;
    }
    if (t->rows == 0) {
        return;
    }
    /* of this thread and for a moment only: libarchive makes of the locale what names mean */
    const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    const locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    measure(t, widths);
    shrink(t, width, widths);
    add_row(t, widths, NULL, out);
    for (size_t r = 0; r < t->rows; r++) {
        add_row(t, widths, t->cells + r * t->count, out);
    }
    if (utf8) {
        (void)uselocale(before);
        freelocale(utf8);
    }
}
