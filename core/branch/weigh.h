// SPDX-License-Identifier: Apache-2.0
/*
 * weigh: what letting go one hidden namespace gives back, at least, for who cannot wait for du.
 *
 * Only pages are read that the namespace shares with none, so what a branch has in common with
 * others costs nothing, and WEIGH_ITEMS items at most. What is behind them is left out. An object
 * counts if this namespace has its only reference; one that it names twice, or shares with another
 * that is kept, is left out, too. So a figure is never too high for the moment at which it was
 * made.
 *
 * Threads: any; the caller has a reference on the namespace, and no lock that comes after that of a
 * namespace. Errors: 0 or -errno: -ENOMEM, -EIO.
 */
#pragma once

#include "state.h"

#define WEIGH_ITEMS 65536

struct weight {
    /* Bytes of files of the store's own disk that are deleted at once: each is the whole content,
     * without holes, of a file in the namespace. Of a store in a pool 0. */
    uint64_t whole;
    bool frees; /* bytes of any object are freed that are not on another shard, or become dead in a
                 * pack */
};

/* *left: how many items may be read, which is lowered by those that were. With `only_whether` it
 * ends at the first object that is freed, and `whole` means nothing. */
int weigh(struct state *p, struct ns *ns, bool only_whether, size_t *left, struct weight *ret);
