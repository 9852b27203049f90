// SPDX-License-Identifier: Apache-2.0
/* view_archive: what status, stats.json and metrics show of archives. */
#pragma once

#include "view_numbers.h"

/* Appends the words of one archive: "archive=N state=ok url=…". */
struct ship_stats;
void view_archive_line(struct state *p, const struct ship_stats *s, struct strbuf *out);
/* Appends a line, which begins with `before`, for each archive that the store only reads. */
void view_archive_readers(struct state *p, const char *before, struct strbuf *out);
/* Appends a line for each archive. */
void view_archive_status(struct state *p, struct strbuf *out);
/* Adds the group "archives", with the numbers of each. */
void view_archive_numbers(struct state *p, struct view_numbers *n);
/* The reason why an archive makes the store degraded, as static text; NULL: there is none. */
const char *view_archive_trouble(struct state *p);
