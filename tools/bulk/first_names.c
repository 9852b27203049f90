// SPDX-License-Identifier: Apache-2.0
/* first_names: see the header. */
#include "first_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool has_several(const struct stat *st)
{
    return !S_ISDIR(st->st_mode) && st->st_nlink > 1;
}

int first_names_open(struct first_names *n)
{
    *n = (struct first_names){0};
    return names_open(&n->seen);
}

void first_names_close(struct first_names *n)
{
    names_close(n->seen);
    while (n->count > 0) {
        free(n->path[--n->count]);
    }
    free(n->path);
}

const char *first_names_find(const struct first_names *n, const struct stat *st)
{
    const struct named *is = has_several(st) ? names_find(n->seen, st->st_dev,
                                                          (const char *)&st->st_ino,
                                                          sizeof(st->st_ino))
                                             : NULL;
    return is ? n->path[is->inode] : NULL;
}

int first_names_add(struct first_names *n, const struct stat *st, const char *path)
{
    const struct named is = {.inode = n->count};
    char **more = n->path;
    if (!has_several(st)) {
        return 0;
    }
    if ((n->count & (n->count - 1)) == 0) {
        more = reallocarray(n->path, n->count ? 2 * n->count : 1, sizeof(*more));
    }
    if (!more) {
        return -ENOMEM;
    }
    n->path = more;
    n->path[n->count] = strdup(path);
    if (!n->path[n->count]) {
        return -ENOMEM;
    }
    n->count++;
    return names_put(n->seen, st->st_dev, (const char *)&st->st_ino, sizeof(st->st_ino), &is);
}
