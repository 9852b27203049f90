// SPDX-License-Identifier: Apache-2.0
/*
 * damage: which files use what was found damaged, of a store that is in use.
 *
 *     struct damage d = {0};
 *     damage_add(&d, DAMAGE_OBJECT, number, "object 0123…");       for each
 *     damage_tell(p, &d, say, pause, ctx);                         tells all, and forgets them
 *
 * Each namespace is walked (walk.h): for items that name one of them or stand below one of them,
 * and, if there are any, for the names of these items' inodes. An alias counts for its target. Of
 * each DAMAGE_PATHS paths are told, and how many inodes more there are; namespaces that share
 * something use it each for themselves. What is renamed or removed meanwhile may be told or not.
 *
 * Bounded: DAMAGE_AT_ONCE things at a time. Threads: one; the caller's.
 */
#pragma once

#include "state.h"

#define DAMAGE_AT_ONCE 256
#define DAMAGE_PATHS 8

enum damage_kind { DAMAGE_OBJECT, DAMAGE_PAGE };

struct damage {
    struct damaged_thing {
        enum damage_kind kind;
        uint64_t number;
        char name[56];
        bool hidden;    /* a page that cannot be read, so nothing below it can */
        unsigned told;  /* paths */
        uint64_t users; /* inodes that name the object; trees that have the page */
        bool met;       /* in the tree that is looked through, */
        uint64_t last;  /* with inodes up to this */
    } v[DAMAGE_AT_ONCE];
    size_t count;
    struct map64 objects, pages; /* number -> index */
};

/* -ENOSPC: tell first. -ENOMEM. One that is there already is fine. */
int damage_add(struct damage *d, enum damage_kind kind, uint64_t number, const char *name);
/* `say` gets each line. `pause` (may be NULL) is called between pieces of work, holding nothing;
 * what it returns but 0 ends the telling, and nothing is forgotten. */
int damage_tell(struct state *p, struct damage *d, void (*say)(const char *line, void *ctx),
                int (*pause)(void *ctx), void *ctx);
void damage_release(struct damage *d);
/* Such a line as an alarm of `who`. */
void damage_alarm(const char *who, const char *line);
