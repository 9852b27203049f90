// SPDX-License-Identifier: Apache-2.0
/*
 * du: what one namespace takes, and what dropping it would give back.
 *
 * A page goes with its namespace if its count is 1 and the counts of all pages above it are 1. What
 * is below any other page stays, since another namespace has that page. An object goes if all of
 * its references are in pages that go. References to an alias count for the object that it is an
 * alias of; a pin is a reference that never goes. So one walk over the namespace is enough, and no
 * table has to say which others name an object. In a pool an object also stays if the last report
 * of another member names it at the place where this store has it.
 *
 * Bytes on another shard are in all figures, and also in a figure of their own (`elsewhere`).
 *
 * Read in pieces of DU_AT_ONCE items, each under the namespace's lock, beside all that goes on. Of
 * a namespace that rests, and with nothing being dropped or sealed, the figures are exact; else
 * each piece is as it was when it was read, and what a dropped namespace still holds until it is
 * worked off counts as another's.
 *
 * Bounded: 24 to 48 bytes of memory for each distinct object that the namespace names, while it
 * runs. Errors: 0 or -errno: -ENOMEM, -EIO, -EUCLEAN a page is damaged, -EINTR.
 */
#pragma once

#include "state.h"

#define DU_AT_ONCE 1000

struct du {
    uint64_t logical; /* bytes that its files show, holes left out; several names count once */
    uint64_t shared;  /* bytes of objects that it names and that would stay */
    uint64_t frees;   /* bytes of objects that would go: each once, unsealed contents included */
    uint64_t tree;    /* bytes of its tree's pages that would go */
    uint64_t elsewhere; /* of `frees`: what would come back on other shards, not at home */
    uint64_t pieces;    /* extents and patches of its files: each is read by itself */
};

/* Holding nothing; `ns` is referenced, and no symlink. `interrupted` may be NULL. */
int du_namespace(struct state *p, struct ns *ns, const _Atomic bool *interrupted, struct du *ret);
