// SPDX-License-Identifier: Apache-2.0
/*
 * restore_items: items of an archive are put into the tree of a draft. Objects that are nowhere
 * here become ghosts in the archive.
 *
 *     struct restore_items r = {.p = p, .archive = number, .draft = draft, .why = why};
 *     restore_items_begin(&r)
 *     restore_items_load(&r, shard, &segment, &section)     one section after the other
 *     restore_items_end(&r)                                 also after an error
 *
 * Threads: one at a time; the caller holds no lock. Errors: 0 or -errno, perhaps with a sentence in
 * `why`: -EUCLEAN the segment is damaged; -EEXIST an object
 * of this store has the id of another content; what the shard, progress and the store say.
 */
#pragma once

#include "archive_read.h"
#include "map64.h"
#include "ns_restore.h"

#define RESTORE_AT_ONCE 64 /* items that are put under one hold of the locks */

struct ns;
struct restore_waiting;

struct restore_items {
    struct state *p;
    uint16_t archive;
    struct ns *draft;
    struct strbuf *why;
    restore_progress_fn *progress; /* may be NULL */
    void *ctx;
    uint64_t of;   /* items, for progress */
    unsigned read; /* percent of the objects that are read in the archive, and compared */
    /* The archive keeps what this restore names. Else a ghost that can be read stays where it is,
     * since that place is kept. */
    bool is_kept;

    uint64_t done;   /* items */
    uint64_t ghosts; /* objects that are only in the archive, made here */
    uint64_t shared; /* references to objects that were here already */
    uint64_t moved;  /* ghosts that were here, and have another place in the archive now */
    uint64_t reads;  /* objects that were read in the archive */
    bool local; /* the error is one of this store, or the end of the job, and not of the archive */

    struct restore_waiting *v; /* private, with all that follows */
    size_t count;
    size_t next;         /* which of them is put next */
    int64_t time;        /* of the segment whose items they are */
    struct map64 looked; /* objects whose turn to be read has come, by a part of their id */
};

int restore_items_begin(struct restore_items *r);
/* Puts the items of a section, in order. */
int restore_items_load(struct restore_items *r, struct shard *shard,
                       const struct archive_segment *g, const struct segment_section *section);
void restore_items_end(struct restore_items *r);
