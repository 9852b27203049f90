// SPDX-License-Identifier: Apache-2.0
/*
 * recount: what the pages and items of one committed state really name, counted from nothing but
 * the roots.
 *
 *   references on a page     slots of reachable inner pages, namespaces' roots, the orphans' root,
 *                            entries of the drop queue
 *   references on a number   items of reachable leaves (each page once, however often it is
 *                            shared), pins, and for an alias's target the alias's own
 *
 * Damage is reported and the walk goes on without what is below it; then `damaged` says that counts
 * may be too low, and nothing may be concluded from a count that is missing.
 *
 * Memory: 24–48 bytes for each page and each number that is named. Errors: 0 or -errno: -ENOMEM,
 * -EIO, -ECANCELED. Threads: none of its own; the snapshot's rules.
 */
#pragma once

#include "kv.h"
#include "map64.h"
#include <stdbool.h>

struct recount {
    struct map64 pages;   /* page number -> references, of all that something names */
    struct map64 objects; /* object number -> references, likewise */
    uint64_t items;       /* of reachable leaves */
    bool damaged;
    bool unreadable; /* a whole table cannot be read to its end */
};

struct recount_options {
    /* `what`: "state", "namespace", "page", "pin", "drop", "object"; `number`: which of them. NULL:
     * silence. */
    void (*damage)(const char *what, uint64_t number, const char *why, void *ctx);
    /* Each sound page once. NULL: nobody asks. */
    void (*page)(uint64_t no, const uint8_t *bytes, void *ctx);
    /* Only which pages are named: leaves are not read, and `objects` stays empty. */
    bool pages_only;
    /* After each page; true: stop with -ECANCELED. NULL: nobody asks. */
    bool (*step)(uint64_t pages, void *ctx);
    void *ctx;
};

/* *ret is the caller's to release, also after an error. */
int recount_run(struct kv_snap *snap, const struct recount_options *o, struct recount *ret);
void recount_release(struct recount *r);
