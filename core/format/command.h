// SPDX-License-Identifier: Apache-2.0
/*
 * command: the grammar of the control file (CONTROL.md), as a pure parser, and its replies.
 *
 *     line  = blank | "#"… | verb (arg | key=value)* ["wait"]
 *     word  = bytes without blank " \ newline, or "…" with \" \\ \n \ooo (three octal digits)
 *
 * A quoted word is never a verb, an option or "wait". An option is an unquoted word whose text up
 * to the first '=' is a lower-case name. Its value may be quoted (key="…"). No I/O, no locks; there
 * is a fuzzer for it.
 */
#pragma once

#include "strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_WORDS_MAX 4096 /* words in one line */

struct command_word {
    const char *text; /* NUL-terminated, without a NUL inside (\000 is refused) */
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
    size_t line;   /* number of its line, from 1 */
    size_t offset; /* how many bytes of the write are before its line */
};

struct command_list {
    struct command *items; /* without blank lines and comments */
    size_t count;
    struct command_word *words;     /* the storage of all `args` */
    struct command_option *options; /* of all `options` */
    char *text;                     /* of all words */
};

/* Parses one write. -EINVAL: a sentence was added to `why`, an initialised strbuf, which names the
 * line and what is wrong. -ENOMEM. The caller releases the list. After an error *ret is
 * unchanged. */
int command_parse(const char *buf, size_t len, struct command_list *ret, struct strbuf *why);
void command_list_release(struct command_list *l);

/* The value of an option, or NULL if it was not given. Only "set" may be given several times; all
 * of it is in `options`, in order. */
const char *command_option(const struct command *c, const char *key);

/* ---- values: -EINVAL unless the whole text is one ---- */
int command_number(const char *text, uint64_t *ret);     /* decimal */
int command_duration(const char *text, int64_t *ret_ns); /* decimal ms|s|m|h|d, or 0; ≤ 100 years */
/* a time as 2026-01-31T23:59:59Z, or with a fraction of the second before the Z */
int command_time(const char *text, int64_t *ret_ns);
int command_size(const char *text, uint64_t *ret_bytes); /* decimal [K|M|G|T] */
/* Is it the name of a namespace: 1–255 bytes without '/' and NUL, and none of ".", ".." and
 * ".tally"? 0, -EINVAL or -ENAMETOOLONG. */
int command_namespace(const char *text);
/* Splits "NS/relative" or "NS/" without a component "..". *ret_ns_len is the length of NS, and
 * *ret_rest points behind the '/' in `text`. */
int command_path(const char *text, size_t *ret_ns_len, const char **ret_rest);

/* Writes durations and sizes in the same grammar, exactly ("300s", "64M", "131072"). */
void command_format_duration(int64_t duration_ns, char out[32]);
void command_format_size(uint64_t bytes, char out[32]);

/* ---- replies ---- */

/* Adds a value as it is written in "key=value": quoted if it needs to be. */
void command_add_word(struct strbuf *out, const char *text);
/* The name of a positive errno ("ENOENT"); "EIO" if it has none. */
const char *command_errno_name(int err);
