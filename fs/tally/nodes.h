// SPDX-License-Identifier: Apache-2.0
/*
 * nodes: what a node of `.tally` stands for, where the nodeid alone does not say it: the id of an
 * object, or the name of a namespace. An entry exists from the first LOOKUP of the node to its last
 * FORGET, so memory grows with the kernel's cache, not with the store. Threads: any; the lock
 * "nodes" is a leaf.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct nodes;

int nodes_create(struct nodes **ret_n); /* -ENOMEM */
void nodes_destroy(struct nodes *n);    /* NULL is fine */

/* Counts one more lookup of `key`, which stands for `data` (copied). -EEXIST: it stands for
 * something else at present. -ENOMEM. */
int nodes_take(struct nodes *n, uint64_t key, const void *data, size_t len);
/* Counts `count` lookups less; at zero the entry is freed. An unknown key is fine. */
void nodes_forget(struct nodes *n, uint64_t key, uint64_t count);
/* Copies at most `cap` bytes of the data of `key`. Returns its whole length; -ESTALE: there is no
 * such entry. */
ssize_t nodes_get(struct nodes *n, uint64_t key, void *data, size_t cap);
