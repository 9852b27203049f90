// SPDX-License-Identifier: Apache-2.0
/* gone: the attributes of inodes without a name that the kernel still has. */
#pragma once

#include "item.h"
#include "lock.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct state;

#define GONE_BUCKETS 1024
#define GONE_MAX 65536
struct gone_table {
    struct mutex lock; /* "gone" */
    struct gone *bucket[GONE_BUCKETS] GUARDED_BY(gone);
    _Atomic size_t count;
};

/* The items of that inode are deleted: keep its attributes (or keep others) until it is forgotten.
 * Without memory, or with GONE_MAX of them, nothing is kept. */
void gone_keep(struct state *p, uint64_t nodeid, const struct inode *in);
int gone_load(struct state *p, uint64_t nodeid, struct inode *ret); /* -ESTALE: not kept */
void gone_forget(struct state *p, uint64_t nodeid);
void gone_release(struct state *p);
