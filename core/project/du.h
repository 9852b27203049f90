// SPDX-License-Identifier: Apache-2.0
/*
 * du: what one namespace takes, and what dropping it would give back.
 *
 * A page whose count is 1, as are those of all pages above it, goes with its namespace; what is
 * below any other page stays for somebody. An object goes when as many references as it has lie in
 * pages that go: an alias's count for what it is an alias of, and a pin is one that never goes. So
 * one walk tells both, and no table is asked who else names what. In a pool an object stays, too, that
 * another member's last report names where this one has it.
 *
 * What is on another shard counts as anything else, and once more apart.
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

#include "project_impl.h"

#define DU_AT_ONCE 1000

struct du {
    uint64_t logical; /* bytes that its files show, holes left out; several names count once */
    uint64_t shared;  /* bytes of objects that it names and that would stay */
    uint64_t frees;   /* bytes of objects that would go: each once, unsealed contents included */
    uint64_t tree;    /* bytes of its tree's pages that would go */
    uint64_t elsewhere; /* of `frees`: what would come back on other shards, not at home */
    uint64_t pieces;    /* extents and patches of its files: where reading one goes on elsewhere */
};

/* Holding nothing; `ns` is referenced, and no symlink. `interrupted` may be NULL. */
int du_namespace(struct project *p, struct ns *ns, const _Atomic bool *interrupted, struct du *ret);
