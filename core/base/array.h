// SPDX-License-Identifier: Apache-2.0
/*
 * array: room in arrays that grow at their end.
 *
 *     struct { struct thing *v; size_t count, room; } l = {0};
 *     int err = ARRAY_RESERVE(l.v, l.room, l.count + 1);   // l.v may move
 *     if (err < 0)
 *         return err;                                      // -ENOMEM: all is as it was
 *     l.v[l.count++] = thing;
 *
 * Room doubles, so n additions cost O(n). The array is the caller's, to be given to free().
 */
#pragma once

#include <stddef.h>

#define ARRAY_RESERVE(v, room, need) array_reserve(&(v), &(room), (need), sizeof *(v))

/* Room for at least `need` elements of `size` bytes in the array that the pointer at `at` points to;
 * *room is what it has. 0 or -ENOMEM (too much for a size_t, too). */
int array_reserve(void *at, size_t *room, size_t need, size_t size);
