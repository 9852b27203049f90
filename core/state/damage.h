// SPDX-License-Identifier: Apache-2.0
/*
 * damage: finds and reports which files use what was found damaged, while the store is in use.
 *
 *     struct damage d = {0};
 *     damage_add(&d, DAMAGE_OBJECT, number, "object 0123…");       for each
 *     damage_tell(p, &d, say, pause, ctx);                         reports all, and empties *d
 *
 * Each namespace is walked (walk.h): first for items that name one of the objects or are below one
 * of the pages, and, if there are any, for the names of the inodes of these items. An alias counts
 * for its target. For each damaged thing DAMAGE_PATHS paths are reported, and how many more inodes
 * there are. Namespaces that share an item are reported separately. A file that is renamed or
 * removed meanwhile is reported or not.
 *
 * Limits: DAMAGE_AT_ONCE things at a time. Threads: one, that of the caller, which holds no lock.
 */
#pragma once

#include "state.h"

#define DAMAGE_AT_ONCE 256
#define DAMAGE_PATHS 8

enum damage_kind { DAMAGE_OBJECT, DAMAGE_PAGE };

struct damage {
    struct damaged_thing {
        enum damage_kind kind; /* object or page */
        uint64_t number;       /* its number */
        char name[56];
        bool hidden;   /* a page that cannot be read, so that nothing below it can be read either */
        unsigned told; /* paths that were reported */
        uint64_t users; /* inodes that name the object; for a page, trees that have it */
        bool met;       /* it was met in the tree that is walked */
        uint64_t last;  /* the highest inode there that uses it */
    } v[DAMAGE_AT_ONCE];
    size_t count;
    struct map64 objects, pages; /* number -> index */
};

/* Adds a damaged thing; one that is there already is fine. -ENOSPC: call damage_tell first;
 * -ENOMEM. */
int damage_add(struct damage *d, enum damage_kind kind, uint64_t number, const char *name);
/* Calls `say` with each line. `pause` (may be NULL) is called between pieces of work, with no lock
 * held. A result other than 0 of it ends the report, and *d keeps all. */
int damage_tell(struct state *p, struct damage *d, void (*say)(const char *line, void *ctx),
                int (*pause)(void *ctx), void *ctx);
void damage_release(struct damage *d);
/* Raises an alarm of `who` with such a line. */
void damage_alarm(const char *who, const char *line);
