// SPDX-License-Identifier: Apache-2.0
/*
 * lanes: places for vertical lines beside each other, so that they do not cover each other.
 */
#pragma once

#include <stddef.h>

/* A line from row `from` to row `to`, which is not above it. */
struct lane {
    size_t from, to;
    int number; /* from the left, from 0 */
    size_t of;  /* for the caller */
};

/* Gives each a number below `most`, as low as can be, such that no two that have a row in common
 * have the same one. If that takes more lanes, several are in the last one. The lines are sorted by
 * `from`, then by `to` and `of`. */
void lanes_assign(struct lane *v, size_t count, int most);
