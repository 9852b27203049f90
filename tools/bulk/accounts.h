// SPDX-License-Identifier: Apache-2.0
/*
 * accounts: the numbers of users and groups by their names, as this machine has them now. ACLs in
 * an archive may have names only, and who reads an archive in a sandbox cannot ask for them.
 */
#pragma once

#include <stdbool.h>

struct accounts;

int accounts_load(struct accounts **ret_a); /* -ENOMEM */
void accounts_free(struct accounts *a);     /* NULL is fine */
/* The number of that user or group; -1: there is none. */
int accounts_find(const struct accounts *a, bool group, const char *name);
