// SPDX-License-Identifier: Apache-2.0
/*
 * names: which names a stream has so far, and the numbers of their inodes. It is a table by
 * directory and name, so a path is found component by component.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct names;
struct named {
    uint64_t inode; /* number in the stream */
    bool is_dir;
};

int names_open(struct names **ret_n); /* -ENOMEM */
void names_close(struct names *n);    /* NULL is fine */
/* What has the name; valid until it is removed. NULL: nothing has. */
struct named *names_find(const struct names *n, uint64_t directory, const char *name, size_t len);
/* Adds a name, or replaces what has it. The names in a directory that is replaced are not found any
 * more, since its number is not. -ENOMEM */
int names_put(struct names *n, uint64_t directory, const char *name, size_t len,
              const struct named *is);
void names_remove(struct names *n, uint64_t directory, const char *name, size_t len);
