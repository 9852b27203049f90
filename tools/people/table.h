// SPDX-License-Identifier: Apache-2.0
/*
 * table: rows of texts in columns with titles, as wide as what is in them. Widths are columns of a
 * terminal, so that names in any script are aligned: texts are UTF-8, and a byte that is no
 * character of it counts as one column. Control characters are replaced by '?'.
 *
 *     struct table t;
 *     table_init(&t, columns, 3);
 *     table_add(&t, (const char *[]){"main", "1.3 GiB", "ok"});
 *     table_print(&t, 80, &out);
 *     table_release(&t);
 *
 * A table that would be wider than the terminal gets narrower: the columns that may shrink or wrap
 * do, the widest first, and a text that is cut ends with "…". A column without any text is left
 * out. No memory: table_print adds nothing, and *out says so (strbuf_error).
 */
#pragma once

#include "strbuf.h"

#include <stdbool.h>
#include <stddef.h>

#define TABLE_COLUMNS 12 /* at most */

struct table_column {
    const char *title;
    bool right;   /* numbers */
    bool shrinks; /* names: may be cut */
    bool wraps;   /* of the last column: goes on in further lines instead */
};

struct table {
    const struct table_column *columns; /* borrowed */
    size_t count;
    char **cells; /* `count` for each row */
    size_t rows, room;
    bool failed; /* a row is missing, because there was no memory */
};

void table_init(struct table *t, const struct table_column *columns, size_t count);
/* Adds a row, of which it makes copies. NULL is an empty text. */
void table_add(struct table *t, const char *const *texts);
/* Adds the table to `out`. `width` is that of the terminal; 0: it may be as wide as it is. */
void table_print(const struct table *t, size_t width, struct strbuf *out);
void table_release(struct table *t);
