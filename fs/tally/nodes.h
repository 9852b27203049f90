// SPDX-License-Identifier: Apache-2.0
/*
 * nodes: what the kernel knows of `.tally` and a number alone does not tell: nodeid -> id of an
 * object, nodeid -> name of a namespace. An entry lives from its first lookup to its last forget,
 * so memory follows the kernel's cache, not the store. Threads: any; it has one lock, a leaf.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct nodes;

int nodes_create(struct nodes **ret_n); /* -ENOMEM */
void nodes_destroy(struct nodes *n);    /* NULL is fine */

/* One more lookup of `key`, which means `data` (copied). -EEXIST: it means something else now. */
int nodes_take(struct nodes *n, uint64_t key, const void *data, size_t len);
/* `count` lookups less; at zero the entry is gone. An unknown key is fine. */
void nodes_forget(struct nodes *n, uint64_t key, uint64_t count);
/* Copies at most `cap` bytes; returns the length of the data, or -ESTALE. */
ssize_t nodes_get(struct nodes *n, uint64_t key, void *data, size_t cap);
