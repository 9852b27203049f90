// SPDX-License-Identifier: Apache-2.0
/*
 * ns_point: a namespace as an archive has it, or is about to have it.
 *
 * What is shipped to an archive is the difference between two instants of a namespace. The earlier
 * one, which the archive has, is held by a hidden namespace, the *point* (NS_POINT), whose note
 * says which segment of which archive has it. A point that is just being shipped has no segment
 * yet. So the archive's side of a difference is here after a death, too, and nothing of it is read
 * back.
 *
 * The room that ships (ship/ship.h) removes a point when the next one is shipped, or when its
 * archive is given up. On a full disk points give way, too (kept.h), and the room makes others.
 *
 * Threads: any; the changes are alone (txn_begin_alone). The caller of the others holds
 * neither "namespace" nor "names". A note is changed by the thread that ships to its archive.
 * Errors: 0 or -errno: what a change returns; -ENOMEM.
 */
#pragma once

#include "state.h"

#define POINT_STATE_LEN 16

struct ns_point {
    uint16_t archive;               /* number of the archive among the shards */
    bool frozen;                    /* the namespace was frozen */
    uint64_t epoch, serial;         /* the segment that has it; 0: none yet */
    uint8_t state[POINT_STATE_LEN]; /* sum over the items (segment.h); valid with a segment */
    uint64_t lost;                  /* items whose contents the archive does not have; likewise */
    bool made_up;                   /* some of these have an id there that is none; likewise */
    /* What a restore of it reads there, back to a section that has all of it: items, and the
     * sections on the shortest way; likewise */
    uint64_t items, steps;
    uint64_t all; /* items of that section; likewise */
};

/* Makes a point of `of` at this instant, without a segment. *ret has a reference. */
int ns_point_make(struct txn *t, struct ns *of, uint16_t archive, struct ns **ret);
/* Changes the note of a point. */
int ns_point_note(struct txn *t, struct ns *point, const struct ns_point *note);
/* Removes a point, or does nothing if it is gone. Afterwards the caller calls flush_kick_drops. */
int ns_point_drop(struct txn *t, struct ns *point);
/* Is it a point, and what does its note say? A point with a damaged note is one of archive 0. */
bool ns_point_get(struct state *p, struct ns *ns, struct ns_point *ret);
/* The next point with a higher number than `after`, with a reference. -ENOENT */
int ns_point_next(struct state *p, uint32_t after, struct ns **ret, struct ns_point *ret_note);
