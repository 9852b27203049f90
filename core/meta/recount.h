// SPDX-License-Identifier: Apache-2.0
/*
 * recount: what the pages and items of one committed state really name. It is counted from the
 * roots alone, and no stored count is used.
 *
 *   references on a page     slots of reachable inner pages, namespaces' roots, the orphans' root,
 *                            entries of the drop queue
 *   references on a number   items of reachable leaves (each page once, however often it is
 *                            shared), pins, and for an alias's target the alias's own
 *
 * Damage is reported, and the walk goes on without what is below it. Then `damaged` says that
 * counts may be too low, and nothing may be concluded from a count that is missing.
 *
 * Memory: 24–48 bytes for each page and each number that is named. Errors: 0 or -errno: -ENOMEM,
 * -EIO, -ECANCELED. It starts no threads; the rules of the snapshot hold.
 */
#pragma once

#include "kv.h"
#include "map64.h"
#include <stdbool.h>

/* The row of TABLE_META that says that rows of any table may be lost (lost_rows_note). As long as
 * it is there every recount is `damaged`. */
#define LOST_ROWS "lost_rows"

struct recount {
    struct map64 pages;   /* page number -> references, for all pages that something names */
    struct map64 objects; /* object number -> references, likewise */
    uint64_t items;       /* items in reachable leaves */
    bool damaged;         /* something was damaged: counts may be too low */
    bool unreadable;      /* a whole table cannot be read to its end */
};

struct recount_options {
    /* Called for each damage. `what` is "state", "namespace", "page", "pin", "drop" or "object";
     * `number` says which of them. "note": rows are lost (LOST_ROWS). NULL: damage is only noted in
     * the result. */
    void (*damage)(const char *what, uint64_t number, const char *why, void *ctx);
    /* Called once for each sound page, with its 8,176 bytes, which are valid during the call. May
     * be NULL. */
    void (*page)(uint64_t no, const uint8_t *bytes, void *ctx);
    /* Counts only references on pages: leaves are not read, and `objects` stays empty. */
    bool pages_only;
    /* Called after each page with the number of pages read so far. True ends the walk with
     * -ECANCELED. May be NULL. */
    bool (*step)(uint64_t pages, void *ctx);
    void *ctx;
};

/* Recounts the state of the snapshot. The caller releases *ret, also after an error. */
int recount_run(struct kv_snap *snap, const struct recount_options *o, struct recount *ret);
void recount_release(struct recount *r);
