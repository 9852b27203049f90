// SPDX-License-Identifier: Apache-2.0
/*
 * changes: what differs between two trees, as a person reads it: a list of paths, each with a
 * letter.
 *
 *     D  the path is gone             A  the path is new         T  it is of another type now
 *     M  its content differs          R  it was renamed          a  only attributes differ
 *
 * A path of D is one of side A; all others are of side B. Paths have no '/' in front, and the top
 * directory is ".". What is below a deleted or new directory is listed, too; what is below a
 * renamed one only if it differs itself. Each name of a hard link is a path of its own.
 *
 *     { both locks }  changes_gather(&c)          -EAGAIN: names are missing; see ino_names.h
 *     { no lock }     changes_compare(p, &c)
 *     changes_end(&c)
 *
 * Files are recognised, in this order: by their inode, wherever it is now (a rename, if one of its
 * names is gone and another one is new); by the same name in the same directory, or else by the
 * same path, once the directories of side A are where they are on side B; a deleted and a new
 * regular file by being the same object as a whole, not empty. So who makes the renames of the list
 * in a copy of side A, and the deletions, has under each path what the list speaks of.
 *
 * Order: first D, by path, then A, M, T and R, then a; bytewise.
 *
 * Errors: as of delta.h, ino_names.h and verdict.h. After an error the list is to be released, too.
 */
#pragma once

#include "ino_names.h"
#include "verdict.h"

struct change {
    char status;    /* one of the letters above */
    bool modified;  /* of R: its content differs, too; set for M */
    bool unread;    /* it counts as modified because bytes of it could not be read */
    unsigned attrs; /* of enum diff_attr; of M, R and a */
    uint32_t mode;  /* type and permissions, of side B, or of side A for D */
    char *path;     /* owned */
    char *from;     /* owned; of R: the path in side A; else NULL */
    size_t verdict; /* index + 1 in changes.verdicts; 0: none */
};

struct changes {
    const struct tree *tree[DELTA_SIDES]; /* borrowed; they do not change during changes_gather */
    struct ino_names *names[DELTA_SIDES]; /* borrowed */
    struct delta delta;                   /* filled by changes_gather */
    struct diff_room *room;               /* borrowed */
    struct change *v;
    size_t count, v_room;
    struct verdict *verdicts;
    size_t verdict_count, verdicts_room;
    uint64_t unread; /* changes with `unread` */
};

/* `own` and `interrupted` are those of delta_gather. */
int changes_gather(struct changes *c, uint64_t own, const _Atomic bool *interrupted);
int changes_compare(struct state *p, struct changes *c, const _Atomic bool *interrupted);
void changes_end(struct changes *c); /* frees all of it */
