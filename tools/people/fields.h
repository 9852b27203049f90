// SPDX-License-Identifier: Apache-2.0
/*
 * fields: the words of a reply by their keys. A reply has the grammar of a command (command.h), so
 * its parser reads them.
 *
 *     json_t *f = fields_of("ns=dev seq=7", 12);     {"ns": "dev", "seq": "7"}
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

/* The key of a first word that has none of its own, as the name in a line of `snapshot list`. */
#define FIELD_WORD "word"

/* The key of a plain text behind the others, which only fields_of_line() takes. */
#define FIELD_REST "rest"

/* An object whose values are all texts; the caller frees it. NULL: the text is of another form, or
 * there is no memory. */
json_t *fields_of(const char *text, size_t len);
/* The same for a line that may end with a plain text. */
json_t *fields_of_line(const char *text, size_t len);
/* The value of a key, or NULL. */
const char *fields_get(const json_t *fields, const char *key);
