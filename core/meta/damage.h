// SPDX-License-Identifier: Apache-2.0
/*
 * damage: a set of things that were found damaged, and the search for what uses them in a tree.
 *
 *     struct damage d = {0};
 *     damage_add(&d, DAMAGE_OBJECT, number, "object 0123…");       for each
 *     damage_look(&d, &(struct damage_look){.tree = …, .say = say, …});    for each tree
 *     damage_release(&d);
 *
 * A tree is walked (walk.h): first for items that name one of the objects or are below one of the
 * pages, and, if there are any, for the names of the inodes of these items. `say` is called only
 * after both walks, because a path takes walks of its own (path.h). An inode that uses a thing
 * several times is one use of it. Of each thing DAMAGE_PATHS uses are said, in all trees together;
 * `users` counts them all. A file that is renamed or removed meanwhile is said or not.
 *
 * Where the trees are is the affair of the caller: an open store (damage_live.h), or a snapshot.
 * Memory: 50 bytes and a name for each thing; 50 bytes for each use that is said.
 * Errors: 0 or -errno: -ENOMEM, or what ended a walk. Threads: one, that of the caller.
 */
#pragma once

#include "map64.h"
#include "walk.h"

/* Who gathers damage while a store is in use looks for the users of so many things at once. */
#define DAMAGE_AT_ONCE 256
#define DAMAGE_PATHS 8

enum damage_kind { DAMAGE_OBJECT, DAMAGE_PAGE };

struct damage {
    struct damaged_thing {
        enum damage_kind kind; /* object or page */
        bool hidden;     /* a page that cannot be read, and so nothing below it can be read */
        bool met;        /* it was met in the tree that is walked */
        unsigned told;   /* uses that were said, or will be */
        uint64_t number; /* its number */
        char *name;      /* for people; may be NULL */
        uint64_t users;  /* inodes that name the object; for a page, trees that have it */
        uint64_t last;   /* the highest inode in the tree that is walked that uses it */
    } *v;
    size_t count, room;
    struct map64 objects, pages; /* number -> index */
};

/* Adds a damaged thing; one that is there already is fine. A copy of the name is made; it may be
 * NULL. -ENOMEM. */
int damage_add(struct damage *d, enum damage_kind kind, uint64_t number, const char *name);
void damage_release(struct damage *d); /* *d is empty then, and may be used again */

/* A use of a damaged thing in one tree. */
struct damage_use {
    const struct damaged_thing *thing;
    uint64_t first, last; /* the first and the last inode; equal for an object */
    uint64_t off;         /* of the item: its offset in the file */
    unsigned type;        /* of the item; 0: the thing is a page */
};

struct damage_look {
    /* The tree, as path.h takes it: the parts source, pages, lock, root, and if wanted pause and
     * pause_ctx. `pause` is called before each walk, too. */
    struct walk tree;
    bool nameless; /* no inode in the tree has a name: names are not looked for */
    /* The number that counts for `number`: of an alias its target. The tree's lock is held. */
    uint64_t (*resolve)(uint64_t number, void *ctx);
    /* Called with no lock held: once for a use by one inode, and for one by a range of inodes
     * without a name and with up to DAMAGE_PATHS names. `name` is an entry of the directory `dir`;
     * NULL: no name is known. A result other than 0 ends the look and is returned. */
    int (*say)(const struct damage_use *use, uint64_t dir, const char *name, void *ctx);
    void *ctx;
};

/* Looks for the uses of all things in one tree, and says them. The caller sets `hidden` of the
 * pages before, and `told` and `users` of all things to 0 before the first tree. */
int damage_look(struct damage *d, const struct damage_look *o);
