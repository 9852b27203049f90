// SPDX-License-Identifier: Apache-2.0
/* view_follow: what status, stats.json and metrics show of an archive that the store follows. */
#pragma once

#include "view_numbers.h"

/* Appends the words: "following=N state=ok url=…". False: the store follows nothing. */
bool view_follow_line(struct state *p, struct strbuf *out);
/* Appends a line, if the store follows an archive. */
void view_follow_status(struct state *p, struct strbuf *out);
/* Adds the group "follow". */
void view_follow_numbers(struct state *p, struct view_numbers *n);
/* The reason why the follower makes the store degraded, as static text; NULL: there is none. */
const char *view_follow_trouble(struct state *p);
