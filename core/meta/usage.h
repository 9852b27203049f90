// SPDX-License-Identifier: Apache-2.0
/*
 * usage: what the inodes of a committed tree take (struct usage), counted from its pages. What
 * several trees share is read once for all of them.
 *
 *     struct usage_count c = {.snap = snap, ...};
 *     usage_count(&c, root, &usage);          for each tree
 *     usage_count_release(&c);
 *
 * Errors: 0 or -errno: -EUCLEAN a page is damaged or missing, -ENOMEM, -EIO, -ECANCELED. Threads:
 * none of its own; the snapshot's rules.
 */
#pragma once

#include "item.h"
#include "kv.h"
#include "map64.h"

struct usage_count {
    struct kv_snap *snap;
    /* After each page; true: stop with -ECANCELED. NULL: nobody asks. */
    bool (*step)(uint64_t pages, void *ctx);
    void *ctx;
    /* The rest begins as zeros. */
    struct map64 inodes, bytes; /* of what is below a shared page */
    uint64_t pages;             /* read so far */
};

int usage_count(struct usage_count *c, uint64_t root, struct usage *ret);
void usage_count_release(struct usage_count *c);
