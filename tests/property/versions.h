// SPDX-License-Identifier: Apache-2.0
/*
 * versions: what one thing of a model was after each change of the store, by the store's sequence
 * numbers, so that after the loss of power it can be told what it must be.
 *
 *     versions_note(&h, before, after, what)     a change of it, made by the frames in between
 *     versions_at(&h, seq, &what)                what it is when the store has all up to seq
 *     versions_restart(&h, what)                 all of that is past
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct version_state {
    bool exists;
    uint64_t size; /* bytes */
    uint64_t hash; /* of them; 0: not known */
};

struct version_entry {
    uint64_t before, after;
    struct version_state what;
};

struct versions {
    struct version_entry *version; /* the first is from before all that may be lost */
    size_t count, room;
};

void versions_restart(struct versions *h, struct version_state what);
void versions_note(struct versions *h, uint64_t before, uint64_t after, struct version_state what);
/* Versions that are older than what it is at `durable` are forgotten. */
void versions_trim(struct versions *h, uint64_t durable);
/* False: `seq` is in the middle of a change of it, which may be half there. */
bool versions_at(const struct versions *h, uint64_t seq, struct version_state *ret);
/* Was it changed after `seq`? */
bool versions_changed(const struct versions *h, uint64_t seq);
void versions_release(struct versions *h);
