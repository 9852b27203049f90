// SPDX-License-Identifier: Apache-2.0
/*
 * usage: what the inodes of a committed tree take (struct usage), counted from its pages. A page
 * that several trees share is read once for all of them.
 *
 *     struct usage_count c = {.snap = snap, ...};
 *     usage_count(&c, root, &usage);          for each tree
 *     usage_count_release(&c);
 *
 * Errors: 0 or -errno: -EUCLEAN: a page is damaged or missing; -ENOMEM, -EIO, -ECANCELED. It starts
 * no threads; the rules of the snapshot hold.
 */
#pragma once

#include "item.h"
#include "kv.h"
#include "map64.h"

struct usage_count {
    struct kv_snap *snap;
    /* Called after each page with the number of pages read so far. True ends the count with
     * -ECANCELED. May be NULL. */
    bool (*step)(uint64_t pages, void *ctx);
    void *ctx;
    /* The caller sets the rest to zeros. */
    struct map64 inodes, bytes; /* shared page -> what the tree below it takes */
    uint64_t pages;             /* pages read so far */
};

/* Counts the tree below `root` (0: no tree) into *ret. */
int usage_count(struct usage_count *c, uint64_t root, struct usage *ret);
void usage_count_release(struct usage_count *c);
