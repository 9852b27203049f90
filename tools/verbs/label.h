// SPDX-License-Identifier: Apache-2.0
/*
 * label: the label of a store, ORG/PROJECT, which `init` and `mount --create` give it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Is it a label: at most STORE_LABEL_MAX bytes, one slash with text on both sides, no blanks and
 * control characters? */
bool tally_label_ok(const char *label);
/* Makes a label from the name of the directory of the store. */
void tally_default_label(const char *store, char *out, size_t room);
