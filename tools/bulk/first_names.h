// SPDX-License-Identifier: Apache-2.0
/*
 * first_names: of files with several names, the name that came first. An archive stores the others
 * as links to it, and a copy makes links of them.
 */
#pragma once

#include "names.h"

#include <sys/stat.h>

struct first_names {
    struct names *seen; /* device and inode number -> index in `path` */
    char **path;
    size_t count;
};

int first_names_open(struct first_names *n); /* -ENOMEM */
void first_names_close(struct first_names *n);
/* The path at which the file was added. NULL: it was not, or it is a directory or has one name. */
const char *first_names_find(const struct first_names *n, const struct stat *st);
/* Adds a file, if it has several names. -ENOMEM */
int first_names_add(struct first_names *n, const struct stat *st, const char *path);
