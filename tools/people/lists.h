// SPDX-License-Identifier: Apache-2.0
/*
 * lists: tables of replies that have a line for each thing, as `du` and `history`.
 */
#pragma once

#include "people.h"

/* The verb of a list of conflicts, which several verbs have. */
#define LISTS_CONFLICTS "conflicts"

/* Adds the reply as a table, with a sentence before or after it. False: the verb has no list in
 * that form, or a key of the first line is not known, and nothing was added. */
bool lists_add(const struct people_call *c, const char *head, const char *body, struct strbuf *out);
