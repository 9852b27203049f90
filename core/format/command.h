// SPDX-License-Identifier: Apache-2.0
/*
 * command: the grammar of the control file (CONTROL.md), as a pure parser, and its replies.
 *
 *     line  = blank | "#"… | verb (arg | key=value)* ["wait"]
 *     word  = bytes without blank " \ newline, or "…" with \" \\ \n \ooo (three octal digits)
 *
 * A quoted word is never a verb, an option or "wait". An option is an unquoted word whose text up
 * to the first '=' is a lower-case name; its value may be quoted (key="…"). Each function says what
 * it returns. No I/O, no locks; fuzzed.
 */
#pragma once

#include "strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_WORDS_MAX 4096 /* words in one line */

struct command_word {
    const char *text; /* NUL-terminated; no NUL inside (a \000 is -EINVAL) */
    size_t len;
    bool quoted;
};

struct command_option {
    const char *key, *value; /* NUL-terminated */
};

struct command {
    const char *verb;
    struct command_word *args;
    size_t nargs;
    struct command_option *options;
    size_t noptions;
    bool wait;
    size_t line;   /* from 1 */
    size_t offset; /* bytes before this line in the write */
};

struct command_list {
    struct command *items; /* blank and comment lines left out */
    size_t count;
    struct command_word *words; /* storage of all args */
    struct command_option *options;
    char *text;
};

/* Parse one write. -EINVAL: `why`, an initialised strbuf, has a sentence that names the line and
 * what is wrong. -ENOMEM. The caller releases the list; after an error *ret is as it was. */
int command_parse(const char *buf, size_t len, struct command_list *ret, struct strbuf *why);
void command_list_release(struct command_list *l);

/* Value of an option, or NULL. */
const char *command_option(const struct command *c, const char *key);

/* ---- small values: -EINVAL unless the whole text is one ---- */
int command_number(const char *text, uint64_t *ret);     /* decimal */
int command_duration(const char *text, int64_t *ret_ns); /* decimal + ms|s|m|h|d, or 0; ≤ 100 years */
int command_size(const char *text, uint64_t *ret_bytes); /* decimal [K|M|G|T] */
/* 1–255 bytes, no '/', no NUL, not ".", "..", ".tally": -EINVAL or -ENAMETOOLONG */
int command_namespace(const char *text);
/* "NS/relative" or "NS/"; no ".." component. Offsets into `text`. */
int command_path(const char *text, size_t *ret_ns_len, const char **ret_rest);

/* Durations and sizes as the same grammar writes them, exactly ("300s", "64M", "131072"). */
void command_format_duration(int64_t duration_ns, char out[32]);
void command_format_size(uint64_t bytes, char out[32]);

/* ---- replies ---- */

/* A value as it stands in "key=value": quoted if it needs to be. */
void command_add_word(struct strbuf *out, const char *text);
/* Symbolic name of a positive errno ("ENOENT"), or "EIO". */
const char *command_errno_name(int err);
