// SPDX-License-Identifier: Apache-2.0
/*
 * scrub_values: is what the tables say as it was written? The values of all tables but `pages` and
 * `objects`, which a scrub goes through for what they name, by the checksums that kv keeps, or by
 * their own where a table checks itself.
 *
 *     struct scrub_values at = {.table = first};
 *     while ((err = scrub_values_step(kv, &at, found, ctx, &bytes)) == 0) ...
 *
 * -ENOENT: that was the last table. Threads: any, one per struct; each step has a snapshot of its
 * own, which lasts for SCRUB_VALUES entries.
 */
#pragma once

#include "kv.h"

#define SCRUB_VALUES 1024

struct scrub_values {
    unsigned table; /* number in store_tables */
    uint8_t key[KV_KEY_MAX];
    size_t klen; /* of the entry that was read last; 0: none of this table */
};

/* `what` is damaged: "entry 7 of the table drops", "the table drops". What it returns but 0 ends
 * the step, and is returned; the entry counts as read. */
typedef int scrub_values_fn(const char *what, const char *why, void *ctx);
/* *ret_bytes: how many were read. */
int scrub_values_step(struct kv *kv, struct scrub_values *at, scrub_values_fn *fn, void *ctx,
                      uint64_t *ret_bytes);
