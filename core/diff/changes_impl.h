// SPDX-License-Identifier: Apache-2.0
/*
 * changes_impl: private to the files changes*.c: how the list of changes.h is made of a delta.
 *
 * Each side of each name of the delta is an *event*: there the name leads to that inode. The steps
 * take events one after the other, and an event that was taken says nothing any more: renames,
 * files that have a name in common, then those with one path, then those with one object. What is
 * left was deleted or is new.
 *
 * Where names are missing the steps go on, so that one search finds all of them (`missing`); what
 * they list then is not used. Errors are those of changes.h. The caller holds both locks.
 */
#pragma once

#include "changes.h"

struct event {
    uint64_t ino;
    size_t name; /* index in delta.names */
    int side;
    bool taken;
    /* Of one that is left, owned; NULL: not made yet. `image`, of side A: the path that
     * it would have on side B. */
    char *path, *image;
};

struct gather {
    struct changes *c;
    struct event *events; /* by inode, side and name */
    size_t count;
    size_t (*of_name)[DELTA_SIDES]; /* of each name: index + 1 of its events */
    size_t *verdict_of; /* of each inode of the delta: index + 1 of the verdict of both sides */
    struct path path;   /* room for one path */
    bool missing;       /* names are missing */
};

static inline struct delta_name *gather_name(const struct gather *g, const struct event *e)
{
    return &g->c->delta.names[e->name];
}
/* ---- what the steps share (changes_events.c) ---- */

/* Makes the events of c->delta, and hints of their names. gather_end follows, after an error,
 * too. */
int gather_events(struct gather *g);
void gather_end(struct gather *g);
/* The end of the events from `i` on that have one inode and one side. */
size_t gather_end_of_side(const struct gather *g, size_t i);
/* The order of events. */
int gather_compare_events(const void *x, const void *y);
/* Has that number one file on both sides, or does nothing of it differ? */
bool gather_is_one_file(const struct delta *d, uint64_t ino);
/* Takes -EAGAIN for `missing`, and returns 0 then; another error as it is. */
int gather_note_missing(struct gather *g, int err);
/* The path of a name, and that of an event, which the caller owns. *ret is NULL if names are
 * missing. */
int gather_path(struct gather *g, int side, uint64_t parent, const char *name, size_t len,
                char **ret);
int gather_event_path(struct gather *g, const struct event *e, char **ret);
/* The image of an event of side A (see `image`). */
int gather_event_image(struct gather *g, const struct event *e, char **ret);
/* Adds a change, and takes its paths over, after an error, too. One of which a path is missing is
 * not added. */
int gather_add(struct gather *g, const struct change *change);
int gather_load(struct gather *g, int side, uint64_t ino, struct inode *ret);
/* Begins the verdict of inode `a` of side A and `b` of side B, of one type; *ret is its index + 1.
 * `record`: both are one file, and this is what of it differs; else NULL. */
int gather_judge(struct gather *g, const struct delta_inode *record, uint64_t a, uint64_t b,
                 size_t *ret);
/* The same for the two sides of one file, once; `r` NULL: nothing of it differs, and *ret is 0. */
int gather_judge_one(struct gather *g, const struct delta_inode *r, size_t *ret);

/* ---- the steps, in their order ---- */

int gather_renames(struct gather *g); /* changes_same.c: names of one file that are gone, and new */
int gather_kept(struct gather *g);    /* files that have kept a name */
int gather_replaced(struct gather *g); /* changes_other.c: other files under one name */
int gather_left(struct gather *g);     /* under one path; of one object; all that is left */
