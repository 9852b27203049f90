// SPDX-License-Identifier: Apache-2.0
/* gone: the attributes of inodes without a name that the kernel still has. */
#pragma once

#include "item.h"
#include "lock.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct state;

#define FORGOTTEN_BUCKETS 1024
#define FORGOTTEN_MAX 65536
struct forgotten_attrs {
    struct mutex lock; /* "forgotten attrs" */
    struct forgotten *bucket[FORGOTTEN_BUCKETS] GUARDED_BY(gone);
    _Atomic size_t count;
};

/* The items of that inode are deleted: keep its attributes (or keep others) until it is forgotten.
 * Without memory, or with FORGOTTEN_MAX of them, nothing is kept. */
void forgotten_attrs_keep(struct state *p, uint64_t nodeid, const struct inode *in);
int forgotten_attrs_load(struct state *p, uint64_t nodeid,
                         struct inode *ret); /* -ESTALE: not kept */
void forgotten_attrs_forget(struct state *p, uint64_t nodeid);
void forgotten_attrs_release(struct state *p);
