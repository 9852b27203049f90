// SPDX-License-Identifier: Apache-2.0
/*
 * history: what one thing of a model was after each change of the store, by the store's sequence
 * numbers, so that after the loss of power it can be told what it must be.
 *
 *     history_note(&h, before, after, what)     a change of it, made by the frames in between
 *     history_at(&h, seq, &what)                what it is when the store has all up to seq
 *     history_restart(&h, what)                 all of that is past
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history_state {
    bool exists;
    uint64_t size; /* bytes */
    uint64_t hash; /* of them; 0: not known */
};

struct history_version {
    uint64_t before, after;
    struct history_state what;
};

struct history {
    struct history_version *version; /* the first is from before all that may be lost */
    size_t count, room;
};

void history_restart(struct history *h, struct history_state what);
void history_note(struct history *h, uint64_t before, uint64_t after, struct history_state what);
/* Versions that are older than what it is at `durable` are forgotten. */
void history_trim(struct history *h, uint64_t durable);
/* False: `seq` is in the middle of a change of it, which may be half there. */
bool history_at(const struct history *h, uint64_t seq, struct history_state *ret);
/* Was it changed after `seq`? */
bool history_changed(const struct history *h, uint64_t seq);
void history_release(struct history *h);
