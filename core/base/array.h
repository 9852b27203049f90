// SPDX-License-Identifier: Apache-2.0
/*
 * array: makes room in arrays that grow at their end.
 *
 *     struct { struct thing *v; size_t count, room; } l = {0};
 *     int err = ARRAY_RESERVE(l.v, l.room, l.count + 1);   // l.v may move
 *     if (err < 0)
 *         return err;                                      // -ENOMEM: all is as it was
 *     l.v[l.count++] = thing;
 *
 * The room doubles, so n additions cost O(n). The caller owns the array, and releases it by free().
 */
#pragma once

#include <stddef.h>

#define ARRAY_RESERVE(v, room, need) array_reserve(&(v), &(room), (need), sizeof *(v))

/* Makes room for at least `need` elements of `size` bytes. `at` points to the pointer to the array,
 * and *room is how many elements the array can hold. 0, or -ENOMEM (also if a size_t cannot hold
 * the size). */
int array_reserve(void *at, size_t *room, size_t need, size_t size);
