// SPDX-License-Identifier: Apache-2.0
/*
 * label: the label of a store, ORG/PROJECT, which `init` and `mount --create` give it.
 */
#pragma once

#include <stddef.h>

/* Makes a label from the name of the directory of the store. */
void tally_default_label(const char *store, char *out, size_t room);
