// SPDX-License-Identifier: Apache-2.0
/*
 * path: paths in a tree, written from their end to their start.
 *
 *     char text[1200];
 *     struct path p = {.text = text, .room = sizeof text, .top = 1, .depth = 256};
 *     path_begin(&p);
 *     path_prepend(&p, "name", 4);                 the last part
 *     if (path_climb(&tree, dir, &p) == 1)         the directories above it
 *         use(p.text + p.start);
 *
 * A tree is given as a walk (walk.h) with the parts source, pages, lock, root, and if wanted pause
 * and pause_ctx; the rest is not set. These functions return 1: found, 0: there is no such thing,
 * or damage hides it; or an error of that walk. Lock: none may be held that the walk takes.
 */
#pragma once

#include "item.h"
#include "walk.h"

#define PATH_ESCAPED_MAX (4 * ITEM_NAME_MAX)

struct path {
    char *text;     /* of the caller; the path is at its end, with a NUL behind */
    size_t room;    /* bytes of `text` */
    uint64_t top;   /* the inode of the root directory */
    unsigned depth; /* directories that a path is followed upwards at most */
    /* Writes a name as it shall stand in the path, without a NUL; returns the number of bytes.
     * NULL: names stay as they are. */
    size_t (*escape)(const char *name, size_t len, char out[PATH_ESCAPED_MAX]);
    size_t start; /* where the path begins in `text` */
    bool cut;     /* the front of the path did not fit */
};

void path_begin(struct path *p);
/* Puts a name before the path. If it does not fit the path is cut there, for good. In front of the
 * text are always 4 bytes or more, unless it is empty. */
void path_prepend(struct path *p, const char *name, size_t len);
/* Puts the names of the directory `dir` and of those above it before the path, but for the root.
 * 0: they do not lead to the root any more. */
int path_climb(const struct walk *tree, uint64_t dir, struct path *p);

int path_load_inode(const struct walk *tree, uint64_t ino, struct inode *ret);
/* Finds an entry that leads to `ino`, in the directory `dir` (0: in any), and puts its name before
 * the path and its key into *ret_key (each may be NULL). */
int path_find_entry(const struct walk *tree, uint64_t dir, uint64_t ino, struct path *p,
                    struct key *ret_key);
