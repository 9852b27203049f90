// SPDX-License-Identifier: Apache-2.0
/*
 * label: the name of a store, ORG/PROJECT, as `init` and `mount --create` give it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool tally_label_ok(const char *label);
/* One made from the name of the store's directory. */
void tally_default_label(const char *store, char *out, size_t room);
