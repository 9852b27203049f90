// SPDX-License-Identifier: Apache-2.0
/* array: see the header. */
#include "array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_FIRST 64 /* elements */

int array_reserve(void *at, size_t *room, size_t need, size_t size)
{
    size_t fresh = *room > 0 ? *room : ARRAY_FIRST, bytes;
    void *v;

    if (need <= *room)
        return 0;
    while (fresh < need)
        if (__builtin_mul_overflow(fresh, 2, &fresh))
            return -ENOMEM;
    if (__builtin_mul_overflow(fresh, size, &bytes))
        return -ENOMEM;
    memcpy(&v, at, sizeof v); /* `at` is a pointer to a pointer of any type */
    v = realloc(v, bytes);
    if (!v)
        return -ENOMEM;
    memcpy(at, &v, sizeof v);
    *room = fresh;
    return 0;
}
