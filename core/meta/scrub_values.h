// SPDX-License-Identifier: Apache-2.0
/*
 * scrub_values: a walk that checks the values of all tables, except for `pages` and `objects`: a
 * scrub reads those itself, to follow what they name. A value is checked by the checksum that kv
 * keeps, or by its own where the table checks itself.
 *
 *     struct scrub_values at = {.table = first};
 *     while ((err = scrub_values_step(kv, &at, found, ctx, &bytes)) == 0) ...
 *
 * -ENOENT: all tables were read. Threads: any, one per struct. Each step has a snapshot of its own,
 * which lasts for SCRUB_VALUES entries.
 */
#pragma once

#include "kv.h"

#define SCRUB_VALUES 1024

struct scrub_values {
    unsigned table; /* index in store_tables */
    uint8_t key[KV_KEY_MAX];
    size_t klen; /* length of the key of the entry that was read last; 0: this table is not begun */
};

/* Called for each damage: `what` names it ("entry 7 of the table drops", "the table drops"), `why`
 * says what is wrong. A result other than 0 ends the step and is returned; the entry counts as
 * read. */
typedef int scrub_values_fn(const char *what, const char *why, void *ctx);
/* Reads up to SCRUB_VALUES entries, and moves `at` behind them. *ret_bytes: how many bytes were
 * read. */
int scrub_values_step(struct kv *kv, struct scrub_values *at, scrub_values_fn *fn, void *ctx,
                      uint64_t *ret_bytes);
