// SPDX-License-Identifier: Apache-2.0
/*
 * merge_with: files that both sides of a merge have changed, and that a program merges.
 *
 *     struct merge_with w = {.mnt = mnt, .program = "CMD"};
 *     if (merge_with_read(&w, lines))              all conflicts are about contents
 *         merge_with_run(&w);                      the program has made a text for each
 *         merge_with_write(&w);                    the branch has these texts
 *         merge_with_add(&w, &command);            options for the merge that takes them
 *     merge_with_restore(&w);                      after that merge failed
 *     merge_with_release(&w);
 */
#pragma once

#include "strbuf.h"

#include <stdbool.h>
#include <stddef.h>

#define MERGE_WITH_MAX 1000                          /* files */
#define MERGE_WITH_BYTES ((size_t)64 * 1024 * 1024)  /* bytes of one file */

struct merge_with_file;

struct merge_with {
    const char *mnt, *program; /* borrowed; words of a shell */
    struct merge_with_file *files;
    size_t count, room, written;
    char *seq; /* the change of the target that the conflicts are about */
};

/* Reads the lines of the conflicts. False: some are not about contents, or the lines cannot be
 * read. */
bool merge_with_read(struct merge_with *w, const char *lines);
/* Runs the program for all files: `sh -c 'CMD "$@"' sh OURS BASE THEIRS`, in the order of diff3 and
 * of `git merge-file`. What it prints is the merged text if it ends with 0. -EEXIST after a
 * sentence for each file that it does not merge. */
int merge_with_run(struct merge_with *w);
/* Writes the texts into the files of the branch. -ECANCELED: one has changed since it was read; any
 * other error after a sentence. Then all of them are as they were. */
int merge_with_write(struct merge_with *w);
/* Adds the options of a merge that takes what the branch has there, if the target is as it was. */
void merge_with_add(const struct merge_with *w, struct strbuf *line);
void merge_with_restore(struct merge_with *w);
void merge_with_release(struct merge_with *w);
