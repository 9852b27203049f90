// SPDX-License-Identifier: Apache-2.0
/*
 * ghosts: a table of stubs and the sweep over it (CONTRACTS section 2), in memory: what a sweep
 * works on, a batch of the store's ghosts at a time, and what the contract is tested on. The store's
 * ghosts themselves are entries of the refcount table, whose counts are theirs.
 *
 * Errors: 0, -ENOMEM. Threads: none of its own.
 */
#pragma once

#include "id.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ghost {
    struct id id;
    uint16_t shard; /* where the bytes are */
    uint32_t count; /* references; UINT32_MAX never falls again */
    int64_t created; /* ms since the epoch */
};

enum ghost_verdict {
    GHOST_KEEP,
    GHOST_PURGE,
    GHOST_INCONCLUSIVE, /* it stays, and is asked for again */
    GHOST_LOST          /* it stays, and it is an alarm: counted as kept, too */
};

struct ghost_report {
    uint64_t checked, purged, kept, inconclusive, lost;
};

struct ghosts;

int ghosts_create(struct ghosts **ret_ghosts);
void ghosts_destroy(struct ghosts *g); /* NULL is fine */

int ghosts_insert(struct ghosts *g, const struct ghost *stub); /* replaces */
void ghosts_incr(struct ghosts *g, const struct id *id);       /* absent: nothing */
/* True: it reached 0, and is gone, which the purge total counts. */
bool ghosts_decr(struct ghosts *g, const struct id *id);
/* The shard, or -1: none. */
int ghosts_resolve(const struct ghosts *g, const struct id *id);
const struct ghost *ghosts_get(const struct ghosts *g, const struct id *id); /* NULL */
size_t ghosts_length(const struct ghosts *g);
uint64_t ghosts_purged(const struct ghosts *g);   /* ever */
int64_t ghosts_last_sweep(const struct ghosts *g); /* ms since the epoch; 0: none yet */
/* In the order of their shards and ids; non-zero from `fn` stops and is returned. */
typedef int ghosts_fn(const struct ghost *stub, void *ctx);
int ghosts_list(const struct ghosts *g, ghosts_fn *fn, void *ctx);

/* Each stub: with count 0 it is purged unasked; else as `verify` says, or, below 0, the sweep ends
 * with that error and the report is of what was done. `verify` must not change the table. */
typedef int ghosts_verify_fn(const struct ghost *stub, void *ctx); /* enum ghost_verdict, or -errno */
int ghosts_sweep(struct ghosts *g, ghosts_verify_fn *verify, void *ctx, int64_t now_ms,
                 struct ghost_report *ret);
