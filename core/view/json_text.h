// SPDX-License-Identifier: Apache-2.0
/*
 * json_text: texts from outside as JSON, which holds nothing but UTF-8. A path, a label or a URL
 * may be any bytes, and a sentence may be cut off within a character.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

/* A JSON string in which each byte that is part of no character is '?'. NULL: no memory. */
json_t *json_text(const char *text);
/* The same for `len` bytes. */
json_t *json_text_of(const char *text, size_t len);
