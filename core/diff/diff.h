// SPDX-License-Identifier: Apache-2.0
/*
 * diff: what one namespace has that another one has not, while both are in use.
 *
 *     struct diff d = DIFF_INIT;
 *     err = diff_namespaces(p, a, b, &interrupted, &d);
 *     for (size_t i = 0; i < d.changes.count; i++)       struct change: changes.h
 *         use(&d.changes.v[i]);
 *     diff_end(&d);
 *
 * The list is that of one instant, at which the locks of both namespaces were held for reading.
 * They are held, the lower number first, only while what differs is gathered from pages. How long
 * that takes depends on the difference, and not on the size of the trees:
 *
 *     1. both locks: the delta. Names of changed files that did not change themselves are looked up
 *        by hints (ino_names.h). If hints are missing, nothing of this is used.
 *     2. no lock, but for a thousand items at a time: hints are searched. Then step 1 begins anew,
 *        three times at most; then the search is made with both locks held.
 *     3. no lock: bytes are compared. They are held since step 1, and what is sealed never changes.
 *        Bytes that are not sealed yet are those of the moment at which they are read: of a file
 *        that is being written, a later state may be compared than that of the instant. It is
 *        listed in any case if its size differed then.
 *
 * Equal roots are no difference, and cost nothing.
 *
 * Memory: at most DIFF_MEMORY bytes, -E2BIG beyond that. Errors: 0 or -errno: -ENOMEM, -EINTR
 * `interrupted` was set, -EIO, -EUCLEAN: a page is damaged; -ESTALE: a namespace was dropped.
 */
#pragma once

#include "changes.h"
#include "state.h"

#define DIFF_MEMORY ((size_t)256 * 1024 * 1024)

struct diff {
    struct changes changes;
    struct ino_names names[DELTA_SIDES];
    struct diff_room room;
};
#define DIFF_INIT                                                                                  \
    {                                                                                              \
        .changes = {.count = 0 }                                                                   \
    }

/* Lists what differs from `a` to `b`, on which the caller has references, until diff_end. The
 * caller holds no lock. `interrupted` may be NULL. *ret is to be ended after an error, too. */
int diff_namespaces(struct state *p, struct ns *a, struct ns *b, const _Atomic bool *interrupted,
                    struct diff *ret);
void diff_end(struct diff *d);
