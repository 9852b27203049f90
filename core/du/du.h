// SPDX-License-Identifier: Apache-2.0
/*
 * du: what one namespace takes, and what dropping it would give back.
 *
 * A drop frees a page if its count and the counts of all pages above it are 1. Everything below any
 * other page stays, since another namespace has that page. A drop frees an object if all of its
 * references are in pages that are freed. References to an alias count for the object that it is an
 * alias of. A pin is a reference that is never freed. So one walk over the namespace is enough, and
 * no table has to say which other namespaces name an object. In a pool an object also stays if the
 * last report of another member names it at the place where this store has it.
 *
 * Bytes on another shard are in all figures, and also in a figure of their own (`elsewhere`).
 *
 * The walk (walk.h) reads pieces, each under the lock of the namespace, while the store is in use.
 * The figures are exact if the namespace does not change and nothing is dropped or sealed.
 * Otherwise each piece is as it was when it was read. What a dropped namespace still holds until it
 * is worked off counts as another namespace's.
 *
 * Limits: 24 to 48 bytes of memory for each distinct object that the namespace names, while it
 * runs. Errors: 0 or -errno: -ENOMEM, -EIO, -EUCLEAN: a page is damaged; -EINTR: `interrupted` was
 * set.
 */
#pragma once

#include "state.h"

struct du {
    /* sum of the files' bytes, without holes; several names of a file count once */
    uint64_t logical;
    uint64_t shared; /* bytes of objects that it names and that would stay */
    uint64_t frees;  /* bytes of objects that would be freed, each once; with unsealed contents */
    uint64_t tree;   /* bytes of pages of its tree that would be freed */
    uint64_t elsewhere; /* the part of `frees` that is on other shards */
    uint64_t saved;  /* by how much compression makes less of `frees`: so much it would not free */
    uint64_t pieces; /* extents and subblock extents of its files; each is read from a place of its
                      * own */
};

/* Counts into *ret, which is unchanged after an error. The caller has a reference on `ns`, which is
 * no symlink, and holds no lock. `interrupted` may be NULL. */
int du_namespace(struct state *p, struct ns *ns, const _Atomic bool *interrupted, struct du *ret);
