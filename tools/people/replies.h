// SPDX-License-Identifier: Apache-2.0
/*
 * replies: the sentences of one-line replies, a row for each verb and each form of its reply.
 */
#pragma once

#include "sentence.h"

/* Adds the sentence of a reply of `verb`. `form` is the first argument of the call if it may be a
 * keyword, or "dry-run", or NULL. False: no row fits, and nothing was added. */
bool replies_add(const char *verb, const char *form, const struct sentence_of *of,
                 struct strbuf *out);
