// SPDX-License-Identifier: Apache-2.0
/*
 * people: replies of the mount as people read them, as sentences and tables.
 *
 *     struct people_call c = {.verb = "du", .now = time(NULL), .width = terminal_width()};
 *     if (!people_reply(&c, reply.head.s, reply.body.s, &out))
 *         ...                            // print the reply as it is
 *
 * A reply that this room does not know, or that has a key which it does not know, is not shown in
 * part: the caller prints it as it is. Control characters of values are replaced by '?', and those
 * of lines that are passed on as they are by tally_print().
 */
#pragma once

#include "strbuf.h"

#include <stdbool.h>
#include <stdint.h>

struct people_call {
    const char *verb;
    char *const *args; /* of the command line */
    int nargs;
    bool dry_run; /* --dry-run was given */
    bool bytes;   /* sizes exactly, in bytes */
    size_t width; /* of the terminal; 0: lines may have any length */
    int64_t now;  /* seconds since the epoch */
};

/* Adds the reply to `out`. `head` is its first line without "ok", `body` the others, each with a
 * newline. False: it is not known, and nothing was added. */
bool people_reply(const struct people_call *c, const char *head, const char *body,
                  struct strbuf *out);
/* Adds the lines of a merge that failed because of conflicts, as a table. False: as above. */
bool people_conflicts(const struct people_call *c, const char *body, struct strbuf *out);
