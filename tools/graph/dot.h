// SPDX-License-Identifier: Apache-2.0
/*
 * dot: parts of a graph in the language of Graphviz (dot(1)).
 */
#pragma once

#include "strbuf.h"

/* Adds the text as a string in quotes, cleaned (text_fit.h): a newline, too, is replaced. */
void dot_string(struct strbuf *out, const char *text);
/* The same without the quotes. */
void dot_inner(struct strbuf *out, const char *text);
